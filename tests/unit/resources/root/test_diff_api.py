"""``GET /executions/<a>/diff/<b>``: its form, and when it is not sent again."""

from __future__ import annotations

import pytest
from service_kit import users

from app.domain import ExecutionStatus, Level, LogStream, NewLogEntry, Observation, Task, TaskStatus
from app.store.execution_rows import now

NOWHERE = "00000000-0000-4000-8000-999999999999"


def ended(service, owner="anonymous", status=ExecutionStatus.SUCCESS, says="a", **more):
    execution = service.add_execution(owner, **more)
    moment = now()
    first = Task("first", TaskStatus(str(status)), moment, moment, 0, 1)
    line = NewLogEntry(Level.INFO, 0, says, "first", stream=LogStream.STDOUT)
    seen = Observation(
        status, None, (first,), entries=(line,), outputs={"total": says}, started_at=moment,
        finished_at=moment, log_complete=True,
    )  # fmt: skip
    service.record(execution, seen)
    return execution


@pytest.fixture
def pair(service):
    one = ended(service, inputs={"n": 1, "token": "x"})
    return one, ended(service, status=ExecutionStatus.FAILED, says="b", inputs={"n": 2})


def test_it_has_the_keys_of_the_contract(client, pair):
    one, other = pair
    response = client.get(f"/executions/{one.id}/diff/{other.id}")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    body = response.json
    listed = {each["id"]: each for each in client.get("/executions").json["executions"]}
    assert (body.pop("before"), body.pop("after")) == (listed[one.id], listed[other.id])
    entry = {"level": "INFO", "timestamp": "1970-01-01T00:00:00.000Z", "task": "first", "index": 0}
    state = {"status": "SUCCESS", "exit_code": 0, "attempts": 1, "duration_seconds": 0.0}
    pending = {"status": "PENDING", "exit_code": None, "attempts": 0, "duration_seconds": None}
    assert body == {
        "differs": True,
        "duration_seconds": {"before": 0.0, "after": 0.0},
        "inputs": [{"name": "n", "before": 1, "after": 2}, {"name": "token", "before": "***"}],
        "inputs_changed": 2,
        "outputs": [{"name": "total", "before": "a", "after": "b"}],
        "outputs_changed": 1,
        "definition": {
            "changed": False, "before": None, "after": None, "diff": [], "cut": False,
            "missing": None,
        },
        "steps": [
            {"name": "first", "change": "changed", "before": state,
             "after": {**state, "status": "FAILED"}},
            {"name": "second", "change": "none", "before": pending, "after": pending},
        ],
        "steps_total": 2,
        "log": {
            "lines": [
                {"task": "first", "line": 1, "before": {**entry, "content": "a"},
                 "after": {**entry, "content": "b"}},
            ],
            "compared": {"before": 1, "after": 1}, "complete": True, "stopped_by": None,
        },
    }  # fmt: skip


def test_names_find_them_as_well(client, pair):
    one, other = pair
    by_name = client.get(f"/executions/{one.awf_name}/diff/{other.awf_name}").json
    assert by_name == client.get(f"/executions/{one.id}/diff/{other.id}").json


def test_a_comparison_that_nothing_changed_is_not_made_again(service, client, pair, monkeypatch):
    one, _ = pair
    open_ = service.add_execution()
    path = f"/executions/{one.id}/diff/{open_.id}"
    tag = client.get(path).headers["ETag"]
    unused = service.services.comparisons
    with monkeypatch.context() as patch:
        patch.setattr(type(unused), "compare", lambda *_: pytest.fail("it was made again"))
        unchanged = client.get(path, headers={"If-None-Match": tag})
        assert unchanged.status_code == 304
        assert unchanged.headers["Cache-Control"] == "private, no-cache"
    service.record(open_, Observation(ExecutionStatus.RUNNING, None))
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("which", ["first", "second"])
def test_the_one_that_there_is_not_is_named(client, pair, assert_problem, which):
    ids = [NOWHERE, pair[0].id] if which == "first" else [pair[0].id, NOWHERE]
    response = client.get("/executions/{}/diff/{}".format(*ids))
    assert_problem(response, 404, "not_found")
    assert response.json["detail"] == (
        f"There is no such execution: the {which} of the two, '{NOWHERE}'."
    )


def test_what_is_of_others_there_is_not(make_service, as_user):
    service = make_service(api__auth=users())
    mine, theirs = ended(service, "ada"), ended(service, "bob")
    path = f"/executions/{mine.id}/diff/{theirs.id}"
    assert service.client.get(path, headers=as_user("ada")).status_code == 404
    assert service.client.get(path, headers=as_user("bob")).status_code == 404
    assert service.client.get(path, headers=as_user("ops")).status_code == 200


def test_no_body_answers_head(client, pair):
    response = client.head(f"/executions/{pair[0].id}/diff/{pair[1].id}")
    assert (response.status_code, response.data) == (200, b"")
