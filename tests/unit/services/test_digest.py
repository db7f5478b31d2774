"""Digests: what of an execution tells why it ended as it did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from service_kit import signed_in, users
from sqlalchemy import update

from app.domain import (
    ExecutionStatus,
    Level,
    LogStream,
    NewLogEntry,
    Observation,
    Task,
    TaskStatus,
)
from app.errors import NotFound
from app.services import digest as module
from app.services.definition_texts import DefinitionChange
from app.services.differences import ValueChange
from app.services.digest import LAST_LINES, MOST_ACTIVE, MOST_FAILED
from app.store.schema import executions

BEGUN = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
ADA = signed_in("ada")
OUT, ERR, NONE = LogStream.STDOUT, LogStream.STDERR, LogStream.NONE


def at(seconds):
    return BEGUN + timedelta(seconds=seconds)


def said(task, text, level=Level.INFO, seconds=1.0, stream=OUT):
    return NewLogEntry(level, int(at(seconds).timestamp() * 1000), text, task, stream=stream)


def failed(name="first", seconds=2.0, code=3, **more):
    error = f"exit code {code} after 1s; its last lines:\nsome line"
    values = {"started_at": at(0), "finished_at": at(seconds), "exit_code": code, "error": error}
    return Task(name, TaskStatus.FAILED, **{**values, "attempts": 1, **more})


@pytest.fixture
def guarded(make_service):
    return make_service(api__auth=users())


@pytest.fixture
def add(guarded):
    """Write down an execution as it stands after some observation."""

    def make(
        status=ExecutionStatus.FAILED, tasks=(), entries=(), *, owner="ada", error=None, **more
    ):
        execution = guarded.add_execution(owner, **more)
        ends = {"finished_at": at(2)} if status.final else {}
        guarded.record(
            execution,
            Observation(
                status, None, tuple(tasks), entries=tuple(entries), error=error, started_at=at(0),
                log_complete=status.final, **ends,
            ),
        )  # fmt: skip
        return guarded.store.get(execution.id)

    return make


@pytest.fixture
def digest(guarded):
    def make(execution, identity=ADA):
        return guarded.services.digests.get(execution.id, identity)

    return make


def contents(entries):
    return [entry.content for entry in entries]


class TestFailed:
    def test_the_first_to_fail_comes_first_with_its_code_in_words(self, add, digest):
        told = digest(add(tasks=[failed("second", 1, 137), failed("first", 2)]))
        assert [each.task.name for each in told.failed] == ["second", "first"]
        assert [each.meaning for each in told.failed] == ["SIGKILL: killed", ""]
        assert told.tasks == {TaskStatus.FAILED: 2}
        assert (
            told.summary
            == "Failed after 2s (1 more failed): task 'second': exit code 137 after 1s."
        )

    def test_what_is_called_the_cause_comes_before_the_first(self, add, digest):
        execution = add(
            tasks=[failed("second", 1), failed("first", 2)],
            error="Task 'first' failed: exit code 3; its last lines:\n'second'",
        )
        assert [each.task.name for each in digest(execution).failed] == ["first", "second"]

    def test_of_many_some_are_told_and_all_are_counted(self, add, digest):
        steps = [f"s{number}" for number in range(MOST_FAILED + 2)]
        told = digest(add(tasks=[failed(name) for name in steps], steps=steps))
        assert len(told.failed) == MOST_FAILED
        assert told.tasks == {TaskStatus.FAILED: MOST_FAILED + 2}
        assert f"({MOST_FAILED + 1} more failed)" in told.summary

    def test_its_last_lines_are_of_its_last_attempt_and_of_no_other_task(self, add, digest):
        lines = [said("first", f"line {n}", seconds=1 + n / 100) for n in range(LAST_LINES + 5)]
        early, other = said("first", "early", seconds=-1), said("second", "other")
        (one,) = digest(add(tasks=[failed()], entries=[early, other, *lines, other])).failed
        assert contents(one.last_lines) == [line.content for line in lines[5:]]
        assert [entry.sequence for entry in one.last_lines] == [*range(7, 7 + LAST_LINES)]
        few = add(tasks=[failed()], entries=[early, other, *lines[:2]])
        assert contents(digest(few).failed[0].last_lines) == ["line 0", "line 1"]
        none = add(tasks=[failed()], entries=[early, other])
        assert contents(digest(none).failed[0].last_lines) == ["early"]

    def test_long_lines_are_cut(self, add, digest):
        (one,) = digest(
            add(tasks=[failed()], entries=[said("first", "x" * 5000, Level.ERROR)])
        ).failed
        assert contents(one.last_lines) == contents([one.first_error]) == ["x" * 2000 + "..."]

    def test_an_execution_that_fails_by_itself_tells_what_it_said(self, add, digest):
        own = said("", "Output 'total' has no value", Level.ERROR, stream=NONE)
        execution = add(entries=[said("first", "no"), own], error="Output 'total' has no value.")
        told = digest(execution)
        assert told.summary == "Failed after 2s: Output 'total' has no value."
        assert (told.failed, contents(told.last_lines)) == ((), [own.content])

    def test_what_was_purged_of_the_log_is_not_told(self, guarded, add, digest):
        execution = add(tasks=[failed()], entries=[said("first", "line", Level.ERROR)])
        statement = update(executions).where(executions.c.id == execution.id)
        guarded.web.database.write(
            lambda store: store.execute(statement.values(log_purged_at=at(5)))
        )
        execution = guarded.store.get(execution.id)
        told = guarded.services.digests.of(execution, ADA)
        assert (told.failed[0].first_error, told.failed[0].last_lines) == (None, ())
        assert told.execution.log_purged_at == at(5)


REMARK = said("first", "Task 'first' failed: exit code 3", Level.ERROR, 3, NONE)
STARTED = said("first", "Task 'first' started", Level.INFO, 0, NONE)


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([said("first", "on out"), said("first", "ERROR a", Level.ERROR), REMARK], "ERROR a"),
        ([said("first", "w", Level.WARN, stream=ERR), said("first", "ERROR a", Level.ERROR)],
         "ERROR a"),
        ([said("first", "w", Level.WARN), said("first", "e", Level.WARN, stream=ERR), REMARK], "e"),
        ([said("first", "on out"), REMARK], REMARK.content),
        ([said("first", "old", Level.ERROR, -1), said("first", "new", Level.ERROR), REMARK], "new"),
        ([said("second", "other", Level.ERROR), said("first", "own", Level.ERROR), REMARK], "own"),
        ([said("first", "Traceback (most recent call last):", Level.WARN, stream=ERR),
          said("first", "  File x", Level.WARN, stream=ERR),
          said("first", "", Level.WARN, stream=ERR),
          said("first", "ValueError: n", Level.WARN, stream=ERR),
          said("first", "more", Level.WARN, stream=ERR), REMARK], "ValueError: n"),
        ([said("first", "Traceback (most recent call last):", Level.WARN, stream=ERR),
          said("first", "  cut", Level.WARN, stream=ERR), REMARK],
         "Traceback (most recent call last):"),
        ([said("first", "nothing of the kind")], None),
    ],
)  # fmt: skip
def test_the_first_error_is_what_the_command_says_of_it_if_it_does(add, digest, entries, found):
    (one,) = digest(add(tasks=[failed()], entries=[STARTED, *entries])).failed
    assert (one.first_error and one.first_error.content) == found
    assert one.first_error is None or one.first_error.task == "first"


def test_behind_very_many_errors_of_others_it_is_looked_for_at_the_end(add, digest, monkeypatch):
    monkeypatch.setattr(module, "LOOKED_THROUGH", 3)
    many = [said("second", "other", Level.ERROR)] * 4
    own = [said("first", "own", Level.ERROR), said("first", "later", Level.ERROR)]
    (one,) = digest(add(tasks=[failed()], entries=[*many, *own])).failed
    assert one.first_error.content == "own"


class TestLastSuccess:
    @staticmethod
    def succeeded(add, **more):
        task = Task("first", TaskStatus.SUCCESS, at(0), at(1), 0, 1)
        return add(ExecutionStatus.SUCCESS, [task], **more)

    def test_it_tells_what_was_not_the_same(self, add, digest):
        earlier = self.succeeded(add, inputs={"n": 3, "m": 1}, workflow_version=3)
        now = add(tasks=[failed()], inputs={"n": 5, "m": 1, "token": "x"}, workflow_version=4)
        success = digest(now).failed[0].last_success
        assert (success.execution.id, success.task.finished_at) == (earlier.id, at(1))
        assert [(each.name, each.after) for each in success.inputs] == [("n", 5), ("token", "***")]
        assert success.inputs[0] == ValueChange("n", 3, 5)
        assert success.inputs_changed == 2
        assert success.definition == DefinitionChange(False, 3, 4)  # both refer to the same one

    def test_that_of_somebody_else_is_told_to_operators_only(self, add, digest):
        theirs = self.succeeded(add, owner="bob")
        now = add(tasks=[failed()])
        assert digest(now).failed[0].last_success is None
        seen = digest(now, signed_in("ops")).failed[0].last_success
        assert seen.execution.id == theirs.id

    def test_that_of_the_owner_is_told_to_operators_first(self, add, digest):
        own = self.succeeded(add)
        self.succeeded(add, owner="bob")
        seen = digest(add(tasks=[failed()]), signed_in("ops")).failed[0].last_success
        assert seen.execution.id == own.id


class TestOtherEnds:
    def test_a_success_is_short(self, add, digest):
        task = Task("first", TaskStatus.SUCCESS)
        told = digest(add(ExecutionStatus.SUCCESS, [task], [said("first", "x", Level.ERROR)]))
        assert told.summary == "Succeeded after 2s."
        assert (told.failed, told.active, told.last_lines, told.cancel) == ((), (), (), None)

    def test_a_success_says_what_was_let_fail(self, add, digest):
        told = digest(add(ExecutionStatus.SUCCESS, [failed()]))
        assert told.summary == "Succeeded after 2s, although 1 task failed."
        assert told.failed == ()

    def test_a_cancelled_one_says_who_asked(self, guarded, add, digest):
        execution = guarded.add_execution("ada")
        guarded.services.steering.cancel(execution.id, ADA)
        assert digest(execution).summary == "Being cancelled: 0 of 2 tasks ended, 0 running."
        assert digest(execution).cancel.content == "Cancel requested by 'ada'."
        guarded.record(
            execution,
            Observation(
                ExecutionStatus.CANCELLED, None, started_at=at(0), finished_at=at(4),
                log_complete=True,
            ),
        )  # fmt: skip
        told = digest(execution)
        assert told.summary == "Cancelled after 4s."
        assert told.cancel.content == "Cancel requested by 'ada'."

    def test_so_does_one_that_failed_before_its_end_was_asked_for(self, guarded, add, digest):
        execution = add(ExecutionStatus.RUNNING, [failed()])
        guarded.services.steering.cancel(execution.id, ADA)
        guarded.record(execution, Observation(ExecutionStatus.FAILED, None, log_complete=True))
        assert digest(execution).cancel.content == "Cancel requested by 'ada'."

    def test_a_launch_that_was_never_received_says_so(self, guarded, digest):
        execution = guarded.add_execution("ada", accepted=False)
        guarded.launches.doubt(execution, "It is not known yet.")
        assert digest(execution).summary == "Not known: It is not known yet."
        error = "The orchestrator never received the launch; it is safe to launch again."
        guarded.record(
            execution, Observation(ExecutionStatus.FAILED, None, error=error, log_complete=True)
        )
        assert digest(execution).summary == f"Failed: {error}"

    def test_an_open_one_tells_what_runs_and_what_waits_for_something(self, add, digest):
        waits = {"kind": "processors", "reason": "no processors are free"}
        tasks = [
            Task("second", TaskStatus.PENDING, waits_for=waits), Task("first", TaskStatus.RUNNING),
        ]  # fmt: skip
        told = digest(add(ExecutionStatus.RUNNING, tasks))
        assert [task.name for task in told.active] == ["first", "second"]
        assert told.summary == "Running: 0 of 2 tasks ended, 1 running."

    def test_an_open_one_tells_already_what_has_failed(self, add, digest):
        tasks = [failed(), Task("second", TaskStatus.RUNNING)]
        told = digest(add(ExecutionStatus.RUNNING, tasks))
        assert told.summary == "Running: 1 of 2 tasks ended, 1 running, 1 failed."
        assert [each.task.name for each in told.failed] == ["first"]

    def test_of_very_many_active_tasks_some_are_told(self, add, digest):
        steps = [f"s{number}" for number in range(MOST_ACTIVE + 1)]
        running = [Task(name, TaskStatus.RUNNING) for name in steps]
        assert len(digest(add(ExecutionStatus.RUNNING, running, steps=steps)).active) == MOST_ACTIVE

    @pytest.mark.parametrize("status", ["PENDING", "PAUSED"])
    def test_each_state_has_words(self, add, digest, status):
        words = {"PENDING": "Not begun yet", "PAUSED": "Paused"}[status]
        told = digest(add(ExecutionStatus(status)))
        assert told.summary == f"{words}: 0 of 2 tasks ended, 0 running."

    def test_what_others_may_not_see_there_is_not(self, add, digest):
        with pytest.raises(NotFound, match="There is no such execution"):
            digest(add(), signed_in("bob"))
