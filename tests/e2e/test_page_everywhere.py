"""All pages that links lead to: each is whole, usable by everybody, and takes texts for texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from kit.fixtures import SETTINGS
from kit.page_contents import EVIL, Contents, fill
from kit.pages import DESK, PHONE, Visitor, axe, sideways
from kit.service import Service
from kit.stress import scaled
from playwright.sync_api import Page

SIR = ("root", "root has a longer password")
EVE = "<img/src=x/onerror=window.taken=1>"
HALF = {"width": DESK["width"] // 2, "height": DESK["height"] // 2}
MOST_OF_A_KIND = scaled(3, 1)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16}")
_LINKS = """all => all.map((each) => {
  const link = new URL(each.getAttribute("href"), document.baseURI);
  return link.origin === location.origin ? link.href.replace(/#.*/, "") : "";
})"""
_NOT_PAGES = re.compile(r"/log/text|/bundle")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Contents]]:
    """A service where everything that people can name is named so that a page may be taken over."""
    users = (
        f'[{{username: {SIR[0]}, password: "{SIR[1]}", roles: [admin]}},'
        f" {{username: '{EVE}', password: \"eve has a long password\"}}]"
    )
    env = {"SLIPWAY_API__AUTH__TYPE": "[basic, api_key]", "SLIPWAY_API__AUTH__USERS": users}
    service = Service(tmp_path_factory.mktemp("filled"), env={**SETTINGS, **env})
    service.user = SIR
    service.start()
    contents = fill(service.client(), EVIL)
    service.client(EVE, "eve has a long password").send("GET", "/users")  # denied, so audited
    yield service, contents
    service.client().cancel(contents.running)
    service.end()


def addresses(page: Page) -> set[str]:
    """Return the addresses of pages that a page links to."""
    links = page.eval_on_selector_all("a[href]", _LINKS)
    return {link for link in links if "/ui/" in link and not _NOT_PAGES.search(link)}


def crawl(visitor: Visitor, start: str) -> Iterator[Page]:
    """Visit whatever links lead to; of addresses that differ by ids alone, a few."""
    kinds: dict[str, int] = {}
    waiting, seen = [visitor.url + start], set()
    while waiting:
        address = waiting.pop(0)
        kind = _ID.sub("*", re.sub(r"=[^&]*", "=*", address))
        if address in seen or kinds.get(kind, 0) >= MOST_OF_A_KIND:
            continue
        seen.add(address)
        kinds[kind] = kinds.get(kind, 0) + 1
        answer = visitor.page.goto(address)
        assert answer is not None
        assert answer.status == 200, (address, answer.status)
        waiting += sorted(addresses(visitor.page))
        yield visitor.page


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_each_page_is_whole(
    filled: tuple[Service, Contents], visits: Callable[..., Visitor], viewport: dict[str, int]
) -> None:
    visitor = visits(filled[0].url, viewport=viewport)
    foreign: list[str] = []
    visitor.context.on("request", lambda asked: foreign.append(asked.url))
    visitor.sign_in(*SIR)
    faults = {}
    for page in crawl(visitor, "/ui/"):
        found = axe(page, "light" if viewport is DESK else "dark")
        if page.get_by_role("heading", level=1).count() != 1:
            found.append("it has not one title")
        if page.evaluate("window.taken"):
            found.append("a text was taken for a script")
        if sideways(page):
            found.append(f"it is {sideways(page)} px wider than the window")
        if viewport is DESK:  # zoomed to 200 %
            page.set_viewport_size(HALF)
            if sideways(page):
                found.append(f"it is {sideways(page)} px wider than half the window")
            page.set_viewport_size(DESK)
        if page.get_by_text("49", exact=True).count():
            found.append("a text was taken for a template")
        if found:
            faults[page.url] = found
    assert faults == {}
    assert [url for url in foreign if not url.startswith((filled[0].url, "data:"))] == []


def test_each_page_is_there_without_scripts(
    filled: tuple[Service, Contents], visits: Callable[..., Visitor]
) -> None:
    visitor = visits(filled[0].url, java_script_enabled=False)
    visitor.sign_in(*SIR)
    for page in crawl(visitor, "/ui/"):
        assert page.get_by_role("main").is_visible()
        assert page.get_by_role("heading", level=1).count() == 1, page.url
