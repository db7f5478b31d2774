"""Being told to stop by a signal.

A Python handler runs between two steps of the main thread, whatever that is doing: one that takes
a lock, as ``Event.set`` does, can wait for ever for a lock that its own thread holds. So handlers
do nothing here; the interpreter writes the number of the signal to a pipe.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable


def catch_stop_signals() -> int:
    """Catch SIGTERM, SIGINT and SIGHUP.

    Returns:
        A descriptor that can be read from once one of them has come; each is a byte, its number.

    Source: ``signal.set_wakeup_fd`` of the standard library.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    return reading


def on_stop_signal(stop: Callable[[], None], reload: Callable[[], object] = bool) -> None:
    """Call functions in a thread of its own.

    Args:
        stop: At SIGTERM or SIGINT; once.
        reload: At SIGHUP.
    """
    reading = catch_stop_signals()

    def wait() -> None:
        while os.read(reading, 1) == bytes([signal.SIGHUP]):
            reload()
        stop()

    threading.Thread(target=wait, name="signals", daemon=True).start()
