"""What tests see of the log's page: which lines, and what it costs the browser."""

from __future__ import annotations

from kit.patience import await_that
from playwright.sync_api import Page

MOST_ROWS = 300
NEAR = 20
"""Lines between what a share of the way means and what is seen first."""
_SEEN = """() => {
  const box = document.querySelector("[data-part=scroller]").getBoundingClientRect();
  return [...document.querySelectorAll(".log-rows .log-row")].filter((row) => {
    const at = row.getBoundingClientRect();
    return at.bottom > box.top + 1 && at.top < box.bottom - 1;
  }).map((row) => Number(row.dataset.index ?? -1));
}"""
_SCROLL = """async (share) => {
  const scroller = document.querySelector("[data-part=scroller]");
  scroller.scrollTop = share * (scroller.scrollHeight - scroller.clientHeight);
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
_WATCH = """() => {
  window.noted = { shifts: 0, rows: 0, longest: 0 };
  const watch = (type, note) => new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) note(entry);
  }).observe({ type });
  watch("layout-shift", (entry) => { window.noted.shifts += entry.value; });
  watch("longtask", (entry) => {
    window.noted.longest = Math.max(window.noted.longest, entry.duration);
  });
  new MutationObserver(() => {
    const rows = document.querySelectorAll(".log-row").length;
    window.noted.rows = Math.max(window.noted.rows, rows);
  }).observe(document.querySelector(".log-rows"), { childList: true });
}"""


def seen(page: Page) -> list[int]:
    """Return the indexes of the lines that are seen, from above to below; -1 for a blank one."""
    return list(page.evaluate(_SEEN))


def await_seen(page: Page, index: int) -> list[int]:
    """Wait until a line is seen, and no blank one; return what is seen."""
    return await_that(
        lambda: (found := seen(page)) and index in found and -1 not in found and found,
        f"line {index} is seen",
    )


def scroll_to(page: Page, share: float, lines: int) -> list[int]:
    """Drag the thumb to a share of the way through so many lines; return what is seen there."""
    drag_to(page, share)
    first = share * lines

    def there() -> list[int]:
        found = seen(page)  # those of before, until the page has drawn anew
        near = found and -1 not in found and abs(found[0] - first) <= NEAR
        return found if near else []

    return await_that(there, f"lines near {first:.0f} are seen")


def drag_to(page: Page, share: float) -> None:
    """Drag the thumb to a share of the way."""
    page.evaluate(_SCROLL, share)


def watch(page: Page) -> None:
    """Have the browser note what scrolling costs it from now on."""
    page.evaluate(_WATCH)


def noted(page: Page) -> dict[str, float]:
    """Return layout shift, most rows, and the longest task in milliseconds."""
    return dict(page.evaluate("() => window.noted"))
