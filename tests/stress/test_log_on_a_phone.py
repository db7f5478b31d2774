"""A log of a million lines on a slow phone: how long the browser is busy at a time.

A task's processor time, times as many as the phone is slower, says it on a machine that does other
things meanwhile as well; what the clock said of a browser that is slowed down is told beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.fixtures import SETTINGS
from kit.journals import Journals
from kit.log_page import MOST_ROWS, await_seen, drag_to, noted, scroll_to, watch
from kit.pages import PHONE, Visitor
from kit.service import Service
from kit.stress import SCALE
from playwright.sync_api import Browser, Page

LINES = 1_000_000
SLOWER = 4
MOST_MILLISECONDS = 100
TEXT = "iteration {n}: residual 1.0e-{n}, 9 of 12 domains have converged, 3 go on for a while"


@pytest.mark.skipif(not SCALE, reason="it judges by the clock; see make stress")
def test_a_million_lines_on_a_slow_phone(
    tmp_path: Path, browser: Browser, visits: Callable[..., Visitor], did: Callable[[str], None]
) -> None:
    env = {**SETTINGS, "SLIPWAY_API__RATE_LIMIT__REQUESTS_PER_MINUTE": "1000"}
    service = Service(tmp_path, env=env)
    journals = Journals(service)
    journal = journals.new().fill(LINES, TEXT).end()
    service.start()
    try:
        visitor = visits(service.url, viewport=PHONE, has_touch=True)
        page = visitor.open(f"/ui/executions/{journal.id}/log")
        await_seen(page, 0)
        page.wait_for_timeout(1000)
        watch(page)
        browser.start_tracing(page=page, categories=["toplevel"])
        _from_end_to_end(page)
        longest = SLOWER * _longest(browser.stop_tracing())
        assert longest <= MOST_MILLISECONDS
        assert noted(page)["shifts"] == 0
        assert noted(page)["rows"] <= MOST_ROWS
        session = visitor.context.new_cdp_session(page)
        session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        page.evaluate("() => { window.noted.longest = 0; }")
        _from_end_to_end(page)
        by_the_clock, rows = noted(page)["longest"], noted(page)["rows"]
        did(
            f"longest task {longest:.0f} ms of a processor {SLOWER} times slower, "
            f"{by_the_clock:.0f} ms by the clock; {rows:.0f} rows at most"
        )
    finally:
        service.end()
        journals.close()


def _from_end_to_end(page: Page) -> None:
    """Drag the thumb through all, go to some places, and turn the wheel."""
    for step in range(101):
        drag_to(page, step / 100)
    for share in (1, 0.9, 0.75, 0.5, 0.25, 0.1, 0):
        scroll_to(page, share, LINES)
    page.locator("[data-part=scroller]").hover()
    for _ in range(100):
        page.mouse.wheel(0, 400)
        page.wait_for_timeout(20)


def _longest(trace: bytes) -> float:
    """Return the processor time of the longest task of a page's thread, in milliseconds."""
    events = json.loads(trace)["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    times = [
        event["tdur"] / 1000
        for event in events
        if (event["pid"], event["tid"]) in threads
        and "RunTask" in event["name"]
        and "tdur" in event
    ]
    assert len(times) > 100, "the browser tells nothing of its tasks"
    return float(max(times))
