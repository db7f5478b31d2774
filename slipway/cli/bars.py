"""A bar for each step that runs, on the terminal at standard error, below what is written.

Nothing is cut that somebody may look for later: when it ends, the bars go and the lines stay.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from slipway.cli.executions import workflow_of
from slipway.cli.output import cell_width, clean, cut, shortened
from slipway.cli.screen import uninterrupted
from slipway.cli.terminal import is_coloured
from slipway.cli.times import span
from slipway.cli.views import View, percent, short

if TYPE_CHECKING:
    from slipway.models import ExecutionState, Task

_MOST_ROWS: Final = 12
"""Bars at the same time; of the others it is told how many there are."""
_WIDEST_NAME: Final = 24
_WIDEST_BAR: Final = 30
_STYLES: Final = {"PENDING": "bright_black", "PAUSED": "yellow", "CANCELLING": "yellow"}


class _Written:
    """A text as it is: no library looks into it, or needs time for each of its lines."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(self._text)


class Bars(View):
    """Shows a bar for each step that runs.

    What is written goes by above the bars where standard output is a terminal, too, and straight to
    standard output where it is none.
    """

    def __init__(self) -> None:
        super().__init__()
        self._states: Sequence[ExecutionState] = ()
        self._console = Console(
            file=sys.stderr, force_terminal=True, force_interactive=True, legacy_windows=False,
            no_color=not is_coloured(sys.stderr, os.environ), highlight=False, markup=False,
            emoji=False,
        )  # fmt: skip
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True,
            redirect_stdout=False, redirect_stderr=False, get_renderable=self._frame,
        )  # fmt: skip
        self._above = sys.stdout.isatty()

    def open(self) -> None:
        with uninterrupted():
            self._live.start()
        super().open()

    def close(self) -> None:
        try:
            super().close()
        finally:
            with uninterrupted():
                self._live.stop()

    def show(self, states: Sequence[ExecutionState]) -> None:
        self._states = tuple(states)

    def draw(self, text: str) -> None:
        if text and not self._above:
            super().draw(text)
            text = ""
        if not self._live.is_started:
            super().draw(text)
        elif text:
            # The frame is drawn anew behind it, in the same write.
            self._console.print(_Written(text), end="", crop=False)
        else:
            self._live.refresh()

    def note(self, text: str) -> None:
        with self._lock:
            self.flush()
            if self._live.is_started:
                self._console.print(_Written(f"{text}\n"), end="", crop=False)
            else:
                super().note(text)

    def _is_due(self) -> bool:
        return True  # bars move by themselves

    def _frame(self) -> RenderableType:
        width = self._console.width
        room = max(2, min(_MOST_ROWS, self._console.height - 2))
        return Group(*_frame(self._states, datetime.now(UTC), width, room))


def _frame(
    states: Sequence[ExecutionState], now: datetime, width: int, room: int
) -> Iterator[RenderableType]:
    """Yield the lines of a frame, as many as there is room for."""
    left = room
    for state in states:
        if state.state.is_final or left <= 0:
            continue
        yield Text(cut(_heading(state, now), width - 1), style="bold", no_wrap=True)
        left -= 1
        tasks = [task for task in state.tasks or () if _is_shown(task)]
        shown = tasks[: max(0, left - 1)] if len(tasks) > left else tasks
        if shown:
            yield _rows(shown, now, width)
        left -= len(shown)
        if len(shown) < len(tasks) and left > 0:
            yield Text(f"+{len(tasks) - len(shown)} more", style="bright_black")
            left -= 1


def _heading(state: ExecutionState, now: datetime) -> str:
    words = [short(state.id), clean(workflow_of(state)), str(state.state)]
    words.append(percent(state.progress))
    begun = state.started_at or state.created_at
    if begun is not None:
        words.append(span(_elapsed(begun, now)))
    return " ".join(word for word in words if word)


def _is_shown(task: Task) -> bool:
    """Whether a task runs, or could and waits for something."""
    if task.status.is_final:
        return False
    return task.status != "PENDING" or (
        task.waits_for is not None and task.waits_for.kind != "tasks"
    )


def _rows(tasks: Sequence[Task], now: datetime, width: int) -> Table:
    names = [clean(task.name) for task in tasks]
    notes = [_note(task, now) for task in tasks]
    widest = min(_WIDEST_NAME, max(map(cell_width, names)), max(4, width // 3))
    note = min(max(map(cell_width, notes)), max(6, width // 3))
    bar = max(1, min(_WIDEST_BAR, width - widest - note - 5))
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    for name, text, task in zip(names, notes, tasks, strict=True):
        style = _STYLES.get(str(task.status), "")
        table.add_row(
            Text(shortened(name, widest, "…"), no_wrap=True),
            _bar(task, bar),
            Text(shortened(text, note, "…"), no_wrap=True, style=style),
        )
    return table


def _bar(task: Task, width: int) -> RenderableType:
    """Return the bar of a task: how much is done where that is known, else that it lives."""
    if task.status != "RUNNING":
        return Text(" " * width)
    share = _share(task)
    if share is None:
        return ProgressBar(total=None, pulse=True, width=width, animation_time=time.monotonic())
    return ProgressBar(total=1.0, completed=share, width=width)


def _share(task: Task) -> float | None:
    """Return the share of a task that is done, where the service tells it."""
    share = task.extra.get("progress")
    if isinstance(share, bool) or not isinstance(share, int | float):
        return None
    return min(1.0, max(0.0, float(share)))


def _note(task: Task, now: datetime) -> str:
    if task.status == "PENDING" and task.waits_for is not None:
        return clean(task.waits_for.reason or task.waits_for.kind)
    words = [] if task.status == "RUNNING" else [str(task.status)]
    share = _share(task)
    if share is not None:
        words.append(percent(share))
    if task.started_at is not None:
        words.append(span(_elapsed(task.started_at, now)))
    if task.attempts > 1:
        words.append(f"try {task.attempts}")
    return "  ".join(words)


def _elapsed(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
