"""A log of a million lines on a phone, from end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from kit.fixtures import SETTINGS
from kit.journals import Journal, Journals
from kit.log_page import MOST_ROWS, NEAR, await_seen, drag_to, noted, scroll_to, seen, watch
from kit.pages import DESK, PHONE, Visitor
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service
from playwright.sync_api import Page, expect

LINES = 1_000_000
TEXT = "iteration {n}: residual 1.0e-{n}, 9 of 12 domains have converged, 3 go on for a while"
"""Some three lines of a phone."""

_NOTE_RESTS = """
const later = window.setTimeout;
window.rests = [];
window.setTimeout = (work, ms, ...more) => {
  if (ms === 150) window.rests.push(work);
  return later(work, ms, ...more);
};
"""
"""Notes what is done once scrolling has come to rest."""
_SCROLL_AND_REST = """([first, then]) => new Promise((done) => {
  const scroller = document.querySelector("[data-part=scroller]");
  const go = (share) => {
    scroller.scrollTop = share * (scroller.scrollHeight - scroller.clientHeight);
  };
  go(first);
  requestAnimationFrame(() => requestAnimationFrame(() => {
    go(then);
    window.rests.at(-1)();
    done();
  }));
})"""
"""Scrolls on at the moment at which the page comes to rest, before it has heard of it."""

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Journal]]:
    """A service with a log of a million lines."""
    env = {**SETTINGS, "SLIPWAY_API__RATE_LIMIT__REQUESTS_PER_MINUTE": "1000"}
    service = Service(tmp_path_factory.mktemp("million"), env=env)
    journals = Journals(service)
    journal = journals.new().fill(LINES, TEXT).end()
    yield service.start(), journal
    service.end()
    journals.close()


@pytest.fixture
def page(million: tuple[Service, Journal], visits: Callable[..., Visitor]) -> Page:
    """The log on a phone."""
    service, journal = million
    visitor = visits(service.url, viewport=PHONE, has_touch=True)
    page = visitor.open(f"/ui/executions/{journal.id}/log")
    await_seen(page, 0)
    return page


def test_each_share_of_the_way_leads_to_its_lines(page: Page) -> None:
    watch(page)
    for share in (0.1, 0.25, 0.5, 0.75, 0.9, 1, 0.5, 0):
        found = scroll_to(page, share, LINES)
        assert found == list(range(found[0], found[-1] + 1))
    drag_to(page, 1)
    assert await_seen(page, LINES - 1)[-1] == LINES - 1
    drag_to(page, 0)
    assert await_seen(page, 0)[0] == 0
    assert noted(page)["shifts"] == 0
    assert noted(page)["rows"] <= MOST_ROWS


def test_a_scroll_is_kept_whose_event_comes_after_a_rest(
    million: tuple[Service, Journal], visits: Callable[..., Visitor]
) -> None:
    service, journal = million
    visitor = visits(service.url, viewport=PHONE, has_touch=True)
    visitor.page.add_init_script(_NOTE_RESTS)
    page = visitor.open(f"/ui/executions/{journal.id}/log")
    await_seen(page, 0)
    page.evaluate(_SCROLL_AND_REST, [0.3, 0.6])
    await_that(lambda: abs((seen(page) or [0])[0] - 0.6 * LINES) <= NEAR, "it goes where one did")


def test_from_end_to_end_rows_stay_few_and_in_their_places(page: Page) -> None:
    watch(page)
    for step in range(101):
        drag_to(page, step / 100)
        page.wait_for_timeout(16)
    found = await_seen(page, LINES - 1)
    assert found == list(range(found[0], LINES))
    assert noted(page)["shifts"] == 0
    assert noted(page)["rows"] <= MOST_ROWS


def test_small_steps_lead_over_rows_as_high_as_they_are(page: Page) -> None:
    scroll_to(page, 0.5, LINES)
    page.wait_for_timeout(300)  # the scroller's own place is put right
    watch(page)
    begin = seen(page)[0]
    page.locator("[data-part=scroller]").hover()
    before = begin
    for _ in range(30):
        page.mouse.wheel(0, 240)
        found = await_that(lambda: (all_ := seen(page)) and -1 not in all_ and all_, "lines")
        assert found == list(range(found[0], found[-1] + 1))
        assert before <= found[0] <= before + 12
        before = found[0]
    await_that(lambda: (seen(page) or [0])[0] > begin + 60, "all of them count")
    for _ in range(30):
        page.mouse.wheel(0, -240)
        page.wait_for_timeout(16)
    await_that(lambda: abs((seen(page) or [0])[0] - begin) <= 3, "the way back is as long")
    assert noted(page)["shifts"] == 0


def test_a_link_leads_to_its_line_and_a_text_is_found_far_away(
    million: tuple[Service, Journal], visits: Callable[..., Visitor]
) -> None:
    service, journal = million
    page = visits(service.url, viewport=DESK).open(f"/ui/executions/{journal.id}/log#L654321")
    await_seen(page, 654_321)
    page.get_by_label("Search all lines").fill("iteration 777777:")
    await_seen(page, 777_777)
    expect(page.locator("[data-part=found]")).to_have_text("1 of 1")
    page.locator("[data-part=scroller]").focus()
    page.keyboard.press("n")
    await_seen(page, 777_850)
    expect(page.locator("[data-part=found]")).to_have_text("7,779 of 10,000")
    page.keyboard.press("End")
    await_seen(page, LINES - 1)
    page.keyboard.press("Home")
    await_seen(page, 0)
