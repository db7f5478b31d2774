"""What the engine remembers between two observations."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from app.domain import TaskStatus
from app.engine.progress import Progress, moment


def stored(progress):
    return json.loads(json.dumps(progress.dump()))


def worked_on():
    progress = Progress(["a", "b"], None)
    progress.begun_at = 5.0
    progress.paused = True
    task = progress["a"]
    task.begin_attempt(10.5)
    task.offset, task.started_at, task.node = 77, 11.0, "machine-1"
    task.tail = ["last", "words"]
    return progress


def test_it_is_the_same_after_a_way_through_json():
    progress = worked_on()
    again = Progress(["a", "b"], stored(progress))
    assert again["a"] == progress["a"]
    assert again["b"] == progress["b"]
    assert (again.begun_at, again.paused) == (5.0, True)
    assert again.dump() == progress.dump()


def test_what_holds_its_default_takes_no_room():
    names = [f"step-{i}" for i in range(500)]
    assert len(json.dumps(Progress(names, None).dump())) < 15_000


def test_what_is_pending_as_it_was_launched_is_not_told_and_then_those_are_that_changed():
    progress = Progress(["a", "b"], None)
    assert list(progress.changed()) == []
    again = Progress(["a", "b"], stored(progress))
    assert list(again.changed()) == []
    again["b"].status = TaskStatus.SKIPPED
    assert [(task.name, task.status) for task in again.changed()] == [("b", TaskStatus.SKIPPED)]


def test_output_that_was_read_is_no_change_of_the_task():
    again = Progress(["a", "b"], stored(worked_on()))
    again["a"].offset = 99
    again["a"].tail.append("more")
    assert list(again.changed()) == []
    assert again.dump()["tasks"]["a"]["offset"] == 99


def test_a_new_attempt_forgets_the_one_before():
    task = worked_on()["a"]
    task.exit_code, task.error, task.retry_at, task.starts = 3, "it failed", 20.0, 2
    task.begin_attempt(30.0)
    assert task.attempt == 2
    assert task.status is TaskStatus.RUNNING
    assert (task.offset, task.starts, task.tail) == (0, 0, [])
    assert task.exit_code is task.error is task.retry_at is task.started_at is None


def test_it_is_done_when_all_tasks_have_ended():
    progress = Progress(["a", "b", "c", "d"], None)
    assert progress.share_done() == 0.0
    ends = TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.SKIPPED, TaskStatus.CANCELLED
    for done, (name, end) in enumerate(zip("abcd", ends, strict=True), start=1):
        assert not progress.all_final()
        progress[name].status = end
        assert progress.share_done() == done / 4
    assert progress.all_final()


def test_the_execution_started_with_its_first_task():
    progress = Progress(["a", "b"], None)
    assert progress.first_start() is None
    progress["b"].begin_attempt(20.0)
    progress["a"].begin_attempt(10.0)
    assert progress.first_start() == 10.0


def test_a_cursor_of_another_version_is_read_as_far_as_it_is_known():
    cursor = {"begun_at": 1.0, "tasks": {"a": {"attempt": 1, "hue": "red"}, "gone": {}}, "more": 1}
    progress = Progress(["a", "new"], cursor)
    assert progress["a"].attempt == 1
    assert progress["new"].status is TaskStatus.PENDING
    assert not progress.paused


def test_a_task_shows_when_it_was_asked_for_until_it_is_known_when_it_began():
    progress = Progress(["a"], None)
    progress["a"].begin_attempt(10.0)
    (shown,) = progress.changed()
    assert shown.started_at == datetime.fromtimestamp(10, UTC)
    progress["a"].started_at = 12.0
    (shown,) = progress.changed()
    assert shown.started_at == datetime.fromtimestamp(12, UTC)


def test_moments_are_whole_milliseconds_in_utc():
    assert moment(None) is None
    assert moment(1.2345678) == datetime(1970, 1, 1, 0, 0, 1, 234000, UTC)
