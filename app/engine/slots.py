"""The processors and the memory that running tasks share."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final

from app.job_resources import Resources

_FORGET_SECONDS: Final = 60.0
"""How long a reservation stands that nobody confirms."""
_EXPECT_SECONDS: Final = 60.0
"""How long after an owner last asked the last processor is kept for them."""
_OFFER_SECONDS: Final = 5.0
"""How long an offer stands until its task takes it; then it is the next one's."""
_LOOK_AHEAD: Final = 16
"""How many of an owner's waiting tasks are tried, so that a large one does not keep the small."""

_Key = tuple[str, str]


class Lack(StrEnum):
    """What there is not enough of for a task."""

    PROCESSORS = "processors"
    MEMORY = "memory"
    POOL = "pool"
    TURN = "turn"
    """There would be enough, but others come first."""


@dataclass(slots=True)
class _Held:
    """What a task has.

    Attributes:
        until: When it is dropped, unless somebody confirms it.
        stopped: The task stands still: it has its memory, and no processor.
    """

    owner: str
    resources: Resources
    until: float
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class _Wait:
    """A task in the queue of its owner, and since when on the monotonic clock."""

    owner: str
    since: float


@dataclass(slots=True)
class _Part:
    """What one execution holds, and what it waits for, by task."""

    held: dict[str, _Held] = field(default_factory=dict)
    waiting: dict[str, _Wait] = field(default_factory=dict)


class Slots:
    """Hands out what tasks reserve, in turns by owner.

    A task that waits stands behind tasks of its own owner only: each owner in turn gets the share
    of one task. A share that becomes free is offered to the task whose turn it is, and its
    execution is woken. While an owner who asked lately has no task, nobody who has one takes the
    last processor, so the next task of the former need not wait for the end of somebody else's.

    It holds nothing that cannot be rebuilt from the running tasks. A reservation must be confirmed
    while its task runs. One that nobody confirms for a minute is dropped, and an offer after
    seconds, so an execution that moved elsewhere leaves nothing behind.

    A task that stands still gives its processors back and keeps its memory, as jobs do that Slurm
    or PBS suspends; it takes them again, by a turn as all others, before it goes on.

    Args:
        cpus: Processors to share.
        memory_bytes: Memory to share; None for no limit.
        by_job: Each task takes one processor and no memory, whatever it asks for: they run
            elsewhere, and are merely counted.
        most_bytes: Memory that there is, where any of it may be reserved.
    """

    def __init__(
        self,
        cpus: int,
        memory_bytes: int | None,
        *,
        by_job: bool = False,
        most_bytes: int | None = None,
    ) -> None:
        self._cpus = cpus
        self._memory_bytes = memory_bytes
        self._by_job = by_job
        self._most_bytes = most_bytes if memory_bytes is None else memory_bytes
        self._parts: dict[str, _Part] = {}
        self._queues: dict[str, dict[_Key, Resources]] = {}
        self._asked_at: dict[str, float] = {}
        self._used = Resources(cpus=0, memory_bytes=0)
        self._busy: Counter[str] = Counter()
        self._next_end = math.inf  # no reservation ends before
        self._lock = threading.Lock()
        self._wake: Callable[[str], None] = lambda _id: None

    @property
    def cpus(self) -> int:
        """Processors to share, or jobs of a pool."""
        return self._cpus

    @property
    def most_bytes(self) -> int | None:
        """Most memory that a task can have; None for any."""
        return self._most_bytes

    @property
    def elsewhere(self) -> bool:
        """Whether tasks run in a pool of its own, and are merely counted."""
        return self._by_job

    def beyond(self, wanted: Resources) -> str | None:
        """Return why a task can never have what it takes; None if it can.

        Args:
            wanted: What it takes.
        """
        share = self._share(wanted)
        if share.cpus > self._cpus:
            return f"it asks for {share.cpus} processors, and all tasks together have {self._cpus}"
        if self._most_bytes is not None and share.memory_bytes > self._most_bytes:
            together = f"all tasks together have {self._most_bytes}"
            return f"it asks for {share.memory_bytes} bytes of memory, and {together}"
        return None

    def held_up(self, execution_id: str, seconds: float) -> list[str]:
        """List the tasks of an execution that have waited for so long, the first one first."""
        latest = time.monotonic() - seconds
        with self._lock:
            part = self._parts.get(execution_id)
            waiting = part.waiting if part else {}
            return [task for task, wait in waiting.items() if wait.since <= latest]

    def lack(self, execution_id: str, task: str, wanted: Resources) -> tuple[Lack, str]:
        """Return what a task waits for, and that in words.

        Args:
            execution_id: The execution.
            task: The task.
            wanted: What it takes.
        """
        share = self._share(wanted)
        with self._lock:
            part = self._parts.get(execution_id)
            stopped = part is not None and task in part.held
            used, limit = self._used, self._memory_bytes
        if share.cpus > self._cpus - used.cpus:
            taken = f"{used.cpus} of {self._cpus} are taken"
            if self._by_job:
                return Lack.POOL, f"room for another job where it runs; {taken}"
            noun = "a processor" if share.cpus == 1 else f"{share.cpus} processors"
            return Lack.PROCESSORS, f"{noun}; {taken}"
        # What stands still has its memory.
        if limit is not None and not stopped and share.memory_bytes > limit - used.memory_bytes:
            taken = f"{used.memory_bytes} of {limit} are taken"
            return Lack.MEMORY, f"{share.memory_bytes} bytes of memory; {taken}"
        return Lack.TURN, "its turn; tasks of others come first"

    def listen(self, wake: Callable[[str], None]) -> None:
        """Call ``wake(execution_id)`` when something is offered that it waits for."""
        self._wake = wake

    def take(
        self,
        execution_id: str,
        wanted: Mapping[str, Resources],
        *,
        owner: str = "",
        stopped: Collection[str] = (),
    ) -> list[str]:
        """Reserve what there is room for; what is not reserved waits, in the order given.

        Args:
            execution_id: The execution.
            wanted: What its tasks that can begin or go on take, all of them, by name. One that
                takes more than there is waits for ever: see :meth:`beyond`.
            owner: Whose turn they take to get it.
            stopped: Those of them that stand still, and so have their memory already.

        Returns:
            The tasks that have what they take. The others must wait; ``wake`` tells when to ask
            again.
        """
        if not wanted:
            return []
        moment = time.monotonic()
        with self._lock:
            part = self._parts.setdefault(execution_id, _Part())
            for task in stopped:
                if task not in part.held:
                    self._stop(execution_id, task, owner, wanted[task], moment)
            self._queue(execution_id, part, wanted, owner)
            offered = self._offer(moment) if part.waiting else []
            self._asked_at[owner] = moment
            had = [task for task in part.held if task in wanted]
            for task in had:
                part.held[task].until = moment + _FORGET_SECONDS
            granted = [task for task in had if not part.held[task].stopped]
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
                if task in known and not known[task].stopped:
                    known[task].until = moment + _FORGET_SECONDS
                else:
                    self._leave(execution_id, task)
                    self._release(execution_id, task)
                    held = _Held(owner, self._share(resources), moment + _FORGET_SECONDS)
                    self._hold(execution_id, task, held)
            self._asked_at[owner] = moment

    def stop(self, execution_id: str, stopped: Mapping[str, Resources], *, owner: str = "") -> None:
        """Take processors back from tasks that stand still; idempotent. They keep their memory.

        Args:
            execution_id: The execution.
            stopped: What its tasks that stand still take while they run, by name.
            owner: Whose they are.
        """
        if not stopped:
            return
        moment = time.monotonic()
        with self._lock:
            for task, resources in stopped.items():
                self._leave(execution_id, task)
                self._stop(execution_id, task, owner, resources, moment)
            offered = self._offer(moment)
        self._tell(offered)

    def _stop(
        self, execution_id: str, task: str, owner: str, resources: Resources, moment: float
    ) -> None:
        """Let a task have nothing but its memory; the lock is held."""
        self._release(execution_id, task)
        kept = Resources(cpus=0, memory_bytes=self._share(resources).memory_bytes)
        self._hold(execution_id, task, _Held(owner, kept, moment + _FORGET_SECONDS, stopped=True))

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
        stopped = {task for task, held in part.held.items() if held.stopped}
        new = wanted.keys() - part.waiting.keys() - (part.held.keys() - stopped)
        if not new:
            return
        queue, moment = self._queues.setdefault(owner, {}), time.monotonic()
        for task in filter(new.__contains__, wanted):
            part.waiting[task] = _Wait(owner, moment)
            share = self._share(wanted[task])
            queue[execution_id, task] = Resources(share.cpus) if task in stopped else share

    def _share(self, wanted: Resources) -> Resources:
        """Return what a task takes of what is shared here."""
        if self._by_job:
            return Resources(cpus=1)
        return Resources(wanted.all_cpus, wanted.memory_bytes)

    def _leave(self, execution_id: str, task: str) -> None:
        """Take a task out of the queue, if it is in one; the lock is held."""
        part = self._parts.get(execution_id)
        wait = part.waiting.pop(task, None) if part else None
        if wait is not None:
            queue = self._queues[wait.owner]
            del queue[execution_id, task]
            if not queue:
                del self._queues[wait.owner]

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
        if held.stopped:  # who has nothing that runs is one who has nothing
            return
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
            share = queue.pop(key)
            if queue:  # behind all others
                self._queues[owner] = queue
            execution_id, task = key
            part = self._parts[execution_id]
            del part.waiting[task]
            if task in part.held:  # it stood still, and goes on with the memory that it has
                share = Resources(share.cpus, part.held[task].resources.memory_bytes)
                self._release(execution_id, task)
            self._hold(execution_id, task, _Held(owner, share, moment + _OFFER_SECONDS))
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
                if wanted.cpus <= free and self._has_memory(wanted):
                    return owner, key
        return None

    def _has_memory(self, wanted: Resources) -> bool:
        limit = self._memory_bytes
        if limit is None:
            return True
        return self._used.memory_bytes + wanted.memory_bytes <= limit
