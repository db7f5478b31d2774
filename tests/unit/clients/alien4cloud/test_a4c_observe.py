"""Watching executions to their end, whatever the record says of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.alien4cloud import CancelMode, Kind, Log, Script, Status, Step, script
from fakes.alien4cloud.driver import Driver, make_execution, make_launch

from app.domain import ExecutionStatus, Level, TaskStatus
from app.errors import NotFound, UpstreamError, UpstreamUnreachable

S = ExecutionStatus


@pytest.fixture
def run(environment, drive):
    """Launch the exposed workflow with a script, and return its driver."""

    def launch(events=None, **options):
        timeline = events if isinstance(events, Script) else Script(tuple(events or ()), **options)
        environment.workflow("exec_job", script=timeline)
        return drive(environment.workflow_id("exec_job"))

    return launch


def test_a_run_from_its_launch_to_its_last_line(run):
    driver = run(script.simple(3, ["one", "two"]))
    execution = driver.until_complete()
    assert driver.statuses == [S.PENDING, S.RUNNING, S.SUCCESS]
    assert driver.lines == [
        'Status for workflow "exec_job" changed to "running"',
        "one",
        "two",
        'Workflow "exec_job" ended successfully',
        'Status for workflow "exec_job" changed to "done"',
    ]
    assert driver.repeated == []
    assert [entry.task for entry in driver.journal] == ["", "run", "run", "", ""]
    assert execution.progress == 1.0
    assert execution.error is None
    assert execution.created_at < execution.started_at < execution.finished_at
    assert {t.name: (t.status, t.attempts) for t in driver.tasks.values()} == {
        "run": (TaskStatus.SUCCESS, 1)
    }


def test_a_look_that_finds_nothing_new_changes_nothing(run, clock):
    driver = run(script.endless())
    driver.until(S.RUNNING)
    clock.advance(6)
    driver.look()
    before = driver.execution
    for _ in range(3):
        clock.advance(1)
        seen = driver.look()
        assert (seen.entries, seen.tasks) == ((), ())
    assert replace(driver.execution, as_of=before.as_of) == before


@pytest.mark.parametrize(
    ("word", "status"),
    [("SUCCEEDED", S.SUCCESS), ("FAILED", S.FAILED), ("CANCELLED", S.CANCELLED)],
)
def test_each_end_is_final(run, word, status):
    assert run([Status(2, word)]).until_complete().status is status


@pytest.mark.parametrize(
    ("word", "status"), [("SCHEDULED", S.PENDING), ("CANCELLING", S.CANCELLING), ("", S.UNKNOWN),
                         ("A_WORD_OF_VERSION_FOUR", S.UNKNOWN)]
)  # fmt: skip
def test_other_words_are_no_end(run, clock, word, status):
    driver = run([Status(1, word)])
    clock.advance(2)
    seen = driver.look()
    assert seen.status is status
    assert (seen.error is not None) is (status is S.UNKNOWN)
    if status is S.UNKNOWN:
        assert f"'{word}'" in seen.error


def test_a_failure_tells_its_step_and_its_last_error(run):
    driver = run([
        Log(0.1, "harmless", "ERROR"),
        Step(0.1, "run", "STARTED"),
        Log(0.5, "cannot find mesh.dat\n  in /scratch", "ERROR"),
        Log(0.6, "cleaning up"),
        Step(0.9, "run", "COMPLETED_WITH_ERROR"),
        Status(1, "FAILED"),
    ])  # fmt: skip
    execution = driver.until_complete()
    assert execution.error == "Step 'run' failed: cannot find mesh.dat"
    assert execution.progress == 1.0


def test_a_failure_without_a_reason_says_so(run):
    assert "the log may tell why" in run([Status(1, "FAILED")]).until_complete().error


def test_failed_tasks_of_a_success_are_a_warning(run):
    driver = run([Status(1, "SUCCEEDED", has_failed_tasks=True)])
    driver.until_complete()
    warnings = [entry for entry in driver.journal if entry.level is Level.WARN]
    assert len(warnings) == 1
    assert "some of its tasks failed" in warnings[0].content


def test_outputs_are_read_at_the_end(server, environment, run):
    environment.attribute("Job", "url", "http://before")
    driver = run([Status(1, "SUCCEEDED")])
    driver.until(S.RUNNING)
    environment.attribute("Job", "url", "http://now")
    assert driver.until_complete().outputs == {"Job.url": "http://now"}
    assert server.requests["informations"] == 1


def test_outputs_that_cannot_be_read_do_not_hide_the_success(server, environment, run):
    environment.attribute("Job", "url", "http://x")
    server.stack_trace("informations")
    driver = run([Status(1, "SUCCEEDED")])
    execution = driver.until_complete()
    assert (execution.status, execution.outputs) == (S.SUCCESS, {})
    assert any("outputs could not be read" in line for line in driver.lines)


def test_a_start_event_that_is_late_is_pending_within_the_grace(server, run, clock):
    server.world.start_delay = 9.0
    driver = run(script.endless())
    for _ in range(8):
        assert driver.look().status is S.PENDING
        clock.advance(1)
    clock.advance(1.5)
    assert driver.look().status is S.RUNNING


def test_a_start_event_that_never_comes_ends_the_waiting(server, run, clock):
    server.world.start_delay = 1e9
    driver = run(script.endless())
    driver.look()
    clock.advance(11)
    with pytest.raises(NotFound, match="never began"):
        driver.look()


def test_while_the_server_is_away_no_grace_passes(server, run, clock):
    server.world.start_delay = 65
    driver = run(script.endless())
    server.down()
    clock.advance(60)
    with pytest.raises(UpstreamUnreachable):
        driver.look()
    server.up()
    assert driver.look().status is S.PENDING
    clock.advance(6)
    assert driver.look().status is S.RUNNING


def test_what_was_seen_and_is_gone_is_forgotten(server, run):
    driver = run(script.endless())
    driver.until(S.RUNNING)
    server.runs[0].forgotten = True
    with pytest.raises(NotFound, match="forgotten"):
        driver.look()


def test_what_has_ended_stays_so_although_it_is_gone(server, run, environment):
    driver = run([Log(0.5, "line"), Status(1, "SUCCEEDED")])
    driver.until(S.SUCCESS)
    environment.undeploy()
    server.advance(241 * 3600)
    execution = driver.until_complete()
    assert (execution.status, driver.lines) == (S.SUCCESS, ["line"])


def test_a_final_status_does_not_change_although_it_is_resumed(server, run):
    driver = run([Status(1, "FAILED")])
    driver.until(S.FAILED)
    server.runs[0].resume(server.now())
    assert driver.until_complete().status is S.FAILED


def test_a_failed_look_moves_nothing(server, run, clock):
    driver = run(script.simple(5))
    driver.until(S.RUNNING)
    before = driver.execution
    server.down()
    clock.advance(1)
    with pytest.raises(UpstreamUnreachable):
        driver.look()
    assert replace(driver.execution, as_of=before.as_of) == before
    server.up()
    driver.until_complete()
    assert driver.repeated == []


@pytest.mark.parametrize("endpoint", ["get_execution", "search_logs", "workflow_execution"])
@pytest.mark.parametrize("kind", [Kind.DROP_AFTER, Kind.REPLY, Kind.CUT])
def test_a_look_that_fails_half_way_moves_nothing(server, run, endpoint, kind):
    driver = run(script.simple(3, ["one", "two"]))
    server.fault(kind, endpoint, times=6)
    driver.until_complete()
    assert driver.failures
    assert driver.lines.count("one") == 1
    assert (len(driver.lines), driver.repeated) == (5, [])


# Ends that the record does not tell.


@pytest.mark.parametrize(
    ("mode", "statuses"),
    [
        (CancelMode.CLEAN, [S.RUNNING, S.CANCELLING, S.CANCELLED]),
        (CancelMode.ENDS_FIRST, [S.RUNNING, S.CANCELLING, S.SUCCESS]),
        (CancelMode.RACE, [S.RUNNING, S.CANCELLING, S.SUCCESS]),
        (CancelMode.STUCK, [S.RUNNING, S.CANCELLING, S.CANCELLED]),
    ],
)
def test_each_way_in_which_a_cancel_goes(run, orchestrator, mode, statuses):
    driver = run([*script.endless().events, *script.ending(30)], cancel=mode, cancel_seconds=1)
    driver.until(S.RUNNING)
    orchestrator.cancel(driver.execution)
    driver.until_complete(120)
    assert driver.statuses == [S.PENDING, *statuses]


def test_a_cancel_that_takes_long_is_waited_for(run, orchestrator, clock):
    driver = run(script.endless(cancel_seconds=100))
    driver.until(S.RUNNING)
    orchestrator.cancel(driver.execution)
    driver.look_for(90)
    assert driver.status is S.CANCELLING
    assert driver.until_complete().status is S.CANCELLED


def test_a_finished_execution_that_was_set_to_cancelling_is_finished(server, run, clock):
    driver = run([Status(1, "SUCCEEDED")])
    clock.advance(2)
    server.state.mock_provider = True
    assert server.runs[0].cancel(server.now(), anything_goes=True)
    assert driver.until_complete().status is S.CANCELLED


@pytest.mark.parametrize(
    ("word", "status"),
    [("SUCCEEDED", S.SUCCESS), ("FAILED", S.FAILED), ("CANCELLED", S.CANCELLED)],
)
def test_a_lost_end_event_is_made_up_for_by_the_log(run, word, status):
    driver = run([Log(0.1, "line"), *script.ending(1, word)[:2]])
    assert driver.until_complete(120).status is status


@pytest.mark.parametrize(
    "line",
    [
        Log(1, 'Workflow "inner_simulation" ended successfully'),
        Log(1, 'Workflow "exec_job" ended successfully', node="Job", operation="run"),
    ],
)
def test_what_a_job_prints_ends_nothing(run, line):
    driver = run([Log(0, "begun"), line, Log(400, "more"), *script.ending(500, "FAILED")])
    driver.look_for(300)
    assert driver.status is S.RUNNING
    assert driver.until_complete(600).status is S.FAILED


def test_a_launch_that_was_answered_late_has_the_whole_grace_to_begin(
    server, make_orchestrator, environment, clock
):
    environment.workflow("exec_job", script=script.endless())
    orchestrator = make_orchestrator(cache_ttl="0s", grace="1m")
    wanted = make_launch(environment.workflow_id("exec_job"), clock=clock)
    clock.advance(65)
    server.world.start_delay = 50
    execution = make_execution(wanted, orchestrator.trigger(wanted))
    driver = Driver(orchestrator, execution, clock, clock.advance)
    assert driver.look().status is S.PENDING
    driver.until(S.RUNNING)


def test_a_silent_run_is_not_taken_for_a_lost_one(server, run):
    driver = run(script.endless())
    driver.look_for(300)
    assert driver.status is S.RUNNING
    assert driver.failures == []
    assert server.requests["get_deployment"] < 40


def test_a_deployment_that_ends_takes_its_executions_with_it(environment, run):
    driver = run(script.endless())
    driver.until(S.RUNNING)
    environment.undeploy()
    execution = driver.until_complete(120)
    assert execution.status is S.FAILED
    assert "deployment ended" in execution.error


def test_a_deployment_that_ends_during_a_cancel_completes_it(environment, run, orchestrator):
    driver = run(script.endless(cancel_seconds=100))
    driver.until(S.RUNNING)
    orchestrator.cancel(driver.execution)
    environment.undeploy()
    assert driver.until_complete(120).status is S.CANCELLED


# What the user wants.


def test_a_wanted_cancel_that_did_not_get_through_is_asked_for_again(run):
    driver = run(script.endless())
    driver.until(S.RUNNING)
    driver.want_cancel()
    assert driver.until_complete().status is S.CANCELLED


def test_a_cancel_that_was_wanted_before_the_start_event_is_asked_for(server, run):
    driver = run(script.endless())
    driver.want_cancel()
    assert driver.look().status is S.PENDING
    assert server.requests["cancel"] == 1
    assert driver.until_complete().status is S.CANCELLED


def test_a_wanted_cancel_that_is_refused_does_not_stop_the_watching(run):
    driver = run([*script.endless().events, *script.ending(5)], cancel=CancelMode.REFUSED)
    driver.want_cancel()
    assert driver.until_complete().status is S.SUCCESS


def test_nothing_can_be_looked_at_before_the_launch_is_settled(orchestrator, environment, clock):
    wanted = make_launch(environment.workflow_id("exec_job"), clock=clock)
    with pytest.raises(UpstreamError):
        orchestrator.observe(make_execution(wanted, None))
