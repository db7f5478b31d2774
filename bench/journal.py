"""The journal: how fast entries go in, and what a page costs at each of its ends.

*Ingestion* is what the conductor does with each observation (``DrivenExecutions.record``: lease,
rows, checkpoints, counters and the wake-up, in one transaction), in entries a second; beside it the
same rows go into the same table through the bare driver, as many a transaction, and nothing else is
written. *Pages* are ``Journal.page``, 100 entries, from the call to the list of entries, in ms; the
peer is the query that everybody writes first, with ``OFFSET``.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url, text

from app.domain import ALL_LEVELS, DEFAULT_LEVELS, DrivenExecution, Level, NewLogEntry
from app.store.database import Database
from app.store.driving import DrivenExecutions
from app.store.journal import Journal
from bench import _postgresql
from bench._report import Figure, median
from bench._seed import OWNER, batches, make_executions, observation, open_store

_COLUMNS = "execution, sequence, level, timestamp, task, content, upstream_id"
_PAGE = 100
_ROUNDS = 3
_READS = 101
_MASKS = {
    "all levels": ALL_LEVELS,
    "levels=14": DEFAULT_LEVELS,
    "INFO": Level.INFO,
    "WARN+ERROR": Level.WARN | Level.ERROR,
    "ERROR": Level.ERROR,
}
_NAIVE = text(
    "SELECT sequence, level, timestamp, task, content FROM log_entries WHERE execution = :execution"
    " AND (level & :levels) <> 0 ORDER BY sequence LIMIT :size OFFSET :start"
)
# No execution has these numbers: they keep the peer's rows apart.
_PEER_NUMBER = 1_000_000_000

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class _Store:
    name: str
    database: Database
    insert_bare: Callable[[Sequence[Rows]], None]


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    entries = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        file = Path(folder) / "journal.db"
        database = open_store(f"sqlite:///{file}")
        yield from _measure(_Store("SQLite", database, lambda b: _sqlite3(file, b)), entries)
        database.dispose()
    programs = _postgresql.programs()
    if programs is None:
        yield Figure("PostgreSQL", None, note="initdb and postgres were not found")
        return
    with _postgresql.server(programs) as url:
        database = open_store(url)
        yield from _measure(_Store("PostgreSQL", database, lambda b: _psycopg(url, b)), entries)
        database.dispose()


def _measure(store: _Store, entries: int) -> Iterator[Figure]:
    yield _ingestion(store, "1,000 a transaction", 1_000, entries // 10, least=50_000)
    yield _ingestion(store, "1 a transaction", 1, entries // 500)
    execution = make_executions(store.database, 1)[0]
    for batch in batches(entries, 10_000):
        execution = DrivenExecutions(store.database).record(execution, OWNER, observation(batch))
    if not store.database.is_sqlite:  # PostgreSQL does it by itself, SQLite never
        with store.database.engine().begin() as connection:
            connection.execute(text("ANALYZE"))
    yield from _pages(store, execution)


def _ingestion(
    store: _Store, name: str, size: int, entries: int, least: float | None = None
) -> Figure:
    executions = DrivenExecutions(store.database)
    load = list(batches(entries, size))
    ours, bare = [], []
    for number in range(_ROUNDS):
        execution = make_executions(store.database, 1)[0]
        begun = time.perf_counter()
        for batch in load:
            execution = executions.record(execution, OWNER, observation(batch))
        ours.append(entries / (time.perf_counter() - begun))
        rows = _rows(_PEER_NUMBER + number * 1_000 + size, load)
        begun = time.perf_counter()
        store.insert_bare(rows)
        bare.append(entries / (time.perf_counter() - begun))
    return Figure(
        f"{store.name}: entries stored, {name}", median(ours), "/s", least=least,
        ratio=median(ours) / median(bare), beside="bare driver",
    )  # fmt: skip


def _rows(execution: int, load: Sequence[tuple[NewLogEntry, ...]]) -> list[Rows]:
    rows, sequence = [], 0
    for batch in load:
        rows.append(
            [
                (execution, sequence + i, int(e.level), e.timestamp_ms, e.task, e.content, None)
                for i, e in enumerate(batch)
            ]
        )
        sequence += len(batch)
    return rows


def _sqlite3(file: Path, load: Sequence[Rows]) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=NORMAL")
        for rows in load:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                f"INSERT INTO log_entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )
            connection.execute("COMMIT")


def _psycopg(url: str, load: Sequence[Rows]) -> None:
    plain = make_url(url).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string()) as connection, connection.cursor() as cursor:
        for rows in load:
            with cursor.copy(f"COPY log_entries ({_COLUMNS}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            connection.commit()


def _pages(store: _Store, execution: DrivenExecution) -> Iterator[Figure]:
    name = f"{store.name}: page of {_PAGE} of {execution.log_total:,}"
    took = _page_ms(store, execution)
    for mask, levels in _MASKS.items():
        of_mask = {place: ms for (other, place), ms in took.items() if other == mask}
        at_the_end = _starts(execution, levels)["end"]
        naive = _median_ms(partial(_naive, store, execution, levels, at_the_end), 5)
        yield Figure(
            f"{name}, {mask}", max(of_mask.values()), "ms", most=3,
            note=", ".join(f"{place} {ms:.2f}" for place, ms in of_mask.items())
            + f"; OFFSET query at the end {naive:.3g} ms",
        )  # fmt: skip
    slowest, fastest = max(took.values()), min(took.values())
    yield Figure(
        f"{name}, the slowest of all", slowest, "ms", most=3,
        ratio=slowest / fastest, beside="the fastest", most_ratio=2,
    )  # fmt: skip


def _page_ms(store: _Store, execution: DrivenExecution) -> dict[tuple[str, str], float]:
    """Take the median of each page; they are read in turns, as the machine has moods."""
    page = Journal(store.database).page
    reads = {
        (mask, place): partial(page, execution.number, execution.log_counts, levels, start, _PAGE)
        for mask, levels in _MASKS.items()
        for place, start in _starts(execution, levels).items()
    }
    took: dict[tuple[str, str], list[float]] = {key: [] for key in reads}
    for _ in range(_READS):
        for key, read in reads.items():
            took[key].append(_ms(read))
    return {key: median(values) for key, values in took.items()}


def _starts(execution: DrivenExecution, levels: Level) -> dict[str, int]:
    total = len(_matching(execution.log_counts, levels))
    return {"start": 0, "middle": total // 2, "end": total - _PAGE}


def _matching(counts: Sequence[int], levels: Level) -> range:
    return range(sum(n for bit, n in enumerate(counts) if levels & (1 << bit)))


def _naive(store: _Store, execution: DrivenExecution, levels: Level, start: int) -> None:
    with store.database.read() as connection:
        rows = connection.execute(
            _NAIVE,
            {"execution": execution.number, "levels": int(levels), "size": _PAGE, "start": start},
        ).all()
    assert len(rows) == _PAGE


def _median_ms(work: Callable[[], object], times: int) -> float:
    return median(_ms(work) for _ in range(times))


def _ms(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000
