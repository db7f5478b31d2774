"""What stands for the conductor and the store where the adapter is tested by itself."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.clients.orchestrator import LostLaunch, Orchestrator
from app.domain import (
    JSON,
    DesiredState,
    DrivenExecution,
    ExecutionStatus,
    Identity,
    Launch,
    NewLogEntry,
    Observation,
    Task,
)
from app.errors import UpstreamError

ALICE = Identity("alice", frozenset())


class ManualClock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self._now = time.time()

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class FastClock:
    """Time that passes faster than it does, for the server, the adapter and the test alike."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._begun = time.time()
        self._zero = time.monotonic()

    def __call__(self) -> float:
        return self._begun + (time.monotonic() - self._zero) * self.speed

    def sleep(self, seconds: float) -> None:
        """Wait so many of its own seconds."""
        time.sleep(seconds / self.speed)

    def advance(self, seconds: float) -> None:
        """Skip so many of its own seconds."""
        self._begun += seconds


def make_launch(
    workflow_id: str,
    inputs: dict[str, JSON] | None = None,
    *,
    identity: Identity = ALICE,
    clock: Callable[[], float] = time.time,
) -> Launch:
    """Write a launch down."""
    created_at = datetime.fromtimestamp(clock(), UTC)
    return Launch(str(uuid.uuid4()), workflow_id, inputs or {}, identity, created_at)


def in_doubt(launch: Launch, *rivals: Launch, **more: Any) -> LostLaunch:
    """Make of a launch one of which nobody knows whether it happened."""
    values = {f.name: getattr(launch, f.name) for f in fields(Launch)}
    return LostLaunch(**values, rivals=rivals, **more)


def make_execution(launch: Launch, reference: JSON, **more: Any) -> DrivenExecution:
    """Make the execution that the store would keep of a launch."""
    values: dict[str, Any] = {
        "number": 1,
        "id": launch.execution_id,
        "awf_name": f"{launch.workflow_id}-20260101-000000",
        "orchestrator": "hpc",
        "workflow_id": launch.workflow_id,
        "workflow_name": launch.workflow_id,
        "owner": launch.identity.username,
        "inputs": launch.inputs,
        "status": ExecutionStatus.PENDING,
        "desired": DesiredState.RUN,
        "created_at": launch.created_at,
        "as_of": launch.created_at,
        "reference": reference,
    }
    return DrivenExecution(**{**values, **more})


@dataclass
class Driver:
    """Observes one execution, and stores what it sees as the store does.

    Attributes:
        journal: The log entries, each id once.
        repeated: Entries that came again.
        statuses: Each status, when it changed.
        failures: What observing raised.
        stored: Called with the execution as it was, and what is stored now, before that is acted
            upon.
    """

    orchestrator: Orchestrator
    execution: DrivenExecution
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    journal: list[NewLogEntry] = field(default_factory=list)
    repeated: list[NewLogEntry] = field(default_factory=list)
    tasks: dict[str, Task] = field(default_factory=dict)
    statuses: list[ExecutionStatus] = field(default_factory=list)
    failures: list[UpstreamError] = field(default_factory=list)
    last: Observation | None = None
    stored: Callable[[DrivenExecution, Observation], None] = lambda _before, _seen: None

    @property
    def lines(self) -> list[str]:
        """The contents of the journal."""
        return [entry.content for entry in self.journal]

    @property
    def status(self) -> ExecutionStatus:
        """The status that is stored."""
        return self.execution.status

    def follow(self, seconds: float = 3600.0) -> None:
        """Note that somebody follows it."""
        until = datetime.fromtimestamp(self.clock(), UTC) + timedelta(seconds=seconds)
        self.execution = replace(self.execution, followed_until=until)

    def want_cancel(self) -> None:
        """Note that the user wants it to end."""
        self.execution = replace(self.execution, desired=DesiredState.CANCEL)

    def look(self) -> Observation:
        """Observe once, and store."""
        seen = self.orchestrator.observe(self.execution)
        known = {entry.upstream_id for entry in self.journal}
        for entry in seen.entries:
            again = entry.upstream_id is not None and entry.upstream_id in known
            (self.repeated if again else self.journal).append(entry)
            known.add(entry.upstream_id)
        self.tasks.update((task.name, task) for task in seen.tasks)
        changes: dict[str, Any] = {"cursor": seen.cursor, "log_complete": seen.log_complete}
        if not self.execution.status.final:
            changes |= {"status": seen.status, "error": seen.error, "progress": seen.progress,
                        "started_at": seen.started_at, "finished_at": seen.finished_at}  # fmt: skip
            if seen.outputs is not None:
                changes["outputs"] = seen.outputs
            if not self.statuses or self.statuses[-1] is not seen.status:
                self.statuses.append(seen.status)
        as_of = datetime.fromtimestamp(self.clock(), UTC)
        self.stored(self.execution, seen)
        self.execution = replace(self.execution, as_of=as_of, **changes)
        self.last = seen
        if seen.once_stored is not None:
            seen.once_stored()
        return seen

    def look_for(self, seconds: float) -> None:
        """Observe for some time; failures are noted, as the conductor does."""
        end = self.clock() + seconds
        while self.clock() < end and not self.execution.log_complete:
            self._step(end)

    def until_complete(self, seconds: float = 60.0) -> DrivenExecution:
        """Observe until no entry can come any more."""
        self.look_for(seconds)
        assert self.execution.log_complete, f"{self.status} after {seconds} s: {self.lines}"
        return self.execution

    def until(self, status: ExecutionStatus, seconds: float = 60.0) -> DrivenExecution:
        """Observe until the execution has a status."""
        end = self.clock() + seconds
        while self.status is not status:
            assert self.clock() < end, f"{self.status} after {seconds} s"
            self._step(end)
        return self.execution

    def _step(self, end: float) -> None:
        try:
            pause = self.look().poll_after_seconds
        except UpstreamError as exc:
            self.failures.append(exc)
            pause = 0.5
        self.sleep(min(max(pause, 0.001), max(0.0, end - self.clock()) + 0.001))
