"""The emulator does what the protocol page says, section by section."""

from __future__ import annotations

import pytest
import requests
from fakes.alien4cloud import CancelMode, Kind, Log, Script, Status, script

REST = "/rest/latest"


class Client:
    """Speaks to the emulator without any of our code in between."""

    def __init__(self, server, user="admin"):
        self.url = server.url
        self.session = requests.Session()
        data = {"username": user, "password": "secret"}
        self.login = self.session.post(f"{self.url}/login", data=data, allow_redirects=False)

    def get(self, path, **params):
        return self.session.get(f"{self.url}{REST}{path}", params=params)

    def post(self, path, body):
        return self.session.post(f"{self.url}{REST}{path}", json=body)

    def data(self, path, body=None, **params):
        response = self.get(path, **params) if body is None else self.post(path, body)
        assert response.status_code == 200, response.text
        assert response.json()["error"] is None
        return response.json()["data"]

    def logs(self, **body):
        return self.data("/deployment/logs/search", body)


@pytest.fixture
def client(server):
    return Client(server)


@pytest.fixture
def run(server, environment, clock):
    """Begin an execution, and let its start event pass."""

    def begin(*events, **options):
        environment.workflow("exec_job", script=Script(events, **options))
        run = server.world.launch(environment, environment.workflows["exec_job"], {})
        clock.advance(1)
        return run

    return begin


def error(response):
    return response.status_code, response.json()["error"]["code"]


def test_the_login_is_a_dance_of_redirects(server, client):
    assert client.login.status_code == 302
    assert client.login.headers["Location"].endswith("/rest/auth/status")
    assert client.session.cookies["JSESSIONID"]
    assert client.data("/auth/status")["isLogged"]
    wrong = Client(server, user="nobody").login
    assert wrong.headers["Location"].endswith("/rest/auth/authenticationfailed")
    followed = requests.get(wrong.headers["Location"], timeout=5)
    assert error(followed) == (401, 101)


def test_anonymous_and_unprivileged_are_told_apart(server):
    server.application("covid")
    server.account("guest")
    anonymous = requests.get(f"{server.url}{REST}/applications/covid", timeout=5)
    assert error(anonymous) == (403, 100)
    assert error(Client(server, "guest").get("/applications/covid")) == (403, 102)
    by_url = requests.get(f"{server.url}/rest/admin/x", timeout=5)
    assert error(by_url) == (401, 100)
    assert "data" not in by_url.json()


def test_a_login_after_a_refused_url_leads_back_to_it(server):
    session = requests.Session()
    session.get(f"{server.url}/rest/admin/x")
    data = {"username": "admin", "password": "secret"}
    login = session.post(f"{server.url}/login", data=data, allow_redirects=False)
    assert login.headers["Location"].endswith("/rest/admin/x")


def test_a_session_ends_by_inactivity(server, client):
    for _ in range(3):
        server.advance(1700)
        client.data("/applications/search", {})
    server.advance(1801)
    assert error(client.post("/applications/search", {})) == (403, 100)


def test_gates_before_the_controllers(server, client):
    server.state.maintenance = True
    assert error(client.get("/executions/x")) == (503, 0)
    server.state.maintenance, server.state.starting = False, True
    missing = client.get("/executions/x")
    assert (missing.status_code, missing.json()["error"]) == (404, "Not Found")
    server.state.starting = False
    assert client.get("/no/such/path").json()["error"] == "Not Found"


def test_a_malformed_body_is_an_internal_error_with_a_trace(client):
    for body in ("", "{", "[]"):
        response = client.session.post(f"{client.url}{REST}/applications/search", data=body)
        assert error(response) == (500, 500)
        assert "\tat " in response.json()["data"]


def test_unknown_things_are_missing_in_three_ways(client):
    assert error(client.get("/applications/none")) == (404, 504)
    assert error(client.get("/deployments/none")) == (404, 504)
    assert error(client.get("/executions/none")) == (200, 504)


def test_searches_of_applications(server, client):
    for name in ("b", "A", "c"):
        server.application(name, tags={"t": name})
    server.world.applications["c"].environment()
    search = "/applications/search"
    assert [a["id"] for a in client.data(search, {})["data"]] == ["c", "A", "b"]
    tagged = client.data(search, {"filters": {"tags.name": ["t"], "tags.value": ["A", "a"]}})
    assert [a["id"] for a in tagged["data"]] == ["A"]
    assert len(client.data(search, {"filters": {"tagsName": ["none"]}})["data"]) == 3
    absent = client.data(search, {"filters": {"tags.name": [None]}})
    assert absent["data"] == []
    assert client.data(search, {"from": 5})["totalResults"] == 3
    assert error(client.post(search, {"filters": {"tags.name": []}})) == (500, 500)
    assert error(client.post(search, {"from": 9_500, "size": 501})) == (500, 500)
    for index in range(1200):
        server.application(f"x{index}")
    assert len(client.data(search, {"size": 100_000})["data"]) == 1000


def test_searches_of_environments_ignore_their_filters(environment, client):
    environment.application.environment("down", status="UNDEPLOYED")
    path = "/applications/covid/environments/search"
    page = client.data(path, {"filters": {"status": ["DEPLOYED"]}})
    assert (page["totalResults"], page["to"]) == (2, 0)
    assert ["deployedVersion" in e for e in page["data"]] == [True, False]
    assert client.data(path, {"from": 2})["totalResults"] == 0


def test_searches_of_logs(run, client):
    record = run(*[Log(0.1 * i, f"line {i}", "WARN" if i % 2 else "INFO") for i in range(10)])
    newest = client.logs(filters={"executionId": [record.id]})["data"][0]
    assert newest["content"] == "line 9"
    assert "nodeId" not in newest
    page = client.logs(filters={"level": ["WARN"]}, size=2)
    assert (len(page["data"]), page["totalResults"], page["to"]) == (2, 5, 1)
    assert client.logs(filters={"level": ["warn"]})["totalResults"] == 0
    assert client.logs(filters={"executionID": ["none"]})["totalResults"] == 10
    assert client.logs(size=0)["totalResults"] == 0
    later = client.logs(fromDate=newest["timestamp"])
    assert [e["content"] for e in later["data"]] == ["line 9"]
    window = client.post("/deployment/logs/search", {"from": 9_500, "size": 501})
    assert error(window) == (500, 500)


def test_an_execution_shows_after_its_start_event(server, environment, client, clock):
    path = f"/applications/covid/environments/{environment.id}/workflows/exec_job"
    id_ = client.data(path, {"inputs": {}})
    assert error(client.get(f"/executions/{id_}")) == (200, 504)
    clock.advance(1)
    record = client.data(f"/executions/{id_}")
    assert record["status"] in ("RUNNING", "SUCCEEDED")
    assert "aFieldOfVersionFour" in record


@pytest.mark.parametrize(
    ("definition", "good", "bad"),
    [
        (("integer", {"equal": "3"}), 3, 4),
        (("integer", {"greaterThan": "3"}), 4, 3),
        (("integer", {"greaterOrEqual": "3"}), 3, 2),
        (("float", {"lessThan": "3.5"}), "3.4", "3.5"),
        (("float", {"lessOrEqual": "3.5"}), "3.5", "3.6"),
        (("integer", {"inRange": ["1", "3"], "rangeMinValue": "1"}), 3, 4),
        (("string", {"length": "2"}), "ab", "abc"),
        (("string", {"minLength": "2"}), "ab", "a"),
        (("list", {"maxLength": "2"}), ["a", "b"], ["a", "b", "c"]),
        (("string", {"pattern": "a+"}), "aa", "aab"),
        (("string", {"validValues": ["a"]}), "a", "b"),
    ],
)
def test_constraints_are_checked_as_the_server_does(environment, client, definition, good, bad):
    type_, constraint = definition
    environment.workflow("exec_job", inputs={"x": {"type": type_, "constraints": [constraint]}})
    path = f"/applications/covid/environments/{environment.id}/workflows/exec_job"
    assert client.data(path, {"inputs": {"x": good}})
    assert error(client.post(path, {"inputs": {"x": bad}})) == (200, 800)


def test_inputs_are_checked_as_the_server_does(environment, client):
    limited = {"type": "string", "constraints": [{"validValues": ["a"]}], "required": False}
    inputs = {"n": "integer", "choice": limited, "place": {"type": "acme.Place", "required": False}}
    environment.workflow("exec_job", inputs=inputs)
    path = f"/applications/covid/environments/{environment.id}/workflows/"
    for body, expected in (
        ({"n": True}, (400, 501)),
        ({"n": 0.5}, (400, 501)),
        ({"n": 2**31}, (400, 501)),
        ({"n": "x"}, (200, 800)),
        ({"n": 1, "choice": "b"}, (200, 800)),
        ({}, (200, 619)),
        ({"n": 1, "stray": 1}, (500, 500)),
        ({"n": 1, "place": {}}, (500, 500)),
    ):
        assert error(client.post(f"{path}exec_job", {"inputs": body})) == expected
    assert error(client.post(f"{path}install", {})) == (200, 850)
    assert error(client.post(f"{path}none", {})) == (200, 619)
    assert error(client.post(f"{path}none", {"inputs": {"x": 1}})) == (500, 500)
    assert client.data(f"{path}exec_job.v2", {"inputs": {"n": 1}})
    environment.undeploy()
    assert error(client.post(f"{path}exec_job", {"inputs": {"n": 1}})) == (404, 504)


def test_cancels(run, environment, client, server, clock):
    def cancel(record):
        body = {"environmentId": environment.id, "executionId": record.id}
        return client.post("/executions/cancel", body).json()["error"]

    running = run(cancel_seconds=1)
    assert cancel(running) is None
    assert client.data(f"/executions/{running.id}")["status"] == "CANCELLING"
    clock.advance(2)
    assert client.data(f"/executions/{running.id}")["status"] == "CANCELLED"
    assert cancel(running) == {"code": 504, "message": "400 Bad Request"}
    stuck = run(*script.endless().events, cancel=CancelMode.RACE)
    cancel(stuck)
    clock.advance(600)
    record = client.data(f"/executions/{stuck.id}")
    assert (record["status"], "endDate" in record) == ("CANCELLING", False)
    server.state.mock_provider = True
    assert cancel(running) is None
    assert client.data(f"/executions/{running.id}")["status"] == "CANCELLING"


def test_a_resume_goes_on_under_the_same_id(run, client, clock):
    record = run(Status(0.5, "FAILED"))
    assert client.post(f"/executions/{record.id}/resume", {}).status_code == 200
    resumed = client.data(f"/executions/{record.id}")
    assert (resumed["status"], "endDate" in resumed) == ("RUNNING", False)
    clock.advance(1)
    assert client.data(f"/executions/{record.id}")["status"] == "SUCCEEDED"
    assert error(client.post(f"/executions/{record.id}/resume", {})) == (500, 500)


def test_records_are_kept_for_ten_days_after_the_deployment(run, environment, client, server):
    record = run(Status(0.5, "SUCCEEDED"), Log(0.1, "line"))
    environment.undeploy()
    assert client.data(f"/deployments/{record.deployment}")["deployment"]["endDate"]
    assert client.data(f"/workflow_execution/{record.deployment}")["stepStatus"] == {}
    server.advance(241 * 3600)
    client = Client(server)
    assert error(client.get(f"/executions/{record.id}")) == (200, 504)
    assert error(client.get(f"/deployments/{record.deployment}")) == (404, 504)


def test_only_the_deployment_filters_executions(run, client):
    older, newer = run(), run()
    page = client.data("/executions/search", deploymentId=older.deployment, status="NONE")
    assert [r["id"] for r in page["data"]] == [newer.id, older.id]
    assert client.data("/executions/search", deploymentId="none")["totalResults"] == 0
    assert error(client.get("/executions/search", size=9_999, **{"from": 2})) == (500, 300)


def test_faults_and_counters(server, client):
    server.fault(Kind.DROP_BEFORE, "get_execution", times=1)
    with pytest.raises(requests.ConnectionError):
        client.get("/executions/x")
    assert client.get("/executions/x").status_code == 200
    server.down()
    with pytest.raises(requests.ConnectionError):
        client.get("/executions/x")
    server.up()
    assert client.get("/executions/x").status_code == 200
    assert server.requests["get_execution"] == 3
    assert server.logins == 1
