"""Executions in the store, as those read them who may know of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select

from app.domain import (
    Attempt,
    Brief,
    Execution,
    ExecutionFilter,
    ExecutionSummary,
    Task,
    TaskStatus,
    Tombstone,
)
from app.errors import NotFound, Purged
from app.store import task_attempts, tombstones
from app.store.briefs import briefs_of
from app.store.database import Database
from app.store.execution_filters import matching
from app.store.execution_views import SUMMARY, WHOLE
from app.store.given_names import id_named
from app.store.last_runs import Place, last_runs
from app.store.schema import LOG_COMPLETE, LOG_GOES_ON, executions, tasks
from app.store.task_rows import TASK_FIELDS

# Made once, since SQLAlchemy takes longer to make one than SQLite to run it.
_TASKS = (
    select(*(tasks.c[name] for name in TASK_FIELDS))
    .where(tasks.c.execution == bindparam("of_execution"))
    .order_by(tasks.c.position)
)

LOOKED_THROUGH: Final = 500
"""Executions among which an earlier one is looked for."""
ENDED_LOOKED_THROUGH: Final = 1000
"""Executions among which is looked for those that ended lately."""


def _last_success(among: ColumnElement[bool]) -> Select[Any]:
    """Build the query for the last success of a task in the executions that a condition tells."""
    recent = (
        select(executions.c.number)
        .where(executions.c.number < bindparam("of_number"), among)
        .order_by(executions.c.number.desc())
        .limit(LOOKED_THROUGH)
    )
    return (
        select(executions.c.id.label("execution_id"), *(tasks.c[name] for name in TASK_FIELDS))
        .join_from(executions, tasks, tasks.c.execution == executions.c.number)
        .where(
            executions.c.number.in_(recent),
            executions.c.workflow_id == bindparam("of_workflow"),
            executions.c.orchestrator == bindparam("of_orchestrator"),
            tasks.c.name == bindparam("of_task"),
            tasks.c.status == TaskStatus.SUCCESS,
            tasks.c.continued_from.is_(None),
        )
        .order_by(executions.c.number.desc())
        .limit(1)
    )


_SUCCESS_OF_ONE = _last_success(executions.c.owner == bindparam("of_owner"))
_SUCCESS_OF_ALL = _last_success(executions.c.workflow_id == bindparam("of_workflow"))


class Executions:
    """The executions in the store, as everybody may see them: nothing here changes them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, execution_id: str) -> Execution:
        """Get one execution.

        Raises:
            NotFound: There is none with this id.
            Purged: There is none any more.
        """
        with self._database.read() as connection:
            try:
                return WHOLE.get(connection, execution_id)
            except NotFound:
                for tombstone in tombstones.of_ids(connection, [execution_id]):
                    raise Purged(str(tombstone)) from None
                raise

    def purged_as(self, reference: str) -> list[Tombstone]:
        """List what was purged of a reference, which is whatever :meth:`get` or a name takes."""
        with self._database.read() as connection:
            return tombstones.known_as(connection, reference)

    def purged(self, ids: Collection[str]) -> list[Tombstone]:
        """List what was purged among some ids."""
        with self._database.read() as connection:
            return tombstones.of_ids(connection, ids)

    def id_named(self, awf_name: str) -> str | None:
        """Return the id of the execution with a name; None if there is none. It never changes."""
        with self._database.read() as connection:
            return id_named(connection, awf_name)

    def known_upstream_as(self, upstream_id: str) -> list[Execution]:
        """List the executions that the upstream's own users know by an id; hardly ever several."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(*WHOLE.columns)
                .where(executions.c.upstream_id == upstream_id)
                .order_by(executions.c.number)
            )
            return [WHOLE.of(row) for row in rows]

    def find(
        self, wanted: ExecutionFilter, offset: int = 0, limit: int | None = None
    ) -> tuple[list[ExecutionSummary], int]:
        """List executions, newest first unless the filter says otherwise.

        Returns:
            The asked-for stretch of them, and the number of all.
        """
        with self._database.read() as connection:
            conditions = matching(wanted, connection.dialect.name)
            total = connection.execute(
                select(func.count()).select_from(executions).where(*conditions)
            ).scalar_one()
            order = executions.c.number.asc() if wanted.oldest_first else executions.c.number.desc()
            statement = select(*SUMMARY.columns).order_by(order)
            if limit is None:
                rows = connection.execute(statement.where(*conditions).offset(offset))
            else:  # what is skipped is counted in an index, without a look at the rows
                numbers = select(executions.c.number).where(*conditions)
                numbers = numbers.order_by(order).offset(offset).limit(limit)
                page = connection.execute(numbers).scalars().all()
                rows = connection.execute(statement.where(executions.c.number.in_(page)))
            return [SUMMARY.of(row) for row in rows], total

    def briefs(self, some: Collection[ExecutionSummary]) -> Mapping[str, Brief]:
        """Read what lists say of some executions, by id; see :func:`briefs_of`."""
        with self._database.read() as connection:
            return briefs_of(connection, some)

    def last_runs(
        self, owner: str, workflows: Collection[Place]
    ) -> Mapping[Place, ExecutionSummary]:
        """Read the last execution that somebody has of each of some workflows."""
        with self._database.read() as connection:
            return last_runs(connection, owner, workflows)

    def open(self, owner: str | None, after: int, limit: int) -> list[ExecutionSummary]:
        """List executions that have not ended, oldest first.

        Args:
            owner: Whose; None for all.
            after: Number of the execution behind which to begin.
            limit: Most executions.
        """
        conditions = [LOG_GOES_ON, executions.c.number > after]
        if owner is not None:  # no index of owners: nearly all of theirs have ended
            conditions.append(executions.c.owner + "" == owner)
        statement = (
            select(*SUMMARY.columns).where(*conditions).order_by(executions.c.number).limit(limit)
        )
        with self._database.read() as connection:
            return [SUMMARY.of(row) for row in connection.execute(statement)]

    def ended_since(self, owner: str | None, since: datetime) -> list[ExecutionSummary]:
        """List executions that were seen to have ended since a moment, in that order.

        Only among the last :data:`ENDED_LOOKED_THROUGH` that ended, and as many of those of which
        their orchestrators did not say when.

        Args:
            owner: Whose; None for all.
            since: The moment.
        """
        at = executions.c.finished_at
        theirs = () if owner is None else (executions.c.owner == owner,)
        said = select(executions.c.number).where(at.is_not(None), *theirs).order_by(at.desc())
        unsaid = (
            select(executions.c.number)
            .where(at.is_(None), LOG_COMPLETE, *theirs)
            .order_by(executions.c.number.desc())
        )
        among = [
            executions.c.number.in_(each.limit(ENDED_LOOKED_THROUGH)) for each in (said, unsaid)
        ]
        statement = (
            select(*SUMMARY.columns)
            .where(or_(*among), executions.c.as_of >= since, LOG_COMPLETE)
            .order_by(executions.c.as_of, executions.c.number)
        )
        with self._database.read() as connection:
            return [SUMMARY.of(row) for row in connection.execute(statement)]

    def get_many(self, ids: Collection[str]) -> list[ExecutionSummary]:
        """Get those of some executions that exist."""
        with self._database.read() as connection:
            rows = connection.execute(select(*SUMMARY.columns).where(executions.c.id.in_(ids)))
            return [SUMMARY.of(row) for row in rows]

    def last_success(
        self, task: str, before: ExecutionSummary, owner: str | None
    ) -> tuple[Execution, Task] | None:
        """Find the last earlier execution of a workflow in which a task succeeded.

        Args:
            task: The task, by its name.
            before: An execution of the workflow, before which to look.
            owner: Whose executions count; None for everybody's.

        Returns:
            It and the task there, which ran in it. None if there is none among the last
            :data:`LOOKED_THROUGH` of the owner; of everybody, among so many of the workflow.
        """
        values = {
            "of_task": task, "of_number": before.number, "of_workflow": before.workflow_id,
            "of_orchestrator": before.orchestrator,
        }  # fmt: skip
        statement = _SUCCESS_OF_ALL
        if owner is not None:
            statement, values = _SUCCESS_OF_ONE, {**values, "of_owner": owner}
        with self._database.read() as connection:
            row = connection.execute(statement, values).mappings().first()
            if row is None:
                return None
            succeeded = _task({name: row[name] for name in TASK_FIELDS})
            return WHOLE.get(connection, row["execution_id"]), succeeded

    def tasks(self, execution: Execution) -> list[Task]:
        """List the tasks of an execution, in the order of the workflow."""
        return self.tasks_of(execution.number)

    def attempts_of(self, number: int) -> list[Attempt]:
        """List the attempts of an execution's tasks that are over, and followed by others."""
        with self._database.read() as connection:
            return task_attempts.of_execution(connection, number)

    def tasks_of(self, number: int) -> list[Task]:
        """List the tasks of the execution with a number."""
        with self._database.read() as connection:
            rows = connection.execute(_TASKS, {"of_execution": number})
            return [_task({**row}) for row in rows.mappings()]


def _task(row: Mapping[str, Any]) -> Task:
    return Task(**{**row, "status": TaskStatus(row["status"])})
