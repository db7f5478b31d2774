"""The virtual users of one task."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any, Final, Protocol

import gevent
import structlog
from gevent.event import Event

from app.load.definition import Mode, Options
from app.load.exchange import Answer, Cut, Http, Recorder, Request, TransportFailed
from app.load.measures import Report
from app.load.messages import DesiredTask
from app.load.modes import (
    ARRIVALS,
    due_count,
    ends_at,
    first_vus,
    most_vus,
    next_due_us,
    vus_at,
)  # fmt: skip
from app.load.segments import deal
from app.load.slave.gate import Gate, Permission
from app.load.slave.lease import boot_us
from app.load.slave.recording import Recording

GRACE_US: Final = {"no": 30_000_000, "gently": 30_000_000, "now": 2_000_000}
"""How long iterations that are under way may go on after the end, in microseconds, by the stop."""
LATEST_US: Final = 500_000
"""By how many microseconds an iteration of an arrival mode may begin late. What is later, because
the process did not run, is dropped; so no burst follows a standstill."""
FIRST_US: Final = 1_000_000
"""A task that comes so early in an execution, in microseconds, is there from its beginning."""

_PAUSES: Final = (0.01, 0.1)
_RAMP_SECONDS: Final = 0.02  # how often a ramp is looked at
_ARRIVAL_SECONDS: Final = (0.001, 0.01)  # how long is slept between arrivals, at least and at most
_REST_SECONDS: Final = 1.0  # how often the rest is looked at, beside when it is due

_log = structlog.get_logger(__name__)


class Program(Protocol):
    """What runs the iterations of a task."""

    def __call__(self, http: Http, recorder: Recorder, vu: int, number: int) -> bool:
        """Run one iteration of a virtual user, both by their numbers from 1 on.

        Returns:
            Whether it succeeded.

        Raises:
            Cut: It was interrupted.
        """

    def close(self) -> None:
        """End what it has begun, at the end of the task."""


class Sender(Protocol):
    """The client that all virtual users of a task share."""

    def send(self, request: Request) -> Answer:
        """As of :class:`app.load.exchange.Http`."""

    def close(self) -> None:
        """Close what is open, at the end of the task."""


class RunningTime:
    """How long an execution has been running, as its conductor counts, without pauses."""

    def __init__(self) -> None:
        self._base_us = 0
        self._since_us: int | None = None

    def set(self, elapsed_us: int, *, stands: bool) -> None:
        """Go on from a time, or stand still there."""
        self._base_us = elapsed_us
        self._since_us = None if stands else boot_us()

    def now_us(self) -> int:
        """Return it, in microseconds."""
        if self._since_us is None:
            return self._base_us
        return self._base_us + boot_us() - self._since_us


class Vu:
    """One virtual user, or the place of one, and what its requests pass through.

    Attributes:
        index: Among those of this task, from 0 on.
        sent: How many requests it has sent.
        has_failed: Whether one of them got no answer, since somebody last looked.
        number: Among those of the execution, from 1 on, as of its last iteration.
        begun: Whether an iteration is under way.
    """

    __slots__ = ("_client", "begun", "greenlet", "has_failed", "index", "number", "sent")

    def __init__(self, index: int, client: Sender) -> None:
        self.index = index
        self._client = client
        self.number = self.sent = 0
        self.has_failed = False
        self.begun = False
        self.greenlet: Any = None

    def send(self, request: Request) -> Answer:
        """Send a request; see :class:`app.load.exchange.Http`."""
        self.sent += 1
        try:
            return self._client.send(request)
        except TransportFailed:
            self.has_failed = True
            raise


class Task:
    """Runs one task, as it is wanted from moment to moment.

    Args:
        desired: What is wanted at first.
        options: Of its definition.
        program: Runs its iterations.
        make_client: Makes its client; what it is given is to be called before each request.
        permission: Of the process.
        on_end: Called when nothing runs any more.
    """

    def __init__(
        self,
        desired: DesiredTask,
        options: Options,
        program: Program,
        *,
        make_client: Callable[[Callable[[], None]], Sender],
        permission: Permission,
        on_end: Callable[[], None],
    ) -> None:
        self._desired = desired
        self._options = options
        self._program = program
        self._gate = Gate(permission)
        self._client = make_client(self._gate.pass_through)
        self._on_end = on_end
        self._recording = Recording()
        self._time = RunningTime()
        self._changed = Event()
        self._vus: dict[int, Vu] = {}
        self._done_by: dict[int, int] = {}
        self._free: list[int] = []
        self._seen = self._vus_max = 0
        self._ending_since_us: int | None = None
        self._ended = False
        self._dealt = 0
        self._dealt_at_us = 0
        self._target = 0
        self._is_arrival = options.mode in ARRIVALS
        self._each = options.iterations or 0 if options.mode is Mode.PER_VU_ITERATIONS else None
        self._end_us = ends_at(options)
        self._set(desired)
        if desired.elapsed_us > FIRST_US and self._is_arrival:
            self._dealt = due_count(options, desired.elapsed_us)
            self._dealt_at_us = desired.elapsed_us
        self._manager = gevent.spawn(self._manage)

    @property
    def digest(self) -> str:
        """Name of its definition."""
        return self._desired.digest

    @property
    def generation(self) -> int:
        """Of what it follows."""
        return self._desired.generation

    def take(self, desired: DesiredTask) -> None:
        """Do what is wanted from now on, unless that is older than what is known."""
        if desired.generation < self._desired.generation:
            return
        if self._is_arrival:
            self._arrive()  # what was due until now is as it was wanted until now
        self._set(desired)
        self.look()

    def look(self) -> None:
        """Look at everything anew: something has changed, such as the lease."""
        self._gate.turn()
        self._changed.set()

    def stop(self) -> None:
        """End at once, without a report."""
        self._manager.kill(block=False)
        cut = self._cut()
        gevent.spawn(self._close, cut)

    def _close(self, cut: list[Any]) -> None:
        gevent.joinall(cut)
        self._client.close()
        self._program.close()

    def report(self) -> Report:
        """Return what was done so far."""
        vus = self._count()
        return self._recording.report(
            vus=vus,
            vus_max=self._vus_max,
            seen=self._seen,
            running_us=self._time.now_us(),
            ended=self._ended,
        )

    def _count(self) -> int:
        if not self._is_arrival:
            return len(self._vus)
        return 0 if self._ended else max(len(self._vus), min(self._seen, self._target))

    def _set(self, desired: DesiredTask) -> None:
        self._desired = desired
        self._gate.paused = desired.paused
        self._time.set(desired.elapsed_us, stands=desired.paused)
        self._aim()

    def _aim(self) -> None:
        """Work out how many virtual users are wanted here at the moment."""
        total = vus_at(self._options, self._desired.scaled, self._time.now_us())
        self._target = min(self._desired.segment.share(total), self._desired.max_vus)
        if self._is_arrival:
            self._make_room()

    # The end.

    def _is_ending(self) -> bool:
        """Return whether no iteration begins any more, whatever is left of a quota."""
        return self._desired.stop != "no" or (
            self._end_us is not None and self._time.now_us() >= self._end_us
        )

    def _has_all(self) -> bool:
        """Return whether nobody here gets an iteration unless more is asked for."""
        if self._is_used_up():
            return True
        return self._target > 0 and all(map(self._is_through, range(self._target)))

    def _is_used_up(self) -> bool:
        """Return whether the iterations that this task may begin have all begun."""
        quota = self._desired.quota
        return quota is not None and self._recording.claimed >= quota

    def _is_through(self, index: int) -> bool:
        """Return whether a virtual user has begun all its iterations, where each has its own."""
        return self._each is not None and self._done_by.get(index, 0) >= self._each

    def _manage(self) -> None:
        try:
            while True:
                self._adjust()
                self._changed.wait(self._rest_seconds())
                self._changed.clear()
        except Exception as exc:  # noqa: BLE001  (a fault of ours ends the task, and honestly)
            _log.exception("load_task_failed")
            self._recording.error("EXECUTION_ERROR", f"internal: {type(exc).__name__}", "")
            gevent.joinall(self._cut())
            self._ended = True
            self._on_end()

    def _adjust(self) -> None:
        """Bring about what is wanted at the moment."""
        self._aim()
        if self._is_arrival:
            self._arrive()
        ending = self._is_ending()
        self._gate.ending = ending
        if not ending:
            self._ending_since_us = None
            if not self._is_arrival:
                self._fill()
        elif self._ending_since_us is None:
            self._ending_since_us = boot_us()
            self._gate.turn()
        elif boot_us() - self._ending_since_us >= GRACE_US[self._desired.stop]:
            self._cut()
        ended = not self._vus and (ending or self._has_all())
        if ended and not self._ended:
            self._ended = True
            self._on_end()
        self._ended = ended

    def _rest_seconds(self) -> float:
        """Return how long nothing is to be done, if nothing changes."""
        if self._ended:
            return _REST_SECONDS * 60
        if self._ending_since_us is not None:
            left_us = GRACE_US[self._desired.stop] - (boot_us() - self._ending_since_us)
            return max(0.001, left_us / 1_000_000)
        if self._gate.paused:
            return _REST_SECONDS
        rest = _REST_SECONDS
        now_us = self._time.now_us()
        if self._end_us is not None:
            rest = min(rest, max(0.001, (self._end_us - now_us) / 1_000_000))
        if self._is_arrival:
            due_us = next_due_us(self._options, now_us)
            least, most = _ARRIVAL_SECONDS
            rest = min(rest, most if due_us is None else max(least, min(most, due_us / 1_000_000)))
        elif self._options.mode is Mode.RAMPING_VUS and self._desired.scaled is None:
            rest = min(rest, _RAMP_SECONDS)
        return rest

    # Virtual users that begin an iteration when they have ended one.

    def _fill(self) -> None:
        """Add the virtual users that are missing; those who are too many see it themselves."""
        for index in range(self._target):
            if self._is_used_up():
                return
            if index not in self._vus and not self._is_through(index):
                self._begin(index, self._live)

    def _begin(self, index: int, run: Callable[..., None], *arguments: int) -> Vu:
        vu = Vu(index, self._client)
        self._vus[index] = vu
        self._seen = max(self._seen, index + 1)
        self._vus_max = max(self._vus_max, self._count())
        vu.greenlet = gevent.Greenlet(run, vu, *arguments)
        vu.greenlet.rawlink(lambda _: self._gone(vu))
        vu.greenlet.start()
        return vu

    def _gone(self, vu: Vu) -> None:
        if vu.begun:
            self._recording.interrupted += 1
        if self._vus.get(vu.index) is vu:
            del self._vus[vu.index]
            if self._is_arrival:
                heapq.heappush(self._free, vu.index)
        if not self._vus:
            self._changed.set()

    def _live(self, vu: Vu) -> None:
        try:
            while self._claims(vu):
                before = vu.sent, self._recording.steps_run
                succeeded = self._run(vu, self._time.now_us())
                self._rest(vu, before, succeeded=succeeded)
        except Cut:
            return

    def _claims(self, vu: Vu) -> bool:
        """Wait until an iteration may begin, and claim it; return False if it never may."""
        while True:
            if vu.index >= self._target or self._is_ending():
                return False
            if self._is_used_up() or self._is_through(vu.index):
                return False
            if self._gate.is_open:
                self._claim(vu)
                return True
            self._gate.wait()

    def _claim(self, vu: Vu) -> None:
        """Count an iteration before it begins: afterwards there would be too many."""
        vu.begun = True
        vu.number = self._desired.segment.number(vu.index) + 1
        self._done_by[vu.index] = self._done_by.get(vu.index, 0) + 1
        self._recording.claimed += 1

    def _rest(self, vu: Vu, before: tuple[int, int], *, succeeded: bool) -> None:
        """Keep a virtual user whose iterations cost nothing from taking the whole processor."""
        sent, steps_run = before
        if vu.has_failed or (not succeeded and vu.sent == sent):
            vu.has_failed = False
            gevent.sleep(random.uniform(*_PAUSES))  # noqa: S311  (no secret)
        elif vu.sent == sent:
            gevent.sleep(0 if self._recording.steps_run > steps_run else _PAUSES[0])

    def _run(self, vu: Vu, since_us: int) -> bool:
        """Run an iteration; its time counts from a moment of the running time."""
        try:
            succeeded = self._program(vu, self._recording, vu.number, self._done_by[vu.index])
        except Exception as exc:  # noqa: BLE001  (a fault of ours must not end a virtual user)
            _log.exception("load_iteration_failed")
            self._recording.error("EXECUTION_ERROR", f"internal: {type(exc).__name__}", "")
            succeeded = False
        vu.begun = False
        took_us = max(0, self._time.now_us() - since_us)
        self._recording.iteration(took_us, succeeded=succeeded)
        return succeeded

    def _cut(self) -> list[Any]:
        """Interrupt all that is under way, and return what is about to end."""
        greenlets = [vu.greenlet for vu in self._vus.values()]
        for greenlet in greenlets:
            greenlet.kill(Cut, block=False)
        return greenlets

    # Iterations that begin when they are due.

    def _arrive(self) -> None:
        """Begin the iterations that have become due, or drop them."""
        if self._gate.paused or self._desired.stop != "no":
            return
        now_us, since_us = self._time.now_us(), self._dealt_at_us
        if not self._gate.is_open:  # without a lease nobody knows whether these are still ours
            self._dealt, self._dealt_at_us = due_count(self._options, now_us), now_us
            return
        # The running time may go back a little, when it is told anew.
        due = max(self._dealt, due_count(self._options, now_us))
        late = due_count(self._options, now_us - LATEST_US)
        before = self._mine(self._dealt)
        missed, new = max(0, self._mine(late) - before), self._mine(due) - before
        self._dealt, self._dealt_at_us = due, now_us
        self._recording.dropped += missed
        for number in range(missed, new):
            index = self._free_place()
            if index is None:
                self._recording.dropped += 1
                continue
            was_due_us = since_us + (now_us - since_us) * (number + 1) // new
            self._claim(self._begin(index, self._once, was_due_us))

    def _mine(self, total: int) -> int:
        holders = most_vus(self._options, self._desired.scaled)
        return deal(total, self._desired.segment, holders)

    def _make_room(self) -> None:
        """Have the virtual users that are there before they are needed, and know the most."""
        segment, scaled = self._desired.segment, self._desired.scaled
        first = min(segment.share(first_vus(self._options, scaled)), self._target)
        for index in range(self._seen, first):
            heapq.heappush(self._free, index)
        self._seen = max(self._seen, first)
        self._vus_max = max(self._vus_max, self._count())

    def _free_place(self) -> int | None:
        """Return a virtual user that has nothing to do, a new one if there is room; else None."""
        if self._free and self._free[0] < self._target:
            return heapq.heappop(self._free)
        return self._seen if self._seen < self._target else None

    def _once(self, vu: Vu, since_us: int) -> None:
        try:
            self._run(vu, since_us)
        except Cut:
            return
