"""The processors and the memory that running tasks share."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from app.engine.model import Resources

_FORGET_SECONDS: Final = 60.0
"""How long a reservation stands that nobody confirms."""
_EXPECT_SECONDS: Final = 60.0
"""How long after an owner last asked the last processor is kept for them."""
_OFFER_SECONDS: Final = 5.0
"""How long an offer stands until its task takes it; then it is the next one's."""
_LOOK_AHEAD: Final = 16
"""How many of an owner's waiting tasks are tried, so that a large one does not keep the small."""

_Key = tuple[str, str]


@dataclass(slots=True)
class _Held:
    owner: str
    resources: Resources
    until: float


@dataclass(slots=True)
class _Part:
    """What one execution holds, and what it waits for, by task.

    Attributes:
        waiting: Owners in whose queue the tasks are.
    """

    held: dict[str, _Held] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)


class Slots:
    """Hands out what tasks reserve, in turns by owner.

    A task that waits stands behind tasks of its own owner only: each owner in turn gets the share
    of one task. A share that becomes free is offered to the task whose turn it is, and its
    execution is woken. While an owner who asked lately has no task, nobody who has one takes the
    last processor, so the next task of the former need not wait for the end of somebody else's.

    It holds nothing that cannot be rebuilt from the running tasks. A reservation must be confirmed
    while its task runs. One that nobody confirms for a minute is dropped, and an offer after
    seconds, so an execution that moved elsewhere leaves nothing behind.

    Args:
        cpus: Processors to share.
        memory_bytes: Memory to share; None for no limit.
        by_job: Each task takes one processor and no memory, whatever it asks for: they run
            elsewhere, and are merely counted.
    """

    def __init__(self, cpus: int, memory_bytes: int | None, *, by_job: bool = False) -> None:
        self._cpus = cpus
        self._memory_bytes = memory_bytes
        self._by_job = by_job
        self._parts: dict[str, _Part] = {}
        self._queues: dict[str, dict[_Key, Resources]] = {}
        self._asked_at: dict[str, float] = {}
        self._used = Resources(cpus=0, memory_bytes=0)
        self._busy: Counter[str] = Counter()
        self._next_end = math.inf  # no reservation ends before
        self._lock = threading.Lock()
        self._wake: Callable[[str], None] = lambda _id: None

    def listen(self, wake: Callable[[str], None]) -> None:
        """Call ``wake(execution_id)`` when something is offered that it waits for."""
        self._wake = wake

    def take(
        self, execution_id: str, wanted: Mapping[str, Resources], *, owner: str = ""
    ) -> list[str]:
        """Reserve what there is room for; what is not reserved waits, in the order given.

        Args:
            execution_id: The execution.
            wanted: What its tasks that can begin take, all of them, by name; more than there is
                counts as all there is.
            owner: Whose turn they take to get it.

        Returns:
            The tasks that have what they take. The others must wait; ``wake`` tells when to ask
            again.
        """
        if not wanted:
            return []
        moment = time.monotonic()
        with self._lock:
            part = self._parts.setdefault(execution_id, _Part())
            self._queue(execution_id, part, wanted, owner)
            offered = self._offer(moment) if part.waiting else []
            self._asked_at[owner] = moment
            granted = [task for task in part.held if task in wanted]
            for task in granted:
                part.held[task].until = moment + _FORGET_SECONDS
        self._tell(offered, but=execution_id)
        return granted

    def confirm(
        self, execution_id: str, running: Mapping[str, Resources], *, owner: str = ""
    ) -> None:
        """Keep what running tasks take; they have it, whether it was reserved or not.

        Args:
            execution_id: The execution.
            running: What its running tasks take, by name.
            owner: Whose they are.
        """
        if not running:
            return
        moment = time.monotonic()
        with self._lock:
            known = self._parts.setdefault(execution_id, _Part()).held
            for task, resources in running.items():
                if task in known:
                    known[task].until = moment + _FORGET_SECONDS
                else:
                    self._leave(execution_id, task)
                    held = _Held(owner, self._share(resources), moment + _FORGET_SECONDS)
                    self._hold(execution_id, task, held)
            self._asked_at[owner] = moment

    def give_back(self, execution_id: str, task: str) -> None:
        """End a reservation, or the wait for one; idempotent."""
        self._give_back(execution_id, (task,))

    def keep_only(self, execution_id: str, running: Collection[str]) -> None:
        """End the reservations of an execution, and its waits, but for those of some tasks."""
        with self._lock:
            part = self._parts.get(execution_id) or _Part()
            others = [*part.waiting, *(task for task in part.held if task not in running)]
        self._give_back(execution_id, others)

    def _give_back(self, execution_id: str, names: Collection[str]) -> None:
        with self._lock:
            released = False
            for task in names:
                self._leave(execution_id, task)
                released |= self._release(execution_id, task)
            self._forget_if_empty(execution_id)
            offered = self._offer(time.monotonic()) if released else []
        self._tell(offered)

    def _tell(self, offered: list[_Key], but: str | None = None) -> None:
        for execution_id in dict.fromkeys(key[0] for key in offered):
            if execution_id != but:
                self._wake(execution_id)

    def _queue(
        self, execution_id: str, part: _Part, wanted: Mapping[str, Resources], owner: str
    ) -> None:
        """Queue the tasks up that neither hold nor wait; the lock is held."""
        new = wanted.keys() - part.waiting.keys() - part.held.keys()
        if not new:
            return
        queue = self._queues.setdefault(owner, {})
        for task in filter(new.__contains__, wanted):
            part.waiting[task] = owner
            queue[execution_id, task] = self._share(wanted[task])

    def _share(self, wanted: Resources) -> Resources:
        """Return what a task takes of what is shared here."""
        if self._by_job:
            return Resources(cpus=1)
        return Resources(wanted.all_cpus, wanted.memory_bytes)

    def _leave(self, execution_id: str, task: str) -> None:
        """Take a task out of the queue, if it is in one; the lock is held."""
        part = self._parts.get(execution_id)
        owner = part.waiting.pop(task, None) if part else None
        if owner is not None:
            queue = self._queues[owner]
            del queue[execution_id, task]
            if not queue:
                del self._queues[owner]

    def _hold(self, execution_id: str, task: str, held: _Held) -> None:
        """Note a reservation; the lock is held."""
        self._parts.setdefault(execution_id, _Part()).held[task] = held
        self._count(held, 1)
        self._next_end = min(self._next_end, held.until)

    def _release(self, execution_id: str, task: str) -> bool:
        """End a reservation, if there is one; the lock is held."""
        part = self._parts.get(execution_id)
        held = part.held.pop(task, None) if part else None
        if held is None:
            return False
        self._count(held, -1)
        return True

    def _forget_if_empty(self, execution_id: str) -> None:
        part = self._parts.get(execution_id)
        if part is not None and not part.held and not part.waiting:
            del self._parts[execution_id]

    def _count(self, held: _Held, sign: int) -> None:
        self._used = Resources(
            self._used.cpus + sign * held.resources.cpus,
            self._used.memory_bytes + sign * held.resources.memory_bytes,
        )
        self._busy[held.owner] += sign
        if not self._busy[held.owner]:
            del self._busy[held.owner]

    def _end_old(self, moment: float) -> None:
        """Drop what nobody confirmed in time; the lock is held."""
        if self._next_end >= moment:
            return
        old = [
            (execution_id, task)
            for execution_id, part in self._parts.items()
            for task, held in part.held.items()
            if held.until < moment
        ]
        for execution_id, task in old:
            self._release(execution_id, task)
            self._forget_if_empty(execution_id)
        ends = (held.until for part in self._parts.values() for held in part.held.values())
        self._next_end = min(ends, default=math.inf)

    def _offer(self, moment: float) -> list[_Key]:
        """Reserve for those who wait what is free, in turns by owner; the lock is held."""
        self._end_old(moment)
        oldest = moment - _EXPECT_SECONDS
        self._asked_at = {owner: at for owner, at in self._asked_at.items() if at >= oldest}
        offered = []
        while (found := self._next()) is not None:
            owner, key = found
            queue = self._queues.pop(owner)
            held = _Held(owner, queue.pop(key), moment + _OFFER_SECONDS)
            if queue:  # behind all others
                self._queues[owner] = queue
            execution_id, task = key
            del self._parts[execution_id].waiting[task]
            self._hold(execution_id, task, held)
            offered.append(key)
        return offered

    def _next(self) -> tuple[str, _Key] | None:
        """Find whose turn it is, of those for whom there is enough."""
        cpus = self._cpus - self._used.cpus
        if cpus <= 0:
            return None
        for owner, queue in self._queues.items():
            expected = self._asked_at.keys() - self._busy.keys() - {owner}
            # The last processor is not for an owner who has a task while another, who asked
            # lately and has none, is expected back.
            free = cpus - 1 if expected and owner in self._busy else cpus
            for key, wanted in islice(queue.items(), _LOOK_AHEAD):
                if min(wanted.cpus, self._cpus) <= free and self._has_memory(wanted):
                    return owner, key
        return None

    def _has_memory(self, wanted: Resources) -> bool:
        limit = self._memory_bytes
        if limit is None:
            return True
        return self._used.memory_bytes + min(wanted.memory_bytes, limit) <= limit
