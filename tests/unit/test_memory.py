"""What all caches of a process may take together is what a small machine can spare."""

import tracemalloc
from pathlib import Path

from app import memory
from app.domain import Level, LogEntry
from app.resources._written import Written
from app.services.stretches import Stretch
from app.store._sqlite import make_reader

OF_WEB = (
    "EXECUTIONS_BYTES", "TASKS_BYTES", "LISTS_BYTES", "WRITTEN_EXECUTIONS_BYTES",
    "WRITTEN_LISTS_BYTES", "TALLIES_BYTES", "STRETCHES_BYTES", "WRITTEN_STRETCHES_BYTES",
    "DETAILS_BYTES", "STEPS_BYTES", "GRAPHS_BYTES",
)  # fmt: skip


def test_the_shares_of_a_web_process_are_small_together():
    assert sum(getattr(memory, name) for name in OF_WEB) <= 24 * 1024 * 1024


def test_a_connection_to_sqlite_keeps_few_pages(tmp_path: Path):
    engine = make_reader(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (content BLOB)")
        pages = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    engine.dispose()
    assert pages == -memory.STORE_PAGES_KIB
    assert memory.STORE_PAGES_KIB <= 2000


def test_what_is_written_counts_what_it_keeps_alive():
    def write(stretch: Stretch) -> bytes:
        return b"\n".join(b'{"index": %d, "level": "INFO", "timestamp": "2026-01-02T03:04:05.678Z",'
                          b' "task": "a", "content": "%s"}' % (e.sequence, e.content.encode())
                          for e in stretch.entries)  # fmt: skip

    kept = Written(1_000_000)
    tracemalloc.start()
    try:
        for number in range(200):
            kept.get(write, _stretch(number), _Turn)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 100_000 < taken < 1_300_000


class _Turn:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        pass


def _stretch(number: int) -> Stretch:
    entries = [
        LogEntry(1000 * number + i, Level.INFO, 1_700_000_000_000 + i, f"line {number} {i}", "a")
        for i in range(100)
    ]
    return Stretch(entries, 1000 * number + 100)
