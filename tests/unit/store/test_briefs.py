"""What lists say of executions and workflows beside states."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from app.domain import LAST_LINES, Brief, ExecutionFilter, ExecutionStatus, Task, TaskStatus
from app.store.briefs import LONGEST, LOOKED_THROUGH, MOST_TASKS

RUNNING, FAILED = TaskStatus.RUNNING, TaskStatus.FAILED


@pytest.fixture
def asked(kit):
    """The statements that read, as they are sent."""
    sent = []

    def note(_connection, _cursor, statement, *_more):
        sent.append(statement)

    reader = kit.database._reader
    event.listen(reader, "before_cursor_execute", note)
    yield sent
    event.remove(reader, "before_cursor_execute", note)


def brief(kit, execution):
    found = kit.executions.get_many([execution.id])
    return kit.executions.briefs(found).get(execution.id)


def waits(kind, reason):
    return {"kind": kind, "reason": reason}


def test_of_what_goes_on_the_running_tasks_are_named_in_the_order_of_the_workflow(kit):
    steps = [f"step{i}" for i in range(6)]
    execution = kit.held(steps=steps, titles={"step3": "Mesh the wing"})
    kit.see(execution, tasks=tuple(Task(name, RUNNING) for name in reversed(steps[2:])))
    found = brief(kit, execution)
    assert found == Brief(tasks=("step2", "Mesh the wing", "step4"), active=4)
    assert len(found.tasks) == MOST_TASKS


def test_what_runs_nothing_tells_what_it_waits_for_unless_that_are_tasks(kit):
    execution = kit.held(needs={"second": ["first"]})
    assert brief(kit, execution) is None
    kit.see(
        execution,
        ExecutionStatus.PENDING,
        tasks=(
            Task("first", TaskStatus.PENDING, waits_for=waits("queue", "the partition is full")),
        ),
    )
    assert brief(kit, execution) == Brief(waits_for="the partition is full")


def test_a_reason_to_wait_is_looked_for_among_a_bounded_number_of_tasks(kit):
    execution = kit.held(steps=[f"{i:04}" for i in range(LOOKED_THROUGH + 1)])
    late = Task(f"{LOOKED_THROUGH:04}", TaskStatus.PENDING, waits_for=waits("queue", "far behind"))
    kit.see(execution, tasks=(late,))
    assert brief(kit, execution) is None


def test_of_what_failed_it_tells_the_task_its_exit_code_and_its_last_words(kit):
    execution = kit.held(titles={"second": "Solve"})
    error = f"exit code 2 after 3s{LAST_LINES}using 64 cores\nno licence for 64 cores\n\n"
    kit.see(
        execution,
        ExecutionStatus.FAILED,
        error=f"Task 'second' failed: {error}",
        tasks=(
            Task("first", FAILED, error="later"),
            Task("second", FAILED, exit_code=2, error=error),
        ),
    )
    assert brief(kit, execution) == Brief(
        failed_task="Solve", exit_code=2, reason="no licence for 64 cores"
    )


def test_without_last_words_or_without_a_task_the_error_tells_why_in_one_line(kit):
    one, two, silent = kit.held(), kit.held(), kit.held()
    failed = Task("first", FAILED, error="not done within 5s")
    kit.see(one, ExecutionStatus.FAILED, error="Task 'first' failed: x", tasks=(failed,))
    kit.see(two, ExecutionStatus.FAILED, error="y" * 1000 + "\nmore")
    kit.see(silent, ExecutionStatus.FAILED)
    assert brief(kit, one).reason == "not done within 5s"
    assert brief(kit, two).reason == "y" * (LONGEST - 1) + "…"
    assert brief(kit, silent) == Brief()


def test_of_what_ended_otherwise_nothing_is_said(kit):
    execution = kit.held()
    kit.see(execution, ExecutionStatus.SUCCESS, tasks=(Task("first", FAILED, error="ignored"),))
    assert brief(kit, execution) is None


def test_a_list_of_any_length_is_told_of_in_two_statements(kit, asked):
    for number in range(20):
        execution = kit.held()
        kit.see(execution, tasks=(Task("first", RUNNING),) if number % 2 else ())
    found, _ = kit.executions.find(ExecutionFilter())
    asked.clear()
    assert len(kit.executions.briefs(found)) == 10
    assert len(asked) == 2
    asked.clear()
    assert kit.executions.briefs([]) == {}
    assert asked == []


def test_the_last_execution_of_each_workflow_is_that_of_one_owner(kit, asked):
    kit.launched()
    mine = kit.launched()
    kit.launched(owner="bob")
    kit.launched(orchestrator="elsewhere")
    other = kit.launched(workflow_id="other")
    asked.clear()
    places = [("flow", "local"), ("other", "local"), ("never", "local")]
    found = kit.executions.last_runs("ada", places)
    assert {place: each.id for place, each in found.items()} == {
        ("flow", "local"): mine.id, ("other", "local"): other.id,
    }  # fmt: skip
    assert len(asked) == 1
    assert kit.executions.last_runs("eve", places) == {}


def test_the_last_executions_of_more_workflows_than_one_statement_takes(kit, monkeypatch):
    monkeypatch.setattr("app.store.last_runs._AT_ONCE", 2)
    made = [kit.launched(workflow_id=f"flow{i}") for i in range(5)]
    found = kit.executions.last_runs("ada", [(f"flow{i}", "local") for i in range(5)])
    assert {each.id for each in found.values()} == {each.id for each in made}


def test_the_oldest_may_come_first(kit):
    made = [kit.launched().id for _ in range(3)]
    found, total = kit.executions.find(ExecutionFilter(oldest_first=True), 0, 2)
    assert ([each.id for each in found], total) == (made[:2], 3)
    found, _ = kit.executions.find(ExecutionFilter(oldest_first=True), 1)
    assert [each.id for each in found] == made[1:]
