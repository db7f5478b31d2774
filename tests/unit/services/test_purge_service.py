"""Purged executions on every door of a web process: who is told what, and how followers end."""

import json
from dataclasses import replace

import pytest
from follow_kit import Log, await_that, service_in, until
from service_kit import PASSWORDS, basic, signed_in, users

from app.domain import ExecutionStatus, Observation
from app.errors import NotAllowed, NotFound, Purged, ScopeMissing
from app.identity.scopes import permissions_of
from app.services.follow import Ended, Expired, FollowQuery, Heartbeat, Removed
from app.services.idle import waited
from app.services.logs import LogQuery
from app.services.stretches import STRETCH
from app.store.execution_rows import now
from app.store.purging import Purging, What

ADA, BOB, OPS = signed_in("ada"), signed_in("bob"), signed_in("ops")
UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip
DOORS = (
    "/executions/{}", "/executions/{}?wait=1s", "/executions/{}/tasks", "/executions/{}/tasks/a",
    "/executions/{}/logs", "/executions/{}/logs?timeout=1s&from=9",
)  # fmt: skip


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    options = {"streams__heartbeat": "100ms", "api__auth__recheck": "100ms"}
    with service_in(tmp_path_factory, api__auth=users(), **options) as made:
        yield made


@pytest.fixture
def ended(guarded):
    """An execution of ada's that has ended, with a log."""
    return Log(guarded, owner="ada").write(3).end()


@pytest.fixture
def purged(guarded, ended):
    guarded.services.purging.purge(ended.id, ADA)
    return ended


@pytest.fixture
def store(guarded):
    return Purging(guarded.web.database, {"local": True})


def ask(guarded, user, path, method="GET", **more):
    headers = {**basic(user, PASSWORDS[user]), **more.pop("headers", {})}
    return guarded.client.open(path, method=method, headers=headers, **more)


@pytest.mark.parametrize("door", DOORS)
def test_who_saw_it_is_told_that_it_is_gone_and_others_nothing(guarded, purged, door):
    for name in (purged.id, purged.execution.awf_name):
        for user, status, code in (
            ("ada", 410, "purged"), ("ops", 410, "purged"), ("bob", 404, "not_found"),
        ):  # fmt: skip
            answer = ask(guarded, user, door.format(name))
            assert (answer.status_code, answer.json["code"]) == (status, code), (user, door)


def test_executions_of_virtual_users_go_by_their_own_door(guarded):
    load = guarded.services.submissions.orchestrator
    execution = guarded.add_execution("ada", orchestrator=load, upstream_id="exec-0123456789ab")
    path = f"/api/v1/executions/{execution.upstream_id or execution.id}"
    unfinished = ask(guarded, "ada", f"{path}?purge=true", "DELETE")
    assert (unfinished.status_code, unfinished.json["error"]) == (400, "purge_failed")
    guarded.record(execution, Observation(ExecutionStatus.FAILED, cursor=None, log_complete=True))
    assert ask(guarded, "bob", f"{path}?purge=true", "DELETE").status_code == 404
    assert ask(guarded, "ada", f"{path}?purge=true", "DELETE").status_code == 200
    for below in ("", "/metrics"):
        answer = ask(guarded, "ada", path + below)
        assert (answer.status_code, answer.json["error"]) == (410, "gone")
        assert ask(guarded, "bob", path + below).status_code == 404
    # One of another kind is none of this door's, purged or not.
    other = Log(guarded, owner="ada").end()
    guarded.services.purging.purge(other.id, ADA)
    assert ask(guarded, "ada", f"/api/v1/executions/{other.id}").status_code == 404


@pytest.mark.parametrize("action", ["pause", "resume", "tickets", "retry"])
def test_nothing_can_be_done_with_it(guarded, purged, action):
    path = f"/executions/{purged.id}/{action}"
    assert ask(guarded, "ops", path, "POST").status_code in (410, 404 if action == "retry" else 410)
    assert ask(guarded, "bob", path, "POST").status_code in (404, 403)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson", "text/plain"])
def test_no_stream_begins(guarded, purged, accept):
    path = f"/executions/{purged.id}/logs?follow=true"
    assert ask(guarded, "ada", path, headers={"Accept": accept}).status_code == 410


def test_deleting_cancels_as_before_unless_it_is_to_be_purged(guarded, ended):
    path = f"/executions/{ended.id}"
    assert ask(guarded, "ada", path, "DELETE").status_code == 409
    assert ask(guarded, "bob", f"{path}?purge=true", "DELETE").status_code == 404
    answer = ask(guarded, "ada", f"{path}?purge=true", "DELETE")
    assert (answer.status_code, answer.data) == (204, b"")
    assert ask(guarded, "ada", f"{path}?purge=true", "DELETE").status_code == 410
    assert ask(guarded, "ada", path, "DELETE").status_code == 410


@pytest.mark.parametrize("rubbish", ["maybe", "", "2"])
def test_what_is_neither_yes_nor_no_is_refused_by_name(guarded, ended, rubbish):
    answer = ask(guarded, "ada", f"/executions/{ended.id}?purge={rubbish}", "DELETE")
    assert answer.status_code == 422
    assert "purge" in answer.text


def test_what_has_not_ended_is_not_purged(guarded):
    log = Log(guarded, owner="ada").see()
    answer = ask(guarded, "ada", f"/executions/{log.id}?purge=true", "DELETE")
    assert answer.status_code == 409
    assert "cancel it first" in answer.json["detail"]
    assert guarded.store.get(log.id).status is ExecutionStatus.RUNNING


def test_operators_purge_what_is_others(guarded, ended):
    guarded.services.purging.purge(ended.execution.awf_name, OPS)
    with pytest.raises(Purged, match="by ops"):
        guarded.services.executions.get(ended.id, ADA)


def test_who_may_cancel_only_may_not_purge(guarded, ended):
    restricted = replace(ADA, scopes=permissions_of(["executions:cancel", "executions:read"]))
    with pytest.raises(ScopeMissing, match="executions:purge"):
        guarded.services.purging.purge(ended.id, restricted)


def test_the_audit_tells_a_purge_from_a_cancel(guarded, ended):
    path = f"/executions/{ended.execution.awf_name}"
    ask(guarded, "ada", f"{path}?purge=true", "DELETE")

    def found():
        listed = ask(guarded, "root", f"/audit?target=/executions/{ended.id}").json["events"]
        return [(e["action"], e["result"]) for e in listed]

    await_that(lambda: ("executions:purge", "success") in found())
    assert "executions:cancel" not in [action for action, _ in found()]


def test_a_launch_with_the_key_of_a_purged_one_says_so(guarded):
    upload = "id: keyed\nsteps:\n  - id: a\n    type: command\n    config: {command: 'true'}\n"
    headers = {"Content-Type": "application/yaml"}
    assert ask(guarded, "dev", "/workflows", "POST", data=upload, headers=headers).status_code < 300
    key = {"Idempotency-Key": "once"}
    launched = ask(guarded, "ada", "/workflows/keyed", "POST", headers=key)
    id_ = launched.headers["Location"].rpartition("/")[2]
    log = Log.__new__(Log)
    log._service, log.execution, log.levels = guarded, guarded.store.get(id_), []
    log.end()
    guarded.services.purging.purge(id_, ADA)
    for path in ("/workflows/keyed", "/workflows/keyed/run"):
        answer = ask(guarded, "ada", path, "POST", headers=key)
        assert answer.status_code == 409
        if path == "/workflows/keyed":
            assert answer.json["code"] == "purged"
            assert "launch with another" in answer.json["detail"]
    assert ask(guarded, "bob", "/workflows/keyed", "POST", headers=key).status_code == 201


def test_a_ticket_that_was_given_before_leads_to_the_same_answer(guarded, ended):
    ask_for = f"/executions/{ended.id}/tickets"
    tickets = {
        name: ask(guarded, "ada", ask_for, "POST").json["ticket"]
        for name in (ended.id, ended.execution.awf_name)
    }
    guarded.services.purging.purge(ended.id, ADA)
    for name, ticket in tickets.items():
        path = f"/executions/{name}/logs?ticket={ticket}"
        answer = guarded.client.get(path, headers={"Accept": "text/event-stream"})
        assert answer.status_code == 410


def test_a_web_socket_is_refused(guarded, purged):
    path = f"/executions/{purged.id}/ws"
    client = guarded.client
    answer = client.get(
        path, headers={**basic("ada", PASSWORDS["ada"]), **UPGRADE}, base_url="ws://localhost"
    )  # fmt: skip
    assert answer.status_code == 410


def test_a_reader_in_the_middle_of_a_log_is_told_that_it_is_gone(guarded):
    log = Log(guarded, owner="ada").write(3 * STRETCH).end()
    events = guarded.services.follow.open(log.id, lambda: ADA, FollowQuery(15, after=-1))
    seen = [next(events) for _ in range(2)]
    guarded.services.purging.purge(log.id, ADA)
    store = Purging(guarded.web.database, {"local": True})
    while store.remove_some():
        pass
    seen += list(events)
    assert isinstance(seen[-1], Expired)
    assert "purged" in seen[-1].reason
    assert not any(isinstance(event, Ended) for event in seen)


def test_a_reader_who_has_it_all_gets_the_end(guarded, ended):
    events = guarded.services.follow.open(ended.id, lambda: ADA, FollowQuery(15, after=-1))
    assert isinstance(list(events)[-1], Ended)


def test_the_stream_of_events_tells_it_to_those_who_saw_it(guarded, ended):
    watching = {
        name: waited(guarded.services.events.steps(lambda who=who: who))
        for name, who in (("ada", ADA), ("bob", BOB), ("ops", OPS))
    }
    for events in watching.values():
        until(events, Heartbeat)
    guarded.services.purging.purge(ended.id, ADA)
    for name in ("ada", "ops"):
        told = until(watching[name], Removed)[-1]
        assert (told.execution.id, told.execution.purged_by) == (ended.id, "ada")
    for _ in range(2):
        assert not any(isinstance(e, Removed) for e in until(watching["bob"], Heartbeat))


def test_a_log_that_was_purged_says_so_and_its_execution_stays(guarded, ended, store):
    while store.purge_old(What.LOGS, now(), "retention"):
        pass
    assert ask(guarded, "ada", f"/executions/{ended.id}").json["state"] == "SUCCESS"
    for path in ("logs", "logs?from=1&timeout=1s", "logs?follow=true"):
        for accept in ("application/json", "text/event-stream", "text/plain"):
            answer = ask(
                guarded, "ada", f"/executions/{ended.id}/{path}", headers={"Accept": accept}
            )
            assert answer.status_code == 410, (path, accept)
            assert "log" in json.loads(answer.data)["detail"]


def test_who_sees_it_without_owning_it_may_not_purge_it(guarded, ended, monkeypatch):
    monkeypatch.setattr(guarded.services.access, "require_visible", lambda *_: None)
    with pytest.raises(NotAllowed, match="owner"):
        guarded.services.purging.purge(ended.id, BOB)


def test_the_page_of_a_log_that_waits_when_it_is_purged_says_so(guarded, ended):
    guarded.services.purging.purge(ended.id, ADA)
    with pytest.raises(Purged):
        next(guarded.services.logs.steps(ended.id, ADA, LogQuery(9, -1, 15, 1.0)))
    with pytest.raises(NotFound) as caught:
        next(guarded.services.logs.steps(ended.id, BOB, LogQuery(9, -1, 15, 1.0)))
    assert not isinstance(caught.value, Purged)


def test_what_was_purged_is_not_taken_over_again_from_an_upstream(guarded, monkeypatch):
    execution = guarded.add_execution("ada", accepted=False)
    guarded.launches.launched(execution, {"job": 1}, "upstream-42")
    guarded.record(execution, Observation(ExecutionStatus.FAILED, cursor=None, log_complete=True))
    guarded.services.purging.purge("upstream-42", ADA)
    asked = []
    monkeypatch.setattr(
        guarded.services.executions._adoption, "adopt", lambda *who: asked.append(who)
    )
    for name in ("upstream-42", execution.id):
        assert ask(guarded, "ada", f"/executions/{name}").status_code == 410
        assert ask(guarded, "bob", f"/executions/{name}").status_code == 404
    assert asked == []
