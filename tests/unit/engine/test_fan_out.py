"""Steps that run once for each element of a list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Bench, ScriptedLauncher, steps

from app.domain import DesiredState, ExecutionStatus, Level, TaskStatus
from app.engine.launchers.base import Job, JobPhase, JobState
from app.engine.progress import Progress, Stored
from app.errors import UpstreamRefused, UpstreamUnreachable

FIT = {
    "id": "fit",
    "foreach": ["a", {"k": [1]}, None],
    "config": {"command": "fit", "args": ["${{ item }}", "${{ index }}"]},
}
AFTER = {
    "id": "after",
    "needs": ["fit"],
    "config": {"command": "sum", "args": ["${{ steps.fit.outputs.score }}"]},
}
ELEMENTS = ["fit[0]", "fit[1]", "fit[2]"]


@pytest.fixture(params=[False, True], ids=["remembers", "forgets"])
def forgetful(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def bench(tmp_path: Path, forgetful: bool) -> Bench:
    return begun(tmp_path, FIT, AFTER, forgetful=forgetful)


def begun(root: Path, *described: Any, forgetful: bool = False, **words: Any) -> Bench:
    inputs = words.pop("values", {})
    bench = Bench(steps(*described, **words), root, forgetful=forgetful, inputs=inputs)
    bench.look()
    bench.look()
    return bench


def fit(**words: Any) -> dict[str, Any]:
    return {**FIT, **words}


def statuses(bench: Bench, *names: str) -> list[str]:
    return [str(bench.tasks[name].status) for name in names]


def finish_all(bench: Bench, *names: str) -> None:
    for name in names:
        bench.launcher.finish(name, outputs={"score": 1})
    bench.look()
    bench.look()


class TestElements:
    def test_each_is_a_task_with_its_value_and_its_place(self, bench):
        assert list(bench.tasks) == ["fit", *ELEMENTS]
        jobs = [bench.launcher[name].job for name in ELEMENTS]
        assert [job.argv for job in jobs] == [
            ("fit", "a", "0"), ("fit", '{"k": [1]}', "1"), ("fit", "", "2"),
        ]  # fmt: skip
        assert [job.env["SLIPWAY_ITEM"] for job in jobs] == ["a", '{"k": [1]}', ""]
        assert [job.env["SLIPWAY_INDEX"] for job in jobs] == ["0", "1", "2"]
        assert jobs[1].env["SLIPWAY_TASK"] == "fit[1]"
        assert statuses(bench, "fit", *ELEMENTS) == ["RUNNING"] * 4

    def test_their_outputs_are_lists_in_their_order(self, bench):
        for name in reversed(ELEMENTS):
            bench.launcher.finish(name, outputs={"score": name[-2]} if "1" not in name else {})
            bench.look()
        bench.look()
        assert bench.launcher["after"].job.argv == ("sum", '["0", null, "2"]')
        bench.launcher.finish("after")
        assert bench.finish().status is ExecutionStatus.SUCCESS
        assert statuses(bench, "fit", *ELEMENTS) == ["SUCCESS"] * 4
        assert bench.tasks["fit"].finished_at >= bench.tasks["fit[0]"].finished_at
        assert "Task 'fit' succeeded: 3 of 3 elements" in [entry.content for entry in bench.log]

    def test_none_are_a_success_whose_outputs_are_empty_lists(self, tmp_path, forgetful):
        bench = begun(tmp_path, fit(foreach=[]), AFTER, forgetful=forgetful)
        assert statuses(bench, "fit", "after") == ["SUCCESS", "RUNNING"]
        assert bench.launcher["after"].job.argv == ("sum", "[]")
        bench.launcher.finish("after")
        assert bench.finish().status is ExecutionStatus.SUCCESS

    def test_the_list_may_be_an_input(self, tmp_path, forgetful):
        bench = begun(
            tmp_path, fit(foreach="${{ inputs.files }}", item="file", config={
                "command": "fit", "args": ["${{ file.name }}"]}),
            forgetful=forgetful, inputs={"files": {"type": "array"}},
            values={"files": [{"name": "x"}, {"name": "y"}]},
        )  # fmt: skip
        assert bench.launcher["fit[1]"].job.argv == ("fit", "y")

    def test_the_list_may_be_what_an_earlier_step_found(self, tmp_path, forgetful):
        bench = begun(
            tmp_path, "find", fit(needs=["find"], foreach="${{ steps.find.outputs.files }}"),
            forgetful=forgetful,
        )  # fmt: skip
        assert list(bench.tasks) == ["find"]
        bench.launcher.finish("find", outputs={"files": ["x"]})
        bench.look()
        bench.look()
        assert bench.launcher.running == {"fit[0]"}
        finish_all(bench, "fit[0]")
        assert bench.execution.status is ExecutionStatus.SUCCESS

    def test_a_list_of_lists_gathered_is_a_list_again(self, tmp_path, forgetful):
        again = fit(id="again", needs=["fit"], foreach="${{ steps.fit.outputs.n }}")
        bench = begun(tmp_path, FIT, again, forgetful=forgetful)
        for place, name in enumerate(ELEMENTS):
            bench.launcher.finish(name, outputs={"n": place})
        bench.look()
        bench.look()
        assert bench.launcher.running == {"again[0]", "again[1]", "again[2]"}
        assert bench.launcher["again[2]"].job.env["SLIPWAY_ITEM"] == "2"

    @pytest.mark.parametrize(
        ("over", "values", "said"),
        [
            ("${{ inputs.x }}", {"x": "abc"}, "foreach: must be a list, and is a text"),
            ("${{ inputs.x }}", {"x": {}}, "foreach: must be a list, and is an object"),
            ("${{ inputs.x }}", {"x": None}, "foreach: must be a list, and is null"),
            ("${{ inputs.x }}", {"x": [1] * 1001}, "1,001 elements, and may have 1,000 (engine.ma"),
            ("${{ inputs.x | first }}", {"x": [3]}, "foreach: must be a list, and is 3"),
            ("${{ inputs.x.y }}", {"x": []}, "foreach: ${{ inputs.x.y }} cannot be evaluated"),
        ],
    )
    def test_what_is_no_list_fails_the_step(self, tmp_path, over, values, said):
        bench = begun(
            tmp_path, fit(foreach=over), AFTER, inputs={"x": {"type": "array"}}, values=values
        )
        assert said in bench.tasks["fit"].error
        assert statuses(bench, "fit", "after") == ["FAILED", "SKIPPED"]
        assert bench.execution.status is ExecutionStatus.FAILED

    def test_an_execution_has_so_many_tasks_at_the_most(self, tmp_path, monkeypatch):
        monkeypatch.setattr("app.engine.run.MAX_STEPS", 4)
        bench = begun(tmp_path, fit(foreach="${{ [1, 2, 3] }}"), "other")
        assert "an execution may have" in bench.tasks["fit"].error

    def test_paths_hold_their_index(self, tmp_path):
        bench = begun(tmp_path, fit(stdout="out/${{ index }}.txt", working_dir="w${{index}}"))
        job = bench.launcher["fit[2]"].job
        assert job.stdout is not None
        assert (job.stdout.path, job.working_dir.name) == ("out/2.txt", "w2")

    def test_a_step_waits_in_a_queue_while_all_that_was_begun_does(self, bench):
        jobs = [bench.launcher[name] for name in ELEMENTS]
        running, queued = jobs[0].state, JobState(JobPhase.QUEUED, reason="Priority")
        for job in jobs[:2]:
            job.state = queued
        bench.look()
        assert statuses(bench, "fit", *ELEMENTS) == ["RUNNING", "PENDING", "PENDING", "RUNNING"]
        jobs[2].state = queued
        bench.look()
        assert statuses(bench, "fit", *ELEMENTS) == ["PENDING"] * 4
        waits = {"kind": "queue", "reason": "Priority"}
        assert [bench.tasks[name].waits_for for name in ("fit", *ELEMENTS)] == [waits] * 4
        assert bench.tasks["fit"].started_at is None
        jobs[1].state = replace(running, started_at=running.started_at + 60)
        bench.look()
        assert statuses(bench, "fit", *ELEMENTS) == ["RUNNING", "PENDING", "RUNNING", "PENDING"]
        assert bench.tasks["fit"].waits_for is None
        assert bench.tasks["fit"].started_at == bench.tasks["fit[1]"].started_at
        jobs[2].state = running
        finish_all(bench, *ELEMENTS[1:])
        assert statuses(bench, "fit", *ELEMENTS) == ["RUNNING", "PENDING", "SUCCESS", "SUCCESS"]
        jobs[0].state = running
        finish_all(bench, "fit[0]")
        assert statuses(bench, "fit", *ELEMENTS) == ["SUCCESS"] * 4


class TestWhatGoesWrong:
    def test_others_go_on_and_the_step_fails_at_the_end(self, bench):
        bench.launcher.finish("fit[1]", 3)
        bench.look()
        assert statuses(bench, "fit", *ELEMENTS) == ["RUNNING", "RUNNING", "FAILED", "RUNNING"]
        finish_all(bench, "fit[0]", "fit[2]")
        assert statuses(bench, "fit", "after") == ["FAILED", "SKIPPED"]
        assert bench.tasks["fit"].error.startswith("1 of 3 elements failed, 'fit[1]': exit code 3")
        seen = bench.finish()
        assert seen.status is ExecutionStatus.FAILED
        assert seen.error is not None
        assert seen.error.startswith("Task 'fit' failed: 1 of 3 elements failed")
        assert seen.progress == 1.0

    def test_it_may_be_allowed_to_fail_and_leaves_what_others_found(self, tmp_path, forgetful):
        bench = begun(tmp_path, fit(allow_failure=True), AFTER, forgetful=forgetful)
        bench.launcher.finish("fit[0]", outputs={"score": 1})
        bench.launcher.finish("fit[1]", 3)
        bench.launcher.finish("fit[2]", outputs={"score": 3})
        bench.look()
        bench.look()
        assert bench.launcher["after"].job.argv == ("sum", "[1, null, 3]")
        bench.launcher.finish("after")
        assert bench.finish().status is ExecutionStatus.SUCCESS

    def test_each_has_its_own_attempts(self, tmp_path, forgetful):
        bench = begun(tmp_path, fit(retries=1), forgetful=forgetful)
        bench.launcher.finish("fit[1]", 3)
        bench.wait_for(lambda: bench.tasks["fit[1]"].attempts == 2)
        assert [bench.tasks[name].attempts for name in ("fit", *ELEMENTS)] == [1, 1, 2, 1]
        bench.wait_for(lambda: "fit[1]/2" in bench.launcher.jobs)
        finish_all(bench, *ELEMENTS)
        assert bench.execution.status is ExecutionStatus.SUCCESS

    def test_what_is_skipped_is_so_before_it_is_spread(self, tmp_path):
        bench = begun(tmp_path, "first", fit(needs=["first"]))
        bench.launcher.finish("first", 1)
        assert bench.finish().status is ExecutionStatus.FAILED
        assert statuses(bench, "fit") == ["SKIPPED"]
        assert "fit[0]" not in bench.tasks

    def test_expressions_without_a_value_fail_their_element(self, tmp_path):
        words = {"command": "fit", "args": ["${{ item.name }}"]}
        bench = begun(tmp_path, fit(foreach=[{"name": 1}, {}], config=words))
        assert bench.launcher.running == {"fit[0]"}
        finish_all(bench, "fit[0]")
        assert statuses(bench, "fit", "fit[0]", "fit[1]") == ["FAILED", "SUCCESS", "FAILED"]

    def test_outputs_that_are_too_large_together_fail_who_wants_them(self, bench, monkeypatch):
        monkeypatch.setattr("app.engine.foreach.MAX_GATHERED_BYTES", 10)
        for name in ELEMENTS:
            bench.launcher.finish(name, outputs={"score": "12345"})
        bench.look()
        bench.look()
        assert "together are larger than 10 bytes" in bench.tasks["after"].error


class TestMaxParallel:
    def test_so_many_run_at_the_same_time_in_their_order(self, tmp_path, forgetful):
        bench = begun(tmp_path, fit(max_parallel=2), AFTER, forgetful=forgetful)
        assert bench.launcher.running == {"fit[0]", "fit[1]"}
        finish_all(bench, "fit[1]")
        assert bench.launcher.running == {"fit[0]", "fit[2]"}
        finish_all(bench, "fit[0]", "fit[2]")
        assert bench.launcher.running == {"after"}

    def test_those_outside_say_what_they_wait_for(self, tmp_path, forgetful):
        bench = begun(tmp_path, fit(max_parallel=1), forgetful=forgetful)
        assert bench.tasks["fit[0]"].waits_for is None
        reason = "its turn: 1 of 'fit' run at the same time (max_parallel)"
        assert bench.tasks["fit[2]"].waits_for == {"kind": "turn", "reason": reason}
        finish_all(bench, "fit[0]")
        assert bench.tasks["fit[1]"].waits_for is None

    def test_one_that_waits_for_its_next_attempt_keeps_its_place(self, tmp_path, forgetful):
        words = {"max_parallel": 1, "retries": 1, "retry_delay": "1h"}
        bench = begun(tmp_path, fit(**words), forgetful=forgetful)
        finish_all_failed(bench, "fit[0]")
        assert bench.launcher.running == set()

    def test_what_is_asked_for_by_name_comes_first(self, tmp_path, forgetful):
        bench = begun(tmp_path, fit(max_parallel=1), forgetful=forgetful)
        bench.run_task("fit[2]")
        bench.look()
        assert bench.launcher.running == {"fit[0]"}
        finish_all(bench, "fit[0]")
        assert bench.launcher.running == {"fit[2]"}


def finish_all_failed(bench: Bench, name: str) -> None:
    bench.launcher.finish(name, 1)
    bench.look()
    bench.look()


class TestWishes:
    def test_all_are_cancelled(self, bench):
        bench.want(DesiredState.CANCEL)
        assert bench.finish().status is ExecutionStatus.CANCELLED
        assert statuses(bench, "fit", *ELEMENTS, "after") == ["CANCELLED"] * 5

    def test_they_are_paused_and_go_on(self, bench):
        bench.want(DesiredState.PAUSE)
        bench.look()
        bench.look()
        assert statuses(bench, "fit", *ELEMENTS) == ["PAUSED"] * 4
        bench.want(DesiredState.RUN)
        bench.look()
        bench.look()
        finish_all(bench, *ELEMENTS)
        assert statuses(bench, "fit", "after") == ["SUCCESS", "RUNNING"]

    def test_nothing_is_spread_while_all_is_paused(self, tmp_path):
        bench = Bench(steps(FIT), tmp_path)
        bench.want(DesiredState.PAUSE)
        bench.look()
        assert "fit[0]" not in bench.cursors
        bench.want(DesiredState.RUN)
        bench.look()
        assert bench.launcher.running == set(ELEMENTS)

    def test_one_is_stopped(self, bench):
        bench.stop_task("fit[1]")
        bench.look()
        finish_all(bench, "fit[0]", "fit[2]")
        assert statuses(bench, "fit", "fit[1]", "after") == ["CANCELLED", "CANCELLED", "SKIPPED"]
        assert bench.finish().status is ExecutionStatus.CANCELLED

    def test_the_step_is_stopped_with_all_of_them(self, bench):
        bench.stop_task("fit")
        bench.look()
        bench.look()
        assert statuses(bench, "fit", *ELEMENTS) == ["CANCELLED"] * 4

    def test_one_that_is_asked_for_runs_although_the_step_was_stopped(self, tmp_path, forgetful):
        bench = begun(tmp_path, FIT, "other", forgetful=forgetful)
        bench.stop_task("fit")
        bench.look()
        bench.look()
        bench.run_task("fit[1]")
        bench.look()
        bench.look()
        assert bench.launcher.running == {"fit[1]", "other"}
        bench.run_task("other")  # all wishes are read once more
        bench.look()
        assert statuses(bench, "fit", "fit[1]") == ["RUNNING", "RUNNING"]

    def test_one_runs_again(self, tmp_path, forgetful):
        bench = begun(tmp_path, FIT, AFTER, "other", forgetful=forgetful)
        bench.launcher.finish("fit[1]", 3)
        finish_all(bench, "fit[0]", "fit[2]")
        assert statuses(bench, "fit", "after") == ["FAILED", "SKIPPED"]
        bench.run_task("fit[1]")
        bench.look()
        bench.look()
        assert statuses(bench, "fit", "fit[1]") == ["RUNNING", "RUNNING"]
        assert bench.tasks["fit"].finished_at is None
        finish_all(bench, "fit[1]")
        assert statuses(bench, "fit", "fit[1]") == ["SUCCESS", "SUCCESS"]
        assert bench.launcher["fit[1]/2"].job.env["SLIPWAY_ITEM"] == '{"k": [1]}'

    def test_the_step_runs_again_with_all_of_them(self, tmp_path, forgetful):
        bench = begun(tmp_path, FIT, AFTER, "other", forgetful=forgetful)
        finish_all(bench, "fit[0]")
        bench.run_task("fit")
        for _ in range(3):
            bench.look()
        assert {job for job in bench.launcher.jobs if bench.launcher.is_running(job)} == {
            "fit[0]/2", "fit[1]/2", "fit[2]/2", "other/1",
        }  # fmt: skip
        assert (bench.tasks["fit"].run, bench.tasks["fit[0]"].run) == (1, 0)
        finish_all(bench, *ELEMENTS)
        assert statuses(bench, "fit", "after") == ["SUCCESS", "RUNNING"]
        assert (bench.tasks["fit"].attempts, bench.tasks["fit[2]"].attempts) == (2, 2)


class TestGoingOn:
    def test_only_what_failed_runs_again(self, tmp_path, forgetful):
        bench = begun(tmp_path, FIT, AFTER, forgetful=forgetful)
        bench.launcher.finish("fit[0]", outputs={"score": "kept"})
        bench.launcher.finish("fit[1]", 3)
        bench.launcher.finish("fit[2]")
        bench.finish()
        other = bench.goes_on("fit", "fit[1]", "after")
        other.look()
        other.look()
        assert other.launcher.running == {"fit[1]"}
        assert other.launcher["fit[1]"].job.env["SLIPWAY_ITEM"] == '{"k": [1]}'
        assert statuses(other, "fit") == ["RUNNING"]
        other.launcher.finish("fit[1]", outputs={"score": "new"})
        other.look()
        other.look()
        assert other.launcher["after"].job.argv == ("sum", '["kept", "new", null]')
        other.launcher.finish("after")
        assert other.finish().status is ExecutionStatus.SUCCESS

    def test_elements_wait_for_what_their_step_needs(self, tmp_path, forgetful):
        bench = begun(tmp_path, "first", fit(needs=["first"]), AFTER, forgetful=forgetful)
        finish_all(bench, "first")
        finish_all(bench, *ELEMENTS)
        bench.launcher.finish("after")
        bench.finish()
        other = bench.goes_on("first", "fit", "after")
        other.look()
        other.look()
        assert other.launcher.running == {"first"}
        finish_all(other, "first")
        assert other.launcher.running == set(ELEMENTS)

    def test_what_can_never_begin_is_skipped_with_its_elements(self, tmp_path, forgetful):
        bench = begun(tmp_path, "first", fit(needs=["first"]), AFTER, forgetful=forgetful)
        finish_all(bench, "first")
        finish_all(bench, *ELEMENTS)
        bench.launcher.finish("after")
        bench.finish()
        other = bench.goes_on("first", "fit", "after")
        other.look()
        other.look()
        other.launcher.finish("first", 1)
        assert other.finish().status is ExecutionStatus.FAILED
        assert statuses(other, "fit", *ELEMENTS, "after") == ["SKIPPED"] * 5
        assert other.tasks["fit[1]"].error == "needs 'first', which did not succeed"

    def test_of_what_was_abandoned_all_ends_first(self, tmp_path, forgetful):
        bench = begun(tmp_path, fit(max_parallel=2), AFTER, forgetful=forgetful)
        other = bench.goes_on("fit", "after")
        for _ in range(3):
            other.look()
        going = set(filter(other.launcher.is_running, other.launcher.jobs))
        assert not {"fit[0]/1", "fit[1]/1"} & going
        assert len(other.launcher.running) == 2
        for _ in range(3):
            finish_all(other, *other.launcher.running)
        assert statuses(other, "fit", *ELEMENTS, "after") == ["SUCCESS"] * 5


class TestStarts:
    def test_those_of_one_look_are_begun_together(self, tmp_path):
        launcher = ManyLauncher()
        bench = Bench(steps(FIT, "other"), tmp_path, launcher)
        bench.look()
        assert launcher.together == [["fit[0]", "fit[1]", "fit[2]"]]
        assert launcher.running == {"other", *ELEMENTS}

    def test_one_that_cannot_be_begun_holds_up_no_other(self, tmp_path):
        bench = Bench(steps(FIT), tmp_path)
        bench.launcher.broken_spawns = {"fit[0]": UpstreamUnreachable("not now")}
        with pytest.raises(UpstreamUnreachable, match="not now"):
            bench.look()
        assert bench.launcher.running == {"fit[1]", "fit[2]"}
        bench.launcher.broken_spawns = {}
        bench.look()
        assert bench.launcher.running == set(ELEMENTS)

    def test_one_that_can_never_be_begun_fails_alone(self, tmp_path):
        bench = Bench(steps(FIT), tmp_path)
        bench.launcher.broken_starts = {"fit[1]": UpstreamRefused("no such folder")}
        bench.look()
        assert statuses(bench, *ELEMENTS) == ["RUNNING", "FAILED", "RUNNING"]
        assert bench.launcher.running == {"fit[0]", "fit[2]"}
        finish_all(bench, "fit[0]", "fit[2]")
        assert "'fit[1]': no such folder" in bench.tasks["fit"].error

    def test_nothing_is_begun_twice_after_a_death(self, tmp_path):
        bench = Bench(steps(FIT), tmp_path, forgetful=True)
        bench.look(dies=True)
        bench.look()
        assert [bench.launcher.starts(f"{name}/1") for name in ELEMENTS] == [1, 1, 1]


class ManyLauncher(ScriptedLauncher):
    """Notes what is begun together."""

    def __init__(self) -> None:
        super().__init__()
        self.together: list[list[str]] = []

    def start_many(self, jobs: list[Job]) -> None:
        self.together.append([job.folder.parent.name for job in jobs])
        super().start_many(jobs)


class TestStored:
    def test_no_program_reads_it_that_knows_no_elements(self, bench):
        assert bench.execution.cursor["version"] == 4

    def test_a_null_is_told_from_no_value(self, bench):
        assert bench.cursors["fit[2]"]["item"] == [None]

    def test_an_execution_of_an_earlier_program_is_spread_as_well(self, tmp_path):
        plan = Bench(steps("first", fit(needs=["first"])), tmp_path).plan
        progress = Progress(plan, Stored({"version": 2}, {"first": {"status": "SUCCESS"}}))
        assert progress.next_list(0.0) == "fit"

    def test_what_is_said_of_the_step_is_said_once(self, bench):
        finish_all(bench, *ELEMENTS)
        said = [e.content for e in bench.log if e.task == "fit" and e.level == Level.INFO]
        assert said == ["Task 'fit' runs for 3 elements", "Task 'fit' succeeded: 3 of 3 elements"]

    def test_the_share_that_is_done_counts_elements(self, bench):
        finish_all(bench, "fit[0]")
        assert bench.shares[-1] == pytest.approx(1 / 4)

    def test_statuses_are_those_of_their_tasks(self, bench):
        assert bench.tasks["fit"].status is TaskStatus.RUNNING
