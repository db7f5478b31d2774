"""What users ask for that a conductor carries out: filed, claimed, finished once, and forgotten.

A conductor holds what it carries out under its own id, and only the holder's result counts. What
the dead held is carried out again where that does no harm, and fails otherwise.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from app.domain import JSON, Operation, OperationState
from app.errors import QuotaExceeded
from app.store.conductors import SILENT_LEASES
from app.store.database import Database
from app.store.execution_rows import now, tell
from app.store.locks import Lock, take_lock
from app.store.schema import conductors, operations

PREFIX: Final = "op-"
"""How the ids of operations begin, and those of executions do not."""

_FIELDS: Final = (
    "id", "kind", "owner", "subject", "arguments", "state", "made_at", "result", "error",
    "error_code", "finished_at", "tries",
)  # fmt: skip
_SHOWN: Final = select(*(operations.c[name] for name in _FIELDS))
_OPEN: Final = operations.c.state.in_([OperationState.WAITING, OperationState.RUNNING])
_RETRY_SECONDS: Final = 20.0
"""When whoever has too many may come back: most end by then."""
_KEPT: Final = timedelta(days=1)
_LONGEST_WAIT: Final = timedelta(minutes=10)
"""What nobody has begun with by then is of no use to whoever asked."""
_MOST_TRIES: Final = 3
_LOOKED_AT: Final = 50
_LATE: Final = "No conductor began with it within ten minutes. Ask again."
_LOST: Final = (
    "The conductor ended while it carried this out, so it is not known how far it came. "
    "Look how things are before you ask again."
)


@dataclass(frozen=True, slots=True)
class Room:
    """How many operations of a kind a conductor can begin with.

    Attributes:
        free: Of all users.
        each: Of one user, those under way included.
        owners: How many of whom are under way.
        seconds: How long one can be under way.
        repeatable: Whether one that a dead conductor had may be begun with again.
    """

    free: int
    each: int
    owners: Mapping[str, int]
    seconds: float
    repeatable: bool


class Operations:
    """What was asked for, and what became of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def file(
        self, kind: str, owner: str, subject: str, arguments: Mapping[str, JSON], most: int
    ) -> Operation:
        """Ask for something; what the same user has asked for the same is given again.

        Args:
            kind: What is to be done.
            owner: Who asks.
            subject: What it is about.
            arguments: What else it takes.
            most: How many operations of theirs may be open.

        Raises:
            QuotaExceeded: So many are.
        """

        def work(connection: Connection) -> Operation:
            take_lock(connection, Lock.OPERATION, owner)
            mine = _SHOWN.where(operations.c.owner == owner, _OPEN)
            found = [_operation(row) for row in connection.execute(mine).mappings()]
            for each in found:
                if (each.kind, each.subject, each.arguments) == (kind, subject, arguments):
                    return each
            if len(found) >= most:
                text = f"You have {most} operations under way, which is the most for one user."
                raise QuotaExceeded(text, ("operations",), retry_after_seconds=_RETRY_SECONDS)
            new = Operation(
                f"{PREFIX}{secrets.token_hex(16)}", kind, owner, subject, arguments,
                OperationState.WAITING, now(),
            )  # fmt: skip
            values = {name: getattr(new, name) for name in _FIELDS}
            number = tell(connection, "wanted", new.id)
            connection.execute(insert(operations).values(**values, wanted=number))
            return new

        return self._database.write(work, durable=False)

    def get(self, operation_id: str) -> Operation | None:
        """Read one; None where there is none."""
        with self._database.read() as connection:
            found = connection.execute(_SHOWN.where(operations.c.id == operation_id))
            row = found.mappings().one_or_none()
        return None if row is None else _operation(row)

    def claim(
        self, holder: str, rooms: Mapping[str, Room], lease_seconds: float
    ) -> list[Operation]:
        """Take what there is room for.

        Args:
            holder: Id of the conductor that takes it.
            rooms: Room by kind.
            lease_seconds: The conductors' lease, from which it follows when one is dead.
        """
        kinds = operations.c.kind.in_(rooms)
        lost = and_(operations.c.state == OperationState.RUNNING, _is_lost(holder, lease_seconds))
        waits = operations.c.state == OperationState.WAITING
        late = and_(waits, operations.c.made_at < now() - _LONGEST_WAIT)
        there = select(operations.c.id).where(or_(late, and_(kinds, or_(waits, lost)))).limit(1)
        with self._database.read() as connection:
            if connection.execute(there).first() is None:
                return []

        def work(connection: Connection) -> list[Operation]:
            _end(connection, late, _LATE)
            _let_go(connection, lost, rooms)
            taken = []
            for kind, room in rooms.items():
                taken += _take(connection, holder, kind, room)
            return taken

        return self._database.write(work, durable=False)

    def finish(
        self, operation: Operation, holder: str, *, result: JSON = None,
        error: str | None = None, error_code: str | None = None,
    ) -> bool:  # fmt: skip
        """Write down what came out of what a conductor carried out.

        Args:
            operation: It.
            holder: Id of the conductor.
            result: What came out.
            error: Why it failed; None if it did not.
            error_code: The error's.

        Returns:
            False where the conductor does not hold it any more: its result does not count.
        """
        state = OperationState.DONE if error is None else OperationState.FAILED
        values = {"state": state, "result": result, "error": error, "error_code": error_code}

        def work(connection: Connection) -> bool:
            mine = and_(operations.c.id == operation.id, _held_by(holder))
            return _finish(connection, mine, values) > 0

        return self._database.write(work, durable=False, idempotent=True)

    def release(self, holder: str, repeatable: Mapping[str, bool]) -> None:
        """Leave what a conductor holds to others, as it ends.

        Args:
            holder: Its id.
            repeatable: By kind, whether it may be begun with again.
        """
        again = [kind for kind, may in repeatable.items() if may]

        def work(connection: Connection) -> None:
            _wait_again(connection, and_(_held_by(holder), operations.c.kind.in_(again)))
            _end(connection, _held_by(holder), _LOST)

        self._database.write(work, durable=False)

    def prune(self) -> int:
        """Remove what ended long ago; return how much there was."""
        moment = now()
        old = or_(
            operations.c.finished_at < moment - _KEPT,
            # Of a kind that no conductor knows any more.
            and_(_OPEN, operations.c.made_at < moment - 2 * _KEPT),
        )
        return self._database.write(
            lambda c: c.execute(delete(operations).where(old)).rowcount, durable=False
        )


def _operation(row: Mapping[Any, Any]) -> Operation:
    return Operation(**{**row, "state": OperationState(row["state"])})


def _held_by(holder: str) -> ColumnElement[bool]:
    return and_(operations.c.state == OperationState.RUNNING, operations.c.holder == holder)


def _is_lost(holder: str, lease_seconds: float) -> ColumnElement[bool]:
    """Return whether nobody carries out what is under way: its conductor is gone, or silent."""
    oldest = now() - timedelta(seconds=SILENT_LEASES * lease_seconds)
    alive = select(conductors.c.id).where(conductors.c.beat_at >= oldest)
    gone = and_(operations.c.holder != holder, operations.c.holder.not_in(alive))
    return or_(gone, operations.c.held_until < now())


def _let_go(connection: Connection, lost: ColumnElement[bool], rooms: Mapping[str, Room]) -> None:
    """Have what is lost wait again, or fail where it must not be begun with again."""
    again = [kind for kind, room in rooms.items() if room.repeatable]
    may = and_(operations.c.kind.in_(again), operations.c.tries < _MOST_TRIES)
    _wait_again(connection, and_(lost, may))
    _end(connection, and_(lost, operations.c.kind.in_(rooms)), _LOST)


def _wait_again(connection: Connection, which: ColumnElement[bool]) -> None:
    for id_ in connection.execute(select(operations.c.id).where(which)).scalars().all():
        number = tell(connection, "wanted", id_)
        statement = update(operations).where(operations.c.id == id_, which)
        connection.execute(
            statement.values(
                state=OperationState.WAITING, holder=None, held_until=None, wanted=number
            )
        )


def _end(connection: Connection, which: ColumnElement[bool], why: str) -> None:
    values = {"state": OperationState.FAILED, "error": why, "error_code": "not_carried_out"}
    _finish(connection, which, values)


def _finish(connection: Connection, which: ColumnElement[bool], values: Mapping[str, Any]) -> int:
    count = 0
    for id_ in connection.execute(select(operations.c.id).where(which)).scalars().all():
        statement = update(operations).where(operations.c.id == id_, which)
        number = tell(connection, "changed", id_)
        done = statement.values(
            **values, finished_at=now(), holder=None, held_until=None, changed=number
        )
        count += connection.execute(done).rowcount
    return count


def _take(connection: Connection, holder: str, kind: str, room: Room) -> list[Operation]:
    if room.free <= 0:
        return []
    full = [owner for owner, count in room.owners.items() if count >= room.each]
    ready = and_(
        operations.c.kind == kind,
        operations.c.state == OperationState.WAITING,
        operations.c.owner.not_in(full),
    )
    # In turns: the first of each user goes before the second of any.
    turn = func.row_number().over(partition_by=operations.c.owner, order_by=operations.c.number)
    lined_up = (
        select(operations.c.id, operations.c.owner, operations.c.number, turn.label("turn"))
        .where(ready)
        .subquery()
    )
    statement = (
        select(lined_up.c.id, lined_up.c.owner)
        .order_by(lined_up.c.turn, lined_up.c.number)
        .limit(_LOOKED_AT)
    )
    counts = dict(room.owners)
    taken: list[Operation] = []
    for id_, owner in connection.execute(statement).all():
        if len(taken) >= room.free:
            break
        if counts.get(owner, 0) >= room.each:
            continue
        found = _hold(connection, holder, id_, room.seconds)
        if found is not None:
            counts[owner] = counts.get(owner, 0) + 1
            taken.append(found)
    return taken


def _hold(connection: Connection, holder: str, id_: str, seconds: float) -> Operation | None:
    waits = and_(operations.c.id == id_, operations.c.state == OperationState.WAITING)
    statement = update(operations).where(waits)
    until = now() + timedelta(seconds=seconds)
    values = {"state": OperationState.RUNNING, "holder": holder, "held_until": until}
    if not connection.execute(statement.values(**values, tries=operations.c.tries + 1)).rowcount:
        return None
    found = connection.execute(_SHOWN.where(operations.c.id == id_))
    return _operation(found.mappings().one())
