"""SSH keys on the page, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from kit.accounts import ADA, ROOT
from kit.pages import DESK, PHONE, Visitor, axe, sideways
from kit.service import Service
from playwright.sync_api import Page

NOT_YET = "Not copied yet; it is shown this once."


def make(page: Page, name: str) -> str:
    """Make a key pair by the form; return its line for authorized_keys."""
    page.goto("/ui/keys")
    page.get_by_role("link", name="Make a key pair…").click()
    page.get_by_label("Value 1").fill(name)
    page.get_by_role("button", name="Make key pair").click()
    page.get_by_text(NOT_YET).wait_for()
    return page.locator(".secret code").first.inner_text()


def revoke(page: Page, name: str) -> None:
    page.goto("/ui/keys")
    page.get_by_role("link", name=f"Revoke key {name}").click()
    page.get_by_role("button", name="Revoke key").click()
    page.get_by_text(re.compile(r"The key \w{8} is revoked\.")).wait_for()


def test_a_pair_is_made_kept_and_revoked(
    accounts: Service, visits: Callable[..., Visitor], tmp_path: Path
) -> None:
    page = visits(accounts.url).sign_in("ada", ADA)
    line = make(page, "laptop")
    assert re.fullmatch(r"restrict ssh-ed25519 \S+ slipway-\w{8}", line)
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download Line for authorized_keys").click()
    assert waiting.value.suggested_filename.endswith(".pub")
    waiting.value.save_as(tmp_path / "key.pub")
    assert (tmp_path / "key.pub").read_text() == line + "\n"
    page.get_by_text("Downloaded. It is not shown again.").wait_for()
    page.reload()
    assert page.url == f"{accounts.url}/ui/keys"
    row = page.get_by_role("row", name="laptop")
    assert row.get_by_text("never").count() == 1, "nobody has used it yet"
    page.get_by_text("Line for authorized_keys").click()
    assert page.get_by_text(line).is_visible()
    assert page.get_by_role("rowheader", name="laptop").count() == 1
    revoking = page.get_by_role("link", name="Revoke key laptop")
    revoking.evaluate("(link) => { link.click(); link.click(); }")
    dialog = page.get_by_role("dialog", name=re.compile("Revoke the SSH key"))
    assert (axe(page), sideways(page)) == ([], 0)
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    revoke(page, "laptop")
    assert page.get_by_text("You have no SSH keys.").is_visible()


def test_words_about_it(accounts: Service, visits: Callable[..., Visitor]) -> None:
    evil = "<img src=x onerror=alert(1)>"
    visitor = visits(accounts.url)
    page = visitor.sign_in("ada", ADA)
    page.goto("/ui/keys/new")
    for number in range(1, 6):  # there is always one more row
        page.get_by_label(f"Name {number}", exact=True).fill(
            f"word{number}" if number > 1 else "name"
        )
        page.get_by_label(f"Value {number}", exact=True).fill(evil)
    page.get_by_text("As JSON").click()
    page.get_by_label("More of it, as a JSON object").fill('{"a": ')
    page.get_by_role("button", name="Make key pair").click()
    page.get_by_text("Cannot be read").wait_for()
    visitor.forgive("status of 422")
    assert axe(page) == []
    assert page.get_by_label("Value 5", exact=True).input_value() == evil
    page.get_by_label("More of it, as a JSON object").fill('{"limits": {"hours": 12}}')
    page.get_by_role("button", name="Make key pair").click()
    page.get_by_text(NOT_YET).wait_for()
    page.goto("/ui/keys")
    assert page.locator("main img").count() == 0
    assert page.get_by_text('{"hours": 12}').is_visible()
    revoke(page, evil)


def test_a_double_click_makes_one(accounts: Service, visits: Callable[..., Visitor]) -> None:
    page = visits(accounts.url).sign_in("ada", ADA)
    page.goto("/ui/keys/new")
    page.get_by_label("Value 1").fill("twice")
    page.get_by_role("button", name="Make key pair").dblclick()
    page.get_by_text(NOT_YET).wait_for()
    page.goto("/ui/keys")
    assert page.get_by_role("rowheader", name="twice").count() == 1
    revoke(page, "twice")


def test_without_scripts(accounts: Service, visits: Callable[..., Visitor]) -> None:
    visitor = visits(accounts.url, java_script_enabled=False)
    page = visitor.sign_in("ada", ADA)
    line = make(page, "plain")
    page.reload()  # sends the form again
    page.get_by_text("This form was sent before").wait_for()
    visitor.forgive("status of 409")
    assert line not in page.content()
    revoke(page, "plain")


def test_two_users_at_once(accounts: Service, visits: Callable[..., Visitor]) -> None:
    ada = visits(accounts.url).sign_in("ada", ADA)
    root = visits(accounts.url).sign_in(*ROOT)
    make(ada, "of-ada")
    root.goto("/ui/keys")
    assert root.get_by_role("rowheader", name="of-ada").count() == 0
    revoke(ada, "of-ada")


def test_each_screen(accounts: Service, visits: Callable[..., Visitor]) -> None:
    for number, viewport in enumerate((DESK, PHONE)):
        page = visits(accounts.url, viewport=viewport).sign_in("ada", ADA)
        make(page, f"{number} " + "a long name of a key " * 4)
        assert (axe(page), sideways(page)) == ([], 0)
        for path in ("/ui/keys", "/ui/keys/new"):
            page.goto(path)
            assert (path, axe(page), sideways(page)) == (path, [], 0)
        revoke(page, f"{number} a long")
