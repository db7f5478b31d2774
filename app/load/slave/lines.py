"""What the parent of a slave and its worker processes say to each other: JSON texts, one a line.

Times are those of :func:`app.load.slave.lease.boot_seconds`, which all processes of the machine
have in common: a line may wait for a process that stands still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from app.load.messages import DesiredTask, TaskReport
from app.load.protocol import task_json

LONGEST_LINE: Final = 16 * 1024 * 1024
"""In bytes: the reports of one process."""


@dataclass(frozen=True, slots=True)
class Reports:
    """What a worker process says, each half second and when a task ends.

    Attributes:
        load: How busy its processor is, from 0 to 1.
        lag_ms: By how much its greenlets are late.
        tasks: What it has done for each task, with the generation of the line that said what is
            wanted of it.
    """

    load: float
    lag_ms: float
    tasks: tuple[TaskReport, ...]


def task_line(task: DesiredTask) -> bytes:
    """Write what is wanted of a task, the definition along with it."""
    return _line("task", task_json(task))


def lease_line(until: float, now: float) -> bytes:
    """Write until when requests may be made.

    Args:
        until: When that ends.
        now: When this is written.
    """
    left = max(0, round((until - now) * 1_000_000))
    return _line("lease", {"until_us": round(until * 1_000_000), "until_us_from_now": left})


def networks_line(allowed: Sequence[str] | None, denied: Sequence[str] | None) -> bytes:
    """Write what the tasks that come from now on may connect to, as the master has said."""
    return _line("networks", {"allowed": allowed, "denied": denied})


def forget_line(task: str) -> bytes:
    """Write that a task is over."""
    return _line("forget", {"task": task})


def reports_line(load: float, lag_ms: float, tasks: Sequence[TaskReport]) -> bytes:
    """Write what a worker process says; :func:`read_reports` is for the other side."""
    reports = [
        {"task": each.task, "generation": each.generation, "report": each.report} for each in tasks
    ]
    return _line("reports", {"load": load, "lag_ms": lag_ms, "tasks": reports})


def read_reports(line: bytes) -> Reports | None:
    """Read what a worker process says; None for what is something else.

    It is a process of this program, so nothing but the frame is checked.
    """
    try:
        whole: dict[str, Any] = orjson.loads(line)
        if whole["type"] != "reports":
            return None
        data = whole["data"]
        return Reports(
            min(1.0, max(0.0, float(data["load"]))),
            float(data["lag_ms"]),
            tuple(
                TaskReport(each["task"], each["generation"], each["report"])
                for each in data["tasks"]
            ),
        )
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError):
        return None


def _line(type_: str, data: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": type_, "data": data}, option=orjson.OPT_APPEND_NEWLINE)
