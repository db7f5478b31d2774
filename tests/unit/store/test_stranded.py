"""Executions of machines that nobody serves, and those that are ended by decree."""

from dataclasses import replace

import pytest
from sqlalchemy import update
from store_kit import entries

from app.domain import ExecutionStatus, Level, Task, TaskStatus
from app.store.execution_rows import now
from app.store.schema import executions
from app.store.stranded import StrandedExecutions, abandon

WHY = "Abandoned by 'ops'."


@pytest.fixture
def stranded(kit):
    return StrandedExecutions(kit.database, ["local"], 30.0)


def let_go(kit, *found):
    """End the leases of executions, as their conductors' machines went away."""
    gone = update(executions).where(executions.c.id.in_([each.id for each in found]))
    kit.database.write(lambda c: c.execute(gone.values(lease_owner=None, lease_until=None)))


def test_an_abandoned_execution_has_failed_with_all_that_had_begun(kit):
    done = Task("done", TaskStatus.SUCCESS, now(), now(), 0, 1, "n1", run=1)
    execution = kit.held(steps=["done", "begun", "paused", "waits"])
    begun = Task("begun", TaskStatus.RUNNING, now(), None, None, 1, "n1", run=1)
    execution = kit.see(
        kit.append(execution, entries([Level.INFO])),
        tasks=(done, begun, replace(begun, name="paused", status=TaskStatus.PAUSED)),
    )
    assert abandon(kit.database, execution, WHY)
    ended = kit.executions.get(execution.id)
    assert (ended.status, ended.error) == (ExecutionStatus.FAILED, WHY)
    assert ended.finished_at == ended.as_of
    tasks = {task.name: task for task in kit.executions.tasks(ended)}
    assert tasks["done"] == done
    for name in ("begun", "paused"):
        task = tasks[name]
        assert (task.status, task.error) == (TaskStatus.FAILED, WHY)
        assert task.finished_at == ended.finished_at
    assert (tasks["waits"].status, tasks["waits"].error) == (TaskStatus.CANCELLED, None)
    both = Level.INFO | Level.WARN
    log = kit.journal.page(ended.number, ended.log_counts, both, 0, 10)
    assert [(entry.level, entry.content) for entry in log] == [
        (Level.INFO, "line 0"), (Level.WARN, WHY),
    ]  # fmt: skip


def test_it_is_held_by_nobody_and_abandoned_once(kit):
    execution = kit.held()
    assert abandon(kit.database, execution, WHY)
    assert not abandon(kit.database, execution, "again")
    assert kit.claim() == kit.claim("conductor-2") == []
    assert kit.executions.get(execution.id).error == WHY


def test_those_that_stay_are_missed_whatever_their_orchestrator(kit, stranded):
    stays = kit.see(kit.held(orchestrator="cluster"), stays=True)
    goes = kit.held(orchestrator="cluster")
    let_go(kit, stays, goes)
    assert [(each.node, each.executions) for each in stranded.machines()] == [("node-1", 1)]
    assert stranded.ids("node-1") == [stays.id]


def test_the_owners_are_told_once_each(kit, stranded):
    ended = kit.see(kit.held(), ExecutionStatus.SUCCESS, log_complete=True)
    there = [kit.held()]
    there.append(kit.launched())
    assert kit.claim(node="away") == [there[1].id]
    let_go(kit, *there)
    assert stranded.tell() == 2
    assert stranded.tell() == 0
    for execution in there:
        assert "which no conductor serves" in kit.executions.get(execution.id).error
    assert kit.executions.get(ended.id).error is None
