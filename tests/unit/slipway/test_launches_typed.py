"""``slipway run`` with a service that is busy, cuts its answers, or is none at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from client_kit import ID, client_of, execution
from kit.raw_server import Asked, RawServer, answer

from slipway.cli.shell import Shell

PROBLEM = "application/problem+json"
WORKFLOW = {
    "id": "w", "name": "W", "outputs": [], "steps": [],
    "inputs": [{"name": "n", "type": "integer", "required": True, "default": None}],
}  # fmt: skip
LAUNCHED = answer(201, execution("PENDING"))
BUSY = answer(503, {"status": 503, "detail": "Busy."}, PROBLEM, Retry_After="1")
CUT = b"HTTP/1.0 201 Crea"


@pytest.fixture
def launched(person: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Launch with a server that gives some answers, the last one again and again."""

    def launched(*answers: bytes) -> tuple[Any, list[Asked]]:
        left = list(answers)

        def talk(asked: Asked, _: int) -> bytes:
            if asked.method == "GET":
                return answer(200, WORKFLOW)
            return left.pop(0) if len(left) > 1 else left[0]

        server = servers.enter_context(RawServer(talk))
        monkeypatch.setenv("SLIPWAY_URL", server.url)
        monkeypatch.setattr(Shell, "client_of", lambda _, target: client_of(target.url))
        done = person.types("run", "w", "-i", "n=3")
        return done, [asked for asked in server.asked if asked.method == "POST"]

    with ExitStack() as servers:
        yield launched


@pytest.mark.parametrize("first", [CUT, BUSY], ids=["cut", "busy"])
def test_a_launch_is_asked_for_again_under_the_same_key(launched: Any, first: Any) -> None:
    done, launches = launched(first, LAUNCHED)
    assert (done.code, done.out) == (0, f"{ID}\n")
    keys = [asked.headers["idempotency-key"] for asked in launches]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert keys[0]
    assert [asked.json() for asked in launches] == [{"inputs": {"n": 3}}] * 2


def test_each_launch_has_a_key_of_its_own(launched: Any) -> None:
    keys = {launched(LAUNCHED)[1][0].headers["idempotency-key"] for _ in range(2)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answer(200, b"<html>sign in</html>", "text/html"), "answers with text/html"),
        (answer(302, b"", "text/html", Location="https://login.example.org/?ticket=s3cr3t"),
         "sends on to login.example.org"),
        (answer(201, b"[1, 2"), "that is not Slipway"),
        (answer(502, b"bad gateway", "text/html"), "502"),
        (answer(429, {"status": 429, "detail": "Too often."}, PROBLEM),
         "Too often."),
    ],
    ids=["html", "login page", "rubbish", "gateway", "too often"],
)  # fmt: skip
def test_what_is_no_answer_of_a_service_ends_with_5(launched: Any, given: bytes, said: str) -> None:
    done, _ = launched(given)
    assert (done.code, done.out) == (5, "")
    assert said in done.err
    assert "s3cr3t" not in done.err
    assert len(done.err.splitlines()) <= 3


@pytest.mark.parametrize(("status", "code"), [(401, 4), (403, 4), (404, 4), (409, 2), (422, 2)])
def test_a_refusal_is_one_sentence(launched: Any, status: int, code: int) -> None:
    done, _ = launched(answer(status, {"status": status, "detail": "No, not that."}, PROBLEM))
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("slipway: No, not that.\n")


def test_faults_that_the_service_finds_are_told_by_the_names_of_the_inputs(launched: Any) -> None:
    problem = {"status": 422, "detail": "No.", "fields": [
        {"path": "inputs.n", "message": "must be \x1b[31mred"},
    ]}  # fmt: skip
    done, _ = launched(answer(422, problem, PROBLEM))
    assert done == (
        2, "",
        ("slipway: W was not started (its inputs: slipway show w).\n"
        "  n: must be \ufffd[31mred\n"),
    )  # fmt: skip
