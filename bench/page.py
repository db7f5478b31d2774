"""The page in a real browser: what the first page weighs, and when it is ready."""

from __future__ import annotations

import http.server
import shutil
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from bench._report import Figure
from bench._service import Service

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
_MOST_KB = 100
_MOST_READY_MS = 1000
_READY = "performance.getEntriesByType('navigation')[0].loadEventEnd"
_BARE = "<!doctype html><html lang=en><meta charset=utf-8><title>Bare</title><p>Nothing."
_DEFINITION = """\
id: nothing-{0}
steps:
  - {{id: only, type: command, config: {{command: "true"}}}}
"""
_WORKFLOWS = 40


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure.

    Args:
        quick: Open the pages fewer times.
    """
    program = shutil.which("chromium")
    if program is None:
        yield Figure("the first page", None, note="no chromium on this machine")
        return
    times = 3 if quick else 15
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name, sync_playwright() as driver:
        folder = Path(name)
        (folder / "workflows").mkdir()
        for number in range(_WORKFLOWS):
            text = _DEFINITION.format(number)
            (folder / "workflows" / f"{number}.yaml").write_text(text, encoding="utf-8")
        browser = driver.chromium.launch(executable_path=program, args=_FLAGS)
        with _bare(folder) as bare, Service(folder, processes=None) as service:
            yield from _first_page(browser, f"http://127.0.0.1:{service.port}/", bare, times)
        browser.close()


def _first_page(browser: Browser, url: str, bare: str, times: int) -> Iterator[Figure]:
    _open(browser, url)  # the service has read its templates then
    opened = [_open(browser, url) for _ in range(times)]
    peers = [_open(browser, bare)[1] for _ in range(times)]
    ready, peer = statistics.median(ms for _, ms in opened), statistics.median(peers)
    yield Figure(
        f"first page, {_WORKFLOWS} workflows: bytes on the wire with all that it loads",
        max(size for size, _ in opened) / 1e3, "KB", most=_MOST_KB,
    )  # fmt: skip
    yield Figure(
        "first page: ready, with nothing kept from before", ready, "ms", most=_MOST_READY_MS,
        ratio=ready / peer, beside="a page of one line", note=f"median of {times}",
    )  # fmt: skip


def _open(browser: Browser, url: str) -> tuple[int, float]:
    """Open a page in a window that has kept nothing; return bytes and milliseconds."""
    context = browser.new_context()
    page = context.new_page()
    size = _weigh(page)
    page.goto(url, wait_until="load")
    page.wait_for_timeout(300)  # what its scripts ask for afterwards
    ready = float(page.evaluate(_READY))
    context.close()
    return size[0], ready


def _weigh(page: Page) -> list[int]:
    total = [0]

    def add(event: dict[str, Any]) -> None:
        total[0] += int(event["encodedDataLength"])

    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", add)
    return total


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _bare(folder: Path) -> Iterator[str]:
    (folder / "bare").mkdir()
    (folder / "bare" / "index.html").write_text(_BARE, encoding="utf-8")
    handler = partial(_Quiet, directory=str(folder / "bare"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
