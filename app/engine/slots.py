"""The processors and the memory that running tasks share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from app.engine.model import Resources

_FORGET_SECONDS: Final = 60.0
_EXPECT_SECONDS: Final = 60.0
_OFFER_SECONDS: Final = 5.0
_LOOK_AHEAD: Final = 16
"""How many of an owner's waiting tasks are tried, so that a large one does not keep the small."""

_Key = tuple[str, str]


@dataclass(slots=True)
class _Held:
    owner: str
    resources: Resources
    until: float


class Slots:
    """Hands out what tasks reserve, in turns by owner.

    Who has to wait queues up behind his own tasks only: each owner gets one task's share in turn.
    A share that becomes free is offered to the task whose turn it is, whose execution is woken.
    While somebody who had a task lately has none, nobody who has one takes the last processor: the
    next task of the other need not wait for the end of a stranger's.

    It holds nothing that cannot be rebuilt from the running tasks. A reservation must be confirmed
    by taking it again while its task runs. One that nobody confirms for a minute is dropped, and an
    offer after seconds, so an execution that moved elsewhere leaves nothing behind.

    Args:
        cpus: Processors to share.
        memory_bytes: Memory to share; None for no limit.
    """

    def __init__(self, cpus: int, memory_bytes: int | None) -> None:
        self._cpus = cpus
        self._memory_bytes = memory_bytes
        self._held: dict[_Key, _Held] = {}
        self._queues: dict[str, dict[_Key, Resources]] = {}
        self._asked_at: dict[str, float] = {}
        self._lock = threading.Lock()
        self._wake: Callable[[str], None] = lambda _id: None

    def listen(self, wake: Callable[[str], None]) -> None:
        """Call ``wake(execution_id)`` when something is offered that it waits for."""
        self._wake = wake

    def take(
        self, execution_id: str, task: str, wanted: Resources, *, running: bool, owner: str = ""
    ) -> bool:
        """Reserve, or confirm a reservation.

        Args:
            execution_id: The execution.
            task: Name of its task.
            wanted: What the task takes; more than there is counts as all there is.
            running: The task runs already, so it has what it takes.
            owner: Whose turn it takes to get it.

        Returns:
            False when it must wait; ``wake`` tells when to ask again.
        """
        key, moment = (execution_id, task), time.monotonic()
        with self._lock:
            offered: list[_Key] = []
            if running:
                self._leave(key)
                self._held[key] = _Held(owner, wanted, moment)
            elif key not in self._held:
                self._queues.setdefault(owner, {})[key] = wanted
                offered = self._offer(moment)
            held = self._held.get(key)
            self._asked_at[owner] = moment
            if held is not None:
                held.until = moment + _FORGET_SECONDS
        self._tell(offered, but=key)
        return held is not None

    def give_back(self, execution_id: str, task: str) -> None:
        """End a reservation, or the wait for one; idempotent."""
        key = (execution_id, task)
        with self._lock:
            self._leave(key)
            if self._held.pop(key, None) is None:
                return
            offered = self._offer(time.monotonic())
        self._tell(offered)

    def _tell(self, offered: list[_Key], but: _Key | None = None) -> None:
        for execution_id in dict.fromkeys(key[0] for key in offered if key != but):
            self._wake(execution_id)

    def _leave(self, key: _Key) -> None:
        for owner, queue in self._queues.items():
            if queue.pop(key, None) is not None:
                if not queue:
                    del self._queues[owner]
                return

    def _offer(self, moment: float) -> list[_Key]:
        """Reserve for those who wait what is free, in turns by owner; the lock is held."""
        self._held = {key: held for key, held in self._held.items() if held.until >= moment}
        oldest = moment - _EXPECT_SECONDS
        self._asked_at = {owner: at for owner, at in self._asked_at.items() if at >= oldest}
        offered = []
        while (found := self._next()) is not None:
            owner, key = found
            queue = self._queues.pop(owner)
            self._held[key] = _Held(owner, queue.pop(key), moment + _OFFER_SECONDS)
            if queue:  # behind all others
                self._queues[owner] = queue
            offered.append(key)
        return offered

    def _next(self) -> tuple[str, _Key] | None:
        """Find whose turn it is, of those for whom there is enough."""
        cpus = self._cpus - sum(held.resources.cpus for held in self._held.values())
        if cpus <= 0:
            return None
        busy = {held.owner for held in self._held.values()}
        for owner, queue in self._queues.items():
            expected = self._asked_at.keys() - busy - {owner}
            free = cpus - 1 if expected and owner in busy else cpus
            for key, wanted in islice(queue.items(), _LOOK_AHEAD):
                if min(wanted.cpus, self._cpus) <= free and self._has_memory(wanted):
                    return owner, key
        return None

    def _has_memory(self, wanted: Resources) -> bool:
        limit = self._memory_bytes
        if limit is None:
            return True
        held = sum(held.resources.memory_bytes for held in self._held.values())
        return held + min(wanted.memory_bytes, limit) <= limit
