"""What is refused when a browser sends it for somebody else, at whatever address."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Response
from flask.testing import FlaskClient
from service_kit import Service

from app.errors import ConfigError
from app.resources._browsers import keep_here
from app.settings import Settings

ServiceMaker = Callable[..., Service]

OWN = "127.0.0.1:8080"
CHANGES = [
    ("POST", "/workflows"), ("POST", "/workflows/flow"), ("PUT", "/workflows/flow"),
    ("DELETE", "/workflows/flow"), ("POST", "/workflows/validate"), ("DELETE", "/executions/x"),
    ("POST", "/executions/x/pause"), ("POST", "/executions/x/tickets"), ("POST", "/ssh_keys"),
    ("DELETE", "/ssh_keys/x"), ("POST", "/docs"), ("POST", "/health"), ("PATCH", "/nowhere"),
]  # fmt: skip


def send(client: FlaskClient, method: str, path: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.open(path, method=method, headers={"Host": OWN, **named})


def test_loopback_is_answered_under_its_own_names(client: FlaskClient) -> None:
    for host in (
        "localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1", OWN, "127.8.9.1:80",
        "[::1]:8080", "localhost.", "[::1]",
    ):  # fmt: skip
        assert send(client, "GET", "/health", Host=host).status_code == 200, host


@pytest.mark.parametrize("path", ["/health", "/workflows", "/docs", "/openapi.json", "/nowhere"])
def test_a_name_that_leads_here_by_somebody_elses_dns_is_not(
    client: FlaskClient, path: str
) -> None:
    for host in (
        "evil.example", "evil.example:8080", "localhost.evil.example", "evil-localhost", "0.0.0.0",
        "10.0.0.1:8080", "[::2]", "[::ffff:7f00:1]", "127.0.0.1.evil.example",
        "127.0.0.1@evil.example", "localhost:x", "localhost:99999", "1270.0.0.1", "2130706433",
        "localhost/", "localhost#", "", "]", "localhost?", "localhost\\", "[::1",
    ):  # fmt: skip
        answer = send(client, "GET", path, Host=host, X_Forwarded_Host=OWN)
        assert answer.status_code == 421, host
        assert answer.content_type == "application/problem+json"
        assert answer.json["code"] == "unknown_host"


def test_what_a_proxy_may_have_added_does_not_count(client: FlaskClient) -> None:
    more = {"X_Forwarded_Host": "evil.example", "Forwarded": "host=evil.example"}
    assert send(client, "GET", "/health", **more).status_code == 200
    origin = "http://evil.example"
    assert send(client, "POST", "/ssh_keys", Origin=origin, **more).status_code == 403


def test_a_program_of_http_1_0_needs_no_host(client: FlaskClient) -> None:
    environ = {"HTTP_HOST": None}
    answer = client.get("/health", environ_overrides=environ)
    assert answer.status_code == 200


def test_hosts_are_those_that_are_listed(make_service: ServiceMaker) -> None:
    client = make_service(
        api__allowed_hosts=["Slipway.example.org", "*.grid.example", "2001:db8::1"]
    ).client
    for host in ("slipway.example.org", "SLIPWAY.example.org:80", "a.b.grid.example:1",
                 "[2001:DB8::1]:8080", "localhost:9"):  # fmt: skip
        assert send(client, "GET", "/health", Host=host).status_code == 200, host
    for host in ("example.org", "x.slipway.example.org", "grid.example", "agrid.example",
                 "[2001:db8::2]", "grid.example.evil"):  # fmt: skip
        assert send(client, "GET", "/health", Host=host).status_code == 421, host


def test_beyond_loopback_any_host_is_answered_until_some_are_listed(
    make_service: ServiceMaker,
) -> None:
    auth = {"type": "basic", "users": [{"username": "ada", "password": "x"}]}
    anywhere = make_service(api__host="0.0.0.0", api__auth=auth)
    assert send(anywhere.client, "GET", "/health", Host="any.example").status_code == 200
    listed = make_service(api__host="0.0.0.0", api__auth=auth, api__allowed_hosts=["a.example"])
    assert send(listed.client, "GET", "/health", Host="any.example").status_code == 421
    every = make_service(api__allowed_hosts=["*"])
    assert send(every.client, "GET", "/health", Host="any.example").status_code == 200


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("allowed_hosts", ["a b", "http://a", "a:80", "*a", "a.*", "", "a/", "-.-\n", "[::1]"]),
        ("allowed_origins", ["portal.example", "https://a/b", "https://", "null", "*", "a b"]),
    ],
)
def test_what_is_no_host_or_no_origin_cannot_be_listed(
    make_settings: Callable[..., Settings], name: str, values: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_settings(**{f"api__{name}": values})
    paths = [fault.path for fault in caught.value.fields]
    assert paths == [f"api.{name}[{index}]" for index in range(len(values))]


def test_a_page_from_elsewhere_changes_nothing(client: FlaskClient) -> None:
    for headers in (
        {"Origin": "http://evil.example"}, {"Origin": "https://evil.example:8080"},
        {"Origin": "null"}, {"Origin": ""}, {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:8081"}, {"Origin": "http://localhost:8080"},
        {"Origin": f"http://{OWN}.evil.example"}, {"Origin": f"http://evil.example@{OWN}"},
        {"Origin": f"http://{OWN},http://evil.example"}, {"Origin": OWN},
        {"Origin": f"http://{OWN}/"}, {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://evil.example", "Sec_Fetch_Site": "same-origin"},
    ):  # fmt: skip
        for method, path in CHANGES:
            answer = send(client, method, path, Content_Type="text/plain", **headers)
            assert answer.status_code == 403, (method, path, headers)
            assert answer.json["code"] == "foreign_origin"


def test_programs_and_pages_of_the_service_itself_may(client: FlaskClient) -> None:
    for headers in (
        {}, {"Origin": f"http://{OWN}"}, {"Origin": f"HTTP://{OWN}"},
        {"Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"},
        {"Host": "localhost", "Origin": "http://localhost"},
        {"Host": "localhost", "Origin": "https://localhost"},  # a proxy has added TLS
        {"Host": "localhost:443", "Origin": "https://localhost"},
        {"Host": "[::1]:80", "Origin": "http://[::1]"},
    ):  # fmt: skip
        assert send(client, "POST", "/ssh_keys", **headers).status_code == 201, headers


@pytest.mark.parametrize("origin", ["https://portal.example", "HTTPS://Portal.example:443"])
def test_pages_of_listed_origins_may(make_service: ServiceMaker, origin: str) -> None:
    client = make_service(api__allowed_origins=[origin, "https://bad:99999"]).client
    listed = send(client, "POST", "/ssh_keys", Origin="https://portal.example")
    assert listed.status_code == 201
    for other in ("http://portal.example", "https://portal.example:1", "https://a.portal.example",
                  "null", "https://bad:99999"):  # fmt: skip
        assert send(client, "POST", "/ssh_keys", Origin=other).status_code == 403, other


def test_a_password_that_the_browser_sends_by_itself_changes_nothing_of_that(
    guarded: Service, as_user: Callable[[str], dict[str, str]]
) -> None:
    headers = {"Host": OWN, "Origin": "http://evil.example", **as_user("ada")}
    assert guarded.client.post("/ssh_keys", headers=headers).status_code == 403
    headers["Origin"] = f"http://{OWN}"
    assert guarded.client.post("/ssh_keys", headers=headers).status_code == 201


def test_a_page_from_elsewhere_opens_no_web_socket(client: FlaskClient) -> None:
    handshake = {"Upgrade": "websocket", "Connection": "Upgrade"}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:8081"):
        answer = send(client, "GET", "/executions/x/ws", Origin=origin, **handshake)
        assert answer.status_code == 403, origin
    own = send(client, "GET", "/executions/x/ws", Origin=f"http://{OWN}", **handshake)
    assert own.status_code == 404


def test_a_page_from_elsewhere_may_ask_and_its_browser_keeps_the_answer_from_it(
    client: FlaskClient,
) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = send(client, method, "/health", Origin="http://evil.example")
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name[0].startswith("Access-Control")]


def test_no_page_can_put_the_documentation_into_a_frame_and_have_it_clicked(
    client: FlaskClient,
) -> None:
    policy = send(client, "GET", "/docs").headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy.split("; ")


def test_no_answer_leads_to_another_host(client: FlaskClient) -> None:
    for path in (
        "//evil.example/workflows/ok", "///evil.example", "//evil.example", "/\\evil.example/docs",
        "/workflows//evil.example", "//docs", "/docs/", "/workflows/", "/%2f/evil.example",
        "/docs/assets//evil.example", "http://evil.example/docs/",
    ):  # fmt: skip
        environ = {"PATH_INFO": path, "RAW_URI": path, "REQUEST_URI": path}
        answer = client.get("/", headers={"Host": OWN}, environ_overrides=environ)
        assert answer.status_code in {200, 308, 404}, path
        location = answer.headers.get("Location")
        assert location is None or re.match(r"/(?![/\\])", location), (path, location)


def test_a_redirect_stays_here() -> None:
    for location, kept in {
        "http://evil.example/a?b#c": "/a?b", "//evil.example//a": "/a", "/a//b": "/a//b",
        "\\\\evil.example/a": "/a", "///evil.example/a": "/evil.example/a", "a": "/a",
    }.items():  # fmt: skip
        response = Response(headers={"Location": location})
        keep_here(response)
        assert response.headers["Location"] == kept, location
