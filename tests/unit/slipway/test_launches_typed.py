"""``slipway run`` with a service that is busy, cuts its answers, or is none at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from client_kit import ID, client_of, execution

from slipway.cli.shell import Shell

JSON = "application/json"
WORKFLOW = {
    "id": "w", "name": "W", "outputs": [], "steps": [],
    "inputs": [{"name": "n", "type": "integer", "required": True, "default": None}],
}  # fmt: skip
LAUNCHED = (201, JSON, json.dumps(execution("PENDING")).encode(), {})
BUSY = (
    503,
    "application/problem+json",
    b'{"status": 503, "detail": "Busy."}',
    {"Retry-After": "1"},
)
CUT = None


class Answers:
    """Answers that launches get, one after the other; the last one again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.launches: list[tuple[str | None, Any]] = []

    def next(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Handler(BaseHTTPRequestHandler):
    answers: Answers

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer((200, JSON, json.dumps(WORKFLOW).encode(), {}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answers.launches.append((self.headers["Idempotency-Key"], body))
        answer = self.answers.next()
        if answer is CUT:
            self.wfile.write(b"HTTP/1.0 201 Crea")
            return
        self._answer(answer)

    def _answer(self, answer: tuple[int, str, bytes, dict[str, str]]) -> None:
        status, kind, body, headers = answer
        self.send_response(status)
        told = {"Content-Type": kind, "Content-Length": str(len(body)), **headers}
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def launched(person: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    servers = []

    def launched(*answers: Any) -> tuple[Any, Answers]:
        given = Answers(*answers)
        handler = type("Handler", (_Handler,), {"answers": given})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("SLIPWAY_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(Shell, "client_of", lambda _, target: client_of(target.url))
        return person.types("run", "w", "-i", "n=3"), given

    yield launched
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("first", [CUT, BUSY], ids=["cut", "busy"])
def test_a_launch_is_asked_for_again_under_the_same_key(launched: Any, first: Any) -> None:
    done, given = launched(first, LAUNCHED)
    assert (done.code, done.out) == (0, f"{ID}\n")
    keys = [key for key, _ in given.launches]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert keys[0]
    assert [body for _, body in given.launches] == [{"inputs": {"n": 3}}] * 2


def test_each_launch_has_a_key_of_its_own(launched: Any) -> None:
    keys = {launched(LAUNCHED)[1].launches[0][0] for _ in range(2)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, "text/html", b"<html>sign in</html>", {}), "answers with text/html"),
        ((302, "text/html", b"", {"Location": "https://login.example.org/?ticket=s3cr3t"}),
         "sends on to login.example.org"),
        ((201, JSON, b"[1, 2", {}), "that is not Slipway"),
        ((502, "text/html", b"bad gateway", {}), "502"),
        ((429, "application/problem+json", b'{"status": 429, "detail": "Too often."}', {}),
         "Too often."),
    ],
    ids=["html", "login page", "rubbish", "gateway", "too often"],
)  # fmt: skip
def test_what_is_no_answer_of_a_service_ends_with_5(launched: Any, answer: Any, said: str) -> None:
    done, _ = launched(answer)
    assert (done.code, done.out) == (5, "")
    assert said in done.err
    assert "s3cr3t" not in done.err
    assert len(done.err.splitlines()) <= 3


@pytest.mark.parametrize(("status", "code"), [(401, 4), (403, 4), (404, 4), (409, 2), (422, 2)])
def test_a_refusal_is_one_sentence(launched: Any, status: int, code: int) -> None:
    problem = json.dumps({"status": status, "detail": "No, not that."}).encode()
    done, _ = launched((status, "application/problem+json", problem, {}))
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("slipway: No, not that.\n")


def test_faults_that_the_service_finds_are_told_by_the_names_of_the_inputs(launched: Any) -> None:
    problem = {"status": 422, "detail": "No.", "fields": [
        {"path": "inputs.n", "message": "must be \x1b[31mred"},
    ]}  # fmt: skip
    answer = (422, "application/problem+json", json.dumps(problem).encode(), {})
    done, _ = launched(answer)
    assert done == (
        2, "",
        ("slipway: W was not started (its inputs: slipway show w).\n"
        "  n: must be \ufffd[31mred\n"),
    )  # fmt: skip
