"""The processors and the memory that running tasks share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.engine.model import Resources

_FORGET_SECONDS = 60.0


@dataclass(slots=True)
class _Held:
    resources: Resources
    confirmed_at: float


class Slots:
    """Hands out what tasks reserve; holds nothing that cannot be rebuilt from the running tasks.

    A reservation must be confirmed by taking it again while its task runs. One that nobody
    confirms for a minute is dropped, so an execution that moved elsewhere leaves nothing behind.

    Args:
        cpus: Processors to share.
        memory_bytes: Memory to share; None for no limit.
    """

    def __init__(self, cpus: int, memory_bytes: int | None) -> None:
        self._cpus = cpus
        self._memory_bytes = memory_bytes
        self._held: dict[tuple[str, str], _Held] = {}
        self._waiting: dict[str, None] = {}
        self._lock = threading.Lock()
        self._wake: Callable[[str], None] = lambda _id: None

    def listen(self, wake: Callable[[str], None]) -> None:
        """Call ``wake(execution_id)`` when something was given back that it waits for."""
        self._wake = wake

    def take(self, execution_id: str, task: str, wanted: Resources, *, running: bool) -> bool:
        """Reserve, or confirm a reservation.

        Args:
            execution_id: The execution.
            task: Name of its task.
            wanted: What the task takes; more than there is counts as all there is.
            running: The task runs already, so it has what it takes.

        Returns:
            False when it must wait; ``wake`` tells when to ask again.
        """
        moment = time.monotonic()
        with self._lock:
            held = self._held.get((execution_id, task))
            if held is not None:
                held.confirmed_at = moment
            elif running or self._fits(wanted, moment):
                self._held[execution_id, task] = _Held(wanted, moment)
            else:
                self._waiting[execution_id] = None
                return False
        return True

    def give_back(self, execution_id: str, task: str) -> None:
        """End a reservation; idempotent."""
        with self._lock:
            if self._held.pop((execution_id, task), None) is None:
                return
            waiting, self._waiting = list(self._waiting), {}
        for waiter in waiting:
            self._wake(waiter)

    def _fits(self, wanted: Resources, moment: float) -> bool:
        oldest = moment - _FORGET_SECONDS
        self._held = {k: h for k, h in self._held.items() if h.confirmed_at >= oldest}
        cpus = sum(held.resources.cpus for held in self._held.values())
        memory = sum(held.resources.memory_bytes for held in self._held.values())
        if cpus + min(wanted.cpus, self._cpus) > self._cpus:
            return False
        limit = self._memory_bytes
        return limit is None or memory + min(wanted.memory_bytes, limit) <= limit
