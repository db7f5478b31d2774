"""When steps waited and ran: what ``_parts/timeline.html`` draws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from app.domain import Attempt, ExecutionSummary, Task, TaskStatus
from app.ui import _words

MOST_ROWS: Final = 500
"""Steps that are drawn: of more, those that failed, then the first that began."""

_NICE: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
"""Seconds between two marks of an axis; of longer times whole days."""
_MARKS: Final = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt, or that a step waits for its first, in percent of the width.

    Attributes:
        number: Of the attempt; 0 for one that has not begun.
        state: Of the attempt; empty for a mere wait.
        waited_from: Where its wait begins; None where that is not known, or it did not wait.
        begins: Where it begins itself, or its wait ends.
        ends: Where it ends, or is by now.
        said: All of it in words.
    """

    number: int
    state: str
    waited_from: float | None
    begins: float
    ends: float
    said: str

    @property
    def kind(self) -> str:
        """Shape and colour of its state."""
        return _words.STATUSES[self.state].kind if self.state else "waiting"


@dataclass(frozen=True, slots=True)
class Row:
    """One step.

    Attributes:
        title: What it is called for people.
        attempts: What a script draws the bars from, as JSON: number, state, and in milliseconds
            since 1970 when it could begin, began and ended; null where that is not known.
        took: Seconds that its attempts ran; None while one runs, or where none did.
        running_since: When the attempt that runs began.
    """

    name: str
    title: str
    state: str
    bars: tuple[Bar, ...]
    attempts: str
    address: str
    took: float | None
    running_since: datetime | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """All steps on one axis.

    Attributes:
        marks: Places on the axis in percent, and what stands there.
        begins: The left end, in milliseconds since 1970.
        ends: The right end.
        steps: Number of all steps.
        over: The execution has ended, so nothing moves any more.
    """

    execution: str
    rows: tuple[Row, ...]
    marks: tuple[tuple[float, str], ...]
    begins: int
    ends: int
    steps: int
    over: bool


def timeline_of(
    execution: ExecutionSummary,
    tasks: Sequence[Task],
    attempts: Sequence[Attempt],
    *,
    now: datetime | None = None,
) -> Timeline:
    """Make the timeline of an execution.

    Args:
        execution: The execution.
        tasks: Its tasks, in order.
        attempts: Their attempts, in the same order, then by number.
        now: The moment.
    """
    here = f"/ui/executions/{quote(execution.id, safe='')}"
    moment = now or datetime.now(UTC)
    over = execution.status.final
    tried: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        tried.setdefault(attempt.task, []).append(attempt)
    shown = _chosen(tasks)
    begin = execution.created_at
    last = [each.finished_at or each.started_at for each in attempts]
    end = execution.finished_at if over else moment
    end = max([end or moment, *(at for at in last if at is not None)])
    axis = _Axis.around(begin, end, grows=not over)
    rows = tuple(
        _row(
            task,
            tried.get(task.name, ()),
            axis,
            end,
            f"{here}/log?task={quote(task.name, safe='')}",
        )
        for task in shown
    )
    return Timeline(
        execution=execution.id,
        rows=rows,
        marks=axis.marks(),
        begins=_ms(begin),
        ends=_ms(begin) + round(1000 * axis.seconds),
        steps=len(tasks),
        over=over,
    )


def _chosen(tasks: Sequence[Task]) -> list[Task]:
    """Choose the steps that are drawn; they stay in their order."""
    if len(tasks) <= MOST_ROWS:
        return [*tasks]
    by_weight = sorted(
        range(len(tasks)),
        key=lambda place: (
            tasks[place].status is not TaskStatus.FAILED,
            tasks[place].started_at is None,
            place,
        ),
    )
    return [tasks[place] for place in sorted(by_weight[:MOST_ROWS])]


@dataclass(frozen=True, slots=True)
class _Axis:
    """From a launch on, for so many seconds."""

    begin: datetime
    seconds: float
    step: float

    @classmethod
    def around(cls, begin: datetime, end: datetime, *, grows: bool) -> _Axis:
        seconds = max((end - begin).total_seconds(), 1.0)
        if grows:  # so that it need not be drawn anew each second
            seconds *= 1.1
        days = -(-seconds // (_MARKS * 86400)) * 86400
        step = next((nice for nice in _NICE if seconds / nice <= _MARKS), days)
        return cls(begin, seconds, float(step))

    def place(self, at: datetime) -> float:
        share = (at - self.begin).total_seconds() / self.seconds
        return round(100 * min(max(share, 0.0), 1.0), 3)

    def marks(self) -> tuple[tuple[float, str], ...]:
        count = int(self.seconds // self.step)
        return tuple(
            (round(100 * n * self.step / self.seconds, 3), _mark(n * self.step))
            for n in range(count + 1)
        )


def _mark(seconds: float) -> str:
    """Write a time since the launch, such as ``0``, ``30 s``, ``5 min``, ``1 h 30`` or ``2 d``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole else "0"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes}:{rest:02} min" if rest else f"{minutes} min"
    if whole < 86400:
        hours, rest = divmod(whole // 60, 60)
        return f"{hours} h {rest:02}" if rest else f"{hours} h"
    return f"{whole / 86400:g} d"


def _row(task: Task, attempts: Sequence[Attempt], axis: _Axis, end: datetime, address: str) -> Row:
    bars = tuple(_bar(attempt, axis, end) for attempt in attempts)
    waits = _waits_since(task, attempts)
    if waits is not None:
        bars += (_wait(task, waits, axis, end),)
    times = [
        [
            each.number,
            str(each.status),
            _ms_or_none(each.ready_at),
            _ms_or_none(each.started_at),
            _ms_or_none(each.finished_at),
        ]
        for each in attempts
    ]
    if waits is not None:
        times.append([0, "", _ms(waits), None, None])
    last = attempts[-1] if attempts else None
    runs = last is not None and last.started_at is not None and not last.status.final
    took = [
        (each.finished_at - each.started_at).total_seconds()
        for each in attempts
        if each.started_at is not None and each.finished_at is not None
    ]
    return Row(
        name=task.name,
        title=task.title or task.name,
        state=str(task.status),
        bars=bars,
        attempts=json.dumps(times),
        address=address,
        took=sum(took) if took and not runs else None,
        running_since=last.started_at if last is not None and runs else None,
    )


def _waits_since(task: Task, attempts: Sequence[Attempt]) -> datetime | None:
    """Return since when a step waits for its next attempt; None where it does not, as is known."""
    if task.status is not TaskStatus.PENDING:
        return None
    if attempts and attempts[-1].status is TaskStatus.FAILED:
        return attempts[-1].finished_at
    if attempts and attempts[-1].started_at is None:
        return None  # its job waits in a queue: that is an attempt
    return task.ready_at


def _bar(attempt: Attempt, axis: _Axis, end: datetime) -> Bar:
    finished = attempt.finished_at or (attempt.started_at if attempt.status.final else None)
    until = finished or end
    begins = attempt.started_at or until
    ready = attempt.ready_at
    waited = ready is not None and ready < begins
    said = f"attempt {attempt.number}: {_words.STATUSES[attempt.status].text.lower()}"
    if attempt.status is TaskStatus.FAILED and attempt.exit_code is not None:
        said += f", exit {attempt.exit_code}"
    if attempt.started_at is not None and attempt.finished_at is not None:
        said += f", took {_words.duration((until - begins).total_seconds())}"
    if ready is not None and waited:
        said += f", waited {_words.duration((begins - ready).total_seconds())}"
    if attempt.node:
        said += f", on {attempt.node}"
    return Bar(
        number=attempt.number,
        state=str(attempt.status),
        waited_from=axis.place(ready) if ready is not None and waited else None,
        begins=axis.place(begins),
        ends=axis.place(until),
        said=said,
    )


def _wait(task: Task, since: datetime, axis: _Axis, end: datetime) -> Bar:
    reason = (task.waits_for or {}).get("reason", "")
    said = f"waits since {_words.duration((end - since).total_seconds())} ago"
    return Bar(
        number=0,
        state="",
        waited_from=axis.place(since),
        begins=axis.place(end),
        ends=axis.place(end),
        said=f"{said}, for {reason}" if reason else said,
    )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _ms_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else _ms(moment)
