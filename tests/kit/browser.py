"""A real browser without any network but this machine's, and a site of somebody else for it."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import requests
from kit.patience import PATIENCE_SECONDS, await_that
from websocket import create_connection

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


class Tab:
    """A page in a browser that goes on running, and does what somebody with a mouse would.

    It speaks the Chrome DevTools Protocol.

    Args:
        program: Path of Chromium.
        folder: Where it keeps its things.
    """

    def __init__(self, program: str, folder: Path) -> None:
        command = [program, *_FLAGS, f"--user-data-dir={folder}", "--remote-debugging-port=0"]
        self._browser = subprocess.Popen(
            [*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        told = folder / "DevToolsActivePort"
        port = await_that(lambda: told.exists() and told.read_text().split()[:1], "a browser")[0]
        pages = await_that(lambda: _pages(port), "a page")
        self._socket = create_connection(
            pages[0]["webSocketDebuggerUrl"], PATIENCE_SECONDS, suppress_origin=True
        )
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._browser.terminate()
        self._browser.wait(PATIENCE_SECONDS)

    def open(self, url: str) -> None:
        """Go to an address."""
        self._call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Run a script in the page as it is now, and return what it comes to, if that is JSON."""
        answer = self._call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        return answer.get("result", {}).get("value")

    def await_that(self, script: str, what: str) -> Any:
        """Wait until a script comes to something, in whatever page there is by then."""
        return await_that(lambda: self.run(script), what)

    def cookies(self) -> dict[str, dict[str, Any]]:
        """What the browser keeps, by the names, with all that it knows of it."""
        found = self._call("Storage.getCookies")["cookies"]
        return {cookie["name"]: cookie for cookie in found}

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                return answer.get("result", {})  # type: ignore[no-any-return]


def _pages(port: str) -> list[dict[str, Any]]:
    try:
        found = requests.get(f"http://127.0.0.1:{port}/json", timeout=PATIENCE_SECONDS).json()
    except requests.ConnectionError:
        return []
    return [each for each in found if each["type"] == "page"]


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
