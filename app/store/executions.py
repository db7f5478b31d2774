"""Executions: written down before they are launched, and never forgotten afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Update,
    case,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError

from app.domain import (
    FINAL_STATUSES,
    JSON,
    DesiredState,
    Execution,
    ExecutionFilter,
    ExecutionStatus,
    Observation,
    Task,
    TaskStatus,
)
from app.errors import Conflict, NotFound
from app.store import journal
from app.store.changes import Kind
from app.store.database import Database
from app.store.schema import executions, launch_keys, tasks

_FINAL = tuple(FINAL_STATUSES)
_TASK_FIELDS = tuple(f.name for f in fields(Task))
_ENUMS = {"status": ExecutionStatus, "desired": DesiredState}
_PLAIN = tuple(
    f.name
    for f in fields(Execution)
    if f.name not in {"log_counts", "log_bytes", "outputs", *_ENUMS}
)


def now() -> datetime:
    """Give the present moment, in whole milliseconds as the store keeps it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@dataclass(frozen=True, slots=True)
class Intent:
    """What is written down before an orchestrator is asked to launch.

    Attributes:
        steps: Names of the steps, in order.
        key: The caller's ``Idempotency-Key``, if any.
        request_digest: Digest of what was asked, to tell a repetition from another request.
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


class NotHeld(Conflict):
    """The execution is with another conductor, or with none."""


class Executions:
    """The executions in the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, intent: Intent) -> tuple[Execution, bool]:
        """Write a launch down.

        Returns:
            The execution, and True; or the one that the same key launched before, and False.

        Raises:
            Conflict: The key was used for another request.
        """
        for attempt in range(1, _CREATE_ATTEMPTS + 1):
            try:
                return self._database.write(lambda c: self._create(c, intent)), True
            except IntegrityError:
                earlier = self._launched_with(intent)
                if earlier is not None:
                    return earlier, False
                # It was withdrawn since, and the key is free again.
                if intent.key is None or attempt == _CREATE_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

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
        """

        def work(connection: Connection) -> Execution:
            execution = self._create(connection, intent)
            values = {"reference": reference, "started_at": started_at}
            # A final status is for the conductor to record, together with the log.
            values["status"] = ExecutionStatus.RUNNING if status.final else status
            statement = update(executions).where(executions.c.number == execution.number)
            _change(connection, statement.values(**values), execution.number, ("wanted",))
            return _one(connection, executions.c.number == execution.number)

        try:
            return self._database.write(work)
        except IntegrityError:  # somebody else asked at the same time
            return self.get(intent.execution_id)

    def _create(self, connection: Connection, intent: Intent) -> Execution:
        created_at = now()
        if intent.key is not None:
            connection.execute(
                insert(launch_keys).values(
                    owner=intent.owner,
                    key=intent.key,
                    request_digest=intent.request_digest,
                    execution_id=intent.execution_id,
                    created_at=created_at,
                )
            )
        number = connection.execute(
            insert(executions)
            .values(
                id=intent.execution_id,
                orchestrator=intent.orchestrator,
                workflow_id=intent.workflow_id,
                workflow_name=intent.workflow_name,
                owner=intent.owner,
                inputs=dict(intent.inputs),
                status=ExecutionStatus.PENDING,
                desired=DesiredState.RUN,
                created_at=created_at,
                as_of=created_at,
            )
            .returning(executions.c.number)
        ).scalar_one()
        if intent.steps:
            connection.execute(
                insert(tasks),
                [
                    {"execution": number, "name": name, "position": i, "status": TaskStatus.PENDING}
                    for i, name in enumerate(intent.steps)
                ],
            )
        return _one(connection, executions.c.number == number)

    def _launched_with(self, intent: Intent) -> Execution | None:
        keys = launch_keys.c
        with self._database.read() as connection:
            row = connection.execute(
                select(executions, keys.request_digest)
                .join(launch_keys, keys.execution_id == executions.c.id)
                .where(keys.owner == intent.owner, keys.key == intent.key)
            ).one_or_none()
        if row is None:
            return None
        if row.request_digest != intent.request_digest:
            raise Conflict("This Idempotency-Key was used for another request.")
        return _execution(row)

    def launched(self, execution: Execution, reference: JSON) -> None:
        """Note that the orchestrator accepted a launch; the conductor takes it from here."""
        self._want(execution.number, {"reference": reference})

    def withdraw(self, execution: Execution) -> None:
        """Take back a launch that surely did not happen; its key may be used again."""

        def work(connection: Connection) -> None:
            unsettled = (executions.c.number == execution.number) & executions.c.reference.is_(None)
            if not connection.execute(delete(executions).where(unsettled)).rowcount:
                return
            connection.execute(delete(tasks).where(tasks.c.execution == execution.number))
            connection.execute(
                delete(launch_keys).where(launch_keys.c.execution_id == execution.id)
            )

        self._database.write(work)

    def doubt(self, execution: Execution, why: str) -> None:
        """Note that nobody knows whether a launch happened; the conductor finds out."""
        self._want(execution.number, {"status": ExecutionStatus.UNKNOWN, "error": why})

    def get(self, execution_id: str) -> Execution:
        """Get one execution.

        Raises:
            NotFound: There is none with this id.
        """
        with self._database.read() as connection:
            return _one(connection, executions.c.id == execution_id)

    def find_by_reference(
        self, orchestrator: str, workflow_id: str, reference: JSON
    ) -> Execution | None:
        """Find the execution that an orchestrator knows by a reference."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(executions.c.number, executions.c.reference).where(
                    executions.c.orchestrator == orchestrator,
                    executions.c.workflow_id == workflow_id,
                    executions.c.reference.is_not(None),
                )
            )
            number = next((row.number for row in rows if row.reference == reference), None)
            return None if number is None else _one(connection, executions.c.number == number)

    def find(
        self, wanted: ExecutionFilter, offset: int = 0, limit: int | None = None
    ) -> tuple[list[Execution], int]:
        """List executions, newest first.

        Returns:
            The asked-for stretch of them, and the number of all.
        """
        conditions = []
        if wanted.owner is not None:
            conditions.append(executions.c.owner == wanted.owner)
        if wanted.status is not None:
            conditions.append(executions.c.status == wanted.status)
        if wanted.workflow is not None:
            conditions.append(
                (executions.c.workflow_id == wanted.workflow)
                | (executions.c.workflow_name == wanted.workflow)
            )
        with self._database.read() as connection:
            total = connection.execute(
                select(func.count()).select_from(executions).where(*conditions)
            ).scalar_one()
            rows = connection.execute(
                select(executions)
                .where(*conditions)
                .order_by(executions.c.number.desc())
                .offset(offset)
                .limit(limit)
            )
            return [_execution(row) for row in rows], total

    def open(self, owner: str | None) -> list[Execution]:
        """List the executions of a user, or of all, that have not ended, oldest first."""
        conditions: list[ColumnElement[bool]] = [executions.c.log_complete.is_(False)]
        if owner is not None:
            conditions.append(executions.c.owner == owner)
        with self._database.read() as connection:
            rows = connection.execute(
                select(executions).where(*conditions).order_by(executions.c.number)
            )
            return [_execution(row) for row in rows]

    def get_many(self, ids: Collection[str]) -> list[Execution]:
        """Get those of some executions that exist."""
        with self._database.read() as connection:
            rows = connection.execute(select(executions).where(executions.c.id.in_(ids)))
            return [_execution(row) for row in rows]

    def tasks(self, execution: Execution) -> list[Task]:
        """List the tasks of an execution, in the order of the workflow."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(*(tasks.c[name] for name in _TASK_FIELDS))
                .where(tasks.c.execution == execution.number)
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
                executions.c.number == number, executions.c.status.not_in(_FINAL), *conditions
            )
            kinds: tuple[Kind, ...] = ("wanted",) if quiet else ("wanted", "changed")
            return _change(connection, statement.values(**values), number, kinds)

        return self._database.write(work)

    def claim(
        self, owner: str, node: str, lease_seconds: float, bound: Collection[str], limit: int
    ) -> list[Execution]:
        """Take over executions that nobody drives.

        Args:
            owner: Id of the conductor.
            node: Name of its machine.
            lease_seconds: How long they are its own without a renewal.
            bound: Orchestrators of our own, whose executions stay on the machine that began them
                and whose launches take no time.
            limit: Most to take.
        """
        moment = now()

        def work(connection: Connection) -> list[Execution]:
            free = (
                select(executions.c.number)
                .where(
                    executions.c.log_complete.is_(False),
                    executions.c.reference.is_not(None)
                    | (executions.c.status == ExecutionStatus.UNKNOWN)
                    | (executions.c.created_at < moment - _LAUNCH_TIME)
                    | (
                        executions.c.orchestrator.in_(bound)
                        & (executions.c.created_at < moment - _LOCAL_LAUNCH_TIME)
                    ),
                    executions.c.lease_until.is_(None) | (executions.c.lease_until < moment),
                    executions.c.node.is_(None)
                    | (executions.c.node == node)
                    | executions.c.orchestrator.not_in(bound),
                )
                .order_by(executions.c.number)
                .limit(limit)
            )
            if connection.dialect.name == "postgresql":
                free = free.with_for_update(skip_locked=True)
            numbers = connection.execute(free).scalars().all()
            if not numbers:
                return []
            rows = connection.execute(
                update(executions)
                .where(executions.c.number.in_(numbers))
                .values(
                    lease_owner=owner,
                    lease_until=moment + timedelta(seconds=lease_seconds),
                    node=node,
                )
                .returning(executions)
            )
            return sorted((_execution(row) for row in rows), key=lambda e: e.number)

        return self._database.write(work)

    def renew(self, owner: str, lease_seconds: float) -> None:
        """Keep all executions of a conductor for some time more."""
        until = now() + timedelta(seconds=lease_seconds)
        self._database.write(
            lambda c: c.execute(
                update(executions)
                .where(executions.c.lease_owner == owner, executions.c.log_complete.is_(False))
                .values(lease_until=until)
            )
        )

    def release(self, owner: str) -> None:
        """Let go of all executions of a conductor."""
        self._database.write(
            lambda c: c.execute(
                update(executions)
                .where(executions.c.lease_owner == owner)
                .values(lease_owner=None, lease_until=None)
            )
        )

    def settle(self, execution: Execution, owner: str, reference: JSON) -> None:
        """Note what became of a launch with unknown outcome, unless that is known meanwhile.

        Args:
            execution: The execution.
            owner: Id of the conductor that holds it.
            reference: What the orchestrator gave; None when the launch did not happen.

        Raises:
            NotHeld: Another conductor holds the execution.
        """

        def work(connection: Connection) -> None:
            row = _held(connection, execution.number, owner)
            if row.reference is not None or ExecutionStatus(row.status).final:
                return
            statement = update(executions).where(executions.c.number == execution.number)
            values = _settled(row, reference)
            _change(connection, statement.values(**values), execution.number, ("changed",))

        self._database.write(work)

    def record(self, execution: Execution, owner: str, seen: Observation) -> Execution:
        """Store an observation: status, tasks, journal and cursor, all or nothing.

        Args:
            execution: The execution as it was before.
            owner: Id of the conductor that holds it.
            seen: What its orchestrator saw.

        Returns:
            The execution as it is now.

        Raises:
            NotHeld: Another conductor holds the execution.
        """

        def work(connection: Connection) -> Execution:
            row = _held(connection, execution.number, owner)
            totals = journal.append(
                connection, execution.number, journal.Totals.of(row), seen.entries
            )
            for task in seen.tasks:
                _store_task(connection, execution.number, task)
            values = _observed(row, seen) | totals.columns()
            statement = update(executions).where(executions.c.number == execution.number)
            _change(connection, statement.values(**values), execution.number, ("changed",))
            return _one(connection, executions.c.number == execution.number)

        return self._database.write(work)

    def touch(self, execution: Execution, owner: str, cursor: JSON) -> None:
        """Note that an observation found nothing new; wakes nobody."""
        self._database.write(
            lambda c: c.execute(
                update(executions)
                .where(executions.c.number == execution.number, executions.c.lease_owner == owner)
                .values(as_of=now(), cursor=cursor)
            )
        )


# A launch whose web process was killed is taken up when no live one can still be at it.
_LAUNCH_TIME = timedelta(seconds=90)
_LOCAL_LAUNCH_TIME = timedelta(seconds=5)
_CREATE_ATTEMPTS = 10


def _held(connection: Connection, number: int, owner: str) -> Any:
    statement: Select[Any] = select(executions).where(
        executions.c.number == number, executions.c.lease_owner == owner
    )
    if connection.dialect.name == "postgresql":
        statement = statement.with_for_update()
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise NotHeld("Another conductor drives this execution.")
    return row


def _settled(row: Any, reference: JSON) -> dict[str, Any]:
    """Choose the columns that the outcome of a launch changes."""
    if reference is None:
        text_ = "The orchestrator never received the launch; it is safe to launch again."
        return {
            "status": ExecutionStatus.FAILED,
            "error": text_,
            "as_of": now(),
            "finished_at": now(),
            "log_complete": True,
        }
    cancelled = row.desired == DesiredState.CANCEL
    status = ExecutionStatus.CANCELLING if cancelled else ExecutionStatus.PENDING
    return {"status": status, "error": None, "as_of": now(), "reference": reference}


def _observed(row: Any, seen: Observation) -> dict[str, Any]:
    """Choose the columns that an observation changes; a final status stays as it is."""
    values: dict[str, Any] = {
        "as_of": now(),
        "cursor": seen.cursor,
        "log_complete": seen.log_complete,
    }
    if ExecutionStatus(row.status).final:
        return values
    status = seen.status
    if row.desired == DesiredState.CANCEL and not status.final:
        status = ExecutionStatus.CANCELLING
    values.update(
        status=status, error=seen.error, progress=seen.progress, finished_at=seen.finished_at
    )
    if seen.started_at is not None:
        values["started_at"] = seen.started_at
    if seen.outputs is not None:
        values["outputs"] = dict(seen.outputs)
    return values


def _store_task(connection: Connection, number: int, task: Task) -> None:
    values = {name: getattr(task, name) for name in _TASK_FIELDS if name != "name"}
    changed = connection.execute(
        update(tasks).where(tasks.c.execution == number, tasks.c.name == task.name).values(**values)
    )
    if not changed.rowcount:
        position = (
            select(func.count()).where(tasks.c.execution == number).correlate(None)
        ).scalar_subquery()
        connection.execute(
            insert(tasks).values(execution=number, name=task.name, position=position, **values)
        )


def _change(connection: Connection, statement: Update, number: int, kinds: Sequence[Kind]) -> bool:
    """Run an update of one execution and let the feeds know."""
    if connection.dialect.name == "sqlite":
        for kind in kinds:
            latest = select(func.coalesce(func.max(executions.c[kind]), 0) + 1)
            statement = statement.values({kind: latest.scalar_subquery()})
    if not connection.execute(statement).rowcount:
        return False
    if connection.dialect.name == "postgresql":
        for kind in kinds:
            connection.execute(
                text("SELECT pg_notify(:channel, id) FROM executions WHERE number = :number"),
                {"channel": f"slipway_{kind}", "number": number},
            )
    return True


def _one(connection: Connection, condition: Any) -> Execution:
    row = connection.execute(select(executions).where(condition)).one_or_none()
    if row is None:
        raise NotFound("There is no such execution.")
    return _execution(row)


def _execution(row: Any) -> Execution:
    values = {name: getattr(row, name) for name in _PLAIN}
    values |= {name: enum(getattr(row, name)) for name, enum in _ENUMS.items()}
    totals = journal.Totals.of(row)
    return Execution(
        **values, outputs=row.outputs or {}, log_counts=totals.counts, log_bytes=totals.sizes
    )
