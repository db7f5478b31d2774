"""What users want of executions, written down for the conductor that drives them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, bindparam, case, select, update
from sqlalchemy.exc import IntegrityError

from app.domain import (
    ControlledTask,
    DesiredState,
    DesiredTaskState,
    DrivenExecution,
    Execution,
    ExecutionStatus,
    Level,
    NewLogEntry,
    TaskStatus,
    TaskWish,
)
from app.errors import NotFound
from app.execution_names import is_name
from app.store import journal
from app.store.database import Database
from app.store.execution_rows import change, now, want, wanted
from app.store.execution_views import DRIVEN
from app.store.given_names import id_named
from app.store.launches import UsedKey, use_key
from app.store.names import fitted
from app.store.schema import executions, tasks, to_ms
from app.store.stranded import abandon
from app.store.task_rows import NAME_LENGTH

_WISH = (
    update(tasks)
    .where(tasks.c.execution == bindparam("of_execution"), tasks.c.name == bindparam("of_name"))
    .values(desired=bindparam("wish"), generation=tasks.c.generation + bindparam("runs"))
)
_CONTROLLED = select(tasks.c.status, tasks.c.run, tasks.c.desired, tasks.c.generation).where(
    tasks.c.execution == bindparam("of_execution"), tasks.c.name == bindparam("of_name")
)

_STATUSES = (
    select(tasks.c.name, tasks.c.status)
    .where(tasks.c.execution == bindparam("of_execution"))
    .order_by(tasks.c.position)
)


_TOTALS = [executions.c[name] for name in (*journal.COUNTERS, *journal.SIZES)]
_NOT_CANCELLED = executions.c.desired != DesiredState.CANCEL


class _SoAlready(Exception):
    """What is wanted is so already."""


class SteeredExecutions:
    """What users want of executions in the store, and until when somebody follows them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, execution_id: str) -> DrivenExecution:
        """Get an execution, with what its orchestrator is asked with.

        Raises:
            NotFound: There is none with this id.
        """
        with self._database.read() as connection:
            return DRIVEN.get(connection, execution_id)

    def find(self, reference: str) -> DrivenExecution:
        """Get an execution by id or by name.

        Raises:
            NotFound: There is none.
        """
        with self._database.read() as connection:
            id_ = id_named(connection, reference) if is_name(reference) else None
            return DRIVEN.get(connection, id_ or reference)

    def desire(
        self,
        execution: Execution,
        desired: DesiredState,
        shown: ExecutionStatus | None = None,
        *,
        remark: str = "",
    ) -> bool:
        """Write down what the user wants of an execution that has not ended.

        Args:
            execution: The execution.
            desired: The state to work towards.
            shown: Status to show from now on, if it is known already. A launch with unknown outcome
                stays ``UNKNOWN``: nobody can say yet whether there is anything to steer.
            remark: What its log is to say of that; nothing if empty.

        Returns:
            False when it has ended in the meantime, or its end was asked for: that is not taken
            back by a pause or a resume which looked at it before.
        """
        values: dict[str, Any] = {"desired": desired}
        if shown is not None:
            unsettled = (executions.c.status == ExecutionStatus.UNKNOWN) & (
                executions.c.reference.is_(None)
            )
            values["status"] = case((unsettled, ExecutionStatus.UNKNOWN), else_=shown)
        bounds = () if desired is DesiredState.CANCEL else (_NOT_CANCELLED,)
        entry = _remark(remark)

        def work(connection: Connection) -> bool:
            statement = wanted(execution.number, *bounds).values(**values)
            if not change(connection, statement, ("wanted", "changed")):
                return False
            _append(connection, execution.number, entry)
            return True

        return self._database.write(work, idempotent=True)

    def desire_task(
        self,
        execution: Execution,
        task: str,
        desired: DesiredTaskState,
        *,
        anew: bool = False,
        allows: Callable[[ControlledTask], bool] = lambda _: True,
        key: UsedKey | None = None,
        remark: str = "",
    ) -> bool:
        """Write down what the user wants of one task of an execution that has not ended.

        Args:
            execution: The execution.
            task: Name of the task.
            desired: The state to work towards.
            anew: Another run of it is wanted; what runs of it is ended first.
            allows: Is told how the task stands, which does not change until the wish is written.
                False: all is so already, and nothing is written. What it raises refuses the wish.
            key: With which the caller repeats this.
            remark: What the execution's log is to say of that; nothing if empty.

        Returns:
            False when the execution has ended in the meantime, or its end was asked for, or the key
            was used.

        Raises:
            NotFound: The execution has no such task.
        """
        of_task = {"of_execution": execution.number, "of_name": fitted(task, NAME_LENGTH)}
        entry = _remark(remark)

        def work(connection: Connection) -> bool:
            # The execution first, as all who write tasks do: so nobody waits for another in turn.
            statement = wanted(execution.number, _NOT_CANCELLED)
            counted = statement.values(task_wishes=executions.c.task_wishes + 1)
            if not change(connection, counted, ("wanted", "changed") if entry else ("wanted",)):
                return False
            row = connection.execute(_CONTROLLED, of_task).one_or_none()
            if row is None:
                raise NotFound(f"This execution has no task '{task}'.")
            if not allows(_controlled(row)):
                raise _SoAlready
            if key is not None:
                use_key(connection, key, execution.id)
            connection.execute(_WISH, {**of_task, "wish": desired, "runs": int(anew)})
            _append(connection, execution.number, entry)
            return True

        try:
            return self._database.write(work)
        except _SoAlready:
            return True
        except IntegrityError:
            return False

    def task_statuses(self, execution: Execution) -> dict[str, TaskStatus]:
        """Read how the tasks of an execution stand, by name, in the order of the workflow.

        There may be thousands; all that is told of them is for those who list tasks.
        """
        with self._database.read() as connection:
            rows = connection.execute(_STATUSES, {"of_execution": execution.number})
            return {name: TaskStatus(status) for name, status in rows}

    def abandon(self, execution: Execution, why: str) -> bool:
        """End an execution by decree; see :func:`app.store.stranded.abandon`."""
        return abandon(self._database, execution, why)

    def follow(self, execution: Execution, until: datetime) -> None:
        """Note that somebody follows an execution, so that it is looked at more often."""
        want(self._database, execution.number, {"followed_until": until}, quiet=True)


def _controlled(row: Any) -> ControlledTask:
    wish = row.desired and TaskWish(DesiredTaskState(row.desired), row.generation)
    return ControlledTask(TaskStatus(row.status), row.run, wish)


def _remark(text: str) -> NewLogEntry | None:
    """Make the entry of a remark; its id has it stand once where the transaction is repeated."""
    if not text:
        return None
    return NewLogEntry(Level.INFO, to_ms(now()), text, upstream_id=f"remark:{uuid4().hex}")


def _append(connection: Connection, number: int, entry: NewLogEntry | None) -> None:
    """Append a remark to the log of an execution whose row this transaction has changed."""
    if entry is None:
        return
    query = select(*_TOTALS).where(executions.c.number == number)
    totals = journal.Totals.of(connection.execute(query).one())
    totals = journal.append(connection, number, totals, [entry])
    of_it = update(executions).where(executions.c.number == number)
    connection.execute(of_it.values(**totals.columns()))
