"""Clients that poll beyond the end of a finished log again and again.

A page says ``complete`` when no entry can come any more, and who heeds it stops. A client that does
not would be answered as fast as it can ask. It is told at once the first time, and waits from then
on as if the log could still grow.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from datetime import timedelta
from threading import Lock

import structlog

from app.domain import Execution, Identity
from app.errors import UpstreamError
from app.store.ends import EndsTold
from app.store.execution_rows import now

log = structlog.get_logger(__name__)

_REMEMBERED_SECONDS = 30.0
"""How long after an answer a poll counts as another of the same loop."""

_REMEMBERED = 10_000


class Repeats:
    """Knows who was told already that a log has ended.

    The store tells every process; each remembers what it knows itself, so that a client that goes
    on asking costs few writes.

    Args:
        ends: The notes in the store.
    """

    def __init__(self, ends: EndsTold) -> None:
        self._ends = ends
        self._lock = Lock()
        self._known: OrderedDict[tuple[int, str], float] = OrderedDict()

    def asks_again(
        self, execution: Execution, identity: Identity, address: str, wait_seconds: float
    ) -> bool:
        """Return whether a client was told lately, and note that it is told now.

        Args:
            execution: The one whose log has ended.
            identity: The user.
            address: Where they call from; it tells apart those who have no name.
            wait_seconds: How long this poll may be held; the note outlasts it.
        """
        text = f"{identity.username} {address}"
        key = execution.number, hashlib.sha256(text.encode()).hexdigest()
        moment = time.monotonic()
        until = self._known.get(key, 0.0)
        if until >= moment + wait_seconds + _REMEMBERED_SECONDS / 2:
            return True
        seconds = wait_seconds + _REMEMBERED_SECONDS
        self._remember(key, moment + seconds)
        try:
            told = self._ends.note(*key, now() + timedelta(seconds=seconds))
        except UpstreamError as exc:
            log.warning("end of a log told to one process only", error=exc.message)
            told = False
        return told or until > moment

    def _remember(self, key: tuple[int, str], until: float) -> None:
        with self._lock:
            self._known[key] = until
            self._known.move_to_end(key)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
