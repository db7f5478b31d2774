"""Who did what: every denied access, and whatever changes something, success or not."""

import json

import pytest
from service_kit import PASSWORDS, basic


def events(guarded, as_user, query=""):
    found = guarded.client.get(f"/audit?page_size=1000&{query}", headers=as_user("root"))
    assert found.status_code == 200, found.text
    return found.json["events"]


def call(guarded, method, path, headers=None, **more):
    return guarded.client.open(path, method=method, headers=headers, **more).status_code


DENIED = {
    "nobody": (None, "GET", "/executions", 401, "sign-in", None),
    "wrong password": (basic("ada", "no"), "GET", "/executions", 401, "sign-in", "ada"),
    "unknown user": (basic("zoe", "no"), "GET", "/executions", 401, "sign-in", None),
    "garbled": ({"Authorization": "Basic x"}, "GET", "/executions", 401, "sign-in", None),
    "role": (basic("ada", PASSWORDS["ada"]), "GET", "/audit", 403, "audit:read", "ada"),
    "foreign, read": ("foreign", "GET", "/executions/{}", 404, "executions:read", "ada"),
    "foreign, changed": ("foreign", "DELETE", "/executions/{}", 404, "executions:cancel", "ada"),
    "foreign, log": ("foreign", "GET", "/executions/{}/logs", 404, "executions:read", "ada"),
    "foreign, not allowed": (
        "foreign", "POST", "/executions/{}/abandon", 404, "executions:abandon", "ada",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DENIED.values(), ids=DENIED)
def test_a_denied_access_is_audited(guarded, as_user, case):
    headers, method, path, status, action, user = case
    path = path.format(guarded.add_execution("bob").id)
    headers = as_user("ada") if headers == "foreign" else headers
    assert call(guarded, method, path, headers) == status
    (event,) = events(guarded, as_user, "result=denied")
    assert (event["action"], event["user"]) == (action, user)
    assert (event["address"], event["times"]) == ("127.0.0.1", 1)
    assert event["request_id"]
    assert event["target"] == path or action == "sign-in"


def test_a_key_of_somebody_else_is_denied(guarded, as_user):
    key = guarded.client.post("/ssh_keys", headers=as_user("bob")).json["id"]
    assert call(guarded, "DELETE", f"/ssh_keys/{key}", as_user("ada")) == 404
    assert call(guarded, "DELETE", "/ssh_keys/nothing", as_user("ada")) == 404
    found = [event["result"] for event in events(guarded, as_user, "user=ada")]
    assert found == ["refused", "denied"]


def test_a_page_of_somebody_else_is_denied(guarded, as_user):
    headers = {**as_user("ada"), "Origin": "https://evil.example"}
    assert call(guarded, "POST", "/ssh_keys", headers) == 403
    (event,) = events(guarded, as_user, "result=denied")
    assert (event["action"], event["target"]) == ("keys:write", "/ssh_keys")


def test_what_is_not_there_is_no_denial(guarded, as_user):
    for path in ("/executions/nothing", "/nothing", "/workflows/nothing"):
        assert call(guarded, "GET", path, as_user("ada")) == 404
    assert events(guarded, as_user) == []


def test_reading_is_not_audited(guarded, as_user):
    for path in ("/executions", "/workflows", "/ssh_keys", "/health"):
        assert call(guarded, "GET", path, as_user("ada")) == 200
    assert events(guarded, as_user) == []


def test_changes_are_audited_with_what_they_made(guarded, as_user):
    flow = {"id": "flow", "name": "f", "steps": [
        {"id": "a", "type": "script", "config": {"script": "true"}}]}  # fmt: skip
    assert call(guarded, "POST", "/workflows", as_user("dev"), json=flow) == 201
    launched = guarded.client.post("/workflows/flow", headers=as_user("dev"))
    path = launched.headers["Location"]
    assert call(guarded, "POST", f"{path}/pause", as_user("dev")) == 202
    assert call(guarded, "DELETE", path, as_user("dev")) == 202
    assert call(guarded, "POST", "/workflows/flow", as_user("dev"), json={"inputs": 7}) == 422
    found = [(e["action"], e["target"], e["result"]) for e in events(guarded, as_user, "user=dev")]
    assert found[::-1] == [
        ("workflows:write", "/workflows/flow", "success"),
        ("executions:run", path, "success"),
        ("executions:steer", f"{path}/pause", "success"),
        ("executions:cancel", path, "success"),
        ("executions:run", "/workflows/flow", "refused"),
    ]
    about_it = events(guarded, as_user, f"target={path}")
    assert len(about_it) == 3
    assert {e["credential"].split(":")[0] for e in about_it} == {"basic"}


def test_whatever_is_done_to_an_execution_by_its_name_is_audited_by_its_id(guarded, as_user):
    flow = {"id": "flow", "steps": [{"id": "a", "type": "script", "config": {"script": "true"}}]}
    assert call(guarded, "POST", "/workflows", as_user("dev"), json=flow) == 201
    launched = guarded.client.post("/workflows/flow/run", headers=as_user("ada"))
    path = launched.headers["Location"]
    id_ = guarded.store.id_named(launched.json["execution_id"])
    assert call(guarded, "DELETE", path, as_user("bob")) == 404
    assert call(guarded, "POST", f"{path}/pause", as_user("ada")) == 202
    found = events(guarded, as_user, f"target=/executions/{id_}")
    assert [(e["action"], e["target"], e["result"]) for e in found][::-1] == [
        ("executions:run", f"/executions/{id_}", "success"),
        ("executions:cancel", f"/executions/{id_}", "denied"),
        ("executions:steer", f"/executions/{id_}/pause", "success"),
    ]
    unknown = "/executions/flow-20231209-143022"
    assert call(guarded, "DELETE", unknown, as_user("ada")) == 404
    (refused,) = events(guarded, as_user, f"target={unknown}")
    assert refused["result"] == "refused"


def test_pages_follow_each_other(guarded, as_user):
    for _ in range(7):
        assert call(guarded, "POST", "/ssh_keys", as_user("ada")) == 201
    seen, cursor = [], ""
    while cursor is not None:
        query = f"?page_size=3&cursor={cursor}" if cursor else "?page_size=3"
        page = guarded.client.get(f"/audit{query}", headers=as_user("root")).json
        seen += [event["request_id"] for event in page["events"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen)) == 7


RUBBISH = {
    "result=maybe": "result",
    "since=yesterday": "since",
    "until=2026-13-01T00:00:00Z": "until",
    "page_size=0": "page_size",
    "page_size=1001": "page_size",
    "cursor=0": "cursor",
    "cursor=abc": "cursor",
    "cursor=99999999999999999999": "cursor",
    "user=%00": "user",
    "since=2026-01-02T00:00:00Z%26until": "since",
    "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z": "since",
}


@pytest.mark.parametrize(("query", "field"), RUBBISH.items(), ids=RUBBISH)
def test_rubbish_is_named(guarded, as_user, assert_problem, query, field):
    response = guarded.client.get(f"/audit?{query}", headers=as_user("root"))
    assert_problem(response, 422, "invalid_request", field)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"])
@pytest.mark.parametrize("name", ["since", "until"])
def test_any_moment_will_do(guarded, as_user, name, moment):
    assert call(guarded, "POST", "/ssh_keys", as_user("ada")) == 201
    assert isinstance(events(guarded, as_user, f"{name}={moment}"), list)


def test_no_secret_is_in_it(guarded, as_user, caplog):
    secrets = ["hunter2-is-wrong", "slipped into the name"]
    wrong = [basic("ada", secrets[0]), basic(secrets[1], "x"), basic(secrets[1], secrets[0])]
    for headers in wrong:
        assert call(guarded, "POST", "/workflows/x?password=hunter2-is-wrong", headers) == 401
    assert call(guarded, "GET", "/audit", as_user("ada")) == 403
    made = guarded.client.post("/ssh_keys", headers=as_user("ada")).json["id"]
    assert call(guarded, "DELETE", f"/ssh_keys/{made}", as_user("ada")) == 204
    told = json.dumps(events(guarded, as_user)) + caplog.text
    for secret in (*secrets, PASSWORDS["ada"], made):
        assert secret not in told
