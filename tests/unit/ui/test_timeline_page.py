"""When steps waited and ran: bars on one axis, and the same in words."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from app.domain import (
    Attempt,
    ExecutionStatus,
    ExecutionSummary,
    Observation,
    Task,
    TaskStatus,
)
from app.ui import _timeline as module
from app.ui._timeline import timeline_of

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PENDING, RUNNING, FAILED = TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.FAILED
SUCCESS = TaskStatus.SUCCESS


def at(seconds):
    return BEGAN + timedelta(seconds=seconds)


def execution(status=ExecutionStatus.RUNNING, **more):
    values = {
        "number": 1, "id": "e1", "awf_name": "flow-20260102-030405", "orchestrator": "local",
        "workflow_id": "flow", "workflow_name": "Flow", "owner": "ada", "status": status,
        "created_at": BEGAN, "as_of": BEGAN,
    }  # fmt: skip
    return ExecutionSummary(**{**values, **more})


def times(*tasks, earlier=(), now=100.0, **more):
    last = [Attempt.last_of(task) for task in tasks]
    attempts = [*earlier, *(each for each in last if each is not None)]
    return timeline_of(execution(**more), tasks, attempts, now=at(now))


class TestBars:
    def test_of_what_has_ended_the_axis_ends_with_it(self):
        task = Task("a", SUCCESS, at(10), at(60), ready_at=at(5), attempts=1)
        made = times(task, status=ExecutionStatus.SUCCESS, finished_at=at(100))
        (row,) = made.rows
        (bar,) = row.bars
        assert (bar.waited_from, bar.begins, bar.ends) == (5.0, 10.0, 60.0)
        assert (row.took, row.running_since, made.over) == (50.0, None, True)
        assert bar.said == "attempt 1: succeeded, took 50.0 s, waited 5.0 s"

    def test_of_what_goes_on_there_is_room_to_grow(self):
        made = times(Task("a", RUNNING, at(50), attempts=1))
        (bar,) = made.rows[0].bars
        assert bar.ends == pytest.approx(100 / 1.1, abs=0.01)
        assert made.ends - made.begins == 110_000
        assert made.rows[0].running_since == at(50)

    def test_each_attempt_has_its_own(self):
        first = Attempt("a", 1, FAILED, at(0), at(10), at(20), 2, "n1")
        task = Task("a", RUNNING, at(30), attempts=2, ready_at=at(20))
        (row,) = times(task, earlier=[first]).rows
        assert [(bar.number, bar.kind) for bar in row.bars] == [(1, "bad"), (2, "running")]
        assert row.bars[0].said == ("attempt 1: failed, exit 2, took 10.0 s, waited 10.0 s, on n1")
        assert json.loads(row.attempts)[0][:2] == [1, "FAILED"]

    def test_what_waits_for_its_first_or_next_attempt_is_hatched_until_now(self):
        waits = {"kind": "processors", "reason": "2 of 4 processors"}
        first = Task("a", PENDING, ready_at=at(40), waits_for=waits)
        again = Task("b", PENDING, at(10), at(20), 2, 1)
        made = times(first, again)
        (waiting,), (tried, next_) = (row.bars for row in made.rows)
        assert (waiting.number, waiting.waited_from) == (0, pytest.approx(40 / 1.1, abs=0.01))
        assert "2 of 4 processors" in waiting.said
        assert (tried.number, tried.state) == (1, "FAILED")
        assert next_.waited_from == pytest.approx(20 / 1.1, abs=0.01)

    def test_what_never_began_has_none(self):
        made = times(Task("a", PENDING), Task("b", TaskStatus.SKIPPED))
        assert [row.bars for row in made.rows] == [(), ()]
        assert made.rows[0].took is None

    def test_what_was_taken_over_is_elsewhere(self):
        (row,) = times(Task("a", SUCCESS, at(-50), at(-40), 0, 1, continued_from="e0")).rows
        assert row.bars == ()

    def test_times_that_make_no_sense_stay_on_the_axis(self):
        task = Task("a", SUCCESS, at(-5), at(-9), attempts=1, ready_at=at(50))
        (bar,) = times(task).rows[0].bars
        assert 0 <= bar.begins <= 100
        assert 0 <= bar.ends <= 100


class TestAxis:
    @pytest.mark.parametrize(
        ("seconds", "last"),
        [(0.2, "1 s"), (45, "40 s"), (400, "6 min"), (5400, "1 h 30"), (86400 * 21, "20 d")],
    )
    def test_it_has_few_marks_however_long_it_is(self, seconds, last):
        made = times(status=ExecutionStatus.SUCCESS, finished_at=at(seconds), now=seconds)
        assert 2 <= len(made.marks) <= 8
        assert made.marks[0] == (0.0, "0")
        assert made.marks[-1][1] == last
        assert all(0 <= place <= 100 for place, _ in made.marks)

    def test_of_very_many_steps_those_that_failed_and_began_are_drawn(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_ROWS", 3)
        tasks = [Task(f"s{n}", PENDING) for n in range(5)]
        tasks += [Task("ran", SUCCESS, at(1), at(2)), Task("broke", FAILED, at(1), at(2))]
        made = times(*tasks)
        assert [row.name for row in made.rows] == ["s0", "ran", "broke"]
        assert made.steps == 7


class TestPage:
    def test_it_is_a_table_that_says_all_in_words(self, opened):
        made = opened.add_execution("anonymous", steps=["<b>&", "second"])
        first = Attempt("<b>&", 1, FAILED, BEGAN, at(1), at(2), 2)
        task = Task("<b>&", RUNNING, at(3), attempts=2, ready_at=at(2))
        seen = Observation(ExecutionStatus.RUNNING, None, tasks=(task,), attempts=(first,))
        opened.record(made, seen)
        answer = opened.client.get(f"/ui/executions/{made.id}/timeline")
        assert answer.status_code == 200
        assert "<b>" not in answer.text
        assert "attempt 1: failed, exit 2, took 1.0 s, waited 1.0 s" in answer.text
        assert "attempt 2: running" in answer.text
        assert len(re.findall(r'<rect class="timeline-bar', answer.text)) == 2
        assert f"/ui/executions/{made.id}/log?task=%3Cb%3E%26" in answer.text
