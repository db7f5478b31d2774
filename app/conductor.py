"""The conductor: drives every active execution, and can be killed at any moment.

It holds executions by lease, so several conductors can share the work. Each execution has one
driver: it asks the orchestrator what happened, stores the answer, and comes back when that makes
sense, or sooner when somebody wants something of the execution or its orchestrator rings.
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog

from app.backoff import Backoff
from app.clients.orchestrator import LostLaunch, Orchestrator, bound_to_node
from app.clock import boot_id
from app.concurrency import Precedence
from app.domain import (
    DesiredState,
    DrivenExecution,
    Execution,
    ExecutionStatus,
    Identity,
    Observation,
    Role,
)
from app.engine.launchers.shim.records import start_ticks
from app.errors import (
    Conflict,
    NotFound,
    SlipwayError,
    StoreUnavailable,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.giving_up import LastResort, Trial
from app.operations import OperationCarrier
from app.poll_rates import PollRates
from app.settings import ConductorSettings
from app.store.changes import open_feed
from app.store.conductors import Conductor as OtherConductor
from app.store.conductors import Conductors, Node, OwnProcess, node_name
from app.store.database import Database
from app.store.driving import DrivenExecutions, Siblings
from app.store.execution_rows import NotHeld, WantedMeanwhile, now
from app.store.retention import UnusedDefinitions
from app.store.stranded import StrandedExecutions

log = structlog.get_logger(__name__)

_CLAIM_AT_ONCE = 1000
_OTHERS_ALIVE_LEASES = 2.0
_AFTER_FAILURES = Backoff(first=1.0, longest=15.0, jitter=0.2)
"""When an execution is looked at again after looks that failed."""
_AFTER_FAILURES_FOLLOWED = Backoff(first=1.0, longest=5.0, jitter=0.2)
"""The same for one that somebody waits for."""
_SHORTEST_REST = 0.1
"""Share of the pause between two looks that is kept, however long the first one took."""
_TOUCH_SECONDS = 5.0
"""How old ``as_of`` gets while nothing else changes."""
_FORGET_SECONDS = 3600.0
"""How often it is looked for what is kept no longer."""
_SUSPECT_SECONDS = 0.1
"""How long a suspect waits while another one is looked at."""
_FORESEEN = (UpstreamError, StoreUnavailable, NotFound, Conflict)
"""What an orchestrator or the store may say any number of times, until it says something else."""


@dataclass(eq=False, slots=True)
class _Driver:
    """One active execution of this conductor.

    Attributes:
        due: When to look again, on the monotonic clock.
        first: It goes before others that are due: somebody follows it, or wants something of it.
        turn: Number of its place in the queue; other places are void.
        busy: A thread is looking right now.
        again: Something happened meanwhile, so look again at once.
        stale: The row may have been changed by others.
        busy_since: When that look began, on the monotonic clock.
        held_at: When the lease was last known to hold, on the monotonic clock.
        failures: Looks that failed in a row.
        cut_off: The last one did not get through to the orchestrator.
        trial: Whether looks at it failed as nobody foresaw.
    """

    execution: DrivenExecution
    due: float = 0.0
    first: bool = False
    turn: int = -1
    busy: bool = False
    busy_since: float = 0.0
    again: bool = False
    stale: bool = False
    held_at: float = 0.0
    failures: int = 0
    cut_off: bool = False
    trial: Trial = field(default_factory=Trial)

    @property
    def followed(self) -> bool:
        return self.execution.is_followed(time.time())


class _Queue:
    """Drivers by when they are due; of those that are due, each owner has one in turn."""

    def __init__(self) -> None:
        self._later: list[tuple[float, int, _Driver]] = []
        self._ripe: dict[str, deque[tuple[int, _Driver]]] = {}

    def put(self, driver: _Driver) -> None:
        """Queue a driver up."""
        heapq.heappush(self._later, (driver.due, driver.turn, driver))

    def due_at(self) -> float:
        """Return when the next one is due that is not due yet."""
        return self._later[0][0] if self._later else math.inf

    def next_owner(self, is_full: Callable[[str], bool]) -> str | None:
        """Return whose turn it is among the owners of drivers that are due.

        Args:
            is_full: Whether an owner must wait for the end of a look at one of theirs.
        """
        self._ripen()
        return next((owner for owner in self._ripe if not is_full(owner)), None)

    def take(self, owner: str) -> _Driver:
        """Take the next driver of an owner that is due; there is one."""
        mine = self._ripe.pop(owner)
        _, driver = mine.popleft()
        if mine:  # behind all others
            self._ripe[owner] = mine
        return driver

    def _ripen(self) -> None:
        """Move those that are due to the queues of their owners, and drop places that are void."""
        moment = time.monotonic()
        while self._later and (_is_void(*self._later[0][1:]) or self._later[0][0] <= moment):
            _, turn, driver = heapq.heappop(self._later)
            if not _is_void(turn, driver):
                self._ripe.setdefault(driver.execution.owner, deque()).append((turn, driver))
        for owner, mine in list(self._ripe.items()):
            while mine and _is_void(*mine[0]):
                mine.popleft()
            if not mine:
                del self._ripe[owner]


def _share(orchestrator: Orchestrator, threads: int) -> int:
    """Choose how many threads one owner may have where others want some, too.

    Threads that compute only slow each other down; those that wait for an upstream do not.
    """
    return 1 if orchestrator.computes else max(1, threads - 1)


def _is_void(turn: int, driver: _Driver) -> bool:
    return turn != driver.turn


class _Lane:
    """The drivers of one orchestrator, by when they are due, in turns by owner.

    Each orchestrator has threads of its own, so that one which hangs holds up no other. Where more
    are due than the threads can look at, those that go first leave every fourth look to the others,
    and each owner has one look in turn. While several owners have executions here, none has more
    than their share of the threads: a look is not interrupted, however long it takes.

    Args:
        lock: The conductor's.
        share: Most looks at executions of one owner at the same time, while there are others'.

    Attributes:
        owners: Number of executions by owner.
        suspects: Held while a suspect is looked at: one at a time, so that when the process dies of
            it, no other is suspected for it.
    """

    def __init__(self, lock: threading.Lock, share: int) -> None:
        self.ready = threading.Condition(lock)
        self.suspects = threading.Lock()
        self.owners: Counter[str] = Counter()
        self._share = share
        self._looking: Counter[str] = Counter()
        self._first = _Queue()
        self._others = _Queue()
        self._turns = itertools.count()
        self._precedence = Precedence()

    def put(self, driver: _Driver) -> None:
        """Queue a driver up; the caller holds the lock. An older place becomes void."""
        # A heap cannot drop what stands in its middle: the old place stays, and is skipped later.
        driver.turn = next(self._turns)
        (self._first if driver.first else self._others).put(driver)
        self.ready.notify()

    def take(self) -> _Driver | None:
        """Take the driver to look at next, if one is due; the caller holds the lock."""
        # A driver goes to the first queue because somebody waits for it, but a stream of such ones
        # must not starve the others.
        first = self._first.next_owner(self._is_full)
        other = self._others.next_owner(self._is_full)
        goes_first = self._precedence.is_for_first(first is not None, other is not None)
        queue, owner = (self._first, first) if goes_first else (self._others, other)
        if owner is None:
            return None
        self._precedence.went(goes_first)
        self._looking[owner] += 1
        return queue.take(owner)

    def looked(self, driver: _Driver) -> None:
        """Note the end of a look; the caller holds the lock."""
        self._looking -= Counter([driver.execution.owner])
        self.ready.notify()

    def _is_full(self, owner: str) -> bool:
        return self._looking[owner] >= self._share and len(self.owners) > 1

    def wait(self) -> None:
        """Wait until a driver is due, or the queue changes; the caller holds the lock."""
        due = min(self._first.due_at(), self._others.due_at())
        self.ready.wait(None if due == math.inf else max(0.0, due - time.monotonic()))


class Conductor:
    """Drives executions with a few threads for each orchestrator.

    Args:
        database: The store.
        orchestrators: The orchestrators by name.
        settings: Threads and leases.
        node: This machine and its data folder; see :func:`this_node`.
        prunes: What else is removed every now and then because it is old: what it is, and what
            removes it and returns how many there were.
        housekeeping: Runs beside the work until its event is set.
        operations: Carries out what users ask for beside executions.
    """

    def __init__(
        self,
        database: Database,
        orchestrators: Mapping[str, Orchestrator],
        settings: ConductorSettings,
        node: Node,
        prunes: Mapping[str, Callable[[], int]] | None = None,
        *,
        housekeeping: Callable[[threading.Event], None] | None = None,
        operations: OperationCarrier | None = None,
    ) -> None:
        self._orchestrators = orchestrators
        self._settings = settings
        self._node = node
        self._database = database
        self._executions = DrivenExecutions(database)
        self._conductors = Conductors(database)
        self._process = OwnProcess(os.getpid(), start_ticks(os.getpid()))
        self._id = f"{self._process.pid}-{uuid.uuid4().hex[:12]}"
        self._polls = PollRates(orchestrators)
        self._bound = bound_to_node(orchestrators)
        self._last_resort = LastResort(self._executions, orchestrators, self._id)
        self._stranded = StrandedExecutions(database, self._bound, settings.lease)
        unused = UnusedDefinitions(database)
        self._prunes = {"unused definitions": unused.prune, **(prunes or {})}
        self._housekeeping = housekeeping
        self._operations = operations
        self._forget_due = -math.inf
        self._drivers: dict[str, _Driver] = {}
        self._lock = threading.Lock()
        self._lanes = {
            name: _Lane(self._lock, _share(behind, settings.threads))
            for name, behind in orchestrators.items()
        }
        self._renewed_at = 0.0
        self._claim = threading.Event()
        self._in_doubt = False  # whether the store took the last claim
        self._heritage: Collection[str] = ()
        self._heritage_due = -math.inf
        self._stopping = threading.Event()
        self._turned_at = dict.fromkeys(("claim round", "heartbeat"), math.inf)

    def run(self) -> None:
        """Work until :meth:`stop` is called from another thread, and never from a signal handler.

        A handler runs in this thread, which may hold the very lock that it waits for.
        """
        self._bury_the_dead()
        self._conductors.register(self._id, self._node, self._process)
        # Before the first claim, so that each launch is told by the feed or found by the claim.
        feed = open_feed(self._database, "wanted", self._wanted)
        for orchestrator in self._orchestrators.values():
            orchestrator.listen(self._wake)
        threads = [
            threading.Thread(target=self._work, args=(lane,), name=f"{name}-{i}")
            for name, lane in self._lanes.items()
            for i in range(self._settings.threads)
        ]
        threads.append(threading.Thread(target=self._keep_alive, name="heartbeat"))
        if self._housekeeping is not None:
            keeping = partial(self._housekeeping, self._stopping)
            threads.append(threading.Thread(target=keeping, name="housekeeping"))
        for thread in threads:
            thread.start()
        if self._operations is not None:
            self._operations.start(self._id)
        log.info("conductor started", id=self._id, node=self._node.name)
        # Beside the work, which nothing that is silent may hold up.
        threading.Thread(target=self._tell_of_the_silent, name="health", daemon=True).start()
        while not self._stopping.is_set():
            self._turned_at["claim round"] = time.monotonic()
            self._take_over()
            self._forget()
            self._claim.wait(self._settings.lease / 3)
            self._claim.clear()
        feed.close()
        for thread in threads:
            thread.join()
        if self._operations is not None:
            self._operations.stop()
        # After the last look: what is let go of, another conductor looks at right away.
        self._executions.release(self._id)
        self._conductors.remove(self._id)
        log.info("conductor stopped", id=self._id)

    def stop(self) -> None:
        """Finish the looks that are under way and let go of everything; commands go on."""
        self._stopping.set()
        self._claim.set()
        with self._lock:
            for lane in self._lanes.values():
                lane.ready.notify_all()

    def stuck(self) -> str | None:
        """Return the name of what hangs (a look, a round, the lock); None while all is well."""
        longest = self._settings.look_timeout
        if not self._lock.acquire(timeout=longest):
            return "the lock of the drivers"
        try:
            busy = [driver for driver in self._drivers.values() if driver.busy]
        finally:
            self._lock.release()
        moment = time.monotonic()
        for driver in busy:
            if moment - driver.busy_since > longest:
                return f"a look at the execution {driver.execution.id}"
        for name, turned_at in self._turned_at.items():
            if moment - turned_at > longest + self._settings.lease:
                return f"the {name}"
        return None

    def _bury_the_dead(self) -> None:
        """Take the executions of conductors of this machine that were killed."""
        for other in self._conductors.all():
            gone = other.node == self._node.name and not self._lives(other)
            silent = now() - other.beat_at > timedelta(seconds=10 * self._settings.lease)
            if gone or silent:
                self._executions.release(other.id, dead=True)
                self._conductors.remove(other.id)

    def _lives(self, other: OtherConductor) -> bool:
        """Return whether the very process of a conductor of this machine still runs.

        Its number alone does not tell: in a container the next process has the same.
        """
        if other.start_ticks is None:  # of an earlier version, which knew the number only
            return other.pid != self._process.pid and Path(f"/proc/{other.pid}").exists()
        if other.boot_id != self._node.boot_id:
            return False
        return start_ticks(other.pid) == other.start_ticks

    def _keep_alive(self) -> None:
        while not self._stopping.wait(self._settings.lease / 3):
            moment = self._turned_at["heartbeat"] = time.monotonic()
            try:
                self._conductors.beat(self._id, self._node, self._process, self._polls.read())
                self._executions.renew(self._id, self._settings.lease)
                self._renewed_at = moment  # not of now: no lease is thought longer than it is
                self._tell_of_the_stranded()
            except StoreUnavailable:
                continue  # the store has said so
            except Exception as exc:  # noqa: BLE001  (the next beat may succeed)
                log.warning("heartbeat failed", error=str(exc))

    def _tell_of_the_silent(self) -> None:
        """Warn of each orchestrator that does not answer when the work begins."""
        for name, orchestrator in self._orchestrators.items():
            try:
                orchestrator.health()
            except Exception as exc:  # noqa: BLE001  (a start goes on without any of them)
                log.warning(
                    "orchestrator does not answer", orchestrator=name, error=str(exc),
                    remark="its workflows are missing, or shown as they were, until it does",
                )  # fmt: skip

    def _tell_of_the_stranded(self) -> None:
        if self._stranded.tell():
            for machine in self._stranded.machines():
                log.warning("executions are served by nobody", remark=str(machine))

    def _forget(self) -> None:
        """Remove, every now and then, what is kept no longer."""
        if time.monotonic() < self._forget_due:
            return
        self._forget_due = time.monotonic() + _FORGET_SECONDS
        for what, prune in self._prunes.items():
            try:
                removed = prune()
            except Exception as exc:  # noqa: BLE001  (there is time until the next turn)
                log.warning("stay for now", what=what, error=str(exc))
            else:
                if removed:
                    log.info("removed", what=what, number=removed)

    def _take_over(self) -> None:
        lease, moment = self._settings.lease, time.monotonic()
        try:
            most, left_seconds = self._room()
            claimed = self._executions.claim(
                self._id,
                self._node.name,
                lease,
                self._bound,
                most,
                heritage=self._find_heritage(moment),
                again=self._in_doubt,
                left_seconds=left_seconds,
            )
        except StoreUnavailable:
            self._in_doubt = True
            return
        except Exception as exc:  # noqa: BLE001  (the next round may succeed)
            log.warning("executions cannot be claimed", error=str(exc))
            return
        self._in_doubt = False
        with self._lock:
            for execution in claimed:
                known = self._drivers.get(execution.id)
                if known is None:
                    trial = Trial(suspect=execution.tries > 0)
                    driver = _Driver(execution, held_at=moment, trial=trial)
                    self._drivers[execution.id] = driver
                    self._lane_of(driver).owners[execution.owner] += 1
                    self._schedule(driver, 0.0, first=driver.followed)
                else:
                    # Its lease ran out unnoticed, such as while the machine slept: a second driver
                    # would read the same output twice, and another conductor may have read on.
                    known.stale, known.held_at = True, moment
                    self._hurry(known)
        if len(claimed) == most:
            self._claim.set()

    def _find_heritage(self, moment: float) -> Collection[str]:
        """Return the other names of this machine; they hardly change, so they are read seldom.

        Args:
            moment: Now, on the monotonic clock.
        """
        if moment >= self._heritage_due:
            self._heritage = self._conductors.heritage(self._node, self._settings.lease)
            self._heritage_due = moment + self._settings.lease / 3
        return self._heritage

    def _room(self) -> tuple[int, float]:
        """Choose how many executions to take, and for how many seconds nobody must have had them.

        With as many as its capacity a conductor leaves the rest to others, while there are any, and
        takes only what those have left for a lease.
        """
        room = self._settings.capacity - len(self._drivers)
        if room > 0:
            return min(room, _CLAIM_AT_ONCE), 0.0
        return _CLAIM_AT_ONCE, self._settings.lease if self._has_company() else 0.0

    def _has_company(self) -> bool:
        alive = timedelta(seconds=_OTHERS_ALIVE_LEASES * self._settings.lease)
        others = (other for other in self._conductors.all() if other.id != self._id)
        return any(now() - other.beat_at < alive for other in others)

    def _wanted(self, ids: Collection[str] | None) -> None:
        """Act on launches, and on what users want of executions; None stands for all of them."""
        if self._operations is not None:
            self._operations.hear(ids)
        with self._lock:
            for id_ in list(self._drivers) if ids is None else ids:
                driver = self._drivers.get(id_)
                if driver is not None:
                    driver.stale = True
                    self._hurry(driver)
        if ids is None or any(id_ not in self._drivers for id_ in ids):
            self._claim.set()

    def _wake(self, execution_id: str) -> None:
        with self._lock:
            driver = self._drivers.get(execution_id)
            # A command that writes without end must not talk a failing look out of its pause.
            if driver is not None and not driver.failures:
                self._hurry(driver)

    def _hurry(self, driver: _Driver) -> None:
        # One look at a time for each driver: what happens during one is left for the next.
        if driver.busy:
            driver.again = True
        elif driver.due > 0.0 or not driver.first:
            self._schedule(driver, 0.0, first=True)

    def _schedule(self, driver: _Driver, due: float, *, first: bool) -> None:
        """Set when to look again, on the monotonic clock; the caller holds the lock."""
        driver.due, driver.first = due, first
        self._lane_of(driver).put(driver)

    def _lane_of(self, driver: _Driver) -> _Lane:
        # One whose orchestrator is not configured any more waits in any lane.
        return self._lanes.get(driver.execution.orchestrator) or next(iter(self._lanes.values()))

    def _work(self, lane: _Lane) -> None:
        while (driver := self._next(lane)) is not None:
            cut_off = driver.cut_off
            due = self._take_a_look(driver, lane)
            with self._lock:
                driver.busy = False
                lane.looked(driver)
                if due is None:
                    if self._drivers.get(driver.execution.id) is driver:
                        del self._drivers[driver.execution.id]
                        self._lane_of(driver).owners -= Counter([driver.execution.owner])
                else:
                    # After a failure only what a user wants is worth another look at once.
                    again = driver.again and (driver.stale or not driver.failures)
                    self._schedule(driver, 0.0 if again else due, first=again or driver.followed)
                    driver.again = False
                if cut_off and not driver.cut_off:
                    self._back_in_touch(driver.execution.orchestrator)

    def _back_in_touch(self, orchestrator: str) -> None:
        """Look at once at all that wait for an orchestrator which was away."""
        for driver in self._drivers.values():
            if driver.cut_off and driver.execution.orchestrator == orchestrator:
                driver.cut_off = False
                if not driver.busy:
                    self._schedule(driver, 0.0, first=driver.followed)

    def _next(self, lane: _Lane) -> _Driver | None:
        """Wait for the driver of a lane that is due next; None when the conductor stops."""
        with self._lock:
            while not self._stopping.is_set():
                driver = lane.take()
                if driver is not None:
                    driver.busy, driver.busy_since = True, time.monotonic()
                    return driver
                lane.wait()
        return None

    def _take_a_look(self, driver: _Driver, lane: _Lane) -> float | None:
        """Look at one execution; whatever happens, its thread goes on."""
        try:
            if not driver.trial.suspect:
                return self._look(driver)
            if not lane.suspects.acquire(blocking=False):
                return time.monotonic() + _SUSPECT_SECONDS
            try:
                return self._look(driver)
            finally:
                lane.suspects.release()
        except BaseException:  # noqa: BLE001  (such as a lack of memory for a line of the log)
            return time.monotonic() + _AFTER_FAILURES.longest

    def _look(self, driver: _Driver) -> float | None:
        """Observe one execution once.

        Returns:
            When to look again, on the monotonic clock; None when there is nothing more to see.
        """
        began = time.monotonic()
        try:
            # What the last look saw may have been stored, although it was said to have failed.
            if driver.stale or driver.failures:
                driver.stale = False
                driver.execution = self._executions.get(driver.execution.id)
            pause = self._advance_or_end(driver)
        except NotHeld as exc:
            log.warning("execution lost", execution=driver.execution.id, error=exc.message)
            return None
        except StoreUnavailable as exc:
            return _failed(driver, exc)  # the store has said so
        except SlipwayError as exc:
            log.warning(
                "observation failed", execution=driver.execution.id, failures=driver.failures + 1,
                error=exc.message, detail=exc.detail,
            )  # fmt: skip
            if not isinstance(exc, _FORESEEN):
                self._last_resort.suspect(driver.execution, driver.trial, exc)
            elif driver.trial.suspect:
                self._last_resort.clear(driver.execution, driver.trial)
            return _failed(driver, exc)
        except BaseException as exc:
            self._last_resort.suspect(driver.execution, driver.trial, exc)
            log.exception("observation failed", execution=driver.execution.id)
            return _failed(driver, exc)
        driver.failures, driver.cut_off = 0, False
        # What a look took is part of the pause; some rest must be, however long it took.
        rest = time.monotonic() + _SHORTEST_REST * (pause or 0.0)
        return None if pause is None else max(began + pause, rest)

    def _advance_or_end(self, driver: _Driver) -> float | None:
        """Advance an execution, or end a suspect that had enough looks."""
        if not driver.trial.suspect:
            return self._advance(driver)
        if not self._last_resort.may_look(driver.execution):
            return self._last_resort.end(driver.execution, driver.trial)
        pause = self._advance(driver)
        self._last_resort.clear(driver.execution, driver.trial)
        return pause

    def _advance(self, driver: _Driver) -> float | None:
        """Do what is due for one execution.

        Returns:
            Seconds from the beginning of this look to that of the next; None when it was the last.
        """
        execution = driver.execution
        orchestrator = self._orchestrators.get(execution.orchestrator)
        if orchestrator is None:
            raise NotFound(f"The orchestrator '{execution.orchestrator}' is not configured.")
        if execution.reference is None:
            return self._settle(driver, orchestrator)
        try:
            seen = orchestrator.observe(execution)
        except NotFound as exc:
            seen = _forgotten(execution, exc)
        try:
            self._store(driver, seen)
        except WantedMeanwhile:  # to be seen again, with that
            driver.stale = driver.again = True
            return 0.0
        return None if seen.log_complete else seen.poll_after_seconds

    def _settle(self, driver: _Driver, orchestrator: Orchestrator) -> float | None:
        """Find out what became of a launch with unknown outcome."""
        execution = driver.execution
        # Read before the orchestrator is asked: what began later is checked for when it is stored.
        siblings = self._executions.siblings(execution)
        reference = orchestrator.find(_lost_launch(execution, siblings))
        among = siblings if orchestrator.own_references else None
        upstream_id = None if reference is None else orchestrator.upstream_id(reference)
        self._executions.settle(execution, self._id, reference, among, upstream_id=upstream_id)
        driver.execution = self._executions.get(execution.id)
        return None if driver.execution.log_complete else 0.0

    def _store(self, driver: _Driver, seen: Observation) -> None:
        before = driver.execution
        if seen.once_stored is not None or _is_news(before, seen):
            # Read before: what is renewed later may be renewed after another took it over.
            held_at = max(driver.held_at, self._renewed_at)
            driver.execution = self._executions.record(before, self._id, seen)
            # What the user wants may have changed since the orchestrator looked.
            changed = _wishes(driver.execution) != _wishes(before)
            driver.again |= changed
            if seen.once_stored is not None and not changed and self._holds(driver, held_at):
                seen.once_stored()
        elif seen.usage or abs(now() - before.as_of) > timedelta(seconds=_TOUCH_SECONDS):
            self._executions.touch(before, self._id, seen.cursor, seen.usage)
            driver.stale = True

    def _holds(self, driver: _Driver, held_at: float) -> bool:
        """Return whether an execution is ours beyond doubt: this process may have stood still.

        That its row could be written a moment ago is not enough: its lease may be over since.
        """
        if time.monotonic() - held_at < self._settings.lease:
            return True
        log.warning("lease in doubt, nothing is begun", execution=driver.execution.id)
        driver.stale = True
        return False


def _wishes(execution: DrivenExecution) -> tuple[DesiredState, int]:
    """Return what the user wants, of the execution and of its tasks, to be compared."""
    return execution.desired, execution.task_wishes


def _is_news(before: DrivenExecution, seen: Observation) -> bool:
    return bool(
        seen.entries
        or seen.tasks
        or seen.log_complete
        or seen.cursor != before.cursor
        or seen.status is not before.status
        or seen.error != before.error
        or seen.progress != before.progress
        or (seen.outputs is not None and seen.outputs != before.outputs)
    )


def _failed(driver: _Driver, exc: BaseException) -> float:
    """Note that a look failed; return when to try again, on the monotonic clock."""
    driver.failures += 1
    asked_seconds = exc.retry_after_seconds if isinstance(exc, SlipwayError) else None
    unreachable = isinstance(exc, UpstreamUnreachable | UpstreamTimeout)
    driver.cut_off = unreachable and asked_seconds is None
    backoff = _AFTER_FAILURES_FOLLOWED if driver.followed else _AFTER_FAILURES
    return time.monotonic() + max(asked_seconds or 0.0, backoff.pause(driver.failures))


def _forgotten(execution: DrivenExecution, exc: NotFound) -> Observation:
    """End an execution that its orchestrator does not know any more."""
    return Observation(
        status=ExecutionStatus.FAILED,
        cursor=execution.cursor,
        error=f"The orchestrator does not know this execution any more: {exc.message}",
        progress=execution.progress,
        finished_at=now(),
        log_complete=True,
    )


def _lost_launch(execution: Execution, siblings: Siblings) -> LostLaunch:
    return LostLaunch(
        execution_id=execution.id,
        workflow_id=execution.workflow_id,
        inputs=execution.inputs,
        identity=Identity(execution.owner, frozenset({Role.USER})),
        created_at=execution.created_at,
        rivals=tuple(_lost_launch(other, Siblings()) for other in siblings.doubtful),
        under_way=tuple(_lost_launch(other, Siblings()) for other in siblings.under_way),
        taken=siblings.references,
    )


def connections_for(orchestrators: int, threads: int) -> int:
    """Return the connections to the store that a conductor uses at the same time.

    Each thread of each orchestrator's lane has one, and so have the heartbeat, the claim round,
    whoever stops the conductor, one that an orchestrator uses beside its looks, and two operations.
    """
    return max(1, orchestrators) * threads + 6


def this_node(data_dir: Path) -> Node:
    """Name this machine, its data folder by the mark that it carries, and the running kernel.

    Jobs live in the data folder, so only conductors that share both can find them. The mark belongs
    to a backup of the folder.
    """
    return Node(node_name(data_dir), boot_id())
