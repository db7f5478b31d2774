"""Executions that go on from ended ones."""

from dataclasses import replace

import pytest
from store_kit import NODE, let_through

from app.domain import (
    Carried,
    DesiredTaskState,
    ExecutionFilter,
    ExecutionStatus,
    Task,
    TaskStatus,
    TaskWish,
)
from app.errors import Conflict, NotFound, QuotaExceeded
from app.store.execution_rows import now
from app.store.launches import Continued, UsedKey
from app.store.task_cursors import TaskCursors
from app.store.task_wishes import TaskWishes

RUNNING = DesiredTaskState.RUNNING
TITLES = {"first": "The first", "second": "The second"}
STEPS = ["first", "second", "third"]


def going_on(kit, execution, *run, tasks=(), task_cursors=None, **more):
    carried = Carried({"home": execution.id}, tasks, task_cursors or {})
    continued = Continued(execution.id, run or ["second"], carried)
    return kit.intent(reference={"job": 1}, steps=(), continued=continued, **more)


@pytest.fixture
def ended(kit):
    """An execution that has ended, of whose tasks only the last never began."""
    execution = kit.held(steps=STEPS, titles=TITLES)
    kit.steered.desire_task(execution, "first", RUNNING, anew=True)
    tasks = (
        Task("first", TaskStatus.SUCCESS, now(), now(), 0, 2, "n1", run=1),
        Task("second", TaskStatus.FAILED, now(), now(), 3, 1, "n1", "exit code 3"),
    )
    return kit.see(
        kit.driving.get(execution.id), ExecutionStatus.FAILED, tasks=tasks,
        task_cursors={"first": {"n": 1}, "second": {"n": 2}}, log_complete=True,
    )  # fmt: skip


def test_what_is_taken_over_is_there_from_the_beginning(kit, ended):
    before = kit.executions.tasks(ended)
    new, is_new = kit.launches.create(going_on(kit, ended))
    assert (is_new, new.continues, new.status) == (True, ended.id, ExecutionStatus.PENDING)
    assert kit.executions.tasks(new) == [
        replace(before[0], continued_from=ended.id),
        Task("second", TaskStatus.PENDING, title="The second"),
        replace(before[2], continued_from=ended.id),
    ]
    driven = kit.driving.get(new.id)
    assert (driven.cursor, driven.reference) == ({"home": ended.id}, {"job": 1})
    assert TaskCursors(kit.database).of(driven) == {"first": {"n": 1, "origin": ended.id}}
    assert kit.executions.find(ExecutionFilter(continues=ended.id))[0][0].id == new.id
    assert kit.executions.find(ExecutionFilter(continues=new.id)) == ([], 0)
    assert (kit.driving.get(ended.id), kit.executions.tasks(ended)) == (ended, before)


def test_what_its_orchestrator_makes_of_a_task_goes_before(kit, ended):
    halted = Task("third", TaskStatus.RUNNING, continued_from=ended.id)
    intent = going_on(kit, ended, tasks=(halted,), task_cursors={"third": {"halted": True}})
    new, _ = kit.launches.create(intent)
    assert kit.executions.tasks(new)[2] == halted
    cursors = TaskCursors(kit.database).of(kit.driving.get(new.id))
    assert cursors["third"] == {"halted": True, "origin": ended.id}


def test_runs_of_what_is_taken_over_count_on_and_nothing_is_wanted_of_it(kit, ended):
    new, _ = kit.launches.create(going_on(kit, ended))
    kit.claim()
    driven, wishes = kit.driving.get(new.id), TaskWishes(kit.database)
    assert (driven.task_wishes, wishes.of(driven)) == (0, {})
    for name in STEPS:
        assert kit.steered.desire_task(driven, name, RUNNING, anew=True)
    assert wishes.of(driven) == {
        "first": TaskWish(RUNNING, 2), "second": TaskWish(RUNNING, 1),
        "third": TaskWish(RUNNING, 1),
    }  # fmt: skip


def test_the_first_of_a_chain_is_told_of_each_task(kit, ended):
    new, _ = kit.launches.create(going_on(kit, ended))
    kit.claim()
    seen = (Task("second", TaskStatus.SUCCESS, attempts=1),)
    driven = kit.see(
        kit.driving.get(new.id), ExecutionStatus.CANCELLED, tasks=seen,
        task_cursors={"second": {"n": 3}}, log_complete=True,
    )  # fmt: skip
    last, _ = kit.launches.create(going_on(kit, driven, "third"))
    told = [task.continued_from for task in kit.executions.tasks(last)]
    assert told == [ended.id, new.id, None]


@pytest.mark.parametrize("number", [499, 500, 501, 1100])
def test_any_number_of_tasks_runs_again(kit, number):
    names = [f"s{i}" for i in range(number)]
    execution = kit.held(steps=[*names, "kept"])
    kit.see(execution, ExecutionStatus.FAILED, log_complete=True)
    new, _ = kit.launches.create(going_on(kit, execution, *names))
    told = [task.continued_from for task in kit.executions.tasks(new)]
    assert told == [*[None] * number, execution.id]


def test_it_stays_on_the_machine_of_what_it_goes_on_from(kit, ended):
    new, _ = kit.launches.create(going_on(kit, ended))
    assert kit.claim(node="another", bound=["local"]) == []
    assert kit.claim(node=NODE, bound=["local"]) == [new.id]


def test_what_stays_on_a_machine_goes_on_there(kit):
    execution = kit.see(kit.held(steps=STEPS), stays=True)
    ended = kit.see(execution, ExecutionStatus.FAILED, log_complete=True)
    new, _ = kit.launches.create(going_on(kit, ended, "third"))
    assert kit.claim(node="another") == []
    assert kit.claim(node=NODE) == [new.id]


def test_what_has_not_ended_cannot_go_on(kit):
    open_ = kit.held()
    with pytest.raises(Conflict, match="has not ended") as refused:
        kit.launches.create(going_on(kit, open_))
    assert refused.value.retry_after_seconds is None, "it may run for days"
    assert kit.executions.find(ExecutionFilter())[1] == 1


def test_what_is_not_there_cannot_go_on(kit, ended):
    with pytest.raises(NotFound):
        kit.launches.create(going_on(kit, replace(ended, id="nowhere")))


def test_each_goes_on_in_one_other(kit, ended):
    new, _ = kit.launches.create(going_on(kit, ended))
    with pytest.raises(Conflict, match=f"goes on in the execution '{new.id}'"):
        kit.launches.create(going_on(kit, ended))
    kit.claim()
    over = kit.see(kit.driving.get(new.id), ExecutionStatus.SUCCESS, log_complete=True)
    assert kit.launches.create(going_on(kit, over))[0].continues == new.id


def test_who_asks_again_for_want_of_an_answer_is_told_of_what_was_written(kit, ended):
    intent = going_on(kit, ended)
    new, _ = kit.launches.create(intent)
    assert kit.launches.create(intent) == (new, True)


def test_of_many_at_once_one_is_let(kit, ended):
    intents = [going_on(kit, ended) for _ in range(6)]
    let = let_through(6, lambda i: kit.launches.create(intents[i]), Conflict)
    assert len(let) == 1
    assert kit.executions.find(ExecutionFilter())[1] == 2


def test_the_same_key_gives_the_same_execution_whoever_owns_it(kit, ended):
    used = UsedKey("ops", "k", "d")
    new, _ = kit.launches.create(going_on(kit, ended, used=used))
    assert kit.launches.create(going_on(kit, ended, used=used)) == (new, False)
    assert kit.launches.launched_with(used) == new
    assert kit.launches.launched_with(UsedKey("ada", "k", "d")) is None


def test_it_counts_among_those_that_have_not_ended(kit, ended):
    kit.held()
    with pytest.raises(QuotaExceeded):
        kit.launches.create(going_on(kit, ended, most_open=1))
