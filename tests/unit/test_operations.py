"""Operations in a conductor: carried out beside the executions, given up when they hang."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.patience import await_that
from kit.thrift import make_tables
from structlog.testing import capture_logs

from app.conductor import Conductor
from app.domain import JSON, Operation, OperationState
from app.errors import UpstreamUnreachable
from app.operations import Handler, OperationCarrier
from app.settings import ConductorSettings
from app.store.conductors import Node
from app.store.database import Database
from app.store.operations import Operations

LEASE = 15.0
NODE = Node("box/mark", "kernel")


class Stage:
    """A store, and conductors with handlers of the test's."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.operations = Operations(database)
        self._working: list[tuple[Conductor, threading.Thread]] = []

    def conduct(self, **handlers: Handler) -> Conductor:
        settings = ConductorSettings(
            threads=1, lease=LEASE, stale_after=60.0, look_timeout=600.0, capacity=10
        )
        carrier = OperationCarrier(self.operations, handlers, LEASE)
        conductor = Conductor(self.database, {}, settings, NODE, operations=carrier)
        thread = threading.Thread(target=conductor.run)
        thread.start()
        self._working.append((conductor, thread))
        return conductor

    def file(self, kind: str = "check", subject: str = "hpc", owner: str = "ada") -> str:
        return self.operations.file(kind, owner, subject, {}, 100).id

    def get(self, id_: str) -> Operation:
        found = self.operations.get(id_)
        assert found is not None
        return found

    def ended(self, id_: str) -> Operation:
        await_that(lambda: self.get(id_).state.final)
        return self.get(id_)

    def end(self) -> None:
        for conductor, thread in self._working:
            conductor.stop()
            thread.join()
        self._working.clear()


@pytest.fixture
def stage(tmp_path: Any) -> Iterator[Stage]:
    url = f"sqlite:///{tmp_path / 'slipway.db'}"
    make_tables(url)
    made = Stage(Database(url))
    yield made
    made.end()
    made.database.dispose()


def failing(error: Exception) -> Callable[[Operation], JSON]:
    def carry_out(_: Operation) -> JSON:
        raise error

    return carry_out


def test_what_is_asked_for_is_carried_out_at_once_by_the_handler_of_its_kind(stage):
    stage.conduct(
        check=Handler(lambda o: {"about": o.subject, "of": o.owner}), other=Handler(lambda _: 1)
    )
    assert stage.ended(stage.file()).result == {"about": "hpc", "of": "ada"}
    assert stage.ended(stage.file("other")).result == 1


def test_what_was_asked_for_before_the_conductor_began_is_not_forgotten(stage):
    made = stage.file()
    stage.conduct(check=Handler(lambda _: "done"))
    assert stage.ended(made).state is OperationState.DONE


def test_a_foreseen_error_is_told_and_any_other_only_to_the_log(stage):
    stage.conduct(
        check=Handler(failing(UpstreamUnreachable("hpc does not answer.", detail="secret"))),
        other=Handler(failing(RuntimeError("secret"))),
    )
    foreseen, other = stage.ended(stage.file()), stage.ended(stage.file("other"))
    assert (foreseen.state, foreseen.error, foreseen.error_code) == (
        OperationState.FAILED, "hpc does not answer.", "upstream_unreachable",
    )  # fmt: skip
    assert (other.state, other.error_code) == (OperationState.FAILED, "internal")
    assert "secret" not in str(other.error)


def test_one_that_hangs_is_given_up_and_holds_up_no_other(stage):
    hangs = threading.Event()

    def hang(operation: Operation) -> JSON:
        if operation.subject == "hangs":
            hangs.wait()
        return "done"

    stage.conduct(
        check=Handler(hang, timeout_seconds=0.2, threads=1), other=Handler(lambda _: "other")
    )
    try:
        stuck = stage.file(subject="hangs")
        assert stage.ended(stage.file("other")).result == "other"
        given_up = stage.ended(stuck)
        assert (given_up.state, given_up.error_code) == (OperationState.FAILED, "upstream_timeout")
        assert stage.ended(stage.file(subject="next")).result == "done"
        with capture_logs() as logs:
            hangs.set()
            await_that(lambda: any(each["event"] == "operation lost" for each in logs))
        assert stage.get(stuck) == given_up
    finally:
        hangs.set()


def test_a_conductor_that_stops_leaves_what_hangs_to_the_next(stage, monkeypatch):
    monkeypatch.setattr("app.operations._LAST_CALL_SECONDS", 0.05)
    begun, hangs = threading.Event(), threading.Event()

    def hang(_: Operation) -> JSON:
        begun.set()
        hangs.wait()
        return "late"

    try:
        stage.conduct(check=Handler(hang))
        made = stage.file()
        assert begun.wait(60)
        stage.end()
        assert stage.get(made).state is OperationState.WAITING
        stage.conduct(check=Handler(lambda o: o.tries))
        assert stage.ended(made).result == 2
    finally:
        hangs.set()
