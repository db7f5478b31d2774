"""A log of a million lines on a slow phone: how long the browser is busy at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kit.fixtures import SETTINGS
from kit.journals import Journals
from kit.log_page import MOST_ROWS, await_seen, drag_to, noted, scroll_to, watch
from kit.pages import PHONE, Visitor
from kit.service import Service
from kit.stress import SCALE

LINES = 1_000_000
SLOWER = 4
MOST_MILLISECONDS = 100
TEXT = "iteration {n}: residual 1.0e-{n}, 9 of 12 domains have converged, 3 go on for a while"


@pytest.mark.skipif(not SCALE, reason="it judges by the clock; see make stress")
def test_a_million_lines_on_a_slow_phone(
    tmp_path: Path, visits: Callable[..., Visitor], did: Callable[[str], None]
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
        session = visitor.context.new_cdp_session(page)
        session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        watch(page)
        for step in range(201):
            drag_to(page, step / 200)
        for share in (1, 0.9, 0.75, 0.5, 0.25, 0.1, 0):
            scroll_to(page, share)
        page.locator("[data-part=scroller]").hover()
        for _ in range(100):
            page.mouse.wheel(0, 400)
            page.wait_for_timeout(20)
        found = noted(page)
        assert found["longest"] <= MOST_MILLISECONDS
        assert found["shifts"] == 0
        assert found["rows"] <= MOST_ROWS
        did(
            f"longest task {found['longest']:.0f} ms at {SLOWER} x slower, {found['rows']:.0f} rows"
        )
    finally:
        service.end()
        journals.close()
