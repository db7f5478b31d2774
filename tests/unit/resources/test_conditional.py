import threading
from datetime import timedelta

import pytest
from kit.patience import await_that, held
from service_kit import users

from app.domain import ExecutionStatus, Level, NewLogEntry, Observation
from app.resources import _conditional
from app.store import executions as stored

LOG = "/executions/{id}/logs?timeout=0"
ADDRESSES = [
    "/executions",
    "/executions?page_size=1&status=RUNNING",
    "/executions/{id}",
    "/executions/{name}",
    "/executions/{id}/tasks",
    "/executions/{id}/tasks/first",
    LOG,
    "/executions/{name}/logs?timeout=0",
    "/workflows",
    "/workflows/flow",
    "/ssh_keys",
    "/api/workflows",
    "/api/v1/executions",
    "/openapi.json",
]


@pytest.fixture
def known(quiet):
    [found] = quiet.client.get("/executions").json["executions"]
    return {"id": found["id"], "name": found["execution_id"]}


@pytest.fixture
def execution(service):
    return service.add_execution()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_poll_that_changed_nothing_has_no_body(quiet, known, address, method):
    path = address.format(**known)
    first = quiet.client.get(path)
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')
    again = quiet.client.open(path, method=method, headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == tag
    for name in ("Content-Type", "Content-Length"):
        assert name not in again.headers
    for name in ("Vary", "X-Pagination", "Cache-Control"):
        assert again.headers.get(name) == first.headers.get(name)
    other = quiet.client.get(path, headers={"If-None-Match": '"other", W/"another"'})
    assert (other.status_code, other.data != b"") == (200, True)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("given", ['"x"', 'W/"x"', '"x", "y"', "TAG"])
def test_a_weak_tag_never_matches_strongly(quiet, known, address, given):
    path = address.format(**known)
    tag = quiet.client.get(path).headers["ETag"]
    refused = quiet.client.get(path, headers={"If-Match": given.replace("TAG", tag)})
    assert refused.status_code == 412
    assert refused.content_type in ("application/problem+json", "application/json")
    assert quiet.client.get(path, headers={"If-Match": "*"}).status_code == 200


def test_each_dialect_refuses_in_its_own_form(quiet, known, assert_problem):
    headers = {"If-Match": '"x"'}
    assert_problem(quiet.client.get("/workflows", headers=headers), 412, "precondition_failed")
    engine = quiet.client.get("/api/v1/executions", headers=headers)
    assert engine.json["error"] == "precondition_failed"
    wattle = quiet.client.get("/api/workflows", headers=headers)
    assert wattle.json["error"]["code"] == "PRECONDITION_FAILED"


@pytest.mark.parametrize(
    ("given", "tag", "outcome"),
    [
        ({"If-None-Match": "*"}, 'W/"a"', 304),
        ({"If-None-Match": '"a"'}, 'W/"a"', 304),
        ({"If-None-Match": 'W/"a"'}, '"a"', 304),
        ({"If-None-Match": '"b", W/"a"'}, 'W/"a"', 304),
        ({"If-None-Match": '"b"'}, 'W/"a"', 200),
        ({"If-None-Match": "*"}, None, 200),
        ({"If-None-Match": ""}, 'W/"a"', 200),
        ({"If-Match": "*"}, 'W/"a"', 200),
        ({"If-Match": "*"}, None, 412),
        ({"If-Match": '"a"'}, '"a"', 200),
        ({"If-Match": 'W/"a"'}, '"a"', 412),
        ({"If-Match": '"a"'}, 'W/"a"', 412),
        ({"If-Match": '"a"', "If-None-Match": '"a"'}, '"a"', 304),
        ({"If-Match": '"b"', "If-None-Match": '"a"'}, '"a"', 412),
        ({}, 'W/"a"', 200),
    ],
)
def test_fields_are_compared_as_the_standard_says(service, given, tag, outcome):
    with service.web.app.test_request_context("/", headers=given):
        conditions = _conditional.Conditions.of_request()
        try:
            found = 200 if conditions is None or conditions.holds(tag) else 304
        except _conditional.ConditionFailed:
            found = 412
    assert found == outcome


def see(service, execution, status=ExecutionStatus.RUNNING, **more):
    return service.record(execution, Observation(status, **{"cursor": None, **more}))


@pytest.mark.parametrize("form", ["id", "awf_name"])
def test_only_what_readers_see_makes_another_tag(service, execution, form):
    path = f"/executions/{getattr(execution, form)}"
    see(service, execution)
    tag = service.client.get(path).headers["ETag"]
    # An observation in which nothing is new, and the log, are none of it.
    before = service.client.get(path).json["as_of"]
    see(service, execution)
    entry = NewLogEntry(Level.INFO, 1, "hello", "first")
    see(service, execution, entries=(entry,))
    assert service.client.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert service.client.get(path).headers["ETag"] == tag
    assert service.client.get(path).json["as_of"] >= before
    tags = {tag}
    for number, more in enumerate(({"progress": 0.5}, {"outputs": {"a": 1}}, {"error": "e"})):
        see(service, execution, **more)
        answer = service.client.get(path, headers={"If-None-Match": tag})
        assert answer.status_code == 200
        tags.add(answer.headers["ETag"])
        assert len(tags) == number + 2


def test_a_list_is_another_one_once_anything_in_it_is(service, execution):
    def tag(query=""):
        return service.client.get(f"/executions{query}").headers["ETag"]

    first = tag()
    assert tag() == first
    see(service, execution)
    second = tag()
    see(service, execution)
    assert tag() == second
    other = service.add_execution()
    assert len({first, second, tag(), tag("?page_size=1"), tag("?page_size=1&page=2")}) == 5
    see(service, other, ExecutionStatus.SUCCESS)
    assert tag("?page_size=1") != second


def test_an_unchanged_list_is_not_read_again(service, execution, monkeypatch):
    tag = service.client.get("/executions").headers["ETag"]
    monkeypatch.setattr(stored.Executions, "find", None)
    again = service.client.get("/executions", headers={"If-None-Match": tag})
    assert again.status_code == 304


def test_an_execution_of_which_nothing_changed_is_not_written_again(
    service, execution, monkeypatch
):
    path = f"/executions/{execution.id}"
    tag = service.client.get(path).headers["ETag"]
    monkeypatch.setattr("app.resources.root.executions.execution_json", None)
    assert service.client.get(path, headers={"If-None-Match": tag}).status_code == 304


def test_other_users_get_another_list(make_service, as_user):
    service = make_service(api__auth=users())
    service.add_execution("ada")
    tags = {
        who: service.client.get("/executions", headers=as_user(who)).headers["ETag"]
        for who in ("ada", "bob")
    }
    assert tags["ada"] != tags["bob"]
    answer = service.client.get(
        "/executions", headers={**as_user("bob"), "If-None-Match": tags["ada"]}
    )
    assert answer.status_code == 200


def test_what_is_not_found_stays_so(quiet):
    missing = "/executions/00000000-0000-4000-8000-999999999999"
    for headers in ({"If-Match": '"x"'}, {"If-None-Match": "*"}):
        assert quiet.client.get(missing, headers=headers).status_code == 404
        assert quiet.client.delete(missing, headers={"If-None-Match": "*"}).status_code == 404


def test_a_change_is_made_only_where_its_condition_holds(service, execution, assert_problem):
    path = f"/executions/{execution.id}"
    for headers in ({"If-Match": '"x"'}, {"If-None-Match": "*"}):
        refused = service.client.delete(path, headers=headers)
        assert_problem(refused, 412, "precondition_failed")
    assert service.store.get(execution.id).status is ExecutionStatus.PENDING
    assert service.client.delete(path, headers={"If-Match": "*"}).status_code == 202


def test_a_definition_is_uploaded_only_where_there_is_none(service, assert_problem):
    definition = {"id": "n", "name": "N", "steps": [{"id": "s", "type": "command",
                  "config": {"command": "true"}}]}  # fmt: skip

    def put(**headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return service.client.put("/workflows/n", json=definition, headers=named)

    assert_problem(put(If_Match="*"), 412, "precondition_failed")
    assert put(If_None_Match="*").status_code == 201
    assert_problem(put(If_None_Match="*"), 412, "precondition_failed")
    assert put(If_Match="*").status_code == 200


def test_a_held_poll_is_answered_by_what_it_depends_on(service, execution):
    path = f"/executions/{execution.id}/logs?timeout=1m"
    tag = service.client.get(f"/executions/{execution.id}/logs?timeout=0").headers["ETag"]
    answers = []

    def poll():
        answers.append(service.client.get(path, headers={"If-None-Match": tag}))

    thread = threading.Thread(target=poll)
    thread.start()
    await_that(lambda: held(service.web.changes))
    see(service, execution, entries=(NewLogEntry(Level.INFO, 1, "hello", "first"),))
    thread.join(30)
    assert [answer.status_code for answer in answers] == [200]
    assert answers[0].headers["ETag"] != tag


@pytest.mark.parametrize("address", ["/executions", "/executions/{id}"])
def test_what_got_stale_says_so_under_another_tag(service, execution, monkeypatch, address):
    see(service, execution)
    path = address.format(id=execution.id)
    tag = service.client.get(path).headers["ETag"]
    monkeypatch.setattr(service.services.executions, "_stale_after", timedelta(-1))
    answer = service.client.get(path, headers={"If-None-Match": tag})
    assert (answer.status_code, '"stale":true' in answer.text) == (200, True)
