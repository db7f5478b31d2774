"""Signing in with a real browser at a real OpenID provider, on the page of the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.browser import Tab
from kit.servers.oidc import WEB, WEB_SECRET, OidcProvider
from kit.service import Service

SHOWN = "document.getElementById('session')?.textContent"
FORM = "document.querySelector('form[method=post]')"
ASK = """fetch({path}, {options}).then((answer) => answer.status)"""


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[OidcProvider]:
    made = OidcProvider(tmp_path, claims={"ada": {"roles": ["developer"]}})
    yield made
    made.stop()


@pytest.fixture
def service(provider: OidcProvider, new_service) -> Service:
    way = {"ISSUER": provider.issuer, "CLIENT_ID": WEB, "CLIENT_SECRET": WEB_SECRET}
    env = {f"SLIPWAY_API__AUTH__OIDC__{name}": value for name, value in way.items()}
    made = new_service(env={"SLIPWAY_API__AUTH__TYPE": "oidc", **env}).start()
    provider.redirect_uris = [made.url + "/auth/oidc/callback"]
    provider.logout_uris = [made.url + "/docs"]
    provider.start()
    return made


@pytest.fixture
def tab(chromium_program: str, tmp_path: Path) -> Iterator[Tab]:
    with Tab(chromium_program, tmp_path / "browser") as made:
        yield made


def fetch(tab: Tab, path: str, **options: object) -> object:
    return tab.run(ASK.format(path=json.dumps(path), options=json.dumps(options)))


def fill_in(tab: Tab, provider: OidcProvider) -> None:
    """Send the form of the provider as ada, and then the one that asks for consent."""
    there = f"location.origin === {json.dumps(provider.issuer)} && "
    tab.await_that(f"{there} !!document.querySelector('input[name=login]')", "a form to sign in")
    tab.run(f"document.querySelector('input[name=login]').value = 'ada'; {FORM}.submit()")
    tab.await_that(f"{there} !{FORM}.login && !!{FORM}", "a form to consent")
    tab.run(f"{FORM}.submit()")


def test_signing_in_and_out(service: Service, provider: OidcProvider, tab: Tab) -> None:
    tab.open(f"{service.url}/docs")
    tab.await_that(f"{SHOWN} === 'Sign in'", "a link to sign in")
    assert fetch(tab, "/executions") == 401

    tab.run("document.querySelector('#session a').click()")
    fill_in(tab, provider)
    tab.await_that(f"{SHOWN}?.startsWith('Signed in as ada.')", "the name")

    kept = tab.cookies()["slipway_session"]
    assert (kept["httpOnly"], kept["sameSite"]) == (True, "Lax")
    assert "slipway_sign_in" not in tab.cookies()
    assert tab.run("document.cookie") == ""
    assert fetch(tab, "/executions") == 200
    assert fetch(tab, "/ssh_keys", method="POST") == 403
    # As 'Try it out' of the page sends it.
    asked = "slipway.withToken({url: '/ssh_keys', headers: {}}).headers"
    told = tab.run(asked)
    assert fetch(tab, "/ssh_keys", method="POST", headers=told) == 201

    tab.run("document.querySelector('#session button').click()")
    there = f"location.origin === {json.dumps(provider.issuer)} && "
    tab.await_that(f"{there} !!document.querySelector('button[name=logout]')", "a form to sign out")
    tab.run("document.querySelector('button[name=logout]').click()")
    tab.await_that(f"{SHOWN} === 'Sign in'", "the page again")
    assert fetch(tab, "/executions") == 401
    assert "slipway_session" not in tab.cookies()
