import threading

import pytest
from alembic import command
from store_kit import let_through

from app.domain import (
    ControlledTask,
    DesiredState,
    DesiredTaskState,
    ExecutionStatus,
    Task,
    TaskStatus,
    TaskWish,
)
from app.errors import Conflict, NotFound
from app.store import migrate
from app.store.execution_rows import WantedMeanwhile
from app.store.launches import UsedKey
from app.store.task_wishes import TaskWishes

RUNNING, STOPPED = DesiredTaskState


@pytest.fixture
def wishes(database):
    return TaskWishes(database)


def test_nothing_is_wanted_of_a_task_of_which_nobody_wanted_anything(kit, wishes):
    execution = kit.held()
    assert (execution.task_wishes, wishes.of(execution)) == (0, {})


def test_what_was_wanted_last_holds_and_runs_are_counted(kit, wishes):
    execution, other = kit.held(), kit.held()
    asked = [(STOPPED, False), (RUNNING, False), (RUNNING, True), (RUNNING, True), (STOPPED, False)]
    seen = []
    for number, (desired, anew) in enumerate(asked, start=1):
        assert kit.steered.desire_task(execution, "first", desired, anew=anew)
        assert kit.driving.get(execution.id).task_wishes == number
        seen.append(wishes.of(execution))
    assert [list(each) for each in seen] == [["first"]] * 5
    assert [(each["first"].desired, each["first"].generation) for each in seen] == [
        (STOPPED, 0), (RUNNING, 0), (RUNNING, 1), (RUNNING, 2), (STOPPED, 2),
    ]  # fmt: skip
    assert wishes.of(other) == {}


def test_a_task_that_there_is_not_is_not_found_and_nothing_is_written(kit, wishes):
    execution = kit.held()
    for name in ("stray", "", "first\x00", "x" * 300, "' OR 1=1 --"):
        with pytest.raises(NotFound, match="no task"):
            kit.steered.desire_task(execution, name, STOPPED)
    assert (kit.driving.get(execution.id).task_wishes, wishes.of(execution)) == (0, {})


def test_a_task_whose_name_had_to_be_shortened_is_found_by_all_of_it(kit, wishes):
    execution = kit.held(steps=["n" * 300])
    assert kit.steered.desire_task(execution, "n" * 300, STOPPED)
    assert list(wishes.of(execution).values()) == [TaskWish(STOPPED, 0)]


@pytest.mark.parametrize(
    "end",
    [
        lambda kit, e: kit.see(e, ExecutionStatus.SUCCESS, log_complete=True),
        lambda kit, e: kit.steered.desire(e, DesiredState.CANCEL, ExecutionStatus.CANCELLING),
    ],
    ids=["ended", "cancelled"],
)
def test_nothing_is_wanted_of_what_has_ended_or_is_to_end(kit, wishes, end):
    execution = kit.held()
    end(kit, execution)
    assert not kit.steered.desire_task(execution, "first", RUNNING, anew=True)
    assert (kit.driving.get(execution.id).task_wishes, wishes.of(execution)) == (0, {})


def test_what_a_driver_stores_takes_no_wish_back_and_tells_it_of_new_ones(kit, wishes):
    execution = kit.held()
    kit.steered.desire_task(execution, "first", RUNNING, anew=True)
    seen = (Task("first", TaskStatus.RUNNING), Task("extra", TaskStatus.RUNNING))
    stored = kit.see(execution, tasks=seen, task_cursors={"first": 1})
    assert stored.task_wishes == 1
    assert stored == kit.driving.get(execution.id)
    assert wishes.of(stored) == {"first": TaskWish(RUNNING, 1)}
    assert kit.steered.desire_task(stored, "extra", STOPPED)
    assert wishes.of(stored) == {"first": TaskWish(RUNNING, 1), "extra": TaskWish(STOPPED, 0)}


def test_of_many_who_want_another_run_at_the_same_time_each_one_is_counted(kit, wishes):
    execution = kit.held()

    def restart():
        for _ in range(5):
            assert kit.steered.desire_task(execution, "first", RUNNING, anew=True)

    threads = [threading.Thread(target=restart) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):  # while a conductor stores what it sees
        execution = kit.see(execution, tasks=(Task("first", TaskStatus.RUNNING),))
    for thread in threads:
        thread.join()
    assert wishes.of(execution) == {"first": TaskWish(RUNNING, 20)}
    assert kit.driving.get(execution.id).task_wishes == 20


def test_who_wants_something_is_told_how_the_task_stands(kit, wishes):
    execution = kit.held()
    told = []

    def want(desired=RUNNING, answer=True, **more):
        def allows(task):
            told.append(task)
            return answer

        assert kit.steered.desire_task(execution, "first", desired, allows=allows, **more)

    want(anew=True)
    execution = kit.see(execution, tasks=(Task("first", TaskStatus.RUNNING, run=1),))
    want(STOPPED, answer=False)
    want(anew=True)
    want(STOPPED)
    assert told == [
        ControlledTask(TaskStatus.PENDING, 0, None),
        *[ControlledTask(TaskStatus.RUNNING, 1, TaskWish(RUNNING, 1))] * 2,
        ControlledTask(TaskStatus.RUNNING, 1, TaskWish(RUNNING, 2)),
    ]
    assert [task.is_awaited for task in told] == [False, False, False, True]
    assert kit.driving.get(execution.id).task_wishes == 3, "one was so already"


def test_who_is_refused_has_changed_nothing(kit, wishes):
    execution = kit.held()

    def refuse(task):
        raise Conflict("The task runs already.")

    with pytest.raises(Conflict):
        kit.steered.desire_task(execution, "first", RUNNING, allows=refuse)
    assert (kit.driving.get(execution.id).task_wishes, wishes.of(execution)) == (0, {})


def test_of_many_who_ask_at_once_one_is_let_until_the_run_has_begun(kit, wishes):
    execution = kit.held()

    def once(task):
        if task.is_awaited:
            raise Conflict("A run was asked for already.")
        return True

    def restart(_):
        assert kit.steered.desire_task(execution, "first", RUNNING, anew=True, allows=once)

    assert len(let_through(6, restart, Conflict)) == 1
    execution = kit.see(
        kit.driving.get(execution.id), tasks=(Task("first", TaskStatus.RUNNING, run=1),)
    )
    assert len(let_through(6, restart, Conflict)) == 1
    assert wishes.of(execution) == {"first": TaskWish(RUNNING, 2)}


def test_a_key_is_used_for_one_wish(kit, wishes):
    execution = kit.held()
    key = UsedKey("ada", "k", "digest")
    assert kit.steered.desire_task(execution, "first", RUNNING, anew=True, key=key)
    assert not kit.steered.desire_task(execution, "first", RUNNING, anew=True, key=key)
    assert wishes.of(execution) == {"first": TaskWish(RUNNING, 1)}
    assert kit.launches.launched_with(key).id == execution.id


def test_an_end_that_knows_nothing_of_a_wish_is_not_stored(kit, wishes):
    execution = kit.held()
    assert kit.steered.desire_task(execution, "first", RUNNING, anew=True)
    with pytest.raises(WantedMeanwhile):
        kit.see(execution, ExecutionStatus.SUCCESS, log_complete=True)
    now = kit.driving.get(execution.id)
    assert now.status is ExecutionStatus.PENDING
    assert kit.see(now, ExecutionStatus.SUCCESS, log_complete=True).status.final


def test_executions_from_before_there_were_wishes_have_none(kit, wishes):
    execution = kit.held()

    def back(connection):
        command.downgrade(migrate.alembic_config(connection), "0013")

    kit.database.write(back)
    migrate.upgrade(kit.database)
    assert (kit.driving.get(execution.id).task_wishes, wishes.of(execution)) == (0, {})
    assert kit.steered.desire_task(execution, "second", STOPPED)
