"""The conductor: drives every active execution, and can be killed at any moment.

It holds executions by lease, so several conductors can share the work. Each execution has one
driver: it asks the orchestrator what happened, stores the answer, and comes back when that makes
sense, or sooner when somebody wants something of the execution or its orchestrator rings.
"""

from __future__ import annotations

import heapq
import os
import random
import threading
import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from app.clients.orchestrator import Orchestrator
from app.domain import JSON, Execution, ExecutionStatus, Identity, Launch, Observation, Role
from app.errors import NotFound, SlipwayError, UpstreamError
from app.settings import ConductorSettings
from app.store.changes import open_feed
from app.store.conductors import Conductors
from app.store.database import Database
from app.store.execution_rows import NotHeld, now
from app.store.executions import Executions

log = structlog.get_logger(__name__)

_CLAIM_AT_ONCE = 1000
_LONGEST_PAUSE_SECONDS = 15.0
_TOUCH_SECONDS = 5.0


@dataclass(eq=False, slots=True)
class _Driver:
    """One active execution of this conductor.

    Attributes:
        due: When to look again, on the monotonic clock.
        busy: A thread is looking right now.
        again: Something happened meanwhile, so look again at once.
        stale: The row may have been changed by others.
        failures: Looks that failed in a row.
    """

    execution: Execution
    due: float = 0.0
    busy: bool = False
    again: bool = False
    stale: bool = False
    failures: int = 0


class _Lane:
    """The drivers of one orchestrator, by when they are due.

    Each orchestrator has threads of its own, so that one which hangs holds up no other.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self.queue: list[tuple[float, int, _Driver]] = []
        self.ready = threading.Condition(lock)


class Conductor:
    """Drives executions with a few threads for each orchestrator.

    Args:
        database: The store.
        orchestrators: The orchestrators by name.
        settings: Threads and leases.
        node: Name of this machine and its data folder; see :func:`node_name`.
    """

    def __init__(
        self,
        database: Database,
        orchestrators: Mapping[str, Orchestrator],
        settings: ConductorSettings,
        node: str,
    ) -> None:
        self._orchestrators = orchestrators
        self._settings = settings
        self._node = node
        self._database = database
        self._executions = Executions(database)
        self._conductors = Conductors(database)
        self._id = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._bound = [name for name, o in orchestrators.items() if o.bound_to_node]
        self._drivers: dict[str, _Driver] = {}
        self._lock = threading.Lock()
        self._lanes = {name: _Lane(self._lock) for name in orchestrators}
        self._claim = threading.Event()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work until :meth:`stop` is called from a signal handler or another thread."""
        self._bury_the_dead()
        self._conductors.register(self._id, self._node, os.getpid())
        feed = open_feed(self._database, "wanted", self._wanted)
        for orchestrator in self._orchestrators.values():
            orchestrator.listen(self._wake)
        threads = [
            threading.Thread(target=self._work, args=(lane,), name=f"{name}-{i}")
            for name, lane in self._lanes.items()
            for i in range(self._settings.threads)
        ]
        threads.append(threading.Thread(target=self._keep_alive, name="heartbeat"))
        for thread in threads:
            thread.start()
        log.info("conductor started", id=self._id, node=self._node)
        while not self._stopping.is_set():
            self._take_over()
            self._claim.wait(self._settings.lease / 3)
            self._claim.clear()
        feed.close()
        for thread in threads:
            thread.join()
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

    def _bury_the_dead(self) -> None:
        """Take the executions of conductors of this machine that were killed."""
        for other in self._conductors.all():
            gone = other.node == self._node and not Path(f"/proc/{other.pid}").exists()
            silent = now() - other.beat_at > timedelta(seconds=10 * self._settings.lease)
            if gone or silent:
                self._executions.release(other.id)
                self._conductors.remove(other.id)

    def _keep_alive(self) -> None:
        while not self._stopping.wait(self._settings.lease / 3):
            try:
                self._conductors.beat(self._id)
                self._executions.renew(self._id, self._settings.lease)
            except Exception as exc:  # noqa: BLE001  (the next beat may succeed)
                log.warning("heartbeat failed", error=str(exc))

    def _take_over(self) -> None:
        try:
            claimed = self._executions.claim(
                self._id, self._node, self._settings.lease, self._bound, _CLAIM_AT_ONCE
            )
        except Exception as exc:  # noqa: BLE001  (the next round may succeed)
            log.warning("executions cannot be claimed", error=str(exc))
            return
        with self._lock:
            for execution in claimed:
                known = self._drivers.get(execution.id)
                if known is None:
                    driver = self._drivers[execution.id] = _Driver(execution)
                    self._schedule(driver, 0.0)
                else:
                    # Its lease ran out unnoticed, such as while the machine slept: a second driver
                    # would read the same output twice, and another conductor may have read on.
                    known.stale = True
                    self._hurry(known)
        if len(claimed) == _CLAIM_AT_ONCE:
            self._claim.set()

    def _wanted(self, ids: Collection[str] | None) -> None:
        """Hear of launches, and of what users want of executions."""
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
            if driver is not None:
                self._hurry(driver)

    def _hurry(self, driver: _Driver) -> None:
        if driver.busy:
            driver.again = True
        elif driver.due > 0.0:
            self._schedule(driver, 0.0)

    def _schedule(self, driver: _Driver, after_seconds: float) -> None:
        """Set when to look again; the caller holds the lock. An older entry becomes void."""
        driver.due = time.monotonic() + after_seconds if after_seconds > 0 else 0.0
        # One whose orchestrator is not configured any more waits in any lane.
        lane = self._lanes.get(driver.execution.orchestrator) or next(iter(self._lanes.values()))
        heapq.heappush(lane.queue, (driver.due, id(driver), driver))
        lane.ready.notify()

    def _work(self, lane: _Lane) -> None:
        while (driver := self._next(lane)) is not None:
            pause = self._look(driver)
            with self._lock:
                driver.busy = False
                if pause is None:
                    if self._drivers.get(driver.execution.id) is driver:
                        del self._drivers[driver.execution.id]
                else:
                    self._schedule(driver, 0.0 if driver.again else pause)
                    driver.again = False

    def _next(self, lane: _Lane) -> _Driver | None:
        """Wait for the driver of a lane that is due next; None when the conductor stops."""
        with self._lock:
            while not self._stopping.is_set():
                if not lane.queue:
                    lane.ready.wait()
                    continue
                due, _, driver = lane.queue[0]
                wait = due - time.monotonic()
                if driver.busy or driver.due != due:
                    heapq.heappop(lane.queue)
                elif wait > 0:
                    lane.ready.wait(wait)
                else:
                    heapq.heappop(lane.queue)
                    driver.busy = True
                    return driver
        return None

    def _look(self, driver: _Driver) -> float | None:
        """Observe one execution once.

        Returns:
            Seconds until the next look; None when there is nothing more to see.
        """
        try:
            if driver.stale:
                driver.stale = False
                driver.execution = self._executions.get(driver.execution.id)
            pause = self._advance(driver)
        except NotHeld as exc:
            log.warning("execution lost", execution=driver.execution.id, error=exc.message)
            return None
        except SlipwayError as exc:
            driver.failures += 1
            log.warning(
                "observation failed", execution=driver.execution.id, failures=driver.failures,
                error=exc.message, detail=exc.detail,
            )  # fmt: skip
            return _back_off(driver.failures, exc.retry_after_seconds)
        except Exception:
            driver.failures += 1
            log.exception("observation failed", execution=driver.execution.id)
            return _back_off(driver.failures, None)
        driver.failures = 0
        return pause

    def _advance(self, driver: _Driver) -> float | None:
        execution = driver.execution
        orchestrator = self._orchestrators.get(execution.orchestrator)
        if orchestrator is None:
            raise NotFound(f"The orchestrator '{execution.orchestrator}' is not configured.")
        if execution.reference is None:
            reference = orchestrator.find(_launch(execution))
            self._require_free(execution, reference)
            self._executions.settle(execution, self._id, reference)
            driver.execution = self._executions.get(execution.id)
            return None if driver.execution.log_complete else 0.0
        try:
            seen = orchestrator.observe(execution)
        except NotFound as exc:
            seen = _forgotten(execution, exc)
        self._store(driver, seen)
        return None if seen.log_complete else seen.poll_after_seconds

    def _require_free(self, execution: Execution, reference: JSON) -> None:
        """Make sure that what was found for a launch in doubt does not belong to another.

        An adapter cannot know of all executions, such as those of another process.
        """
        if reference is None:
            return
        taken = self._executions.find_by_reference(
            execution.orchestrator, execution.workflow_id, reference
        )
        if taken is not None and taken.number != execution.number:
            raise UpstreamError("What was found belongs to another execution.", detail=taken.id)

    def _store(self, driver: _Driver, seen: Observation) -> None:
        before = driver.execution
        if _is_news(before, seen):
            driver.execution = self._executions.record(before, self._id, seen)
            # What the user wants may have changed since the orchestrator looked.
            driver.again |= driver.execution.desired is not before.desired
        elif now() - before.as_of > timedelta(seconds=_TOUCH_SECONDS):
            self._executions.touch(before, self._id, seen.cursor)
            driver.stale = True


def _is_news(before: Execution, seen: Observation) -> bool:
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


def _back_off(failures: int, asked_seconds: float | None) -> float:
    pause = min(_LONGEST_PAUSE_SECONDS, 0.5 * 2.0 ** min(failures, 10))
    return max(asked_seconds or 0.0, pause * random.uniform(0.8, 1.2))  # noqa: S311


def _forgotten(execution: Execution, exc: NotFound) -> Observation:
    """End an execution that its orchestrator does not know any more."""
    return Observation(
        status=ExecutionStatus.FAILED,
        cursor=execution.cursor,
        error=f"The orchestrator does not know this execution any more: {exc.message}",
        progress=execution.progress,
        finished_at=now(),
        log_complete=True,
    )


def _launch(execution: Execution) -> Launch:
    return Launch(
        execution_id=execution.id,
        workflow_id=execution.workflow_id,
        inputs=execution.inputs,
        identity=Identity(execution.owner, frozenset({Role.USER})),
        created_at=execution.created_at,
    )


def node_name(data_dir: Path) -> str:
    """Give this machine's name together with its data folder's own mark.

    Jobs live in the data folder, so only conductors that share both can find them.
    """
    file = data_dir / "node-id"
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark = uuid.uuid4().hex[:12]
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        mark = file.read_text(encoding="ascii").strip()
    else:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(mark)
    return f"{os.uname().nodename}/{mark}"
