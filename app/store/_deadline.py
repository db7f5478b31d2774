"""Until when a thread, or greenlet, waits for PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_OWN_SHARE = 1.2
"""The server's own limits end first, since it can say more."""

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def bounded(seconds: float | None) -> Iterator[None]:
    """Bound what this thread, or greenlet, waits for PostgreSQL within the block."""
    token = _deadline.set(None if seconds is None else time.monotonic() + seconds * _OWN_SHARE)
    try:
        yield
    finally:
        _deadline.reset(token)


def current() -> float | None:
    """Return the deadline of the innermost block, on the monotonic clock; None without one."""
    return _deadline.get()
