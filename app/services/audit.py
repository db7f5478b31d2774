"""The audit: who did what, on what, when, from where, and what became of it.

Most of it is recorded in one place, for every endpoint: who is refused, and what changes something
(:mod:`app.resources._audit`). What is recorded with the change itself, in one transaction, or is no
request, uses the same :class:`Audit`.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import structlog

from app.domain import AuditEvent, AuditFilter, AuditResult, Identity
from app.errors import FieldError, InvalidRequest, StoreUnavailable
from app.identity.attempts import side_of
from app.store.audit import AuditEntry, AuditLog, fit_to_keep

log = structlog.get_logger("audit")

_PAUSE_SECONDS: Final = 0.5
"""How long events are collected before they are written together."""
_WINDOW_SECONDS: Final = 60.0
"""How long refusals that are repeated are counted before their number is told."""
_MOST_KINDS: Final = 200
"""Most kinds of refusals of one action and one user that a process tells apart within a window."""
_MOST_KINDS_OF_ALL: Final = 2000
"""The same of all together; who sends many of one kind of action does not hide the others."""
_OF_MANY: Final = "one of many kinds within a minute, not told apart"
_NO_TIME: Final = datetime.min.replace(tzinfo=UTC)
_MOST_WAITING: Final = 10_000
_AT_ONCE: Final = 500
_MOST_LOOKS: Final = 200
"""Most windows of rows that one request looks at, each some milliseconds."""
_RETRY_SECONDS: Final = 5.0
"""Pause before it is tried again to write what the store did not take."""
_LOST: Final = "events were lost: more came than could be kept"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks, and from where.

    Attributes:
        credential: What they have shown, where they have not signed in to the service, such as
            ``command-line:root``.
    """

    identity: Identity | None = None
    address: str | None = None
    request_id: str | None = None
    credential: str | None = None


def nowhere() -> Origin:
    """Return the origin of what nobody asked for."""
    return Origin()


@dataclass(slots=True)
class _Counted:
    """How often something came again, and when first."""

    times: int = 0
    at: datetime = _NO_TIME


class _Repeats:
    """Refusals that differ in time and request only: the first is told at once, the rest counted.

    However many there are and whatever they try, a bounded number is told. It is not safe for
    threads; its caller has a lock.
    """

    def __init__(self) -> None:
        self._kinds: dict[AuditEvent, _Counted] = {}
        self._numbers: Counter[tuple[str, str | None]] = Counter()

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def take(self, event: AuditEvent) -> bool:
        """Return whether an event is to be told; else it is counted."""
        kind = replace(event, address=side_of(event.address), request_id=None, at=_NO_TIME)
        whose = (event.action, event.username)
        counted, has_room = self._kinds.get(kind), self._numbers[whose] < _MOST_KINDS
        if counted is None and has_room and len(self._kinds) < _MOST_KINDS_OF_ALL:
            self._kinds[kind] = _Counted()
            self._numbers[whose] += 1
            return True
        if counted is None:
            named = None if has_room else event.username
            kind = AuditEvent(
                event.action, event.result, username=named, detail=_OF_MANY, at=_NO_TIME
            )
            counted = self._kinds.setdefault(kind, _Counted())
        if not counted.times:
            counted.at = event.at
        counted.times += 1
        return False

    def counted(self) -> list[AuditEvent]:
        """Return what was counted, and begin anew."""
        found = [
            replace(kind, times=counted.times, at=counted.at)
            for kind, counted in self._kinds.items()
            if counted.times
        ]
        self._kinds.clear()
        self._numbers.clear()
        return found


class Audit:
    """Records what was done, and by whom.

    Events are lines of the service's log and rows of a table. They are collected for a moment and
    written off the way of requests; a process that is killed loses those of its last moment. What
    must not be lost is written by the change itself (:func:`app.store.audit.keep`, in its
    transaction) and then only told to the log (:meth:`tell`).

    Args:
        store: The table.
        origin: Returns who asks at the moment, and from where.
        logged: Events are told to the log, too; a command of the shell has none.
    """

    def __init__(
        self, store: AuditLog, origin: Callable[[], Origin] = nowhere, *, logged: bool = True
    ) -> None:
        self._store = store
        self._origin = origin
        self._logged = logged
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._queue: deque[AuditEvent] = deque()
        self._unwritten: list[AuditEvent] = []
        self._repeats = _Repeats()
        self._window_ends_at = 0.0
        self._lost = 0

    def event(
        self,
        action: str,
        target: str = "",
        *,
        result: AuditResult = AuditResult.SUCCESS,
        detail: str = "",
        username: str | None = None,
    ) -> AuditEvent:
        """Make an event of the current request.

        Args:
            action: Stable word, such as ``api-keys:create``.
            target: What it is about, such as ``/users/ada``.
            result: What became of it.
            detail: Words for people; never a secret.
            username: Who it was, where that is not who sent the request.
        """
        origin = self._origin()
        identity = origin.identity
        credential = origin.credential
        if identity is not None:
            credential = f"{identity.credential.authenticator}:{identity.credential.id}"
            username = username or identity.username
        return AuditEvent(
            action, result, target, username, credential,
            origin.address, origin.request_id, detail,
        )  # fmt: skip

    def record(self, event: AuditEvent) -> None:
        """Record an event, without waiting for anything.

        Refusals that are repeated within a minute are told twice: the first one, and then how many
        more there were.
        """
        with self._lock:
            if not self._repeats:
                self._window_ends_at = time.monotonic() + _WINDOW_SECONDS
            waits = event.result is AuditResult.SUCCESS or self._repeats.take(event)
            if waits and len(self._queue) >= _MOST_WAITING:
                self._lost += 1
            elif waits:
                self._queue.append(event)
            if self._thread is None:
                # Not before there is something to write: a process that only reads has none.
                self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
                self._thread.start()
        self._wake.set()

    def tell(self, event: AuditEvent) -> None:
        """Tell the service's log of an event that the store has already."""
        if self._logged:
            _tell(fit_to_keep(event))

    def find(
        self, wanted: AuditFilter, before: int | None, most: int
    ) -> tuple[Sequence[AuditEntry], int | None]:
        """Return some events, newest first, and where to go on; None at the end.

        What was recorded by this process is among them.

        Args:
            wanted: Which.
            before: Where the page before said to go on.
            most: How many at most. There may be fewer although there are more, where much had to
                be looked at.

        Raises:
            InvalidRequest: ``since`` is not before ``until``.
            StoreUnavailable: The store cannot be read.
        """
        if wanted.since is not None and wanted.until is not None and wanted.since >= wanted.until:
            fault = FieldError("since", "must be before 'until'")
            raise InvalidRequest("That is no span of time.", fields=(fault,))
        self.flush()
        found: list[AuditEntry] = []
        for _ in range(_MOST_LOOKS):
            more, before = self._store.page(wanted, before, most - len(found))
            found += more
            if before is None or len(found) == most:
                break
            time.sleep(0)  # others have their turn
        return found, before

    def flush(self) -> None:
        """Write what was recorded so far; what the store does not take now waits."""
        with self._writing:
            with self._lock:
                taken = self._take()
            new = [fit_to_keep(event) for event in taken]
            for event in new if self._logged else ():
                _tell(event)
            room = _MOST_WAITING - len(self._unwritten)
            self._unwritten += new[:room]
            with self._lock:
                self._lost += len(new[room:])
            self._write()

    def close(self) -> None:
        """Write all that was recorded, as the process ends."""
        self._window_ends_at = -math.inf
        self._closing.set()
        self._wake.set()
        self.flush()

    def _take(self) -> list[AuditEvent]:
        """Return what is to be told by now; the lock is held."""
        new = list(self._queue)
        self._queue.clear()
        if time.monotonic() >= self._window_ends_at:
            new += self._repeats.counted()
        if self._lost:
            event = AuditEvent("audit", AuditResult.FAILED, detail=_LOST, times=self._lost)
            new.append(event)
            self._lost = 0
        return new

    def _write(self) -> None:
        while self._unwritten:
            portion = self._unwritten[:_AT_ONCE]
            durable = any(event.result is not AuditResult.DENIED for event in portion)
            try:
                self._store.add(portion, durable=durable)
            except StoreUnavailable:
                return  # the store has said so
            del self._unwritten[: len(portion)]

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(self._seconds_left())
            self._wake.clear()
            self._closing.wait(_PAUSE_SECONDS)
            try:
                self.flush()
            except Exception as exc:  # noqa: BLE001  (what comes next must be written)
                log.error("audit events could not be written", error=str(exc))
                self._unwritten.clear()

    def _seconds_left(self) -> float | None:
        """Return how long nothing is to be written unless something is recorded."""
        if self._unwritten:
            return _RETRY_SECONDS
        with self._lock:
            return max(0.0, self._window_ends_at - time.monotonic()) if self._repeats else None


def _tell(event: AuditEvent) -> None:
    log.info(
        "audit",
        action=event.action,
        result=event.result.value,
        target=event.target,
        user=event.username,
        credential=event.credential,
        address=event.address,
        request_id=event.request_id,
        detail=event.detail,
        times=event.times,
        at=event.at.isoformat(timespec="milliseconds"),
    )
