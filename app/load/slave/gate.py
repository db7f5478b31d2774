"""Where virtual users wait before whatever they do: in a pause, and while there is no lease."""

from __future__ import annotations

from gevent.event import Event

from app.load.exchange import Cut
from app.load.slave.lease import boot_us


class Permission:
    """Until when requests may be made, for all tasks of a process.

    Attributes:
        until_us: By :func:`app.load.slave.lease.boot_us`.
    """

    __slots__ = ("until_us",)

    def __init__(self) -> None:
        self.until_us = 0


class Gate:
    """Of one task.

    Args:
        permission: Of the process.

    Attributes:
        paused: Whether nobody may pass.
        ending: Whoever would have to wait is cut instead: there is nothing to wait for.
    """

    def __init__(self, permission: Permission) -> None:
        self._permission = permission
        self._turned = Event()
        self.paused = False
        self.ending = False

    @property
    def is_open(self) -> bool:
        """Whether one may pass now."""
        return not self.paused and boot_us() < self._permission.until_us

    def pass_through(self) -> None:
        """Wait until it is open.

        Raises:
            Cut: The end comes first.
        """
        while not self.is_open:
            if self.ending:
                raise Cut
            self.wait()

    def wait(self) -> None:
        """Wait until somebody may pass, or something else has changed."""
        self._turned.clear()
        self._turned.wait()

    def turn(self) -> None:
        """Let those who wait look again."""
        self._turned.set()
