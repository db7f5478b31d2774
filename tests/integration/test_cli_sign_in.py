"""``slipway login --oidc`` against a real provider: the device flow, renewing, and signing out."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pexpect
import pytest
import requests
from kit.accounts import ROOT
from kit.fixtures import SETTINGS
from kit.patience import PATIENCE_SECONDS
from kit.people import Person
from kit.servers.oidc import AUDIENCE, CLI, OidcProvider
from kit.service import Service
from kit.visitor import Visitor

from slipway import device_flow
from slipway.device_flow import DeviceCode

SOON_SECONDS = 20
"""Tokens are renewed half a minute before they end, so these are with each command."""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    made = OidcProvider(
        tmp_path_factory.mktemp("provider"),
        claims={"ada": {"roles": ["developer"]}},
        lifetimes={"DeviceCode": 60, "AccessToken": SOON_SECONDS},
    )
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, provider: OidcProvider) -> Iterator[Service]:
    auth = {
        "TYPE": "[basic, jwt]",
        "CLI_CLIENT_ID": CLI,
        "USERS": f'[{{username: root, password: "{ROOT[1]}", roles: [admin]}}]',
        "JWT__ISSUER": provider.issuer,
        "JWT__AUDIENCE": AUDIENCE,
    }
    env = {f"SLIPWAY_API__AUTH__{name}": value for name, value in auth.items()}
    made = Service(tmp_path_factory.mktemp("service"), env={**SETTINGS, **env})
    yield made.start()
    made.end()


@pytest.fixture
def visited(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[DeviceCode], None]], None]:
    """Let somebody do something with the code, while it is asked for without long pauses."""

    def prepare(visit: Callable[[DeviceCode], None]) -> None:
        sign_in = device_flow.sign_in

        def shown(url: str, show: Callable[[DeviceCode], None], **more: object) -> object:
            def both(code: DeviceCode) -> None:
                show(code)
                visit(code)

            return sign_in(url, both, **{"sleep": lambda _: None, **more})  # type: ignore[arg-type]

        monkeypatch.setattr(device_flow, "sign_in", shown)

    return prepare


def sign_in(code: DeviceCode) -> None:
    assert code.complete_uri is not None
    Visitor("ada").sign_in(code.complete_uri)


@pytest.fixture
def ada(person: Person, service: Service, visited) -> Person:
    """Somebody who has signed in with a browser."""
    visited(sign_in)
    done = person.types("login", service.url, "--oidc")
    assert done.code == 0, done.err
    return person


def folder(person: Person) -> Path:
    return person.home / ".config" / "slipway"


def tokens(person: Person) -> dict[str, str]:
    return json.loads((folder(person) / "default.tokens.json").read_text())


def test_a_terminal_shows_where_to_sign_in_and_waits(person, service, provider):
    terminal = person.sits_at("login", service.url, "--oidc", columns=40)
    terminal.expect(r"Open   (\S+)\r\n")
    where = terminal.match[1]
    terminal.expect(r"Enter  (\S+)  \(good for 1 min\)\r\n")
    code = terminal.match[1]
    assert where.startswith(provider.issuer)
    Visitor("ada").sign_in(f"{where}?user_code={code}")
    terminal.expect("Signed in as ada \\(developer\\); kept as profile default.")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder(person).iterdir()} == {0o600}
    assert stat.S_IMODE(folder(person).stat().st_mode) == 0o700
    assert tokens(person)["refresh_token"], "so that it can be renewed"
    kept = (folder(person) / "profiles.json").read_text()
    assert tokens(person)["access_token"] not in kept


def test_whoever_leaves_while_it_waits_keeps_nothing(person, service):
    terminal = person.sits_at("login", service.url, "--oidc")
    terminal.expect("Enter  ")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert not [*folder(person).glob("*.json")]


def test_tokens_are_renewed_without_a_word(ada):
    before = tokens(ada)
    done = ada.types("whoami", "--query", "[username, login_from]", "-o", "yaml")
    assert done == (0, "- ada\n- profile default\n", "")
    after = tokens(ada)
    assert after["access_token"] != before["access_token"]
    assert "browser" in ada.types("profiles").out


def test_ten_jobs_at_once_share_the_renewed_tokens(ada):
    def asked(_: int) -> str:
        return ada.starts("whoami", "-o", "name").out

    with ThreadPoolExecutor(10) as pool:
        assert [*pool.map(asked, range(10))] == ["ada\n"] * 10
    assert ada.types("whoami").code == 0


def test_signing_out_ends_the_tokens_at_the_provider(ada, service, provider):
    kept = tokens(ada)
    done = ada.types("logout")
    assert done == (0, f"Signed out of {service.url} (profile default).\n", "")
    assert not (folder(ada) / "default.tokens.json").exists()
    with pytest.raises(device_flow.SignInError):
        device_flow.renew(kept["token_endpoint"], CLI, kept["refresh_token"])
    assert ada.types("whoami").code == 4


def test_a_sign_in_that_was_ended_elsewhere_is_told(ada, service, provider):
    form = {"token": tokens(ada)["refresh_token"], "client_id": CLI}
    url = provider.metadata()["revocation_endpoint"]
    assert requests.post(url, data=form, timeout=PATIENCE_SECONDS).ok
    kept = folder(ada) / "default.tokens.json"
    kept.write_text(json.dumps(tokens(ada) | {"expires_at": 0}))
    done = ada.types("whoami")
    assert done.code == 4
    assert "slipway login" in done.err
    told = ada.types("doctor")
    assert told.code == 1
    assert f"Fix: slipway login {service.url} --oidc" in told.out
    assert ada.types("logout").code == 0


def test_tokens_that_are_gone_are_named(ada):
    (folder(ada) / "default.tokens.json").unlink()
    done = ada.types("whoami")
    assert (done.code, "slipway login --oidc" in done.err) == (2, True), done


def refuse(code: DeviceCode) -> None:
    visitor = Visitor("ada")
    assert code.complete_uri is not None
    page = visitor.open(code.complete_uri)
    for _ in range(2):
        fields = dict(re.findall(r'name="(xsrf|user_code)" value="([^"]*)"', page.text))
        if 'name="abort"' in page.text:
            fields["abort"] = "yes"
        page = visitor.session.post(page.url, data=fields, timeout=PATIENCE_SECONDS)


def test_who_says_no_is_not_signed_in(person, service, visited):
    visited(refuse)
    done = person.types("login", service.url, "--oidc")
    assert done.code == 4
    assert "Signing in was refused at the issuer." in done.err
    assert "Nothing was kept." in done.err
    assert not [*folder(person).glob("*.json")]


def test_a_service_without_a_provider_says_what_to_do(person, accounts):
    done = person.types("login", accounts.url, "--oidc")
    assert (done.code, "asks for a user and a password" in done.err) == (2, True)


def test_a_provider_that_is_down_is_told(person, service, provider):
    provider.stop()
    try:
        done = person.types("login", service.url, "--oidc")
    finally:
        provider.start()
    assert (done.code, "cannot be reached" in done.err) == (5, True), done


def test_a_service_without_passwords_says_how_to_sign_in(
    person, new_service, provider, monkeypatch
):
    env = {
        "SLIPWAY_API__AUTH__TYPE": "jwt", "SLIPWAY_API__AUTH__JWT__ISSUER": provider.issuer,
        "SLIPWAY_API__AUTH__JWT__AUDIENCE": AUDIENCE,
    }  # fmt: skip
    service = new_service(env=env).start()
    done = person.types("login", service.url)
    assert done.code == 2
    assert "takes no passwords" in done.err
    assert "--oidc, --api-key, --token" in done.err
