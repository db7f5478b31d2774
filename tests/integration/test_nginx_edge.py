"""What a client may know and claim behind a real nginx, with TLS and a prefix, as documented."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest
import websocket
from kit.patience import PATIENCE_SECONDS, await_that
from kit.servers.oidc import WEB, WEB_SECRET, OidcProvider
from kit.servers.site import CLIENT, PREFIX, Site
from kit.visitor import Visitor

pytestmark = pytest.mark.integration

LOGIN, CALLBACK = "/auth/oidc/login", "/auth/oidc/callback"
STRANGER = "203.0.113.9"
OTHER = "127.0.0.3"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        made.start_below_prefix()
        yield made
    finally:
        made.end()


def launched(site: Site, prefix: str = PREFIX) -> str:
    await_that(lambda: site.send("GET", "/workflows/flow").ok, "the workflow is offered")
    made = site.send("POST", "/workflows/flow")
    assert made.status_code == 201
    assert made.headers["Location"].startswith(f"{prefix}/executions/")
    return str(made.headers["Location"])


def assert_followed(site: Site, path: str) -> None:
    """Check that the lines of an execution come as they are written."""
    headers = {"Accept": "text/event-stream"}
    with site.send("GET", f"{path}/logs", headers=headers, stream=True) as stream:
        lines = (line for line in stream.iter_lines() if b'"line ' in line)
        assert b"line 1" in next(lines)
        assert site.send("GET", path).json()["status"] == "RUNNING", "it came while it ran"
        assert len(list(lines)) == 4


def test_what_the_service_says_of_addresses_leads_back_through_nginx(site: Site) -> None:
    location = launched(site)
    assert site.send("GET", location.removeprefix(PREFIX)).ok
    assert site.send("GET", "/openapi.json").json()["servers"] == [{"url": PREFIX}]
    page = site.send("GET", "/docs").text
    assert '"./docs/start.js"' in page
    assert site.send("GET", "/docs/start.js").ok
    own = {"Origin": site.url.removesuffix(PREFIX)}
    assert site.send("POST", "/ssh_keys", headers=own).status_code == 201
    inside = {"Origin": site.service.url}  # no page can come from behind nginx
    assert site.send("POST", "/ssh_keys", headers=inside).status_code == 403


@pytest.mark.parametrize("path", ["/workflows/", "/executions/?page_size=1", "/docs/", "//version"])
def test_no_redirect_leads_past_nginx(site: Site, path: str) -> None:
    answer = site.send("GET", path, allow_redirects=False)
    if answer.is_redirect:
        target = urljoin(answer.url, answer.headers["Location"])
        assert target.startswith(f"{site.url}/")
        assert site.send("GET", target.removeprefix(site.url)).ok
    else:
        assert answer.status_code in {200, 404}


@pytest.fixture(scope="module")
def signing_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service behind nginx whose users sign in at an OpenID provider."""
    provider = OidcProvider(tmp_path_factory.mktemp("provider"))
    oidc = {"issuer": provider.issuer, "client_id": WEB, "client_secret": WEB_SECRET}
    made = Site(tmp_path_factory.mktemp("site"), type=["basic", "oidc"], oidc=oidc)
    try:
        made.start_below_prefix()
        provider.redirect_uris = [f"{made.url}{CALLBACK}"]
        provider.logout_uris = [f"{made.url}/docs"]
        provider.start()
        yield made
    finally:
        made.end()
        provider.stop()


@pytest.fixture
def visitor(signing_in: Site) -> Visitor:
    made = Visitor("jane")
    made.session.verify = str(signing_in.authority.cert)
    return made


@pytest.mark.parametrize("target", ["/docs?a=1", f"{PREFIX}/docs?a=1"])
def test_signing_in_elsewhere_leads_back_through_nginx(
    signing_in: Site, visitor: Visitor, target: str
) -> None:
    shown = visitor.sign_in(f"{signing_in.url}{LOGIN}?{urlencode({'next': target})}")
    assert shown.url == f"{signing_in.url}/docs?a=1", shown.text
    away, *_, back, _ = visitor.pages
    asked = parse_qs(urlsplit(away.headers["Location"]).query)
    assert asked["redirect_uri"] == [f"{signing_in.url}{CALLBACK}"]
    assert back.url.startswith(f"{signing_in.url}{CALLBACK}?")
    assert (back.status_code, back.headers["Location"]) == (302, f"{PREFIX}/docs?a=1")
    cookies = [away.headers["Set-Cookie"], *back.raw.headers.getlist("Set-Cookie")]
    for cookie in cookies:
        assert f"Path={PREFIX};" in f"{cookie};"
        assert "Secure" in cookie
    session = visitor.open(f"{signing_in.url}/auth/session").json()
    assert (session["username"], session["sign_in_url"]) == ("jane", f"{PREFIX}{LOGIN}")
    assert visitor.open(f"{signing_in.url}/executions").status_code == 200
    ended = visitor.session.delete(
        f"{signing_in.url}/auth/session", timeout=PATIENCE_SECONDS,
        headers={"X-CSRF-Token": session["csrf_token"], "Origin": signing_in.url[: -len(PREFIX)]},
    )  # fmt: skip
    leaving = parse_qs(urlsplit(ended.json()["sign_out_url"]).query)
    assert leaving["post_logout_redirect_uri"] == [f"{signing_in.url}/docs"]
    assert visitor.open(f"{signing_in.url}/executions").status_code == 401


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example/", f"{PREFIX}//evil.example", "/\\evil.example"],
)  # fmt: skip
def test_signing_in_elsewhere_leads_nowhere_else(
    signing_in: Site, visitor: Visitor, target: str
) -> None:
    answer = visitor.open(
        f"{signing_in.url}{LOGIN}?{urlencode({'next': target})}", allow_redirects=False
    )
    assert answer.status_code == 422
    assert "Location" not in answer.headers


def test_streams_and_web_sockets_come_line_by_line(site: Site) -> None:
    path = launched(site).removeprefix(PREFIX)
    assert_followed(site, path)
    ticket = site.send("POST", f"{path}/tickets").json()["ticket"]
    socket = websocket.create_connection(
        f"{site.url.replace('https', 'wss')}{path}/ws?ticket={ticket}",
        sslopt={"ca_certs": str(site.authority.cert)}, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    messages = []
    while message := socket.recv():
        messages.append(message)
    assert sum('"line ' in str(message) for message in messages) == 5


CLAIMS = [
    {"X-Forwarded-For": STRANGER},
    {"X-Forwarded-For": f"{STRANGER}, 127.0.0.1"},
    {"X-Forwarded-For": ", ".join([STRANGER] * 300)},
    {"X-Forwarded-For": "[::1%lo]:80, unknown, , ::ffff:203.0.113.9"},
    {"Forwarded": f"for={STRANGER};host=evil.example;proto=http"},
    {"X-Real-IP": STRANGER, "True-Client-IP": STRANGER, "CF-Connecting-IP": STRANGER},
    {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Prefix": "/evil",
    },
    {"X_Forwarded_For": STRANGER, "X_Forwarded_Prefix": "/evil"},
    {"X-Original-URL": "/executions", "X-Rewrite-URL": "/executions", "X-Script-Name": "/evil"},
]


@pytest.mark.parametrize("claims", CLAIMS)
def test_what_a_client_claims_counts_for_nothing(site: Site, claims: dict[str, str]) -> None:
    answer = site.send("GET", "/openapi.json", headers=claims)
    assert answer.status_code == 200
    assert answer.json()["servers"] == [{"url": PREFIX}]
    assert site.address_of(answer) == CLIENT


def test_wrong_logins_count_for_the_client_whatever_it_claims(site: Site) -> None:
    statuses = [
        site.send(
            "GET", "/workflows", auth=("ada", "wrong"), headers={"X-Forwarded-For": f"10.0.0.{n}"}
        ).status_code
        for n in range(12)
    ]
    assert 429 in statuses
    assert site.send("GET", "/workflows", source=OTHER).status_code == 200


def test_large_heads_are_passed_on_or_refused_as_such(site: Site) -> None:
    fields = {f"X-Filler-{number}": "x" * 6000 for number in range(2)}
    assert site.send("GET", "/version", headers=fields, source=OTHER).status_code == 200
    fields = {f"X-Filler-{number}": "x" * 6000 for number in range(3)}
    assert site.send("GET", "/version", headers=fields, source=OTHER).status_code == 431
    fields = {f"X-Filler-{number}": "x" for number in range(200)}
    answer = site.send("GET", "/version", headers=fields, source=OTHER)
    assert answer.status_code == 431
    assert answer.json()["code"]
    fields = {"X-Filler": "x" * 20_000}
    assert site.send("GET", "/version", headers=fields, source=OTHER).status_code == 400


def test_by_nginx_as_it_comes_streams_end_and_connections_are_not_kept(
    tmp_path: Path,
) -> None:
    """Without any of our directives it speaks HTTP/1.0 to the service, and ends each connection."""
    made = Site(tmp_path)

    def bare(_: str) -> str:
        passed = f"location / {{ proxy_pass {made.service.url}; }}"
        return f"server {{ listen {made.nginx.address}; {passed} }}"

    try:
        made.start(bare)
        made.url = made.nginx.url
        path = launched(made, prefix="")
        assert_followed(made, path)
        page = made.send("GET", f"{path}/logs?from=0&timeout=5s&levels=15").json()
        assert sum("line " in json.dumps(entry) for entry in page["logs"]) == 5
        body = "x" * 500_000
        assert made.send("POST", "/workflows", data=body).status_code in {400, 415, 422}
    finally:
        made.end()
