"""What tasks wait for: how it is told, and how what is paused lets others go first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from engine_kit import ScriptedLauncher, steps

from app.domain import DesiredState, ExecutionStatus, TaskStatus
from app.engine.slots import Slots

RUNNING, PAUSED = TaskStatus.RUNNING, TaskStatus.PAUSED


def test_what_a_task_waits_for_is_told_once(bench, monkeypatch):
    monkeypatch.setattr("app.engine.run.TELL_SECONDS", 0.0)
    wide = {"id": "wide", "resources": {"cpus": 2}}
    flow = bench(steps("a", wide, {"id": "last", "needs": ["wide"]}), slots=Slots(2, None))
    for _ in range(3):
        flow.look()
    reason = "2 processors; 1 of 2 are taken"
    assert flow.tasks["wide"].waits_for == {"kind": "processors", "reason": reason}
    assert flow.texts("wide") == [f"Task 'wide' waits for {reason}"]
    assert flow.tasks["a"].waits_for is None
    flow.launcher.finish("a")
    flow.look()
    assert flow.launcher.running == {"wide"}
    assert flow.tasks["wide"].waits_for is None


def test_of_many_that_wait_one_entry_tells(bench, monkeypatch):
    monkeypatch.setattr("app.engine.run.TELL_SECONDS", 0.0)
    flow = bench(steps(*(f"t{n}" for n in range(50))), slots=Slots(1, None))
    flow.look()
    flow.look()
    waits = [text for text in flow.texts() if "wait" in text]
    assert len(waits) == 1
    assert waits[0].startswith("49 tasks wait ('t1', 't2', 't3', 't4', 't5', ...), the first for a")
    assert all(flow.tasks[f"t{n}"].waits_for["kind"] == "processors" for n in range(1, 50))


def test_a_wait_for_memory_and_for_a_pool_is_called_so(bench, monkeypatch):
    monkeypatch.setattr("app.engine.run.TELL_SECONDS", 0.0)
    half = {"resources": {"memory": "600"}}
    for number, (slots, kind) in enumerate(
        [(Slots(9, 1000), "memory"), (Slots(1, None, by_job=True), "pool")]
    ):
        flow = bench(steps({"id": "a", **half}, {"id": "b", **half}), slots=slots, id=f"e{number}")
        flow.look()
        assert flow.tasks["b"].waits_for["kind"] == kind


def test_a_short_wait_is_nobodys_concern(bench):
    flow = bench(steps("a", "b"), slots=Slots(1, None))
    flow.look()
    flow.look()
    assert not [text for text in flow.texts() if "wait" in text]


def test_a_retry_tells_when_it_begins(bench):
    flow = bench(steps({"id": "only", "retries": 1, "retry_delay": "1h"}))
    flow.look()
    flow.launcher.finish("only", 1)
    flow.look()
    waits = flow.tasks["only"].waits_for
    assert waits["kind"] == "retry"
    left = datetime.fromisoformat(waits["until"]) - datetime.now(UTC)
    assert timedelta(minutes=55) < left <= timedelta(hours=1)


def test_what_is_paused_gives_its_processors_to_others_and_waits_for_them(bench, monkeypatch):
    monkeypatch.setattr("app.engine.run.TELL_SECONDS", 0.0)
    slots, launcher = Slots(1, None), ScriptedLauncher()
    first = bench(steps("only"), slots=slots, launcher=launcher)
    second = bench(steps("other"), slots=slots, launcher=launcher, id="e2")
    first.look()
    second.look()
    assert second.tasks["other"].waits_for["kind"] == "processors"
    first.want(DesiredState.PAUSE)
    first.look()
    second.look()
    assert launcher.running == {"only"}, "what was only told to stop still runs"
    first.look()
    second.look()
    assert launcher.running == {"only", "other"}
    assert launcher["only"].paused
    first.want(DesiredState.RUN)
    for _ in range(3):
        first.look()
    assert launcher["only"].paused, "there is no processor for it"
    assert first.shown == {"only": PAUSED}
    assert first.tasks["only"].waits_for["kind"] == "processors"
    launcher.finish("other")
    second.look()
    first.look()
    assert not launcher["only"].paused
    first.look()
    assert first.shown == {"only": RUNNING}
    assert first.tasks["only"].waits_for is None
    launcher.finish("only")
    assert first.finish().status is ExecutionStatus.SUCCESS
    assert launcher.begun == ["only/1", "other/1"]


def test_what_waits_to_go_on_can_be_paused_again_and_cancelled(bench):
    slots, launcher = Slots(1, None), ScriptedLauncher()
    first = bench(steps("only"), slots=slots, launcher=launcher)
    second = bench(steps("other"), slots=slots, launcher=launcher, id="e2")
    first.look()
    first.want(DesiredState.PAUSE)
    first.look()
    first.look()
    second.look()
    first.want(DesiredState.RUN)
    first.look()
    first.want(DesiredState.PAUSE)
    first.look()
    assert launcher["only"].paused
    launcher.finish("other")
    second.finish()
    first.look()
    assert launcher["only"].paused, "it was offered nothing"
    third = bench(steps("third"), slots=slots, launcher=launcher, id="e3")
    third.look()
    assert "third" in launcher.running
    first.want(DesiredState.CANCEL)
    assert first.finish().status is ExecutionStatus.CANCELLED


def test_a_resume_before_the_stop_arrived_costs_no_turn(bench):
    slots, launcher = Slots(1, None), ScriptedLauncher()
    first = bench(steps("only"), slots=slots, launcher=launcher)
    second = bench(steps("other"), slots=slots, launcher=launcher, id="e2")
    first.look()
    second.look()
    first.want(DesiredState.PAUSE)
    first.look(dies=True)
    first.want(DesiredState.RUN)
    first.look()
    assert first.shown == {"only": RUNNING}
    second.look()
    assert launcher.running == {"only"}


def test_jobs_of_a_pool_elsewhere_keep_their_room_while_they_stand_still(bench):
    slots, launcher = Slots(1, None, by_job=True), ScriptedLauncher()
    first = bench(steps("only"), slots=slots, launcher=launcher)
    second = bench(steps("other"), slots=slots, launcher=launcher, id="e2")
    first.look()
    first.want(DesiredState.PAUSE)
    for _ in range(3):
        first.look()
        second.look()
    assert launcher.running == {"only"}
    first.want(DesiredState.RUN)
    first.look()
    assert not launcher["only"].paused
