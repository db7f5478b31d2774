"""A run of the engine, observed step by step over a launcher that runs nothing."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import pytest
from engine_kit import GONE, NODE, REASON, ScriptedLauncher, diamond, steps
from kit.patience import PATIENCE_SECONDS

from app.domain import DesiredState, ExecutionStatus, Level, LogStream, TaskStatus
from app.engine.launchers.base import OutputLine, Stream
from app.engine.log_room import LogRoom
from app.engine.slots import Slots
from app.errors import InvalidRequest, UpstreamRefused, UpstreamUnreachable

SUCCESS, FAILED, SKIPPED = TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.SKIPPED
CANCELLED, PENDING = TaskStatus.CANCELLED, TaskStatus.PENDING
RUNNING, PAUSED = TaskStatus.RUNNING, TaskStatus.PAUSED


def succeed_at_once(bench):
    bench.launcher.on_start = bench.launcher.finish
    return bench


# The graph


def test_each_step_begins_when_all_that_it_needs_have_ended(bench):
    flow = bench(diamond())
    flow.look()
    assert flow.launcher.running == {"split"}
    flow.launcher.finish("split")
    flow.look()
    assert flow.launcher.running == {"left", "right"}
    flow.launcher.finish("right")
    flow.look()
    assert flow.launcher.running == {"left"}, "join waits for both"
    flow.launcher.finish("left")
    flow.look()
    assert flow.launcher.running == {"join"}
    flow.launcher.finish("join")
    seen = flow.look()
    assert seen.status is ExecutionStatus.SUCCESS
    assert seen.log_complete
    assert seen.error is None
    assert seen.finished_at is not None
    assert set(flow.shown.values()) == {SUCCESS}
    assert flow.launcher.begun[0] == "split/1"
    assert flow.launcher.begun[-1] == "join/1"


def test_the_order_in_the_document_does_not_matter(bench):
    flow = succeed_at_once(bench(steps({"id": "last", "needs": ["first"]}, "first")))
    flow.finish()
    assert flow.launcher.begun == ["first/1", "last/1"]


def test_the_status_tells_how_far_it_is(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.finish("only")
    flow.finish()
    assert flow.statuses == [ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS]


def test_tasks_tell_their_times_exit_code_attempts_and_node(bench):
    flow = bench(steps("only"))
    flow.look()
    task = flow.tasks["only"]
    assert (task.status, task.attempts, task.exit_code) == (RUNNING, 1, None)
    assert task.finished_at is None
    flow.launcher.finish("only")
    flow.finish()
    task = flow.tasks["only"]
    assert (task.status, task.attempts, task.exit_code, task.node) == (SUCCESS, 1, 0, NODE)
    assert task.error is None
    assert task.started_at <= task.finished_at


def test_only_tasks_that_changed_are_told(bench):
    flow = bench(diamond())
    assert {task.name for task in flow.look().tasks} == {"split"}
    flow.look()  # now the node is known
    assert flow.look().tasks == ()
    flow.launcher.finish("split")
    assert {task.name for task in flow.look().tasks} == {"split", "left", "right"}


def test_progress_grows_from_0_to_1(bench):
    flow = bench(diamond())
    for name in ("split", "left", "right", "join"):
        flow.look()
        flow.launcher.finish(name)
    flow.finish()
    assert flow.shares == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_chain_of_150_steps_ends_in_a_look_per_step(bench):
    names = [f"s{i:03}" for i in range(150)]
    links = [{"id": b, "needs": [a]} for a, b in itertools.pairwise(names)]
    flow = succeed_at_once(bench(steps(names[0], *links)))
    seen = flow.finish(most=160)
    assert seen.status is ExecutionStatus.SUCCESS
    assert flow.launcher.begun == [f"{name}/1" for name in names]
    assert flow.shares == sorted(flow.shares)


def test_a_fan_of_500_steps_ends_in_a_handful_of_looks(bench):
    fan = [{"id": f"s{i:03}", "needs": ["fork"]} for i in range(500)]
    join = {"id": "join", "needs": [step["id"] for step in fan]}
    flow = succeed_at_once(bench(steps("fork", *fan, join)))
    assert flow.finish(most=8).status is ExecutionStatus.SUCCESS
    assert len(flow.launcher.begun) == 502


def test_a_fan_of_150_steps_with_one_processor_runs_them_one_by_one(bench):
    flow = bench(steps(*(f"s{i:03}" for i in range(150))), slots=Slots(1, None))
    for _ in range(150):
        flow.look()
        (running,) = flow.launcher.running
        flow.launcher.finish(running)
    assert flow.finish(most=2).status is ExecutionStatus.SUCCESS


# What tasks may take of the machine


def test_no_more_tasks_run_than_there_are_processors(bench):
    flow = bench(
        steps("a", "b", {"id": "wide", "resources": {"cpus": 2}}, "c"), slots=Slots(3, None)
    )
    flow.look()
    assert flow.launcher.running == {"a", "b", "c"}, "what fits goes past what does not"
    flow.launcher.finish("a")
    flow.look()
    assert "wide" not in flow.launcher.running
    flow.launcher.finish("b")
    flow.look()
    assert flow.launcher.running == {"wide", "c"}


def test_no_more_memory_is_promised_than_there_is(bench):
    half = {"resources": {"memory": "512M"}}
    flow = bench(
        steps({"id": "a", **half}, {"id": "b", **half}, {"id": "c", **half}),
        slots=Slots(100, 1024**3),
    )
    flow.look()
    assert len(flow.launcher.running) == 2
    flow.launcher.finish(min(flow.launcher.running))
    flow.look()
    assert len(flow.launcher.running) == 2
    assert len(flow.launcher.begun) == 3


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        ({"cpus": 64}, "resources: it asks for 64 processors, and all tasks together have 2"),
        ({"memory": "1T"}, f"resources: it asks for {2**40} bytes of memory"),
    ],
)
def test_a_task_that_wants_more_than_there_is_fails_at_once(bench, resources, reason):
    greedy = {"id": "greedy", "resources": resources, "retries": 9, "retry_delay": "1h"}
    flow = bench(steps(greedy, {"id": "after", "needs": ["greedy"]}, "x"), slots=Slots(2, 1024))
    flow.look()
    assert flow.launcher.running == {"x"}
    assert flow.shown["after"] is SKIPPED
    assert flow.tasks["greedy"].error.startswith(reason)
    flow.launcher.finish("x")
    assert reason in flow.finish().error


def test_an_execution_that_waits_for_room_is_woken_when_there_is_some(bench):
    slots, launcher = Slots(1, None), ScriptedLauncher()
    first = bench(steps("only"), slots=slots, launcher=launcher)
    second = bench(steps("other"), slots=slots, launcher=launcher, id="e2")
    woken = []
    slots.listen(woken.append)
    first.look()
    assert second.look().status is ExecutionStatus.PENDING
    assert woken == []
    launcher.finish("only")
    first.look()
    assert woken == ["e2"]
    second.look()
    assert launcher.running == {"other"}


@pytest.mark.parametrize("end", ["failure", "cancel", "loss", "no start", "unreadable outputs"])
def test_room_is_given_back_however_a_task_ends(bench, end):
    flow = bench(
        steps({"id": "a", "env": {"X": "${{ 1 / 0 }}"} if end == "no start" else {}}),
        slots=Slots(1, None),
    )
    flow.look()
    if end == "failure":
        flow.launcher.finish("a", 1)
    elif end == "loss":
        flow.launcher.lose("a")
    elif end == "unreadable outputs":
        flow.launcher.finish("a", outputs=InvalidRequest("Line 1."))
    elif end == "cancel":
        flow.want(DesiredState.CANCEL)
    flow.finish()
    other = bench(steps("b"), slots=flow.slots, id="e2")
    other.look()
    assert other.launcher.running == {"b"}


# Failure


def test_a_failure_skips_what_needs_it_and_lets_the_other_branches_end(bench):
    flow = bench(
        steps(
            "bad", {"id": "child", "needs": ["bad"]}, {"id": "grandchild", "needs": ["child"]},
            "good", {"id": "after", "needs": ["good"]},
        )
    )  # fmt: skip
    flow.look()
    flow.launcher.say("bad", "reading", "no such file")
    flow.launcher.finish("bad", 3)
    flow.look()
    flow.look()
    assert flow.seen.status is ExecutionStatus.RUNNING, "an independent branch still runs"
    assert flow.shown["child"] is flow.shown["grandchild"] is SKIPPED
    flow.launcher.finish("good")
    flow.look()
    flow.launcher.finish("after")
    seen = flow.finish()
    assert seen.status is ExecutionStatus.FAILED
    assert flow.shown["after"] is SUCCESS
    assert "'bad'" in seen.error
    assert "exit code 3" in seen.error
    assert "no such file" in seen.error
    assert "bad" in flow.tasks["child"].error
    assert flow.tasks["bad"].exit_code == 3


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (3, "exit code 3 after"),
        (137, "exit code 137 (SIGKILL: killed) after"),
        (127, "exit code 127 (something that it called was not found) after"),
        (255, "exit code 255 after"),
    ],
)
def test_the_reason_says_what_an_exit_code_means(bench, code, reason):
    flow = bench(steps("bad"))
    flow.look()
    flow.launcher.finish("bad", exit_code=code)
    flow.finish()
    assert reason in flow.tasks["bad"].error


def test_only_the_last_lines_stand_in_the_reason(bench):
    flow = bench(steps("bad"))
    flow.look()
    flow.launcher.say("bad", *(f"line {i}" for i in range(100)), "x" * 60_000)
    flow.launcher.finish("bad", 1)
    error = flow.finish().error
    assert "line 99" in error
    assert "line 90" not in error
    assert len(error) < 1000


def test_a_failure_that_is_allowed_lets_the_execution_succeed(bench):
    flow = bench(
        steps(
            {"id": "shaky", "allow_failure": True}, {"id": "next", "needs": ["shaky"]},
            outputs={"how": "${{ steps.shaky.status }}", "code": "${{ steps.shaky.exit_code }}"},
        )
    )  # fmt: skip
    flow.look()
    flow.launcher.finish("shaky", 7)
    flow.look()
    flow.launcher.finish("next")
    seen = flow.finish()
    assert seen.status is ExecutionStatus.SUCCESS
    assert flow.shown["shaky"] is FAILED
    assert seen.outputs == {"how": "FAILED", "code": 7}


def test_what_a_skipped_task_was_needed_for_is_skipped_though_failures_are_allowed(bench):
    middle = {"id": "middle", "needs": ["bad"], "allow_failure": True}
    flow = bench(steps("bad", middle, {"id": "last", "needs": ["middle"]}))
    flow.look()
    flow.launcher.finish("bad", 1)
    assert flow.finish().status is ExecutionStatus.FAILED
    assert flow.shown["middle"] is flow.shown["last"] is SKIPPED


def test_what_needs_a_task_that_cannot_be_launched_is_never_begun(bench):
    wrong = {"id": "wrong", "env": {"X": "${{ 1 / 0 }}"}}
    flow = bench(steps(wrong, {"id": "child", "needs": ["wrong"]}, "other"))
    flow.look()
    assert flow.shown["wrong"] is FAILED
    assert flow.shown["child"] is SKIPPED
    flow.launcher.finish("other")
    assert flow.finish().status is ExecutionStatus.FAILED
    assert flow.launcher.begun == ["other/1"]


def test_what_needs_a_task_that_may_fail_begins_though_that_cannot_be_launched(bench):
    wrong = {"id": "wrong", "env": {"X": "${{ 1 / 0 }}"}, "allow_failure": True}
    flow = bench(steps(wrong, {"id": "child", "needs": ["wrong"]}))
    assert flow.look().poll_after_seconds == 0.0
    flow.look()
    assert flow.launcher.running == {"child"}


def test_an_execution_began_with_its_first_attempt_whatever_comes_later(bench):
    flow = bench(steps({"id": "shaky", "retries": 1, "retry_delay": "0s"}))
    first = flow.look().started_at
    flow.launcher.finish("shaky", 1)
    flow.wait_for(lambda: len(flow.launcher.begun) == 2)
    assert flow.seen.started_at == first


def test_a_failed_task_is_tried_again_in_a_folder_of_its_own(bench):
    flow = bench(steps({"id": "shaky", "retries": 2, "retry_delay": "0s"}))
    for attempt in (1, 2):
        flow.wait_for(lambda attempt=attempt: f"shaky/{attempt}" in flow.launcher.begun)
        assert flow.launcher["shaky"].job.env["SLIPWAY_ATTEMPT"] == str(attempt)
        flow.launcher.say("shaky", f"attempt {attempt}")
        flow.launcher.finish("shaky", 1)
    flow.wait_for(lambda: len(flow.launcher.begun) == 3)
    flow.launcher.finish("shaky")
    seen = flow.finish()
    assert seen.status is ExecutionStatus.SUCCESS
    task = flow.tasks["shaky"]
    assert (task.attempts, task.exit_code, task.error) == (3, 0, None)
    assert {"attempt 1", "attempt 2"} <= set(flow.texts("shaky"))
    assert any("retry 1 of 2" in text for text in flow.texts("shaky"))


def test_a_task_that_never_succeeds_fails_after_its_last_retry(bench):
    flow = bench(steps({"id": "bad", "retries": 2, "retry_delay": "0s"}))
    flow.launcher.on_start = lambda name: flow.launcher.finish(name, 1)
    assert flow.finish().status is ExecutionStatus.FAILED
    assert flow.launcher.begun == ["bad/1", "bad/2", "bad/3"]
    assert flow.tasks["bad"].attempts == 3


def test_a_retry_waits_for_its_delay_and_does_not_keep_the_room(bench, monkeypatch):
    slow = {"id": "slow", "retries": 1, "retry_delay": "1h"}
    flow = bench(steps(slow), slots=Slots(1, None))
    flow.look()
    flow.launcher.finish("slow", 1)
    for _ in range(5):
        seen = flow.look()
        assert seen.poll_after_seconds > 0, "no busy waiting"
    assert flow.launcher.begun == ["slow/1"]
    assert flow.shown["slow"] is PENDING
    other = bench(steps("other"), slots=flow.slots, id="e2")
    other.look()
    assert other.launcher.running == {"other"}
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    monkeypatch.setattr("time.clock_gettime", lambda _: uptime + 3601)  # the hour is over
    other.launcher.finish("other")
    other.finish()
    flow.look()
    assert flow.launcher.begun == ["slow/1", "slow/2"]


def test_the_delay_of_a_retry_survives_a_restart(bench):
    flow = bench(steps({"id": "slow", "retries": 1, "retry_delay": "30ms"}))
    flow.look()
    flow.launcher.finish("slow", 1)
    ended_at = time.time()
    flow.wait_for(lambda: len(flow.launcher.begun) == 2)
    assert time.time() - ended_at >= 0.03


def test_a_task_that_takes_too_long_fails_although_it_then_exits_with_0(bench):
    flow = bench(steps({"id": "slow", "timeout": "90s"}))
    flow.look()
    assert flow.launcher["slow"].job.timeout_seconds == 90
    flow.launcher.finish("slow", 0, timed_out=True)
    seen = flow.finish()
    assert seen.status is ExecutionStatus.FAILED
    assert "not done within 1m30s" in seen.error


def test_a_command_that_cannot_be_begun_tells_why(bench):
    flow = bench(steps("absent"))
    flow.look()
    flow.launcher.finish("absent", 127, reason="no such program: frobnicate")
    assert "no such program: frobnicate" in flow.finish().error


def test_a_task_whose_process_is_gone_fails_and_says_so(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.lose("only", "its machine was restarted")
    seen = flow.finish()
    assert seen.status is ExecutionStatus.FAILED
    assert "its machine was restarted" in seen.error
    assert flow.tasks["only"].exit_code is None


def test_a_lost_task_is_tried_again_where_retries_are_left(bench):
    flow = bench(steps({"id": "only", "retries": 1, "retry_delay": "0s"}))
    flow.look()
    flow.launcher.say("only", "the last words")
    flow.launcher.lose("only")
    flow.wait_for(lambda: flow.launcher.running == {"only"})
    flow.launcher.finish("only")
    assert flow.finish().status is ExecutionStatus.SUCCESS
    assert "the last words" in flow.texts()


def test_outputs_that_cannot_be_read_fail_the_task(bench):
    flow = bench(steps("only", {"id": "next", "needs": ["only"]}))
    flow.look()
    flow.launcher.finish("only", outputs=InvalidRequest("Line 3 of the outputs: not valid JSON."))
    seen = flow.finish()
    assert seen.status is ExecutionStatus.FAILED
    assert "Line 3 of the outputs" in seen.error
    assert flow.shown == {"only": FAILED, "next": SKIPPED}


# Values


def test_outputs_keep_their_types(bench):
    flow = bench(
        steps(
            "only",
            inputs={"n": {"type": "integer"}},
            outputs={
                "count": "${{ steps.only.outputs.count }}",
                "half": "${{ steps.only.outputs.count / 2 }}",
                "list": {"value": "${{ steps.only.outputs.list }}", "description": "a list"},
                "yes": "${{ inputs.n > 1 }}",
                "none": "${{ steps.only.outputs.none }}",
                "text": "n is ${{ inputs.n }}",
            },
        ),
        inputs={"n": 5},
    )
    flow.look()
    values = {"count": 3, "list": [1, {"a": None}], "none": None}
    flow.launcher.finish("only", outputs=values)
    seen = flow.finish()
    assert seen.outputs == {
        "count": 3, "half": 1.5, "list": [1, {"a": None}], "yes": True, "none": None,
        "text": "n is 5",
    }  # fmt: skip
    assert type(seen.outputs["count"]) is int


def test_outputs_reach_the_steps_behind(bench):
    use = {
        "id": "use", "needs": ["make"], "env": {"SIZE": "${{ steps.make.outputs.size }}"},
        "config": {"command": "echo", "args": ["${{ steps.make.outputs.name }}", "plain"]},
    }  # fmt: skip
    flow = bench(steps("make", use))
    flow.look()
    flow.launcher.finish("make", outputs={"name": "$(rm -rf /) 'ü'", "size": 5})
    flow.look()
    job = flow.launcher["use"].job
    assert job.argv == ("echo", "$(rm -rf /) 'ü'", "plain"), "one argument, as it is"
    assert job.env["SIZE"] == "5"


def test_an_output_that_was_not_written_fails_the_task_that_asks_for_it(bench):
    use = {"id": "use", "needs": ["make"], "env": {"SIZE": "${{ steps.make.outputs.size }}"}}
    flow = bench(steps("make", use))
    flow.look()
    flow.launcher.finish("make", outputs={"other": 1})
    seen = flow.finish()
    assert seen.status is ExecutionStatus.FAILED
    assert "'use'" in seen.error
    assert "there is no 'size'" in seen.error
    assert flow.launcher.begun == ["make/1"]
    assert flow.tasks["use"].finished_at is not None


def test_a_workflow_output_without_a_value_fails_the_execution(bench):
    flow = bench(steps("make", outputs={"total": "${{ steps.make.outputs.total }}"}))
    flow.look()
    flow.launcher.finish("make")
    seen = flow.finish()
    assert seen.status is ExecutionStatus.FAILED
    assert "there is no 'total'" in seen.error
    assert not seen.outputs
    assert flow.shown == {"make": SUCCESS}


def test_an_output_without_a_value_is_named_and_the_others_are_kept(bench):
    outputs = {
        "before": "${{ steps.make.outputs.n }}",
        "missing": "${{ steps.make.outputs.total }}",
        "plain": "done",
        "infinite": {"value": "${{ 1 / (steps.make.outputs.n | int - 7) }}"},
        "after": "${{ steps.make.status }}",
    }
    flow = bench(steps("make", outputs=outputs))
    flow.look()
    flow.launcher.finish("make", outputs={"n": "7"})
    seen = flow.finish()
    assert seen.status is ExecutionStatus.FAILED
    assert seen.outputs == {"before": "7", "plain": "done", "after": "SUCCESS"}
    assert seen.error.count("has no value") == 2
    assert "Output 'missing' has no value" in seen.error
    assert "Output 'infinite' has no value" in seen.error


def test_of_very_many_outputs_without_a_value_the_first_are_named(bench):
    outputs = {f"o{n}": "${{ steps.make.outputs.none }}" for n in range(500)}
    flow = bench(steps("make", outputs=outputs))
    flow.look()
    flow.launcher.finish("make")
    error = flow.finish().error
    assert "'o9'" in error
    assert "'o10'" not in error
    assert error.endswith("490 more have none.")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("1e999", "the number inf"),
        ("steps.make.outputs.n | round(inputs.digits, 'ceil')", "precision"),
        ("inputs.text | replace('', inputs.text)", "1,048,576 characters"),
        (r"'\ud83d'", "half of a surrogate pair"),
    ],
)
def test_an_expression_that_goes_wrong_ends_in_a_failure_that_quotes_it(bench, expression, reason):
    inputs = {"digits": {"type": "number"}, "text": {}}
    values = {"digits": 3_000_000_000_000, "text": "x" * 50_000}
    template = f"${{{{ {expression} }}}}"
    use = {"id": "use", "needs": ["make"], "env": {"N": template}}
    for flow in (
        bench(steps("make", inputs=inputs, outputs={"n": template}), inputs=values),
        bench(steps("make", use, inputs=inputs), inputs=values, id="e2"),
    ):
        flow.look()
        flow.launcher.finish("make", outputs={"n": 1.5})
        seen = flow.finish()
        assert seen.status is ExecutionStatus.FAILED
        assert f"{template} cannot be evaluated" in seen.error
        assert reason in seen.error


def test_what_takes_long_to_evaluate_is_begun_over_several_looks(bench, monkeypatch):
    monkeypatch.setattr("app.engine.run._STARTING_SECONDS", -1.0)
    flow = bench(steps("a", "b", "c"))
    for count in (1, 2, 3):
        assert flow.look().poll_after_seconds == 0
        assert len(flow.launcher.begun) == count


def test_the_files_of_a_definition_lie_in_the_working_folder_before_the_first_step(bench):
    flow = bench(steps("only", files={"split.py": "print(1)\n", "lib/ü.txt": "ü"}))
    flow.launcher.on_start = lambda name: (
        (flow.launcher[name].job.working_dir / "split.py").read_text() == "print(1)\n"
        and flow.launcher.finish(name)
    )
    assert flow.finish().status is ExecutionStatus.SUCCESS
    assert (flow.root / "e1" / "work" / "lib" / "ü.txt").read_text(encoding="utf-8") == "ü"


# The log


def test_lines_are_told_once_with_their_level_time_and_task(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.say("only", "hello")
    flow.look()
    flow.launcher.say("only", "careful", stream=Stream.STDERR)
    flow.launcher.say("only", "ERROR disk full", "[debug] detail")
    flow.launcher.finish("only")
    flow.finish()
    own = [(e.level, e.content) for e in flow.log if not e.content.startswith("Task")]
    assert own[1:-1] == [
        (Level.INFO, "hello"), (Level.WARN, "careful"), (Level.ERROR, "ERROR disk full"),
        (Level.DEBUG, "[debug] detail"),
    ]  # fmt: skip
    streams = [e.stream for e in flow.log if (e.level, e.content) in own]
    assert streams[1:-1] == [
        LogStream.STDOUT, LogStream.STDERR, LogStream.STDOUT, LogStream.STDOUT,
    ]  # fmt: skip
    assert streams[0] is streams[-1] is LogStream.NONE
    hello = next(e for e in flow.log if e.content == "hello")
    assert hello.task == "only"
    assert hello.timestamp_ms == int(flow.launcher["only"].lines[0].timestamp * 1000)


def test_the_engine_remarks_on_what_it_does(bench):
    flow = succeed_at_once(bench(steps("only")))
    flow.finish()
    assert [entry.task for entry in flow.log] == ["", "only", "only", ""]
    texts = flow.texts()
    assert "began" in texts[0]
    assert "started" in texts[1]
    assert "succeeded" in texts[2]
    assert "SUCCESS" in texts[3]


def test_lines_of_parallel_tasks_stand_in_the_order_of_their_time(bench):
    flow = bench(steps("a", "b", "c"))
    flow.look()
    for i in range(30):
        flow.launcher.say("abc"[i % 3], str(i))
    seen = flow.look()
    assert [entry.content for entry in seen.entries] == [str(i) for i in range(30)]
    stamps = [entry.timestamp_ms for entry in seen.entries]
    assert stamps == sorted(stamps)


def test_a_long_output_is_read_piece_by_piece_and_at_once(bench):
    flow = bench(steps("only"))
    flow.look()
    line = "x" * 60_000
    flow.launcher.say("only", *([line] * 100))
    flow.launcher.finish("only")
    looks = 0
    while not (seen := flow.look()).log_complete:
        looks += 1
        assert looks < 20
        assert sum(len(e.content) for e in seen.entries) < 2 * 1024 * 1024, "memory is bounded"
        assert seen.poll_after_seconds == 0.0
    assert flow.texts("only").count(line) == 100


def test_a_task_ends_only_once_all_of_its_output_was_read(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.say("only", "last words")
    flow.launcher.finish("only")
    flow.finish()
    texts = flow.texts("only")
    assert texts.index("last words") < next(i for i, t in enumerate(texts) if "succeeded" in t)


# Crashes


def test_a_crash_between_start_and_store_begins_nothing_twice(bench):
    flow = bench(diamond())
    flow.observe()
    flow.observe()
    assert flow.launcher.begun == [], "what the store does not know of is not begun"
    flow.look(dies=True)
    assert flow.launcher.begun == []
    flow.look()
    assert flow.launcher.begun == ["split/1"]
    assert flow.tasks["split"].attempts == 1
    flow.launcher.finish("split")
    flow.observe()
    flow.look()
    assert flow.launcher.begun[1:] == ["left/1", "right/1"]


def test_after_a_crash_what_ended_meanwhile_is_found(bench):
    flow = bench(steps("only", outputs={"n": "${{ steps.only.outputs.n }}"}))
    flow.look()
    flow.observe()
    flow.launcher.say("only", "hello")
    flow.launcher.finish("only", outputs={"n": 1})
    seen = flow.finish()
    assert seen.status is ExecutionStatus.SUCCESS
    assert seen.outputs == {"n": 1}
    assert flow.launcher.begun == ["only/1"]
    assert flow.texts().count("hello") == 1


def test_an_observation_that_was_lost_is_made_again(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.say("only", "one")
    assert [e.content for e in flow.observe().entries] == ["one"]
    flow.launcher.say("only", "two")
    assert [e.content for e in flow.look().entries] == ["one", "two"]
    assert flow.look().entries == ()


def test_a_retry_after_a_crash_is_the_same_attempt(bench):
    flow = bench(steps({"id": "shaky", "retries": 5, "retry_delay": "0s"}))
    flow.look()
    flow.launcher.finish("shaky", 1)
    for _ in range(4):
        flow.observe()
    flow.look()
    assert flow.launcher.begun == ["shaky/1", "shaky/2"]
    assert flow.tasks["shaky"].attempts == 2


def test_a_crash_does_not_write_over_what_a_command_made_of_a_file(bench):
    flow = bench(steps("only", files={"state.txt": "as it came"}))
    flow.observe()  # it has prepared the folder, and dies
    file = flow.root / "e1" / "work" / "state.txt"
    file.write_text("as the command left it")
    flow.look()
    assert file.read_text() == "as the command left it"


def test_a_job_whose_start_did_not_survive_is_begun_again(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.forget("only/1")
    flow.look()
    assert flow.launcher.begun == ["only/1", "only/1"]
    assert flow.tasks["only"].attempts == 1
    flow.launcher.finish("only")
    assert flow.finish().status is ExecutionStatus.SUCCESS


def test_a_job_that_never_comes_to_be_fails_after_some_starts(bench):
    flow = bench(steps("only"))
    flow.launcher.on_start = flow.launcher.forget
    seen = flow.finish(most=10)
    assert seen.status is ExecutionStatus.FAILED
    assert "could not be begun" in seen.error


def test_what_is_to_be_done_is_done_although_one_thing_fails(bench):
    flow = bench(steps("a", "b"))
    flow.observe()
    flow.launcher.broken_spawns["a"] = GONE
    with pytest.raises(UpstreamUnreachable):
        flow.look()
    assert flow.launcher.begun == ["b/1"]
    flow.launcher.broken_spawns.clear()
    flow.look()
    assert flow.launcher.begun == ["b/1", "a/1"]


def test_a_folder_that_can_never_be_made_fails_the_step(bench):
    flow = bench(steps("a", "b"))
    flow.launcher.broken_starts["a"] = UpstreamRefused("The folder cannot be made.")
    flow.launcher.on_start = flow.launcher.finish
    assert flow.finish().error == "Task 'a' failed: The folder cannot be made."
    assert flow.launcher.begun == ["b/1"]


# What lost its folder


def test_what_was_seen_to_run_is_lost_with_its_folder(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.remove("only/1", lingers=False)
    seen = flow.finish(most=2)
    assert seen.error == "Task 'only' failed: its folder was removed"
    assert flow.launcher.begun == ["only/1"]


def test_what_vanished_before_it_was_seen_is_lost_too(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.forget("only/1")
    flow.launcher.prepared.clear()
    assert flow.finish(most=2).error == "Task 'only' failed: its folder was removed"
    assert flow.launcher.begun == ["only/1"]


def test_what_lingers_is_ended_before_the_next_attempt(bench):
    flow = bench(steps({"id": "only", "retries": 1, "retry_delay": "0s"}))
    flow.look()
    flow.launcher.remove("only/1", lingers=True)
    for _ in range(3):
        assert flow.look().poll_after_seconds < 1
        assert flow.shown == {"only": RUNNING}
    assert set(flow.launcher.ended) == {("only/1", False)}
    assert flow.launcher.begun == ["only/1"]
    flow.launcher.remove("only/1", lingers=False)
    flow.launcher.finish("only/1", 143, reason="its supervisor got SIGTERM")
    flow.look()
    flow.wait_for(lambda: flow.launcher.begun == ["only/1", "only/2"])
    texts = flow.texts("only")
    assert texts.count("Task 'only' failed: its folder was removed") == 1
    lost = "Task 'only' is lost: its folder was removed; what still runs of it is ended"
    assert texts.count(lost) == 1


def test_what_cannot_be_ended_is_said_to_run_on(bench, monkeypatch):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.remove("only/1", lingers=True)
    flow.look()
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    for seconds in (12, 30):
        monkeypatch.setattr("time.clock_gettime", lambda _, seconds=seconds: began + seconds)
        seen = flow.look()
    assert ("only/1", True) in flow.launcher.ended
    assert seen.error.endswith("its folder was removed; what still runs of it could not be ended")


@pytest.mark.parametrize("lingers", [True, False])
def test_a_cancel_ends_what_lost_its_folder(bench, lingers):
    flow = bench(steps("only", "other"))
    flow.look()
    flow.launcher.remove("only/1", lingers=lingers)
    flow.want(DesiredState.CANCEL)
    flow.look()
    assert ("cancel", "only/1") not in flow.launcher.calls, "it would make the folder anew"
    flow.launcher.remove("only/1", lingers=False)
    assert flow.finish().log_complete
    assert "other" not in flow.launcher.running


def test_outputs_that_were_removed_are_missed(bench):
    flow = bench(steps("make", "slow", outputs={"n": "${{ steps.make.outputs.n | default(7) }}"}))
    flow.look()
    flow.launcher.finish("make", outputs={"n": 1})
    flow.look()
    flow.launcher["make"].outputs = {}
    flow.launcher.finish("slow")
    assert "The outputs of step 'make' were removed from its folder." in flow.finish().error


# Drivers that stood still


def test_a_cancel_makes_the_late_start_of_another_driver_impossible(bench):
    flow = bench(steps("only"))
    late = flow.look(dies=True).once_stored
    flow.want(DesiredState.CANCEL)
    assert flow.finish().status is ExecutionStatus.CANCELLED
    late()
    assert flow.launcher.begun == []


def test_a_cancel_that_comes_too_late_for_that_ends_what_began(bench):
    flow = bench(steps("only"))
    late = flow.look(dies=True).once_stored
    flow.want(DesiredState.CANCEL)
    refuse = flow.launcher.refuse
    flow.launcher.refuse = lambda *args, **more: (late(), refuse(*args, **more))[1]
    assert flow.finish().status is ExecutionStatus.CANCELLED
    assert flow.launcher.begun == ["only/1"]
    assert flow.launcher.running == set()


def test_a_cancel_ends_what_never_began_although_the_disk_refuses(bench):
    flow = bench(steps("only"))
    flow.look(dies=True)
    flow.want(DesiredState.CANCEL)

    def refuse(*args, **more):
        raise GONE

    flow.launcher.refuse = refuse
    assert flow.finish().status is ExecutionStatus.CANCELLED


@pytest.mark.parametrize(("wanted", "late"), [("RUN", True), ("PAUSE", False)])
def test_a_pause_or_resume_of_a_driver_that_stood_still_does_not_last(bench, wanted, late):
    flow = bench(steps("only"))
    flow.look()
    flow.want(DesiredState(wanted))
    flow.look()
    flow.launcher["only"].paused = late
    flow.look()
    assert flow.launcher["only"].paused is not late


def test_what_cannot_begin_now_says_why_and_holds_up_nothing_else(bench):
    flow = bench(steps("a", "first", {"id": "b", "needs": ["first"]}))
    flow.look()
    flow.launcher.broken_starts["b"] = GONE
    flow.launcher.finish("first")
    for text in ("one", "two", "three"):
        flow.launcher.say("a", text)
        flow.look()
        assert text in flow.texts()
    assert flow.tasks["b"].waits_for == {"kind": "launcher", "reason": REASON}
    told = f"Nothing can begin yet, and it is tried again: {GONE.message}"
    assert flow.texts().count(told) == 1
    flow.launcher.broken_starts.clear()
    flow.look()
    assert flow.launcher.running == {"a", "b"}
    assert flow.tasks["b"].waits_for is None
    flow.launcher.finish("a")
    flow.launcher.finish("b")
    assert flow.finish().status is ExecutionStatus.SUCCESS
    assert sorted(flow.launcher.begun) == ["a/1", "b/1", "first/1"]


def test_what_cannot_begin_now_is_cancelled(bench):
    flow = bench(steps("a"))
    flow.launcher.broken_starts["a"] = GONE
    flow.look()
    flow.want(DesiredState.CANCEL)
    assert flow.finish().status is ExecutionStatus.CANCELLED


@pytest.mark.parametrize("when", ["read", "end"])
def test_a_launcher_that_cannot_work_now_fails_nothing(bench, when):
    """By the launcher's contract nothing is known then, and the call may be repeated."""
    flow = bench(steps("a", "b"))
    flow.look()
    flow.launcher.say("a", "hello")
    if when == "end":
        flow.look()
        flow.launcher.finish("a")
    flow.launcher.broken = GONE
    with pytest.raises(UpstreamUnreachable):
        flow.look()
    flow.launcher.broken = None
    flow.look()
    flow.launcher.finish("a")
    flow.launcher.finish("b")
    assert flow.finish().status is ExecutionStatus.SUCCESS
    assert sorted(flow.launcher.begun) == ["a/1", "b/1"]
    assert flow.texts().count("hello") == 1


@pytest.mark.parametrize("when", ["task", "execution", "next task"])
def test_outputs_that_cannot_be_fetched_now_fail_nothing(bench, when):
    use = {"id": "use", "needs": ["make"], "env": {"N": "${{ steps.make.outputs.n }}"}}
    flow = bench(steps("make", use, outputs={"n": "${{ steps.make.outputs.n }}"}))
    flow.look()
    make = flow.launcher["make"]
    flow.launcher.finish("make", outputs={"n": 1})
    if when == "execution":
        flow.look()
        flow.launcher.finish("use")
    make.outputs = GONE
    with pytest.raises(UpstreamUnreachable):
        flow.look()
    make.outputs = {"n": 1}
    flow.look()
    flow.launcher.finish("use")
    seen = flow.finish() if not flow.seen.log_complete else flow.seen
    assert seen.outputs == {"n": 1}


# Pause, resume, cancel


def test_a_pause_stops_what_runs_and_begins_nothing(bench):
    flow = bench(diamond())
    flow.look()
    flow.launcher.finish("split")
    flow.look()
    flow.want(DesiredState.PAUSE)
    seen = flow.look()
    assert seen.status is ExecutionStatus.PAUSED
    assert flow.launcher["left"].paused
    assert flow.launcher["right"].paused
    assert flow.shown["left"] is flow.shown["right"] is PAUSED
    flow.launcher.finish("left")
    flow.launcher.finish("right")
    assert flow.look().status is ExecutionStatus.PAUSED
    assert "join" not in flow.launcher.running, "what is ready waits"
    flow.want(DesiredState.RUN)
    assert flow.look().status is ExecutionStatus.RUNNING
    assert flow.launcher.running == {"join"}
    flow.launcher.finish("join")
    assert flow.finish().status is ExecutionStatus.SUCCESS
    assert [t for t in flow.texts("") if "paused" in t or "resumed" in t] == [
        "Execution paused", "Execution resumed",
    ]  # fmt: skip


def test_what_is_paused_goes_on_when_resumed(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.want(DesiredState.PAUSE)
    flow.look()
    flow.want(DesiredState.RUN)
    flow.look()
    assert not flow.launcher["only"].paused
    assert flow.shown["only"] is RUNNING
    flow.launcher.finish("only")
    assert flow.finish().status is ExecutionStatus.SUCCESS


def test_an_execution_can_be_paused_before_it_began(bench):
    flow = bench(steps("only"))
    flow.want(DesiredState.PAUSE)
    for _ in range(3):
        assert flow.look().status is ExecutionStatus.PAUSED
    assert flow.launcher.begun == []
    flow.want(DesiredState.RUN)
    assert flow.look().status is ExecutionStatus.RUNNING
    assert flow.launcher.running == {"only"}


def test_a_retry_that_is_due_waits_for_the_end_of_the_pause(bench):
    flow = bench(steps({"id": "shaky", "retries": 1, "retry_delay": "0s"}))
    flow.look()
    flow.want(DesiredState.PAUSE)
    flow.look()
    flow.launcher.finish("shaky", 1)
    flow.look()
    flow.look()
    assert flow.launcher.begun == ["shaky/1"]
    assert flow.seen.status is ExecutionStatus.PAUSED
    flow.want(DesiredState.RUN)
    flow.wait_for(lambda: flow.launcher.begun == ["shaky/1", "shaky/2"])


def test_a_pause_after_the_end_of_all_tasks_changes_nothing(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.finish("only")
    flow.want(DesiredState.PAUSE)
    assert flow.finish().status is ExecutionStatus.SUCCESS


def test_a_cancel_before_the_begin_runs_nothing(bench):
    flow = bench(diamond())
    flow.want(DesiredState.CANCEL)
    assert flow.finish().status is ExecutionStatus.CANCELLED
    assert flow.launcher.begun == []
    assert set(flow.shown.values()) == {CANCELLED}


@pytest.mark.parametrize("exit_code", [143, 137, 1, 0])
def test_a_cancel_ends_what_runs_whatever_its_exit_code(bench, exit_code):
    flow = bench(diamond())
    flow.look()
    flow.launcher.deaf = True
    flow.want(DesiredState.CANCEL)
    flow.look()
    flow.look()
    assert not flow.seen.status.final, "it has not ended yet"
    flow.launcher.finish("split", exit_code, cancelled=True)
    seen = flow.finish()
    assert seen.status is ExecutionStatus.CANCELLED
    assert seen.error is None
    assert set(flow.shown.values()) == {CANCELLED}
    assert flow.launcher.begun == ["split/1"]


def test_a_cancel_ends_what_is_paused(bench):
    flow = bench(steps("only", {"id": "next", "needs": ["only"]}))
    flow.look()
    flow.want(DesiredState.PAUSE)
    flow.look()
    flow.want(DesiredState.CANCEL)
    assert flow.finish().status is ExecutionStatus.CANCELLED
    assert ("cancel", "only/1") in flow.launcher.calls


def test_a_cancel_while_a_retry_is_waited_for_ends_at_once(bench):
    flow = bench(steps({"id": "shaky", "retries": 3, "retry_delay": "1h"}))
    flow.look()
    flow.launcher.finish("shaky", 1)
    flow.look()
    flow.want(DesiredState.CANCEL)
    assert flow.finish(most=2).status is ExecutionStatus.CANCELLED


def test_a_cancelled_task_is_not_tried_again(bench):
    flow = bench(steps({"id": "shaky", "retries": 3, "retry_delay": "0s"}))
    flow.look()
    flow.want(DesiredState.CANCEL)
    flow.launcher.finish("shaky", 1)  # by itself, at the same moment
    flow.finish(most=3)
    assert flow.launcher.begun == ["shaky/1"]


def test_a_cancel_begins_nothing_that_a_crash_left_without_a_start(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.forget("only/1")
    flow.want(DesiredState.CANCEL)
    assert flow.finish().status is ExecutionStatus.CANCELLED
    assert flow.launcher.starts("only/1") == 1


def test_a_cancel_that_comes_too_late_lets_the_success_stand(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.finish("only")
    flow.want(DesiredState.CANCEL)
    assert flow.finish().status is ExecutionStatus.SUCCESS


def test_what_the_command_writes_while_it_is_cancelled_is_in_the_log(bench):
    flow = bench(steps("only"))
    flow.look()
    flow.launcher.deaf = True
    flow.want(DesiredState.CANCEL)
    flow.look()
    flow.launcher.say("only", "cleaning up")
    flow.launcher.finish("only", 143, cancelled=True)
    flow.finish()
    assert flow.texts().count("cleaning up") == 1
    assert any("cancelled" in text for text in flow.texts("only"))


# Clocks that are set, and logs without end


@pytest.mark.parametrize("step", [-3600, 3600, -(10**9)])
def test_a_clock_that_is_set_changes_neither_delays_nor_durations(bench, monkeypatch, step):
    flow = bench(steps({"id": "slow", "retries": 1, "retry_delay": "30ms"}))
    flow.look()
    began = time.time()
    flow.launcher["slow"].state = replace(flow.launcher["slow"].state, started_at=began)
    flow.launcher.finish("slow", 1)
    flow.look()
    clock = time.time
    monkeypatch.setattr("time.time", lambda: clock() + step)
    flow.wait_for(lambda: flow.launcher.begun == ["slow/1", "slow/2"])
    flow.launcher.lose("slow")
    seen = flow.finish()
    assert not any("-" in text.partition("after ")[2] for text in flow.texts("slow"))
    took = (seen.finished_at - seen.started_at).total_seconds()
    assert 0 <= took < PATIENCE_SECONDS
    task = flow.tasks["slow"]
    assert task.finished_at >= task.started_at


def test_a_long_delay_is_not_over_because_the_clock_was_set_forward(bench, monkeypatch):
    flow = bench(steps({"id": "slow", "retries": 1, "retry_delay": "1h"}))
    flow.look()
    flow.launcher.finish("slow", 1)
    flow.look()
    clock = time.time
    monkeypatch.setattr("time.time", lambda: clock() + 7200)
    for _ in range(3):
        flow.look()
    assert flow.launcher.begun == ["slow/1"]


def test_lines_of_one_task_keep_their_order_when_the_clock_is_set_back(bench, monkeypatch):
    flow = bench(steps("a", "b"))
    flow.look()
    flow.launcher.say("a", "one")
    clock = time.time
    monkeypatch.setattr("time.time", lambda: clock() - 3600)
    flow.launcher.say("a", "two", "three")
    flow.launcher.finish("a")
    flow.launcher.say("b", "other")
    flow.look()
    flow.look()
    said = [text for text in flow.texts("a") if not text.startswith("Task 'a' started")]
    assert said[:3] == ["one", "two", "three"]
    assert said[3].startswith("Task 'a' succeeded")


def test_a_cancel_does_not_wait_for_all_that_was_written(bench, monkeypatch):
    monkeypatch.setattr("app.engine.run._READ_BYTES", 40)
    flow = bench(steps("a"))
    flow.look()
    lines = [str(i % 10) for i in range(1000)]
    flow.launcher.say("a", *lines)
    flow.want(DesiredState.CANCEL)
    looks = 0
    while not flow.look().status.final:
        looks += 1
        assert looks < 10
    assert flow.seen.status is ExecutionStatus.CANCELLED
    assert not flow.seen.log_complete
    assert len(flow.texts("a")) < 500
    flow.finish(most=1000)
    assert [text for text in flow.texts("a") if len(text) == 1] == lines
    assert len([text for text in flow.texts() if "ended with status" in text]) == 1
    assert flow.tasks["a"].status is CANCELLED


def test_beyond_the_limit_of_an_execution_lines_are_counted_and_it_goes_on(bench):
    flow = bench(steps("a", "b"), log_room=LogRoom(100))
    flow.look()
    flow.launcher.say("a", *["x" * 59] * 2)
    flow.look()
    flow.launcher.say("a", "beyond")
    flow.launcher.say("b", "beyond, too")
    flow.launcher.say("b", "a remark", stream=Stream.REMARK)
    flow.look()
    flow.look()
    assert flow.texts("a")[1:] == ["x" * 59] * 2
    assert flow.texts("b")[1:] == ["a remark"]
    assert len([text for text in flow.texts() if "limit of 100 bytes" in text]) == 1
    for name in "ab":
        flow.launcher.finish(name)
    assert flow.finish().status is ExecutionStatus.SUCCESS
    assert "19 bytes of output were not kept, beyond the limit of the log" in flow.texts()


def test_what_an_output_misses_is_said_when_its_end_is_read(bench):
    flow = bench(steps("a"))
    flow.look()
    flow.launcher.finish("a", losses=("7 bytes of output found no place on the disk",))
    flow.finish()
    (entry,) = (entry for entry in flow.log if "7 bytes" in entry.content)
    assert (entry.level, entry.task, entry.stream) == (Level.WARN, "a", LogStream.NONE)


def test_what_goes_on_with_a_line_has_its_level_in_a_later_look_too(bench):
    flow = bench(steps("a"))
    flow.look()
    flow.launcher.say("a", "ERROR disk full on", "other")
    flow.launcher["a"].lines.pop()
    flow.look()
    stamp = time.time() + 1
    pieces = [
        (Stream.STDERR, "on its own", False), (Stream.STDOUT, " node 7", True),
        (Stream.STDOUT, "and more", True), (Stream.STDOUT, "plain", False),
        (Stream.STDOUT, "goes on", True), (Stream.STDERR, "too", True),
    ]  # fmt: skip
    flow.launcher["a"].lines += [
        OutputLine(stream, stamp, text, continues=goes_on) for stream, text, goes_on in pieces
    ]
    flow.look()
    said = {entry.content: entry.level for entry in flow.log if entry.stream}
    assert said == {
        "ERROR disk full on": Level.ERROR, "on its own": Level.WARN, " node 7": Level.ERROR,
        "and more": Level.ERROR, "plain": Level.INFO, "goes on": Level.INFO, "too": Level.WARN,
    }  # fmt: skip
