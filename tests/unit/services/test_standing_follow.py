"""Following one task of a workflow that stands, whichever its current execution is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_kit import Service, open_service

from app.domain import (
    CommandTask,
    ExecutionStatus,
    Identity,
    Level,
    LogStream,
    NewLogEntry,
    Observation,
    Role,
    Task,
    TaskStatus,
)
from app.errors import NoSuchTask, NoSuchWorkflow
from app.services.follow import Batch, Ended, Event, Expired, Heartbeat, Moved
from app.services.idle import Idle
from app.store.execution_rows import now

MAKER = Identity("anonymous", frozenset({Role.ADMIN}))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = open_service(tmp_path, streams__heartbeat="50ms", streams__max_lag=2)
    made.services.standing.create("w", None, [CommandTask("a b", "true")], MAKER)
    made.services.standing._is_driven = lambda: True
    yield made
    made.close()


class Reader:
    """Goes through the events, and waits where there is nothing to do."""

    def __init__(self, service: Service, after: int | None = None) -> None:
        follow = service.services.standing_follow
        self._steps = follow.steps("w", "a b", lambda: MAKER, after)

    def next(self, *kinds: type[Any]) -> Event:
        """Return the next event of some kinds."""
        for step in self._steps:
            if isinstance(step, Idle):
                step.wait()
            elif isinstance(step, kinds or (Batch, Ended, Moved, Expired)):
                return step
        raise AssertionError("it ended without a word")

    def idle(self) -> None:
        """Go on to where nothing is to be done."""
        assert any(isinstance(step, Idle) for step in self._steps)


def begin(service: Service) -> Any:
    service.services.standing.start("w", MAKER)
    found = service.services.standing.get("w", MAKER).execution
    assert found is not None
    return service.store.get(found.id)


def see(service: Service, execution: Any, task_status: TaskStatus, *lines: str, **more: Any) -> Any:
    name = service.services.standing.task("w", "a b", MAKER).task_id
    begun = None if task_status in (TaskStatus.SKIPPED, TaskStatus.PENDING) else now()
    entries = tuple(NewLogEntry(Level.INFO, 0, x, name, stream=LogStream.STDOUT) for x in lines)
    seen = {"status": ExecutionStatus.RUNNING, "cursor": None, **more}
    task = Task(name, task_status, begun, attempts=int(begun is not None))
    return service.record(execution, Observation(tasks=(task,), entries=entries, **seen))


def said(event: Event) -> list[str]:
    assert isinstance(event, Batch)
    return [entry.content for entry in event.entries]


def test_it_waits_for_the_start_and_shows_that_it_is_alive(service: Service) -> None:
    reader = Reader(service)
    reader.next(Heartbeat)
    execution = begin(service)
    execution = see(service, execution, TaskStatus.RUNNING, "one", "two")
    assert said(reader.next()) == ["one", "two"]
    see(service, execution, TaskStatus.SUCCESS, "three")
    assert said(reader.next()) == ["three"]
    assert isinstance(reader.next(), Ended), "though the execution goes on"


def test_nothing_is_left_out_for_a_slow_reader(service: Service) -> None:
    execution = begin(service)
    reader = Reader(service)
    reader.idle()
    lines = [str(i) for i in range(50)]
    for line in lines:
        execution = see(service, execution, TaskStatus.RUNNING, line)
    see(service, execution, TaskStatus.SUCCESS)
    found: list[str] = []
    while not isinstance(event := reader.next(), Ended):
        found += said(event)
    assert found == lines


def test_an_execution_that_ends_without_the_task_is_not_the_one(service: Service) -> None:
    reader = Reader(service)
    execution = begin(service)
    over = {"status": ExecutionStatus.CANCELLED, "log_complete": True}
    see(service, execution, TaskStatus.SKIPPED, **over)
    reader.next(Heartbeat)
    execution = begin(service)
    over = {"status": ExecutionStatus.SUCCESS, "log_complete": True}
    see(service, execution, TaskStatus.SUCCESS, "now", **over)
    assert said(reader.next()) == ["now"]
    assert isinstance(reader.next(), Ended)


def test_it_goes_on_behind_a_cursor_unless_that_is_of_another_log(service: Service) -> None:
    execution = begin(service)
    over = {"status": ExecutionStatus.SUCCESS, "log_complete": True}
    see(service, execution, TaskStatus.SUCCESS, "one", "two", **over)
    assert said(Reader(service, after=0).next()) == ["two"]
    assert said(Reader(service, after=2).next()) == ["one", "two"]
    assert isinstance(Reader(service, after=1).next(), Ended)


def test_whoever_stops_says_so(service: Service) -> None:
    waiting, reading = Reader(service), Reader(service)
    waiting.idle()
    begin(service)
    reading.idle()
    service.web.changes.close()
    assert isinstance(reading.next(), Moved)
    assert isinstance(waiting.next(), Moved)


def test_it_ends_with_the_workflow(service: Service) -> None:
    reader = Reader(service)
    reader.idle()
    assert service.client.delete("/workflows/w").status_code == 204
    assert isinstance(reader.next(), Expired)


def test_what_is_not_there_is_told_before_the_first_event(service: Service) -> None:
    follow = service.services.standing_follow
    with pytest.raises(NoSuchTask):
        follow.steps("w", "b", lambda: MAKER)
    with pytest.raises(NoSuchWorkflow):
        follow.steps("w", "a b", lambda: Identity("eve", frozenset()))


def test_what_a_task_wrote_at_its_end_is_told_although_the_end_was_seen_early(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks are read after the execution: what woke the reader may be older than they are."""
    execution, reader = begin(service), Reader(service)
    see(service, execution, TaskStatus.RUNNING, "one")
    assert said(reader.next()) == ["one"]
    reader.idle()
    follow = service.services.standing_follow._follow
    read, later = follow.tasks, ["last"]

    def tasks(found: Any) -> Any:
        if later and found.log_total > 1:
            see(service, execution, TaskStatus.SUCCESS, later.pop())
        return read(found)

    monkeypatch.setattr(follow, "tasks", tasks)
    see(service, execution, TaskStatus.RUNNING, "two")
    told = [line for line in (said(reader.next()), said(reader.next())) for line in line]
    assert told == ["two", "last"]
    assert isinstance(reader.next(), Ended)
