"""Launches: written down before an orchestrator is asked, and never forgotten afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from app.domain import JSON, Carried, DesiredState, Execution, ExecutionStatus
from app.errors import (
    Conflict,
    FieldError,
    InvalidRequest,
    KeyOfPurged,
    NotFound,
    QuotaExceeded,
    Superseded,
)
from app.store import launch_times, task_rows, tombstones
from app.store.changes import Kind
from app.store.database import Database
from app.store.execution_rows import (
    FINAL,
    accepted,
    change,
    count_withdrawal,
    holder,
    may_have_begun,
    next_numbers,
    not_ended,
    notifications,
    now,
    unsettled_launches,
    want,
)
from app.store.execution_views import WHOLE
from app.store.given_names import NEXT_FREE_NAME, NEXT_NAME, name_parameters
from app.store.locks import Lock, take_lock
from app.store.names import fitted, storable
from app.store.schema import execution_labels, executions, launch_keys, spent_names, tasks
from app.store.standing import lead, succeed

# Made once, since SQLAlchemy takes longer to make one than SQLite to run it.
_ADD = insert(executions).values(awf_name=NEXT_NAME).returning(*WHOLE.columns)
_ADD_ON_POSTGRESQL = (
    postgresql.insert(executions)
    .values(awf_name=NEXT_FREE_NAME)
    .on_conflict_do_nothing(index_elements=[executions.c.awf_name])
    .returning(*WHOLE.columns)
)
_KINDS: tuple[Kind, ...] = ("wanted", "changed")
_ADD_AND_NOTIFY = _ADD_ON_POSTGRESQL.returning(*notifications(_KINDS)[1:])
_ADD_LABELS = insert(execution_labels)
_USE_KEY = insert(launch_keys)
_LAUNCHED_WITH = (
    select(*WHOLE.columns, launch_keys.c.request_digest, launch_keys.c.execution_id)
    .select_from(launch_keys)
    .outerjoin(executions, launch_keys.c.execution_id == executions.c.id)
    .where(launch_keys.c.owner == bindparam("of_owner"), launch_keys.c.key == bindparam("of_key"))
)
_ENDED = (
    select(
        *(
            executions.c[name]
            for name in (
                *("number", "node", "stays", "status", "desired"),
                *("log_complete", "files_purged_at"),
            )
        )
    )
    .where(executions.c.id == bindparam("of_id"))
    # Nobody purges it meanwhile; see `purging`.
    .with_for_update(read=True)
)
_SUCCESSOR = select(executions.c.id).where(executions.c.continues == bindparam("of_id"))

_SPEND_NAME = insert(spent_names)

_CREATE_ATTEMPTS = 10
_NAME_ATTEMPTS = 100
_LIMITS = {
    "execution_id": 64, "orchestrator": 64, "workflow_id": 512, "owner": 100, "key": 255,
}  # fmt: skip
"""Most characters of what executions are found by, as the tables have them."""


@dataclass(frozen=True, slots=True)
class UsedKey:
    """A key with which a caller repeats a request.

    Attributes:
        owner: Who the caller is.
        request_digest: Digest of what was asked, to tell a repetition from another request.
    """

    owner: str
    key: str
    request_digest: str


@dataclass(frozen=True, slots=True)
class Continued:
    """What an execution that goes on from another one takes over.

    Attributes:
        execution_id: The other one, which has ended.
        run: Names of the tasks that run again; all others are taken over.
        carried: What its orchestrator makes of it.
    """

    execution_id: str
    run: Sequence[str]
    carried: Carried


@dataclass(frozen=True, slots=True)
class Intent:
    """What is written down before an orchestrator is asked to launch.

    Attributes:
        steps: Names of the steps, in order.
        titles: Names of steps for people, by name, of those that have another one.
        needs: Names of the steps that one waits for, by name, of those that wait for any.
        held_back: What its orchestrator needs where some of its tasks are not to run.
        leads: It becomes the current execution of the workflow, which stands.
        version: Of that workflow, as it was read; None for whatever it is.
        used: The key with which the caller repeats a launch, if any.
        reference: Under which the orchestrator finds it, where that is known before it is asked:
            then the launch is accepted by being written down.
        most_open: Most executions of the owner that may not have ended, this one among them; None
            for any number.
        continued: What it takes over of one that has ended; None where it begins from nothing.
        upstream_id: Another id of ours that it has; see
            :meth:`app.clients.orchestrator.Orchestrator.exec_id`.
        workflow_version: Of its definition; None where that was not uploaded.
        name: What its owner calls it.
        labels: What they find it by.
    """

    execution_id: str
    orchestrator: str
    workflow_id: str
    workflow_name: str
    owner: str
    inputs: Mapping[str, JSON]
    steps: Sequence[str] = ()
    used: UsedKey | None = None
    reference: JSON = None
    most_open: int | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    held_back: Carried | None = None
    leads: bool = False
    version: int | None = None
    continued: Continued | None = None
    upstream_id: str | None = None
    workflow_version: int | None = None
    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


class Launches:
    """Writes executions down that are launched, or taken over from where they were started."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, intent: Intent) -> tuple[Execution, bool]:
        """Write a launch down.

        Returns:
            The execution, and True; or the one that the same key launched before, and False.

        Raises:
            InvalidRequest: A name is longer than can be kept.
            Conflict: The key was used for another request, or what is to be continued is continued
                by another one already.
            QuotaExceeded: The owner has as many that have not ended as they may.
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
                if intent.continued is not None:
                    with self._database.read() as connection:
                        # Where another one went on from the same, this says so.
                        _ended(connection, intent.continued, intent.execution_id)
                # It was withdrawn since, and the key is free again.
                if intent.used is None or attempt == _CREATE_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _earlier(self, intent: Intent) -> Execution | None:
        """Find what the same key launched, or what the first of two attempts wrote down."""
        if intent.used is not None and (found := self.launched_with(intent.used)) is not None:
            return found
        with suppress(NotFound), self._database.read() as connection:
            return WHOLE.get(connection, intent.execution_id)
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
            execution = self._create(connection, intent, started_at)
            values = accepted(intent, reference, intent.execution_id, own=True)
            values["started_at"] = started_at
            # A final status is for the conductor to record, together with the log.
            values["status"] = ExecutionStatus.RUNNING if status.final else status
            statement = update(executions).where(executions.c.number == execution.number)
            change(connection, statement.values(**values), ("wanted",))
            return WHOLE.get(connection, execution.id)

        try:
            return self._database.write(work)
        except IntegrityError:  # somebody else asked, or a launch was settled, at the same time
            return self._database.write(work)

    def _create(
        self, connection: Connection, intent: Intent, started_at: datetime | None = None
    ) -> Execution:
        created_at = now()
        if intent.most_open is not None:
            _require_room(connection, intent.owner, intent.most_open)
        if intent.used is not None:
            use_key(connection, intent.used, intent.execution_id)
        continued, carried = intent.continued, intent.held_back
        ended: Any = None
        if continued is not None:
            ended = _ended(connection, continued, intent.execution_id)
            carried = continued.carried
        accepted = intent.reference is not None
        kinds = _KINDS if accepted else ()
        values = {
            **next_numbers(connection, kinds),
            "id": intent.execution_id,
            "orchestrator": intent.orchestrator,
            "workflow_id": intent.workflow_id,
            "workflow_version": intent.workflow_version,
            "workflow_name": fitted(intent.workflow_name, _LIMITS["workflow_id"]),
            "owner": intent.owner,
            "inputs": dict(intent.inputs),
            "status": ExecutionStatus.PENDING,
            "desired": DesiredState.RUN,
            "reference": intent.reference,
            "upstream_id": intent.upstream_id,
            "created_at": created_at,
            "as_of": created_at,
            **launch_times.asked(),
            "cursor": None if carried is None else carried.cursor,
            "continues": None if continued is None else continued.execution_id,
            "node": None if ended is None else ended.node,  # where its files are
            "stays": ended is not None and ended.stays,
            "name": intent.name,
            "labels": dict(intent.labels) or None,
            **name_parameters(intent.workflow_id, started_at or created_at),
        }
        row = _add(connection, values, notify=bool(kinds))
        if intent.labels:
            _add_labels(connection, row.number, intent)
        if continued is None:
            task_rows.add(connection, row.number, intent.steps, intent.titles, intent.needs)
        else:
            task_rows.take_over(connection, row.number, ended.number, continued.execution_id)
            task_rows.renew(connection, row.number, continued.run)
            succeed(connection, intent.workflow_id, ended.number, row.number)
        if carried is not None:
            task_rows.store(connection, row.number, carried.tasks, carried.task_cursors)
        if intent.leads:
            lead(connection, intent.workflow_id, row.number, intent.version)
        return WHOLE.of(row)

    def launched_with(self, used: UsedKey) -> Execution | None:
        """Find what a user launched with a key of theirs.

        Raises:
            Conflict: The key was used for another request.
            KeyOfPurged: What was launched with it was purged.
        """
        with self._database.read() as connection:
            found = connection.execute(_LAUNCHED_WITH, {"of_owner": used.owner, "of_key": used.key})
            row = found.one_or_none()
        if row is None:
            return None
        if row.request_digest != used.request_digest:
            raise Conflict("This idempotency key was used for another request.")
        if row.id is None:
            self._refuse_purged(row.execution_id)
            return None
        return WHOLE.of(row)

    def _refuse_purged(self, execution_id: str) -> None:
        """Refuse the key of an execution that was purged; one that was withdrawn has none.

        Raises:
            KeyOfPurged: It was.
        """
        with self._database.read() as connection:
            for tombstone in tombstones.of_ids(connection, [execution_id]):
                text = f"{tombstone} Its idempotency key is not used again: launch with another."
                raise KeyOfPurged(text)

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
            want(self._database, execution.number, values)
        except IntegrityError:
            raise Conflict("What the orchestrator gave belongs to another execution.") from None

    def stands(self, execution_id: str) -> bool | None:
        """Return whether a launch will not be withdrawn any more.

        Returns:
            True when it is accepted, in doubt or over; False when it was withdrawn; None as long as
            nobody knows.
        """
        columns = executions.c.reference.is_(None).label("unanswered"), executions.c.status
        with self._database.read() as connection:
            row = connection.execute(
                select(*columns).where(executions.c.id == execution_id)
            ).one_or_none()
        if row is None:
            return False
        open_ = row.status not in {ExecutionStatus.UNKNOWN, *FINAL}
        return None if row.unanswered and open_ else True

    def withdraw(self, execution: Execution) -> None:
        """Take back a launch that surely did not happen; its key may be used again."""

        def work(connection: Connection) -> None:
            unsettled = (executions.c.number == execution.number) & executions.c.reference.is_(None)
            if not connection.execute(delete(executions).where(unsettled)).rowcount:
                return
            connection.execute(_SPEND_NAME, {"name": execution.awf_name})
            count_withdrawal(connection, execution.id)
            for table in (tasks, execution_labels):
                connection.execute(delete(table).where(table.c.execution == execution.number))
            connection.execute(
                delete(launch_keys).where(launch_keys.c.execution_id == execution.id)
            )

        self._database.write(work, idempotent=True)

    def doubt(self, execution: Execution, why: str) -> None:
        """Note that nobody knows whether a launch happened; the conductor finds out."""
        want(self._database, execution.number, {"status": ExecutionStatus.UNKNOWN, "error": why})


def use_key(connection: Connection, used: UsedKey, execution_id: str) -> None:
    """Note that a key was used for an execution.

    Raises:
        IntegrityError: It was used already.
    """
    values = {
        "owner": used.owner,
        "key": used.key,
        "request_digest": used.request_digest,
        "execution_id": execution_id,
        "created_at": now(),
    }
    connection.execute(_USE_KEY, values)


def _ended(connection: Connection, continued: Continued, successor: str) -> Any:
    """Return the row of an execution from which another one is to go on.

    Args:
        connection: A connection.
        continued: Says which.
        successor: Id of the other one.

    Raises:
        NotFound: It is gone.
        Conflict: It has not ended, or goes on in yet another one.
    """
    of_id = {"of_id": continued.execution_id}
    row = connection.execute(_ENDED, of_id).one_or_none()
    if row is None:
        raise NotFound("There is no such execution.")
    if not row.log_complete:
        raise not_ended(row, "The execution has not ended.")
    if row.files_purged_at is not None:
        raise Conflict("The files of the execution were purged, so nothing can go on from it.")
    found = connection.execute(_SUCCESSOR, of_id).scalar()
    if found not in (None, successor):
        raise Superseded(f"The execution goes on in the execution '{found}' already.")
    return row


def _add(connection: Connection, values: Mapping[str, Any], *, notify: bool) -> Any:
    """Add the row of an execution under the next name of its stem, and return it.

    Raises:
        Conflict: Others are given the same names at the same time, again and again.
    """
    if connection.dialect.name != "postgresql":  # SQLite lets one write at a time
        return connection.execute(_ADD, values).one()
    statement = _ADD_AND_NOTIFY if notify else _ADD_ON_POSTGRESQL
    for _ in range(_NAME_ATTEMPTS):
        row = connection.execute(statement, values).one_or_none()
        if row is not None:
            return row
        # Whoever gave this name was done just after the statement began; the next one sees that.
    text = "Too many executions of this workflow are begun at once."
    raise Conflict(text, retry_after_seconds=1)


def _add_labels(connection: Connection, number: int, intent: Intent) -> None:
    of_it = {"execution": number, "owner": intent.owner}
    rows = [{"key": key, "value": value, **of_it} for key, value in intent.labels.items()]
    connection.execute(_ADD_LABELS, rows)


def _require_names(intent: Intent) -> None:
    """Refuse what only SQLite would keep, and find again.

    Raises:
        InvalidRequest: With each name that is too long, or holds what no database keeps.
    """
    faults = []
    for name, limit in _LIMITS.items():
        holder = intent.used if name == "key" else intent
        value = getattr(holder, name, "")
        if len(value) > limit or storable(value) != value:
            text = f"must have at most {limit} characters, none of them NUL or half a character"
            faults.append(FieldError(name, text))
    if faults:
        raise InvalidRequest("The launch cannot be kept.", fields=tuple(faults))


def _require_room(connection: Connection, owner: str, most: int) -> None:
    """Make sure that one more execution of an owner may be open."""
    take_lock(connection, Lock.LAUNCH, owner)
    open_ones = (
        select(executions.c.number)
        .where(executions.c.owner == owner, executions.c.status.not_in(FINAL))
        .limit(most)
    )
    if len(connection.execute(open_ones).all()) >= most:
        text = f"You have {most} executions that have not ended, which is the most for one user."
        raise QuotaExceeded(text, ("running-executions",))
