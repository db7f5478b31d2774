"""The real service behind real HAProxy and Apache, configured as the documentation says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket
from kit.client import Client
from kit.following import Relay
from kit.patience import PATIENCE_SECONDS, await_that
from kit.servers.proxies import APACHE, HAPROXY, Kind, Proxy
from kit.service import Service

pytestmark = pytest.mark.integration

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
SSE, NDJSON, TEXT = "text/event-stream", "application/x-ndjson", "text/plain"
USER = ("alice", "alice's password")
SETTINGS: dict[str, Any] = {
    "api": {
        "trusted_proxies": ["127.0.0.1"],
        "auth": {
            "type": "basic",
            "users": [{"username": USER[0], "password": USER[1], "roles": ["admin"]}],
        },
    },
    "observability": {"access_log": "all", "log_format": "json"},
}
STRANGER = "203.0.113.9"


def documented(language: str, **values: str) -> str:
    """The configuration of ``docs/operations.md``, with other texts in place of some of its own."""
    text = OPERATIONS.read_text(encoding="utf-8")
    [block] = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    config = str(block)
    for old, new in values.items():
        assert old in config, old
        config = config.replace(old, new)
    return config


def site_of(kind: Kind, service: Service, proxy: Proxy) -> str:
    inner = service.url.removeprefix("http://")
    if kind is HAPROXY:
        return documented("haproxy", **{":80\n": f"{proxy.address}\n", "127.0.0.1:8080": inner})
    return documented("apache", **{"*:80": proxy.address, "127.0.0.1:8080": inner})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    config = folder / "slipway.yaml"
    config.write_text(json.dumps({"data_dir": str(folder / "data"), **SETTINGS}))
    config.chmod(0o600)
    service = Service(folder, arguments=["--config", config])
    try:
        service.start()
        yield service
    finally:
        service.end()


@pytest.fixture(scope="module", params=[HAPROXY, APACHE], ids=lambda kind: kind.name)
def proxy(request: pytest.FixtureRequest, service: Service) -> Iterator[Proxy]:
    proxy = Proxy(request.param)
    try:
        proxy.start(site_of(request.param, service, proxy))
        # HAProxy asks with OPTIONS / whether the service is there, and says 503 until it is.
        await_that(lambda: Client(proxy.url).send("GET", "/health").status_code == 200, "it is up")
        yield proxy
    finally:
        proxy.remove()


@pytest.fixture
def client(proxy: Proxy) -> Client:
    """A user who comes through the proxy."""
    return Client(proxy.url, USER)


@pytest.fixture
def relay(service: Service, tmp_path: Path) -> Iterator[Relay]:
    relay = Relay(service.client(*USER), tmp_path)
    yield relay
    relay.end()


def logged(service: Service, request_id: str) -> dict[str, Any]:
    lines = [line for line in service.log.splitlines() if request_id in line]
    return dict(json.loads(lines[0]))


@pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT])
def test_each_line_comes_before_the_next_is_written(
    client: Client, relay: Relay, accept: str
) -> None:
    path = f"{relay.path}/logs?levels=15&follow=true"
    headers = {"Accept": accept, "Accept-Encoding": "identity"}
    with client.send("GET", path, headers=headers, stream=True) as answer:
        assert answer.status_code == 200
        chunks, seen = answer.raw.stream(decode_content=True), ""
        for number in range(5):
            relay.write(1, "of five")
            while f"{number} of five" not in seen:
                seen += next(chunks).decode()


def test_a_web_socket_passes(client: Client, proxy: Proxy, relay: Relay) -> None:
    ticket = client.send("POST", f"{relay.path}/tickets").json()["ticket"]
    url = f"{proxy.url.replace('http', 'ws', 1)}{relay.path}/ws?levels=15&ticket={ticket}"
    ws = websocket.create_connection(url, timeout=PATIENCE_SECONDS)
    relay.write(1, "at last")
    while json.loads(ws.recv()).get("content") != "0 at last":
        pass
    ws.close()


def test_a_client_that_hangs_up_is_noticed(client: Client, relay: Relay, service: Service) -> None:
    path, headers = f"{relay.path}/logs?follow=true", {"Accept": SSE}
    metrics = service.client()

    def is_open() -> bool:
        text = metrics.send("GET", "/metrics").text
        return 'slipway_streams_open{transport="text/event-stream"} 1.0' in text

    with client.send("GET", path, headers=headers, stream=True):
        await_that(is_open, "it is open")
    await_that(lambda: not is_open(), "it is noticed")


def test_the_client_is_who_the_proxy_saw_and_nobody_that_it_made_up(
    client: Client, service: Service
) -> None:
    made_up = {
        "X-Forwarded-For": STRANGER, "Forwarded": f"for={STRANGER};host=evil.example",
        "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
    }  # fmt: skip
    answer = client.send("GET", "/workflows", headers=made_up)
    assert answer.status_code == 200
    assert logged(service, answer.headers["X-Request-ID"])["address"] == "127.0.0.1"
    assert (
        client.send("GET", "/", headers=made_up, allow_redirects=False)
        .headers["Location"]
        .endswith("/ui/")
    )
    assert "/evil" not in client.send("GET", "/openapi.json", headers=made_up).text


def test_an_address_keeps_what_is_encoded_in_it(client: Client) -> None:
    answer = client.send("GET", "/workflows/a%2Fb%20c")
    assert answer.status_code == 404
    assert "a/b c" in answer.text or "requested URL" in answer.text


@pytest.mark.parametrize("kind", [HAPROXY, APACHE], ids=lambda kind: kind.name)
def test_it_can_stand_below_a_prefix(service: Service, kind: Kind) -> None:
    proxy = Proxy(kind)
    site = site_of(kind, service, proxy)
    if kind is HAPROXY:
        site = site.replace("del-header X-Forwarded-Prefix", "set-header X-Forwarded-Prefix /hpc")
    else:
        site = site.replace(
            "    RequestHeader unset X-Forwarded-Prefix",
            "    RequestHeader set X-Forwarded-Prefix /hpc",
        )
        site = site.replace('ProxyPass "/"', 'ProxyPass "/hpc/"')
    try:
        proxy.start(site)
        client = Client(f"{proxy.url}/hpc", USER)
        await_that(lambda: client.send("GET", "/health").status_code == 200, "it is up")
        assert (
            client.send("GET", "/", allow_redirects=False).headers["Location"].endswith("/hpc/ui/")
        )
        assert client.send("GET", "/docs/start.js").status_code == 200
        assert client.get("/openapi.json")["servers"] == [{"url": "/hpc"}]
        made = client.send("POST", "/ssh_keys", json={})
        assert made.status_code == 201
    finally:
        proxy.remove()


def test_haproxy_goes_elsewhere_while_the_service_is_not_there(
    service: Service, tmp_path: Path
) -> None:
    """The check that HAProxy makes by default finds the service, and finds that it is gone."""
    proxy = Proxy(HAPROXY)
    gone = site_of(HAPROXY, service, proxy).replace(
        service.url.removeprefix("http://"), "127.0.0.1:1"
    )
    try:
        proxy.start(gone)
        client = Client(proxy.url)
        await_that(lambda: client.send("GET", "/health").status_code == 503, "it is noticed")
    finally:
        proxy.remove()
