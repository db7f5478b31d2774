"""What lists of the root API tell beside the plain rows."""

from __future__ import annotations

import pytest

from app.domain import ExecutionStatus, Observation, Task, TaskStatus
from app.services.executions import ExecutionService

RUNNING = Task("second", TaskStatus.RUNNING)
NOTHING = {
    "tasks": [], "active": 0, "waits_for": None, "failed_task": None, "exit_code": None,
    "reason": None,
}  # fmt: skip


@pytest.fixture
def see(service):
    def see(execution, status=ExecutionStatus.RUNNING, **more):
        service.record(execution, Observation(status, cursor=None, **more))

    return see


@pytest.fixture
def flow(write_workflow):
    for name in ("flow", "other"):
        write_workflow(
            f"id: {name}\nsteps: [{{id: a, type: script, config: {{script: 'true'}}}}]\n",
            f"{name}.yaml",
        )


def test_a_brief_is_told_where_it_is_asked_for(service, client, see):
    execution = service.add_execution()
    see(execution, tasks=(RUNNING,))
    (plain,) = client.get("/executions").json["executions"]
    (told,) = client.get("/executions?brief=true").json["executions"]
    assert told == {**plain, "brief": {**NOTHING, "tasks": ["second"], "active": 1}}
    failed = Task("first", TaskStatus.FAILED, exit_code=2, error="exit code 2 after 1s")
    see(execution, ExecutionStatus.FAILED, tasks=(failed,), error="Task 'first' failed: ...")
    (told,) = client.get("/executions?brief=true").json["executions"]
    assert told["brief"] == {
        **NOTHING, "failed_task": "first", "exit_code": 2, "reason": "exit code 2 after 1s",
    }  # fmt: skip


def test_an_execution_of_which_nothing_is_to_be_said_has_an_empty_brief(service, client):
    service.add_execution(steps=[])
    assert client.get("/executions?brief=yes").json["executions"][0]["brief"] == NOTHING


def test_briefs_are_read_only_for_a_page_that_is_written_anew(service, client, see, monkeypatch):
    execution, read, briefs = service.add_execution(), [], ExecutionService.briefs

    def noting(executions, some):
        read.append(some)
        return briefs(executions, some)

    monkeypatch.setattr(ExecutionService, "briefs", noting)
    first = client.get("/executions?brief=true")
    assert client.get("/executions?brief=true").data == first.data
    assert len(read) == 1
    see(execution, tasks=(RUNNING,))
    (told,) = client.get("/executions?brief=true").json["executions"]
    assert told["brief"]["active"] == 1


def test_the_oldest_that_runs_and_how_many_do(service, client, see):
    made = [service.add_execution() for _ in range(3)]
    see(made[0], ExecutionStatus.SUCCESS)
    answer = client.get("/executions?order=oldest&state=PENDING&state=RUNNING&page_size=1").json
    assert answer["total"] == 2
    assert [each["id"] for each in answer["executions"]] == [made[1].id]
    assert client.get("/executions?order=sideways").status_code == 422


@pytest.mark.usefixtures("flow")
def test_the_last_execution_of_each_workflow(service, client, see):
    service.add_execution()
    service.add_execution("bob")
    last = service.add_execution()
    service.add_execution("bob")
    see(last, ExecutionStatus.FAILED)
    flow, other = client.get("/workflows?last=true").json["workflows"]
    assert other["last"] is None
    told = client.get(f"/executions/{last.id}").json
    assert flow["last"] == {name: told[name] for name in flow["last"]}
    assert set(flow["last"]) == {
        "id", "execution_id", "status", "state", "created_at", "started_at", "finished_at",
    }  # fmt: skip
    assert "last" not in client.get("/workflows").json["workflows"][0]


@pytest.mark.usefixtures("flow")
def test_workflows_of_one_orchestrator_and_only_old_ones(client, write_workflow):
    assert len(client.get("/workflows?orchestrator=local").json["workflows"]) == 2
    assert client.get("/workflows?orchestrator=far").json == {"workflows": []}
    assert client.get("/workflows?stale=true").json == {"workflows": []}
    write_workflow("id: other\nsteps: what\n", "other.yaml")
    answer = client.get("/workflows?stale=true").json
    assert [each["id"] for each in answer["workflows"]] == ["other"]
    assert "silent" not in answer, "a faulty definition is no silent orchestrator"
