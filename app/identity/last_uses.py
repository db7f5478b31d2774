"""When API keys were used last."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from app.errors import SlipwayError
from app.store.api_keys import USED_EVERY
from app.store.execution_rows import now

log = structlog.get_logger(__name__)

_COLLECT_SECONDS: Final = 1.0
"""How long uses are collected before they are written together."""
_MOST_NOTED: Final = 10_000


class LastUses:
    """Writes down when keys were used last, once a minute at most, and off the way of requests.

    Args:
        write: Stores the moments by the ids of the keys.
    """

    def __init__(self, write: Callable[[dict[str, datetime]], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._noted: dict[str, datetime] = {}
        self._unwritten: dict[str, datetime] = {}
        self._thread: threading.Thread | None = None

    def note(self, id_: str, known: datetime | None) -> None:
        """Note that a key is used now.

        Args:
            id_: Its id.
            known: When it was used before, as far as the store had known.
        """
        moment = now()
        last = self._noted.get(id_, known)
        if last is not None and moment - last < USED_EVERY:
            return
        with self._lock:
            if len(self._noted) >= _MOST_NOTED:
                self._noted.clear()
            self._noted[id_] = self._unwritten[id_] = moment
            if self._thread is None:
                # Not before there is something to write: many services have no keys.
                self._thread = threading.Thread(target=self._run, name="last-uses", daemon=True)
                self._thread.start()
        self._wake.set()

    def flush(self) -> None:
        """Write what was noted; what the store does not take is left out."""
        with self._lock:
            moments, self._unwritten = self._unwritten, {}
        if not moments:
            return
        try:
            self._write(moments)
        except SlipwayError as exc:
            log.warning("the last use of keys was not written down", error=exc.message)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wake.wait()
            self._wake.clear()
            pause.wait(_COLLECT_SECONDS)
            self.flush()
