"""Counts what the virtual users of one task do."""

from __future__ import annotations

import time
from typing import Final

from app.load.exchange import Outcome
from app.load.histogram import Histogram
from app.load.measures import MOST_KINDS, ErrorKind, Report

_LONGEST_MESSAGE: Final = 500


class _Step:
    __slots__ = ("duration", "failure", "success")

    def __init__(self) -> None:
        self.duration = Histogram()
        self.success = self.failure = 0


class Recording:
    """A :class:`app.load.exchange.Recorder`, and the counts of iterations beside it.

    Attributes:
        claimed, failed, interrupted, dropped: As in :class:`app.load.measures.Report`.
        steps_run: How many steps came to their end, of all iterations.
    """

    def __init__(self) -> None:
        self.claimed = self.failed = self.interrupted = self.dropped = 0
        self.steps_run = 0
        self._iteration = Histogram()
        self._requests = Histogram()
        self._failed_requests = 0
        self._steps: dict[str, _Step] = {}
        self._errors: dict[tuple[str, str, str], ErrorKind] = {}

    def step(self, step_id: str, outcome: Outcome, microseconds: int) -> None:
        """Count a run of a step."""
        step = self._steps.get(step_id)
        if step is None:
            step = self._steps[step_id] = _Step()
        step.duration.add(microseconds)
        self.steps_run += 1
        if outcome == "success":
            step.success += 1
        else:
            step.failure += 1

    def request(self, step_id: str, microseconds: int, failed: bool) -> None:
        """Count an http request."""
        self._requests.add(microseconds)
        if failed:
            self._failed_requests += 1

    def error(self, code: str, message: str, step_id: str) -> None:
        """Count an error; kinds beyond the first ones together."""
        message = message.encode(errors="replace").decode().replace("\0", "?")
        key = code, message[:_LONGEST_MESSAGE], step_id
        if key not in self._errors and len(self._errors) >= MOST_KINDS - 1:
            key = "OTHER", "errors of other kinds", ""
        kind = self._errors.get(key)
        if kind is None:
            self._errors[key] = {
                "code": key[0],
                "message": key[1],
                "step_id": key[2],
                "first_ms": time.time_ns() // 1_000_000,
                "count": 1,
            }
        else:
            kind["count"] += 1

    def iteration(self, microseconds: int, *, succeeded: bool) -> None:
        """Count an iteration that came to its end."""
        self._iteration.add(microseconds)
        if not succeeded:
            self.failed += 1

    def report(self, *, vus: int, vus_max: int, seen: int, running_us: int, ended: bool) -> Report:
        """Return all that was counted so far.

        Args:
            vus: Virtual users at the moment.
            vus_max: The most at any moment.
            seen: How many different ones there were.
            running_us: How long the execution has been running.
            ended: Whether nothing runs any more.
        """
        iteration = self._iteration.counts()
        return {
            "claimed": self.claimed,
            "iterations": iteration["n"],
            "failed": self.failed,
            "interrupted": self.interrupted,
            "dropped": self.dropped,
            "vus": vus,
            "vus_max": vus_max,
            "completed_vus": seen - vus,
            "running_us": running_us,
            "ended": ended,
            "iteration": iteration,
            "requests": {**self._requests.counts(), "failed": self._failed_requests},
            "steps": {
                id_: {
                    "count": step.success + step.failure,
                    "success": step.success,
                    "failure": step.failure,
                    "duration": step.duration.counts(),
                }
                for id_, step in self._steps.items()
            },
            "errors": [error.copy() for error in self._errors.values()],
        }
