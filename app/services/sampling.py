"""What a web process counts, written down for the charts of the last hour.

It is written every few seconds, off the way of requests, so it is also the sign of life that a
process gives. What the store does not take waits until it does.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from app.errors import StoreUnavailable
from app.pulse import Counts, Pulse
from app.store.execution_rows import now
from app.store.figures import KEPT, MINUTE, Figures, ProcessMinute, minute_of

log = structlog.get_logger(__name__)

SAMPLE_SECONDS: Final = 10.0
"""How often it is written."""
_END_SECONDS: Final = 1.0
"""How long the end of a process waits for what is being written."""
_MOST_UNWRITTEN: Final = KEPT // MINUTE


class Sampler:
    """Writes down what this process counts.

    Args:
        figures: Where.
        pulse: What is counted.
        followers: Returns how many readers wait for a change.
        queue: Returns how many executions wait to begin, of the whole service.
        clock: Returns the present moment.
    """

    def __init__(
        self,
        figures: Figures,
        pulse: Pulse,
        *,
        followers: Callable[[], int],
        queue: Callable[[], int],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._figures = figures
        self._pulse = pulse
        self._followers = followers
        self._queue = queue
        self._clock = clock
        self._process = secrets.token_hex(16)
        self._minute = minute_of(clock())
        self._unwritten: dict[datetime, ProcessMinute] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Write from now on."""
        self._thread = threading.Thread(target=self._run, name="figures", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write for the last time, if anything was written, and that the process ends."""
        self._stopping.set()
        if self._thread is None:
            return
        self._thread.join(_END_SECONDS)
        if not self._thread.is_alive():  # else it waits for the store, as this one would
            self.sample(ended=True)

    def sample(self, *, ended: bool = False) -> None:
        """Write what was counted so far.

        Args:
            ended: The process ends now.
        """
        moment = self._clock()
        queue = self._number_queued()
        minute = minute_of(moment)
        if minute != self._minute:
            self._note(self._pulse.turn(), moment, queue, ended=False)
            self._minute = minute
        self._note(self._pulse.read(), moment, queue, ended=ended)
        try:
            self._figures.put(self._unwritten.values())
        except StoreUnavailable:
            return  # the store has said so
        self._unwritten.clear()

    def _note(self, counts: Counts, moment: datetime, queue: int | None, *, ended: bool) -> None:
        while len(self._unwritten) >= _MOST_UNWRITTEN:
            del self._unwritten[min(self._unwritten)]
        self._unwritten[self._minute] = ProcessMinute(
            minute=self._minute, process=self._process, host=os.uname().nodename, pid=os.getpid(),
            seen_at=moment, ended=ended, requests=counts.requests, failures=counts.failures,
            streams=counts.streams, followers=self._followers(), delivered=counts.delivered,
            delivery_lag=counts.delivery_lag, loop_lag=counts.loop_lag, queue=queue,
        )  # fmt: skip

    def _number_queued(self) -> int | None:
        try:
            return self._queue()
        except StoreUnavailable:
            return None

    def _run(self) -> None:
        while True:
            try:
                self.sample()
            except Exception as exc:  # noqa: BLE001  (the next one may succeed)
                log.warning("figures could not be written", error=str(exc))
            if self._stopping.wait(SAMPLE_SECONDS):
                return
