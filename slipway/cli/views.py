"""What people see while they wait: what is written comes out at once, and much of it in blocks.

There are three ways to look at what goes on: quietly, as one line on standard error for each step
that begins or ends, or as bars (:mod:`slipway.cli.bars`).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from slipway.cli.output import clean
from slipway.cli.times import span

if TYPE_CHECKING:
    from slipway.models import ExecutionState, Task

FRAME_SECONDS: Final = 0.1
"""Time between two moments at which something is written: no eye follows more than ten a second."""
_MOST_WAITING: Final = 1 << 18
"""Characters that wait for their moment; more are written out at once."""
_PROGRESS_SECONDS: Final = 60.0
"""Time between two lines that tell nothing but how far it is."""
SHORT_ID: Final = 8
"""Characters of an id that people see, and type."""


class View:
    """Writes to standard output, and lets nothing be seen of steps.

    What is written between :meth:`open` and :meth:`close` appears within :data:`FRAME_SECONDS`.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._waiting: list[str] = []
        self._size = 0
        self._written_at = 0.0
        self._fault: BaseException | None = None
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="view", daemon=True)

    def open(self) -> None:
        """Begin to show something; :meth:`close` ends it, also if this is interrupted."""
        self._ticker.start()

    def close(self) -> None:
        """Write out what waits, and leave the terminal as it was."""
        self._stop.set()
        if self._ticker.is_alive():
            self._ticker.join()
        if self._fault is None:
            self.flush()

    def write(self, text: str) -> None:
        """Write a text that ends with a newline to standard output.

        Raises:
            OSError: It cannot be written, or earlier ones could not.
        """
        with self._lock:
            self._check()
            self._waiting.append(text)
            self._size += len(text)
            due = time.monotonic() - self._written_at >= FRAME_SECONDS
            if due or self._size > _MOST_WAITING:
                self.flush()

    def flush(self) -> None:
        """Write out what waits."""
        with self._lock:
            text = "".join(self._waiting)
            self._waiting.clear()
            self._size = 0
            self._written_at = time.monotonic()
            self.draw(text)

    def draw(self, text: str) -> None:
        """Write a text, which may be empty, and what else there is to see."""
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """Tell people something on standard error."""
        with self._lock:
            self.flush()
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def show(self, states: Sequence[ExecutionState]) -> None:
        """Show how executions stand, with their tasks."""

    def _check(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _is_due(self) -> bool:
        """Whether there is something to write."""
        return bool(self._waiting)

    def _tick(self) -> None:
        while not self._stop.wait(FRAME_SECONDS):
            with self._lock:
                if not self._is_due():
                    continue
                try:
                    self.flush()
                except BaseException as exc:  # noqa: BLE001  (whoever writes next raises it)
                    self._fault = exc
                    return


class Plain(View):
    """Tells of each step that begins or ends, as one line on standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[str, str], str] = {}
        self._states: dict[str, str] = {}
        self._told_at = time.monotonic()

    def show(self, states: Sequence[ExecutionState]) -> None:
        several = len(states) > 1
        for state in states:
            before = f"{short(state.id)} " if several else ""
            for task in state.tasks or ():
                self._compare(state.id, task, before)
        now = time.monotonic()
        if now - self._told_at >= _PROGRESS_SECONDS:
            self._told_at = now
            for state in states:
                if not state.state.is_final:
                    self.note(f"{short(state.id)} {state.state} {percent(state.progress)}")

    def _compare(self, execution: str, task: Task, before: str) -> None:
        key = execution, task.name
        earlier, now = self._known.get(key), str(task.status)
        self._known[key] = now
        if now in (earlier, "PENDING") or (earlier is None and task.status.is_final):
            return
        name = clean(task.name)
        if not task.status.is_final:
            self.note(f"{before}{name} {'started' if now == 'RUNNING' else now}")
            return
        self.note(f"{before}{name} {ended(task)}")


def short(execution_id: str) -> str:
    """Return as much of an id as people see."""
    return clean(execution_id[:SHORT_ID])


def length_of_ids(ids: Sequence[str]) -> int:
    """Return how many characters tell some ids apart, and those that people see at least."""
    length, longest = SHORT_ID, max(map(len, ids), default=0)
    while length < longest and len({each[:length] for each in ids}) < len(set(ids)):
        length += 1
    return length


def percent(share: float) -> str:
    """Return a share as people read it; it is 100 % only when nothing is left."""
    return f"{int(min(1.0, max(0.0, share)) * 100)} %"


def seconds_of(task: Task) -> float | None:
    """Return how long a task that has ended took; None where that is not known."""
    if task.started_at is None or task.finished_at is None:
        return None
    return (task.finished_at - task.started_at).total_seconds()


def ended(task: Task) -> str:
    """Return how a task ended: ``FAILED with code 3 in 2s``."""
    text = str(task.status)
    if task.exit_code and task.status == "FAILED":
        text += f" with code {task.exit_code}"
    seconds = seconds_of(task)
    return text if seconds is None else f"{text} in {span(seconds)}"


def shows_bars() -> bool:
    """Whether standard error is a terminal on which something can move."""
    if os.environ.get("TERM") in (None, "", "dumb") or os.environ.get("CI"):
        return False
    with suppress(ValueError):  # it is closed
        return sys.stderr.isatty()
    return False


def view(*, steps: bool = True) -> View:
    """Return the view that fits where this runs.

    Args:
        steps: Whether something is told of steps.
    """
    if not steps:
        return View()
    if shows_bars():
        from slipway.cli.bars import Bars  # noqa: PLC0415  (its library takes long to import)

        return Bars()
    return Plain()
