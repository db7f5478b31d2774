"""Metrics of executions: read by request, and watched, once a second for all who watch the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from app.clients.orchestrator import Capability, Orchestrator, meter
from app.domain import Execution, ExecutionMetrics, Identity, SeriesPoint
from app.errors import CapabilityMissing
from app.services.access import Access, Caller
from app.services.executions import ExecutionService
from app.services.idle import Idle, waited
from app.services.reads import ExecutionReads
from app.store.changes import Changes

T = TypeVar("T")

Encode = Callable[[Execution, ExecutionMetrics], T]
"""Writes one message; the same function for all who are to get the same."""


@dataclass(slots=True)
class _Shared(Generic[T]):
    """The message of one second, for all who watch.

    Attributes:
        lock: Held by who makes it; the others wait for that.
        second: The one that it was made in, on the monotonic clock.
        watchers: How many there are.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    second: int = -1
    message: T | None = None
    final: bool = False
    watchers: int = 0


class LoadMetricsService:
    """Reads the metrics of executions whose orchestrator measures.

    Args:
        orchestrators: The orchestrators by name.
        executions: Finds the executions that somebody may know of.
        access: Whether a credential still holds.
        changes: Wakes who waits.
        reads: Reads executions once for all.
    """

    def __init__(
        self,
        orchestrators: Mapping[str, Orchestrator],
        executions: ExecutionService,
        access: Access,
        changes: Changes,
        *,
        reads: ExecutionReads,
    ) -> None:
        self._orchestrators = orchestrators
        self._executions = executions
        self._reads = reads
        self._access = access
        self._changes = changes
        self._shared: dict[Hashable, _Shared[object]] = {}
        self._lock = threading.Lock()

    def get(self, execution_id: str, identity: Identity) -> tuple[Execution, ExecutionMetrics]:
        """Get the metrics of an execution, all zeros before it has begun, and the execution.

        Raises:
            NotFound: There is none that this user may know of.
            CapabilityMissing: Its orchestrator does not measure.
        """
        execution = self._executions.get(execution_id, identity)
        return execution, self.of(execution)

    def measures(self, execution: Execution) -> bool:
        """Return whether there are metrics of an execution, without reading them."""
        behind = self._orchestrators.get(execution.orchestrator)
        return behind is not None and Capability.METRICS in behind.capabilities

    def of(self, execution: Execution) -> ExecutionMetrics:
        """Get the metrics of an execution that somebody may see; see :meth:`get`."""
        return meter(self._behind(execution)).metrics(execution)

    def series(self, execution_id: str, identity: Identity) -> Sequence[SeriesPoint]:
        """Get the course of an execution, a few hundred points at most; see :meth:`get`."""
        execution = self._executions.get(execution_id, identity)
        return meter(self._behind(execution)).series(execution)

    def watch(
        self, execution_id: str, caller: Caller, encode: Encode[T]
    ) -> Generator[T, None, None]:
        """Follow the metrics of an execution as :meth:`steps` does, and wait for each message."""
        return waited(self.steps(execution_id, caller, encode))

    def steps(
        self, execution_id: str, caller: Caller, encode: Encode[T]
    ) -> Generator[T | Idle, None, None]:
        """Follow the metrics of an execution; between the messages comes ``Idle``.

        A message comes at once, then one each second, also while it is paused, and a last one with
        the final figures, after which the generator ends. All who watch one execution by the same
        function get the same messages, each of which is made once. Whether the execution may be
        watched is checked before the generator is returned.

        Args:
            execution_id: Id or name.
            caller: Returns who watches by now.
            encode: Writes a message.

        Raises:
            NotFound: There is none that this user may know of, or not any more.
            NotAuthenticated: The credential ceased to hold.
            CapabilityMissing: Its orchestrator does not measure.
        """
        identity = caller()
        execution = self._executions.get(execution_id, identity)
        self._behind(execution).require(Capability.METRICS)
        return self._watch(execution, identity, caller, encode)

    def _watch(
        self, execution: Execution, identity: Identity, caller: Caller, encode: Encode[T]
    ) -> Generator[T | Idle, None, None]:
        watch, key = self._access.watch(identity, caller), (execution.id, encode)
        shared = self._join(key)
        try:
            with self._changes.subscribe(execution.id) as subscription:
                while True:
                    message, final = self._message(shared, execution.id, encode)
                    yield message
                    if final:
                        return
                    # All watchers of a process at the same moments, so that one message serves all.
                    due = int(time.monotonic()) + 1
                    while (left := due - time.monotonic()) > 0:
                        yield Idle(subscription, min(left, watch.seconds_left()))
                        subscription.has_changed()
                        if self._changes.closing:
                            return
                        if watch.check():
                            self._executions.get(execution.id, watch.identity)
                        if self._reads.latest(execution.id).status.final:
                            break
        finally:
            self._leave(key, shared)

    def _join(self, key: Hashable) -> _Shared[object]:
        with self._lock:
            shared = self._shared.setdefault(key, _Shared())
            shared.watchers += 1
            return shared

    def _leave(self, key: Hashable, shared: _Shared[object]) -> None:
        with self._lock:
            shared.watchers -= 1
            if not shared.watchers:
                self._shared.pop(key, None)

    def _message(
        self, shared: _Shared[object], execution_id: str, encode: Encode[T]
    ) -> tuple[T, bool]:
        """Return the message of this second, and whether it is the last one."""
        with shared.lock:
            second, execution = int(time.monotonic()), self._reads.latest(execution_id)
            over = execution.status.final
            if not shared.final and (shared.second != second or over):
                shared.message = encode(execution, self.of(execution))
                shared.second, shared.final = second, over
            message: T = shared.message  # type: ignore[assignment]
            return message, shared.final

    def _behind(self, execution: Execution) -> Orchestrator:
        found = self._orchestrators.get(execution.orchestrator)
        if found is None:
            text = f"The orchestrator '{execution.orchestrator}' is not configured any more."
            raise CapabilityMissing(text)
        return found
