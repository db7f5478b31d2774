"""A page that is left open takes no more memory, however much it was told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from kit.definitions import script, workflow
from kit.following import Relay
from kit.hub import await_mark, follow
from kit.pages import Visitor
from kit.service import Service
from kit.stress import scaled
from playwright.sync_api import Browser, CDPSession

_LINES: Final = scaled(100_000, 4_000)
_AT_ONCE: Final = 20
_GROWTH: Final = 1.1
_COUNT: Final = """(id) => {
  told.count = 0;
  hub.follow(`log/${id}`, { levels: 15 }, (events) => {
    for (const event of events) told.count += event.entries?.length ?? 0;
  });
}"""


class Heap:
    """The memory of scripts of a page, or of the worker that its tabs share."""

    def __init__(self, session: CDPSession, target: str) -> None:
        self._session, self._number, self._id = session, 0, ""
        self._answers: dict[int, dict[str, Any]] = {}
        session.on("Target.receivedMessageFromTarget", self._take)
        attached = session.send("Target.attachToTarget", {"targetId": target, "flatten": False})
        self._id = attached["sessionId"]

    def _take(self, event: dict[str, Any]) -> None:
        message = json.loads(event["message"])
        if event["sessionId"] == self._id and "id" in message:
            self._answers[message["id"]] = message.get("result", {})

    def _ask(self, method: str) -> dict[str, Any]:
        self._number += 1
        message = json.dumps({"id": self._number, "method": method})
        given = {"sessionId": self._id, "message": message}
        self._session.send("Target.sendMessageToTarget", given)
        while self._number not in self._answers:
            self._session.send("Target.getTargets")  # so that what has come is heard
        return self._answers.pop(self._number)

    def used(self) -> float:
        """Return the bytes that are used once all that nobody needs is gone."""
        self._ask("HeapProfiler.enable")
        for _ in range(3):
            self._ask("HeapProfiler.collectGarbage")
        return float(self._ask("Runtime.getHeapUsage")["usedSize"])


@pytest.fixture
def heaps(browser: Browser) -> Iterator[Callable[[], dict[str, Heap]]]:
    """Return what there is by now: the page, and the shared worker."""
    session = browser.new_browser_cdp_session()

    def find() -> dict[str, Heap]:
        targets = session.send("Target.getTargets")["targetInfos"]
        kinds = ("page", "shared_worker")
        return {t["type"]: Heap(session, t["targetId"]) for t in targets if t["type"] in kinds}

    yield find
    session.detach()


def test_it_stays_flat_while_much_is_told(
    service: Service,
    visits: Callable[..., Visitor],
    heaps: Callable[[], dict[str, Heap]],
    tmp_path: Path,
) -> None:
    client = service.client()
    client.upload(workflow("short", script("say", "true")))
    relay = Relay(client, tmp_path)
    page = visits(service.url).open("/ui/account")
    follow(page, "executions", f"execution/{relay.id}")
    page.evaluate(_COUNT, relay.id)
    await_mark(page, "live")

    def tell(lines: int) -> None:
        for _ in range(lines // _AT_ONCE):
            relay.write(_AT_ONCE)
        page.wait_for_function("(n) => told.count >= n + 2", arg=relay.written)
        page.evaluate("told.events.length = 0; told.marks.length = 0")

    tell(_LINES // 4)
    found = heaps()
    before = {kind: heap.used() for kind, heap in found.items()}
    assert {*before} == {"page", "shared_worker"}
    tell(_LINES)
    after = {kind: heap.used() for kind, heap in found.items()}
    for kind, bytes_ in after.items():
        assert bytes_ <= before[kind] * _GROWTH, (kind, before, after)
    relay.end()
