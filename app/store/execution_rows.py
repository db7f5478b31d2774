"""Rows of executions, and the statements that several classes need."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Update,
    bindparam,
    func,
    select,
    text,
    update,
)

from app.domain import (
    FINAL_STATUSES,
    JSON,
    LAUNCH_REACH_SECONDS,
    DesiredState,
    DrivenExecution,
    Execution,
    ExecutionStatus,
    Observation,
)
from app.errors import Conflict
from app.store import counters, journal
from app.store.changes import Kind
from app.store.database import Database
from app.store.definitions import digest_of
from app.store.execution_views import WHOLE
from app.store.names import fitted, storable
from app.store.schema import executions, from_ms, to_ms

FINAL = tuple(FINAL_STATUSES)
UPSTREAM_ID_LENGTH = 100
UNSETTLED = executions.c.reference.is_(None) & executions.c.status.not_in(FINAL)
"""What a launch began, if anything, is not known yet."""
_LARGE = frozenset({"inputs", "outputs", "labels"})

_HELD = select(*(column for column in executions.c if column.name not in _LARGE)).where(
    executions.c.number == bindparam("of_number"), executions.c.lease_owner == bindparam("of_owner")
)
_LOCKED = _HELD.with_for_update()
_ONE = update(executions).where(executions.c.number == bindparam("of_number"))
"""What is set are the other parameters."""

_NOTIFY = text("SELECT pg_notify(:channel, :id)")


def now() -> datetime:
    """Return the present moment, in whole milliseconds as the store keeps it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def not_ended(row: Any, text: str) -> Conflict:
    """Return the refusal of what takes an execution that has ended, which this one has not.

    Asking again soon makes sense only if it ends by itself: its log is still being written, or it
    is being cancelled.

    Args:
        row: Its ``status`` and what is ``desired`` of it.
        text: The sentence.
    """
    ending = row.status in (*FINAL, ExecutionStatus.CANCELLING)
    ends = ending or row.desired == DesiredState.CANCEL
    return Conflict(text, retry_after_seconds=1 if ends else None)


class NotHeld(Conflict):
    """The execution is with another conductor, or with none."""


class WantedMeanwhile(Conflict):
    """What would end an execution does not know yet what is wanted of its tasks."""


def held(connection: Connection, number: int, owner: str) -> Any:
    """Read the row of an execution that a conductor holds, and keep others from changing it.

    What may be large is not read: inputs, outputs and labels.

    Raises:
        NotHeld: Another conductor holds it.
    """
    statement = _LOCKED if connection.dialect.name == "postgresql" else _HELD
    row = connection.execute(statement, {"of_number": number, "of_owner": owner}).one_or_none()
    if row is None:
        raise NotHeld("Another conductor drives this execution.")
    return row


def accepted(launch: Any, reference: JSON, upstream_id: str | None, own: bool) -> dict[str, Any]:
    """Return the columns that say where a launch is found upstream.

    Args:
        launch: Whatever names its orchestrator and its workflow.
        reference: What the orchestrator gave.
        upstream_id: The upstream's own id, where it has one.
        own: No other execution may hold the reference.
    """
    return {
        "reference": reference,
        "reference_key": _reference_key(launch, reference) if own else None,
        "upstream_id": upstream_id and fitted(upstream_id, UPSTREAM_ID_LENGTH),
    }


def _reference_key(launch: Any, reference: JSON) -> str:
    """Return the key by which the database keeps references apart, one execution each."""
    return digest_of([launch.orchestrator, launch.workflow_id, reference])


def settled(row: Any, reference: JSON, upstream_id: str | None, own: bool) -> dict[str, Any]:
    """Return the columns that the outcome of a launch changes; see :func:`accepted`."""
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
    return {
        "status": status,
        "error": None,
        "as_of": now(),
        **accepted(row, reference, upstream_id, own),
    }


def record(
    connection: Connection,
    execution: DrivenExecution,
    row: Any,
    seen: Observation,
    totals: journal.Totals,
) -> DrivenExecution:
    """Store what an observation says of an execution itself, and let its readers know.

    Args:
        connection: A transaction that holds the execution's row.
        execution: The execution as it was before.
        row: That row, as :func:`held` gives it.
        seen: The observation.
        totals: What the journal holds now.

    Returns:
        The execution as it is now.
    """
    values = _observed(row, seen) | {"changed": _count_change(connection, row)}
    statement = _ONE_AND_NOTIFY if connection.dialect.name == "postgresql" else _ONE
    held_here = {"stays": row.stays or seen.stays}
    connection.execute(
        statement, {"of_number": row.number, **values, **held_here, **totals.columns()}
    )
    return replace(
        execution,
        **{**values, "cursor": json.loads(json.dumps(seen.cursor))},
        desired=DesiredState(row.desired),
        task_wishes=row.task_wishes,
        followed_until=row.followed_until,
        log_counts=totals.counts,
        log_bytes=totals.sizes,
    )


def _observed(row: Any, seen: Observation) -> dict[str, Any]:
    """Return the columns that an observation changes; a final status stays as it is."""
    values: dict[str, Any] = {
        "as_of": now(),
        "cursor": seen.cursor,
        "log_complete": seen.log_complete,
        "tries": 0,
        "status": ExecutionStatus(row.status),
        "error": row.error,
        "progress": row.progress,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }
    if values["status"].final:
        return values
    cancelled = row.desired == DesiredState.CANCEL and not seen.status.final
    values.update(
        status=ExecutionStatus.CANCELLING if cancelled else seen.status,
        error=_storable(seen.error),
        progress=seen.progress,
        started_at=_whole(seen.started_at) or row.started_at,
        finished_at=_whole(seen.finished_at),
    )
    if seen.outputs is not None:
        values["outputs"] = dict(seen.outputs)
    return values


def _whole(moment: datetime | None) -> datetime | None:
    """Round a moment to whole milliseconds, as the store keeps it."""
    return None if moment is None else from_ms(to_ms(moment))


def _count_change(connection: Connection, row: Any) -> int:
    """Return the number of a change of a row that the transaction holds; see :func:`change`."""
    if connection.dialect.name == "postgresql":
        return int(row.changed) + 1
    return next_numbers(connection, ("changed",))["changed"]


def _storable(text_: str | None) -> str | None:
    return None if text_ is None else storable(text_)


def change(connection: Connection, statement: Update, kinds: Sequence[Kind]) -> bool:
    """Update executions, and count the change for the feeds; return whether there are any."""
    # Counted before: numbers that nothing was changed with are only skipped.
    counted: dict[str, Any] = next_numbers(connection, kinds)
    if not counted:
        # Nobody looks for the highest number here: each row counts its own changes.
        counted = {kind: executions.c[kind] + 1 for kind in kinds}
    statement = statement.values(**counted)
    if connection.dialect.name == "postgresql":
        return connection.execute(statement.returning(*notifications(kinds))).first() is not None
    return bool(connection.execute(statement).rowcount)


def wanted(number: int, *conditions: ColumnElement[bool]) -> Update:
    """Return the update of an execution that has not ended, while some conditions hold."""
    return update(executions).where(
        executions.c.number == number, executions.c.status.not_in(FINAL), *conditions
    )


def want(
    database: Database,
    number: int,
    values: Mapping[str, Any],
    *conditions: ColumnElement[bool],
    quiet: bool = False,
) -> bool:
    """Change an execution that has not ended, and let its conductor know.

    Args:
        database: The store.
        number: The execution's number.
        values: The columns to change.
        conditions: What must hold beside.
        quiet: No reader can see the change, and a loss of power may take it back.

    Returns:
        Whether it was changed.
    """

    def work(connection: Connection) -> bool:
        statement = wanted(number, *conditions)
        kinds: tuple[Kind, ...] = ("wanted",) if quiet else ("wanted", "changed")
        return change(connection, statement.values(**values), kinds)

    return database.write(work, durable=not quiet, idempotent=True)


def next_numbers(connection: Connection, kinds: Sequence[Kind]) -> dict[str, int]:
    """Return the next number of each kind of change, which all rows share: on SQLite only."""
    if not kinds or connection.dialect.name == "postgresql":
        return {}
    return counters.next_numbers(connection, kinds)


def notifications(kinds: Sequence[Kind]) -> list[ColumnElement[Any]]:
    """Return what a statement of PostgreSQL's returns to notify the listeners of a change.

    They hear of it once it is committed; no statement of its own is needed, and no round trip.
    """
    return [executions.c.number, *(func.pg_notify(f"slipway_{k}", executions.c.id) for k in kinds)]


_ONE_AND_NOTIFY = _ONE.returning(*notifications(("changed",)))


def count_withdrawal(connection: Connection, execution_id: str) -> None:
    """Count a change of an execution whose row is gone, for the feeds."""
    if connection.dialect.name == "postgresql":
        _notify(connection, "touched", execution_id)
    else:
        counters.next_numbers(connection, ("withdrawn",))


def tell(connection: Connection, kind: Kind, id_: str) -> int:
    """Count a change of what is no execution, and has an id that none has, for the feeds.

    Returns:
        The number for its row, which SQLite's feed looks for.
    """
    if connection.dialect.name == "postgresql":
        _notify(connection, kind, id_)
        return 0
    return counters.next_numbers(connection, (kind,))[kind]


def _notify(connection: Connection, kind: Kind, execution_id: str) -> None:
    connection.execute(_NOTIFY, {"channel": f"slipway_{kind}", "id": execution_id})


def of_workflow(orchestrator: str, workflow_id: str) -> ColumnElement[bool]:
    """Return the condition for the executions of one workflow."""
    return (executions.c.orchestrator == orchestrator) & (executions.c.workflow_id == workflow_id)


def claims(
    connection: Connection, orchestrator: str, workflow_id: str
) -> tuple[list[Execution], dict[int, JSON]]:
    """Read which executions of a workflow may come to hold a reference, and which do.

    One that is settled in between is in both, and none is in neither. No reference is too old: an
    orchestrator may resume what had ended.

    Returns:
        Those that are not settled yet, oldest first, and the references by number.
    """
    unsettled = unsettled_launches(connection, orchestrator, workflow_id)
    columns = executions.c.number, executions.c.reference
    mine = of_workflow(orchestrator, workflow_id)
    settled_ = select(*columns).where(mine, executions.c.reference.is_not(None))
    return unsettled, {row.number: row.reference for row in connection.execute(settled_)}


def unsettled_launches(
    connection: Connection, orchestrator: str, workflow_id: str
) -> list[Execution]:
    """Read the launches of a workflow of which nobody knows yet what they began, oldest first."""
    mine = of_workflow(orchestrator, workflow_id)
    statement = select(*WHOLE.columns).where(mine, UNSETTLED).order_by(executions.c.number)
    return [WHOLE.of(row) for row in connection.execute(statement)]


def holder(connection: Connection, launch: Any, reference: JSON) -> Execution | None:
    """Find the one execution that holds a reference; None if there is none.

    Args:
        connection: A transaction.
        launch: Whatever names its orchestrator and its workflow.
        reference: The reference.
    """
    statement = select(*WHOLE.columns).order_by(executions.c.number)
    key = executions.c.reference_key
    # References that were stored before there were keys, of orchestrators that nobody knew then.
    keyless = of_workflow(launch.orchestrator, launch.workflow_id) & key.is_(None)
    for condition in (
        key == _reference_key(launch, reference),
        keyless & (executions.c.reference == reference),
    ):
        row = connection.execute(statement.where(condition)).first()
        if row is not None:
            return WHOLE.of(row)
    return None


def may_have_begun(execution: Execution, started_at: datetime | None) -> bool:
    """Return whether what began at a moment may be what an unsettled launch asked for."""
    reach = timedelta(seconds=LAUNCH_REACH_SECONDS)  # backwards, clocks differ by less
    return started_at is None or abs(started_at - execution.created_at) <= reach
