"""Executions as tables and lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from slipway.cli.codes import ExitCode
from slipway.cli.output import STATUS_STYLES, Column, Output, clean
from slipway.cli.times import ago, clock, span
from slipway.cli.views import length_of_ids, percent, seconds_of, short

if TYPE_CHECKING:
    from slipway.models import ExecutionState, StatusChange, Task

_MOST_STEPS: Final = 12
"""Steps that a line tells of; of the others it says how many there are."""
_STEPS_IN_ORDER: Final = ("RUNNING", "PAUSED", "FAILED", "PENDING", "CANCELLED", "SKIPPED")
"""Which steps are told first."""


def columns(states: Sequence[ExecutionState], now: datetime) -> list[Column[ExecutionState]]:
    """Return the columns of a table of executions.

    Args:
        states: All that are in it: ids are as long as it takes to tell these apart.
        now: What ages count to.
    """
    length = length_of_ids([state.id for state in states])
    return [
        Column("ID", lambda state: state.id[:length]),
        Column("WORKFLOW", workflow_of, shrinks=True),
        Column("STATUS", lambda state: str(state.state), style=_style_of),
        Column("DONE", done, leaves=2, right=True),
        Column("AGE", lambda state: _age(state, now), leaves=1, right=True),
        Column("TOOK", lambda state: took(state, now), leaves=3, right=True),
        Column("OWNER", lambda state: state.owner, leaves=4, shrinks=True),
        Column("NAME", lambda state: state.name or "", leaves=5, shrinks=True),
        Column("LABELS", lambda state: labels_of(state.labels), leaves=6, shrinks=True),
        Column("RUNS ON", lambda state: state.orchestrator, leaves=7, wide=True),
        Column("STARTED", lambda state: _moment(state.started_at), leaves=8, wide=True),
        Column("ENDED", lambda state: _moment(state.finished_at), leaves=9, wide=True),
        Column("FULL ID", lambda state: state.id, leaves=10, wide=True),
        Column("ERROR", lambda state: state.error or "", leaves=11, wide=True, shrinks=True),
    ]


def task_columns(now: datetime) -> list[Column[Task]]:
    """Return the columns of a table of steps."""
    return [
        Column("STEP", lambda task: task.name, shrinks=True),
        Column("STATUS", lambda task: str(task.status), style=_style_of),
        Column("TRIES", lambda task: str(task.attempts), leaves=3, right=True),
        Column("CODE", lambda task: _number(task.exit_code), leaves=1, right=True),
        Column("TOOK", lambda task: task_took(task, now), leaves=2, right=True),
        Column("NODE", lambda task: task.node or "", leaves=4, shrinks=True),
        Column("WAITS FOR", _waits_for, leaves=5, shrinks=True, wide=True),
        Column("STARTED", lambda task: _moment(task.started_at), leaves=6, wide=True),
        Column("ENDED", lambda task: _moment(task.finished_at), leaves=7, wide=True),
        Column("CPU", lambda task: _cpu(task.cpu_seconds), leaves=8, right=True, wide=True),
        Column(
            "MEMORY", lambda task: _mib(task.memory_peak_bytes), leaves=9, right=True, wide=True
        ),
        Column("ERROR", lambda task: task.error or "", leaves=10, wide=True, shrinks=True),
    ]


def running_first(states: Iterable[ExecutionState]) -> list[ExecutionState]:
    """Return executions with those before that have not ended; they keep their order otherwise."""
    return sorted(states, key=lambda state: state.state.is_final)


def lines_of(state: ExecutionState, out: Output, now: datetime | None = None) -> list[str]:
    """Return how an execution stands, as lines for people."""
    now = now or datetime.now(UTC)
    parts = [f"{short(state.id)} {clean(workflow_of(state))} {state_of(state, out)}"]
    if not state.state.is_final:
        parts.append(percent(state.progress))
    parts.append(
        f"{_times(state, now)} by {clean(state.owner)}" if state.owner else _times(state, now)
    )
    lines = [", ".join(part for part in parts if part)]
    if state.name or state.labels:
        words = [state.name or "", labels_of(state.labels, " ")]
        lines.append(clean(" ".join(word for word in words if word)))
    if state.stale and state.as_of is not None:
        lines.append(f"It was so {ago(state.as_of, now)}; {state.orchestrator} is silent since.")
    if state.error:
        lines.append(out.styled(clean(state.error), "red"))
    if state.tasks:
        lines.append(steps_of(state.tasks, now))
    return lines


def steps_of(tasks: Sequence[Task], now: datetime) -> str:
    """Return how the steps of an execution stand, as one line: those first that matter most."""
    if len(tasks) <= _MOST_STEPS:
        return ", ".join(_step(task, now) for task in tasks)
    order = {status: number for number, status in enumerate(_STEPS_IN_ORDER)}
    chosen = sorted(tasks, key=lambda task: order.get(str(task.status), len(order)))
    told = [_step(task, now) for task in chosen[:_MOST_STEPS]]
    return f"{', '.join(told)}, +{len(tasks) - _MOST_STEPS} more"


def result_code(states: Iterable[ExecutionState]) -> ExitCode:
    """Return the exit code for executions that have ended: failed before cancelled before success.

    One that has not ended is not counted.
    """
    found = {str(state.state) for state in states}
    if "FAILED" in found:
        return ExitCode.FAILED
    return ExitCode.CANCELLED if "CANCELLED" in found else ExitCode.SUCCESS


def done(state: ExecutionState) -> str:
    """Return how far an execution is; empty for one that ended before it was through.

    The service counts what was given up as over, so that its figure tells nothing of these.
    """
    unfinished = state.state.is_final and str(state.state) != "SUCCESS"
    return "" if unfinished else percent(state.progress)


def took(state: ExecutionState, now: datetime) -> str:
    """Return how long an execution ran, or has run by now."""
    if state.started_at is None:
        return ""
    return span(((state.finished_at or now) - state.started_at).total_seconds())


def task_took(task: Task, now: datetime) -> str:
    """Return how long a step ran, or has run by now."""
    seconds = seconds_of(task)
    if seconds is not None:
        return span(seconds)
    if task.started_at is None or task.status.is_final:
        return ""
    return span((now - task.started_at).total_seconds())


def workflow_of(state: ExecutionState | StatusChange) -> str:
    """Return what people call the workflow of an execution."""
    return state.workflow_name or state.workflow


def state_of(state: ExecutionState | StatusChange, out: Output) -> str:
    """Return the state of an execution, in its colour where there are any."""
    word = str(state.state)
    style = _style_of(word)
    return out.styled(word, style) if style else word


def labels_of(labels: Mapping[str, str], separator: str = ",") -> str:
    """Return labels as they are typed."""
    return separator.join(f"{key}={value}" for key, value in labels.items())


def _step(task: Task, now: datetime) -> str:
    words = [clean(task.name), str(task.status), task_took(task, now)]
    if task.status == "FAILED" and task.exit_code:
        words.append(f"code {task.exit_code}")
    if task.status == "PENDING" and task.waits_for is not None and task.waits_for.kind != "tasks":
        words.append(f"({_waits_for(task)})")
    return " ".join(word for word in words if word)


def _times(state: ExecutionState, now: datetime) -> str:
    if state.finished_at is not None:
        text = f"ended {clock(state.finished_at, now)} ({ago(state.finished_at, now)})"
        lasted = took(state, now)
        return f"{text} after {lasted}" if lasted else text
    if state.started_at is not None:
        return f"started {clock(state.started_at, now)} ({ago(state.started_at, now)})"
    if state.created_at is not None:
        return f"launched {clock(state.created_at, now)} ({ago(state.created_at, now)})"
    return ""


def _age(state: ExecutionState, now: datetime) -> str:
    return "" if state.created_at is None else span((now - state.created_at).total_seconds())


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().isoformat(" ", "seconds")[:19]


def _number(number: int | None) -> str:
    return "" if number is None else str(number)


def _waits_for(task: Task) -> str:
    return "" if task.waits_for is None else clean(task.waits_for.reason or task.waits_for.kind)


def _cpu(seconds: float | None) -> str:
    return "" if seconds is None else span(seconds)


def _mib(size: int | None) -> str:
    return "" if size is None else f"{size / 2**20:.0f} MiB"


def _style_of(text: str) -> str:
    return STATUS_STYLES.get(text, "")
