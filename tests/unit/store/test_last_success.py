"""Where a task succeeded last, before an execution in which it did not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import event, text
from test_references_and_lists import among_others

from app.domain import ExecutionStatus, Task, TaskStatus
from app.store import executions as module


@pytest.fixture
def succeeded(kit):
    """Write down an execution in which the first task succeeded, or came to another end."""

    def make(status=TaskStatus.SUCCESS, **more):
        execution = kit.held(**more)
        kit.see(execution, ExecutionStatus.FAILED, tasks=(Task("first", status),))
        return kit.executions.get(execution.id)

    return make


@pytest.mark.parametrize("owner", ["ada", None])
def test_it_is_the_last_earlier_one_of_the_workflow(kit, succeeded, owner):
    succeeded()
    wanted = succeeded(inputs={"n": 7})
    succeeded(TaskStatus.FAILED)
    succeeded(workflow_id="other")
    succeeded(orchestrator="elsewhere")
    now = succeeded(TaskStatus.FAILED)
    succeeded()  # later
    found, task = kit.executions.last_success("first", now, owner)
    assert (found, task.status) == (wanted, TaskStatus.SUCCESS)
    assert found.inputs == {"n": 7}
    assert kit.executions.last_success("second", now, owner) is None


def test_of_one_owner_or_of_everybody(kit, succeeded):
    mine, theirs = succeeded(), succeeded(owner="bob")
    now = succeeded(TaskStatus.FAILED)
    assert kit.executions.last_success("first", now, "ada")[0] == mine
    assert kit.executions.last_success("first", now, "bob")[0] == theirs
    assert kit.executions.last_success("first", now, None)[0] == theirs
    assert kit.executions.last_success("first", now, "eve") is None


def test_what_was_taken_over_succeeded_elsewhere(kit, succeeded):
    ran = succeeded()
    taken = kit.held()
    kit.see(taken, tasks=(Task("first", TaskStatus.SUCCESS, continued_from=ran.id),))
    now = succeeded(TaskStatus.FAILED)
    assert kit.executions.last_success("first", now, "ada")[0] == ran


@pytest.mark.parametrize("owner", ["ada", None])
def test_it_is_looked_for_among_a_bounded_number(kit, succeeded, owner, monkeypatch):
    far = succeeded()
    for _ in range(3):
        now = succeeded(TaskStatus.FAILED)
    statement = module._last_success
    monkeypatch.setattr(module, "LOOKED_THROUGH", 2)
    for name, among in (("ONE", module.executions.c.owner == "ada"),
                        ("ALL", module.executions.c.workflow_id == "flow")):  # fmt: skip
        monkeypatch.setattr(module, f"_SUCCESS_OF_{name}", statement(among))
    assert kit.executions.last_success("first", now, owner) is None
    monkeypatch.setattr(module, "LOOKED_THROUGH", 3)
    for name, among in (("ONE", module.executions.c.owner == "ada"),
                        ("ALL", module.executions.c.workflow_id == "flow")):  # fmt: skip
        monkeypatch.setattr(module, f"_SUCCESS_OF_{name}", statement(among))
    assert kit.executions.last_success("first", now, owner)[0] == far


@pytest.mark.parametrize("owner", ["ada", None])
def test_no_table_is_gone_through(kit, succeeded, owner):
    statements = []

    def note(_connection, _cursor, statement, parameters, *_more):
        statements.append((statement, parameters))

    only = succeeded()
    now = replace(only, number=only.number + 1)
    event.listen(kit.database._reader, "before_cursor_execute", note)
    assert kit.executions.last_success("first", now, owner) is not None
    event.remove(kit.database._reader, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if kit.database.is_sqlite else "EXPLAIN "
    with kit.database._writer.connect() as connection:
        if not kit.database.is_sqlite:
            connection.execute(among_others())
            connection.execute(text("ANALYZE executions"))
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        statement, parameters = statements[0]
        rows = connection.exec_driver_sql(explain + statement, parameters)
        plan = "\n".join(str(row[-1]) for row in rows)
    assert "Seq Scan" not in plan
    assert "SCAN executions" not in plan
    assert "SCAN tasks" not in plan
