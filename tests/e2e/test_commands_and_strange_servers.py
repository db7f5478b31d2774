"""What watching and steering commands make of servers that are not what they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from kit.people import Person
from kit.raw_server import RawServer, answer, problem

from slipway.attempts import Patience

ID = "7f3a91c2-0000-4000-8000-000000000000"
COMMANDS = [["ps"], ["status", ID], ["logs", ID], ["logs", "-f", ID], ["wait", ID], ["cancel", ID],
            ["tasks", "7f3a"], ["nodes"], ["events", "-f"]]  # fmt: skip
IMPATIENT = (0.2, 0.2, 5.0, 1.0, 0.2, 0.0, 0.2, 1.0, 2.0, 1.0, 0.1)
"""In the order of the fields of ``Patience``."""
NOT_OURS = {
    "html": answer(200, b"<html>Welcome</html>", "text/html"),
    "rubbish": answer(200, b"\x00\xff{"),
    "other json": answer(200, b'["no", "object"]'),
    "bad gateway": answer(502, b"<h1>502</h1>", "text/html"),
    "login page": answer(
        302, b"", "text/html", Location="https://login.example.org/?ticket=secret"
    ),
}  # fmt: skip


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Let commands ask a server that gives one answer always, and be impatient with it."""

    def start(said: bytes) -> None:
        server = servers.enter_context(RawServer(lambda *_: said))
        monkeypatch.setenv("SLIPWAY_URL", server.url)

    monkeypatch.setattr(Patience.__init__, "__defaults__", IMPATIENT)
    with ExitStack() as servers:
        yield start


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("name", NOT_OURS)
def test_what_is_no_service_is_5_in_one_to_three_lines(
    person: Person, serve: Callable[[bytes], None], words: list[str], name: str
) -> None:
    serve(NOT_OURS[name])
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


def test_a_refusal_names_its_code(person: Person, serve: Callable[[bytes], None]) -> None:
    serve(problem(403, "You may not.", "forbidden"))
    for words in (["ps"], ["status", ID], ["cancel", ID], ["nodes"]):
        done = person.types(*words)
        assert done.code == 4
        assert "You may not." in done.err
