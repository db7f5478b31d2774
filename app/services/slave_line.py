"""The connection of one slave, as the web process sees it that holds it.

What the slave is to be told waits here as it is by now, and not as a queue of what was: one that
reads nothing costs no more than its tasks. What it says waits, too, but not much of it: it is not
read further then.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from app.domain import JSON
from app.load.messages import Forget, FromSlave, HeartbeatAck, Register
from app.load.protocol import LARGEST_TEXT, Malformed, from_slave, written, written_order
from app.store.load_tasks import DesiredTask

_MOST_WAITING: Final = 4
"""Messages of a slave that wait to be taken."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """How a connection is to end.

    Attributes:
        code: As RFC 6455, 7.4 lists them.
        reason: For the slave.
    """

    code: int
    reason: str


class Line:
    """One connection.

    Attributes:
        id: Of the connection, drawn by chance.
        slave: Who has registered on it; None before.
        goodbye: How it is to end; None as long as it is not.
        has_hung_up: Whether nothing more will come from the slave.
    """

    def __init__(self) -> None:
        self.id = secrets.token_hex(12)
        self.slave: Register | None = None
        self.goodbye: Goodbye | None = None
        self.has_hung_up = False
        # Not bound when this module is loaded: gevent may patch it later.
        self._changed = threading.Condition()
        self._said: deque[FromSlave] = deque()
        self._acknowledged: int | None = None
        self._tasks: dict[str, DesiredTask] = {}
        self._told: dict[str, int] = {}
        self._over: dict[str, None] = {}

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or is about to."""
        return self.has_hung_up or self.goodbye is not None

    # What the slave says.

    most_bytes: Final = LARGEST_TEXT

    def read(self, text: str) -> Callable[[], None]:
        """Look at a text of the slave, without waiting for anything; what is none ends the line.

        Returns:
            What hands it over, which waits while enough waits already.
        """
        try:
            return partial(self.put, from_slave(text))
        except Malformed as exc:
            self.end(exc.code, exc.reason)
            return _nothing

    def put(self, message: FromSlave) -> None:
        """Hand over what the slave said; waits while enough waits already."""
        with self._changed:
            while len(self._said) >= _MOST_WAITING and not self.is_over:
                self._changed.wait()
            if not self.is_over:
                self._said.append(message)
                self._changed.notify_all()

    def ended(self) -> None:
        """Note that nothing more will come."""
        with self._changed:
            self.has_hung_up = True
            self._changed.notify_all()

    def said(self, seconds: float) -> list[FromSlave]:
        """Return what the slave has said; waits until there is that, or something to tell it.

        Args:
            seconds: Longest wait.
        """
        with self._changed:
            if not (self._said or self.is_over or self._has_news()):
                self._changed.wait(seconds)
            found = list(self._said)
            self._said.clear()
            self._changed.notify_all()
            return found

    # What the slave is to be told.

    def acknowledge(self, sequence: int) -> None:
        """Tell that all up to a heartbeat is stored."""
        with self._changed:
            self._acknowledged = sequence
            self._changed.notify_all()

    def want(self, task: DesiredTask) -> None:
        """Tell what is wanted of a task, unless something newer is known."""
        with self._changed:
            known = self._tasks.get(task.id)
            if known is None or known.generation < task.generation:
                self._tasks[task.id] = task
                self._changed.notify_all()

    def forget(self, task: str) -> None:
        """Tell that a task is over."""
        with self._changed:
            self._tasks.pop(task, None)
            self._told.pop(task, None)
            self._over[task] = None
            self._changed.notify_all()

    def end(self, code: int, reason: str) -> None:
        """End the connection, unless that is about to happen already."""
        with self._changed:
            self.goodbye = self.goodbye or Goodbye(code, reason)
            self._changed.notify_all()

    def has(self, task: str) -> bool:
        """Return whether a task is the slave's."""
        return task in self._tasks

    def tasks(self, executions: Collection[str] | None = None) -> list[str]:
        """Return the ids of the slave's tasks, of some executions or of all."""
        with self._changed:
            found = list(self._tasks.values())
        return [each.id for each in found if executions is None or each.execution_id in executions]

    def news(self, definition_of: Callable[[str], JSON]) -> list[bytes]:
        """Return the texts that are to be sent by now.

        Args:
            definition_of: Finds a definition by its digest; None where it is gone.
        """
        with self._changed:
            acknowledged, self._acknowledged = self._acknowledged, None
            over, self._over = list(self._over), {}
            tasks = [each for each in self._tasks.values() if self._is_news(each)]
            first = {each.id for each in tasks if each.id not in self._told}
            self._told |= {each.id: each.generation for each in tasks}
        texts = [] if acknowledged is None else [written(HeartbeatAck(acknowledged))]
        texts += [written(Forget(each)) for each in over]
        for task in tasks:
            data: dict[str, JSON] = task.wire()
            if task.id in first:
                data["definition"] = definition_of(task.digest)
            texts.append(written_order(data))  # without a definition it is none of a slave's
        return texts

    def _has_news(self) -> bool:
        return (
            self._acknowledged is not None
            or bool(self._over)
            or any(map(self._is_news, self._tasks.values()))
        )

    def _is_news(self, task: DesiredTask) -> bool:
        return self._told.get(task.id, 0) < task.generation


def _nothing() -> None:
    pass
