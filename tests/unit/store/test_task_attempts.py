"""Attempts of tasks that are over: kept beside the last one, bounded, purged with the execution."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from test_purging import Purging

from app.domain import MOST_ATTEMPTS, Attempt, ExecutionStatus, Task, TaskStatus
from app.store import task_attempts as module
from app.store.schema import task_attempts

BEGAN = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
FAILED, RUNNING, SUCCESS = TaskStatus.FAILED, TaskStatus.RUNNING, TaskStatus.SUCCESS


def attempt(number: int, task: str = "first", **more: object) -> Attempt:
    times = {
        "ready_at": BEGAN,
        "started_at": BEGAN + timedelta(seconds=1),
        "finished_at": BEGAN + timedelta(seconds=2),
    }
    return Attempt(task, number, FAILED, **{**times, "exit_code": 2, "node": "n1", **more})


def test_what_is_told_of_attempts_is_kept_in_the_order_of_tasks_and_numbers(kit):
    execution = kit.held()
    kit.see(execution, attempts=(attempt(1, "second"), attempt(2, run=1), attempt(1)))
    expected = [attempt(1), attempt(2, run=1), attempt(1, "second")]
    assert kit.executions.attempts_of(execution.number) == expected
    assert kit.executions.attempts_of(kit.held().number) == []


def test_what_is_told_twice_is_kept_once(kit):
    execution = kit.held()
    kit.see(execution, attempts=(attempt(1),))
    kit.see(kit.driving.get(execution.id), attempts=(attempt(1), attempt(2)))
    assert [a.number for a in kit.executions.attempts_of(execution.number)] == [1, 2]


def test_the_last_ones_of_each_task_are_kept(kit):
    execution = kit.held()
    for number in range(1, MOST_ATTEMPTS + 6):
        told = (attempt(number), attempt(number, "second")) if number < 3 else (attempt(number),)
        kit.see(kit.driving.get(execution.id), attempts=told)
    found = kit.executions.attempts_of(execution.number)
    assert [a.number for a in found if a.task == "first"] == [*range(6, MOST_ATTEMPTS + 6)]
    assert [a.number for a in found if a.task == "second"] == [1, 2]


def test_of_very_many_those_of_the_first_tasks_are_told(kit, monkeypatch):
    execution = kit.held()
    kit.see(execution, attempts=(attempt(1), attempt(2), attempt(1, "second")))
    monkeypatch.setattr(module, "_OF_EXECUTION", module._OF_EXECUTION.limit(2))
    assert [a.task for a in kit.executions.attempts_of(execution.number)] == ["first", "first"]


class TestOfOrchestratorsThatTellNone:
    def test_what_was_stored_of_a_task_is_kept_when_it_has_more_attempts(self, kit):
        execution = kit.held()
        ended = BEGAN + timedelta(seconds=9)
        first = Task("first", FAILED, BEGAN, ended, exit_code=2, attempts=1, node="n1")
        kit.see(execution, tasks=(first,))
        again = Task("first", RUNNING, ended, attempts=2, node="n2")
        kit.see(kit.driving.get(execution.id), tasks=(again,))
        kit.see(kit.driving.get(execution.id), tasks=(Task("first", SUCCESS, ended, attempts=2),))
        expected = Attempt("first", 1, FAILED, None, BEGAN, ended, 2, "n1")
        assert kit.executions.attempts_of(execution.number) == [expected]

    def test_a_task_that_only_goes_on_leaves_none(self, kit):
        execution = kit.held()
        for task in (
            Task("first", RUNNING, BEGAN),
            Task("first", RUNNING, BEGAN, attempts=1),
            Task("first", SUCCESS, BEGAN, BEGAN, attempts=1),
        ):
            kit.see(kit.driving.get(execution.id), tasks=(task,))
        assert kit.executions.attempts_of(execution.number) == []


@pytest.mark.parametrize("length", [300, 255])
def test_names_that_are_too_long_are_those_of_their_tasks(kit, length):
    name = "n" * length
    execution = kit.held(steps=[name])
    kit.see(execution, attempts=(attempt(1, name, node="m" * 300),))
    (found,) = kit.executions.attempts_of(execution.number)
    assert found.task == kit.executions.tasks_of(execution.number)[0].name


def test_they_are_purged_with_their_execution(kit):
    execution = kit.held()
    kit.see(execution, ExecutionStatus.FAILED, attempts=(attempt(1),), log_complete=True)
    purging = Purging(kit.database, {})
    purging.purge(execution.number, "ada")
    while purging.remove_some():
        pass
    with kit.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(task_attempts)).scalar() == 0
