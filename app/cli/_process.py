"""What every process of the service does first."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal

from app.files import set_private_umask

_PR_SET_DUMPABLE = 4
_M_ARENA_MAX = -8
_ARENAS = 2
_LIBC = ctypes.CDLL(None)
_LIBC.getenv.restype = ctypes.c_void_p


def guard_process() -> None:
    """Keep what this process holds from other processes of the same user.

    Those are the commands of steps. They may no longer read its memory nor its environment, and it
    leaves no core file: prctl(2), PR_SET_DUMPABLE. Files that it makes are for their owner only.
    A process that is stuck can still say where: SIGABRT writes the traceback of each thread.
    """
    set_private_umask()
    faulthandler.enable()
    _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def ignore_hangups() -> None:
    """Survive SIGHUP until there is a handler for it; by default it ends a process.

    Forks, and programs that this process becomes, begin with it ignored. In a terminal it keeps its
    first meaning until then: the terminal is gone.
    """
    if not os.isatty(0):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def share_arenas() -> None:
    """Have threads share two arenas, so that what one frees is of use to the others.

    It is to be called before there are threads: mallopt(3), M_ARENA_MAX, which only glibc has.
    """
    if hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(_M_ARENA_MAX, _ARENAS)


def environment_without_settings() -> dict[str, str]:
    """Return the environment without the settings of a service that somebody really runs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}


def forget_variable(name: str) -> None:
    """Take a variable out of the environment, and out of what /proc/PID/environ shows of it."""
    value = os.environ.get(name)
    place = _LIBC.getenv(name.encode())
    if value and place:
        ctypes.memset(place, ord("-"), len(os.fsencode(value)))
    os.environ.pop(name, None)
