"""How a child notices that its supervisor is gone, even if that was killed.

The supervisor holds the writing end of a pipe and never writes; when it ends in any way, the
reading end of every child comes to its end, too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import click
from gevent.os import make_nonblocking, nb_read

from app.concurrency import cooperative

F = TypeVar("F", bound=Callable[..., Any])


def lifeline_option(function: F) -> F:
    """Add ``--lifeline-fd``."""
    return click.option("--lifeline-fd", type=int, hidden=True, help="Stop when this pipe closes.")(
        function
    )


def watch(descriptor: int | None, stop: Callable[[], None]) -> None:
    """Call ``stop`` when the pipe closes; without a pipe, never."""
    if descriptor is None:
        return

    def wait() -> None:
        if cooperative():
            make_nonblocking(descriptor)
            nb_read(descriptor, 1)
        else:
            os.read(descriptor, 1)
        stop()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
