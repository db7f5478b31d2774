"""The page behind a real nginx that takes a prefix off, as documented."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from kit.pages import Visitor
from kit.patience import PATIENCE_SECONDS, await_that
from kit.servers.site import PREFIX, USER, Site
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.integration

LONG_MS = 1000 * PATIENCE_SECONDS
_ROOT = """async () => {
  const page = document.querySelector('script[type="module"]').src;
  return (await import(new URL("./root.js", page))).ROOT;
}"""


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        made.start_below_prefix(tls=False)
        yield made
    finally:
        made.end()


def signed_in(visitor: Visitor) -> Page:
    """Go to the service's first address, and sign in where that leads."""
    page = visitor.open(f"{PREFIX}/")
    page.get_by_label("User name").fill(USER[0])
    page.get_by_label("Password").fill(USER[1])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
    return page


def test_all_of_it_stays_below_the_prefix(site: Site, visits: Callable[..., Visitor]) -> None:
    visitor = visits(site.url.removesuffix(PREFIX))
    asked: list[str] = []
    visitor.context.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page = signed_in(visitor)
    await_that(lambda: site.send("GET", "/workflows/flow").ok, "the workflow is offered")
    page.goto(f"{PREFIX}/ui/workflows/flow")
    assert page.evaluate(_ROOT) == PREFIX
    page.get_by_role("button", name="Launch").click()
    page.wait_for_url(f"**{PREFIX}/ui/executions/*")
    expect(page.locator("#state")).to_contain_text("Succeeded", timeout=LONG_MS)
    execution = urlsplit(page.url).path
    for view in ("graph", "timeline"):
        page.goto(f"{execution}/{view}")
        expect(page.locator("h1")).to_contain_text(view.capitalize())
    page.goto(f"{execution}/log")
    expect(page.locator(".log-rows")).to_contain_text("line 5")
    page.get_by_label("Search all lines").fill("line 3")
    expect(page.locator("[data-part=found]")).to_have_text("1 of 1")
    assert [path for path in asked if not path.startswith(f"{PREFIX}/")] == []
    visitor.forgive("status of 401")


def test_a_log_is_followed_through_it(site: Site, visits: Callable[..., Visitor]) -> None:
    visitor = visits(site.url.removesuffix(PREFIX))
    await_that(lambda: site.send("GET", "/workflows/flow").ok, "the workflow is offered")
    page = signed_in(visitor)
    made = site.send("POST", "/workflows/flow").headers["Location"].rpartition("/")[2]
    page.goto(f"{PREFIX}/ui/executions/{made}/log")
    expect(page.locator("[data-part=count]")).to_contain_text("live")
    expect(page.locator(".log-rows")).to_contain_text("line 5", timeout=LONG_MS)
    expect(page.locator("#log-status")).to_contain_text("Succeeded", timeout=LONG_MS)
