import threading

import pytest
from alembic import command

from app.domain import DesiredState, DesiredTaskState, ExecutionStatus, Task, TaskStatus, TaskWish
from app.errors import NotFound
from app.store import migrate
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


def test_executions_from_before_there_were_wishes_have_none(kit, wishes):
    execution = kit.held()

    def back(connection):
        command.downgrade(migrate.alembic_config(connection), "0013")

    kit.database.write(back)
    migrate.upgrade(kit.database)
    assert (kit.driving.get(execution.id).task_wishes, wishes.of(execution)) == (0, {})
    assert kit.steered.desire_task(execution, "second", STOPPED)
