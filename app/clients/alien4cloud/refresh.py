"""Reading the catalogue again in the background, so that who lists it need not wait for that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from app.errors import UpstreamError

log = structlog.get_logger(__name__)

_SHARE_OF_TTL: Final = 0.8
"""In this share of the time for which an answer is good all are asked for again."""
_UNUSED_TTLS: Final = 10.0
"""After so many times that time without a reader it stops."""
_RETRY_SECONDS: Final = 5.0
"""How soon a round is begun again that could not be begun."""
_MOST_LATE: Final = 4
"""So many questions that are late, since all before them were slow, may follow at once."""

Question = Callable[[], None]
"""Asks for something; what it raises ends the round."""
Round = Callable[[], Sequence[Question]]
"""Begins a round: returns all that is to be asked."""


class Refresher:
    """Goes through questions in turns, for as long as somebody wants the answers.

    They are spread over the time for which answers are good, and a few are under way at the same
    time where an answer takes longer than it is to the next question. What others ask meanwhile
    takes the places of these few, but one.

    Args:
        orchestrator: Its name, for the log.
        questions: Begins a round.
        ttl_seconds: How long an answer is good for; 0 refreshes nothing.
        most_per_second: More questions are never begun; a round takes longer then.
        most_at_once: More are never under way.
        others: Returns how many requests of others are under way, when so many are of this one.
        sleep: Waits for so many seconds.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        orchestrator: str,
        questions: Round,
        ttl_seconds: float,
        *,
        most_per_second: float = 100.0,
        most_at_once: int = 8,
        others: Callable[[int], int] = lambda _: 0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._orchestrator = orchestrator
        self._questions = questions
        self._ttl_seconds = ttl_seconds
        self._least_seconds = 1.0 / most_per_second
        self._most_at_once = most_at_once
        self._others = others
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._wanted_at = 0.0
        self._thread: threading.Thread | None = None
        self._is_late = False

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
            self._sleep(self._ttl_seconds * (1 - _SHARE_OF_TTL))  # all was read just now
            while self._clock() - self._wanted_at < _UNUSED_TTLS * self._ttl_seconds:
                self.go_round()
        finally:
            self._thread = None

    def go_round(self) -> None:
        """Ask all questions once, spread over the time for which answers are good."""
        began = self._clock()
        try:
            questions = self._questions()
            self._ask(questions)
        except UpstreamError as exc:
            log.warning(
                "catalogue not refreshed", orchestrator=self._orchestrator, error=exc.message
            )
            self._sleep(_RETRY_SECONDS)
        except Exception:
            log.exception("catalogue not refreshed", orchestrator=self._orchestrator)
            self._sleep(self._ttl_seconds)
        else:
            took = self._clock() - began
            self._tell(len(questions), took)
            self._sleep(max(self._ttl_seconds * _SHARE_OF_TTL - took, 0.0))

    def _ask(self, questions: Sequence[Question]) -> None:
        pause = self._ttl_seconds * _SHARE_OF_TTL / max(1, len(questions))
        pause = max(pause, self._least_seconds)
        under_way = _UnderWay(self._most_at_once, self._others)
        due_at = self._clock()
        for question in questions:
            self._sleep(max(due_at - self._clock(), 0.0))
            if not under_way.begin(question):
                break
            due_at = max(due_at + pause, self._clock() - _MOST_LATE * pause)
        under_way.end()

    def _tell(self, number: int, took: float) -> None:
        """Say when a round begins to take longer than an answer is good for, and when no more."""
        was_late, self._is_late = self._is_late, took > self._ttl_seconds
        if self._is_late == was_late:
            return
        say = log.warning if self._is_late else log.info
        say(
            "reading the workflows again takes longer than cache_ttl"
            if self._is_late
            else "reading the workflows again keeps within cache_ttl",
            orchestrator=self._orchestrator,
            applications=number,
            seconds=round(took, 1),
            cache_ttl=self._ttl_seconds,
            most_per_second=round(1 / self._least_seconds),
        )


class _UnderWay:
    """The questions of a round that wait for their answers.

    Args:
        most: So many at most.
        others: As of :class:`Refresher`.
    """

    def __init__(self, most: int, others: Callable[[int], int]) -> None:
        self._most = most
        self._others = others
        self._number = 0
        self._failure: BaseException | None = None
        self._changed = threading.Condition()

    def begin(self, question: Question) -> bool:
        """Ask, once there is room; return False, without asking, when another one failed."""
        with self._changed:
            # Whoever waits here waits for one of our own, which lets them go on.
            while self._number >= max(1, self._most - self._others(self._number)):
                self._changed.wait()
            if self._failure is not None:
                return False
            self._number += 1
        threading.Thread(target=self._answer, args=(question,), daemon=True).start()
        return True

    def end(self) -> None:
        """Wait until all are answered.

        Raises:
            Exception: What one of them raised first.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._number)
        if self._failure is not None:
            raise self._failure

    def _answer(self, question: Question) -> None:
        failure: BaseException | None = None
        try:
            question()
        except BaseException as exc:  # noqa: BLE001  (it is raised again in who waits)
            failure = exc
        with self._changed:
            self._number -= 1
            self._failure = self._failure or failure
            self._changed.notify_all()
