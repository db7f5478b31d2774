"""The timeline of an execution in a real browser: live, its axis, on a phone, without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit.client import Client
from kit.definitions import script, workflow
from kit.pages import DESK, PHONE, Visitor, axe, sideways
from kit.patience import PATIENCE_SECONDS, await_that
from playwright.sync_api import Locator, Page, expect

LONG_MS = 1000 * PATIENCE_SECONDS
"""For what steps do meanwhile."""
EVIL = "<img src=x onerror=alert(1)>\"'"

_LAID_OUT = """all => all.filter(
  (each) => each.checkVisibility({ contentVisibilityAuto: true })).length"""
_HEIGHTS = "all => new Set(all.map((each) => each.getBoundingClientRect().height)).size"


@pytest.fixture
def running(client: Client, tmp_path: Path) -> Iterator[str]:
    """An execution whose step ``mesh`` fails once, and goes on once there is the file ``go``."""
    flaky = f'[ "$SLIPWAY_ATTEMPT" = 2 ] || exit 2; until [ -e {tmp_path}/go ]; do sleep 0.1; done'
    yield client.run(
        workflow(
            "page-timeline",
            script("fetch", "sleep 1"),
            script("mesh", flaky, needs=["fetch"], retries=1, retry_delay="1s"),
            script("report", "true", needs=["mesh"], name=EVIL),
        )
    )
    (tmp_path / "go").touch()


def row(page: Page, name: str) -> Locator:
    """The row of a step."""
    return page.locator(f'.timeline tr[data-name="{name}"]')


def test_attempts_appear_while_one_looks(
    running: str, client: Client, service_url: str, visits: Callable[..., Visitor], tmp_path: Path
) -> None:
    page = visits(service_url).open(f"/ui/executions/{running}/timeline")
    bars = row(page, "mesh").locator("rect.timeline-bar")
    expect(bars).to_have_count(2, timeout=LONG_MS)
    expect(bars.first).to_have_class("timeline-bar bad")
    expect(bars.last).to_have_class("timeline-bar running")
    expect(row(page, "mesh").locator("li").last).to_contain_text("attempt 2: running")
    expect(row(page, "mesh").locator("rect.timeline-wait").first).to_be_attached()
    width = float((bars.last.get_attribute("width") or "").rstrip("%"))
    page.wait_for_function(
        "([bar, before]) => parseFloat(document.querySelector(bar).getAttribute('width')) > before",
        arg=['tr[data-name="mesh"] rect.running', width],
    )
    (tmp_path / "go").touch()
    expect(bars.last).to_have_class("timeline-bar good", timeout=LONG_MS)
    expect(row(page, "report").locator("rect.timeline-bar")).to_have_class("timeline-bar good")
    expect(row(page, "report").locator("th .word")).to_have_text("Succeeded")
    state = page.locator("h1 + slip-state .word")
    expect(state).to_have_text("Succeeded", timeout=LONG_MS)
    assert page.locator(".timeline img").count() == 0


def test_the_axis_is_a_matter_of_choice(
    running: str, client: Client, service_url: str, visits: Callable[..., Visitor], tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    client.wait(running)
    page = visits(service_url).open(f"/ui/executions/{running}/timeline")
    marks = page.locator(".timeline-marks text")
    expect(marks.first).to_have_text("0")
    assert marks.count() <= 12
    page.get_by_label("clock").check()
    expect(marks.first).to_contain_text(":")
    page.get_by_label("from launch").check()
    expect(marks.first).to_have_text("0")
    first = page.locator('tr[data-name="fetch"] rect.timeline-bar')
    before = float((first.get_attribute("width") or "").rstrip("%"))
    page.get_by_label("Leave out waiting").check()
    expect(page.locator(".timeline-wait").first).to_be_hidden()

    def is_wider() -> bool:
        return float((first.get_attribute("width") or "").rstrip("%")) > before

    await_that(is_wider, "the second of waiting for the next attempt is left out")
    page.set_viewport_size(PHONE)
    expect(marks).not_to_have_count(0)
    assert marks.count() <= 5


def test_the_table_says_it_without_scripts(
    running: str, client: Client, service_url: str, visits: Callable[..., Visitor], tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    client.wait(running)
    page = visits(service_url, java_script_enabled=False).open(f"/ui/executions/{running}/timeline")
    expect(row(page, "mesh").locator("li")).to_have_count(2)
    expect(row(page, "mesh").locator("li").first).to_contain_text("attempt 1: failed, exit 2")
    expect(row(page, "mesh").locator("rect.timeline-bar")).to_have_count(2)
    log = f"/ui/executions/{running}/log?task=mesh"
    expect(row(page, "mesh").get_by_role("link")).to_have_attribute("href", log)


def test_it_is_for_everybody_on_each_screen(
    running: str, client: Client, service_url: str, visits: Callable[..., Visitor], tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    client.wait(running)
    for viewport in (DESK, PHONE):
        page = visits(service_url, viewport=viewport).open(f"/ui/executions/{running}/timeline")
        expect(row(page, "mesh").locator("rect.timeline-bar")).to_have_count(2)
        assert axe(page) == []
        assert sideways(page) == 0


def test_of_many_rows_those_that_are_seen_are_laid_out(
    client: Client, service_url: str, visits: Callable[..., Visitor]
) -> None:
    id_ = client.run(workflow("page-rows", *(script(f"s{n}", "true") for n in range(200))))
    client.wait(id_)
    page = visits(service_url, viewport=PHONE).open(f"/ui/executions/{id_}/timeline")
    seen = page.locator(".timeline tbody .timeline-bars")
    assert seen.evaluate_all(_LAID_OUT) < 100
    assert page.locator(".timeline tbody tr").evaluate_all(_HEIGHTS) == 1
    page.get_by_label("Leave out waiting").check()
    bars = page.locator(".timeline tbody rect.timeline-bar")
    expect(bars).to_have_count(200)
    last = page.get_by_role("row", name=re.compile("s199 "))
    last.scroll_into_view_if_needed()
    expect(last.get_by_role("rowheader")).to_be_visible()
    assert last.locator(".timeline-bars").evaluate_all(_LAID_OUT) == 1
