"""Health, version, documentation, and what all answers have in common."""

import logging

import pytest
from fakes.orchestrators import SECRET

from app import __version__
from app.observability import configure_logging


@pytest.fixture(autouse=True)
def quiet_again():
    """Put the logging back that a test configured."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


class TestHealth:
    def test_the_process_answers(self, client):
        response = client.get("/health")
        assert response.status_code == 200
        assert set(response.json) == {"status", "timestamp"}
        assert response.json["status"] == "healthy"

    def test_without_a_conductor_it_is_not_ready(self, client):
        response = client.get("/ready")
        assert response.status_code == 503
        assert (response.json["ready"], response.json["status"]) == (False, "not ready")
        problems = {c["name"]: c["problem"] for c in response.json["checks"] if not c["ok"]}
        assert problems == {"conductor": "no conductor gave a sign of life lately"}

    def test_with_one_it_is(self, conducted):
        while not conducted.services.health._conductors.all():
            pass
        response = conducted.client.get("/ready")
        assert (response.status_code, response.json["ready"]) == (200, True)
        names = {c["name"] for c in response.json["checks"] if c["ok"]}
        orchestrators = {"orchestrator:local", "orchestrator:load"}
        expected = {"web", "store", "conductor", "executions", "key_store"} | orchestrators
        assert names == expected

    def test_without_its_only_orchestrator_it_is_not_ready(self, make_service):
        response = make_service(fake="Unreachable").client.get("/ready")
        assert response.status_code == 503
        problems = {c["name"]: c["problem"] for c in response.json["checks"]}
        assert problems["orchestrator:remote"] == "No connection."

    def test_one_of_two_orchestrators_is_enough(self, make_service):
        service = make_service(
            orchestrators=[
                {"name": "local", "type": "engine"},
                {"name": "far", "type": "fakes.orchestrators:UnreachableOrchestrator"},
            ]
        )
        checks = {c.name: c for c in service.services.health.checks()}
        assert not checks["orchestrator:far"].ok
        assert not checks["orchestrator:far"].vital

    def test_a_process_that_stops_is_not_ready(self, service):
        service.web.changes.close()
        problems = {c["name"]: c["ok"] for c in service.client.get("/ready").json["checks"]}
        assert problems["web"] is False

    def test_the_version_is_told(self, client):
        assert client.get("/version").json == {"name": "slipway", "version": __version__}

    @pytest.mark.parametrize("path", ["/health", "/ready", "/version", "/openapi.json", "/docs"])
    def test_they_need_no_credentials(self, guarded, path):
        assert guarded.client.get(path).status_code in (200, 503)


class TestDocs:
    def test_the_page_takes_nothing_from_elsewhere(self, client):
        response = client.get("/docs")
        assert response.status_code == 200
        assert "://" not in response.text
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        for path in ("/docs/start.js", "/docs/assets/swagger-ui.css",
                     "/docs/assets/swagger-ui-bundle.js"):  # fmt: skip
            assert path in response.text
            assert client.get(path).status_code == 200

    @pytest.mark.parametrize(
        "name",
        ["none.js", "../flask_swagger_ui.py", "%2e%2e/__init__.py", "..%2f__init__.py", "%00"],
    )
    def test_no_other_file_is_given(self, quiet, assert_problem, name):
        assert_problem(quiet.client.get(f"/docs/assets/{name}"), 404, "not_found")


class TestEveryAnswer:
    def test_has_an_id_that_the_caller_may_choose(self, client):
        assert (
            client.get("/health", headers={"X-Request-ID": "abc123"}).headers["X-Request-ID"]
            == "abc123"
        )
        for given in (
            "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "Root=1-67891233-abcdef012345678912345678", "rev:4/a_b.c+d=", "x" * 64,
        ):  # fmt: skip
            answer = client.get("/none", headers={"X-Request-ID": given})
            assert answer.headers["X-Request-ID"] == given
        first, second = (client.get("/none").headers["X-Request-ID"] for _ in range(2))
        assert first
        assert first != second

    @pytest.mark.parametrize(
        "given",
        ["", "a b", "x" * 65, "<script>", "a=b;c", "-x", "a,b", "\xe4", "\xb2",
         "slw_0123456789abcdef", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.x"],
    )  # fmt: skip
    def test_takes_no_rubbish_for_an_id(self, quiet, given):
        shown = quiet.client.get("/health", headers={"X-Request-ID": given}).headers["X-Request-ID"]
        assert shown != given
        assert shown.isalnum()

    def test_is_not_sniffed(self, client):
        for path in ("/health", "/none", "/docs"):
            assert client.get(path).headers["X-Content-Type-Options"] == "nosniff"


class TestEntrance:
    @pytest.mark.parametrize("path", ["/", "/?a=b"])
    def test_it_leads_to_the_page(self, guarded, path):
        answer = guarded.client.get(path)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/ui/")
        assert guarded.client.get("/docs").status_code == 200

    def test_a_proxy_may_ask_whether_it_is_there(self, guarded):
        assert guarded.client.head("/").status_code == 302
        answer = guarded.client.options("/")
        assert answer.status_code == 200
        assert {"GET", "HEAD", "OPTIONS"} <= set(answer.allow)

    def test_who_asks_again_and_again_is_not_limited(self, make_service):
        client = make_service(api__rate_limit__requests_per_minute=2).client
        for method in ("OPTIONS", "HEAD", "GET") * 3:
            assert client.open("/", method=method).status_code in (200, 302)

    def test_what_is_asked_of_the_server_as_a_whole_is_answered(self, guarded):
        answer = guarded.client.open(
            method="OPTIONS", path="/x", environ_overrides={"PATH_INFO": "*"}
        )
        assert (answer.status_code, answer.data) == (204, b"")
        assert {"GET", "POST", "PATCH"} <= set(answer.allow)


class TestErrors:
    @pytest.mark.parametrize("path", ["/none", "/work/", "/executions/a/b", "/%00", "/\u00e4"])
    def test_an_unknown_address_is_not_found(self, quiet, assert_problem, path):
        assert_problem(quiet.client.get(path), 404, "not_found")

    @pytest.mark.parametrize(
        "path",
        ["/workflows", "/workflows/flow", "/executions", "/executions/{id}", "/ssh_keys", "/health",
         "/executions/{id}/logs", "/executions/{id}/tasks", "/openapi.json"],
    )  # fmt: skip
    def test_a_slash_at_the_end_makes_no_difference(self, quiet, path):
        [execution] = quiet.client.get("/executions").json["executions"]
        address = path.format(id=execution["id"])
        with_slash = quiet.client.get(f"{address}/?timeout=0s")
        assert with_slash.status_code == 200
        if path != "/health":
            assert with_slash.json == quiet.client.get(f"{address}?timeout=0s").json

    @pytest.mark.parametrize(
        ("method", "path"),
        [("PATCH", "/workflows"), ("DELETE", "/workflows"), ("POST", "/executions"),
         ("PUT", "/executions/x"), ("POST", "/health"), ("DELETE", "/ssh_keys"),
         ("GET", "/executions/x/pause")],
    )  # fmt: skip
    def test_another_method_is_405_and_tells_which_there_are(
        self, quiet, assert_problem, method, path
    ):
        response = quiet.client.open(path, method=method)
        assert_problem(response, 405, "method_not_allowed")
        assert response.headers["Allow"]

    @pytest.mark.parametrize(
        ("fake", "status", "code"),
        [
            ("Unreachable", 503, "upstream_unreachable"),
            ("Silent", 504, "upstream_timeout"),
            ("Garbling", 502, "upstream_garbled"),
        ],
    )
    def test_each_failure_of_an_upstream_has_its_own_answer(
        self, make_service, assert_problem, fake, status, code
    ):
        client = make_service(fake=fake).client
        calls = [("GET", "/workflows"), ("GET", "/workflows/x"), ("POST", "/workflows/x")]
        for method, path in calls:
            response = client.open(path, method=method)
            assert_problem(response, status, code)
            assert ("Retry-After" in response.headers) is (status == 503)
            assert SECRET not in response.text

    @pytest.mark.parametrize(
        ("fake", "status", "code"),
        [
            ("Refusing", 502, "upstream_refused"),
            ("UnreachableAtLaunch", 503, "upstream_unreachable"),
        ],
    )
    def test_a_launch_that_surely_failed_says_so(
        self, make_service, assert_problem, fake, status, code
    ):
        client = make_service(fake=fake).client
        assert_problem(client.post("/workflows/remote"), status, code)
        assert client.get("/executions").json["executions"] == []

    def test_a_launch_in_doubt_is_201_and_unknown(self, make_service):
        client = make_service(fake="TimingOut").client
        response = client.post("/workflows/remote")
        assert response.status_code == 201
        body = client.get(response.headers["Location"]).json
        assert (body["status"], body["state"]) == ("RUNNING", "UNKNOWN")
        assert "being looked up" in body["error"]

    def test_the_wait_that_an_upstream_asked_for_is_passed_on(self, make_service):
        response = make_service(fake="Unreachable").client.get("/workflows")
        # At least what was asked for, and spread by half as much again.
        assert 30 <= int(response.headers["Retry-After"]) <= 45

    def test_a_store_that_does_not_answer_is_503(self, service, client, assert_problem):
        for file in service.settings.data_dir.glob("slipway.db*"):
            file.unlink()
        service.web.database.dispose()
        service.settings.data_dir.joinpath("slipway.db").mkdir()
        response = client.get("/executions")
        assert_problem(response, 503, "store_unavailable")
        assert int(response.headers["Retry-After"]) >= 1
        assert client.get("/ready").status_code == 503
        assert client.get("/health").status_code == 200

    @pytest.mark.parametrize("path", ["/workflows", "/workflows/remote"])
    def test_a_fault_of_ours_tells_the_caller_nothing(self, make_service, assert_problem, path):
        response = make_service(fake="Crashing").client.get(path)
        assert_problem(response, 500, "internal_error")
        assert response.json["detail"] == "Something went wrong on our side."
        assert SECRET not in response.text

    def test_and_the_log_what_it_was(self, make_service, capfd):
        configure_logging("INFO", "json")
        make_service(fake="Crashing").client.get("/workflows", headers={"X-Request-ID": "r1"})
        said = capfd.readouterr().err
        assert "KeyError" in said
        assert '"request_id": "r1"' in said

    @pytest.mark.parametrize("log_format", ["console", "json"])
    def test_a_fault_of_ours_writes_no_input_into_the_log(self, make_service, capfd, log_format):
        configure_logging("INFO", log_format)
        service = make_service(fake="Crashing")
        service.client.post("/workflows/remote", json={"inputs": {"colour": "hunter2"}})
        assert "hunter2" not in capfd.readouterr().err
