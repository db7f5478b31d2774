"""The page in a real browser, driven by Playwright, with all that the browser complains about."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, Final

import pytest
from kit.patience import PATIENCE_SECONDS
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

FOREIGN_HOST: Final = "slip.test"
"""A name of this machine that is not loopback for the browser: what it keeps for secure contexts
(clipboard, Web Locks) is not there over plain HTTP."""

PROGRAMS: Final = ("chromium-headless-shell", "chromium")
"""What is run, the first that there is: the same engine without a browser's windows around it,
which are most of what a new visitor takes of the processor."""
_FLAGS: Final = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    f"--host-resolver-rules=MAP {FOREIGN_HOST} 127.0.0.1",
    "--font-render-hinting=none", "--disable-lcd-text", "--force-color-profile=srgb",
    "--hide-scrollbars",
]  # fmt: skip
_AXE: Final = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
_RUN_AXE: Final = """async (options) => {
  const found = await axe.run(document, {resultTypes: ["violations"], ...options});
  return found.violations.map((each) =>
    `${each.id}: ${each.help}: ${each.nodes.map((node) => node.html).join(" | ")}`);
}"""
_OF_COLOURS: Final = {
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
}
_TIMEOUT_SECONDS: Final = PATIENCE_SECONDS / 4
"""For one step in a browser."""
PHONE: Final = {"width": 360, "height": 640}
DESK: Final = {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser, for one module: Playwright keeps a loop, which would disturb other tests."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        reason = "no chromium on this machine; see .ci/install-servers"
        if os.environ.get("SLIPWAY_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with launched_browser(program) as made:
        yield made


@contextmanager
def launched_browser(program: str) -> Iterator[Browser]:
    """Run a browser without a window.

    Args:
        program: Path of Chromium.
    """
    expect.set_options(timeout=_TIMEOUT_SECONDS * 1000)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        yield made
        made.close()


class Visitor:
    """Somebody with a browser window of their own: cookies, storage, and what it complained about.

    Args:
        browser: The browser.
        url: Of the service.
        options: Of the context, as Playwright takes them, such as ``java_script_enabled``.

    Attributes:
        page: The first tab.
        complaints: Errors on the console and of scripts, violations of the policy among them.
    """

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        # What moves for nobody is painted all the time, by the processor.
        given = {"viewport": DESK, "locale": "en-GB", "timezone_id": "Europe/Paris",
                 "reduced_motion": "reduce", **options}  # fmt: skip
        self.url = url
        self.context = browser.new_context(base_url=url, **given)
        self.context.set_default_timeout(_TIMEOUT_SECONDS * 1000)
        self.complaints: list[str] = []
        self._forgiven: list[str] = []
        self.context.on("console", self._note)
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page = self.context.new_page()

    def _note(self, message: ConsoleMessage) -> None:
        told = message.text
        if message.type == "error" and not any(re.search(each, told) for each in self._forgiven):
            self.complaints.append(told)

    def open(self, path: str) -> Page:
        """Go to an address of the service in the first tab."""
        self.page.goto(path)
        return self.page

    def sign_in(self, username: str, password: str, then: str = "/ui/account") -> Page:
        """Sign in by the form."""
        self.page.goto(f"/ui/sign-in?next={then}")
        self.page.get_by_label("User name").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "/sign-in" not in url)
        return self.page

    def forgive(self, pattern: str) -> None:
        """Pass over complaints that a test provokes, such as ``status of 401``: browsers tell them
        late."""
        self._forgiven.append(pattern)
        self.complaints = [each for each in self.complaints if not re.search(pattern, each)]

    def close(self) -> None:
        """Close all tabs."""
        self.context.close()


@pytest.fixture
def visits(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Make visitors: ``visits(url, **options of the context)``. What browsers complain about fails
    the test."""
    made: list[Visitor] = []

    def visit(url: str, **options: Any) -> Visitor:
        made.append(Visitor(browser, url, **options))
        return made[-1]

    yield visit
    complaints = [each for visitor in made for each in visitor.complaints]
    for visitor in made:
        visitor.close()
    assert not complaints, complaints


def axe(page: Page, *schemes: str) -> list[str]:
    """Return what axe-core finds wrong with a page, in light and in dark unless told otherwise.

    After the first scheme it looks at colours alone: all else is the same in each, as
    ``test_style_sheets.py`` makes sure of.
    """
    found: list[str] = []
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE)  # not as a script of the page, which its policy would refuse
    for number, scheme in enumerate(schemes or ("light", "dark")):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        options = _OF_COLOURS if number else {}
        found += [f"{scheme}: {each}" for each in page.evaluate(_RUN_AXE, options)]
    return found


def sideways(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(script))
