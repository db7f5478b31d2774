"""Executions in the store, as those read them who may know of them."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, func, literal, null, select, union

from app.domain import Execution, ExecutionFilter, Task, TaskStatus
from app.store.database import Database
from app.store.execution_rows import one, to_execution
from app.store.schema import Json, executions, tasks
from app.store.task_rows import TASK_FIELDS

_BRIEF = [
    literal({}, Json).label(column.name)
    if column.name in {"inputs", "outputs"}
    else null().label(column.name)
    if column.name in {"reference", "cursor"}
    else column
    for column in executions.c
]
"""The columns of executions, without the values of those that may be large."""


class Executions:
    """The executions in the store, as everybody may see them: nothing here changes them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, execution_id: str) -> Execution:
        """Get one execution.

        Raises:
            NotFound: There is none with this id.
        """
        with self._database.read() as connection:
            return one(connection, executions.c.id == execution_id)

    def known_upstream_as(self, upstream_id: str) -> list[Execution]:
        """List the executions that the upstream's own users know by an id; hardly ever several."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(executions)
                .where(executions.c.upstream_id == upstream_id)
                .order_by(executions.c.number)
            )
            return [to_execution(row) for row in rows]

    def find(
        self, wanted: ExecutionFilter, offset: int = 0, limit: int | None = None
    ) -> tuple[list[Execution], int]:
        """List executions, newest first, without what may be large of them.

        Returns:
            The asked-for stretch of them, and the number of all.
        """
        matching = _matching(wanted)
        with self._database.read() as connection:
            total = connection.execute(
                select(func.count()).select_from(executions).where(*matching)
            ).scalar_one()
            statement = select(*_BRIEF).order_by(executions.c.number.desc())
            if limit is None:
                rows = connection.execute(statement.where(*matching).offset(offset))
            else:  # what is skipped is counted in an index, without a look at the rows
                numbers = select(executions.c.number).where(*matching)
                numbers = numbers.order_by(executions.c.number.desc()).offset(offset).limit(limit)
                page = connection.execute(numbers).scalars().all()
                rows = connection.execute(statement.where(executions.c.number.in_(page)))
            return [to_execution(row) for row in rows], total

    def open(self, owner: str | None, after: int, limit: int) -> list[Execution]:
        """List executions that have not ended, oldest first, without what may be large of them.

        Args:
            owner: Whose; None for all.
            after: Number of the execution behind which to begin.
            limit: Most executions.
        """
        conditions: list[ColumnElement[bool]] = [
            executions.c.log_complete.is_(False), executions.c.number > after,
        ]  # fmt: skip
        if owner is not None:
            conditions.append(executions.c.owner == owner)
        statement = select(*_BRIEF).where(*conditions).order_by(executions.c.number).limit(limit)
        with self._database.read() as connection:
            return [to_execution(row) for row in connection.execute(statement)]

    def get_many(self, ids: Collection[str]) -> list[Execution]:
        """Get those of some executions that exist, without what may be large of them."""
        with self._database.read() as connection:
            rows = connection.execute(select(*_BRIEF).where(executions.c.id.in_(ids)))
            return [to_execution(row) for row in rows]

    def tasks(self, execution: Execution) -> list[Task]:
        """List the tasks of an execution, in the order of the workflow."""
        return self.tasks_of(execution.number)

    def tasks_of(self, number: int) -> list[Task]:
        """List the tasks of the execution with a number."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(*(tasks.c[name] for name in TASK_FIELDS))
                .where(tasks.c.execution == number)
                .order_by(tasks.c.position)
            )
            return [Task(**{**row, "status": TaskStatus(row["status"])}) for row in rows.mappings()]


def _matching(wanted: ExecutionFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.owner is not None:
        conditions.append(executions.c.owner == wanted.owner)
    if wanted.states is not None:
        conditions.append(executions.c.status.in_(sorted(wanted.states)))
    if wanted.workflow is not None:
        number = select(executions.c.number)
        either = union(  # an OR would make each database look at all rows of the owner
            number.where(executions.c.workflow_id == wanted.workflow),
            number.where(executions.c.workflow_name == wanted.workflow),
        )
        conditions.append(executions.c.number.in_(either))
    return conditions
