import inspect
import re
from dataclasses import fields

import pytest
from sqlalchemy import event

from app.domain import (
    Attempt,
    DrivenExecution,
    Execution,
    ExecutionFilter,
    ExecutionStatus,
    ExecutionSummary,
    TaskStatus,
)
from app.store.executions import Executions
from app.store.launches import UsedKey

DRIVERS = {field.name for field in fields(DrivenExecution)} - {
    field.name for field in fields(Execution)
}
LARGE = {"inputs", "outputs"}

LISTS = {
    "find": lambda e, held: e.find(ExecutionFilter(owners=frozenset({"ada"})))[0],
    "find a page": lambda e, held: e.find(ExecutionFilter(workflow="flow"), 0, 10)[0],
    "open": lambda e, held: e.open(None, 0, 10),
    "get_many": lambda e, held: e.get_many([held.id]),
    "last_runs": lambda e, held: e.last_runs("ada", [("flow", "local")]).values(),
}
SINGLE = {
    "get": lambda e, held: [e.get(held.id)],
    "known_upstream_as": lambda e, held: e.known_upstream_as("theirs"),
}
TASKS = {
    "tasks": lambda e, held: e.tasks(held),
    "tasks_of": lambda e, held: e.tasks_of(held.number),
    "attempts_of": lambda e, held: e.attempts_of(held.number),
}
NAMES = {"id_named", "purged", "purged_as", "last_success", "briefs", "ended_since"}
"""What gives no execution, or all of one beside another thing (``test_last_success``)."""


@pytest.fixture
def held(kit):
    """An execution that has everything that a view could leave out."""
    execution = kit.create(inputs={"text": "x" * 1000})
    kit.launches.launched(execution, {"job": "secret"}, "theirs")
    kit.claim()
    return kit.see(
        kit.driving.get(execution.id), cursor={"large": "c" * 1000}, outputs={"text": "y"},
        attempts=(Attempt("first", 1, TaskStatus.FAILED),),
    )  # fmt: skip


@pytest.fixture
def selected(kit):
    """The columns of executions that statements select, as they are read."""
    columns = set()

    def note(connection, cursor, statement, *_):
        chosen = re.split(r"\sFROM\s", statement, maxsplit=1)[0]
        columns.update(re.findall(r"\bexecutions\.(\w+)", chosen))

    reader = kit.database._reader
    event.listen(reader, "before_cursor_execute", note)
    yield columns
    event.remove(reader, "before_cursor_execute", note)


def test_all_that_readers_may_ask_is_looked_at_here():
    asked = {name.split()[0] for name in (*LISTS, *SINGLE, *TASKS, *NAMES)}
    offered = {n for n, _ in inspect.getmembers(Executions, inspect.isfunction) if n[0] != "_"}
    assert asked == offered


@pytest.mark.parametrize("read", [*LISTS.values(), *TASKS.values()], ids=[*LISTS, *TASKS])
def test_lists_select_neither_what_is_large_nor_what_is_for_drivers(kit, held, selected, read):
    assert read(kit.executions, held)
    assert not selected & (DRIVERS | LARGE)


@pytest.mark.parametrize("read", LISTS.values(), ids=LISTS)
def test_lists_give_summaries(kit, held, read):
    [found] = read(kit.executions, held)
    assert type(found) is ExecutionSummary
    for field in fields(ExecutionSummary):
        assert getattr(found, field.name) == getattr(held, field.name), field.name


@pytest.mark.parametrize("read", SINGLE.values(), ids=SINGLE)
def test_readers_select_nothing_that_is_for_drivers(kit, held, selected, read):
    [found] = read(kit.executions, held)
    assert type(found) is Execution
    assert selected >= LARGE
    assert not selected & DRIVERS
    for field in fields(Execution):
        assert getattr(found, field.name) == getattr(held, field.name), field.name


def test_who_launches_gets_what_readers_get(kit):
    intent = kit.intent(used=UsedKey("ada", "k", "d"))
    launch, _ = kit.launches.create(intent)
    again, _ = kit.launches.create(intent)
    earlier = kit.launches.launched_with(intent.used)
    adopted = kit.launches.adopt(
        kit.intent(workflow_id="other"), {"job": 7}, ExecutionStatus.RUNNING, None
    )
    assert {type(each) for each in (launch, again, earlier, adopted)} == {Execution}
    assert adopted == kit.executions.get(adopted.id)


def test_drivers_get_all(kit, held):
    for driven in (kit.driving.get(held.id), kit.steered.get(held.id)):
        assert driven == held
        assert (driven.reference, driven.cursor) == ({"job": "secret"}, {"large": "c" * 1000})
