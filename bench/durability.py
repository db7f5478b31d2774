"""What it costs that promises are on the disk before they are answered, on SQLite.

*Launches* are written down and accepted (two transactions) by one thread, and by 16 that wait for
each other; *batches* are observations of ten log lines. Each is measured as the service does it,
and with the disk waited for always, and never (``PRAGMA synchronous`` FULL and NORMAL).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from sqlalchemy import Connection

from app.store.database import Database, T
from app.store.driving import DrivenExecutions
from app.store.launches import Intent, Launches
from bench._report import Figure
from bench._seed import OWNER, batches, make_executions, observation, open_store

_LINES = 10
_MANY = 16


class _Forced(Database):
    """Waits for the disk always, or never, whatever was promised."""

    forced: bool | None = None

    def write(
        self, work: Callable[[Connection], T], *, durable: bool = True, idempotent: bool = False
    ) -> T:
        durable = durable if self.forced is None else self.forced
        return super().write(work, durable=durable, idempotent=idempotent)


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    number = 200 if quick else 2_000
    names = {None: "as promised", True: "always", False: "never"}
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        for forced, name in names.items():
            url = f"sqlite:///{Path(folder) / f'{name}.db'}"
            open_store(url).dispose()
            database = _Forced(url)
            database.forced = forced
            for threads in (1, _MANY):
                label = f"SQLite, the disk waited for {name}, {threads} at once"
                yield Figure(f"{label}: launches", _launches(database, number, threads), "/s")
                yield Figure(f"{label}: batches", _batches(database, number, threads), "/s")
            database.dispose()


def _launches(database: Database, number: int, threads: int) -> float:
    launches, names = Launches(database), count()

    def launch(_: int) -> None:
        name = f"{threads}-{next(names)}"
        intent = Intent(name, "local", "flow", "Flow", "ada", {"n": 1}, steps=["only"])
        launches.launched(launches.create(intent)[0], {"job": 1})

    return _rate(launch, number, threads)


def _batches(database: Database, number: int, threads: int) -> float:
    executions = DrivenExecutions(database)
    made = make_executions(database, threads)
    share = number // threads

    def observe(place: int) -> None:
        execution = made[place]
        for batch in batches(share * _LINES, _LINES):
            execution = executions.record(execution, OWNER, observation(batch))

    return share * _rate(observe, threads, threads)


def _rate(work: Callable[[int], None], number: int, threads: int) -> float:
    begun = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(number)))
    return number / (time.perf_counter() - begun)
