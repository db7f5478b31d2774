"""Asking a launcher where jobs stand: for all executions at once, where each question costs."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.engine.launchers.base import JobState, Launcher, Polling, Watched
from app.errors import SlipwayError

_LEFT_ROUNDS: Final = 3
_LEFT_SECONDS: Final = 60.0
"""With the rounds above: how long jobs are asked for after the last look at their execution."""

_SHARE_OF_CALM: Final = 0.25
"""How long a pause is while nobody follows, as a share of the time since there was news."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the jobs of one execution.

    Attributes:
        states: By folder; jobs of which nothing is known yet are missing.
        again_seconds: When it is worth while to ask again; None if whenever.
    """

    states: Mapping[Path, JobState]
    again_seconds: float | None = None


def ask(launcher: Launcher, jobs: Sequence[Watched]) -> dict[Path, JobState]:
    """Ask for states, in as many calls as the launcher wants.

    Raises:
        UpstreamError: The launcher cannot work now.
    """
    most = launcher.polling.most_jobs if launcher.polling else max(1, len(jobs))
    states: dict[Path, JobState] = {}
    for begin in range(0, len(jobs), most):
        states |= launcher.states(jobs[begin : begin + most])
    return states


class JobWatch:
    """Knows which jobs the executions of this process have, and where they stand.

    Without :attr:`Launcher.polling` each look asks for itself. With it, the first look that comes
    when a round is due asks for the jobs of all executions; the others use its answers, and the
    executions of which it brought news are woken. A job that was acted upon is news until a
    question was asked after that. A round that failed has failed for all, until the next.

    Args:
        launcher: Where the jobs are.
        clock: Seconds that never run backwards.
    """

    def __init__(self, launcher: Launcher, clock: Callable[[], float] = time.monotonic) -> None:
        self._launcher = launcher
        self._rounds = _Rounds(launcher, launcher.polling, clock) if launcher.polling else None

    def listen(self, wake: Callable[[str], None]) -> None:
        """Call ``wake(execution_id)`` when a look at another execution brought news of it."""
        if self._rounds is not None:
            self._rounds.wake = wake

    def look(self, execution_id: str, jobs: Sequence[Watched], *, followed: bool) -> Seen:
        """Return where the jobs of an execution stand.

        Args:
            execution_id: The execution.
            jobs: All of its jobs that were begun and whose end is not known.
            followed: Somebody follows it.

        Raises:
            UpstreamError: The launcher cannot work now.
        """
        if self._rounds is None:
            return Seen(self._launcher.states(jobs) if jobs else {})
        return self._rounds.look(execution_id, jobs, followed)

    @property
    def soonest_seconds(self) -> float:
        """How long after an action upon a job it is worth while to ask; infinite if it rings."""
        polling = self._launcher.polling
        return polling.followed_seconds if polling else math.inf

    def touched(self, execution_id: str, folder: Path) -> None:
        """Note that a job was acted upon: what was asked before says nothing of it any more."""
        if self._rounds is not None:
            self._rounds.touched(execution_id, folder)

    def forget(self, execution_id: str, folder: Path) -> None:
        """Ask no more for a job that has ended."""
        if self._rounds is not None:
            self._rounds.forget(execution_id, folder)


@dataclass(slots=True)
class _Known:
    """A job that is watched.

    Attributes:
        since: Only a question that was asked after this moment says something of it.
        state: The last answer; None as long as there is none that counts.
    """

    job: Watched
    since: float
    state: JobState | None = None


@dataclass(slots=True)
class _Part:
    """The jobs of one execution."""

    looked_at: float
    followed: bool
    known: dict[Path, _Known] = field(default_factory=dict)


class _Rounds:
    """Questions for the jobs of all executions, with pauses between them.

    Attributes:
        wake: Called with the executions of which there is news.
    """

    def __init__(self, launcher: Launcher, polling: Polling, clock: Callable[[], float]) -> None:
        self.wake: Callable[[str], None] = lambda _id: None
        self._launcher = launcher
        self._polling = polling
        self._clock = clock
        self._asking = threading.Lock()  # held during a round; who waits for it uses its answers
        self._lock = threading.Lock()  # of what follows
        self._parts: dict[str, _Part] = {}
        self._rested_at: float | None = None  # when the last round began, then when it ended
        self._news_at = float("-inf")
        self._failure: SlipwayError | None = None

    def look(self, execution_id: str, jobs: Sequence[Watched], followed: bool) -> Seen:
        with self._lock:
            self._register(execution_id, jobs, followed)
        if not jobs:
            return Seen({})
        with self._asking:
            with self._lock:
                due = self._seconds_left() <= 0.0
            if due:
                for other in self._ask():
                    if other != execution_id:
                        self.wake(other)
        with self._lock:
            if self._failure is not None:
                raise self._failure.again()
            part = self._parts.get(execution_id)  # None if the round took longer than it is kept
            known = part.known.items() if part else ()
            states = {folder: each.state for folder, each in known if each.state is not None}
            return Seen(states, max(0.0, self._seconds_left()))

    def touched(self, execution_id: str, folder: Path) -> None:
        with self._lock:
            part = self._parts.get(execution_id)
            if part is not None and folder in part.known:
                known = part.known[folder]
                known.since, known.state = self._clock(), None

    def forget(self, execution_id: str, folder: Path) -> None:
        with self._lock:
            part = self._parts.get(execution_id)
            if part is not None:
                part.known.pop(folder, None)
                if not part.known:  # whoever follows it waits for nothing of the launcher
                    del self._parts[execution_id]

    def _register(self, execution_id: str, jobs: Sequence[Watched], followed: bool) -> None:
        """Note the jobs of an execution; the lock is held."""
        now = self._clock()
        before = self._parts.pop(execution_id, None)
        if jobs:
            part = self._parts[execution_id] = _Part(now, followed)
            for job in jobs:
                known = before.known.get(job.folder) if before else None
                part.known[job.folder] = known or _Known(job, now)
                part.known[job.folder].job = job
        # The part that nobody looked at for longest stands first.
        oldest = now - _LEFT_ROUNDS * self._polling.quiet_seconds - _LEFT_SECONDS
        while self._parts and (first := next(iter(self._parts.items())))[1].looked_at < oldest:
            del self._parts[first[0]]

    def _seconds_left(self) -> float:
        """Return the time until the next round is due; the lock is held."""
        if self._rested_at is None:
            return 0.0
        hurried = any(
            part.followed or any(known.state is None for known in part.known.values())
            for part in self._parts.values()
        )
        polling, pause = self._polling, self._polling.followed_seconds
        if not hurried:
            pause = max(pause, (self._rested_at - self._news_at) * _SHARE_OF_CALM)
        return self._rested_at + min(pause, polling.quiet_seconds) - self._clock()

    def _ask(self) -> list[str]:
        """Ask for all jobs; return the executions of which there is news."""
        with self._lock:
            asked_at = self._rested_at = self._clock()
            jobs = [known.job for part in self._parts.values() for known in part.known.values()]
        states: Mapping[Path, JobState] = {}
        failure = None
        try:
            states = ask(self._launcher, jobs)
        except SlipwayError as exc:
            failure = exc
        with self._lock:
            self._failure = failure
            self._rested_at = self._clock()  # a launcher that answers slowly has its rest, too
            news = [id_ for id_, part in self._parts.items() if _note(part, states, asked_at)]
            if news:
                self._news_at = self._rested_at
            return news


def _note(part: _Part, states: Mapping[Path, JobState], asked_at: float) -> bool:
    """Note what a question brought; return whether that is news."""
    news = False
    for folder, known in part.known.items():
        state = states.get(folder)
        if state is not None and known.since <= asked_at:
            news |= state != known.state
            known.state = state
    return news
