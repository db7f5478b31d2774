"""Whom a request is from, and where the service is, behind proxies that may be believed or not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import pytest
from flask import Response
from service_kit import Service, basic, users

from app.errors import ConfigError
from app.resources._proxies import TrustedProxies, place_below
from app.settings import Settings

ServiceMaker = Callable[..., Service]

TRUSTED = ["127.0.0.1", "10.0.0.0/8", "::1", "2001:db8:1::/48", "::ffff:192.0.2.0/120"]
CLIENT = "203.0.113.7"


def seen(peer: str = "127.0.0.1", **headers: str) -> dict[str, Any]:
    """What the application is told of a request."""
    told: dict[str, Any] = {}
    environ = {"REMOTE_ADDR": peer, "HTTP_HOST": "inside:80", "wsgi.url_scheme": "http",
               "SCRIPT_NAME": "", "PATH_INFO": "/workflows"}  # fmt: skip
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    TrustedProxies(lambda env, _: told.update(env), TRUSTED)(environ, None)
    return told


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        (CLIENT, CLIENT),
        (f"evil, {CLIENT}", CLIENT),
        (f"{CLIENT}, 127.0.0.1", CLIENT),
        (f"1.1.1.1,{CLIENT},10.1.2.3, 10.1.2.4", CLIENT),
        (f"{CLIENT}:4711", CLIENT),
        ("[2001:db8::9]:80", "2001:db8::9"),
        ("2001:db8::9", "2001:db8::9"),
        ("2001:DB8:0::9, [::1%lo]:80", "2001:db8::9"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.7", CLIENT),
        (f"{CLIENT}, ::ffff:10.0.0.1", CLIENT),
        (f"{CLIENT}, 192.0.2.9", CLIENT),
        (f" , {CLIENT} ,, ", CLIENT),
        ("10.0.0.9, 10.0.0.8", "10.0.0.9"),
        ("", "127.0.0.1"),
        (",,,", "127.0.0.1"),
        ("unknown", "unknown"),
        (f"{CLIENT}, unknown", "unknown"),
        ("_hidden", "unknown"),
        ("999.1.1.1", "unknown"),
        ("127.0.0.1.evil.example", "unknown"),
        ("[::1", "unknown"),
        ("\xe4\xff, \x00", "unknown"),
        ("1.2.3.4;5", "unknown"),
        (", ".join(["9.9.9.9"] * 300), "9.9.9.9"),
        (", ".join([CLIENT] + ["10.0.0.1"] * 300), "10.0.0.1"),
        ("x" * 16_000, "unknown"),
    ],
)
def test_the_last_address_that_is_no_trusted_proxy_counts(chain: str, address: str) -> None:
    assert seen(x_forwarded_for=chain)["REMOTE_ADDR"] == address
    assert seen("192.0.2.50", x_forwarded_for=chain)["REMOTE_ADDR"] in (
        address, "192.0.2.50",
    )  # fmt: skip
    assert seen("203.0.113.50", x_forwarded_for=chain)["REMOTE_ADDR"] == "203.0.113.50"


@pytest.mark.parametrize(
    ("field", "address"),
    [
        (f"for={CLIENT}", CLIENT),
        (f"For={CLIENT};proto=https, for=10.0.0.1", CLIENT),
        ('for="[2001:db8::9]:4711"', "2001:db8::9"),
        (f"for=1.1.1.1, for={CLIENT}", CLIENT),
        ('for="_gazonk"', "unknown"),
        ("for=unknown", "unknown"),
        ("for=", "unknown"),
        ("proto=https", "127.0.0.1"),
        (";;;=,==", "127.0.0.1"),
        ('for="', "unknown"),
    ],
)
def test_the_standard_field_tells_it_likewise(field: str, address: str) -> None:
    assert seen(forwarded=field)["REMOTE_ADDR"] == address


def test_where_the_two_kinds_disagree_neither_counts() -> None:
    told = seen(
        forwarded="for=9.9.9.9;host=evil.example", x_forwarded_for=CLIENT,
        x_forwarded_host="evil.example",
    )  # fmt: skip
    assert (told["REMOTE_ADDR"], told["HTTP_HOST"]) == ("127.0.0.1", "inside:80")
    assert seen(forwarded=f"for={CLIENT}", x_forwarded_for=CLIENT)["REMOTE_ADDR"] == CLIENT


def test_what_strangers_tell_counts_for_nothing() -> None:
    told = seen(
        CLIENT, x_forwarded_for="1.1.1.1", forwarded="for=1.1.1.1;host=a;proto=https",
        x_forwarded_proto="https", x_forwarded_host="a", x_forwarded_prefix="/a",
        x_real_ip="1.1.1.1",
    )  # fmt: skip
    assert (told["REMOTE_ADDR"], told["HTTP_HOST"]) == (CLIENT, "inside:80")
    assert (told["wsgi.url_scheme"], told["SCRIPT_NAME"]) == ("http", "")


def test_scheme_host_and_prefix_are_taken_where_they_are_well_formed() -> None:
    told = seen(
        x_forwarded_proto="http, HTTPS", x_forwarded_host="a, slipway.example:8443",
        x_forwarded_prefix="/hpc/slipway/",
    )  # fmt: skip
    assert (told["wsgi.url_scheme"], told["HTTP_HOST"]) == ("https", "slipway.example:8443")
    assert (told["SCRIPT_NAME"], told["PATH_INFO"]) == ("/hpc/slipway", "/workflows")
    assert seen(x_forwarded_prefix="/workflows")["PATH_INFO"] == "/workflows"
    for bad in ("javascript", "", "https;x"):
        assert seen(x_forwarded_proto=bad)["wsgi.url_scheme"] == "http"
    for bad in ("a b", "a/b", "a@b", "<x>", "a:b"):
        assert seen(x_forwarded_host=bad)["HTTP_HOST"] == "inside:80"
    for bad in ("//evil.example", "x", "/a//b", "/..", "/a/../b", '/"><script>', "/a\\b", "/%2f"):
        assert seen(x_forwarded_prefix=bad)["SCRIPT_NAME"] == "", bad


@pytest.fixture
def behind(make_service: ServiceMaker) -> Service:
    return make_service(
        api__auth=users(), api__trusted_proxies=["127.0.0.1"],
        api__allowed_hosts=["slipway.example"],
    )  # fmt: skip


OUTSIDE = {
    "X-Forwarded-Proto": "https", "X-Forwarded-Host": "slipway.example",
    "X-Forwarded-Prefix": "/hpc", "X-Forwarded-For": CLIENT,
}  # fmt: skip


def test_addresses_are_right_behind_a_prefix(behind: Service) -> None:
    client, dev = behind.client, {**basic("dev", "dev"), **OUTSIDE}
    definition = {
        "id": "new",
        "steps": [{"id": "a", "type": "script", "config": {"script": "true"}}],
    }
    made = client.post("/workflows", json=definition, headers=dev)
    assert (made.status_code, made.headers["Location"]) == (201, "/hpc/workflows/new")
    page = client.get("/docs", headers=OUTSIDE).text
    assert 'src="./docs/start.js"' in page
    assert '"/docs' not in page
    assert client.get("/", headers=OUTSIDE).headers["Location"] == "/hpc/ui/"
    document = client.get("/openapi.json", headers=OUTSIDE).json
    assert document["servers"] == [{"url": "/hpc"}]
    assert "servers" not in client.get("/openapi.json").json


def test_links_are_right_behind_a_prefix(behind: Service) -> None:
    with behind.web.app.test_request_context("/x", environ_overrides={"SCRIPT_NAME": "/hpc"}):
        there = "</a>; rel=next, </b>; rel=prev, <https://else.example/c>, <//else.example/d>"
        placed = place_below(Response(headers={"Link": there}))
    right = "</hpc/a>; rel=next, </hpc/b>; rel=prev, <https://else.example/c>, <//else.example/d>"
    assert placed.headers["Link"] == right


@pytest.mark.parametrize("page", ["/docs", "/docs/", "/hpc/docs", "/a/b/docs/"])
def test_the_page_finds_what_it_needs_below_a_prefix_that_nobody_tells(
    behind: Service, page: str
) -> None:
    client = behind.client
    prefix, _, rest = page.partition("/docs")
    text = client.get(f"/docs{rest}").text
    needed = [urljoin(page, found) for found in re.findall(r'(?:src|href)="([^"]+)"', text)]
    assert len(needed) == 5
    for address in needed:
        assert address.startswith(f"{prefix}/docs/")
        assert client.get(address.removeprefix(prefix)).status_code == 200


def test_a_prefix_that_strangers_tell_counts_for_nothing(make_service: ServiceMaker) -> None:
    service, told = make_service(), {"X-Forwarded-Prefix": "/evil"}
    assert "evil" not in service.client.get("/docs", headers=told).text
    assert service.client.get("/", headers=told).headers["Location"] == "/ui/"
    assert "servers" not in service.client.get("/openapi.json", headers=told).json


def test_pages_are_the_own_ones_by_the_name_that_the_proxy_has(behind: Service) -> None:
    for origin, status in (
        ("https://slipway.example", 201), ("http://slipway.example:1", 403), ("https://evil", 403),
    ):  # fmt: skip
        headers = {**basic("ada", "ada's pass"), **OUTSIDE, "Origin": origin}
        assert behind.client.post("/ssh_keys", headers=headers).status_code == status
    foreign = {**OUTSIDE, "X-Forwarded-Host": "evil.example"}
    assert behind.client.get("/health", headers=foreign).status_code == 421


def test_wrong_logins_count_for_the_client_behind_the_proxy(behind: Service) -> None:
    def status(password: str, chain: str) -> int:
        headers = {**basic("ada", password), "X-Forwarded-For": chain}
        return behind.client.get("/workflows", headers=headers).status_code

    for number in range(5):
        assert status(f"wrong {number}", f"{number}.1.1.1, {CLIENT}") == 401
    assert status("ada's pass", CLIENT) == 429
    assert status("ada's pass", "203.0.113.8") == 200


def test_a_network_of_ipv6_is_one_client_and_locks_nobody_else_out(behind: Service) -> None:
    def status(password: str, chain: str) -> int:
        headers = {**basic("ada", password), "X-Forwarded-For": chain}
        return behind.client.get("/workflows", headers=headers).status_code

    statuses = [status("wrong", f"2001:db8:1:2::{n:x}") for n in range(50)]
    assert statuses[:5] == [401] * 5
    assert set(statuses[6:]) == {429}, "each is the same client"
    assert status("ada's pass", "2001:db8:1:3::1") == 200
    assert status("ada's pass", "::ffff:203.0.113.8") == 200


def test_what_is_no_network_is_a_fault(make_settings: Callable[..., Settings]) -> None:
    wrong = ["10.0.0.1/8", "proxy.example", "", "1.2.3", "::1%lo/128x"]
    with pytest.raises(ConfigError) as caught:
        make_settings(api__trusted_proxies=["::1", *wrong])
    paths = [fault.path for fault in caught.value.fields]
    assert paths == [f"api.trusted_proxies[{index}]" for index in range(1, len(wrong) + 1)]
    with pytest.raises(ConfigError) as caught:
        make_settings(api__trusted_proxies=["::1"], api__proxies=1)
    assert [fault.path for fault in caught.value.fields] == ["api.proxies"]
