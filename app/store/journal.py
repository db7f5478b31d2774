"""The journal: the stored, ordered log of an execution.

Entries are numbered from 0 without gaps, in the order in which they arrived. Every ``BLOCK``
entries a checkpoint holds how many entries of each level, and how many bytes of them as text, stand
before it. So the n-th entry and the n-th byte that a filter lets through are found by bisection,
and a page costs the same at any place. Totals are counters of the execution's row; nothing is ever
counted or skipped row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, text

from app.domain import Level, LogEntry, NewLogEntry
from app.log_lines import log_line_bytes
from app.store.bulk import insert_rows
from app.store.database import Database
from app.store.names import fitted, storable
from app.store.schema import log_entries

BLOCK = 256
_NAME_LENGTH = 255
_UNLIMITED = 1 << 62
_LOOKED_THROUGH = 8192
"""Entries that are looked through at once for those of one task."""
_KEPT_TOTALS = 1024
"""How many sums are kept: all who wait for one log, or are given it, need the same few."""
LEVELS = (Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR)
_COLUMNS = (
    "execution", "sequence", "level", "timestamp", "task", "content", "upstream_id", "stream",
)  # fmt: skip
COUNTERS = ("n_debug", "n_info", "n_warn", "n_error")
SIZES = ("b_debug", "b_info", "b_warn", "b_error")

Counts = tuple[int, int, int, int]
"""One number for each level, DEBUG to ERROR."""


class Totals(NamedTuple):
    """How much there is of each level.

    Attributes:
        counts: Entries.
        sizes: Bytes of their text, as :func:`app.log_lines.log_line` writes it.
    """

    counts: Counts
    sizes: Counts

    @classmethod
    def of(cls, row: Any) -> Totals:
        """Read the columns of an execution's row, or of a checkpoint's."""
        return cls(
            (row.n_debug, row.n_info, row.n_warn, row.n_error),
            (row.b_debug, row.b_info, row.b_warn, row.b_error),
        )

    def columns(self) -> dict[str, int]:
        """Return the columns of a row."""
        return dict(zip((*COUNTERS, *SIZES), (*self.counts, *self.sizes), strict=True))


@lru_cache(_KEPT_TOTALS)
def count(counts: Counts, levels: Level) -> int:
    """Count the entries that a filter lets through."""
    return sum(n for level, n in zip(LEVELS, counts, strict=True) if level & levels)


def append(
    connection: Connection, number: int, totals: Totals, entries: Sequence[NewLogEntry]
) -> Totals:
    """Append entries, within a transaction that holds the execution's row.

    Args:
        connection: The transaction.
        number: Number of the execution.
        totals: What the journal holds so far, from the execution's row.
        entries: New entries, in order; those whose upstream id is known are left out.

    Returns:
        What the journal holds now, to be stored in the execution's row.
    """
    rows: list[tuple[Any, ...]] = []
    checkpoints: list[tuple[int, ...]] = []
    counts, sizes = list(totals.counts), list(totals.sizes)
    sequence = sum(counts)
    for entry in _unknown(connection, number, [_fitting(entry) for entry in entries]):
        if sequence % BLOCK == 0:
            checkpoints.append((number, sequence // BLOCK, *counts, *sizes))
        content = storable(entry.content)
        rows.append(
            (number, sequence, int(entry.level), entry.timestamp_ms, entry.task, content,
             entry.upstream_id, int(entry.stream))
        )  # fmt: skip
        column = entry.level.bit_length() - 1
        counts[column] += 1
        sizes[column] += log_line_bytes(entry.level, entry.task, content)
        sequence += 1
    insert_rows(connection, "log_entries", _COLUMNS, rows)
    names = ("execution", "block", *COUNTERS, *SIZES)
    insert_rows(connection, "log_checkpoints", names, checkpoints)
    return Totals(
        (counts[0], counts[1], counts[2], counts[3]), (sizes[0], sizes[1], sizes[2], sizes[3])
    )


def _all_pass(counts: Counts, levels: Level) -> bool:
    """Return whether a filter lets all entries through, so that it need not be applied."""
    return count(counts, levels) == sum(counts)


class Journal:
    """Reads the journals of executions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def blocks(self) -> bool:
        """Whether all of the process waits while something is read, as it does with SQLite."""
        return self._database.is_sqlite

    def page(
        self,
        number: int,
        counts: Counts,
        levels: Level,
        start: int,
        size: int,
        *,
        most_bytes: int = _UNLIMITED,
    ) -> list[LogEntry]:
        """Read entries of some levels.

        Args:
            number: Number of the execution.
            counts: Entries of each level, as the caller knows them; nothing behind them is read.
            levels: Bits of the levels to let through.
            start: Index of the first entry, counted within those let through.
            size: Most entries to read.
            most_bytes: Contents that are enough: the entry that reaches it is the last. What lies
                behind is not read from the database either.
        """
        size = min(size, count(counts, levels) - start)
        if size <= 0:
            return []
        with self._database.read() as connection:
            if _all_pass(counts, levels):
                return self._range(connection, number, start, size, most_bytes)
            blocks = -(-sum(counts) // BLOCK)
            block, before = _seek(
                connection, _BISECT_COUNTS, number=number, blocks=blocks, levels=levels, start=start
            )
            return self._merged(
                connection, number, levels, most_bytes, sequence=block * BLOCK, size=size,
                skip=start - before,
            )  # fmt: skip

    def since(
        self,
        number: int,
        counts: Counts,
        levels: Level,
        sequence: int,
        size: int,
        *,
        most_bytes: int = _UNLIMITED,
    ) -> list[LogEntry]:
        """Read entries of some levels from a place in the journal on.

        Args:
            number: Number of the execution.
            counts: Entries of each level, as the caller knows them; nothing behind them is read.
            levels: Bits of the levels to let through.
            sequence: The place; entries before it are left out.
            size: Most entries to read.
            most_bytes: As in :meth:`page`.
        """
        total = sum(counts)
        if sequence >= total or size <= 0:
            return []
        with self._database.read() as connection:
            if _all_pass(counts, levels):
                size = min(size, total - sequence)
                return self._range(connection, number, sequence, size, most_bytes)
            found = self._merged(
                connection, number, levels, most_bytes, sequence=sequence, size=size, skip=0
            )
        while found and found[-1].sequence >= total:
            found.pop()
        return found

    def of_task(
        self,
        number: int,
        counts: Counts,
        levels: Level,
        sequence: int,
        size: int,
        *,
        task: str,
        most_bytes: int = _UNLIMITED,
    ) -> tuple[list[LogEntry], int]:
        """Read entries of one task from a place in the journal on.

        No index knows of tasks, as it would make each line of each log dearer to write. So a number
        of entries is looked through, the same wherever they stand, and perhaps none is found.

        Args:
            number: Number of the execution.
            counts: Entries of each level, as the caller knows them; nothing behind them is read.
            levels: Bits of the levels to let through.
            sequence: The place; entries before it are left out.
            size: Most entries to read.
            task: Name of the task, which stands for its elements, too; empty for what the
                execution itself says.
            most_bytes: As in :meth:`page`.

        Returns:
            The entries, and the place to go on from.
        """
        end = min(sequence + _LOOKED_THROUGH, sum(counts))
        if sequence >= end or size <= 0:
            return [], sequence
        values = {
            "execution": number, "first": sequence, "last": end, "levels": int(levels),
            **_of_task(task), "size": size,
        }  # fmt: skip
        with self._database.read() as connection:
            statement, more = _bounded(_OF_TASK, connection.dialect.name, most_bytes)
            found = _take(connection.execute(statement, {**values, **more}), most_bytes)
        whole = len(found) == size or content_bytes(found) >= most_bytes
        return found, found[-1].sequence + 1 if whole else end

    def count_of_task(self, number: int, levels: Level, first: int, last: int, *, task: str) -> int:
        """Count the entries of one task in a part of the journal, which is gone through.

        Args:
            number: Number of the execution.
            levels: Bits of the levels to let through.
            first: Place of the first entry.
            last: Place behind the last one.
            task: Name of the task, which stands for its elements, too; empty for what the
                execution itself says.
        """
        values = {
            "execution": number, "first": first, "last": last, "levels": int(levels),
            **_of_task(task),
        }  # fmt: skip
        with self._database.read() as connection:
            return int(connection.execute(_statement(_COUNT_OF_TASK), values).scalar_one())

    def find_byte(self, number: int, totals: Totals, levels: Level, offset: int) -> tuple[int, int]:
        """Find where to begin writing the log as text to reach a byte of it soon.

        Args:
            number: Number of the execution.
            totals: What the journal holds, as the caller knows it.
            levels: Bits of the levels that are written.
            offset: The byte, counted from 0.

        Returns:
            A place in the journal, and the number of bytes of text before it, at most ``offset``.
        """
        blocks = -(-sum(totals.counts) // BLOCK)
        with self._database.read() as connection:
            block, before = _seek(
                connection, _BISECT_SIZES, number=number, blocks=blocks, levels=levels, start=offset
            )
        return block * BLOCK, before

    def index_of(self, number: int, counts: Counts, levels: Level, sequence: int) -> int:
        """Count the entries let through that stand before a place in the journal.

        Args:
            number: Number of the execution.
            counts: Entries of each level, as the caller knows them.
            levels: Bits of the levels to let through.
            sequence: Place in the journal.
        """
        sequence = min(sequence, sum(counts))
        if _all_pass(counts, levels):
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
    def _range(
        connection: Connection, number: int, start: int, size: int, most_bytes: int
    ) -> list[LogEntry]:
        statement, parameters = _bounded(_RANGE, connection.dialect.name, most_bytes)
        values = {"execution": number, "first": start, "last": start + size}
        return _take(connection.execute(statement, {**values, **parameters}), most_bytes)

    @staticmethod
    def _merged(
        connection: Connection, number: int, levels: Level, most_bytes: int, **place: int
    ) -> list[LogEntry]:
        dialect = connection.dialect.name
        page, wanted = _filtered(levels, dialect)
        statement, parameters = _bounded(page, dialect, most_bytes)
        values = {"execution": number, "reach": place["skip"] + place["size"], **place}
        rows = connection.execute(statement, {**values, **wanted, **parameters})
        return _take(rows, most_bytes)


def content_bytes(entries: Iterable[LogEntry]) -> int:
    """Return the size of what some entries say, in UTF-8."""
    return sum(map(_size, entries))


def _size(entry: LogEntry) -> int:
    content = entry.content
    return len(content) if content.isascii() else len(content.encode())


def _take(rows: Iterable[Any], most_bytes: int) -> list[LogEntry]:
    """Take rows up to the one with which there is enough; SQLite reads no further than asked."""
    taken: list[LogEntry] = []
    for row in rows:
        entry = LogEntry(*row)
        taken.append(entry)
        most_bytes -= _size(entry)
        if most_bytes <= 0:
            break
    return taken


def _seek(
    connection: Connection, statement: Any, *, number: int, blocks: int, levels: Level, start: int
) -> tuple[int, int]:
    """Find the last block with at most ``start`` let through before it, and how many those are."""
    if start == 0 or not blocks:
        return 0, 0
    bits = {f"on_{level.name}": int(bool(level & levels)) for level in LEVELS}
    parameters = {"execution": number, "start": start, "blocks": blocks, **bits}
    row = connection.execute(statement, parameters).one()
    return row[0], row[1]


_ENTRY = "sequence, level, timestamp, task, content, stream"
_RANGE = (
    f"SELECT {_ENTRY} FROM log_entries"
    " WHERE execution = :execution AND sequence >= :first AND sequence < :last ORDER BY sequence"
)


def _of_task(task: str) -> dict[str, Any]:
    """Return what lets the entries of a task through, and those of its elements."""
    name = fitted(task, _NAME_LENGTH)
    elements = f"{name}["
    return {"task": name, "elements": elements, "length": len(elements) if name else 0}


_IN_TASK = (
    "FROM log_entries WHERE execution = :execution AND sequence >= :first AND sequence < :last"
    " AND (task = :task OR substr(task, 1, :length) = :elements) AND (level & :levels) <> 0"
)
_OF_TASK = f"SELECT {_ENTRY} {_IN_TASK} ORDER BY sequence LIMIT :size"
_COUNT_OF_TASK = f"SELECT count(*) {_IN_TASK}"


def _bounded(page: str, dialect: str, most_bytes: int) -> tuple[Any, dict[str, int]]:
    """Build a query of a page that ends with the entry that reaches a number of bytes.

    PostgreSQL would send the whole page; it knows the sizes of long values without reading them.
    """
    if dialect == "sqlite" or most_bytes >= _UNLIMITED:
        return _statement(page), {}
    return _statement(
        f"SELECT {_ENTRY} FROM (SELECT {_ENTRY}, sum(octet_length(content))"
        " OVER (ORDER BY sequence ROWS UNBOUNDED PRECEDING) - octet_length(content) AS before"
        f" FROM ({page}) AS page) AS summed WHERE before < :most_bytes ORDER BY sequence"
    ), {"most_bytes": most_bytes}


@cache
def _statement(sql: str) -> Any:
    return text(sql)


def _bisect(columns: Sequence[str]) -> Any:
    """Build the bisection of checkpoints: each round is one look-up by primary key."""
    let_through = " + ".join(
        f"c.{column} * CAST(:on_{level.name} AS INTEGER)"
        for column, level in zip(columns, LEVELS, strict=True)
    )
    return text(
        f"""
        WITH RECURSIVE bisect(low, high, seen) AS (
          SELECT CAST(0 AS BIGINT), CAST(:blocks AS BIGINT), CAST(0 AS BIGINT)
          UNION ALL
          SELECT CASE WHEN {let_through} <= :start THEN c.block ELSE b.low END,
                 CASE WHEN {let_through} <= :start THEN b.high ELSE c.block END,
                 CASE WHEN {let_through} <= :start THEN {let_through} ELSE b.seen END
          FROM bisect b JOIN log_checkpoints c
            ON c.execution = :execution AND c.block = (b.low + b.high) / 2
          WHERE b.high - b.low > 1
        )
        SELECT low, seen FROM bisect ORDER BY high - low LIMIT 1
        """
    )


_BISECT_COUNTS = _bisect(COUNTERS)
_BISECT_SIZES = _bisect(SIZES)


@cache
def _filtered(levels: Level, dialect: str) -> tuple[str, dict[str, int]]:
    """Build the query for a page of some levels: one index range for each, merged.

    A test of the bits could not seek in the index, and would read past every rare line. Of ranges
    that are merged PostgreSQL takes only what it needs; SQLite takes all, so that their contents
    are better read when it is known which are wanted.
    """
    wanted = [level for level in LEVELS if level & levels]
    late = dialect == "sqlite" and len(wanted) > 1
    columns = "sequence" if late else _ENTRY
    ranges = [
        f"SELECT {columns} FROM log_entries WHERE execution = :execution"
        f" AND level = :level_{int(level)} AND sequence >= :sequence ORDER BY sequence"
        for level in wanted
    ]
    page = f"{ranges[0]} LIMIT :size OFFSET :skip"
    if len(wanted) > 1:
        merged = " UNION ALL ".join(
            f"SELECT * FROM ({range_} LIMIT :reach) AS of_{i}" for i, range_ in enumerate(ranges)
        )
        page = f"SELECT * FROM ({merged}) AS merged ORDER BY sequence LIMIT :size OFFSET :skip"
    if late:
        page = (
            # Contents are read one by one, in the order of the page: nothing is sorted any more.
            f"SELECT {_ENTRY} FROM ({page}) AS page CROSS JOIN log_entries USING (sequence)"
            " WHERE execution = :execution"
        )
    return page, {f"level_{int(level)}": int(level) for level in wanted}


def _fitting(entry: NewLogEntry) -> NewLogEntry:
    """Return an entry whose names fit into the columns."""
    task, upstream_id = entry.task, entry.upstream_id
    fitting = fitted(task, _NAME_LENGTH), upstream_id and fitted(upstream_id, _NAME_LENGTH)
    if fitting == (task, upstream_id):
        return entry
    return replace(entry, task=fitting[0], upstream_id=fitting[1])


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
