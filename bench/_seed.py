"""Executions and journals made straight in the store, by the code that the conductor uses."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

from app.domain import DrivenExecution, ExecutionStatus, Level, NewLogEntry, Observation
from app.store import migrate
from app.store.database import Database
from app.store.driving import DrivenExecutions
from app.store.launches import Intent, Launches

OWNER = "bench"
"""Holds the executions that it makes, so that no conductor takes them."""

_LEASE_SECONDS = 24 * 3600.0
# Of 100 entries: 20 DEBUG, 70 INFO, 9 WARN, 1 ERROR, well mixed.
_PATTERN = [
    Level.ERROR
    if i == 50
    else Level.WARN
    if i % 11 == 5
    else Level.DEBUG
    if i % 5 == 1
    else Level.INFO
    for i in range(100)
]


def open_store(url: str) -> Database:
    """Open a store, and make its tables."""
    database = Database(url)
    migrate.upgrade(database)
    return database


def make_executions(database: Database, number: int) -> list[DrivenExecution]:
    """Make running executions that are held by :data:`OWNER`."""
    launches, executions = Launches(database), DrivenExecutions(database)
    for _ in range(number):
        intent = Intent(str(uuid.uuid4()), "local", "bench", "Bench", "everybody", {}, ["step"])
        execution, _ = launches.create(intent)
        launches.launched(execution, {"bench": True})
    return executions.claim(OWNER, OWNER, _LEASE_SECONDS, (), number)


def observation(entries: tuple[NewLogEntry, ...]) -> Observation:
    """Make what an orchestrator sees of a running execution that wrote something."""
    return Observation(status=ExecutionStatus.RUNNING, cursor=None, entries=entries)


def batches(total: int, size: int) -> Iterator[tuple[NewLogEntry, ...]]:
    """Make log entries of all levels, some 75 characters each, in batches."""
    stamp = time.time_ns() // 1_000_000
    for first in range(0, total, size):
        yield tuple(
            NewLogEntry(
                _PATTERN[i % 100], stamp + i, f"iteration {i}: residual {1 / (i + 1):.9e}, "
                "9 of 12 domains have converged", "solve",
            )
            for i in range(first, min(first + size, total))
        )  # fmt: skip
