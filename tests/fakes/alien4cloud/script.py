"""What happens in an execution, and when it becomes visible."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class CancelMode(Enum):
    """What a cancel leads to."""

    CLEAN = "CANCELLING, then CANCELLED"
    ENDS_FIRST = "CANCELLING, and the script goes on to its end"
    STUCK = "CANCELLING for ever: the event of the end is lost"
    RACE = "the end is handled in between: SUCCEEDED, then CANCELLING for ever"
    REFUSED = "the orchestrator refuses, although it runs"


@dataclass(frozen=True)
class Status:
    """The execution's record changes; ``at`` counts seconds from the launch, as everywhere."""

    at: float
    word: str
    has_failed_tasks: bool = False
    keeps_end: bool = False


@dataclass(frozen=True)
class Step:
    """A step's status changes."""

    at: float
    step: str
    word: str


@dataclass(frozen=True)
class Task:
    """A task's status changes."""

    at: float
    node: str
    operation: str
    word: str
    step: str = ""
    instance: str = "0"
    details: str | None = None


@dataclass(frozen=True)
class Log:
    """A log entry becomes visible at ``at``; it says that it was written at ``written``.

    ``{workflow}`` in the content becomes the workflow's name.
    """

    at: float
    content: str
    level: str = "INFO"
    written: float | None = None
    node: str | None = None
    operation: str | None = None


@dataclass(frozen=True)
class Child:
    """An inline workflow begins, as an execution of its own."""

    at: float
    workflow: str
    script: Script


Event = Status | Step | Task | Log | Child


@dataclass(frozen=True)
class Script:
    """A timeline, and what a cancel does to it.

    Attributes:
        cancel_seconds: How long the orchestrator takes to cancel.
        after_resume: Timeline from a resume on.
    """

    events: tuple[Event, ...]
    cancel: CancelMode = CancelMode.CLEAN
    cancel_seconds: float = 0.2
    after_resume: tuple[Event, ...] = (Status(0.2, "SUCCEEDED"),)


_ENDINGS = {
    "SUCCEEDED": ("ended successfully", "done"),
    "FAILED": ("ended in error", "failed"),
    "CANCELLED": ("canceled", "canceled"),
}


def ending(at: float, word: str = "SUCCEEDED", *, told: bool = True) -> tuple[Event, ...]:
    """End the execution at a moment, with Yorc's last two lines."""
    sentence, state = _ENDINGS[word]
    lines = (
        Log(at, f'Workflow "{{workflow}}" {sentence}'),
        Log(at, f'Status for workflow "{{workflow}}" changed to "{state}"'),
    )
    return (*lines, Status(at, word)) if told else lines


def simple(
    seconds: float = 0.3,
    lines: Iterable[str] = ("one", "two", "three"),
    *,
    end: str = "SUCCEEDED",
    steps: Iterable[str] = ("run",),
    **options: object,
) -> Script:
    """An ordinary run: a few lines spread over its time, its steps one after the other."""
    texts, names = tuple(lines), tuple(steps)
    events: list[Event] = [Log(0.0, 'Status for workflow "{workflow}" changed to "running"')]
    for index, text in enumerate(texts):
        events.append(Log(seconds * index / max(1, len(texts)), text, node="Job", operation="run"))
    for index, name in enumerate(names):
        begin = seconds * index / len(names)
        finish = seconds * (index + 1) / len(names)
        broken = end == "FAILED" and index == len(names) - 1
        events += [
            Step(begin, name, "STARTED"),
            Task(begin, "Job", "run", "STARTED", step=name),
            Task(finish, "Job", "run", "FAILED" if broken else "SUCCEEDED", step=name),
            Step(finish, name, "COMPLETED_WITH_ERROR" if broken else "COMPLETED_SUCCESSFULL"),
        ]
    return Script((*events, *ending(seconds, end)), **options)  # type: ignore[arg-type]


def endless(lines: Iterable[str] = ("begun",), **options: object) -> Script:
    """A run that goes on until it is cancelled."""
    events: list[Event] = [Log(0.0, 'Status for workflow "{workflow}" changed to "running"')]
    events += [Log(0.0, text) for text in lines]
    events += [Step(0.0, "run", "STARTED"), Task(0.0, "Job", "run", "STARTED", step="run")]
    return Script(tuple(events), **options)  # type: ignore[arg-type]
