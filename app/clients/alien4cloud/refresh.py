"""Reading the catalogue again in the background, so that who lists it need not wait for that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from app.errors import UpstreamError

log = structlog.get_logger(__name__)

_SHARE_OF_TTL: Final = 0.8
"""In this share of the time for which an answer is good all are asked for again."""
_MOST_PER_SECOND: Final = 50.0
"""More questions are never asked; then a round takes longer than answers are good for."""
_UNUSED_TTLS: Final = 10.0
"""After so many times that time without a reader it stops."""
_RETRY_SECONDS: Final = 5.0
"""How soon a round is begun again that could not be begun."""

Round = Callable[[], Iterator[int]]
"""Asks one question after the other; what it yields is how many there are in all."""


class Refresher:
    """Goes through questions in turns, for as long as somebody wants the answers.

    Args:
        orchestrator: Its name, for the log.
        questions: Begins a round.
        ttl_seconds: How long an answer is good for; 0 refreshes nothing.
        sleep: Waits for so many seconds.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        orchestrator: str,
        questions: Round,
        ttl_seconds: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._orchestrator = orchestrator
        self._questions = questions
        self._ttl_seconds = ttl_seconds
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._wanted_at = 0.0
        self._thread: threading.Thread | None = None

    @property
    def runs(self) -> bool:
        """Whether what is out of date is being asked for again anyway."""
        return self._thread is not None

    def want(self) -> None:
        """Note that somebody wants the answers, which are kept fresh for a while from now on."""
        self._wanted_at = self._clock()
        if self._ttl_seconds <= 0 or self.runs:
            return
        with self._lock:
            if self._thread is None:
                name = f"{self._orchestrator}-catalogue"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        try:
            self._sleep(self._ttl_seconds * _SHARE_OF_TTL / 2)  # all was read just now
            while self._clock() - self._wanted_at < _UNUSED_TTLS * self._ttl_seconds:
                self.go_round()
        finally:
            self._thread = None

    def go_round(self) -> None:
        """Ask all questions once, spread over the time for which answers are good."""
        asked, due_at = 0, self._clock()
        try:
            for number in self._questions():
                asked += 1
                share = self._ttl_seconds * _SHARE_OF_TTL / max(1, number)
                # What an answer took is no pause, but a server that is slow is not pressed either.
                due_at = max(due_at + max(share, 1.0 / _MOST_PER_SECOND), self._clock())
                self._sleep(due_at - self._clock())
        except UpstreamError as exc:
            log.warning(
                "catalogue not refreshed", orchestrator=self._orchestrator, error=exc.message,
                asked=asked,
            )  # fmt: skip
            self._sleep(_RETRY_SECONDS)
        except Exception:
            log.exception("catalogue not refreshed", orchestrator=self._orchestrator)
            self._sleep(self._ttl_seconds)
