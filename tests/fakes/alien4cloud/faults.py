"""Faults that a test injects."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What goes wrong with a request."""

    DROP_BEFORE = "the connection ends, and nothing has happened"
    DROP_AFTER = "it happens, and the connection ends instead of an answer"
    HANG_BEFORE = "nothing happens, and no answer comes"
    HANG_AFTER = "it happens, and no answer comes"
    REPLY = "another answer comes, and nothing has happened"
    REPLY_AFTER = "it happens, and another answer comes"
    CUT = "the answer breaks off in the middle"
    TRICKLE = "the answer comes byte by byte"


@dataclass
class Fault:
    """A fault, for an endpoint by its name or ``*``, for so many requests."""

    kind: Kind
    endpoint: str = "*"
    times: float = float("inf")
    status: int = 200
    body: bytes = b"<html>It works!</html>"


class Faults:
    """The faults that are set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.released = threading.Event()

    def add(self, fault: Fault) -> None:
        """Set a fault, behind those that are set."""
        self.released.clear()
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Take all faults away; what hangs is let go."""
        with self._lock:
            self._faults.clear()
        self.released.set()

    def take(self, endpoint: str) -> Fault | None:
        """Return the fault that the next request of an endpoint has."""
        with self._lock:
            for fault in self._faults:
                if fault.endpoint in ("*", endpoint) and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None
