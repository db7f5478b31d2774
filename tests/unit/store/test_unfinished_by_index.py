"""What is read of executions that have not ended is found by their index, however many have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import event, text
from store_kit import LONG, NODE, OWNER, StoreKit

from app.domain import ExecutionStatus
from app.store.overview import Overview
from app.store.retention import UnusedDefinitions
from app.store.stranded import StrandedExecutions

ENDED = (
    "INSERT INTO executions (id, awf_name, orchestrator, workflow_id, workflow_name, owner, inputs,"
    " reference, status, desired, created_at, as_of, finished_at, log_complete)"
    " SELECT CAST(n AS text), 'other-' || n, 'local', 'flow', 'Flow', 'ada', '{}', '{}',"
    " 'SUCCESS', 'RUN', n, n, n, true FROM generate_series(1, 5000) AS n"
)
READS: dict[str, Callable[[StoreKit], object]] = {
    "the work of all": lambda kit: Overview(kit.database).work(timedelta(seconds=1)),
    "what somebody left running": lambda kit: kit.executions.open("ada", 0, 10),
    "what all left running": lambda kit: kit.executions.open(None, 0, 10),
    "what a conductor takes over": lambda kit: kit.claim(),
    "what a conductor keeps": lambda kit: kit.driving.renew(OWNER, LONG),
    "what no machine serves": lambda kit: _stranded(kit).machines(),
    "what is told of it": lambda kit: _stranded(kit).ids(NODE),
    "which definitions are needed": lambda kit: UnusedDefinitions(kit.database).prune(),
}


def _stranded(kit: StoreKit) -> StrandedExecutions:
    return StrandedExecutions(kit.database, ["local"], LONG)


@pytest.mark.parametrize("name", READS)
def test_executions_that_have_ended_are_not_gone_through(kit: StoreKit, name: str) -> None:
    kit.see(kit.held(), ExecutionStatus.RUNNING)
    if not kit.database.is_sqlite:
        with kit.database._writer.begin() as connection:
            connection.execute(text(ENDED))
            connection.execute(text("ANALYZE executions"))
    statements = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object):
        if "executions" in statement and "log_complete" in statement:
            statements.append((statement, parameters))

    engines = {kit.database._reader, kit.database._writer}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    READS[name](kit)
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)
    assert statements
    explain = "EXPLAIN QUERY PLAN " if kit.database.is_sqlite else "EXPLAIN "
    for statement, parameters in statements:
        with kit.database._writer.connect() as connection:
            rows = connection.exec_driver_sql(explain + statement, parameters)
            plan = "\n".join(str(row[-1]) for row in rows)
        assert "ix_executions_active" in plan, (statement, plan)
        assert "Seq Scan on executions" not in plan, (statement, plan)
