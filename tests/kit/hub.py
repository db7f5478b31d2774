"""What tests follow in a page, and what the page is told."""

from __future__ import annotations

from typing import Any, Final

from playwright.sync_api import Page

_FOLLOW: Final = """async (topics) => {
  const page = document.querySelector('script[type="module"]').src;
  const { hub } = await import(new URL("./hub.js", page));
  const told = { indices: [], events: [], marks: [hub.state.mark], state: {} };
  Object.assign(window, { hub, told });
  document.addEventListener("slip-live", ({ detail }) => told.marks.push(detail.mark));
  for (const [topic, options] of topics) {
    hub.follow(topic, options, (events) => {
      for (const event of events) {
        told.events.push([topic, event.type]);
        if (event.type === "log") told.indices.push(...event.entries.map((each) => each.index));
        if (event.type === "status") told.state[event.id] = event.state;
      }
    });
  }
}"""


def follow(page: Page, *topics: str, **options: Any) -> None:
    """Follow topics in a page, which shows the service already; the options are for logs."""
    page.evaluate(_FOLLOW, [[t, options if t.startswith("log/") else {}] for t in topics])


def told(page: Page, what: str) -> Any:
    """Return what a page was told: ``indices``, ``events``, ``marks`` or ``state``."""
    return page.evaluate(f"told.{what}")


def await_lines(page: Page, number: int) -> None:
    """Wait until so many entries have come, and make sure that each came once and in its place."""
    page.wait_for_function("(n) => told.indices.length >= n", arg=number)
    assert told(page, "indices") == [*range(number)]


def await_mark(page: Page, mark: str) -> None:
    """Wait until a page says of itself how live it is."""
    page.wait_for_function("(mark) => hub.state.mark === mark", arg=mark)
