"""Names of any length, and tasks of any number: the same on every database."""

from dataclasses import replace

import pytest
from sqlalchemy import event
from store_kit import OWNER

from app.domain import ALL_LEVELS, Level, LogStream, NewLogEntry, Task, TaskStatus, Usage
from app.errors import InvalidRequest
from app.store.launches import UsedKey

LONG = "n" * 300
BAD = "a\x00b\ud800"


def task_names(kit, execution):
    return [task.name for task in kit.executions.tasks(execution)]


def test_long_names_of_tasks_stay_apart_and_keep_their_state(kit):
    execution = kit.held(steps=[LONG + "1", LONG + "2", "short"])
    seen = [Task(LONG + "2", TaskStatus.RUNNING, node=LONG), Task(LONG + "3", TaskStatus.FAILED)]
    for _ in range(2):
        execution = kit.see(execution, tasks=tuple(seen))
    names = task_names(kit, execution)
    assert len(set(names)) == len(names) == 4
    assert max(map(len, names)) == 255
    states = [task.status for task in kit.executions.tasks(execution)]
    assert states == [
        TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.PENDING, TaskStatus.FAILED,
    ]  # fmt: skip


def test_names_that_no_database_keeps_are_kept_readable(kit):
    execution = kit.held(steps=[BAD])
    execution = kit.see(execution, tasks=(Task(BAD, TaskStatus.RUNNING),))
    assert task_names(kit, execution) == ["a\ufffdb?"]


def test_names_for_people_stay_as_the_launch_wrote_them(kit):
    execution = kit.held(steps=["a", "b", "c"], titles={"a": "Größe", "c": LONG})
    execution = kit.see(execution, tasks=(Task("a", TaskStatus.RUNNING),))
    titles = [task.title for task in kit.executions.tasks(execution)]
    assert titles[:2] == ["Größe", None]
    assert len(titles[2]) == 255


def test_elements_stand_behind_their_step_in_their_order(kit):
    execution = kit.held(steps=["a", "b"])
    number = 12
    made = [Task(f"a[{place}]", TaskStatus.PENDING) for place in reversed(range(number))]
    others = [Task("new", TaskStatus.PENDING), Task("c[0]", TaskStatus.PENDING)]
    execution = kit.see(execution, tasks=tuple(others + made))
    assert task_names(kit, execution) == [
        "a", *(f"a[{place}]" for place in range(number)), "b", "new", "c[0]",
    ]  # fmt: skip
    kit.see(execution, tasks=(Task("b[0]", TaskStatus.PENDING), Task("later", TaskStatus.PENDING)))
    assert task_names(kit, execution)[-5:] == ["b", "b[0]", "new", "c[0]", "later"]


def test_a_step_stands_for_its_elements_in_the_log(kit):
    names = ["fit", "fit[0]", "fit[10]", "fitted", "fit2[0]", "", "other"]
    lines = [NewLogEntry(Level.INFO, 0, name, name) for name in names]
    execution = kit.append(kit.held(), lines)

    def read(task):
        number, counts = execution.number, execution.log_counts
        page, _ = kit.journal.of_task(number, counts, ALL_LEVELS, 0, 10, task=task)
        counted = kit.journal.count_of_task(number, ALL_LEVELS, 0, len(names), task=task)
        assert counted == len(page)
        return [entry.content for entry in page]

    assert read("fit") == ["fit", "fit[0]", "fit[10]"]
    assert read("fit[0]") == ["fit[0]"]
    assert read("") == [""]


def test_what_tasks_take_is_kept_beside_their_state(kit):
    execution = kit.held(steps=["a", "b"])
    first, second = Usage(1.5, 99.9, 2**40, 2**41), Usage(2.5, 0.0)
    execution = kit.see(
        execution, tasks=(Task("a", TaskStatus.RUNNING),), usage={"a": first, "nobody": first}
    )
    assert usage_of(kit, execution) == [first, Usage()]
    execution = kit.see(execution, tasks=(Task("a", TaskStatus.FAILED, exit_code=1),))
    assert usage_of(kit, execution) == [first, Usage()]
    changed = kit.executions.get(execution.id).changed
    kit.driving.touch(execution, OWNER, execution.cursor, {"a": second, "b": first})
    assert usage_of(kit, execution) == [second, first]
    assert kit.executions.get(execution.id).changed == changed, "no reader is woken"
    kit.driving.touch(execution, "another", execution.cursor, {"a": first})
    assert usage_of(kit, execution) == [second, first], "it holds the execution no more"


def usage_of(kit, execution):
    fields = ("cpu_seconds", "cpu_percent", "memory_bytes", "memory_peak_bytes")
    return [
        Usage(*(getattr(task, field) for field in fields))
        for task in kit.executions.tasks(execution)
    ]


def test_the_log_keeps_where_a_line_was_written(kit):
    execution = kit.held()
    lines = [NewLogEntry(Level.INFO, 0, "x", "a", stream=stream) for stream in LogStream]
    execution = kit.append(execution, lines)
    page = kit.journal.page(execution.number, execution.log_counts, ALL_LEVELS, 0, 10)
    assert [LogStream(entry.stream) for entry in page] == list(LogStream)
    page = kit.journal.since(execution.number, execution.log_counts, Level.INFO, 1, 10)
    assert [LogStream(entry.stream) for entry in page] == list(LogStream)[1:]


def test_log_entries_with_long_names_are_stored_once(kit):
    execution = kit.held()
    lines = [NewLogEntry(Level.INFO, 1, f"line {i}", LONG, f"{LONG}{i}") for i in range(3)]
    for _ in range(2):
        execution = kit.append(execution, lines)
    page = kit.journal.page(execution.number, execution.log_counts, Level(15), 0, 10)
    assert [entry.content for entry in page] == ["line 0", "line 1", "line 2"]
    assert {len(entry.task) for entry in page} == {255}


@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("execution_id", 64),
        ("orchestrator", 64),
        ("workflow_id", 512),
        ("owner", 100),
        ("key", 255),
    ],
)
@pytest.mark.parametrize("bad", ["too long", "a\x00b", "\ud800"])
def test_what_executions_are_found_by_is_refused_by_name_where_it_cannot_be_kept(
    kit, field, limit, bad
):
    def intent(name):
        return kit.intent(
            **{"used": UsedKey("ada", name, "digest")} if field == "key" else {field: name}
        )

    name = "n" * (limit + 1) if bad == "too long" else bad
    with pytest.raises(InvalidRequest) as caught:
        kit.launches.create(intent(name))
    assert [(fault.path, str(limit) in fault.message) for fault in caught.value.fields] == [
        (field, True)
    ]
    assert kit.launches.create(intent("n" * limit))[1]


def test_a_long_id_of_the_upstream_is_cut_for_show(kit):
    execution = kit.create()
    kit.launches.launched(execution, {"job": 1}, LONG)
    assert len(kit.executions.get(execution.id).upstream_id) == 100
    doubtful = kit.create()
    kit.launches.doubt(doubtful, "?")
    kit.claim()
    kit.driving.settle(doubtful, "conductor-1", {"job": 2}, upstream_id=LONG)
    assert len(kit.executions.get(doubtful.id).upstream_id) == 100


def test_a_long_name_of_a_workflow_is_cut_for_show(kit):
    assert len(kit.create(workflow_name="n" * 600).workflow_name) == 512


def test_a_thousand_tasks_are_stored_in_few_statements_and_only_those_that_changed(kit):
    names = [f"step-{i}" for i in range(1000)]
    execution = kit.held(steps=names)
    running = tuple(Task(name, TaskStatus.RUNNING, attempts=1) for name in names)
    statements, rows = [], []

    def note(_connection, _cursor, statement, parameters, *_more):
        statements.append(statement)
        if statement.startswith("INSERT INTO tasks"):
            rows.append(len(parameters))

    event.listen(kit.database.engine(), "before_cursor_execute", note)
    execution = kit.see(execution, tasks=running)
    assert len(statements) < 20
    assert {task.status for task in kit.executions.tasks(execution)} == {TaskStatus.RUNNING}
    assert task_names(kit, execution) == names
    rows.clear()
    ended = replace(running[7], status=TaskStatus.SUCCESS)
    execution = kit.see(execution, tasks=(*running[:7], ended, *running[8:]))
    assert rows
    assert sum(rows) < 20
    assert kit.executions.tasks(execution)[7] == ended
    rows.clear()
    kit.see(execution, tasks=(*running[:7], ended, *running[8:]))
    assert rows == []
