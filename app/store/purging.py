"""Purging: what has ended long ago, or whose owner wants it gone, is removed for good.

It takes two steps, so that no transaction is long. The first says that something is gone: readers
know it from there on, and what is to be removed is written down beside it. The second removes
that, some rows at a time. Whoever dies in between leaves what is written down to the next one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Select,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)

from app.errors import Conflict
from app.store.database import Database
from app.store.execution_rows import (
    FINAL,
    change,
    next_numbers,
    not_ended,
    notifications,
    now,
)
from app.store.journal import BLOCK, COUNTERS
from app.store.schema import (
    LOG_COMPLETE,
    ends_told,
    execution_labels,
    executions,
    load_metrics,
    load_reports,
    load_runs,
    load_tasks,
    log_checkpoints,
    log_entries,
    removals,
    spent_names,
    standing_workflows,
    task_attempts,
    tasks,
    tombstones,
)

AT_ONCE: Final = 25
"""Most executions that one transaction says are gone."""
ENTRIES_AT_ONCE: Final = 1000
"""Most log entries that one transaction removes."""

_COLUMN: Final = executions.c
_LATER: Final = executions.alias("later")
_GOES_ON: Final = select(_LATER.c.number).where(_LATER.c.continues == _COLUMN.id)
# No index of statuses may be chosen for this: nearly all executions have ended.
_ENDED: Final = (LOG_COMPLETE, (_COLUMN.status + "").in_(FINAL))
_ENTRIES: Final = sum((_COLUMN[name] for name in COUNTERS), literal(0))


class What(IntEnum):
    """What can be purged of an execution."""

    EXECUTIONS = 1
    """All of it, but for its tombstone."""
    LOGS = 2
    FILES = 3
    """Its folders of work and output, on the disks of its machine."""


_KEPT: Final[Mapping[What, tuple[ColumnElement[bool], ...]]] = {
    # What another one goes on from is kept as long as that: it has its tasks and its files.
    What.EXECUTIONS: (*_ENDED, ~_GOES_ON.exists()),
    What.LOGS: (*_ENDED, _COLUMN.log_purged_at.is_(None)),
    What.FILES: (
        *_ENDED,
        _COLUMN.files_purged_at.is_(None),
        ~_GOES_ON.where(_LATER.c.files_purged_at.is_(None)).exists(),
    ),
}
"""Of which executions each can be purged."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What is still to be removed of one execution.

    Attributes:
        execution: Its number.
        execution_id: Its id.
        entries: Log entries that are left.
    """

    execution: int
    kind: What
    execution_id: str
    orchestrator: str
    entries: int


class Purging:
    """Purges executions, logs and files, and removes what is left of them in the store.

    Args:
        database: The store.
        files: The orchestrators whose executions have files on disks of ours, by name, and whether
            those are on one machine only.
    """

    def __init__(self, database: Database, files: Mapping[str, bool]) -> None:
        self._database = database
        self._files = files

    def count(self, what: What, before: datetime) -> int:
        """Count the executions of which something would be purged that ended before a moment."""
        number = select(func.count()).select_from(executions)
        with self._database.read() as connection:
            return sum(
                int(connection.execute(number.where(*conditions)).scalar_one())
                for conditions in _old(what, before)
            )

    def purge_old(self, what: What, before: datetime, by: str) -> int:
        """Purge something of executions that ended before a moment, the oldest first.

        Args:
            what: What of them.
            before: The moment.
            by: Who asks for it, or what.

        Returns:
            The number of those of which it was purged, at most :data:`AT_ONCE`; 0 at the end.
        """
        oldest = select(_COLUMN.number).order_by(_COLUMN.finished_at).limit(AT_ONCE)
        for conditions in _old(what, before):
            with self._database.read() as connection:
                numbers = connection.execute(oldest.where(*conditions)).scalars().all()
            if numbers:
                work = partial(self._purge, what=what, numbers=numbers, by=by)
                return self._database.write(work, durable=False, idempotent=True)
        return 0

    def purge(self, number: int, by: str) -> None:
        """Purge one execution, whatever its age.

        Raises:
            Conflict: It has not ended, or another one goes on from it.
        """

        def work(connection: Connection) -> None:
            if not self._purge(connection, What.EXECUTIONS, [number], by):
                _refuse(connection, number)

        self._database.write(work, idempotent=True)

    def _purge(self, connection: Connection, what: What, numbers: Sequence[int], by: str) -> int:
        _by_index(connection)
        if connection.dialect.name == "postgresql":
            # Whoever goes on from one of them holds its row until others see that they do.
            locked = select(_COLUMN.number).where(_COLUMN.number.in_(numbers))
            connection.execute(locked.order_by(_COLUMN.number).with_for_update())
        rows = connection.execute(_to_purge(what, numbers)).all()
        if not rows:
            return 0
        if what is What.EXECUTIONS:
            self._replace(connection, rows, by)
        else:
            noted = update(executions).where(_COLUMN.number.in_([row.number for row in rows]))
            change(connection, noted.values(**{_NOTED[what]: now()}), ("changed",))
            self._write_down(connection, what, rows)
        return len(rows)

    def _replace(self, connection: Connection, rows: Sequence[Any], by: str) -> None:
        """Put tombstones in the place of executions."""
        numbers, moment = [row.number for row in rows], now()
        counted = next_numbers(connection, ("changed",)).get("changed", 0)
        made = [
            {
                **{name: getattr(row, name) for name in _OF_TOMBSTONE},
                "name": row.awf_name, "purged_at": moment, "purged_by": by, "changed": counted,
            }
            for row in rows
        ]  # fmt: skip
        connection.execute(insert(tombstones), made)
        connection.execute(insert(spent_names), [{"name": row.awf_name} for row in rows])
        current = standing_workflows.c.execution.in_(numbers)
        version = standing_workflows.c.version + 1
        connection.execute(
            update(standing_workflows).where(current).values(execution=None, version=version)
        )
        gone = delete(executions).where(_COLUMN.number.in_(numbers))
        is_told = connection.dialect.name == "postgresql"
        connection.execute(gone.returning(*notifications(("changed",))) if is_told else gone)
        self._write_down(connection, What.EXECUTIONS, rows)
        self._write_down(connection, What.FILES, rows)

    def _write_down(self, connection: Connection, kind: What, rows: Sequence[Any]) -> None:
        concerned = [
            row for row in rows if kind is not What.FILES or row.orchestrator in self._files
        ]
        asked = [
            {
                "execution": row.number, "kind": kind, "execution_id": row.id,
                "orchestrator": row.orchestrator, "entries": row.entries, "asked_at": now(),
                "node": row.node if row.stays or self._files.get(row.orchestrator) else None,
            }
            for row in concerned
        ]  # fmt: skip
        if asked:
            numbers = [row.number for row in concerned]
            connection.execute(_removed(kind, numbers))  # asked for already, and begun perhaps
            connection.execute(insert(removals), asked)

    def check(self, number: int) -> None:
        """Make sure that an execution can be purged.

        Raises:
            Conflict: It has not ended, or another one goes on from it.
        """
        with self._database.read() as connection:
            if not connection.execute(_to_purge(What.EXECUTIONS, [number])).all():
                _refuse(connection, number)

    def is_anything_left(self) -> bool:
        """Return whether anything of the store is still to be removed."""
        with self._database.read() as connection:
            found = connection.execute(_LEFT.limit(1)).first()
        return found is not None

    def remove_some(self) -> int:
        """Remove some of what is left in the store; return how many executions were looked at."""
        return self._database.write(_remove_some, durable=False, idempotent=True)

    def files_left(self, nodes: Collection[str], after: int, most: int) -> list[Removal]:
        """List whose files are to be removed from a machine.

        Args:
            nodes: Names of the machine.
            after: Number of the execution behind which to begin.
            most: Most of them.
        """
        table = removals.c
        statement = (
            _SHOWN.where(table.kind == What.FILES, table.execution > after)
            .where(or_(table.node.is_(None), table.node.in_(nodes)))
            .where(table.orchestrator.in_(self._files))
            .order_by(table.execution)
            .limit(most)
        )
        with self._database.read() as connection:
            return [_removal(row) for row in connection.execute(statement)]

    def files_count(self) -> int:
        """Count the executions whose files are still to be removed, on all machines."""
        statement = select(func.count()).select_from(removals)
        with self._database.read() as connection:
            found = connection.execute(statement.where(removals.c.kind == What.FILES))
            return int(found.scalar_one())

    def files_removed(self, removal: Removal) -> None:
        """Note that the files of an execution are gone."""
        done = _removed(What.FILES, [removal.execution])
        self._database.write(lambda c: c.execute(done), durable=False, idempotent=True)


_NO_SEQUENTIAL_SCANS: Final = text("SET LOCAL enable_seqscan = off")
_NOTED: Final = {What.LOGS: "log_purged_at", What.FILES: "files_purged_at"}
_OF_TOMBSTONE: Final = ("number", "id", "upstream_id", "orchestrator", "workflow_id", "owner")
_SHOWN: Final = select(
    *(removals.c[n] for n in ("execution", "kind", "execution_id", "orchestrator", "entries"))
)
_LEFT: Final = _SHOWN.where(removals.c.kind.in_((What.EXECUTIONS, What.LOGS))).order_by(
    removals.c.kind, removals.c.execution
)
_BY_NUMBER: Final = {
    What.LOGS: (log_entries, log_checkpoints),
    What.EXECUTIONS: (
        log_entries, log_checkpoints, tasks, task_attempts, execution_labels, ends_told, load_runs,
        load_metrics, load_tasks,
    ),
}  # fmt: skip
"""What has rows of an execution by its number."""


def _old(what: What, before: datetime) -> tuple[tuple[ColumnElement[bool], ...], ...]:
    """Return two conditions, each for a range of an index; none fulfils both."""
    # Where its orchestrator did not say when it ended, that is when it was seen to have.
    unsaid = (_COLUMN.finished_at.is_(None), _COLUMN.as_of < before)
    return (*_KEPT[what], _COLUMN.finished_at < before), (*_KEPT[what], *unsaid)


def _to_purge(what: What, numbers: Sequence[int]) -> Select[Any]:
    columns = (*_OF_TOMBSTONE, "awf_name", "node", "stays")
    return select(*(_COLUMN[name] for name in columns), _ENTRIES.label("entries")).where(
        _COLUMN.number.in_(numbers), *_KEPT[what]
    )


def _refuse(connection: Connection, number: int) -> None:
    """Say why an execution is not purged; one that is gone was purged by another.

    Raises:
        Conflict: It has not ended, or another one goes on from it.
    """
    row = connection.execute(
        select(_COLUMN.log_complete, _COLUMN.id, _COLUMN.status, _COLUMN.desired).where(
            _COLUMN.number == number
        )
    ).one_or_none()
    if row is None:
        return
    if not row.log_complete:
        raise not_ended(row, "The execution has not ended; cancel it first.")
    later = connection.execute(select(_COLUMN.id).where(_COLUMN.continues == row.id)).scalar()
    raise Conflict(f"The execution goes on in the execution '{later}': purge that one first.")


def _by_index(connection: Connection) -> None:
    """Have a transaction go through no table, whatever PostgreSQL believes of their sizes.

    What it knows of them is from when it last looked, and here they grow from nothing and shrink to
    nothing in between. Going through 20,000 rows for each 25 took four times as long.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_NO_SEQUENTIAL_SCANS)


def _remove_some(connection: Connection) -> int:
    """Remove the rows of some executions, or some entries of one with a long log."""
    _by_index(connection)
    some: list[Removal] = []
    for row in connection.execute(_LEFT.limit(AT_ONCE)):
        removal = _removal(row)
        is_alike = not some or removal.kind is some[0].kind
        if is_alike and sum(each.entries for each in (*some, removal)) <= ENTRIES_AT_ONCE:
            some.append(removal)
            continue
        if not some:
            _shorten(connection, removal)
            return 1
        break
    if some:
        kind, numbers = some[0].kind, [each.execution for each in some]
        for statement in _of_executions(kind, numbers):
            connection.execute(statement)
        connection.execute(_removed(kind, numbers))
    return len(some)


def _shorten(connection: Connection, removal: Removal) -> None:
    """Remove the last entries of a long log that are left; its checkpoints go with them."""
    left = removal.entries - ENTRIES_AT_ONCE
    entry, checkpoint = log_entries.c, log_checkpoints.c
    connection.execute(
        delete(log_entries).where(entry.execution == removal.execution, entry.sequence >= left)
    )
    connection.execute(
        delete(log_checkpoints).where(
            checkpoint.execution == removal.execution, checkpoint.block > left // BLOCK
        )
    )
    table = removals.c
    of_it = update(removals).where(table.execution == removal.execution, table.kind == removal.kind)
    connection.execute(of_it.values(entries=left))


def _of_executions(kind: What, numbers: Sequence[int]) -> list[Delete]:
    tables = [delete(table).where(table.c.execution.in_(numbers)) for table in _BY_NUMBER[kind]]
    if kind is not What.EXECUTIONS:
        return tables
    of_them = select(load_tasks.c.id).where(load_tasks.c.execution.in_(numbers))
    return [delete(load_reports).where(load_reports.c.task.in_(of_them)), *tables]


def _removed(kind: What, numbers: Sequence[int]) -> Delete:
    # The index of kinds may not be chosen for this: it would find all of the kind.
    return delete(removals).where(removals.c.kind + 0 == kind, removals.c.execution.in_(numbers))


def _removal(row: Any) -> Removal:
    return Removal(row.execution, What(row.kind), row.execution_id, row.orchestrator, row.entries)
