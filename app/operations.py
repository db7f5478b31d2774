"""What users ask for that a conductor carries out, in threads of its own.

Each kind has its own few threads, so one that hangs delays neither executions nor another kind.
What takes too long is given up: its owner is told, and its thread, which nothing can end, is
written off; of a kind that has too many such threads nothing more is begun with until some end.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from app.domain import JSON, Operation
from app.errors import SlipwayError, StoreUnavailable
from app.store.operations import PREFIX, Operations, Room

log = structlog.get_logger(__name__)

_SLACK_SECONDS: Final = 15.0
"""How long beyond its time something may be held: time to write down that it is over."""
_MOST_WRITTEN_OFF: Final = 16
"""Threads of one kind that hang, from which on nothing more of it is begun with."""
_LAST_CALL_SECONDS: Final = 3.0
"""How long a conductor that ends waits for what is under way."""


@dataclass(frozen=True, slots=True)
class Handler:
    """How operations of a kind are carried out.

    Attributes:
        carry_out: Returns the result, which must be JSON; a ``SlipwayError`` fails the operation
            with its message, which its owner sees, and anything else with a general one.
        timeout_seconds: After which the operation has failed.
        threads: How many are carried out at the same time.
        repeatable: Whether one may be begun with again that a dead conductor had.
    """

    carry_out: Callable[[Operation], JSON]
    timeout_seconds: float = 60.0
    threads: int = 4
    repeatable: bool = True


@dataclass(eq=False, slots=True)
class _Run:
    operation: Operation
    deadline: float
    given_up: bool = False


@dataclass(eq=False, slots=True)
class _Lane:
    """Operations of one kind that are under way."""

    handler: Handler
    runs: set[_Run] = field(default_factory=set)

    def room(self) -> Room:
        going = [run for run in self.runs if not run.given_up]
        free = self.handler.threads - len(going)
        if len(self.runs) - len(going) >= _MOST_WRITTEN_OFF:
            free = 0
        return Room(
            free,
            max(1, self.handler.threads - 1),
            Counter(run.operation.owner for run in going),
            self.handler.timeout_seconds + _SLACK_SECONDS,
            self.handler.repeatable,
        )


class OperationCarrier:
    """Carries out operations, for one conductor.

    Args:
        operations: What was asked for.
        handlers: How each kind is carried out.
        lease_seconds: The conductors' lease.
    """

    def __init__(
        self, operations: Operations, handlers: Mapping[str, Handler], lease_seconds: float
    ) -> None:
        self._operations = operations
        self._lanes = {kind: _Lane(handler) for kind, handler in handlers.items()}
        self._lease_seconds = lease_seconds
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._stopping = False
        self._holder = ""
        self._thread: threading.Thread | None = None

    def start(self, holder: str) -> None:
        """Begin to work.

        Args:
            holder: Id of the conductor.
        """
        self._holder = holder
        self._thread = threading.Thread(target=self._run, name="operations", daemon=True)
        self._thread.start()

    def hear(self, ids: Collection[str] | None) -> None:
        """Look what there is to do, if some changes are about operations.

        Args:
            ids: The ids of what changed; None for anything.
        """
        if ids is None or any(id_.startswith(PREFIX) for id_ in ids):
            self._bell.set()

    def stop(self) -> None:
        """Begin with nothing more, wait a moment for what is under way, and leave the rest."""
        self._stopping = True
        self._bell.set()
        if self._thread is None:
            return
        self._thread.join()
        deadline = time.monotonic() + _LAST_CALL_SECONDS
        while self._going() and time.monotonic() < deadline:
            self._bell.wait(0.05)
            self._bell.clear()
        repeatable = {kind: lane.handler.repeatable for kind, lane in self._lanes.items()}
        try:
            self._operations.release(self._holder, repeatable)
        except SlipwayError as exc:  # others find them, since this conductor is gone
            log.warning("operations not released", error=exc.message)

    def _run(self) -> None:
        while not self._stopping:
            self._bell.clear()
            try:
                self._give_up()
                self._begin()
            except StoreUnavailable:
                pass  # the store has said so
            except Exception as exc:  # noqa: BLE001  (the next round may succeed)
                log.warning("operations cannot be looked at", error=str(exc))
            if not self._stopping:
                self._bell.wait(self._pause())

    def _pause(self) -> float:
        with self._lock:
            ends = [
                r.deadline for lane in self._lanes.values() for r in lane.runs if not r.given_up
            ]
        left = min(ends, default=float("inf")) - time.monotonic()
        return max(0.01, min(self._lease_seconds / 3, left))

    def _going(self) -> bool:
        with self._lock:
            return any(not run.given_up for lane in self._lanes.values() for run in lane.runs)

    def _begin(self) -> None:
        with self._lock:
            rooms = {kind: lane.room() for kind, lane in self._lanes.items()}
        if not rooms:
            return
        for operation in self._operations.claim(self._holder, rooms, self._lease_seconds):
            lane = self._lanes[operation.kind]
            run = _Run(operation, time.monotonic() + lane.handler.timeout_seconds)
            with self._lock:
                lane.runs.add(run)
            threading.Thread(
                target=self._carry_out, args=(lane, run), name=operation.kind, daemon=True
            ).start()

    def _give_up(self) -> None:
        """Fail what takes too long; its threads go on, and what they come to does not count."""
        moment = time.monotonic()
        with self._lock:
            late = [
                (lane, run)
                for lane in self._lanes.values()
                for run in lane.runs
                if not run.given_up and run.deadline <= moment
            ]
            for _, run in late:
                run.given_up = True
        for lane, run in late:
            text = (
                f"It took longer than {lane.handler.timeout_seconds:g} seconds, and was given up."
            )
            log.warning("operation given up", operation=run.operation.id, kind=run.operation.kind)
            self._operations.finish(
                run.operation, self._holder, error=text, error_code="upstream_timeout"
            )

    def _carry_out(self, lane: _Lane, run: _Run) -> None:
        try:
            self._finish(run.operation, *self._outcome(lane.handler, run.operation))
        except Exception as exc:  # noqa: BLE001  (it is lost in a while, and then others have it)
            log.warning("operation not finished", operation=run.operation.id, error=str(exc))
        finally:
            with self._lock:
                lane.runs.discard(run)
            self._bell.set()

    def _outcome(
        self, handler: Handler, operation: Operation
    ) -> tuple[JSON, str | None, str | None]:
        try:
            return handler.carry_out(operation), None, None
        except SlipwayError as exc:
            log.warning(
                "operation failed", operation=operation.id, kind=operation.kind,
                error=exc.message, detail=exc.detail,
            )  # fmt: skip
            return None, exc.message, exc.code
        except Exception:
            log.exception("operation failed", operation=operation.id, kind=operation.kind)
            return None, "It failed for a reason that stands in the log of the service.", "internal"

    def _finish(
        self, operation: Operation, result: JSON, error: str | None, error_code: str | None
    ) -> None:
        held = self._operations.finish(
            operation, self._holder, result=result, error=error, error_code=error_code
        )
        if not held:
            log.warning("operation lost", operation=operation.id, kind=operation.kind)
