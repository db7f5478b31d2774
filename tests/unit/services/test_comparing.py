"""What two executions have not in common."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from service_kit import signed_in, users
from sqlalchemy import update

from app.domain import ExecutionStatus, Level, LogStream, NewLogEntry, Observation, Task, TaskStatus
from app.errors import Hidden, NotFound, Purged
from app.services import comparing as module
from app.services.comparing import StepChange
from app.services.definition_texts import DefinitionChange
from app.store.schema import executions

BEGUN = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
ADA = signed_in("ada")
NOWHERE = "00000000-0000-4000-8000-999999999999"


@pytest.fixture
def service(make_service):
    return make_service(api__auth=users())


def said(text, task="first"):
    return NewLogEntry(Level.INFO, 0, text, task, stream=LogStream.STDOUT)


def task(name, status="SUCCESS", exit_code=0, seconds=1):
    ended = BEGUN + timedelta(seconds=seconds)
    return Task(name, TaskStatus(status), BEGUN, ended, exit_code, 1)


SUCCEEDED = task("first"), task("second")


@pytest.fixture
def ended(service):
    """Write down an execution that has ended."""

    def make(status="SUCCESS", *, tasks=SUCCEEDED, says=("a",), owner="ada",
             outputs=None, **more):  # fmt: skip
        execution = service.add_execution(owner, steps=[each.name for each in tasks], **more)
        seen = Observation(
            ExecutionStatus(status), None, tuple(tasks), entries=tuple(map(said, says)),
            outputs=outputs or {}, started_at=BEGUN, finished_at=BEGUN + timedelta(seconds=2),
            log_complete=True,
        )  # fmt: skip
        service.record(execution, seen)
        return service.store.get(execution.id)

    return make


@pytest.fixture
def compare(service):
    def run(before, after, identity=ADA):
        found = service.services.comparisons.find(before.id, after.id, identity)
        return service.services.comparisons.compare(*found, identity)

    return run


def test_two_that_did_the_same_do_not_differ(ended, compare):
    one, other = ended(inputs={"n": 1}), ended(inputs={"n": 1}, tasks=[task("first", seconds=9)])
    same = compare(one, ended(inputs={"n": 1}))
    assert same.differs is False
    assert (same.inputs, same.outputs, same.log.lines) == (((), 0), ((), 0), ())
    assert same.definition == DefinitionChange(False, None, None)
    assert (same.text.lines, same.text.missing) == ((), "")
    assert compare(one, other).differs is True
    assert compare(one, one).differs is False


@pytest.mark.parametrize(
    "other",
    [
        {"status": "FAILED"}, {"inputs": {"n": 2}}, {"outputs": {"total": 1}}, {"says": ["b"]},
        {"says": []}, {"workflow_id": "other"}, {"tasks": [task("first")]},
        {"tasks": [task("first"), task("second", "FAILED")]},
        {"tasks": [task("first"), task("second", exit_code=1)]},
    ],
    ids=range(9),
)  # fmt: skip
def test_each_of_these_is_a_difference(ended, compare, other):
    assert compare(ended(inputs={}), ended(**{"inputs": {}, **other})).differs is True


def test_tasks_are_told_in_their_order_with_what_became_of_them(ended, compare):
    old, changed, new = task("old"), task("first", "FAILED", 3), task("new")
    found = compare(ended(tasks=[task("first"), old]), ended(tasks=[changed, new]))
    assert [(step.name, step.change) for step in found.steps] == [
        ("first", "changed"), ("old", "removed"), ("new", "added"),
    ]  # fmt: skip
    assert found.steps_total == 3


def test_of_very_many_tasks_those_that_differ_go_first(monkeypatch):
    monkeypatch.setattr(module, "MOST_STEPS", 3)
    same = [StepChange(f"s{n}", task("x"), task("x")) for n in range(4)]
    other = StepChange("other", task("x"), None)
    told = module._foremost([*same, other])
    assert [step.name for step in told] == ["s0", "s1", "other"]


def test_lines_of_tasks_that_one_lacks_are_no_difference_of_the_logs(ended, compare):
    found = compare(ended(tasks=[task("second")], says=()), ended(tasks=[task("first")]))
    assert found.log.lines == ()


def test_the_log_of_an_execution_that_goes_on_is_compared_as_it_is(service, ended, compare):
    open_ = service.add_execution("ada")
    service.record(open_, Observation(ExecutionStatus.RUNNING, None, entries=(said("a"),)))
    found = compare(ended(says=["a", "b"]), open_)
    (line,) = found.log.lines
    assert (line.before.content, line.after) == ("b", None)


def test_without_one_of_the_logs_the_rest_is_compared(service, ended, compare):
    one, other = ended(inputs={"n": 1}), ended(inputs={"n": 2})
    gone = update(executions).where(executions.c.id == one.id).values(log_purged_at=BEGUN)
    service.web.database.write(lambda store: store.execute(gone))
    comparisons = service.services.comparisons
    found = comparisons.compare(service.store.get(one.id), other, ADA)
    assert (found.log.stopped_by, found.log.lines) == ("purged", ())
    assert found.inputs[1] == 1


class TestFind:
    def test_it_says_which_of_the_two_there_is_not(self, service, ended):
        one, theirs = ended(), ended(owner="bob")
        find = service.services.comparisons.find
        with pytest.raises(NotFound, match=f"no such execution: the first of the two, '{NOWHERE}'"):
            find(NOWHERE, one.id, ADA)
        with pytest.raises(Hidden, match=f"the second of the two, '{theirs.id}'"):
            find(one.id, theirs.id, ADA)
        assert find(one.id, theirs.id, signed_in("ops")) == (one, theirs)

    def test_and_which_was_purged(self, service, ended):
        one, other = ended(), ended()
        service.services.purging.purge(other.id, replace(ADA))
        with pytest.raises(Purged, match=r"was purged on .* by ada: the second of the two"):
            service.services.comparisons.find(one.id, other.id, ADA)

    def test_rubbish_is_repeated_within_bounds(self, service, ended):
        with pytest.raises(NotFound) as refusal:
            service.services.comparisons.find("x" * 5000, ended().id, ADA)
        assert len(str(refusal.value)) < 150
