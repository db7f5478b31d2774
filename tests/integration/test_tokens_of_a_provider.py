"""Tokens of a real provider: had by a terminal through the device flow, and opaque ones."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import requests
from kit.fixtures import SETTINGS
from kit.patience import PATIENCE_SECONDS, await_that
from kit.servers.oidc import AUDIENCE, CLI, WEB, WEB_SECRET, OidcProvider
from kit.service import Service
from kit.visitor import Visitor

from slipway.device_flow import AccessDenied, CodeExpired, DeviceCode, find_issuer, sign_in

Make = Callable[..., OidcProvider]
ASKED = 0.2
"""Seconds between two questions of a test; those of the provider are 5."""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    made = OidcProvider(
        tmp_path_factory.mktemp("provider"),
        claims={"ada": {"roles": ["developer"]}},
        lifetimes={"DeviceCode": 60},
    )
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, provider: OidcProvider) -> Iterator[Service]:
    auth = {
        "TYPE": "[introspection, basic, jwt]",
        "CLI_CLIENT_ID": CLI,
        "USERS": '[{username: root, password: "the first password", roles: [admin]}]',
        "JWT__ISSUER": provider.issuer,
        "JWT__AUDIENCE": AUDIENCE,
        "INTROSPECTION__ISSUER": provider.issuer,
        "INTROSPECTION__CLIENT_ID": WEB,
        "INTROSPECTION__CLIENT_SECRET": WEB_SECRET,
    }
    env = {f"SLIPWAY_API__AUTH__{name}": value for name, value in auth.items()}
    made = Service(tmp_path_factory.mktemp("service"), env={**SETTINGS, **env})
    yield made.start()
    made.end()


def visit(code: DeviceCode, *, name: str = "ada") -> None:
    assert code.complete_uri is not None
    Visitor(name).sign_in(code.complete_uri)


def token(service: Service, show: Callable[[DeviceCode], None] = visit) -> str:
    return sign_in(service.url, show, sleep=lambda _: time.sleep(ASKED)).access_token


def ask(service: Service, token: str, path: str = "/workflows") -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{service.url}{path}", headers=headers, timeout=PATIENCE_SECONDS)


@pytest.fixture
def opaque(provider: OidcProvider) -> Iterator[None]:
    """Let the provider give opaque tokens for a while."""
    provider.jwts = False
    provider.restart()
    yield
    provider.jwts = True
    provider.restart()


def test_a_terminal_finds_the_issuer_and_gets_a_token_that_is_taken(
    service: Service, provider: OidcProvider
) -> None:
    found = find_issuer(service.url)
    assert (found.issuer, found.client_id) == (provider.issuer, CLI)
    shown: list[DeviceCode] = []

    def show(code: DeviceCode) -> None:
        shown.append(code)
        # Typed only after the first questions, which are answered "authorization_pending".
        threading.Timer(3 * ASKED, visit, [code]).start()

    got = token(service, show)
    assert got.count(".") == 2
    assert ask(service, got).status_code == 200
    assert shown[0].interval == 5, "as the provider names none"


def test_who_says_no_is_not_signed_in(service: Service) -> None:
    def refuse(code: DeviceCode) -> None:
        visitor = Visitor("ada")
        assert code.complete_uri is not None
        page = visitor.open(code.complete_uri)
        for _ in range(2):
            fields = dict(re.findall(r'name="(xsrf|user_code)" value="([^"]*)"', page.text))
            if 'name="abort"' in page.text:
                fields["abort"] = "yes"
            page = visitor.session.post(page.url, data=fields, timeout=PATIENCE_SECONDS)

    with pytest.raises(AccessDenied):
        token(service, refuse)


def test_a_code_that_nobody_types_ends(service: Service) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(CodeExpired):
        sign_in(service.url, lambda _: None, sleep=sleep, clock=lambda: now[0])
    assert now[0] <= 60


@pytest.mark.usefixtures("opaque")
def test_an_opaque_token_is_good_as_long_as_its_issuer_says(
    service: Service, provider: OidcProvider
) -> None:
    got = token(service)
    assert "." not in got
    assert ask(service, got).status_code == 200
    assert requests.post(
        f"{service.url}/workflows", headers={"Authorization": f"Bearer {got}"}, data="x",
        timeout=PATIENCE_SECONDS,
    ).status_code not in (401, 403)  # fmt: skip
    own = requests.post(
        f"{service.url}/auth/token", headers={"Authorization": f"Bearer {got}"},
        timeout=PATIENCE_SECONDS,
    ).json()["access_token"]  # fmt: skip
    assert ask(service, own).status_code == 200
    refused = ask(service, "no-such-token")
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    requests.patch(
        f"{service.url}/users/ada", json={"disabled": True}, auth=("root", "the first password"),
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    await_that(lambda: ask(service, got).status_code in (401, 429), "it ends with its user")
    assert ask(service, own).status_code in (401, 429)
    requests.patch(
        f"{service.url}/users/ada", json={"disabled": False}, auth=("root", "the first password"),
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    revoked = token(service)
    form = {"token": revoked, "client_id": CLI}
    url = provider.metadata()["revocation_endpoint"]
    assert requests.post(url, data=form, timeout=PATIENCE_SECONDS).ok
    assert ask(service, revoked).status_code in (401, 429)


@pytest.mark.usefixtures("opaque")
def test_a_provider_that_hangs_keeps_nobody_else_waiting(
    service: Service, provider: OidcProvider
) -> None:
    known = token(service)
    assert ask(service, known).status_code == 200
    provider.signal(signal.SIGSTOP)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: statuses.append(ask(service, f"t-{n}").status_code))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    assert ask(service, known).status_code == 200
    basic = requests.get(
        f"{service.url}/workflows", auth=("root", "the first password"), timeout=PATIENCE_SECONDS
    )
    assert basic.status_code == 200
    assert len(statuses) < 6, "those are still waiting"
    for thread in threads:
        thread.join()
    assert set(statuses) == {503}
    provider.signal(signal.SIGCONT)
    await_that(lambda: ask(service, "another").status_code in (401, 429), "it is asked again")
