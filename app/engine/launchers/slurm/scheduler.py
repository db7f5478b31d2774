"""What the scheduler of a cluster says of jobs: asked seldom, for all of an account at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import filterfalse
from typing import Final, TypeVar

import structlog

from app.clients.slurm.accounting import Accounted, accounted, is_switched_off, sacct
from app.clients.slurm.queue import ENVIRONMENT, Queued, queued, squeue
from app.clients.slurm.states import Standing
from app.engine.launchers.slurm.accounts import ClusterAccount
from app.engine.launchers.slurm.logins import Login
from app.engine.launchers.slurm.programs import printed
from app.errors import UpstreamUnreachable

log = structlog.get_logger(__name__)

_CALM_SECONDS: Final = 10.0
"""How often it is asked for jobs of which all run: their shims tell how they end."""
_PATIENCE_SECONDS: Final = 1.0
"""How long a look at jobs waits for the answer of the scheduler, which takes some 20 ms."""
_AT_ONCE: Final = 8
_MOST_BYTES: Final = 16 * 1024 * 1024
_MOST_NAMES: Final = 100
MISSES: Final = 2
"""So often a job must be missing from the queue before it counts as gone from there."""
_ACCOUNTING_SECONDS: Final = 5.0
"""Shortest time between two questions to the accounting for one account."""
_NO_ACCOUNTING_SECONDS: Final = 600.0
"""How long a cluster is believed to have no accounting."""
_FORGET_SECONDS: Final = 600.0
"""How long what is known of an account is kept that nobody asks about."""
_CLOCKS_SECONDS: Final = 120.0
"""By how much the clocks of the login node and of the controller may differ."""

_Row = TypeVar("_Row", Queued, Accounted)
_Key = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class Sought:
    """A job that the scheduler is asked for.

    Attributes:
        mark: Its name, which no job has that is not of the same array.
        since: When it was submitted, or later; seconds since the epoch.
        waits: Its owner is to be told soon: it waits for its turn, or for the reason of its end.
        task: Its number in an array; None where it is in none.
        seen_at: Since when its records are as they are, by :attr:`Scheduler.now`.
    """

    mark: str
    since: float
    waits: bool
    task: int | None = None
    seen_at: float = float("-inf")

    @property
    def key(self) -> tuple[str, int | None]:
        """What tells it from all others."""
        return self.mark, self.task


@dataclass(frozen=True, slots=True)
class Facts:
    """What the scheduler said of a job.

    Attributes:
        queued: Its line in the queue; None where it had none when it was asked last.
        accounted: Its line in the accounting; None where it has none, as far as is known.
        misses: How often in a row it was missing from the queue.
        over_seconds: Since it was first seen to have ended, or to be missing.
        has_accounting: Whether the accounting was asked for it, and answered.
        is_news: The queue was asked since the records of the job are as they are.
    """

    queued: Queued | None = None
    accounted: Accounted | None = None
    misses: int = 0
    over_seconds: float = 0.0
    has_accounting: bool = False
    is_news: bool = True


@dataclass(slots=True)
class _Over:
    """A job that has ended by what the queue says, or that it does not have.

    Attributes:
        since: When that was seen first.
        misses: How often in a row the queue did not have it.
        asked: Whether the accounting has answered.
    """

    since: float
    misses: int = 0
    asked: bool = False


@dataclass(slots=True)
class _Known:
    """What is known of the jobs of one account.

    Attributes:
        asked_at: When the queue was asked last.
        answered_at: When it was asked for what it answered last.
    """

    queue: dict[str, list[Queued]] = field(default_factory=dict)
    accounted: dict[str, list[Accounted]] = field(default_factory=dict)
    over: dict[_Key, _Over] = field(default_factory=dict)
    asking: Future[None] | None = None
    asked_at: float = float("-inf")
    answered_at: float = float("-inf")
    accounting_at: float = float("-inf")
    used_at: float = 0.0


class Scheduler:
    """Asks the scheduler of one cluster. Threads may share it, one for each account.

    Args:
        turn: Returns whether it may be asked now, over all processes.
        seconds: Shortest time between two questions about one account.
        timeout: Seconds for a command.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        turn: Callable[[], bool],
        seconds: float,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._turn = turn
        self._seconds = seconds
        self._timeout = timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[ClusterAccount, _Known] = {}
        self._no_accounting_until = float("-inf")
        self._threads: ThreadPoolExecutor | None = None

    @property
    def now(self) -> float:
        """The moment, by its clock."""
        return self._clock()

    def facts(self, login: Login, jobs: Collection[Sought]) -> Mapping[_Key, Facts]:
        """Return what is known of jobs of an account that have not ended, by what tells them apart.

        What cannot be asked now is as it was told last.

        Raises:
            UpstreamError: The login node cannot be asked for anything now.
        """
        known = self._of(login.account)
        if not jobs:
            return {}
        if known.asking is None or known.asking.done():
            known.asking = self._pool().submit(self._ask, login, known, jobs)
        # A controller that is away takes 9 s to say so, and nobody is to wait for that.
        wait([known.asking], _PATIENCE_SECONDS)
        if known.asking.done():
            known.asking.result()
        now = self._clock()
        return {job.key: self._facts(known, job, now) for job in jobs}

    def close(self) -> None:
        """End what is under way."""
        with self._lock:
            pool, self._threads = self._threads, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _pool(self) -> ThreadPoolExecutor:
        with self._lock:
            self._threads = self._threads or ThreadPoolExecutor(_AT_ONCE, "scheduler")
            return self._threads

    def _ask(self, login: Login, known: _Known, jobs: Collection[Sought]) -> None:
        """Ask what is due."""
        now = self._clock()
        calm = not any(job.waits for job in jobs)
        if now - known.asked_at >= (_CALM_SECONDS if calm else self._seconds) and self._turn():
            known.asked_at = now
            self._ask_queue(login, known, jobs)
        lost = [job for job in jobs if _is_lost(known, job)]
        if lost and now - known.accounting_at >= _ACCOUNTING_SECONDS and self._may_account(now):
            known.accounting_at = now
            self._ask_accounting(login, known, lost[:_MOST_NAMES])

    def _of(self, account: ClusterAccount) -> _Known:
        now = self._clock()
        with self._lock:
            for other, each in list(self._accounts.items()):
                if now - each.used_at > _FORGET_SECONDS and other != account:
                    del self._accounts[other]
            known = self._accounts.setdefault(account, _Known())
            known.used_at = now
            return known

    def _may_account(self, now: float) -> bool:
        return now >= self._no_accounting_until and self._turn()

    def _ask_queue(self, login: Login, known: _Known, jobs: Iterable[Sought]) -> None:
        asked_at = self._clock()
        try:
            text = self._run(login, squeue([login.account.user]))
        except UpstreamUnreachable as exc:
            log.warning("the queue cannot be asked", account=login.account.user, error=exc.message)
            return
        found: dict[str, list[Queued]] = {}
        for row in queued(text):
            found.setdefault(row.name, []).append(row)
        known.queue, known.answered_at = found, asked_at
        now = self._clock()
        over: dict[_Key, _Over] = {}
        for job in jobs:
            rows = _rows(found.get(job.mark, ()), job)
            if rows and rows[-1].standing is not Standing.ENDED:
                continue
            over[job.key] = known.over.get(job.key) or _Over(now)
            over[job.key].misses += not rows
        known.over = over
        known.accounted = {
            mark: rows
            for mark, rows in known.accounted.items()
            if any(mark == key[0] for key in over)
        }

    def _ask_accounting(self, login: Login, known: _Known, jobs: Collection[Sought]) -> None:
        since = min(job.since for job in jobs) - 1
        try:
            text = self._run(login, sacct(since, names=sorted({job.mark for job in jobs})))
        except UpstreamUnreachable as exc:
            if is_switched_off(exc.detail or ""):
                self._no_accounting_until = self._clock() + _NO_ACCOUNTING_SECONDS
                return
            log.warning("the accounting cannot be asked", error=exc.message, detail=exc.detail)
            return
        rows: dict[str, list[Accounted]] = {}
        for row in accounted(text):
            rows.setdefault(row.name, []).append(row)
        for job in jobs:
            known.accounted[job.mark] = rows.get(job.mark, [])
            known.over[job.key].asked = True

    def _run(self, login: Login, argv: list[str]) -> str:
        """Run a command of Slurm; return what it printed.

        Raises:
            UpstreamUnreachable: It failed; the details are in Slurm's words.
            UpstreamError: The login node does not answer.
        """
        return printed(login, argv, ENVIRONMENT, timeout=self._timeout, most_bytes=_MOST_BYTES)

    def _facts(self, known: _Known, job: Sought, now: float) -> Facts:
        over = known.over.get(job.key)
        rows = _rows(known.queue.get(job.mark, ()), job)
        ended = _rows(known.accounted.get(job.mark, ()), job)
        return Facts(
            queued=rows[-1] if rows else None,
            accounted=ended[-1] if ended else None,
            misses=over.misses if over else 0,
            over_seconds=now - over.since if over else 0.0,
            has_accounting=over is not None and over.asked,
            is_news=known.answered_at >= job.seen_at,
        )


def _is_lost(known: _Known, job: Sought) -> bool:
    """Whether a job left the queue, and the accounting did not tell its end yet."""
    over = known.over.get(job.key)
    if over is None or over.misses < MISSES:
        return False
    told = _rows(known.accounted.get(job.mark, ()), job)
    return not told or told[-1].standing is not Standing.ENDED


def _rows(rows: Iterable[_Row], job: Sought) -> list[_Row]:
    """Return the lines of a job, the one that counts last.

    One that was submitted before is of another job. Slurm also keeps a line of what it refused to
    take, which has failed without a node.
    """
    earliest = job.since - _CLOCKS_SECONDS
    fitting = [
        row for row in rows if row.task == job.task and (row.submitted_at or job.since) >= earliest
    ]
    return sorted(filterfalse(_was_refused, fitting), key=lambda row: row.submitted_at or 0.0)


def _was_refused(row: Queued | Accounted) -> bool:
    node = row.node if isinstance(row, Queued) else row.nodes
    return row.state == "FAILED" and not node
