"""Executions: written down before they are launched, and never forgotten afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    case,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    union,
    update,
)
from sqlalchemy.exc import IntegrityError

from app.domain import (
    JSON,
    DesiredState,
    Execution,
    ExecutionFilter,
    ExecutionStatus,
    Task,
    TaskStatus,
)
from app.errors import Conflict, FieldError, InvalidRequest, NotFound
from app.store import task_rows
from app.store.changes import Kind
from app.store.driving import DrivenExecutions
from app.store.execution_rows import (
    FINAL,
    accepted,
    change,
    count_withdrawal,
    holder,
    may_have_begun,
    next_numbers,
    notify,
    now,
    one,
    to_execution,
    unsettled_launches,
)
from app.store.names import fitted, storable
from app.store.schema import Json, executions, launch_keys, tasks
from app.store.stranded import abandon
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

# Made once, since SQLAlchemy takes longer to make one than SQLite to run it.
_ADD = insert(executions).returning(executions)
_USE_KEY = insert(launch_keys)

_CREATE_ATTEMPTS = 10
_LIMITS = {
    "execution_id": 64, "orchestrator": 64, "workflow_id": 512, "owner": 100, "key": 255,
}  # fmt: skip
"""Most characters of what executions are found by, as the tables have them."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What is written down before an orchestrator is asked to launch.

    Attributes:
        steps: Names of the steps, in order.
        key: The key with which the caller repeats a launch, if any.
        request_digest: Digest of what was asked, to tell a repetition from another request.
        reference: Under which the orchestrator finds it, where that is known before it is asked:
            then the launch is accepted by being written down.
    """

    execution_id: str
    orchestrator: str
    workflow_id: str
    workflow_name: str
    owner: str
    inputs: Mapping[str, JSON]
    steps: Sequence[str] = ()
    key: str | None = None
    request_digest: str = ""
    reference: JSON = None


class Executions(DrivenExecutions):
    """The executions in the store, as users and conductors see them."""

    def create(self, intent: Intent) -> tuple[Execution, bool]:
        """Write a launch down.

        Returns:
            The execution, and True; or the one that the same key launched before, and False.

        Raises:
            InvalidRequest: A name is longer than can be kept.
            Conflict: The key was used for another request.
        """
        _require_names(intent)
        for attempt in range(1, _CREATE_ATTEMPTS + 1):
            try:
                create = partial(self._create, intent=intent)
                return self._database.write(create, idempotent=True), True
            except IntegrityError:
                earlier = self._earlier(intent)
                if earlier is not None:
                    return earlier, earlier.id == intent.execution_id
                # It was withdrawn since, and the key is free again.
                if intent.key is None or attempt == _CREATE_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _earlier(self, intent: Intent) -> Execution | None:
        """Find what the same key launched, or what the first of two attempts wrote down."""
        if intent.key is not None:
            return self.launched_with(intent.owner, intent.key, intent.request_digest)
        with suppress(NotFound):
            return self.get(intent.execution_id)
        return None

    def adopt(
        self,
        intent: Intent,
        reference: JSON,
        status: ExecutionStatus,
        started_at: datetime | None,
    ) -> Execution:
        """Write down an execution that runs already; the conductor takes it from here.

        Args:
            intent: What it is.
            reference: Under which its orchestrator finds it.
            status: Its status there.
            started_at: When it began.

        Returns:
            The execution; the one that has the reference already, where there is one.

        Raises:
            InvalidRequest: A name is longer than can be kept.
            Conflict: A launch of which nobody knows yet what it began may have begun it.
        """
        _require_names(intent)

        def work(connection: Connection) -> Execution:
            # What it is was looked up before: a launch that began it is written down by now. One
            # that is settled in between is found as its holder.
            unsettled = unsettled_launches(connection, intent.orchestrator, intent.workflow_id)
            known = holder(connection, intent, reference)
            if known is not None:
                return known
            if any(may_have_begun(launch, started_at) for launch in unsettled):
                raise Conflict("A launch that is not settled yet may have begun it.")
            execution = self._create(connection, intent)
            values = accepted(intent, reference, intent.execution_id, own=True)
            values["started_at"] = started_at
            # A final status is for the conductor to record, together with the log.
            values["status"] = ExecutionStatus.RUNNING if status.final else status
            statement = update(executions).where(executions.c.number == execution.number)
            change(connection, statement.values(**values), execution.number, ("wanted",))
            return one(connection, executions.c.number == execution.number)

        try:
            return self._database.write(work)
        except IntegrityError:  # somebody else asked, or a launch was settled, at the same time
            return self._database.write(work)

    def _create(self, connection: Connection, intent: Intent) -> Execution:
        created_at = now()
        if intent.key is not None:
            used = {
                "owner": intent.owner,
                "key": intent.key,
                "request_digest": intent.request_digest,
                "execution_id": intent.execution_id,
                "created_at": created_at,
            }
            connection.execute(_USE_KEY, used)
        accepted = intent.reference is not None
        kinds: tuple[Kind, ...] = ("wanted", "changed") if accepted else ()
        values = {
            **next_numbers(connection, kinds),
            "id": intent.execution_id,
            "orchestrator": intent.orchestrator,
            "workflow_id": intent.workflow_id,
            "workflow_name": fitted(intent.workflow_name, _LIMITS["workflow_id"]),
            "owner": intent.owner,
            "inputs": dict(intent.inputs),
            "status": ExecutionStatus.PENDING,
            "desired": DesiredState.RUN,
            "reference": intent.reference,
            "created_at": created_at,
            "as_of": created_at,
        }
        row = connection.execute(_ADD, values).one()
        task_rows.add(connection, row.number, intent.steps)
        notify(connection, row.number, kinds)
        return to_execution(row)

    def launched_with(self, owner: str, key: str, request_digest: str) -> Execution | None:
        """Find what a user launched with a key of theirs.

        Raises:
            Conflict: The key was used for another request.
        """
        keys = launch_keys.c
        with self._database.read() as connection:
            row = connection.execute(
                select(executions, keys.request_digest)
                .join(launch_keys, keys.execution_id == executions.c.id)
                .where(keys.owner == owner, keys.key == key)
            ).one_or_none()
        if row is None:
            return None
        if row.request_digest != request_digest:
            raise Conflict("This idempotency key was used for another request.")
        return to_execution(row)

    def launched(
        self,
        execution: Execution,
        reference: JSON,
        upstream_id: str | None = None,
        *,
        own: bool = False,
    ) -> None:
        """Note that the orchestrator accepted a launch; the conductor takes it from here.

        Args:
            execution: The launch.
            reference: Under which the orchestrator finds it.
            upstream_id: The upstream's own id, where it has one.
            own: No other execution may hold the reference.

        Raises:
            Conflict: Another one does.
        """
        values = accepted(execution, reference, upstream_id, own)
        try:
            self._want(execution.number, values)
        except IntegrityError:
            raise Conflict("What the orchestrator gave belongs to another execution.") from None

    def withdraw(self, execution: Execution) -> None:
        """Take back a launch that surely did not happen; its key may be used again."""

        def work(connection: Connection) -> None:
            unsettled = (executions.c.number == execution.number) & executions.c.reference.is_(None)
            if not connection.execute(delete(executions).where(unsettled)).rowcount:
                return
            count_withdrawal(connection, execution.id)
            connection.execute(delete(tasks).where(tasks.c.execution == execution.number))
            connection.execute(
                delete(launch_keys).where(launch_keys.c.execution_id == execution.id)
            )

        self._database.write(work, idempotent=True)

    def doubt(self, execution: Execution, why: str) -> None:
        """Note that nobody knows whether a launch happened; the conductor finds out."""
        self._want(execution.number, {"status": ExecutionStatus.UNKNOWN, "error": why})

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

    def desire(
        self, execution: Execution, desired: DesiredState, shown: ExecutionStatus | None = None
    ) -> bool:
        """Write down what the user wants of an execution that has not ended.

        Args:
            execution: The execution.
            desired: The state to work towards.
            shown: Status to show from now on, if it is known already. A launch with unknown outcome
                stays ``UNKNOWN``: nobody can say yet whether there is anything to steer.

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
        if desired is DesiredState.CANCEL:
            return self._want(execution.number, values)
        return self._want(execution.number, values, executions.c.desired != DesiredState.CANCEL)

    def abandon(self, execution: Execution, why: str) -> bool:
        """End an execution by decree; see :func:`app.store.stranded.abandon`."""
        return abandon(self._database, execution, why)

    def follow(self, execution: Execution, until: datetime) -> None:
        """Note that somebody follows an execution, so that it is looked at more often."""
        self._want(execution.number, {"followed_until": until}, quiet=True)

    def _want(
        self,
        number: int,
        values: Mapping[str, Any],
        *conditions: ColumnElement[bool],
        quiet: bool = False,
    ) -> bool:
        def work(connection: Connection) -> bool:
            statement = update(executions).where(
                executions.c.number == number, executions.c.status.not_in(FINAL), *conditions
            )
            kinds: tuple[Kind, ...] = ("wanted",) if quiet else ("wanted", "changed")
            return change(connection, statement.values(**values), number, kinds)

        return self._database.write(work, durable=not quiet, idempotent=True)


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


def _require_names(intent: Intent) -> None:
    """Refuse what only SQLite would keep, and find again.

    Raises:
        InvalidRequest: With each name that is too long, or holds what no database keeps.
    """
    faults = []
    for field, limit in _LIMITS.items():
        name = getattr(intent, field) or ""
        if len(name) > limit or storable(name) != name:
            text = f"must have at most {limit} characters, none of them NUL or half a character"
            faults.append(FieldError(field, text))
    if faults:
        raise InvalidRequest("The launch cannot be kept.", fields=tuple(faults))
