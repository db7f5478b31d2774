"""What becomes of pages when their session ends, in a real browser, by all ways to sign in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from kit.accounts import ADA, ROOT
from kit.pages import PHONE, Visitor, axe, sideways
from kit.servers.oidc import WEB, WEB_SECRET, OidcProvider
from kit.service import Service
from playwright.sync_api import Page

TYPED = "half a name"


def end_sessions(service: Service, name: str) -> None:
    """Let the sessions of somebody end, as they do by themselves after a while."""
    url = f"{service.url}/sessions?user={name}"
    assert requests.delete(url, auth=ROOT, timeout=60).status_code == 200


def half_filled(visitor: Visitor) -> Page:
    """Open a page with a form, and type something into it."""
    page = visitor.sign_in("ada", ADA, then="/ui/account/api_keys/new")
    page.get_by_label("Name", exact=True).fill(TYPED)
    return page


def sign_in_in_place(page: Page, username: str, password: str) -> None:
    banner = page.locator("#signed-out")
    banner.get_by_label("User name").fill(username)
    banner.get_by_label("Password").fill(password)
    banner.get_by_role("button", name="Sign in", exact=True).click()


def test_nothing_is_lost_that_was_typed(accounts: Service, visits: Callable[..., Visitor]) -> None:
    visitor = visits(accounts.url)
    page = half_filled(visitor)
    end_sessions(accounts, "ada")
    page.get_by_role("button", name="Make key").click()
    banner = page.locator("#signed-out")
    banner.get_by_text("Signed out. Sign in to go on").wait_for()
    assert page.get_by_label("Name", exact=True).input_value() == TYPED
    assert banner.get_by_label("User name").input_value() == "ada"
    assert axe(page) == []
    sign_in_in_place(page, "ada", "wrong")
    banner.get_by_text("do not belong together").wait_for()
    visitor.forgive("status of 401")
    sign_in_in_place(page, "ada", ADA)
    banner.wait_for(state="hidden")
    page.get_by_role("button", name="Make key").click()
    page.get_by_text("Not copied yet").wait_for()
    page.goto("/ui/account")
    page.get_by_role("link", name=f"Revoke key {TYPED}").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke key").click()
    page.get_by_text("is revoked.").wait_for()


def test_other_tabs_go_on_too(accounts: Service, visits: Callable[..., Visitor]) -> None:
    visitor = visits(accounts.url)
    page = half_filled(visitor)
    other = visitor.context.new_page()
    other.goto("/ui/account")
    other.get_by_role("button", name="Sign out", exact=True).click()
    other.get_by_text("You have signed out.").wait_for()
    page.get_by_text("Signed out. Sign in to go on").wait_for()
    other.get_by_label("User name").fill("ada")
    other.get_by_label("Password").fill(ADA)
    other.get_by_role("button", name="Sign in", exact=True).click()
    page.locator("#signed-out").wait_for(state="hidden")
    assert page.get_by_label("Name", exact=True).input_value() == TYPED
    page.get_by_label("Name", exact=True).fill("")
    page.get_by_role("button", name="Make key").click()
    page.get_by_text("Must be 1 to 100").wait_for()
    visitor.forgive("status of 422")


def test_a_page_does_nothing_for_somebody_else(
    accounts: Service, visits: Callable[..., Visitor]
) -> None:
    visitor = visits(accounts.url)
    page = half_filled(visitor)
    other = visitor.context.new_page()
    other.goto("/ui/account")
    other.get_by_role("button", name="Sign out", exact=True).click()
    other.get_by_label("User name").fill(ROOT[0])
    other.get_by_label("Password").fill(ROOT[1])
    other.get_by_role("button", name="Sign in", exact=True).click()
    banner = page.locator("#signed-out")
    banner.get_by_text("root has signed in with this browser. This page is of ada").wait_for()
    page.get_by_role("button", name="Make key").click()
    assert page.get_by_label("Name", exact=True).input_value() == TYPED
    assert axe(page) == []
    banner.get_by_role("link", name="Open it as root").click()
    page.wait_for_function("() => document.querySelector('meta[name=user]').content === 'root'")
    assert page.get_by_label("Name", exact=True).input_value() == ""


def test_without_scripts_it_is_said_that_nothing_was_done(
    accounts: Service, visits: Callable[..., Visitor]
) -> None:
    page = half_filled(visits(accounts.url, java_script_enabled=False))
    end_sessions(accounts, "ada")
    page.get_by_role("button", name="Make key").click()
    page.get_by_text("That was not done: you are not signed in any more.").wait_for()
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(ADA)
    page.get_by_role("button", name="Sign in", exact=True).click()
    assert page.url == f"{accounts.url}/ui/account/api_keys/new"


def test_on_a_phone(accounts: Service, visits: Callable[..., Visitor]) -> None:
    page = half_filled(visits(accounts.url, viewport=PHONE))
    end_sessions(accounts, "ada")
    page.get_by_role("button", name="Make key").click()
    page.locator("#signed-out").get_by_label("User name").wait_for()
    assert (axe(page), sideways(page)) == ([], 0)


def test_a_key_in_place_of_a_password(accounts: Service, visits: Callable[..., Visitor]) -> None:
    made = requests.post(
        f"{accounts.url}/api_keys", json={"name": "to sign in"}, auth=("ada", ADA), timeout=60
    ).json()
    page = visits(accounts.url).open("/ui/sign-in?next=/ui/account")
    page.get_by_text("With an API key").click()
    page.get_by_label("API key", exact=True).fill(made["key"])
    page.get_by_role("button", name="Sign in with the key").click()
    page.get_by_role("heading", name="Your account").wait_for()
    assert page.get_by_text("an API key; this session ends").is_visible()
    gone = requests.delete(f"{accounts.url}/api_keys/{made['id']}", auth=("ada", ADA), timeout=60)
    assert gone.status_code == 204
    page.reload()
    assert "/ui/sign-in" in page.url


def test_where_nobody_signs_in(service: Service, visits: Callable[..., Visitor]) -> None:
    page = visits(service.url).open("/ui/sign-in?next=/ui/account")
    assert page.url == f"{service.url}/ui/account"
    assert page.get_by_text("Nobody signs in to this service").is_visible()
    assert page.get_by_role("button", name="Sign out").count() == 0
    assert axe(page) == []


class TestElsewhere:
    @pytest.fixture
    def provider(self, tmp_path: Path) -> Iterator[OidcProvider]:
        made = OidcProvider(tmp_path, claims={"ada": {"roles": ["developer"]}})
        yield made
        made.stop()

    @pytest.fixture
    def guarded(self, provider: OidcProvider, start: Callable[..., Service]) -> Service:
        way = {"ISSUER": provider.issuer, "CLIENT_ID": WEB, "CLIENT_SECRET": WEB_SECRET}
        env = {f"API__AUTH__OIDC__{name}": value for name, value in way.items()}
        made = start(API__AUTH__TYPE="[oidc, api_key]", **env)
        provider.redirect_uris = [made.url + "/auth/oidc/callback"]
        provider.logout_uris = [made.url + "/docs"]
        provider.start()
        return made

    def test_signing_in_and_out_at_the_provider(
        self, guarded: Service, provider: OidcProvider, visits: Callable[..., Visitor]
    ) -> None:
        visitor = visits(guarded.url)
        page = visitor.open("/ui/account?x=1")
        page.get_by_role("link", name="Sign in with your organisation").click()
        consent(page, provider)
        page.wait_for_url(f"{guarded.url}/ui/account?x=1")
        assert page.get_by_text("your organisation; this session ends").is_visible()
        assert page.get_by_text("You have no password here: you sign in elsewhere.").is_visible()
        page.goto("/ui/account/api_keys/new")
        page.get_by_label("Name", exact=True).fill(TYPED)

        # The session ends; in another tab one signs in at the provider, and this one goes on.
        cookies = visitor.context.cookies(guarded.url)
        visitor.context.clear_cookies(name="slipway_session")
        page.get_by_role("button", name="Make key").click()
        with visitor.context.expect_page() as opening:
            page.locator("#signed-out").get_by_role("link", name="Sign in with your").click()
        opening.value.wait_for_url(f"{guarded.url}/ui/account/api_keys/new")
        page.locator("#signed-out").wait_for(state="hidden")
        assert page.get_by_label("Name", exact=True).input_value() == TYPED
        assert cookies != visitor.context.cookies(guarded.url)

        page.get_by_role("button", name="Sign out", exact=True).click()
        page.wait_for_url(lambda url: url.startswith(provider.issuer))
        page.locator("button[name=logout]").click()
        page.get_by_text("You have signed out.").wait_for()
        assert page.url.startswith(f"{guarded.url}/ui/sign-in")
        visitor.forgive("ERR_NAME_NOT_RESOLVED|status of 404")  # of the pages of the provider


def consent(page: Page, provider: OidcProvider) -> None:
    """Send the form of the provider as ada, and then the one that asks for consent."""
    page.wait_for_url(lambda url: url.startswith(provider.issuer))
    page.locator("input[name=login]").fill("ada")
    page.locator("input[name=password]").fill("any")
    page.locator("form[method=post] button").first.click()
    page.locator("input[name=login]").wait_for(state="detached")
    page.locator("form[method=post] button").first.click()
