"""Looking at all jobs of a cluster: one question for each account, all at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from app.domain import Usage
from app.engine.launchers.base import JobPhase, JobState, Watched
from app.engine.launchers.slurm.accounts import ClusterAccount
from app.engine.launchers.slurm.growth import Growth
from app.engine.launchers.slurm.logins import Login, Logins
from app.engine.launchers.slurm.looks import Look, looks
from app.engine.launchers.slurm.places import Places
from app.engine.launchers.slurm.scheduler import MISSES, Facts, Scheduler, Sought
from app.engine.launchers.slurm.standing import LATE_SECONDS, state_of
from app.errors import SlipwayError

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 8
"""Accounts that are asked at the same time."""
_ROUND_SECONDS: Final = 10.0
"""How long a round waits for accounts; those that are late hold up no other."""
_LOOK_SECONDS: Final = 60.0
"""For a look at the folders of all jobs of an account."""
_GROWTH_BYTES: Final = 4 * 1024 * 1024
"""Output that comes along with the states of an account."""
_SURELY_NOT_SECONDS: Final = 30.0
"""How long a job must not be seen whose submission was not answered, until it is submitted anew."""
_FORGET_SECONDS: Final = 600.0
"""How long it is known what was seen of a job for which nobody asks."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was seen of a job last.

    Attributes:
        at: When; by a clock that never runs backwards.
        since: Since when its claim and its result are as they are, by the clock of the scheduler.
    """

    look: Look
    path: str
    at: float
    since: float = float("-inf")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A job that is looked at, and its path on the cluster."""

    job: Watched
    path: str


_Found = dict[Path, JobState]


class Rounds:
    """Looks at jobs. Threads may share it.

    Args:
        places: Where the folders of jobs are.
        logins: Logs in to accounts.
        scheduler: What the scheduler says.
        growth: Takes the output that comes along.
        requeue: Slurm may begin again what it ended.
        late_seconds: How long records may be late that a node wrote.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        places: Places,
        logins: Logins,
        scheduler: Scheduler,
        growth: Growth,
        *,
        requeue: bool,
        late_seconds: float = LATE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = places
        self._logins = logins
        self._scheduler = scheduler
        self._growth = growth
        self._requeue = requeue
        self._late_seconds = late_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: dict[ClusterAccount, Future[_Found]] = {}
        self._known: dict[Path, Known] = {}

    def states(self, jobs: Sequence[Watched]) -> Mapping[Path, JobState]:
        """Return where jobs stand; those of which nothing is known now are left out.

        Raises:
            SlipwayError: Nothing is known of any of them, and why.
        """
        executions = {job.folder: self._places.execution_of(job.folder) for job in jobs}
        placed = self._places.placed(set(executions.values()))
        found: _Found = {}
        groups: dict[ClusterAccount, list[_Asked]] = {}
        failure: SlipwayError | None = None
        for job in jobs:
            placement = placed.get(executions[job.folder])
            if placement is None:
                found[job.folder] = JobState(JobPhase.ABSENT)
                continue
            try:
                account = self._places.account(placement)
            except SlipwayError as exc:
                failure = exc
                continue
            path = self._places.path(placement.root, job.folder)
            groups.setdefault(account, []).append(_Asked(job, path))
        failure = self._ask_all(groups, found) or failure
        if failure is not None and not found:
            raise failure.again()
        return found

    def _ask_all(
        self, groups: Mapping[ClusterAccount, Sequence[_Asked]], found: _Found
    ) -> SlipwayError | None:
        """Ask all accounts; add what is known to ``found``, and return what failed."""
        with self._lock:
            self._pool = self._pool or ThreadPoolExecutor(_AT_ONCE, "slurm")
            for account, asked in groups.items():
                before = self._under_way.get(account)
                if before is None or before.done():
                    future = self._pool.submit(self._look, account, asked)
                    self._under_way[account] = future
            futures = {account: self._under_way[account] for account in groups}
        wait(futures.values(), _ROUND_SECONDS)
        failure: SlipwayError | None = None
        for account, future in futures.items():
            if not future.done():
                log.warning("an account of the cluster is late", account=account.user)
                continue
            error = future.exception()
            if error is None:
                wanted = {each.job.folder for each in groups[account]}
                found |= {at: state for at, state in future.result().items() if at in wanted}
            elif isinstance(error, SlipwayError):
                failure = error
            else:
                raise error
        self._forget_old()
        return failure

    def _look(self, account: ClusterAccount, asked: Sequence[_Asked]) -> _Found:
        """Look at the jobs of one account."""
        login = self._logins.of(account)
        seen = self._see(login, asked)
        sought = {each.path: job for each, known in seen if (job := _sought(known)) is not None}
        facts = self._scheduler.facts(login, list(sought.values()))
        states: _Found = {}
        for each, known in seen:
            look, job = known.look, sought.get(each.path)
            told = facts[job.key] if job else Facts()
            state = states[each.job.folder] = state_of(
                self._resolve(login, each.path, look, told),
                told,
                requeue=self._requeue,
                process=each.job.process,
                late_seconds=self._late_seconds,
            )
            if self._requeue and look.ended_by_slurm and state.phase is JobPhase.EXITED:
                # What another run of it would have needed; it may hold secrets.
                login.agent.call("tidy", {"jobs": [{"folder": each.path}]}, timeout=_LOOK_SECONDS)
        return states

    def _see(self, login: Login, asked: Sequence[_Asked]) -> list[tuple[_Asked, Known]]:
        """Look at the folders of jobs; those that cannot be looked at now are left out."""
        jobs = [{"folder": each.path, "offset": each.job.offset} for each in asked]
        arguments = {"jobs": jobs, "most_bytes": _GROWTH_BYTES}
        answer = login.agent.call("look", arguments, timeout=_LOOK_SECONDS)
        seen = []
        now, seen_at = self._clock(), self._scheduler.now
        for each, (look, data) in zip(
            asked, looks(answer.result, answer.data, len(asked)), strict=True
        ):
            if look is None:
                continue
            self._growth.put(each.job.folder, each.job.offset, data)
            with self._lock:
                since = _since(self._known.get(each.job.folder), look, seen_at)
                known = self._known[each.job.folder] = Known(look, each.path, now, since)
            seen.append((each, known))
        return seen

    def see(self, folder: Path) -> tuple[Login, Known]:
        """Look at one job, before something is done about it.

        Raises:
            SlipwayError: It cannot be looked at now.
        """
        login, path = self._places.find(folder)
        arguments = {"jobs": [{"folder": path, "offset": 0}], "most_bytes": 0}
        answer = login.agent.call("look", arguments, timeout=_LOOK_SECONDS)
        look, _ = looks(answer.result, answer.data, 1)[0]
        return login, Known(look or Look(absent=True), path, self._clock())

    def _resolve(self, login: Login, path: str, look: Look, facts: Facts) -> Look:
        """Find out what became of a submission that was not answered; return how it is now."""
        submission = look.submission
        if submission is None or look.job_id is not None or look.claim is not None:
            return look
        row = facts.queued or facts.accounted
        if row is not None:
            job = {"folder": path, "id": row.array_id, "moment": submission.moment}
            login.agent.call("submitted", {"jobs": [job]}, timeout=_LOOK_SECONDS)
            return replace(look, job_id=row.array_id)
        if facts.misses >= MISSES and facts.over_seconds >= _SURELY_NOT_SECONDS:
            job = {"folder": path, "moment": submission.moment}
            login.agent.call("resubmit", {"jobs": [job]}, timeout=_LOOK_SECONDS)
            log.warning("a submission did not arrive, and is repeated", folder=path)
        return look

    def usage_of(self, folder: Path) -> Usage | None:
        """Return what a job was last seen to take."""
        with self._lock:
            known = self._known.get(folder)
        return known.look.usage if known else None

    def close(self) -> None:
        """End what is under way."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        self._scheduler.close()

    def _forget_old(self) -> None:
        before = self._clock() - _FORGET_SECONDS
        with self._lock:
            for folder in [at for at, known in self._known.items() if known.at < before]:
                del self._known[folder]
            for account in [at for at, future in self._under_way.items() if future.done()]:
                del self._under_way[account]


def _since(before: Known | None, look: Look, now: float) -> float:
    """Return since when the claim and the result of a job are as they are."""
    if before is None or (before.look.claim, before.look.result) != (look.claim, look.result):
        return now
    return before.since


def _sought(known: Known) -> Sought | None:
    """Return what the scheduler is to be asked about a job: its records may not say all."""
    look = known.look
    ended = look.result is not None and not look.ended_by_slurm
    refused = look.claim is not None and look.claim.process is None
    if look.submission is None or ended or refused:
        return None
    sent = look.submission
    # Who waits for their turn, or for the reason of their end, is to be told soon.
    waits = look.claim is None or look.ended_by_slurm
    return Sought(sent.mark, sent.moment, waits=waits, task=sent.task, seen_at=known.since)
