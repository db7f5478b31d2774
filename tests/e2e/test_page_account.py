"""One's account on the page, in a real browser: keys, sessions, the password."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import requests
from kit.accounts import ADA, EVE, ROOT
from kit.pages import DESK, FOREIGN_HOST, PHONE, Visitor, axe, sideways
from kit.service import Service
from playwright.sync_api import Page

NOT_YET = "Not copied yet; it is shown this once."


def make_key(page: Page, name: str) -> str:
    """Make an API key by the form; return it, as the page shows it."""
    page.goto("/ui/account")
    page.get_by_role("link", name="Make a key…").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Make key").click()
    page.get_by_text(NOT_YET).wait_for()
    return page.locator(".secret code").inner_text()


def revoke(page: Page, name: str) -> None:
    page.goto("/ui/account")
    page.get_by_role("link", name=f"Revoke key {name}").click()
    page.get_by_role("button", name="Revoke key").click()
    page.get_by_text(f"The key '{name}' is revoked.").wait_for()


def status(service: Service, key: str) -> int:
    headers = {"X-API-Key": key}
    return requests.get(f"{service.url}/executions", headers=headers, timeout=60).status_code


def test_a_key_is_made_kept_and_revoked(
    accounts: Service, visits: Callable[..., Visitor], tmp_path: Path
) -> None:
    visitor = visits(accounts.url)
    page = visitor.sign_in("ada", ADA)
    key = make_key(page, "nightly")
    assert status(accounts, key) == 200
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download API key").click()
    waiting.value.save_as(tmp_path / "key")
    assert (tmp_path / "key").read_text() == key + "\n"
    page.get_by_text("Downloaded. It is not shown again.").wait_for()
    page.get_by_role("link", name="I have kept it").click()
    page.get_by_role("rowheader", name="nightly").wait_for()
    assert key not in page.content()

    page.get_by_role("link", name="Revoke key nightly").click()
    dialog = page.get_by_role("dialog", name=re.compile("Revoke the API key"))
    assert axe(page) == []
    dialog.get_by_role("link", name="Keep it").click()
    assert page.get_by_role("dialog").count() == 0
    assert page.evaluate("document.activeElement.textContent") == "Revoke key nightly"
    assert status(accounts, key) == 200
    revoke(page, "nightly")
    assert status(accounts, key) == 401


def test_reloading_shows_it_to_nobody_and_makes_no_other(
    accounts: Service, visits: Callable[..., Visitor]
) -> None:
    page = visits(accounts.url).sign_in("ada", ADA)
    key = make_key(page, "reloaded")
    page.wait_for_url(f"{accounts.url}/ui/account")  # as its script calls it, once it is there
    page.reload()
    assert page.url == f"{accounts.url}/ui/account"
    assert key not in page.content()
    page.go_back()
    assert key not in page.content()
    page.goto("/ui/account")
    assert page.get_by_role("rowheader", name="reloaded").count() == 1
    revoke(page, "reloaded")


def test_a_double_click_makes_one(accounts: Service, visits: Callable[..., Visitor]) -> None:
    page = visits(accounts.url).sign_in("ada", ADA)
    page.goto("/ui/account/api_keys/new")
    page.get_by_label("Name", exact=True).fill("twice")
    page.get_by_role("button", name="Make key").dblclick()
    page.get_by_text(NOT_YET).wait_for()
    assert status(accounts, page.locator(".secret code").inner_text()) == 200
    page.goto("/ui/account")
    assert page.get_by_role("rowheader", name="twice").count() == 1
    revoke(page, "twice")


def test_without_scripts(accounts: Service, visits: Callable[..., Visitor]) -> None:
    visitor = visits(accounts.url, java_script_enabled=False)
    page = visitor.sign_in("ada", ADA)
    key = make_key(page, "plain")
    page.reload()  # sends the form again
    page.get_by_text("This form was sent before").wait_for()
    visitor.forgive("status of 409")
    assert key not in page.content()
    page.goto("/ui/account")
    assert page.get_by_role("rowheader", name="plain").count() == 1
    revoke(page, "plain")


def test_copying_over_plain_http_to_a_name(start: Callable[..., Service],
                                           visits: Callable[..., Visitor]) -> None:  # fmt: skip
    service = start(
        API__AUTH__TYPE="[basic, api_key]", API__ALLOWED_HOSTS=f"[{FOREIGN_HOST}]",
        API__AUTH__USERS=f'[{{username: ada, password: "{ADA}", roles: [user]}}]',
    )  # fmt: skip
    page = visits(service.url.replace("127.0.0.1", FOREIGN_HOST)).sign_in("ada", ADA)
    assert page.evaluate("navigator.clipboard === undefined")
    key = make_key(page, "copied")
    page.get_by_role("button", name="Copy API key").click()
    page.get_by_text(re.compile(r"^Copied\. It is not shown again\.$")).wait_for()
    page.goto("/ui/account/api_keys/new")
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.press("Control+V")
    assert page.get_by_label("Name", exact=True).input_value() == key


def test_signing_out_everywhere(accounts: Service, visits: Callable[..., Visitor]) -> None:
    here, there = visits(accounts.url), visits(accounts.url)
    page, other = here.sign_in("ada", ADA), there.sign_in("ada", ADA)
    page.reload()
    rows = page.get_by_role("table", name=re.compile("Browsers")).get_by_role("row")
    assert rows.filter(has_text="this one").count() == 1
    assert rows.filter(has_text="Chrome on Linux").count() >= 2
    page.get_by_role("button", name="Sign out everywhere else").click()
    page.get_by_text(re.compile(r"Signed out of \d+ other session")).wait_for()
    other.reload()
    assert "/ui/sign-in" in other.url

    other = there.sign_in("ada", ADA)
    page.get_by_role("link", name="Sign out everywhere…").click()
    dialog = page.get_by_role("dialog", name="Sign out everywhere?")
    dialog.get_by_role("button", name="Sign out everywhere").click()
    page.get_by_text("You have signed out everywhere.").wait_for()
    other.reload()
    assert "/ui/sign-in" in other.url


def test_signing_out_one_browser_from_another(
    accounts: Service, visits: Callable[..., Visitor]
) -> None:
    here, phone = visits(accounts.url), visits(accounts.url, user_agent="curl/8.0 of a test")
    page, other = here.sign_in("ada", ADA), phone.sign_in("ada", ADA)
    page.reload()
    page.get_by_role("button", name="Sign out curl, 127.0.0.1").click()
    page.get_by_text("Signed out there.").wait_for()
    other.reload()
    assert "/ui/sign-in" in other.url


def test_a_new_password(accounts: Service, visits: Callable[..., Visitor]) -> None:
    added = requests.post(
        f"{accounts.url}/users", json={"username": "eve", "password": EVE, "again": True},
        auth=ROOT, timeout=60,
    )  # fmt: skip
    assert added.status_code in {201, 409}, added.text
    visitor, other = visits(accounts.url), visits(accounts.url)
    page, old = visitor.sign_in("eve", EVE), other.sign_in("eve", EVE)
    page.get_by_text("Change password…").click()
    page.get_by_label("Password of now").fill("wrong")
    page.get_by_label("New password", exact=True).fill("eve has another password")
    page.get_by_label("New password, again").fill("eve has another password")
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("Is not your password of now").wait_for()
    visitor.forgive("status of 403")
    assert axe(page) == []
    page.get_by_label("Password of now").fill(EVE)
    page.get_by_label("New password", exact=True).fill("eve has another password")
    page.get_by_label("New password, again").fill("eve has another password")
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("Your password is another one now.").wait_for()
    old.reload()
    assert "/ui/sign-in" in old.url
    visits(accounts.url).sign_in("eve", "eve has another password")
    gone = requests.delete(f"{accounts.url}/users/eve", auth=ROOT, timeout=60)
    assert gone.status_code == 204


def test_two_users_at_once(accounts: Service, visits: Callable[..., Visitor]) -> None:
    ada = visits(accounts.url).sign_in("ada", ADA)
    root = visits(accounts.url).sign_in(*ROOT)
    make_key(ada, "of-ada")
    make_key(root, "of-root")
    for page, own, other in ((ada, "of-ada", "of-root"), (root, "of-root", "of-ada")):
        page.goto("/ui/account")
        assert page.get_by_role("rowheader", name=own).count() == 1
        assert page.get_by_role("rowheader", name=other).count() == 0
        revoke(page, own)


def test_no_text_of_anybody_runs(accounts: Service, visits: Callable[..., Visitor]) -> None:
    evil = "<img src=x onerror=alert(1)>"
    visitor = visits(accounts.url, user_agent=f"{evil} 1.0")
    page = visitor.sign_in("ada", ADA)
    make_key(page, evil)
    page.goto("/ui/account")
    assert page.locator("main img").count() == 0
    assert page.get_by_text(f"{evil} 1.0").count() >= 1
    page.get_by_role("link", name=f"Revoke key {evil}").click()
    assert page.locator("dialog img").count() == 0
    page.get_by_role("dialog").get_by_role("button", name="Revoke key").click()
    page.get_by_text("is revoked.").wait_for()
    assert page.locator("img").count() == 0


def test_each_screen(accounts: Service, visits: Callable[..., Visitor]) -> None:
    for number, viewport in enumerate((DESK, PHONE)):
        page = visits(accounts.url, viewport=viewport).sign_in("ada", ADA)
        make_key(page, f"{number} " + "a long name of a key " * 4)
        assert (axe(page), sideways(page)) == ([], 0)
        for path in ("/ui/account/api_keys/new", "/ui/account", "/ui/account/sessions/end"):
            page.goto(path)
            assert (path, axe(page), sideways(page)) == (path, [], 0)
        page.goto("/ui/account")
        page.get_by_role("link", name=f"Revoke key {number} a long").click()
        page.get_by_role("dialog").wait_for()
        assert (axe(page), sideways(page)) == ([], 0)
        page.get_by_role("dialog").get_by_role("button", name="Revoke key").click()
        page.get_by_text("is revoked").wait_for()
