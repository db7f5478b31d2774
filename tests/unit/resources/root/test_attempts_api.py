"""The attempts of an execution's tasks, as their times are drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from service_kit import PASSWORDS, Service, basic, open_service, users

from app.domain import Attempt, ExecutionStatus, Observation, Task, TaskStatus

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FAILED, RUNNING, PENDING = TaskStatus.FAILED, TaskStatus.RUNNING, TaskStatus.PENDING


@pytest.fixture
def service(tmp_path: Any) -> Any:
    made = open_service(tmp_path, api__auth=users())
    yield made
    made.close()


@pytest.fixture
def execution(service):
    """One whose first task is tried a second time, and whose second was taken over."""
    made = service.add_execution("ada", steps=["first", "second", "third", "fourth"])
    at = [BEGAN + timedelta(seconds=n) for n in range(5)]
    earlier = Attempt("first", 1, FAILED, at[0], at[1], at[2], 2, "n1")
    tasks = (
        Task("first", RUNNING, at[3], attempts=2, node="n2", ready_at=at[2]),
        Task("second", TaskStatus.SUCCESS, at[0], at[1], 0, 1, continued_from="e0"),
        Task("third", PENDING, at[3], at[4], 7, 1),
    )
    seen = Observation(ExecutionStatus.RUNNING, None, tasks=tasks, attempts=(earlier,))
    service.record(made, seen)
    return made.id


def ask(service: Service, path: str, who: str = "ada") -> Any:
    return service.client.get(path, headers=basic(who, PASSWORDS[who]))


def test_each_is_told_in_the_order_of_tasks_and_numbers(service, execution):
    found = ask(service, f"/executions/{execution}/attempts").json["attempts"]
    assert [(a["task"], a["number"], a["status"], a["exit_code"]) for a in found] == [
        ("first", 1, "FAILED", 2), ("first", 2, "RUNNING", None), ("third", 1, "FAILED", 7),
    ]  # fmt: skip
    assert found[0] == {
        "task": "first", "number": 1, "run": 0, "status": "FAILED", "exit_code": 2, "node": "n1",
        "ready_at": "2026-01-02T03:04:05.000Z", "started_at": "2026-01-02T03:04:06.000Z",
        "finished_at": "2026-01-02T03:04:07.000Z",
    }  # fmt: skip
    assert found[1]["ready_at"] == found[0]["finished_at"]


def test_a_task_tells_since_when_its_last_one_could_have_begun(service, execution):
    found = ask(service, f"/executions/{execution}/tasks/first").json
    assert found["ready_at"] == "2026-01-02T03:04:07.000Z"


def test_pages_can_be_asked_for(service, execution):
    found = ask(service, f"/executions/{execution}/attempts?page=2&page_size=2")
    assert [a["task"] for a in found.json["attempts"]] == ["third"]
    assert '"total": 3' in found.headers["X-Pagination"]


def test_of_somebody_elses_nothing_is_told(service, execution):
    assert ask(service, f"/executions/{execution}/attempts", "dev").status_code == 404
