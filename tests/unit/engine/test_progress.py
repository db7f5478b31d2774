"""How far an execution came, and what follows from that."""

from __future__ import annotations

import json

import pytest
from engine_kit import steps, stored

from app.domain import TaskStatus
from app.engine.carrying import hold_back
from app.engine.plan import Plan
from app.engine.progress import Progress, Stored, token_of, version_of
from app.errors import UpstreamError
from app.job_resources import Resources

RUNNING, SUCCESS, FAILED = TaskStatus.RUNNING, TaskStatus.SUCCESS, TaskStatus.FAILED
SKIPPED, CANCELLED, PENDING = TaskStatus.SKIPPED, TaskStatus.CANCELLED, TaskStatus.PENDING


def fresh(*described):
    """Begin an execution of some steps."""
    return Progress(Plan.of(steps(*described)), Stored())


def again(progress, *more):
    """Read it as the store has it after some looks."""
    cursors = {}
    for changes in (*more, progress.take_changes()):
        cursors |= stored(dict(changes.task_cursors))
    return Progress(progress.plan, Stored(stored(changes.cursor), cursors))


def worked_on():
    progress = fresh("a", "b")
    progress.begun_at = 5.0
    progress.paused = True
    task = progress.begin("a", 10.5)
    task.offset, task.started_at, task.node = 77, 11.0, "machine-1"
    task.tail = ["last", "words"]
    return progress


def test_it_is_the_same_after_a_way_through_json():
    progress = worked_on()
    read = again(progress)
    assert read["a"] == progress["a"]
    assert read["b"] == progress["b"]
    assert (read.begun_at, read.paused, read.first_start) == (5.0, True, 10.5)
    assert read.take_changes() == progress.take_changes()


def test_what_holds_its_default_takes_no_room():
    changes = fresh(*(f"step-{i}" for i in range(500))).take_changes()
    assert len(json.dumps(changes.cursor)) < 200
    assert changes.task_cursors == {}


def test_what_is_pending_as_it_was_launched_is_not_told_and_then_those_are_that_changed():
    progress = fresh("a", "b")
    assert progress.take_changes().tasks == ()
    read = again(progress)
    assert read.take_changes().tasks == ()
    read.move("b", SKIPPED)
    changes = read.take_changes()
    assert [(task.name, task.status) for task in changes.tasks] == [("b", SKIPPED)]
    assert list(changes.task_cursors) == ["b"]
    assert read.take_changes().tasks == (), "they are stored by now"


def test_output_that_was_read_is_no_change_that_readers_see():
    read = again(worked_on())
    task = read.changing("a")
    task.offset = 99
    task.tail.append("more")
    changes = read.take_changes()
    assert changes.tasks == ()
    assert changes.task_cursors["a"]["offset"] == 99
    assert changes.task_cursors["a"]["tail"] == ["last", "words", "more"]


def test_the_cursor_stays_the_same_as_long_as_nothing_changes():
    progress = worked_on()
    cursor = progress.take_changes().cursor
    progress.changing("a")
    assert progress.take_changes().cursor == cursor
    progress.changing("a").offset += 1
    changed = progress.take_changes().cursor
    assert {**changed, "look": None} == {**cursor, "look": None}
    assert token_of(changed) != token_of(cursor)


def test_a_new_attempt_forgets_the_one_before():
    progress = worked_on()
    task = progress["a"]
    task.exit_code, task.error, task.retry_at, task.starts = 3, "it failed", 20.0, 2
    progress.begin("a", 30.0)
    assert task.attempt == 2
    assert task.status is RUNNING
    assert (task.offset, task.starts, task.tail) == (0, 0, [])
    assert task.exit_code is task.error is task.retry_at is task.started_at is None
    assert progress.first_start == 10.5


def test_it_is_done_when_all_tasks_have_ended():
    progress = fresh("a", "b", "c", "d")
    assert progress.share_done() == 0.0
    ends = SUCCESS, FAILED, SKIPPED, CANCELLED
    for done, (name, end) in enumerate(zip("abcd", ends, strict=True), start=1):
        assert not progress.all_final()
        progress.move(name, end)
        assert progress.share_done() == done / 4
    assert progress.all_final()


def test_the_execution_started_with_its_first_task():
    progress = fresh("a", "b")
    assert progress.first_start is None
    progress.begin("b", 20.0)
    progress.begin("a", 10.0)
    # In spite of the clock, which was set back.
    assert progress.first_start == 20.0
    assert again(progress).first_start == 20.0


def test_a_task_that_is_not_in_the_definition_is_left_out():
    progress = Progress(Plan.of(steps("a", "new")), Stored({}, {"a": {"attempt": 1}, "gone": {}}))
    assert progress["a"].attempt == 1
    assert progress["new"].status is PENDING
    assert progress.take_changes().task_cursors == {}


OLD = {
    "begun_at": 1.0, "more": 1,
    "tasks": {
        "a": {"status": "SUCCESS", "attempt": 1, "begun_at": 3.0, "hue": "red"},
        "b": {"status": "RUNNING", "attempt": 1, "begun_at": 2.0},
        "c": {}, "gone": {},
    },
}  # fmt: skip


class TestVersions:
    def test_the_first_one_held_all_tasks_which_move_over(self):
        plan = Plan.of(steps("a", "b", {"id": "c", "needs": ["a"]}))
        progress = Progress(plan, Stored(OLD, OLD["tasks"], to_be_moved=True))
        assert (progress.begun_at, progress.paused, progress.first_start) == (1.0, False, 2.0)
        assert progress["a"].status is SUCCESS
        assert list(progress.ready(0.0)) == ["c"]
        changes = progress.take_changes()
        assert changes.cursor["version"] == 2
        assert "tasks" not in changes.cursor
        assert list(changes.task_cursors) == ["a", "b"]
        read = Progress(plan, Stored(stored(changes.cursor), stored(changes.task_cursors)))
        assert [read[name] for name in "abc"] == [progress[name] for name in "abc"]

    def test_those_that_know_no_runs_do_not_take_up_what_was_held_back(self):
        plan = Plan.of(steps("a", {"id": "b", "needs": ["a"]}))
        held = hold_back(["b"], ["a"])
        progress = Progress(plan, Stored(held.cursor, held.task_cursors))
        progress.begin("b", 1.0)
        changes = progress.take_changes()
        assert held.cursor["version"] == changes.cursor["version"] == 3

    def test_a_later_one_is_left_to_a_later_program(self):
        assert version_of({"tasks": {}}) == 1
        assert version_of(fresh("a").take_changes().cursor) == 2
        with pytest.raises(UpstreamError, match="later version"):
            version_of({"version": 5})


class TestWhatMayBegin:
    def test_what_needs_nothing_may_in_the_order_of_the_definition(self):
        progress = fresh("c", "a", {"id": "last", "needs": ["a"]}, "b")
        assert list(progress.ready(0.0)) == ["c", "a", "b"]

    def test_what_needs_others_may_when_all_of_them_have_ended(self):
        progress = fresh("a", "b", {"id": "both", "needs": ["a", "b"]})
        assert list(progress.ready(0.0)) == ["a", "b"]
        progress.begin("a", 1.0)
        assert list(progress.ready(0.0)) == ["b"]
        progress.move("a", SUCCESS)
        assert list(progress.ready(0.0)) == ["b"]
        progress.begin("b", 1.0)
        progress.move("b", SUCCESS)
        assert list(again(progress).ready(0.0)) == list(progress.ready(0.0)) == ["both"]

    def test_what_comes_later_stands_behind_what_waits(self):
        progress = fresh("first", {"id": "second", "needs": ["first"]}, "third")
        assert list(progress.ready(0.0)) == ["first", "third"]
        progress.move("first", SUCCESS)
        assert list(progress.ready(0.0)) == ["third", "second"]

    def test_with_what_it_takes(self):
        progress = fresh({"id": "wide", "resources": {"cpus": 2, "memory": "1K"}})
        assert progress.ready(0.0) == {"wide": Resources(2, 1024)}

    def test_a_retry_may_when_its_time_has_come(self):
        progress = fresh("a", "b")
        progress.ready(0.0)
        progress.begin("a", 1.0)
        progress.retry("a", 100.0)
        for each in (progress, again(progress)):
            assert each.next_retry() == 100.0
            assert list(each.ready(99.0)) == ["b"]
            assert list(each.ready(100.0)) == ["b", "a"]
            assert each.next_retry() is None
            each.begin("a", 100.0)
            assert list(each.ready(200.0)) == ["b"]

    def test_a_retry_that_is_cancelled_is_waited_for_no_more(self):
        progress = fresh("a")
        progress.begin("a", 1.0)
        progress.retry("a", 100.0)
        progress.move("a", CANCELLED)
        assert progress.next_retry() is None
        assert list(progress.ready(200.0)) == []


class TestWhatNeverBegins:
    def doomed(self, progress):
        found = []
        for name, need in progress.doomed():
            found.append((name, need))
            progress.move(name, SKIPPED)
        return found

    def test_it_is_all_that_stands_behind_a_failure(self):
        progress = fresh(
            "bad", "good", {"id": "after", "needs": ["good"]},
            {"id": "child", "needs": ["good", "bad"]}, {"id": "grandchild", "needs": ["child"]},
        )  # fmt: skip
        progress.move("bad", FAILED)
        expected = [("child", "bad"), ("grandchild", "child")]
        assert self.doomed(again(progress)) == self.doomed(progress) == expected
        assert self.doomed(progress) == []
        assert list(progress.ready(0.0)) == ["good"]

    def test_a_failure_that_is_allowed_holds_nobody_up(self):
        progress = fresh({"id": "shaky", "allow_failure": True}, {"id": "next", "needs": ["shaky"]})
        progress.move("shaky", FAILED)
        assert self.doomed(progress) == []
        assert list(progress.ready(0.0)) == ["next"]

    @pytest.mark.parametrize("end", [SKIPPED, CANCELLED])
    def test_what_was_skipped_or_cancelled_is_never_forgiven(self, end):
        progress = fresh({"id": "shaky", "allow_failure": True}, {"id": "next", "needs": ["shaky"]})
        progress.move("shaky", end)
        assert self.doomed(progress) == [("next", "shaky")]
