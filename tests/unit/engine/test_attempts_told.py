"""What the engine tells of attempts that are over, and since when one could have begun."""

from __future__ import annotations

from datetime import timedelta

from engine_kit import Bench, diamond, steps

from app.domain import Attempt, TaskStatus
from app.engine.slots import Slots
from app.job_resources import Resources

FAILED, SUCCESS, CANCELLED = TaskStatus.FAILED, TaskStatus.SUCCESS, TaskStatus.CANCELLED


def left_by(flow: Bench, until: int = 50) -> list[Attempt]:
    """Look until the execution has ended; return the attempts that were told."""
    told: list[Attempt] = []
    for _ in range(until):
        seen = flow.look()
        told += seen.attempts
        if seen.log_complete:
            break
    return told


def test_an_attempt_is_told_once_when_the_next_one_begins(bench):
    flow = bench(steps({"id": "shaky", "retries": 2, "retry_delay": "0s"}))
    codes = iter([2, 3, 0])
    flow.launcher.on_start = lambda name: flow.launcher.finish(name, next(codes))
    told = left_by(flow)
    assert [(a.task, a.number, a.status, a.exit_code) for a in told] == [
        ("shaky", 1, FAILED, 2), ("shaky", 2, FAILED, 3),
    ]  # fmt: skip
    last = Attempt.last_of(flow.tasks["shaky"])
    assert (last.number, last.status, last.exit_code) == (3, SUCCESS, 0)
    for before, after in zip([*told], [*told[1:], last], strict=True):
        assert before.ready_at <= before.started_at <= before.finished_at == after.ready_at


def test_what_was_not_stored_is_told_again(bench):
    flow = bench(steps({"id": "shaky", "retries": 1, "retry_delay": "0s"}))
    flow.forgetful = True
    flow.launcher.on_start = lambda name: flow.launcher.finish(name, 2)
    flow.look()
    while not (lost := flow.observe()).attempts:
        flow.look()
    found = flow.look().attempts
    assert [(a.number, a.finished_at) for a in found] == [
        (a.number, a.finished_at) for a in lost.attempts
    ]


def test_a_task_without_a_second_attempt_leaves_none(bench):
    flow = bench(diamond())
    flow.launcher.on_start = flow.launcher.finish
    assert left_by(flow) == []


def test_another_run_leaves_the_last_attempt_of_the_one_before(bench):
    flow = bench(steps("a", {"id": "b"}))
    flow.look()
    flow.launcher.finish("a", 2)
    flow.look()
    flow.run_task("a")
    told = list(flow.look().attempts)
    assert [(a.task, a.number, a.run, a.status) for a in told] == [("a", 1, 0, FAILED)]
    assert (flow.tasks["a"].attempts, flow.tasks["a"].run) == (2, 1)
    assert flow.tasks["a"].ready_at is None, "somebody asked for it: it waited for nothing"


def test_one_that_is_stopped_for_another_run_was_cancelled(bench):
    flow = bench(steps("a"))
    flow.look()
    flow.run_task("a")
    flow.look()
    flow.launcher.finish("a", 143, cancelled=True)
    told = [attempt for _ in range(3) for attempt in flow.look().attempts]
    assert [(a.number, a.run, a.status) for a in told] == [(1, 0, CANCELLED)]


def test_a_task_could_begin_when_the_last_that_it_needs_had_ended(bench):
    flow = bench(diamond())
    flow.launcher.on_start = flow.launcher.finish
    left_by(flow)
    ends = {name: task.finished_at for name, task in flow.tasks.items()}
    assert flow.tasks["join"].ready_at == max(ends["left"], ends["right"])
    assert flow.tasks["left"].ready_at == ends["split"]
    assert flow.tasks["split"].ready_at <= flow.tasks["split"].started_at


def test_what_waits_for_room_tells_since_when(bench, monkeypatch):
    monkeypatch.setattr("app.engine.run.TELL_SECONDS", 0.0)
    taken = Slots(1, None)
    taken.take("other", {"x": Resources()}, owner="bob")
    flow = bench(steps("a"), slots=taken)
    flow.wait_for(lambda: "a" in flow.tasks)
    task = flow.tasks["a"]
    assert task.status is TaskStatus.PENDING
    assert task.waits_for["kind"] in {"processors", "turn"}
    assert task.ready_at is not None
    assert Attempt.last_of(task) is None, "it has not begun"


def test_what_waits_for_its_next_attempt_tells_the_last_one_as_it_ended(bench):
    flow = bench(steps({"id": "slow", "retries": 1, "retry_delay": "1h"}))
    flow.look()
    flow.launcher.finish("slow", 7)
    flow.look()
    task = flow.tasks["slow"]
    assert task.status is TaskStatus.PENDING
    last = Attempt.last_of(task)
    assert (last.status, last.exit_code, last.number) == (FAILED, 7, 1)
    assert last.finished_at - last.started_at >= timedelta()


def test_what_was_taken_over_has_its_attempts_where_it_was_made(bench):
    flow = bench(steps("a", {"id": "b", "needs": ["a"]}))
    flow.look()
    flow.launcher.finish("a")
    flow.look()
    flow.launcher.finish("b", 2)
    flow.finish()
    later = flow.goes_on("b")
    later.launcher.on_start = later.launcher.finish
    assert left_by(later) == []
