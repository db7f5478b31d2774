"""The AWF API beside the other one, on the same addresses: the name in the address tells them."""

import json
import re
from datetime import UTC, datetime

import pytest
import yaml
from follow_kit import Log, open_stream, parse_sse, service_in
from service_kit import PASSWORDS, basic, users

from app.domain import ExecutionStatus, Level

JSON, SSE, NDJSON, TEXT = (
    "application/json", "text/event-stream", "application/x-ndjson", "text/plain",
)  # fmt: skip
NAME = re.compile(r"flow-(\d{8})-(\d{6})(-\d+)?")
UNKNOWN = "flow-20231209-143022"
WORDS = {
    "PENDING": "running", "RUNNING": "running", "PAUSED": "running", "CANCELLING": "running",
    "UNKNOWN": "running", "SUCCESS": "completed", "FAILED": "failed", "CANCELLED": "cancelled",
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with service_in(tmp_path_factory, streams__heartbeat="100ms") as made:
        yield made


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with service_in(tmp_path_factory, api__auth=users()) as made:
        yield made


@pytest.fixture
def client(service):
    return service.client


@pytest.fixture
def log(service):
    return Log(service)


def logs_of(log, query=""):
    return f"/executions/{log.execution.awf_name}/logs{query and '?' + query}"


def told(name):
    """The second that a name tells, as answers write it."""
    date, time = NAME.fullmatch(name).groups()[:2]
    moment = datetime.fromisoformat(f"{date}T{time}Z")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.usefixtures("flow")
class TestRun:
    @pytest.fixture
    def client(self, make_service):
        return make_service().client

    def launched(self, client):
        found = client.get("/executions").json["executions"]
        return [client.get(f"/executions/{each['id']}").json for each in found]

    def test_the_answer_tells_name_status_and_start(self, client):
        before = datetime.now(UTC).replace(microsecond=0)
        response = client.post("/workflows/flow/run", json={"inputs": {"n": 3, "colour": "red"}})
        assert response.status_code == 201
        assert response.content_type == JSON
        name = response.json["execution_id"]
        assert response.json == {
            "execution_id": name, "status": "running", "started_at": told(name),
        }  # fmt: skip
        assert response.headers["Location"] == f"/executions/{name}"
        assert before <= datetime.fromisoformat(told(name)) <= datetime.now(UTC)
        (execution,) = self.launched(client)
        assert execution["inputs"] == {"n": 3, "colour": "red"}
        assert execution["execution_id"] == name
        seen = client.get(response.headers["Location"]).json
        assert (seen["execution_id"], seen["status"]) == (name, "running")
        assert seen["started_at"] == response.json["started_at"]

    @pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"inputs": null}', b'{"inputs": {}}'])
    def test_the_body_may_hold_no_inputs(self, client, write_workflow, body):
        write_workflow(
            "id: bare\nsteps: [{id: a, type: script, config: {script: 'true'}}]\n", "bare.yaml"
        )
        assert client.post("/workflows/bare/run", data=body).status_code == 201

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"n": 3}, "n"),
            ({"inputs": {"n": "x", "colour": "red"}}, "inputs.n"),
            ({"inputs": {"colour": "red", "m": 1}}, "inputs.m"),
            ({"inputs": [1]}, "inputs"),
        ],
    )
    @pytest.mark.parametrize("way", ["/workflows/flow/run", "/workflows/flow"])
    def test_what_is_wrong_is_named_as_on_the_other_launch(
        self, client, assert_problem, way, body, path
    ):
        response = client.post(way, json=body)
        assert path in assert_problem(response, 422, "invalid_request", *_paths(response))
        assert self.launched(client) == []

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
    def test_only_a_post_runs(self, client, assert_problem, method):
        response = client.open("/workflows/flow/run", method=method)
        assert_problem(response, 405, "method_not_allowed")
        assert "POST" in response.headers["Allow"]

    def test_an_unknown_workflow_is_not_found(self, client, assert_problem):
        assert_problem(client.post("/workflows/nothing/run"), 404, "not_found")

    def test_a_workflow_may_be_called_run(self, client, write_workflow):
        write_workflow(
            "id: run\nsteps: [{id: a, type: script, config: {script: 'true'}}]\n", "run.yaml"
        )
        assert client.post("/workflows/run").headers["Location"].count("-") == 4
        name = client.post("/workflows/run/run").json["execution_id"]
        assert name.startswith("run-")
        assert client.get("/workflows/run").json["id"] == "run"
        # A slash in an address is one, however it is written.
        by_another_name = client.post("/workflows/run%2Frun")
        assert by_another_name.json["execution_id"].startswith("run-")
        workflows = {execution["workflow"] for execution in self.launched(client)}
        assert workflows == {"run"}

    def test_both_ways_to_launch_share_their_keys(self, client):
        headers = {"Idempotency-Key": "mine"}
        body = {"inputs": {"n": 3, "colour": "red"}}
        ways = ["/workflows/flow/run", "/workflows/flow", "/workflows/flow/run"]
        first, other, again = (client.post(way, json=body, headers=headers) for way in ways)
        (execution,) = self.launched(client)
        assert first.json == again.json
        assert first.json["execution_id"] == execution["execution_id"]
        assert other.headers["Location"] == f"/executions/{execution['id']}"
        assert other.data == b""
        body["inputs"]["n"] = 4
        for way in ways:
            assert client.post(way, json=body, headers=headers).status_code == 409

    def test_launches_of_one_second_have_names_of_their_own(self, client):
        body = {"inputs": {"n": 3, "colour": "red"}}
        names = [
            client.post("/workflows/flow/run", json=body).json["execution_id"] for _ in range(20)
        ]
        assert len(set(names)) == 20
        assert all(NAME.fullmatch(name) for name in names)
        for name in names:
            assert client.get(f"/executions/{name}").json["execution_id"] == name


def _paths(response):
    return [fault["path"] for fault in response.json["fields"]]


class TestGet:
    @pytest.mark.parametrize("state", list(ExecutionStatus))
    def test_the_name_picks_the_words(self, service, client, log, state):
        log.see(state, outputs={"a": 1})
        execution = service.store.get(log.id)
        name = execution.awf_name
        by_id, by_name = (client.get(f"/executions/{each}").json for each in (log.id, name))
        assert (by_id["id"], by_id["execution_id"]) == (log.id, name)
        assert by_id["status"] in {"RUNNING", "CANCELLING", "SUCCESS", "FAILED", "CANCELLED"}
        assert (by_name["id"], by_name["execution_id"]) == (name, name)
        assert (by_name["status"], by_name["state"]) == (WORDS[state], state)
        assert by_name["started_at"] == told(name)
        differing = {key for key in by_id if by_id[key] != by_name[key]}
        assert differing <= {"id", "status", "started_at"}
        assert by_id.keys() == by_name.keys()
        assert by_id["outputs"] == by_name["outputs"] == {"a": 1}

    def test_neither_form_is_answered_in_place_of_the_other(self, client, log):
        for status in (ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS):
            log.see(status)
            for _ in range(2):
                by_id = client.get(f"/executions/{log.id}").json["status"]
                by_name = client.get(f"/executions/{log.execution.awf_name}").json["status"]
                assert (by_id, by_name) == (str(status), WORDS[status])

    def test_the_start_is_that_of_the_name_whatever_the_orchestrator_says(self, client, log):
        log.see(started_at=datetime(2001, 2, 3, tzinfo=UTC))
        name = log.execution.awf_name
        assert client.get(f"/executions/{name}").json["started_at"] == told(name)
        by_id = client.get(f"/executions/{log.id}").json
        assert by_id["started_at"] == "2001-02-03T00:00:00.000Z"

    def test_one_can_wait(self, client, log):
        log.end()
        answer = client.get(f"/executions/{log.execution.awf_name}?wait=30s")
        assert answer.json["status"] == "completed"

    @pytest.mark.parametrize(
        "name",
        [UNKNOWN, f"{UNKNOWN}-2", "flow-20239999-999999", "-20231209-143022", "a.b-20231209-143022",
         "w" * 145 + "-20231209-143022", "w" * 1000 + "-20231209-143022", "..-20231209-143022"],
    )  # fmt: skip
    def test_an_unknown_name_is_not_found(self, client, assert_problem, name):
        for path in ("", "/logs", "/tasks", "/tasks/a"):
            assert_problem(client.get(f"/executions/{name}{path}"), 404, "not_found")

    def test_names_are_spelled_exactly(self, client, log, assert_problem):
        name = log.execution.awf_name
        for other in (name.upper(), f"{name}-99", f"{name}%20", name.replace("-", "_")):
            assert_problem(client.get(f"/executions/{other}"), 404, "not_found")


class TestLists:
    def test_items_carry_both_names_and_the_words_of_ids(self, client, log):
        item = client.get("/executions").json["executions"][0]
        assert (item["id"], item["execution_id"]) == (log.id, log.execution.awf_name)
        assert item["status"] == "RUNNING"

    @pytest.mark.parametrize("words", WORDS.items(), ids=str)
    def test_either_spelling_of_a_status_filters(self, make_service, words):
        service = make_service()
        for state in ExecutionStatus:
            Log(service).see(state)
        state, word = words

        def found(query):
            items = service.client.get(f"/executions?{query}").json["executions"]
            return {item["state"] for item in items}

        assert found(f"status={word}") == {s for s, w in WORDS.items() if w == word}
        assert state in found(f"status={state}")
        assert found(f"status={word}&state={state}") == {state}
        assert found(f"status=completed&status={word}") == found(f"status={word}") | {"SUCCESS"}

    @pytest.mark.parametrize("query", ["status=Completed", "status=success", "state=completed"])
    def test_other_words_are_refused(self, client, assert_problem, query):
        name = query.partition("=")[0]
        assert_problem(client.get(f"/executions?{query}"), 422, "invalid_request", name)


class TestLogs:
    @pytest.mark.parametrize(
        ("accept", "by_id", "by_name"),
        [
            (None, JSON, SSE),
            ("", JSON, SSE),
            ("*/*", JSON, SSE),
            ("*/*;q=0.1", JSON, SSE),
            ("text/html, */*;q=0.8", JSON, SSE),
            (JSON, JSON, JSON),
            (SSE, SSE, SSE),
            (NDJSON, NDJSON, NDJSON),
            (TEXT, TEXT, TEXT),
            (f"{JSON}, text/plain;q=0.5, */*;q=0.1", JSON, JSON),
            (f"{JSON}, text/plain, */*", JSON, JSON),
            (f"{SSE};q=0, */*", JSON, JSON),
            ("text/*", SSE, SSE),
        ],
    )
    def test_the_name_picks_the_form_where_nothing_else_does(
        self, client, log, accept, by_id, by_name
    ):
        log.write(1).end()
        headers = {} if accept is None else {"Accept": accept}
        for name, form in ((log.id, by_id), (log.execution.awf_name, by_name)):
            response = client.get(f"/executions/{name}/logs", headers=headers)
            assert response.status_code == 200
            assert response.mimetype == form
            assert "Accept" in [part.strip() for part in response.headers["Vary"].split(",")]

    @pytest.mark.parametrize(
        "query", ["from=0", "size=-1", "timeout=0", "levels=0", "from=0&size=1&timeout=0&levels=15"]
    )
    def test_what_only_a_request_for_a_page_has_asks_for_one(self, client, log, query):
        log.write(2).end()
        response = client.get(logs_of(log, query), headers={"Accept": "*/*"})
        assert response.content_type == JSON
        assert response.json["logs"][0]["content"] == "line 0"
        assert response.json["execution_status"] == "completed"
        stream = client.get(logs_of(log, query), headers={"Accept": SSE})
        assert stream.mimetype == SSE

    @pytest.mark.parametrize("query", ["after=0", "follow=true", ""])
    def test_what_streams_have_as_well_asks_for_none(self, client, log, query):
        log.write(2).end()
        assert client.get(logs_of(log, query)).mimetype == SSE

    def test_the_stream_speaks_the_words_of_names(self, client, log):
        log.write(2).end()
        name = log.execution.awf_name
        response = client.get(logs_of(log))
        status, *entries, end = [frame for frame in parse_sse(response.data) if frame.event]
        assert (status.event, status.data["status"]) == ("status", "completed")
        assert (status.data["id"], status.data["execution_id"]) == (name, name)
        assert [entry.data["content"] for entry in entries] == ["line 0", "line 1"]
        assert end.data == {"status": "completed", "state": "SUCCESS", "total": 2}
        lines = client.get(logs_of(log), headers={"Accept": NDJSON}).text.splitlines()
        assert json.loads(lines[0])["status"] == json.loads(lines[-1])["status"] == "completed"

    def test_what_has_not_ended_is_running_in_a_stream(self, client, log):
        log.see(ExecutionStatus.CANCELLING).write(1)
        with open_stream(client, logs_of(log), "*/*") as stream:
            stream.read_until(lambda got: b"line 0" in got)
            assert stream.frames[0].data["status"] == "running"
            log.end(ExecutionStatus.CANCELLED)
            stream.read()
        assert stream.frames[-1].data["status"] == "cancelled"

    def test_a_stream_goes_on_by_either_name(self, client, log):
        log.write(3).end()
        for name in (log.id, log.execution.awf_name):
            headers = {"Accept": SSE, "Last-Event-ID": "1"}
            frames = parse_sse(client.get(f"/executions/{name}/logs", headers=headers).data)
            assert [frame.id for frame in frames if frame.event == "log"] == [2]
            headers["Last-Event-ID"] = "3"
            done = client.get(f"/executions/{name}/logs", headers=headers)
            assert (done.status_code, done.headers["Vary"]) == (204, "Accept")

    def test_the_log_as_text_is_the_same_by_either_name(self, client, log):
        log.write([Level.INFO, Level.ERROR]).end()
        one, other = (
            client.get(f"/executions/{name}/logs", headers={"Accept": TEXT})
            for name in (log.id, log.execution.awf_name)
        )
        assert one.data == other.data
        assert one.headers["ETag"] == other.headers["ETag"]
        headers = {"Accept": TEXT, "Range": "bytes=5-", "If-Range": one.headers["ETag"]}
        rest = client.get(logs_of(log), headers=headers)
        assert (rest.status_code, rest.data) == (206, one.data[5:])

    def test_long_polls_by_a_name_wait_for_the_first_entry(self, client, log):
        log.see()
        page = client.get(logs_of(log, "timeout=50ms"))
        assert page.json["logs"] == []
        assert page.json["execution_status"] == "running"


class TestSteering:
    def test_whatever_is_steered_by_a_name_is_steered_by_its_id(self, service, log, assert_problem):
        client, name = service.client, log.execution.awf_name
        log.see()
        for verb in ("pause", "resume"):
            assert client.post(f"/executions/{name}/{verb}").status_code == 202
        response = client.delete(f"/executions/{name}")
        assert (response.status_code, response.data) == (202, b"")
        assert client.delete(f"/executions/{log.id}").status_code == 202
        assert client.get(f"/executions/{name}").json["status"] == "running"
        log.end(ExecutionStatus.CANCELLED)
        assert client.delete(f"/executions/{name}").status_code == 202
        assert_problem(client.post(f"/executions/{name}/abandon"), 409, "conflict")

    def test_an_end_by_decree(self, service, log):
        log.see()
        name = log.execution.awf_name
        assert service.client.post(f"/executions/{name}/abandon").status_code == 204
        assert service.client.get(f"/executions/{name}").json["status"] == "failed"

    def test_tasks(self, client, log):
        name = log.execution.awf_name
        by_id, by_name = (client.get(f"/executions/{each}/tasks").json for each in (log.id, name))
        assert by_id == by_name
        one = client.get(f"/executions/{name}/tasks/first").json
        assert one == by_id["tasks"][0]


class TestTickets:
    @pytest.mark.parametrize("given", ["id", "awf_name"])
    @pytest.mark.parametrize("used", ["id", "awf_name"])
    def test_a_ticket_opens_the_execution_by_either_name(self, guarded, given, used):
        long = guarded.add_execution("ada", workflow_id="w" * 512)
        client = guarded.client
        asked = f"/executions/{getattr(long, given)}/tickets"
        ticket = client.post(asked, headers=basic("ada", PASSWORDS["ada"])).json["ticket"]
        other = guarded.add_execution("ada")
        path = "/executions/{}/logs?timeout=0&ticket=" + ticket
        assert client.get(path.format(other.id)).status_code == 401
        assert client.get(path.format(other.awf_name)).status_code == 401
        assert client.get(path.format(getattr(long, used))).status_code == 200
        assert client.get(path.format(getattr(long, used))).status_code == 401

    def test_a_ticket_of_all_events_opens_nothing_else(self, guarded):
        client, execution = guarded.client, guarded.add_execution("ada")
        headers = basic("ada", PASSWORDS["ada"])
        ticket = client.post("/executions/events/tickets", headers=headers).json["ticket"]
        for name in (execution.id, execution.awf_name, UNKNOWN):
            assert client.get(f"/executions/{name}/logs?ticket={ticket}").status_code == 401


def test_the_document_is_served_as_yaml_as_well(service):
    answer = service.client.get("/openapi.yaml")
    assert answer.status_code == 200
    assert answer.content_type == "application/yaml"
    assert yaml.safe_load(answer.data) == service.client.get("/openapi.json").json
    assert b"&id" not in answer.data
    schemas = yaml.safe_load(answer.data)["components"]["schemas"]
    assert {"RunRequest", "RunResponse", "ExecutionStatus", "WorkflowInfo"} <= schemas.keys()


def test_an_execution_of_somebody_else_does_not_exist_by_its_name(guarded):
    execution = guarded.add_execution("ada")
    client, headers = guarded.client, basic("bob", PASSWORDS["bob"])
    theirs, nobodys = (
        client.get(f"/executions/{name}", headers=headers) for name in (execution.awf_name, UNKNOWN)
    )
    assert (theirs.status_code, theirs.data) == (nobodys.status_code, nobodys.data)
