import json
import re
import threading
from datetime import timedelta

import pytest
from kit.patience import await_that, held
from service_kit import users
from sqlalchemy import update

from app.domain import ExecutionStatus, Level, NewLogEntry, Observation, Task, TaskStatus
from app.store.execution_rows import now
from app.store.schema import executions as table

NO_USAGE = dict.fromkeys(("cpu_seconds", "cpu_percent", "memory_bytes", "memory_peak_bytes"))
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NOWHERE = "00000000-0000-4000-8000-999999999999"
SUMMARY = {
    "id", "execution_id", "status", "state", "workflow", "workflow_name", "workflow_version",
    "orchestrator", "owner",
    "upstream_id", "continues", "name", "labels",
    "created_at", "started_at", "finished_at", "progress", "error", "as_of", "stale",
}  # fmt: skip


@pytest.fixture
def execution(service):
    return service.add_execution(inputs={"n": 3})


def see(service, execution, status=ExecutionStatus.RUNNING, **more):
    return service.record(execution, Observation(status, **{"cursor": None, **more}))


class TestGet:
    def test_the_answer_has_the_keys_of_the_contract(self, service, client, execution):
        at = now()
        see(
            service, execution, ExecutionStatus.FAILED, outputs={"a": 1}, error="Task 'x' failed",
            progress=0.5, started_at=at, finished_at=at,
            tasks=(Task("first", TaskStatus.FAILED, at, at, 3, 2, "n1", "exit code 3"),),
        )  # fmt: skip
        response = client.get(f"/executions/{execution.id}")
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/json"
        body = response.json
        assert set(body) == SUMMARY | {"inputs", "outputs", "tasks"}
        assert (body["id"], body["status"]) == (execution.id, "FAILED")
        assert (body["inputs"], body["outputs"]) == ({"n": 3}, {"a": 1})
        assert (body["workflow"], body["workflow_name"]) == ("flow", "Flow")
        assert (body["progress"], body["error"]) == (0.5, "Task 'x' failed")
        assert (body["owner"], body["orchestrator"], body["stale"]) == ("anonymous", "local", False)
        for name in ("created_at", "started_at", "finished_at", "as_of"):
            assert MOMENT.fullmatch(body[name]), name
        first, second = body["tasks"]
        moment = body["finished_at"]
        assert first == {
            "name": "first", "title": None, "status": "FAILED",
            "started_at": moment, "finished_at": moment,
            "exit_code": 3, "attempts": 2, "node": "n1", "error": "exit code 3",
            "run": 0, "continued_from": None, "ready_at": None, "waits_for": None,
            **NO_USAGE,
        }  # fmt: skip
        assert second == {
            "name": "second", "title": None, "status": "PENDING",
            "started_at": None, "finished_at": None,
            "exit_code": None, "attempts": 0, "node": None, "error": None,
            "run": 0, "continued_from": None, "ready_at": None, "waits_for": None,
            **NO_USAGE,
        }  # fmt: skip

    def test_what_the_conductor_needs_is_not_shown(self, client, execution):
        body = client.get(f"/executions/{execution.id}").json
        assert not {"number", "reference", "cursor", "desired", "log_counts"} & set(body)

    def test_before_the_first_look_it_is_pending(self, client, execution):
        body = client.get(f"/executions/{execution.id}").json
        assert (body["status"], body["state"]) == ("RUNNING", "PENDING")
        assert (body["started_at"], body["outputs"]) == (None, {})

    def test_an_old_status_is_stale(self, service, client, execution):
        then = now() - timedelta(hours=1)
        service.web.database.write(lambda c: c.execute(update(table).values(as_of=then)))
        assert client.get(f"/executions/{execution.id}").json["stale"] is True

    @pytest.mark.parametrize("id_", [NOWHERE, "x", "%00", "..", "%e2%82%ac", "x" * 5000, "%ff"])
    @pytest.mark.parametrize(
        ("method", "tail"),
        [("GET", ""), ("DELETE", ""), ("GET", "/tasks"), ("GET", "/tasks/a"), ("GET", "/logs"),
         ("POST", "/pause"), ("POST", "/resume")],
    )  # fmt: skip
    def test_what_is_not_there_is_not_found(self, quiet, assert_problem, id_, method, tail):
        response = quiet.client.open(f"/executions/{id_}{tail}", method=method)
        assert_problem(response, 404, "not_found")

    @pytest.mark.parametrize("wait", ["soon", "-1s", "5", "1", "601s", "11m", "", "1s1s?", "1e9s"])
    def test_a_wait_that_is_none_is_named(self, quiet, assert_problem, wait):
        [execution] = quiet.client.get("/executions").json["executions"]
        response = quiet.client.get(f"/executions/{execution['id']}?wait={wait}")
        assert_problem(response, 422, "invalid_request", "wait")

    def test_a_wait_ends_when_the_status_changes(self, service, execution):
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(service.client.get(f"/executions/{execution.id}?wait=1m"))
        )
        thread.start()
        await_that(lambda: held(service.web.changes))
        see(service, execution, tasks=(Task("first", TaskStatus.RUNNING),))
        thread.join(30)
        [answer] = answers
        assert answer.json["status"] == "RUNNING"
        assert answer.json["tasks"][0]["status"] == "RUNNING"

    def test_a_wait_for_what_has_ended_is_none(self, service, client, execution):
        see(service, execution, ExecutionStatus.SUCCESS)
        assert client.get(f"/executions/{execution.id}?wait=10m").json["status"] == "SUCCESS"

    def test_until_the_end_it_waits_through_all_other_changes(self, service, execution):
        answers = []
        address = f"/executions/{execution.id}?wait=1m&until=end"
        thread = threading.Thread(target=lambda: answers.append(service.client.get(address)))
        thread.start()
        await_that(lambda: held(service.web.changes))
        for status in (ExecutionStatus.RUNNING, ExecutionStatus.CANCELLING):
            see(service, execution, status)
            await_that(lambda: held(service.web.changes))
        assert not answers
        see(service, execution, ExecutionStatus.CANCELLED)
        thread.join(30)
        assert [answer.json["status"] for answer in answers] == ["CANCELLED"]

    def test_until_the_end_it_waits_no_longer_than_asked(self, client, execution):
        answer = client.get(f"/executions/{execution.id}?wait=1ms&until=end")
        assert (answer.status_code, answer.json["state"]) == (200, "PENDING")

    @pytest.mark.parametrize("until", ["", "END", "ended", "end&until=end"])
    def test_what_is_waited_for_is_one_of_two(self, quiet, execution, assert_problem, until):
        [found] = quiet.client.get("/executions").json["executions"]
        response = quiet.client.get(f"/executions/{found['id']}?until={until}")
        assert_problem(response, 422, "invalid_request", "until")


class TestList:
    def test_newest_first_without_the_details(self, service, client):
        ids = [service.add_execution().id for _ in range(3)]
        response = client.get("/executions")
        assert response.status_code == 200
        found = response.json["executions"]
        assert [e["id"] for e in found] == ids[::-1]
        assert all(set(e) == SUMMARY for e in found)

    def test_pages(self, service, client):
        ids = [service.add_execution().id for _ in range(5)]
        response = client.get("/executions?page=2&page_size=2")
        assert [e["id"] for e in response.json["executions"]] == [ids[2], ids[1]]
        assert json.loads(response.headers["X-Pagination"]) == {
            "total": 5, "total_pages": 3, "first_page": 1, "last_page": 3, "page": 2,
            "previous_page": 1, "next_page": 3,
        }  # fmt: skip

    def test_a_page_says_that_it_is_not_all_and_where_the_next_one_is(self, service, client):
        ids = [service.add_execution().id for _ in range(5)]
        answer = client.get("/executions?page_size=2&state=PENDING&state=RUNNING").json
        found, pages = [], 0
        while True:
            assert answer["total"] == 5
            found += [e["id"] for e in answer["executions"]]
            pages += 1
            if answer["next"] is None:
                break
            answer = client.get(answer["next"]).json
        assert (found, pages) == (ids[::-1], 3)

    def test_fifty_are_a_page(self, service, client):
        for _ in range(51):
            service.add_execution()
        answer = client.get("/executions").json
        assert (len(answer["executions"]), answer["total"]) == (50, 51)
        assert answer["next"] == "/executions?page=2"
        assert len(client.get(answer["next"]).json["executions"]) == 1

    @pytest.mark.parametrize("page", [3, 99])
    @pytest.mark.parametrize("path", ["/executions", "/workflows", "/executions?workflow=nope"])
    def test_behind_the_last_page_there_is_no_previous_one(self, service, client, path, page):
        service.add_execution()
        response = client.get(path, query_string=None) if "?" in path else client.get(path)
        assert response.status_code == 200
        sign = "&" if "?" in path else "?"
        found = client.get(f"{path}{sign}page={page}&page_size=1")
        told = json.loads(found.headers["X-Pagination"])
        if page > told["total_pages"]:
            assert "previous_page" not in told
            assert "next_page" not in told

    def test_there_may_be_none(self, client):
        response = client.get("/executions")
        assert response.json == {"executions": [], "total": 0, "next": None}
        assert json.loads(response.headers["X-Pagination"])["total"] == 0

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("workflow=one", ["a", "b"]),
            ("workflow=The+Other", ["c", "d"]),
            ("status=SUCCESS", ["c"]),
            ("owner=bob", ["b", "c"]),
            ("status=PENDING", ["a"]),
            ("status=UNKNOWN", ["b"]),
            ("status=RUNNING", ["a", "b", "d"]),
            ("status=RUNNING&status=SUCCESS", ["a", "b", "c", "d"]),
            ("state=RUNNING", ["d"]),
            ("state=RUNNING&state=PENDING", ["a", "d"]),
            ("status=RUNNING&state=SUCCESS", []),
            ("status=CANCELLED", []),
            ("owner=bob&workflow=one&status=UNKNOWN", ["b"]),
            ("owner=nobody", []),
            ("owner=%27+OR+1%3D1", []),
            ("page=1000000000&page_size=1000", []),
        ],
    )
    def test_filters(self, service, client, query, names):
        one = {"workflow_id": "one", "workflow_name": "The One"}
        other = {"workflow_id": "other", "workflow_name": "The Other"}
        executions = {
            "a": service.add_execution("ada", **one),
            "b": service.add_execution("bob", **one),
            "c": service.add_execution("bob", **other),
            "d": service.add_execution("ada", **other),
        }
        see(service, executions["b"], ExecutionStatus.UNKNOWN)
        see(service, executions["d"])
        see(service, executions["c"], ExecutionStatus.SUCCESS)
        found = {e["id"] for e in client.get(f"/executions?{query}").json["executions"]}
        assert found == {executions[name].id for name in names}

    @pytest.mark.parametrize(
        ("query", "path"),
        [("status=success", "status"), ("status=", "status"),
         ("status=RUNNING&status=x", "status"), ("state=DONE", "state"),
         ("page=x", "page"),
         ("page_size=0", "page_size"), ("owner=%00", "owner"), ("owners=me", "owners")],
    )  # fmt: skip
    def test_rubbish_is_named(self, quiet, assert_problem, query, path):
        assert_problem(quiet.client.get(f"/executions?{query}"), 422, "invalid_request", path)


class TestCancel:
    def test_the_answer_is_that_of_the_contract_to_the_letter(self, client, execution):
        for _ in range(2):
            response = client.delete(f"/executions/{execution.id}")
            assert (response.status_code, response.data) == (202, b"")
            assert response.headers["Content-Length"] == "0"
            assert "Content-Type" not in response.headers
        assert client.get(f"/executions/{execution.id}").json["status"] == "CANCELLING"

    def test_asking_again_when_it_is_cancelled_is_fine(self, service, client, execution):
        see(service, execution, ExecutionStatus.CANCELLED)
        assert client.delete(f"/executions/{execution.id}").status_code == 202

    @pytest.mark.parametrize("status", [ExecutionStatus.SUCCESS, ExecutionStatus.FAILED])
    def test_what_has_ended_is_a_conflict(self, service, client, execution, assert_problem, status):
        see(service, execution, status)
        assert_problem(client.delete(f"/executions/{execution.id}"), 409, "conflict")
        assert client.get(f"/executions/{execution.id}").json["status"] == status

    def test_a_refusal_of_the_orchestrator_is_a_conflict(self, make_service, assert_problem):
        service = make_service(fake="Refusing")
        execution = service.add_execution()
        assert_problem(service.client.delete(f"/executions/{execution.id}"), 409, "conflict")


class TestPause:
    def test_pause_and_resume(self, service, client, execution):
        see(service, execution)
        for verb, state in [("pause", "PAUSED"), ("pause", "PAUSED"), ("resume", "RUNNING")]:
            response = client.post(f"/executions/{execution.id}/{verb}")
            assert (response.status_code, response.headers["Content-Length"]) == (202, "0")
            body = client.get(f"/executions/{execution.id}").json
            assert (body["status"], body["state"]) == ("RUNNING", state)

    def test_where_it_makes_no_sense_it_is_a_conflict(
        self, service, client, execution, assert_problem
    ):
        url = f"/executions/{execution.id}"
        assert_problem(client.post(f"{url}/resume"), 409, "conflict")
        client.delete(url)
        assert_problem(client.post(f"{url}/pause"), 409, "conflict")
        see(service, execution, ExecutionStatus.CANCELLED)
        for verb in ("pause", "resume"):
            assert_problem(client.post(f"{url}/{verb}"), 409, "conflict")

    @pytest.mark.parametrize("verb", ["pause", "resume"])
    def test_an_orchestrator_that_cannot_is_501_and_named(self, make_service, assert_problem, verb):
        service = make_service(fake="Obedient")
        execution = service.add_execution()
        response = service.client.post(f"/executions/{execution.id}/{verb}")
        assert_problem(response, 501, "not_implemented")
        assert "'remote' cannot pause" in response.json["detail"]


class TestTasks:
    def test_all_or_one(self, client, execution):
        tasks = client.get(f"/executions/{execution.id}/tasks").json["tasks"]
        assert [t["name"] for t in tasks] == ["first", "second"]
        assert client.get(f"/executions/{execution.id}/tasks/second").json == tasks[1]

    @pytest.mark.parametrize("name", ["third", "%00", "First", "x" * 5000])
    def test_an_unknown_one_is_not_found(self, client, execution, assert_problem, name):
        response = client.get(f"/executions/{execution.id}/tasks/{name}")
        assert_problem(response, 404, "not_found")


def test_values_of_users_come_back_unchanged(service, client):
    value = {
        "text": "\u00e4 \U0001f600 \" ' ; $(x) ${{ x }} {{ x }} <script>\n\t",
        "numbers": [0, -1, 2**53, 1.5, 1e300],
        "deep": {"": None, "a": [[], {}, True]},
    }
    execution = service.add_execution(inputs=value)
    entry = NewLogEntry(Level.INFO, 0, value["text"])
    see(service, execution, ExecutionStatus.SUCCESS, outputs=value, error=value["text"],
        entries=(entry,))  # fmt: skip
    body = client.get(f"/executions/{execution.id}").json
    assert (body["inputs"], body["outputs"], body["error"]) == (value, value, value["text"])
    assert (
        client.get(f"/executions/{execution.id}/logs").json["logs"][0]["content"] == value["text"]
    )


class TestUpstreamId:
    """The id under which an execution is known to the orchestrator's own users."""

    ROUTES = (
        ("GET", ""), ("GET", "/logs?timeout=0s"), ("GET", "/tasks"),
        ("GET", "/logs?timeout=0s&levels=15"),
        ("POST", "/tickets"), ("DELETE", ""),
    )  # fmt: skip

    def launch(self, service, user):
        answer = service.client.post("/workflows/remote", headers=user)
        return answer.headers["Location"].rpartition("/")[2]

    def test_it_is_shown_and_finds_ours_on_every_route(self, make_service):
        service = make_service(fake="Known")
        id_ = self.launch(service, {})
        known = f"up-{id_}"
        assert service.client.get("/executions").json["executions"][0]["upstream_id"] == known
        by_ours = service.client.get(f"/executions/{id_}").json
        assert by_ours["upstream_id"] == known
        assert service.client.get(f"/executions/{known}").json == by_ours
        for method, tail in self.ROUTES:
            answers = [
                service.client.open(f"/executions/{each}{tail}", method=method)
                for each in (id_, known)
            ]
            assert answers[0].status_code == answers[1].status_code < 300, (method, tail)
        assert service.client.get(f"/executions/{id_}").json["state"] == "CANCELLING"

    def test_a_held_poll_by_it_is_woken(self, make_service):
        service = make_service(fake="Known")
        id_ = self.launch(service, {})
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(
                service.client.get(f"/executions/up-{id_}/logs?timeout=1m").json
            )
        )
        thread.start()
        await_that(lambda: held(service.web.changes))
        entry = NewLogEntry(Level.INFO, 0, "hello")
        see(service, service.store.get(id_), entries=(entry,))
        thread.join(30)
        assert [e["content"] for e in answers[0]["logs"]] == ["hello"]

    def test_to_others_there_is_none(self, make_service, as_user, assert_problem):
        service = make_service(api__auth=users(), fake="Known")
        id_ = self.launch(service, as_user("ada"))
        mine = service.client.get(f"/executions/up-{id_}", headers=as_user("ada"))
        assert mine.status_code == 200
        for method, tail in self.ROUTES:
            address = f"/executions/up-{id_}{tail}"
            answer = service.client.open(address, method=method, headers=as_user("bob"))
            assert_problem(answer, 404, "not_found")
            assert id_ not in answer.json["detail"]

    def test_where_the_orchestrator_has_no_ids_of_its_own_it_is_null(self, client, execution):
        assert client.get(f"/executions/{execution.id}").json["upstream_id"] is None
