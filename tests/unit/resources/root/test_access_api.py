"""Who may do what: every endpoint, found in the application itself."""

import base64
import json

import pytest
from service_kit import basic, open_service, users

from app.domain import ExecutionStatus, Observation

OPEN = {
    "openapi", "openapi_yaml", "health.get_health", "health.get_ready", "health.get_version",
    "health.get_metrics", "docs.page", "docs.start", "docs.asset",
}  # fmt: skip
"""The endpoints that anybody may call."""

OWN_LISTS = {
    "executions.list_executions", "ssh_keys.list_ssh_keys", "ssh_keys.create_ssh_key",
    "streams.follow_events", "users.change_own_password",
    "api_keys.list_api_keys", "api_keys.create_api_key",
}  # fmt: skip
"""The endpoints that speak of the caller's own things only."""

OF_ALL = {
    "audit.list_audit", "users.list_users", "users.add_user", "users.get_user",
    "users.change_user", "users.remove_user",
}  # fmt: skip
"""The endpoints that speak of everybody, for who may know of all."""

DEFINITION = {"id": "new", "steps": [{"id": "a", "type": "script", "config": {"script": "true"}}]}


def endpoints(app):
    """Give each endpoint with its methods, as (method, endpoint, rule)."""
    for rule in app.url_map.iter_rules():
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield method, rule.endpoint.removeprefix("root."), rule.rule


def fill(rule, **values):
    """Put values into the places of a rule."""
    for name, value in values.items():
        for kind in ("string:", "path:", ""):
            rule = rule.replace(f"<{kind}{name}>", value)
    assert "<" not in rule, f"say what stands in {rule}"
    return rule


@pytest.fixture
def things(guarded, as_user):
    """An execution and a key of ada's, and the places of them in addresses."""
    execution = guarded.add_execution("ada")
    guarded.record(execution, Observation(ExecutionStatus.RUNNING, cursor=None))
    key = guarded.client.post("/ssh_keys", headers=as_user("ada")).json["id"]
    (guarded.settings.workflows_dir / "flow.yaml").write_text(
        json.dumps({**DEFINITION, "id": "flow"})
    )
    return {
        "execution_id": execution.id, "key_id": key, "name": "first", "reference": "flow",
        "username": "ada",
    }  # fmt: skip


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A service with authentication, on which nothing is changed."""
    service = open_service(tmp_path_factory.mktemp("closed"), api__auth=users())
    yield service
    service.close()


class TestAuthentication:
    def test_every_endpoint_but_the_open_ones_asks_who_is_calling(
        self, guarded, things, assert_problem
    ):
        asked = set()
        for method, endpoint, rule in endpoints(guarded.web.app):
            if endpoint in OPEN:
                continue
            response = guarded.client.open(fill(rule, **things), method=method)
            assert_problem(response, 401, "not_authenticated")
            challenge = response.headers["WWW-Authenticate"]
            assert challenge == 'Basic realm="Slipway", charset="UTF-8"'
            asked.add(endpoint)
        assert {"workflows.launch_workflow", "logs.get_logs", "ssh_keys.create_ssh_key"} <= asked

    @pytest.mark.parametrize(
        "header",
        [
            "", "Basic", "Basic ", "Basic !!!", "Basic YWRh", "basic", "Bearer x", "Basic Og==",
            "Basic " + base64.b64encode(b"ada:wrong").decode(),
            "Basic " + base64.b64encode(b"eve:ada's pass").decode(),
            "Basic " + base64.b64encode(b":ada's pass").decode(),
            "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
            "Basic " + base64.b64encode(b"ada\x00:ada's pass").decode(),
            "Basic " + base64.b64encode(b"ada:" + b"x" * 50_000).decode(),
        ],
    )  # fmt: skip
    def test_wrong_credentials_are_401(self, closed, assert_problem, header):
        response = closed.client.get("/workflows", headers={"Authorization": header})
        assert_problem(response, 401, "not_authenticated")

    @pytest.mark.parametrize("name", ["ada", "bob", "dev", "ops", "root"])
    def test_right_ones_open_the_door(self, closed, as_user, name):
        assert closed.client.get("/workflows", headers=as_user(name)).status_code == 200

    def test_without_authentication_everybody_may_do_everything(self, client):
        assert client.post("/workflows", json=DEFINITION).status_code == 201
        location = client.post("/workflows/new").headers["Location"]
        assert client.get(location).json["owner"] == "anonymous"


@pytest.mark.parametrize("name", ["id", "awf_name"])
class TestOwnershipByEitherName:
    @pytest.fixture
    def asked(self, guarded, things, name):
        """The same with one of the names of the execution."""
        return {**things, "execution_id": getattr(guarded.store.get(things["execution_id"]), name)}

    def test_somebody_elses_execution_and_key_do_not_exist_on_any_endpoint(
        self, guarded, things, asked, as_user, assert_problem
    ):
        tried = set()
        for method, endpoint, rule in endpoints(guarded.web.app):
            if "execution_id" not in rule and "key_id" not in rule:
                continue
            for user in ("bob", "dev"):
                response = guarded.client.open(
                    fill(rule, **asked), method=method, headers=as_user(user)
                )
                assert_problem(response, 404, "not_found")
                assert "ada" not in response.text
            tried.add(endpoint)
        assert {
            "executions.get_execution", "executions.cancel_execution", "executions.pause_execution",
            "executions.resume_execution", "executions.list_tasks", "executions.get_task",
            "logs.get_logs", "ssh_keys.revoke_ssh_key",
        } <= tried  # fmt: skip
        execution = guarded.driving.get(things["execution_id"])
        assert (execution.status, execution.desired) == ("RUNNING", "RUN")
        assert len(guarded.services.ssh_keys._keys.of("ada")) == 1

    def test_the_answer_is_that_of_an_execution_that_does_not_exist(
        self, guarded, asked, name, as_user
    ):
        unknown = {"id": "00000000-0000-4000-8000-999999999999", "awf_name": "flow-20231209-143022"}
        nowhere = {**asked, "execution_id": unknown[name]}
        for method, _, rule in endpoints(guarded.web.app):
            if "execution_id" not in rule:
                continue
            answers = []
            for values in (asked, nowhere):
                response = guarded.client.open(
                    fill(rule, **values), method=method, headers=as_user("bob")
                )
                answers.append((response.status_code, response.data))
            assert answers[0] == answers[1], rule


class TestOwnership:
    def test_every_endpoint_without_an_id_speaks_of_ones_own_or_of_workflows(self, guarded):
        """A new endpoint fails here until somebody has thought about who may see what."""
        others = {
            endpoint
            for _, endpoint, rule in endpoints(guarded.web.app)
            if "execution_id" not in rule and "key_id" not in rule
        }
        workflows = {endpoint for endpoint in others if endpoint.startswith("workflows.")}
        assert others - workflows == OPEN | OWN_LISTS | OF_ALL

    def test_lists_hold_ones_own_only(self, guarded, things, as_user):
        client = guarded.client
        for name in ("bob", "dev"):
            for query in ("", "?owner=ada", "?owner=ada&status=RUNNING"):
                response = client.get(f"/executions{query}", headers=as_user(name))
                assert response.json["executions"] == []
                assert json.loads(response.headers["X-Pagination"])["total"] == 0
            assert client.get("/ssh_keys", headers=as_user(name)).json["ssh_keys"] == []
        assert len(client.get("/executions", headers=as_user("ada")).json["executions"]) == 1

    @pytest.mark.parametrize("name", ["ops", "root"])
    def test_operators_see_and_steer_the_executions_of_all(self, guarded, things, as_user, name):
        client, headers = guarded.client, as_user(name)
        url = f"/executions/{things['execution_id']}"
        listed = client.get("/executions?owner=ada", headers=headers).json["executions"]
        assert [e["owner"] for e in listed] == ["ada"]
        assert client.get(url, headers=headers).json["owner"] == "ada"
        assert client.get(f"{url}/logs?timeout=0", headers=headers).status_code == 200
        assert client.post(f"{url}/pause", headers=headers).status_code == 202
        assert client.post(f"{url}/resume", headers=headers).status_code == 202
        assert client.delete(url, headers=headers).status_code == 202

    @pytest.mark.parametrize("name", ["ops", "root"])
    def test_keys_are_their_owners_alone(self, guarded, things, as_user, assert_problem, name):
        headers = as_user(name)
        assert guarded.client.get("/ssh_keys", headers=headers).json["ssh_keys"] == []
        response = guarded.client.delete(f"/ssh_keys/{things['key_id']}", headers=headers)
        assert_problem(response, 404, "not_found")

    def test_an_execution_belongs_to_who_started_it(self, guarded, things, as_user):
        client = guarded.client
        location = client.post("/workflows/flow", headers=as_user("bob")).headers["Location"]
        assert client.get(location, headers=as_user("bob")).json["owner"] == "bob"
        assert client.get(location, headers=as_user("ada")).status_code == 404


class TestRoles:
    CALLS = (("POST", "/workflows"), ("PUT", "/workflows/new"), ("DELETE", "/workflows/new"))

    @staticmethod
    def call(service, method, path, headers):
        body = {} if method == "DELETE" else {"json": DEFINITION}
        return service.client.open(path, method=method, headers=headers, **body)

    @pytest.mark.usefixtures("things")
    @pytest.mark.parametrize("name", ["ada", "ops"])
    def test_whoever_is_no_developer_may_not_define_workflows(
        self, guarded, as_user, assert_problem, name
    ):
        for method, path in self.CALLS:
            response = self.call(guarded, method, path, as_user(name))
            assert_problem(response, 403, "not_allowed")
        assert [p.name for p in guarded.settings.workflows_dir.iterdir()] == ["flow.yaml"]

    @pytest.mark.usefixtures("things")
    @pytest.mark.parametrize("name", ["dev", "root"])
    def test_developers_and_admins_may(self, guarded, as_user, name):
        answers = [self.call(guarded, *call, as_user(name)).status_code for call in self.CALLS]
        assert answers == [201, 200, 204]

    def test_a_faulty_definition_of_somebody_who_may_not_is_not_even_read(
        self, guarded, as_user, assert_problem
    ):
        response = guarded.client.post("/workflows", json={"id": 1}, headers=as_user("ada"))
        assert_problem(response, 403, "not_allowed")

    def test_everybody_may_list_describe_and_launch(self, guarded, things, as_user):
        for name in ("ada", "bob", "dev", "ops", "root"):
            headers = as_user(name)
            assert guarded.client.get("/workflows", headers=headers).json["workflows"]
            assert guarded.client.get("/workflows/flow", headers=headers).status_code == 200
            assert guarded.client.post("/workflows/flow", headers=headers).status_code == 201


def test_wrong_logins_are_slowed_down_by_the_address_that_trusted_proxies_tell(
    make_service, as_user
):
    service = make_service(api__auth=users(), api__proxies=1)

    def answer(headers, client):
        forwarded = {"X-Forwarded-For": f"203.0.113.9, {client}"}
        return service.client.get("/workflows", headers={**headers, **forwarded})

    for i in range(5):
        assert answer(basic("ada", f"wrong {i}"), "10.0.0.1").status_code == 401
    refused = answer(as_user("ada"), "10.0.0.1")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert answer(as_user("ada"), "10.0.0.2").status_code == 200


def test_without_proxies_what_they_would_tell_counts_for_nothing(make_service, as_user):
    service = make_service(api__auth=users())
    for i in range(5):
        headers = {**basic("ada", f"wrong {i}"), "X-Forwarded-For": f"10.0.0.{i}"}
        assert service.client.get("/workflows", headers=headers).status_code == 401
    headers = {**as_user("ada"), "X-Forwarded-For": "10.0.0.99"}
    assert service.client.get("/workflows", headers=headers).status_code == 429
