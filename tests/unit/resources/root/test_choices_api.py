"""What can be done with an execution now, and why not."""

from __future__ import annotations

from typing import Any

import pytest
from service_kit import PASSWORDS, Service, basic, open_service, users

from app.domain import ExecutionStatus, Observation, Task, TaskStatus

FLOW = """id: flow
steps:
  - {id: first, type: script, config: {script: exit 2}}
  - {id: second, type: script, needs: [first], config: {script: 'true'}}
"""
FINAL = ExecutionStatus.FAILED


@pytest.fixture
def service(tmp_path: Any) -> Any:
    made = open_service(tmp_path, api__auth=users())
    yield made
    made.close()


def actions(service: Service, id_: str, who: str = "ada", query: str = "") -> dict[str, Any]:
    path = f"/executions/{id_}/actions{query}"
    answer = service.client.get(path, headers=basic(who, PASSWORDS[who]))
    assert answer.status_code == 200, answer.json
    return {each["action"]: each["reason"] or "" for each in answer.json["actions"]}


def launch(service: Service) -> str:
    """Launch what an orchestrator really knows."""
    headers = basic("dev", PASSWORDS["dev"])
    kept = service.client.post(
        "/workflows", data=FLOW, content_type="application/yaml", headers=headers
    )
    assert kept.status_code == 201, kept.json
    headers = basic("ada", PASSWORDS["ada"])
    answer = service.client.post("/workflows/flow", json={"inputs": {}}, headers=headers)
    assert answer.status_code == 201, answer.json
    return answer.headers["Location"].rpartition("/")[2]


def end(service: Service, id_: str, status: ExecutionStatus = FINAL) -> None:
    tasks = (
        Task("first", TaskStatus.FAILED, exit_code=2),
        Task("second", TaskStatus.SKIPPED),
    )
    seen = Observation(status, None, tasks=tasks, log_complete=True)
    service.record(service.store.get(id_), seen)


def test_of_what_runs(service):
    id_ = service.add_execution("ada").id
    service.record(service.store.get(id_), Observation(ExecutionStatus.RUNNING, None))
    assert actions(service, id_) == {
        "cancel": "", "pause": "", "resume": "It is not paused.",
        "retry": "It has not ended yet.", "purge": "It has not ended yet.",
    }  # fmt: skip
    service.client.post(f"/executions/{id_}/pause", headers=basic("ada", PASSWORDS["ada"]))
    paused = actions(service, id_)
    assert (paused["pause"], paused["resume"]) == ("It is paused.", "")


def test_of_what_has_failed_until_it_goes_on_in_another_one(service):
    id_ = launch(service)
    end(service, id_)
    offered = actions(service, id_)
    assert [name for name, reason in offered.items() if not reason] == ["retry", "purge"]
    headers = basic("ada", PASSWORDS["ada"])
    answer = service.client.post(f"/executions/{id_}/retry", headers=headers)
    assert answer.status_code == 201, answer.json
    offered = actions(service, id_)
    assert offered["retry"].startswith("It goes on in flow-")
    assert offered["purge"].endswith("goes on from it, and needs it.")
    assert service.client.post(f"/executions/{id_}/retry", headers=headers).status_code == 409


def test_what_succeeded_has_nothing_left_to_do(service):
    id_ = service.add_execution("ada").id
    end(service, id_, ExecutionStatus.SUCCESS)
    assert actions(service, id_)["retry"] == "Nothing is left to do: it succeeded."


def test_only_what_somebody_is_allowed_is_offered(service):
    id_ = service.add_execution("ada").id
    assert "abandon" not in actions(service, id_)
    assert actions(service, id_, "ops")["abandon"] == ""
    assert actions(service, id_, query="?task=first") == {}
    assert (
        service.client.get(
            f"/executions/{id_}/actions", headers=basic("bob", PASSWORDS["bob"])
        ).status_code
        == 404
    )


def test_of_a_single_task(service):
    id_ = service.add_execution("ada").id
    running = Observation(ExecutionStatus.RUNNING, None, tasks=(Task("first", TaskStatus.RUNNING),))
    service.record(service.store.get(id_), running)
    assert actions(service, id_, "ops", "?task=first") == {
        "start": "It runs.", "stop": "", "restart": "",
    }  # fmt: skip
    assert actions(service, id_, "ops", "?task=second") == {"start": "", "stop": "", "restart": ""}
    end(service, id_)
    assert actions(service, id_, "ops", "?task=first") == {
        "start": "", "stop": "It has ended.", "restart": "",
    }  # fmt: skip


def test_an_orchestrator_that_cannot_is_not_asked(tmp_path):
    service = open_service(tmp_path, "Obedient", api__auth=users())
    id_ = service.add_execution("ada").id
    assert set(actions(service, id_)) == {"cancel", "purge"}
    assert actions(service, id_, "ops", "?task=first") == {}
    service.close()
