"""``/operations``: what became of what a conductor carries out, told to whoever asked for it."""

from __future__ import annotations

import threading

import pytest
from kit.patience import await_that, held, join

from app.domain import Identity
from app.errors import QuotaExceeded
from app.resources._held import PARKS, answered
from app.resources.root import operations as resource
from app.services.idle import Idle
from app.services.operations import MOST_OPEN
from app.store.operations import Operations, Room

ADA = Identity("ada", frozenset())
ROOM = Room(9, 9, {}, 60.0, repeatable=True)


@pytest.fixture
def filed(guarded):
    return guarded.services.operations.file("check", "hpc", {}, ADA)


def finish(service, operation, **outcome):
    operations = Operations(service.web.database)
    operations.claim("one", {"check": ROOM}, 15.0)
    assert operations.finish(operation, "one", **outcome)


def test_its_owner_reads_it_and_nobody_else(guarded, filed, as_user):
    response = guarded.client.get(f"/operations/{filed.id}", headers=as_user("ada"))
    assert response.status_code == 200
    body = response.json
    assert body.pop("made_at")
    assert body == {
        "id": filed.id, "kind": "check", "subject": "hpc", "state": "WAITING", "result": None,
        "error": None, "error_code": None, "finished_at": None,
    }  # fmt: skip
    for name in ("bob", "root"):
        other = guarded.client.get(f"/operations/{filed.id}", headers=as_user(name))
        assert other.status_code == 404


def test_whoever_waits_is_answered_when_it_has_ended(guarded, filed, as_user):
    answers = []

    def wait():
        path = f"/operations/{filed.id}?wait=20s"
        answers.append(guarded.web.app.test_client().get(path, headers=as_user("ada")))

    thread = threading.Thread(target=wait)
    thread.start()
    await_that(lambda: held(guarded.web.changes))
    finish(guarded, filed, result={"ok": True})
    join(thread)
    assert answers[0].json["state"] == "DONE"
    assert answers[0].json["result"] == {"ok": True}


def test_no_wait_is_longer_than_that_of_whoever_asks(guarded, filed, as_user):
    path = f"/operations/{filed.id}?wait=21s"
    assert guarded.client.get(path, headers=as_user("ada")).status_code == 422


def test_what_has_just_been_asked_for_is_answered_with_its_result_or_its_address(
    guarded, filed, monkeypatch
):
    told = resource._accepted(filed)
    assert told.status_code == 202
    assert told.headers["Location"] == f"/operations/{filed.id}"
    finish(guarded, filed, error="It does not answer.", error_code="upstream_unreachable")
    ended = guarded.services.operations.get(filed.id, ADA)
    told = resource._accepted(ended)
    assert told.status_code == 200
    assert "Location" not in told.headers
    assert told.json["error"] == "It does not answer."


def test_whoever_asks_for_something_waits_without_a_greenlet(guarded, filed):
    steps = guarded.services.operations.wait(filed.id, ADA)
    parks = {PARKS: True}
    with guarded.web.app.test_request_context("/x", method="POST", environ_overrides=parks):
        waiting = answered(steps, resource._accepted, has_effect=True)
    begun = []
    body = waiting({"REQUEST_METHOD": "POST"}, lambda status, _: begun.append(status))
    assert isinstance(next(body), Idle)
    assert begun == []
    finish(guarded, filed, result=1)
    assert b'"DONE"' in b"".join(body)
    assert begun == ["200 OK"]


def test_the_address_of_what_takes_longer_is_below_the_prefix_of_a_proxy(guarded, filed):
    steps = guarded.services.operations.wait(filed.id, ADA)
    environ = {PARKS: True, "SCRIPT_NAME": "/hpc"}
    with guarded.web.app.test_request_context("/x", method="POST", environ_overrides=environ):
        waiting = answered(steps, resource._accepted, has_effect=True)
    begun = []
    body = waiting({"REQUEST_METHOD": "POST"}, lambda _, headers: begun.append(dict(headers)))
    next(body).is_over = True
    assert b'"WAITING"' in b"".join(body)
    assert begun[0]["Location"] == f"/hpc/operations/{filed.id}"


def test_a_user_has_only_so_many_under_way(guarded, filed, as_user):
    for number in range(MOST_OPEN - 1):
        guarded.services.operations.file("check", str(number), {}, ADA)
    with pytest.raises(QuotaExceeded, match="the most for one user"):
        guarded.services.operations.file("check", "more", {}, ADA)
