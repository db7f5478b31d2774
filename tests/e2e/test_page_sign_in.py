"""Signing in and out on the page itself, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

from kit.accounts import ADA
from kit.pages import DESK, PHONE, Visitor, axe, sideways
from kit.service import Service


def test_signing_in_and_out(accounts: Service, visits: Callable[..., Visitor]) -> None:
    visitor = visits(accounts.url)
    assert visitor.open("/").url == f"{accounts.url}/ui/sign-in?next=%2Fui%2F"
    page = visitor.open("/ui/account")
    assert page.url == f"{accounts.url}/ui/sign-in?next=%2Fui%2Faccount"
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    assert "do not belong together" in page.get_by_role("alert").inner_text()
    visitor.forgive("status of 401")
    page.get_by_label("Password").fill(ADA)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_text("You have signed out.").wait_for()
    page.reload()
    assert page.get_by_text("You have signed out.").count() == 0
    assert visitor.open("/ui/account").url.startswith(f"{accounts.url}/ui/sign-in")


def test_the_form_without_scripts(accounts: Service, visits: Callable[..., Visitor]) -> None:
    visitor = visits(accounts.url, java_script_enabled=False)
    page = visitor.sign_in("ada", ADA)
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_text("You have signed out.").wait_for()


def test_the_form_on_each_screen(accounts: Service, visits: Callable[..., Visitor]) -> None:
    for viewport in (DESK, PHONE):
        page = visits(accounts.url, viewport=viewport).open("/ui/sign-in")
        assert axe(page) == []
        assert sideways(page) == 0
