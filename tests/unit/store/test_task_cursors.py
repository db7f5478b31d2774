"""The cursors of tasks, and what storing a look costs."""

from __future__ import annotations

import pytest
from sqlalchemy import event, text
from store_kit import entries

from app.domain import ExecutionStatus, Level, Task, TaskStatus
from app.errors import Conflict
from app.store.task_cursors import TaskCursors

RUNNING = TaskStatus.RUNNING


@pytest.fixture
def cursors(database):
    return TaskCursors(database)


@pytest.fixture
def statements(database):
    """What is sent to the database, and with how many rows."""
    sent = []

    def note(_connection, _cursor, statement, parameters, _context, many):
        sent.append((statement.split()[0], statement, len(parameters) if many else 1))

    event.listen(database.engine(), "before_cursor_execute", note)
    return sent


def test_they_are_kept_beside_the_tasks_and_those_that_do_not_change_stay(kit, cursors):
    execution = kit.held()
    assert cursors.of(execution) == {}
    kit.see(execution, tasks=(Task("first", RUNNING),), task_cursors={"first": {"offset": 1}})
    execution = kit.see(execution, task_cursors={"second": {"tail": ["ü\x00\ud83d"]}})
    assert cursors.of(execution) == {"first": {"offset": 1}, "second": {"tail": ["ü\x00\ud83d"]}}
    assert [task.status for task in kit.executions.tasks(execution)] == [RUNNING, "PENDING"]
    kit.see(execution, tasks=(Task("first", TaskStatus.SUCCESS),))
    assert cursors.of(execution)["first"] == {"offset": 1}
    assert cursors.of(kit.held()) == {}


def test_a_task_that_the_workflow_did_not_announce_has_one_too(kit, cursors):
    execution = kit.held()
    seen = (Task("first", RUNNING), Task("extra", RUNNING))
    kit.see(execution, tasks=seen, task_cursors={"first": 1, "extra": 2, "second": 3})
    assert cursors.of(execution) == {"first": 1, "second": 3, "extra": 2}
    names = [(task.name, task.status) for task in kit.executions.tasks(execution)]
    assert names == [("first", RUNNING), ("second", "PENDING"), ("extra", RUNNING)]


def test_one_of_a_task_that_was_never_seen_is_not_lost_silently(kit, cursors):
    execution = kit.held()
    with pytest.raises(ValueError, match="never seen"):
        kit.see(execution, cursor=1, task_cursors={"first": 1, "stray": 2})
    assert cursors.of(execution) == {}
    assert kit.driving.get(execution.id).cursor is None


def test_a_conductor_that_lost_the_execution_stores_none(kit, cursors):
    execution = kit.launched()
    kit.claim(owner="other")
    with pytest.raises(Conflict):
        kit.see(execution, task_cursors={"first": 1})
    assert cursors.of(execution) == {}


def test_a_record_reads_once_and_writes_what_changed(kit, statements):
    names = [f"step-{i}" for i in range(3000)]
    execution = kit.held(steps=names, inputs={"text": "large"})
    running = [Task(name, RUNNING, attempts=1) for name in names[:40]]
    statements.clear()
    kit.see(
        execution, cursor={"look": "x"}, tasks=tuple(running), entries=tuple(entries([Level.INFO])),
        task_cursors={task.name: {"status": "RUNNING"} for task in running},
    )  # fmt: skip
    sent = [(verb, rows) for verb, statement, rows in statements if "tasks" in statement]
    assert sent == [("UPDATE", 40)]
    verbs = [verb for verb, statement, _ in statements if "executions" in statement]
    assert verbs == ["SELECT", "UPDATE"]
    for _, statement, _ in statements:
        assert "inputs" not in statement
        assert "outputs" not in statement


def test_lists_and_readers_do_not_load_them(kit, statements):
    execution = kit.see(kit.held(), tasks=(Task("first", RUNNING),), task_cursors={"first": 1})
    statements.clear()
    event.listen(
        kit.database._reader, "before_cursor_execute",
        lambda _c, _cursor, statement, *_more: statements.append(("", statement, 1)),
    )  # fmt: skip
    kit.executions.tasks(execution)
    kit.see(execution, tasks=(Task("first", RUNNING), Task("second", RUNNING)))
    about_tasks = [statement for _, statement, _ in statements if "tasks" in statement]
    assert about_tasks
    assert not any("cursor" in statement for statement in about_tasks)


def test_the_execution_that_is_given_back_is_the_one_that_is_stored(kit):
    execution = kit.held(inputs={"n": 1})
    kit.steered.follow(execution, kit.driving.get(execution.id).as_of)
    for more in ({"outputs": {"a": [1]}}, {"error": "half \ud83d\x00"}, {"progress": 0.25}, {}):
        execution = kit.see(execution, cursor=more.get("outputs"), **more)
        assert execution == kit.driving.get(execution.id)
    ended = kit.see(execution, ExecutionStatus.FAILED, error="why", log_complete=True)
    assert ended == kit.driving.get(execution.id)
    assert kit.see(ended, outputs={"late": 1}) == kit.driving.get(execution.id)


def test_what_one_cannot_read_any_more_is_an_error(kit, cursors):
    execution = kit.see(kit.held(), tasks=(Task("first", RUNNING),), task_cursors={"first": 1})
    kit.database.write(lambda c: c.execute(text("UPDATE tasks SET cursor = 'no JSON'")))
    with pytest.raises(ValueError, match="Expecting value"):
        cursors.of(execution)
