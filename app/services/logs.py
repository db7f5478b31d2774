"""Logs: pages of an execution's journal, at once or when there is something to read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

from app.domain import Execution, ExecutionStatus, Identity, Level
from app.errors import FieldError, InvalidRequest
from app.services.executions import ExecutionService
from app.settings import LogSettings
from app.store.changes import Changes
from app.store.executions import Executions, now
from app.store.journal import Counts, Journal, LogEntry, count

_NOTE_SECONDS = 10.0
_CACHED = 4096


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which entries somebody wants.

    Attributes:
        start: Index of the first entry, counted among those that the filter lets through.
        size: Most entries; -1 for all, up to the limit of the service; 0 for the total only.
        levels: Levels to let through.
        timeout_seconds: How long to wait for an entry.
    """

    start: int
    size: int
    levels: Level
    timeout_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class LogPage:
    """Entries of a log; readers who ask the same share one, so it is its own key for caches.

    Attributes:
        total: Number of entries that the filter lets through so far.
        complete: No entry can come any more.
    """

    entries: list[LogEntry]
    start: int
    total: int
    status: ExecutionStatus
    complete: bool


class _PageKey(NamedTuple):
    """All that a page depends on; entries never change, so it can be kept."""

    number: int
    counts: Counts
    status: ExecutionStatus
    complete: bool
    levels: Level
    start: int
    size: int


class LogService:
    """Reads journals, and waits for them to grow.

    Args:
        service: Finds executions and says who may see them.
        executions: The executions in the store.
        journal: Reads entries.
        changes: Wakes who waits.
        settings: Limits.
    """

    def __init__(
        self,
        service: ExecutionService,
        executions: Executions,
        journal: Journal,
        changes: Changes,
        settings: LogSettings,
    ) -> None:
        self._service = service
        self._executions = executions
        self._journal = journal
        self._changes = changes
        self._settings = settings
        self._noted: dict[str, float] = {}
        # Ten thousand readers who wait for the same line cost one look at the store, not as many.
        self._execution_at = lru_cache(_CACHED)(lambda id_, _version: executions.get(id_))
        self._shared_page = lru_cache(_CACHED)(self._make_page)

    def page(self, execution_id: str, identity: Identity, query: LogQuery) -> LogPage:
        """Read a page; wait until it holds something, or nothing can come any more.

        Raises:
            NotFound: There is no such execution for this user.
            InvalidRequest: The wait is longer than the service allows.
        """
        if query.timeout_seconds > self._settings.max_timeout:
            limit = f"must be at most {self._settings.max_timeout:g} seconds"
            raise InvalidRequest("The wait is too long.", fields=(FieldError("timeout", limit),))
        deadline = time.monotonic() + query.timeout_seconds
        execution = self._service.get(execution_id, identity)
        if self._answers(execution, query):
            return self._read(execution, query)
        with self._changes.subscribe(execution.id) as subscription:
            while True:
                execution = self._execution_at(execution.id, subscription.seen)
                left = deadline - time.monotonic()
                if self._answers(execution, query) or left <= 0 or self._changes.closing:
                    return self._read(execution, query)
                self._note_follower(execution, left)
                subscription.wait(left)

    @staticmethod
    def _answers(execution: Execution, query: LogQuery) -> bool:
        total = count(execution.log_counts, query.levels)
        return total > query.start or execution.log_complete or query.size == 0

    def _read(self, execution: Execution, query: LogQuery) -> LogPage:
        limit = self._settings.max_page
        size = limit if query.size < 0 else min(query.size, limit)
        return self._shared_page(
            _PageKey(execution.number, execution.log_counts, execution.status,
                     execution.log_complete, query.levels, query.start, size)
        )  # fmt: skip

    def _make_page(self, key: _PageKey) -> LogPage:
        entries = self._journal.page(key.number, key.counts, key.levels, key.start, key.size)
        return LogPage(entries, key.start, count(key.counts, key.levels), key.status, key.complete)

    def _note_follower(self, execution: Execution, seconds: float) -> None:
        """Have an execution looked at more often while somebody follows it."""
        moment = time.monotonic()
        if self._noted.get(execution.id, 0.0) > moment - _NOTE_SECONDS:
            return
        self._noted = {k: t for k, t in self._noted.items() if t > moment - _NOTE_SECONDS}
        self._noted[execution.id] = moment
        self._executions.follow(execution, now() + timedelta(seconds=seconds + 2 * _NOTE_SECONDS))
