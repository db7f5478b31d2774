"""The tasks of an execution, and the lines of its inline workflows."""

from __future__ import annotations

import pytest
from fakes.alien4cloud import Child, Log, Script, Status, Step, Task, script
from fakes.alien4cloud.run import Run

from app.domain import ExecutionStatus, TaskStatus

S = ExecutionStatus


@pytest.fixture
def run(environment, drive):
    """Launch the exposed workflow with a script, and return its driver."""

    def launch(events=None, **options):
        timeline = events if isinstance(events, Script) else Script(tuple(events or ()), **options)
        environment.workflow("exec_job", script=timeline)
        return drive(environment.workflow_id("exec_job"))

    return launch


def test_tasks_follow_the_steps(server, environment, drive):
    steps = {
        "prepare": {"node": "Job", "operation": "prepare", "then": ["created"]},
        "created": {"node": "Job", "state": "created", "then": ["run"]},
        "run": {"node": "Job", "operation": "run", "then": ["after"]},
        "after": {"node": "Job", "operation": "after"},
    }
    events = [
        Step(1, "prepare", "STARTED"),
        Task(1, "Job", "prepare", "STARTED", step="prepare"),
        Step(3, "prepare", "COMPLETED_SUCCESSFULL"),
        Step(3, "run", "STARTED"),
        Task(3, "Job", "run", "STARTED", step="run"),
        Task(5, "Job", "run", "FAILED", step="run", details="exit 3"),
        Step(5, "run", "COMPLETED_WITH_ERROR"),
        Status(5, "FAILED"),
    ]
    environment.workflow("exec_job", steps=steps, script=Script(tuple(events)))
    driver = drive(environment.workflow_id("exec_job"))
    seen = []
    for _ in range(60):
        driver.look()
        seen.append(" ".join(task.status[:4] for task in driver.tasks.values()))
        driver.sleep(0.1)
    assert list(dict.fromkeys(seen)) == [
        "",
        "PEND PEND PEND PEND",
        "RUNN PEND PEND PEND",
        "SUCC SUCC RUNN PEND",
        "SUCC SUCC FAIL SKIP",
    ]
    assert driver.tasks["run"].error == "exit 3"
    assert driver.tasks["prepare"].started_at is not None
    assert driver.execution.progress == 1.0


def test_tasks_of_an_older_execution_come_from_its_own_records(server, environment, drive, clock):
    environment.workflow("exec_job", script=script.simple(20))
    older = drive(environment.workflow_id("exec_job"))
    clock.advance(1)
    younger = drive(environment.workflow_id("exec_job"))
    older.until_complete(60)
    younger.until_complete(60)
    assert older.tasks["run"].status is TaskStatus.SUCCESS
    assert younger.tasks["run"].status is TaskStatus.SUCCESS
    assert server.requests["search_tasks"] > 0


def test_an_undeployment_does_not_take_back_what_tasks_have_done(environment, run):
    driver = run([Step(0, "run", "STARTED"), Step(1, "run", "COMPLETED_SUCCESSFULL")])
    driver.look_for(3)
    environment.undeploy()
    assert driver.until_complete(120).status is S.FAILED
    assert driver.tasks["run"].status is TaskStatus.SUCCESS


def test_what_runs_at_a_cancel_is_cancelled(run, orchestrator):
    driver = run(script.endless())
    driver.until(S.RUNNING)
    orchestrator.cancel(driver.execution)
    driver.until_complete()
    assert driver.tasks["run"].status is TaskStatus.CANCELLED


def inline(environment, children, *, prepared=1.5, end=6):
    steps = {"prepare": {"node": "Job", "operation": "run", "then": ["clean"]},
             "clean": {"inline": "cleanup"}}  # fmt: skip
    events = (Log(1, "ours"), Step(prepared, "prepare", "COMPLETED_SUCCESSFULL"), *children,
              Log(end - 1, "ours again"), Status(end, "SUCCEEDED"))  # fmt: skip
    environment.workflow("cleanup", script=Script((Log(0.5, "a cleanup of its own"),)))
    environment.workflow("exec_job", steps=steps, script=Script(events))
    return environment.workflow_id("exec_job")


CLEANUP = Child(2, "cleanup", Script((Log(0.1, "wiping"), Status(1, "SUCCEEDED"))))


def test_the_lines_of_an_inline_workflow_are_followed(environment, drive):
    driver = drive(inline(environment, [CLEANUP]))
    driver.until_complete()
    assert driver.lines == ["ours", "wiping", "ours again"]
    assert [entry.task for entry in driver.journal] == ["", "clean", ""]
    assert driver.repeated == []


def test_an_inline_workflow_that_may_be_another_users_is_left_alone(environment, drive):
    environment.application.tags["hpcwaas-workflows"] = "exec_job,cleanup"
    driver = drive(inline(environment, [CLEANUP]))
    driver.until_complete()
    assert driver.lines == ["ours", "ours again"]


def test_what_somebody_began_before_an_inline_step_was_due_is_not_taken_for_it(
    server, environment, drive, clock
):
    child = Child(101, "cleanup", Script((Log(0.1, "wiping"), Status(1, "SUCCEEDED"))))
    driver = drive(inline(environment, [child], prepared=100, end=110))
    driver.look_for(3)
    theirs = Script((Log(0.1, "of somebody else"), Status(1, "SUCCEEDED")))
    run = Run("cleanup", environment.deployment.id, {}, theirs, clock(), clock())
    server.world.runs[run.id] = run
    driver.until_complete(200)
    assert sorted(driver.lines) == ["ours", "ours again", "wiping"]


def test_old_executions_are_not_read_for_an_inline_workflow_that_has_not_begun(
    server, environment, drive, clock
):
    workflow_id = inline(environment, [])
    for age in range(500, 0, -1):
        began = clock() - 1000 - age
        old = Run("exec_job", environment.deployment.id, {}, script.simple(0.1), began, began)
        server.world.runs[old.id] = old
    driver = drive(workflow_id)
    driver.look_for(2)  # the step is due, and nothing shows that could be it
    before = server.requests["search_executions"], server.requests["get_execution"]
    driver.look_for(3)
    looks = server.requests["get_execution"] - before[1]
    assert server.requests["search_executions"] - before[0] <= looks


def test_an_inline_workflow_of_one_of_two_parents_is_left_alone(environment, drive):
    workflow_id = inline(environment, [CLEANUP])
    drivers = [drive(workflow_id), drive(workflow_id)]
    for driver in drivers:
        driver.until_complete()
        assert driver.lines == ["ours", "ours again"]
