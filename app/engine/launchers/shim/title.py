"""The command line that others see of a process which was forked, and never executed anything."""

# ruff: noqa: PTH123 - pathlib alone would add a fifth to the time that the shim takes to start

from __future__ import annotations

import ctypes
import os

from .records import process_stat

_ARG_START, _ARG_END = 45, 46


class Title:
    """The memory from which the kernel shows the command line of this process and of its forks.

    Raises:
        OSError: The kernel does not tell where it is (proc(5), ``/proc/[pid]/stat``).
    """

    def __init__(self) -> None:
        stat = process_stat(os.getpid())
        self._address, end = int(stat[_ARG_START]), int(stat[_ARG_END])
        with open("/proc/self/cmdline", "rb") as file:
            shown = file.read()
        self.size = end - self._address
        if not shown or ctypes.string_at(self._address, self.size) != shown:
            raise OSError("the command line of the process is not where the kernel says")

    def set(self, command: bytes) -> None:
        """Show another command line, with zero bytes behind it.

        Args:
            command: Arguments, divided by zero bytes; shorter than ``size``, so that the last byte
                is zero: if not, the kernel would take the environment for a part of it.
        """
        ctypes.memmove(self._address, command.ljust(self.size, b"\0"), self.size)
