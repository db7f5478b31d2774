"""What ties a child to its supervisor: a socket by which each notices that the other is gone.

The child sends a byte every second. One that is stopped, whose event loop is blocked, or whose
interpreter is held by a single call sends none, and the supervisor replaces it. When the supervisor
ends in any way, even by SIGKILL, the socket comes to its end and the child stops. One that cannot
notice that any more is ended by the kernel: each sign of life winds up a timer that kills.

A process without a supervisor gives its signs of life to systemd, if that asks for them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

BEAT_SECONDS = 1.0
"""How often a process gives a sign of life."""
STARTING, AT_WORK = b"s", b"w"
"""What a sign of life says."""
SLAVE_WANTED = b"l"
"""What says beside that the supervisor is to start the slave that it keeps back."""
START_SECONDS = 60.0
"""Longest silence of a process that is not at work yet: it is busy, and may wait for others."""
_MARGIN_SECONDS = 5.0
"""By how much the supervisor comes before the kernel."""
_LIBC = ctypes.CDLL(None, use_errno=True)


def lifeline_option(function: F) -> F:
    """Add ``--lifeline-fd``."""
    import click  # noqa: PLC0415  (the supervisor stays small without)

    return click.option(
        "--lifeline-fd", type=int, hidden=True, help="Stop when this socket closes."
    )(function)


class Lifeline:
    """The child's end.

    Args:
        descriptor: Of the socket; None without a supervisor.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._socket: socket.socket | None = None
        self._says = STARTING
        self._silence_seconds = START_SECONDS
        if descriptor is not None:
            self._socket = socket.socket(fileno=descriptor)
            self._socket.settimeout(BEAT_SECONDS)
            self._timer = _KillTimer()
            self._wind()

    def hold(self, stop: Callable[[], None], stop_seconds: float) -> None:
        """Send signs of life from now on, and notice the end of the supervisor.

        In a process that is patched by gevent they come from the event loop.

        Args:
            stop: Called when the supervisor is gone.
            stop_seconds: How long it may take to stop.
        """
        if self._socket is None:
            if "WATCHDOG_USEC" in os.environ:
                _begin(_beat_systemd)
            return

        def beat() -> None:
            there = True
            while there:
                self._wind()
                there = self._beat()
            self._timer.wind(stop_seconds + _MARGIN_SECONDS)
            stop()

        _begin(beat)

    def give_sign(self) -> None:
        """Give one sign of life: for a process that has no thread for it, nor an event loop."""
        if self._socket is not None:
            self._wind()
            with suppress(OSError):  # the supervisor is gone, which is noticed elsewhere
                self._socket.send(self._says)

    def want_slave(self) -> None:
        """Have the supervisor start the slave that it keeps back until there is work for one."""
        if self._socket is not None:
            with suppress(OSError):  # it is gone, which is noticed elsewhere
                self._socket.send(SLAVE_WANTED)

    def close(self) -> None:
        """Leave the lifeline to the process of which this one is a fork."""
        if self._socket is not None:
            self._socket.close()

    def tell_at_work(self, silence_seconds: float) -> None:
        """Say from now on that the start is done, and that nothing was wrong with the settings.

        Args:
            silence_seconds: After so long without a sign of life the process is replaced.
        """
        self._says, self._silence_seconds = AT_WORK, silence_seconds
        if self._socket is None:
            notify_systemd("READY=1")
            return
        self.give_sign()

    def _wind(self) -> None:
        self._timer.wind(self._silence_seconds + _MARGIN_SECONDS)

    def _beat(self) -> bool:
        """Send a sign of life and wait until the next is due; False when the supervisor is gone."""
        assert self._socket is not None  # noqa: S101  (the caller's condition)
        try:
            self._socket.send(self._says)
            return bool(self._socket.recv(1))
        except TimeoutError:
            return True  # it has nothing to say, or is stopped itself and does not listen
        except OSError:
            return False


def notify_systemd(state: str) -> None:
    """Notify the service manager, if there is one that asks for it.

    Source: sd_notify(3).
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
        sender.sendto(state.encode(), address)


def _beat_systemd() -> None:
    while True:
        notify_systemd("WATCHDOG=1")
        time.sleep(BEAT_SECONDS)


def _begin(function: Callable[[], None]) -> None:
    threading.Thread(target=function, name="lifeline", daemon=True).start()


class _Event(ctypes.Structure):
    """``struct sigevent`` of sigevent(7), which is 64 bytes on Linux."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * (64 - ctypes.sizeof(ctypes.c_void_p) - 8)),
    )


class _Times(ctypes.Structure):
    """``struct itimerspec`` of timer_settime(2): the interval, and the time until it goes off."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("again", "again_ns", "after", "after_ns"))


class _KillTimer:
    """A timer of the kernel that ends this process by SIGKILL, also while it is stopped or stuck.

    Neither a fork nor another program in the same process has it: timer_create(2).
    """

    _SIGEV_SIGNAL = 0

    def __init__(self) -> None:
        event = _Event(signal=signal.SIGKILL, notify=self._SIGEV_SIGNAL)
        self._id = ctypes.c_void_p()
        if _LIBC.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._id)):
            raise OSError(ctypes.get_errno(), "timer_create")

    def wind(self, seconds: float) -> None:
        """Let it go off after so long, and not before."""
        whole, part = divmod(seconds, 1)
        times = _Times(after=int(whole), after_ns=int(part * 1e9))
        if _LIBC.timer_settime(self._id, 0, ctypes.byref(times), None):
            raise OSError(ctypes.get_errno(), "timer_settime")
