"""The journal: the stored, ordered log of an execution.

Entries are numbered from 0 without gaps, in the order in which they arrived. Every ``BLOCK``
entries a checkpoint holds how many entries of each level stand before it, so the n-th entry that a
filter lets through is found by bisection, and a page costs the same at any place. Totals are
counters of the execution's row; nothing is ever counted or skipped row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, text

from app.domain import ALL_LEVELS, Level, NewLogEntry
from app.store.database import Database
from app.store.schema import log_entries

BLOCK = 256
LEVELS = (Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR)
_COLUMNS = ("execution", "sequence", "level", "timestamp", "task", "content", "upstream_id")
COUNTERS = ("n_debug", "n_info", "n_warn", "n_error")

Counts = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of the journal.

    Attributes:
        sequence: Its place in the journal, from 0; never changes.
        level: One of the bits of :class:`app.domain.Level`.
    """

    sequence: int
    level: int
    timestamp_ms: int
    task: str
    content: str


def count(counts: Counts, levels: Level) -> int:
    """Count the entries that a filter lets through."""
    return sum(n for level, n in zip(LEVELS, counts, strict=True) if level & levels)


def append(
    connection: Connection, number: int, counts: Counts, entries: Sequence[NewLogEntry]
) -> Counts:
    """Append entries, within a transaction that holds the execution's row.

    Args:
        connection: The transaction.
        number: Number of the execution.
        counts: Entries of each level so far, from the execution's row.
        entries: New entries, in order; those whose upstream id is known are left out.

    Returns:
        The new counts, to be stored in the execution's row.
    """
    rows: list[tuple[Any, ...]] = []
    checkpoints: list[tuple[int, ...]] = []
    totals = list(counts)
    sequence = sum(counts)
    for entry in _unknown(connection, number, entries):
        if sequence % BLOCK == 0:
            checkpoints.append((number, sequence // BLOCK, *totals))
        rows.append(
            (number, sequence, int(entry.level), entry.timestamp_ms, entry.task,
             _storable(entry.content), entry.upstream_id)
        )  # fmt: skip
        totals[entry.level.bit_length() - 1] += 1
        sequence += 1
    _insert(connection, "log_entries", _COLUMNS, rows)
    _insert(connection, "log_checkpoints", ("execution", "block", *COUNTERS), checkpoints)
    return (totals[0], totals[1], totals[2], totals[3])


class Journal:
    """Reads the journals of executions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, number: int, counts: Counts, levels: Level, start: int, size: int
    ) -> list[LogEntry]:
        """Read entries of some levels.

        Args:
            number: Number of the execution.
            counts: Entries of each level, as the caller knows them; nothing behind them is read.
            levels: Bits of the levels to let through.
            start: Index of the first entry, counted within those let through.
            size: Most entries to read.
        """
        size = min(size, count(counts, levels) - start)
        if size <= 0:
            return []
        with self._database.read() as connection:
            if levels == ALL_LEVELS:
                return self._range(connection, number, start, size)
            block, before = self._seek(connection, number, counts, levels, start)
            statement, parameters = _filtered(levels)
            rows = connection.execute(
                statement,
                {**parameters, "execution": number, "sequence": block * BLOCK, "size": size,
                 "skip": start - before, "reach": start - before + size},
            )  # fmt: skip
            return [LogEntry(*row) for row in rows]

    def index_of(self, number: int, counts: Counts, levels: Level, sequence: int) -> int:
        """Count the entries let through that stand before a place in the journal.

        Args:
            number: Number of the execution.
            counts: Entries of each level, as the caller knows them.
            levels: Bits of the levels to let through.
            sequence: Place in the journal.
        """
        sequence = min(sequence, sum(counts))
        if levels == ALL_LEVELS:
            return sequence
        block = sequence // BLOCK
        with self._database.read() as connection:
            row = connection.execute(
                text(
                    "SELECT n_debug, n_info, n_warn, n_error FROM log_checkpoints"
                    " WHERE execution = :execution AND block = :block"
                ),
                {"execution": number, "block": block},
            ).one_or_none()
            before = count(tuple(row), levels) if row is not None else count(counts, levels)
            if row is None:
                return before
            within = connection.execute(
                text(
                    "SELECT count(*) FROM log_entries WHERE execution = :execution"
                    " AND sequence >= :first AND sequence < :last AND (level & :levels) <> 0"
                ),
                {"execution": number, "first": block * BLOCK, "last": sequence,
                 "levels": int(levels)},
            ).scalar_one()  # fmt: skip
        return before + int(within)

    @staticmethod
    def _range(connection: Connection, number: int, start: int, size: int) -> list[LogEntry]:
        rows = connection.execute(
            _RANGE, {"execution": number, "first": start, "last": start + size}
        )
        return [LogEntry(*row) for row in rows]

    @staticmethod
    def _seek(
        connection: Connection, number: int, counts: Counts, levels: Level, start: int
    ) -> tuple[int, int]:
        """Find the last block with at most ``start`` entries let through before it."""
        if start == 0:
            return 0, 0
        bits = {
            f"on_{c}": int(bool(level & levels)) for c, level in zip(COUNTERS, LEVELS, strict=True)
        }
        row = connection.execute(
            _BISECT,
            {"execution": number, "start": start, "blocks": -(-sum(counts) // BLOCK), **bits},
        ).one()
        return row[0], row[1]


_RANGE = text(
    "SELECT sequence, level, timestamp, task, content FROM log_entries"
    " WHERE execution = :execution AND sequence >= :first AND sequence < :last ORDER BY sequence"
)

_LET_THROUGH = " + ".join(f"c.{name} * CAST(:on_{name} AS INTEGER)" for name in COUNTERS)

# Each round halves the range [low, high) of blocks with one look-up by primary key.
_BISECT = text(
    f"""
    WITH RECURSIVE bisect(low, high, seen) AS (
      SELECT CAST(0 AS BIGINT), CAST(:blocks AS BIGINT), CAST(0 AS BIGINT)
      UNION ALL
      SELECT CASE WHEN {_LET_THROUGH} <= :start THEN c.block ELSE b.low END,
             CASE WHEN {_LET_THROUGH} <= :start THEN b.high ELSE c.block END,
             CASE WHEN {_LET_THROUGH} <= :start THEN {_LET_THROUGH} ELSE b.seen END
      FROM bisect b JOIN log_checkpoints c
        ON c.execution = :execution AND c.block = (b.low + b.high) / 2
      WHERE b.high - b.low > 1
    )
    SELECT low, seen FROM bisect ORDER BY high - low LIMIT 1
    """
)


def _filtered(levels: Level) -> tuple[Any, dict[str, int]]:
    """Build the query for a page of some levels: one index range for each, merged.

    A test of the bits could not seek in the index, and would read past every rare line.
    """
    wanted = [level for level in LEVELS if level & levels]
    branches = " UNION ALL ".join(
        "SELECT sequence FROM (SELECT sequence FROM log_entries"
        f" WHERE execution = :execution AND level = :level_{int(level)} AND sequence >= :sequence"
        f" ORDER BY sequence LIMIT :reach) AS of_{int(level)}"
        for level in wanted
    )
    statement = text(
        "SELECT e.sequence, e.level, e.timestamp, e.task, e.content FROM"
        f" (SELECT sequence FROM ({branches}) AS merged"
        "  ORDER BY sequence LIMIT :size OFFSET :skip) AS page"
        " JOIN log_entries e ON e.execution = :execution AND e.sequence = page.sequence"
        " ORDER BY e.sequence"
    )
    return statement, {f"level_{int(level)}": int(level) for level in wanted}


def _unknown(
    connection: Connection, number: int, entries: Sequence[NewLogEntry]
) -> Iterable[NewLogEntry]:
    """Leave out the entries whose upstream id is stored already, or stands twice."""
    ids = [entry.upstream_id for entry in entries if entry.upstream_id is not None]
    if not ids:
        return entries
    known: set[str | None] = set()
    statement = select(log_entries.c.upstream_id).where(
        log_entries.c.execution == number,
        log_entries.c.upstream_id.in_(bindparam("ids", expanding=True)),
    )
    for start in range(0, len(ids), 500):
        rows = connection.execute(statement, {"ids": ids[start : start + 500]})
        known.update(rows.scalars())
    fresh = []
    for entry in entries:
        if entry.upstream_id is None or entry.upstream_id not in known:
            known.add(entry.upstream_id)
            fresh.append(entry)
    return fresh


def _storable(content: str) -> str:
    """Replace what no database keeps: NUL, and halves of surrogate pairs."""
    if content.isascii():
        return content.replace("\x00", "\ufffd") if "\x00" in content else content
    return content.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _insert(
    connection: Connection, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]
) -> None:
    """Insert rows the fast way of each database; names are constants of this module."""
    if not rows:
        return
    names = ", ".join(columns)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
        return
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101  (a live connection always has one)
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def counts_of(row: Any) -> Counts:
    """Give the counters of an execution's row."""
    return (row.n_debug, row.n_info, row.n_warn, row.n_error)
