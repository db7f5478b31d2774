"""The four texts about what a worker takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain import Task, TaskStatus
from app.resources.wattle.metrics import metrics_json

BEGIN = datetime(2024, 8, 30, 10, 0, tzinfo=UTC)
NOTHING = {"cpu_usage": "0.0%", "memory_usage": "0MB", "runtime": "00:00:00", "status": "created"}


def ended(seconds: float, **more: Any) -> dict[str, Any]:
    at = BEGIN + timedelta(seconds=seconds)
    return metrics_json(Task("w", TaskStatus.SUCCESS, BEGIN, at, **more))


@pytest.mark.parametrize(
    "task", [None, Task("w", TaskStatus.PENDING), Task("w", TaskStatus.SKIPPED, None, BEGIN)]
)
def test_one_that_never_ran_takes_nothing(task: Task | None) -> None:
    assert metrics_json(task) == NOTHING


def test_they_are_texts_as_the_document_has_them() -> None:
    assert ended(323.9, cpu_percent=15.46, memory_bytes=128 * 2**20) == {
        "cpu_usage": "15.5%", "memory_usage": "128MB", "runtime": "00:05:23",
        "status": "completed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00:00"), (3599, "00:59:59"), (360_000 + 61, "100:01:01")]
)
def test_the_clock_stands_when_it_has_ended(seconds: float, text: str) -> None:
    assert ended(seconds)["runtime"] == text


def test_the_clock_runs_while_it_runs() -> None:
    begin = datetime.now(UTC) - timedelta(seconds=3700)
    found = metrics_json(Task("w", TaskStatus.RUNNING, begin, cpu_percent=250.0))
    assert (found["cpu_usage"], found["memory_usage"]) == ("250.0%", "0MB")
    assert found["runtime"] >= "01:01:40"
    assert found["status"] == "running"
