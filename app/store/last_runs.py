"""The last execution of each of some workflows."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Connection,
    Select,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
)

from app.domain import ExecutionSummary
from app.store.execution_views import SUMMARY
from app.store.schema import executions

Place = tuple[str, str]
"""Id of a workflow, and the name of its orchestrator."""

_AT_ONCE: Final = 500
"""Workflows of one statement, each a look into an index."""


def last_runs(
    connection: Connection, owner: str, workflows: Collection[Place]
) -> dict[Place, ExecutionSummary]:
    """Read the last execution that somebody has of each of some workflows.

    Returns:
        By workflow; those that they never launched are not in it.
    """
    wanted = list(workflows)
    statement = _statement(connection.dialect.name)
    found: dict[Place, ExecutionSummary] = {}
    for first in range(0, len(wanted), _AT_ONCE):
        asked = json.dumps(wanted[first : first + _AT_ONCE])
        rows = connection.execute(statement, {"asked": asked, "of_owner": owner})
        for execution in map(SUMMARY.of, rows):
            found[execution.workflow_id, execution.orchestrator] = execution
    return found


@lru_cache(2)
def _statement(dialect: str) -> Select[Any]:
    """Build the statement, which takes the workflows as one text: so it is the same for all."""
    asked: Any = bindparam("asked", type_=Text)
    places: Any
    if dialect == "sqlite":
        places = func.json_each(asked).table_valued("value")
        workflow, orchestrator = (
            func.json_extract(places.c.value, f"$[{place}]") for place in (0, 1)
        )
    else:
        of_json = func.json_array_elements(cast(asked, JSON))
        places = of_json.table_valued(column("value", JSON)).render_derived()
        workflow, orchestrator = (places.c.value[place].as_string() for place in (0, 1))
    one = executions.alias("one")
    last = (
        select(func.max(one.c.number))
        .where(
            one.c.owner == bindparam("of_owner"),
            one.c.workflow_id == workflow,
            one.c.orchestrator == orchestrator,
        )
        .correlate(places)
        .scalar_subquery()
    )
    numbers = select(last).select_from(places)
    return select(*SUMMARY.columns).where(executions.c.number.in_(numbers))
