"""One task, as the store and as readers see it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.engine.task_state import TaskState, moment


def test_what_holds_its_default_is_not_dumped():
    assert TaskState().dump() == {}
    assert TaskState(offset=5).dump() == {"offset": 5}


def test_what_was_dumped_does_not_change_any_more():
    task = TaskState(tail=["one"])
    dumped = task.dump()
    task.tail.append("two")
    assert dumped == {"tail": ["one"]}


def test_what_another_version_added_is_left_out():
    assert TaskState.load({"attempt": 1, "hue": "red"}) == TaskState(attempt=1)


def test_what_no_version_wrote_is_refused():
    with pytest.raises(ValueError, match="DANCING"):
        TaskState.load({"status": "DANCING"})


def test_a_task_shows_when_it_was_asked_for_until_it_is_known_when_it_began():
    task = TaskState()
    task.begin_attempt(10.0)
    assert task.shown("a").started_at == datetime.fromtimestamp(10, UTC)
    task.started_at = 12.0
    assert task.shown("a").started_at == datetime.fromtimestamp(12, UTC)


def test_moments_are_whole_milliseconds_in_utc():
    assert moment(None) is None
    assert moment(1.2345678) == datetime(1970, 1, 1, 0, 0, 1, 234000, UTC)
