"""What is kept between two looks, and when it is read again from the store."""

from __future__ import annotations

from dataclasses import replace
from sys import getsizeof

import pytest
from engine_kit import Bench, diamond, steps, stored

from app.domain import DesiredState, ExecutionStatus, TaskStatus
from app.engine.recollection import Recollection
from app.engine.slots import Slots
from app.engine.task_state import TaskState
from app.errors import UpstreamError


@pytest.fixture
def flow(tmp_path):
    return Bench(diamond(), tmp_path / "executions")


def states(flow):
    """Return the state of each task, as the next look would find it."""
    progress = flow.recollection.take(flow.execution, flow.plan)
    return {name: progress[name].status for name in flow.plan.steps}


def test_nothing_is_read_again_between_looks_that_were_stored(flow):
    flow.launcher.on_start = flow.launcher.finish
    assert flow.finish().status is ExecutionStatus.SUCCESS
    assert flow.cursors.reads == 0


def test_what_could_not_be_stored_is_read_again(flow):
    flow.look()
    flow.launcher.finish("split")
    flow.observe()  # it was not stored
    assert flow.cursors.reads == 0
    assert states(flow)["split"] is TaskStatus.RUNNING
    assert flow.cursors.reads == 1


def test_a_look_that_failed_leaves_nothing_behind(flow):
    flow.look()
    flow.launcher.finish("split", outputs=UpstreamError("gone"))
    with pytest.raises(UpstreamError):
        flow.look()
    flow.launcher.finish("split", outputs={})
    flow.look()
    assert flow.cursors.reads == 1
    assert flow.tasks["split"].status is TaskStatus.SUCCESS


def test_conductors_that_take_turns_read_what_the_other_stored(flow):
    """Each has its own memory; the store is the same."""
    others = [flow.recollection, Recollection(flow.cursors)]
    for look in range(20):
        flow.recollection = others[look % 2]
        if flow.look().log_complete:
            break
        for name in flow.launcher.running:
            flow.launcher.finish(name)
    assert flow.seen.status is ExecutionStatus.SUCCESS
    assert flow.launcher.begun == ["split/1", "left/1", "right/1", "join/1"]
    assert flow.cursors.reads > 2


def test_a_look_of_another_one_that_changed_nothing_makes_nobody_read_again(flow):
    flow.look()
    flow.look()
    mine, flow.recollection = flow.recollection, Recollection(flow.cursors)
    before = flow.execution.cursor
    assert flow.look().cursor == before
    assert flow.cursors.reads == 1
    flow.recollection = mine
    flow.launcher.finish("split")
    flow.look()
    assert flow.cursors.reads == 1


def test_the_last_look_of_an_older_store_is_not_taken_for_this_one(flow):
    """As when a backup is put in the place of the database."""
    flow.look()
    backup, cursors = flow.execution, dict(flow.cursors)
    flow.launcher.finish("split")
    flow.look()
    flow.execution = backup
    flow.cursors.clear()
    flow.cursors.update(cursors)
    assert states(flow)["split"] is TaskStatus.RUNNING


def test_tokens_are_random(flow):
    others = [Bench(diamond(), flow.root, id=f"e{i}") for i in range(20)]
    assert len({bench.look().cursor["look"] for bench in others}) == 20


def test_the_first_version_of_a_cursor_goes_on_where_it_was(flow):
    flow.look()
    flow.launcher.finish("split")
    flow.look()
    old = {"begun_at": 5.0, "paused": False, "tasks": {**flow.cursors, "join": {}}}
    flow.execution = replace(flow.execution, cursor=stored(old))
    flow.cursors.clear()
    seen = flow.look()
    assert seen.cursor["version"] == 2
    assert "tasks" not in seen.cursor
    assert set(flow.cursors) == {"split", "left", "right"}
    flow.launcher.on_start = flow.launcher.finish
    for name in ("left", "right"):
        flow.launcher.finish(name)
    assert flow.finish().status is ExecutionStatus.SUCCESS
    assert flow.launcher.begun == ["split/1", "left/1", "right/1", "join/1"]


def test_a_cursor_of_a_later_version_is_not_touched(flow):
    flow.look()
    flow.execution = replace(flow.execution, cursor={"version": 99})
    with pytest.raises(UpstreamError, match="later version"):
        flow.look()
    with pytest.raises(UpstreamError, match="later version"):
        flow.recollection.tasks(flow.execution)


@pytest.mark.parametrize("old", [False, True])
def test_the_tasks_can_be_read_without_a_definition(flow, old):
    flow.look()
    if old:
        flow.execution = replace(flow.execution, cursor={"tasks": dict(flow.cursors)})
    tasks = flow.recollection.tasks(flow.execution)
    assert {name: task.status for name, task in tasks.items()} == {"split": TaskStatus.RUNNING}


def test_nobody_looked_yet(flow):
    assert flow.recollection.tasks(flow.execution) == {}
    assert flow.cursors.reads == 0


def test_what_was_not_used_for_longest_makes_room(tmp_path):
    flows = [Bench(diamond(), tmp_path, id=f"e{i}") for i in range(3)]
    plan = flows[0].plan
    for flow in flows:
        flow.look()
    size = flows[0].recollection.take(flows[0].execution, plan).bytes + getsizeof("e0")
    room = Recollection(flows[0].cursors, 2 * size)
    kept = []
    for flow in flows:
        kept.append(room.take(flow.execution, plan))
        room.keep(flow.execution, kept[-1])
    assert room.take(flows[2].execution, plan) is kept[2]
    assert room.take(flows[1].execution, plan) is kept[1]
    assert room.take(flows[0].execution, plan) is not kept[0]


# What a look costs


@pytest.fixture
def work(monkeypatch):
    """Count how often tasks are written and read, by name of the method."""
    counted = dict.fromkeys(("dump", "load", "shown"), 0)

    def count(name, method):
        def counting(*args):
            counted[name] += 1
            return method(*args)

        return counting

    monkeypatch.setattr(TaskState, "dump", count("dump", TaskState.dump))
    monkeypatch.setattr(TaskState, "shown", count("shown", TaskState.shown))
    monkeypatch.setattr(TaskState, "load", staticmethod(count("load", TaskState.load)))
    return counted


@pytest.mark.parametrize("shape", ["chain", "fan"])
def test_a_look_costs_what_changed_and_not_the_size_of_the_graph(tmp_path, work, shape):
    names = [f"s{i:04}" for i in range(3000)]
    before = names if shape == "chain" else ["s0000"] * len(names)
    described = [
        {"id": name, "needs": [need]} for name, need in zip(names[1:], before, strict=False)
    ]
    flow = Bench(steps("s0000", *described), tmp_path, slots=Slots(1, None))
    for _ in range(4):
        (running,) = flow.look() and flow.launcher.running
        flow.launcher.finish(running)
    work.update(dict.fromkeys(work, 0))
    seen = flow.look()
    assert len(seen.task_cursors) == len(seen.tasks) == 2, "one ended, and one began"
    cursor = dict(seen.cursor)
    assert len(cursor.pop("first_begun")) == 3, "one moment by two clocks"
    assert len(str(cursor)) < 200
    assert work["dump"] <= 4
    assert work["load"] <= 4
    assert work["shown"] <= 4
    assert flow.cursors.reads == 0


def test_a_look_that_finds_nothing_new_has_nothing_to_store(flow):
    flow.look()
    flow.look()  # now the node is known
    before = flow.execution.cursor
    for desired in (DesiredState.RUN, DesiredState.RUN):
        flow.want(desired)
        seen = flow.look()
        assert (seen.cursor, seen.tasks, seen.entries) == (before, (), ())
        assert seen.task_cursors == {}
        assert seen.once_stored is None
