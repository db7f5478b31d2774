"""What watching and steering commands make of servers that are not what they should be."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kit.people import Person

from slipway.attempts import Patience

ID = "7f3a91c2-0000-4000-8000-000000000000"
COMMANDS = [["ps"], ["status", ID], ["logs", ID], ["logs", "-f", ID], ["wait", ID], ["cancel", ID],
            ["tasks", "7f3a"], ["nodes"], ["events", "-f"]]  # fmt: skip
IMPATIENT = (0.2, 0.2, 5.0, 1.0, 0.2, 0.0, 0.2, 1.0, 2.0, 1.0, 0.1)
"""In the order of the fields of ``Patience``."""
NOT_OURS = {
    "html": (200, "text/html", b"<html>Welcome</html>"),
    "rubbish": (200, "application/json", b"\x00\xff{"),
    "other json": (200, "application/json", b'["no", "object"]'),
    "bad gateway": (502, "text/html", b"<h1>502</h1>"),
    "login page": (302, "text/html", b""),
}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Let commands ask a server that gives one answer always, and be impatient with it."""
    servers = []

    def start(status: int, kind: str, body: bytes, **headers: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if 300 <= status < 400:
                    self.send_header("Location", "https://login.example.org/?ticket=secret")
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_DELETE = do_GET  # noqa: N815  (their names)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("SLIPWAY_URL", f"http://127.0.0.1:{server.server_port}")

    monkeypatch.setattr(Patience.__init__, "__defaults__", IMPATIENT)
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("answer", NOT_OURS)
def test_what_is_no_service_is_5_in_one_to_three_lines(
    person: Person, serve: Callable[..., None], words: list[str], answer: str
) -> None:
    serve(*NOT_OURS[answer])
    done = person.types(*words)
    assert done.code == 5, done
    assert done.out == ""
    assert 1 <= len(done.err.splitlines()) <= 3
    assert "Traceback" not in done.err
    assert "secret" not in done.err


def test_nobody_listens(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(Patience.__init__, "__defaults__", IMPATIENT)
    assert person.types("ps").code == 5


def test_a_refusal_names_its_code(person: Person, serve: Callable[..., None]) -> None:
    problem = {"title": "Forbidden", "status": 403, "detail": "You may not.", "code": "forbidden"}
    serve(403, "application/problem+json", json.dumps(problem).encode())
    for words in (["ps"], ["status", ID], ["cancel", ID], ["nodes"]):
        done = person.types(*words)
        assert done.code == 4
        assert "You may not." in done.err
