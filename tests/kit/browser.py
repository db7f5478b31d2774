"""A real browser without any network but this machine's, and a site of somebody else for it."""

from __future__ import annotations

import queue
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from kit.patience import PATIENCE_SECONDS

_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

FOREIGN_NAME = "evil.example"
"""A name that the browser takes for this machine."""


class Chromium:
    """Chromium without a window.

    Args:
        program: Its path.
        folder: Where it keeps its things.
    """

    def __init__(self, program: str, folder: Path) -> None:
        names = f"--host-resolver-rules=MAP {FOREIGN_NAME} 127.0.0.1"
        self._command = [program, *_FLAGS, names, f"--user-data-dir={folder}"]

    def show(self, url: str) -> str:
        """Open a page, let it do what it does, and return what it is then, as HTML."""
        return self._open(url).stdout

    def told(self, url: str) -> list[str]:
        """Open a page likewise, and return what the browser says about it on its console."""
        lines = self._open(url, "--enable-logging=stderr", "--log-level=0").stderr.splitlines()
        return [line for line in lines if ":CONSOLE" in line]

    def _open(self, url: str, *flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *flags, "--virtual-time-budget=10000", "--dump-dom", url],
            capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True,
        )  # fmt: skip

    def visit(self, site: ForeignSite) -> str:
        """Open the page of a site, and return what it reports."""
        command = [*self._command, "--remote-debugging-port=0", site.url]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return site.reports.get(timeout=PATIENCE_SECONDS)
        finally:
            browser.terminate()
            browser.wait(PATIENCE_SECONDS)


class ForeignSite:
    """A web site of somebody else, with one page, which may report to it by ``POST /``.

    Attributes:
        page: The page, as HTML.
        reports: What it reported.
    """

    def __init__(self, page: str = "") -> None:
        self.page = page
        self.reports: queue.Queue[str] = queue.Queue()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(site.page.encode())

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                site.reports.put(self.rfile.read(length).decode())
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://{FOREIGN_NAME}:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
