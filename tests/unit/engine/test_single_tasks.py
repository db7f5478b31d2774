"""What becomes of an execution whose tasks are stopped and run one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from engine_kit import StoredCursors, diamond, steps

from app.domain import DesiredState, ExecutionStatus, TaskStatus
from app.engine.launchers.base import JobPhase
from app.engine.slots import Slots
from app.job_resources import Resources

SUCCESS, FAILED, SKIPPED = TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.SKIPPED
CANCELLED, PENDING, RUNNING = TaskStatus.CANCELLED, TaskStatus.PENDING, TaskStatus.RUNNING


def chain(**of_step):
    """Make the graph a → b → c."""
    needs = {"a": [], "b": ["a"], "c": ["b"]}
    return steps(
        *({"id": name, "needs": before} | of_step.get(name, {}) for name, before in needs.items())
    )


class TestStop:
    def test_what_runs_is_ended_and_what_needs_it_does_not_run(self, bench):
        flow = bench(diamond())
        flow.look()
        flow.launcher.finish("split")
        flow.look()
        flow.stop_task("left")
        flow.look()
        assert flow.launcher.calls.count(("cancel", "left/1")) == 1
        flow.look()
        assert (flow.shown["left"], flow.shown["join"]) == (CANCELLED, SKIPPED)
        assert flow.launcher.running == {"right"}, "what does not need it goes on"
        assert flow.seen.status is ExecutionStatus.RUNNING
        flow.launcher.finish("right")
        assert flow.finish().status is ExecutionStatus.CANCELLED
        assert flow.tasks["left"].error.startswith("stopped as asked for, after")

    @pytest.mark.parametrize("code", [0, 1, 143])
    def test_it_is_no_failure_and_takes_no_retry(self, bench, code):
        flow = bench(steps({"id": "a", "retries": 3}))
        flow.look()
        flow.launcher.deaf = True
        flow.stop_task("a")
        flow.look()
        flow.launcher.finish("a", code, cancelled=True)
        seen = flow.finish()
        assert (flow.shown["a"], flow.tasks["a"].attempts) == (CANCELLED, 1)
        assert seen.status is ExecutionStatus.CANCELLED

    @pytest.mark.parametrize(
        ("code", "status"), [(0, SUCCESS), (3, CANCELLED)], ids=["well", "badly"]
    )
    def test_what_ended_by_itself_just_before_is_told_as_it_ended(self, bench, code, status):
        flow = bench(steps({"id": "a", "retries": 3}))
        flow.look()
        flow.launcher.finish("a", code)
        flow.stop_task("a")
        flow.finish()
        assert (flow.shown["a"], flow.tasks["a"].exit_code) == (status, code)

    def test_a_success_that_cannot_be_taken_is_no_failure_of_what_was_to_stop(self, bench):
        flow = bench(steps({"id": "a", "retries": 3, "stage_out": ["missing"]}))
        flow.look()
        flow.launcher.finish("a")
        flow.stop_task("a")
        assert flow.finish().status is ExecutionStatus.CANCELLED
        assert flow.launcher.begun == ["a/1"]

    def test_what_has_not_begun_never_does(self, bench):
        flow = bench(chain())
        flow.look()
        flow.stop_task("b")
        flow.look()
        assert (flow.shown["b"], flow.shown["c"]) == (CANCELLED, SKIPPED)
        assert flow.tasks["b"].error == "stopped as asked for, before it began"
        flow.launcher.finish("a")
        assert flow.finish().status is ExecutionStatus.CANCELLED
        assert flow.launcher.begun == ["a/1"]

    def test_what_waits_for_its_next_attempt_has_none(self, bench):
        flow = bench(steps({"id": "a", "retries": 1, "retry_delay": "1h"}))
        flow.look()
        flow.launcher.finish("a", 1)
        flow.look()
        assert flow.shown["a"] is PENDING
        flow.stop_task("a")
        assert flow.finish().status is ExecutionStatus.CANCELLED
        assert flow.launcher.begun == ["a/1"]

    def test_what_waits_for_a_processor_leaves_the_queue(self, bench):
        slots = Slots(1, None)
        flow, other = bench(steps("a", "b"), slots=slots), bench(steps("a"), slots=slots, id="e2")
        flow.look()
        flow.stop_task("b")
        flow.look()
        other.look()
        flow.launcher.finish("a")
        flow.finish()
        other.look()
        assert slots.take("e3", {"x": Resources()}) == [], "the other one has it"
        assert flow.launcher.begun == ["a/1", "a/1"] or other.launcher.begun == ["a/1"]

    def test_a_failure_counts_for_more_than_a_stop(self, bench):
        flow = bench(steps("a", "b"))
        flow.look()
        flow.stop_task("a")
        flow.launcher.finish("b", 1)
        assert flow.finish().status is ExecutionStatus.FAILED

    def test_what_has_ended_stays_as_it_is(self, bench):
        flow = bench(steps("a", "b"))
        flow.look()
        flow.launcher.finish("a")
        flow.look()
        flow.stop_task("a")
        flow.launcher.finish("b")
        assert flow.finish().status is ExecutionStatus.SUCCESS

    def test_what_is_lost_while_it_is_ended_was_stopped(self, bench):
        flow = bench(steps({"id": "a", "retries": 3}))
        flow.look()
        flow.look()
        flow.launcher.deaf = True
        flow.stop_task("a")
        flow.look()
        flow.launcher.lose("a", "its supervisor is gone")
        assert flow.finish().status is ExecutionStatus.CANCELLED
        assert flow.launcher.begun == ["a/1"]


class TestRestart:
    def test_the_old_run_has_ended_before_the_new_one_begins(self, bench):
        flow = bench(chain(a={"retries": 0}))
        flow.launcher.deaf = True
        flow.look()
        flow.run_task("a")
        for _ in range(3):
            flow.look()
        assert flow.launcher.begun == ["a/1"]
        assert flow.shown["a"] is RUNNING
        flow.launcher.finish("a", 137, cancelled=True)
        flow.look()
        assert flow.launcher.begun == ["a/1", "a/2"]
        task = flow.tasks["a"]
        assert (task.status, task.run, task.attempts, task.error) == (RUNNING, 1, 2, None)
        assert (task.exit_code, task.finished_at) == (None, None)
        assert flow.shown.get("b", PENDING) is PENDING, "it waits for the new run"
        for name in "abc":
            flow.launcher.finish(name)
            seen = flow.look()
        assert seen.status is ExecutionStatus.SUCCESS
        assert flow.launcher.begun == ["a/1", "a/2", "b/1", "c/1"]

    def test_the_log_tells_one_run_from_the_next(self, bench):
        flow = bench(steps("a"))
        flow.look()
        flow.launcher.say("a", "first")
        flow.run_task("a")
        flow.look()
        flow.look()
        flow.launcher.say("a", "second")
        flow.launcher.finish("a")
        flow.finish()
        texts = flow.texts("a")
        started = [text for text in texts if "started" in text]
        assert started == ["Task 'a' started", "Task 'a' started, run 1, attempt 2"]
        assert texts.index("first") < texts.index(started[1]) < texts.index("second")

    def test_each_run_has_all_of_its_retries(self, bench):
        flow = bench(steps({"id": "a", "retries": 1, "retry_delay": "0s"}))
        flow.look()
        flow.launcher.finish("a", 1)
        flow.look()
        assert flow.launcher.begun == ["a/1", "a/2"]
        flow.run_task("a")
        flow.look()
        flow.look()
        for _ in range(2):
            flow.launcher.finish("a", 1)
            flow.look()
        seen = flow.finish()
        assert flow.launcher.begun == ["a/1", "a/2", "a/3", "a/4"]
        assert seen.status is ExecutionStatus.FAILED
        assert "Task 'a': retry 1 of 1 in 0s" in flow.texts()

    def test_its_outputs_are_those_of_its_last_run(self, bench):
        flow = bench(
            steps("a", {"id": "b", "needs": ["a"]}, outputs={"n": "${{ steps.a.outputs.n }}"})
        )
        flow.look()
        flow.launcher.finish("a", outputs={"n": 1, "m": 1})
        flow.look()
        flow.run_task("a")
        flow.look()
        assert flow.launcher.running == {"a", "b"}, "what needs it goes on"
        flow.launcher.finish("a", outputs={"n": 2})
        flow.launcher.finish("b")
        assert flow.finish().outputs == {"n": 2}

    def test_what_failed_runs_and_what_was_given_up_stays_so(self, bench):
        flow = bench(steps("a", {"id": "b", "needs": ["a"]}, "side"))
        flow.look()
        flow.launcher.finish("a", 1)
        flow.look()
        assert flow.shown["b"] is SKIPPED
        flow.run_task("a")
        flow.look()
        assert (flow.shown["a"], flow.tasks["a"].error) == (RUNNING, None)
        flow.launcher.finish("a")
        flow.launcher.finish("side")
        seen = flow.finish()
        assert flow.launcher.begun == ["a/1", "side/1", "a/2"]
        assert flow.shown == {"a": SUCCESS, "b": SKIPPED, "side": SUCCESS}
        assert seen.status is ExecutionStatus.CANCELLED, "not all was done, and nothing failed"
        assert seen.error == "Not all was done: task 'b' has not run."

    def test_a_failure_that_is_not_known_yet_dooms_nobody(self, bench):
        flow = bench(chain())
        flow.look()
        flow.launcher.finish("a", 1)
        flow.run_task("a")
        flow.look()
        flow.look()
        assert flow.launcher.begun == ["a/1", "a/2"]
        for name in "abc":
            flow.launcher.finish(name)
            seen = flow.look()
        assert seen.status is ExecutionStatus.SUCCESS

    def test_several_at_once_are_one_run(self, bench):
        flow = bench(steps("a"))
        flow.look()
        flow.run_task("a")
        flow.run_task("a")
        flow.look()
        flow.look()
        flow.launcher.finish("a")
        flow.finish()
        assert flow.launcher.begun == ["a/1", "a/2"]
        assert flow.tasks["a"].run == 2

    def test_what_is_stopped_before_it_runs_again_stays_stopped(self, bench):
        flow = bench(steps("a"))
        flow.launcher.deaf = True
        flow.look()
        flow.run_task("a")
        flow.look()
        flow.stop_task("a")
        flow.look()
        flow.launcher.finish("a", 143, cancelled=True)
        assert flow.finish().status is ExecutionStatus.CANCELLED
        assert flow.launcher.begun == ["a/1"]

    def test_what_is_being_stopped_runs_again_once_it_has_ended(self, bench):
        flow = bench(steps("a"))
        flow.launcher.deaf = True
        flow.look()
        flow.stop_task("a")
        flow.look()
        flow.run_task("a")
        flow.look()
        flow.launcher.finish("a", 143, cancelled=True)
        flow.look()
        assert flow.launcher.begun == ["a/1", "a/2"]

    def test_an_end_of_all_goes_before(self, bench):
        flow = bench(steps("a", "b"))
        flow.launcher.deaf = True
        flow.look()
        flow.run_task("a")
        flow.look()
        flow.want(DesiredState.CANCEL)
        flow.look()
        for name in "ab":
            flow.launcher.finish(name, 143, cancelled=True)
        assert flow.finish().status is ExecutionStatus.CANCELLED
        assert flow.launcher.begun == ["a/1", "b/1"]

    def test_nothing_begins_while_the_execution_is_paused(self, bench):
        flow = bench(steps("a"))
        flow.look()
        flow.want(DesiredState.PAUSE)
        flow.look()
        flow.run_task("a")
        for _ in range(3):
            flow.look()
        assert flow.launcher.begun == ["a/1"]
        assert not flow.launcher.is_running("a/1")
        flow.want(DesiredState.RUN)
        flow.look()
        assert flow.launcher.begun == ["a/1", "a/2"]

    def test_the_rest_waits_for_the_end_of_all(self, bench):
        flow = bench(steps("a", "b"))
        flow.look()
        flow.launcher.finish("a")
        flow.look()
        flow.run_task("a")
        flow.launcher.finish("b")
        assert not flow.look().log_complete
        flow.launcher.finish("a")
        assert flow.finish().status is ExecutionStatus.SUCCESS


class TestStart:
    def test_what_is_not_due_runs_at_once(self, bench):
        flow = bench(chain())
        flow.look()
        flow.run_task("c")
        flow.look()
        assert flow.launcher.running == {"a", "c"}
        flow.launcher.finish("c")
        flow.look()
        flow.launcher.finish("a")
        flow.look()
        flow.launcher.finish("b")
        assert flow.finish().status is ExecutionStatus.SUCCESS
        assert flow.launcher.begun == ["a/1", "c/1", "b/1"], "it has run, and does not again"

    def test_what_it_needs_may_have_failed(self, bench):
        flow = bench(steps("a", {"id": "b", "needs": ["a"]}, "side"))
        flow.look()
        flow.launcher.finish("a", 1)
        flow.look()
        flow.run_task("b")
        flow.look()
        assert flow.launcher.running == {"b", "side"}
        flow.launcher.finish("b")
        flow.launcher.finish("side")
        assert flow.finish().status is ExecutionStatus.FAILED
        assert flow.shown["b"] is SUCCESS

    def test_what_it_needs_may_fail_while_it_waits(self, bench):
        flow = bench(steps("a", {"id": "b", "needs": ["a"]}), slots=Slots(1, None))
        flow.look()
        flow.run_task("b")
        flow.look()
        flow.launcher.finish("a", 1)
        flow.look()
        assert flow.launcher.running == {"b"}

    def test_a_value_that_is_missing_fails_it_by_name(self, bench):
        config = {"command": "echo", "args": ["${{ steps.a.outputs.n }}"]}
        flow = bench(steps("a", {"id": "b", "needs": ["a"], "config": config}))
        flow.look()
        flow.run_task("b")
        flow.look()
        assert flow.shown["b"] is FAILED
        assert "steps.a.outputs.n" in flow.tasks["b"].error

    def test_what_waits_for_its_next_attempt_begins_now(self, bench):
        flow = bench(steps({"id": "a", "retries": 1, "retry_delay": "1h"}))
        flow.look()
        flow.launcher.finish("a", 1)
        flow.look()
        flow.run_task("a")
        flow.look()
        assert flow.launcher.begun == ["a/1", "a/2"]

    def test_what_waits_in_the_queue_of_its_launcher_is_the_run(self, bench):
        flow = bench(steps("a"))
        flow.look()
        job = flow.launcher["a/1"]
        running, job.state = job.state, type(job.state)(JobPhase.QUEUED, reason="Priority")
        flow.look()
        flow.run_task("a")
        flow.look()
        job.state = running
        flow.look()
        flow.launcher.finish("a")
        flow.finish()
        assert flow.launcher.begun == ["a/1"]
        assert flow.tasks["a"].run == 1


class TestCrashes:
    @pytest.mark.parametrize("deaths", range(1, 5))
    def test_a_restart_is_one_run_more_wherever_the_conductor_dies(self, bench, deaths):
        """Each look up to a number is lost, or stored and not acted upon."""
        for stored in (False, True):
            flow = bench(steps("a"), id=f"e{stored}")
            flow.look()
            flow.run_task("a")
            for _ in range(deaths):
                flow.look(dies=True) if stored else flow.observe()
            for _ in range(3):
                flow.look()
            assert flow.launcher.running == {"a"} or deaths > 3
            if flow.launcher.is_running("a/2"):
                flow.launcher.finish("a/2")
                assert flow.finish().status is ExecutionStatus.SUCCESS
                assert flow.launcher.begun == ["a/1", "a/2"]

    def test_a_start_that_wishes_put_off_again_and_again_is_no_failure(self, bench):
        flow = bench(steps("a", *(f"s{i}" for i in range(8))))
        flow.look(dies=True)
        for i in range(8):
            flow.stop_task(f"s{i}")
            flow.look(dies=True)
        flow.look()
        assert flow.launcher.running == {"a"}


class TestGoingOn:
    def failed(self, bench):
        """A chain whose first step has failed."""
        flow = bench(chain())
        flow.look()
        flow.launcher.finish("a", 1)
        assert flow.finish().status is ExecutionStatus.FAILED
        return flow

    def test_a_single_task_runs_and_nobody_else(self, bench):
        other = self.failed(bench).goes_on("a")
        other.look()
        other.launcher.finish("a", outputs={"n": 5})
        seen = other.finish()
        assert other.launcher.begun == ["a/1", "a/101"]
        assert other.shown == {"a": SUCCESS, "b": SKIPPED, "c": SKIPPED}
        assert seen.status is ExecutionStatus.CANCELLED
        assert [other.tasks[name].continued_from for name in "abc"] == [None, "e1", "e1"]
        last = other.goes_on("b", "c")
        last.look()
        assert other.launcher.running == {"b"}
        last.launcher.finish("b")
        last.look()
        last.launcher.finish("c")
        assert last.finish().status is ExecutionStatus.SUCCESS
        assert last.tasks["a"].continued_from == "e1+"

    def test_what_is_kept_is_older_and_gives_its_outputs(self, bench):
        definition = steps(
            "a", {"id": "b", "needs": ["a"], "env": {"N": "${{ steps.a.outputs.n }}"}}
        )
        flow = bench(definition)
        flow.look()
        flow.launcher.finish("a", outputs={"n": 7})
        flow.look()
        flow.launcher.finish("b", 1)
        flow.finish()
        other = flow.goes_on("b")
        moment = datetime.now(UTC)
        assert other.look().started_at >= moment.replace(microsecond=0)
        assert other.launcher["b"].job.env["N"] == "7"
        assert other.launcher["b"].job.working_dir == flow.root / "e1" / "work"
        assert other.tasks["a"] == replace(flow.tasks["a"], continued_from="e1")
        other.launcher.finish("b")
        assert other.finish().status is ExecutionStatus.SUCCESS
        assert "goes on from 'e1'" in other.texts("")[0]

    def test_one_of_many_that_succeeded_runs_and_the_others_stay(self, bench):
        flow = bench(chain())
        flow.launcher.on_start = flow.launcher.finish
        assert flow.finish().status is ExecutionStatus.SUCCESS
        other = flow.goes_on("a")
        assert other.finish().status is ExecutionStatus.SUCCESS
        assert flow.launcher.begun == ["a/1", "b/1", "c/1", "a/101"]
        assert other.tasks["b"] == replace(flow.tasks["b"], continued_from="e1")

    def test_what_failed_and_is_kept_keeps_the_execution_from_success(self, bench):
        flow = bench(steps("a", "b"))
        flow.look()
        flow.launcher.finish("a", 1)
        flow.launcher.finish("b", 2)
        flow.finish()
        other = flow.goes_on("a")
        other.look()
        other.launcher.finish("a")
        seen = other.finish()
        assert seen.status is ExecutionStatus.FAILED
        assert seen.error.startswith("Task 'b' failed: exit code 2")

    def test_it_can_be_controlled_like_any_other(self, bench):
        flow = bench(steps("a", "b"))
        flow.look()
        flow.launcher.finish("a")
        flow.launcher.finish("b", 1)
        flow.finish()
        other = flow.goes_on("b")
        other.look()
        other.run_task("a")
        other.look()
        assert (other.tasks["a"].run, other.tasks["a"].continued_from) == (1, None)
        other.launcher.finish("a")
        other.launcher.finish("b")
        assert other.finish().status is ExecutionStatus.SUCCESS

    def test_jobs_that_were_left_alone_are_ended_before_anything_runs_in_their_place(self, bench):
        """As of an execution that was abandoned."""
        flow = bench(steps("a", "b", {"id": "c", "needs": ["a"]}))
        flow.look()
        flow.look()
        flow.launcher.deaf = True
        other = flow.goes_on("a", "c")
        assert (other.shown["a"], other.shown["b"]) == (RUNNING, RUNNING)
        for _ in range(2):
            other.look()
        assert other.launcher.begun == ["a/1", "b/1"]
        assert {call for call in other.launcher.calls if call[0] == "cancel"} == {
            ("cancel", "a/1"), ("cancel", "b/1"),
        }  # fmt: skip
        for name in "ab":
            other.launcher.finish(name, 143, cancelled=True)
        other.look()
        assert other.launcher.begun == ["a/1", "b/1", "a/102"]
        assert (other.shown["a"], other.shown["b"]) == (RUNNING, CANCELLED)
        other.launcher.finish("a")
        other.look()
        other.launcher.finish("c")
        assert other.finish().status is ExecutionStatus.CANCELLED

    def test_what_never_began_and_is_not_to_run_does_not(self, bench):
        flow = bench(chain())
        flow.look()
        other = flow.goes_on("a")
        for _ in range(2):
            other.look()
        other.launcher.finish("a")
        other.finish()
        assert (other.shown["b"], other.shown["c"]) == (SKIPPED, SKIPPED)

    def test_the_first_version_kept_all_it_knew_in_one_cursor(self, bench):
        flow = bench(steps("a", "b"))
        flow.look()
        flow.launcher.finish("a")
        flow.launcher.finish("b", 1)
        flow.finish()
        old = {"version": 1, "tasks": dict(flow.cursors)}
        flow.execution, flow.cursors = replace(flow.execution, cursor=old), StoredCursors()
        other = flow.goes_on("b", tasks=old["tasks"])
        other.look()
        assert (other.launcher.running, other.shown["a"]) == ({"b"}, SUCCESS)
