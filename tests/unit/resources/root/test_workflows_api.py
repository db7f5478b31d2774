import io
import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.domain import ExecutionFilter, Workflow
from app.services.workflows import WorkflowList

pytestmark = pytest.mark.usefixtures("flow")

SUMMARY = {
    "id": "flow", "name": "The Flow", "description": "Counts", "orchestrator": "local",
    "application_id": "local", "environment_id": "local", "environment_name": "local",
    "stale": False,
}  # fmt: skip
NEW = {"id": "new", "steps": [{"id": "a", "type": "script", "config": {"script": "true"}}]}
YAML = "id: new\nsteps:\n  - {id: a, type: script, config: {script: 'true'}}\n"


def launched(service):
    return [service.store.get(found.id) for found in service.store.find(ExecutionFilter())[0]]


class TestList:
    def test_all_are_listed_with_the_keys_of_the_contract(self, client):
        response = client.get("/workflows")
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/json"
        assert response.json == {"workflows": [SUMMARY]}
        assert "X-Pagination" not in response.headers

    def test_there_may_be_none(self, client, settings):
        (settings.workflows_dir / "flow.yaml").unlink()
        assert client.get("/workflows").json == {"workflows": []}

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ("name=The+Flow", ["flow"]),
            ("name=the+flow", []),
            ("name=flow", []),
            ("q=FLOW", ["flow"]),
            ("q=count", ["flow"]),
            ("q=local", []),
            ("q=", ["flow", "other"]),
            ("q=other&name=The+Flow", []),
            ("q=%25", []),
            ("q=%00", None),
            ("name=" + "x" * 513, None),
        ],
    )
    def test_filters(self, client, write_workflow, query, ids):
        write_workflow(json.dumps({**NEW, "id": "other", "name": "Other"}), "other.yaml")
        response = client.get(f"/workflows?{query}")
        if ids is None:
            assert response.status_code == 422
        else:
            assert [w["id"] for w in response.json["workflows"]] == ids

    def test_pages(self, client, write_workflow):
        for i in range(6):
            write_workflow(json.dumps({**NEW, "id": f"w{i}"}), f"w{i}.yaml")
        response = client.get("/workflows?page=2&page_size=3")
        assert [w["id"] for w in response.json["workflows"]] == ["w2", "w3", "w4"]
        assert json.loads(response.headers["X-Pagination"]) == {
            "total": 7, "total_pages": 3, "first_page": 1, "last_page": 3, "page": 2,
            "previous_page": 1, "next_page": 3,
        }  # fmt: skip
        response = client.get("/workflows?page=9&page_size=3")
        assert response.json == {"workflows": []}
        assert json.loads(response.headers["X-Pagination"]) == {
            "total": 7, "total_pages": 3, "first_page": 1, "last_page": 3, "page": 9,
        }  # fmt: skip
        assert len(client.get("/workflows?page_size=4").json["workflows"]) == 4
        assert len(client.get("/workflows?page=1").json["workflows"]) == 7

    @pytest.mark.parametrize(
        ("query", "path"),
        [
            ("page=0", "page"), ("page=-1", "page"), ("page=a", "page"), ("page=1.5", "page"),
            ("page=", "page"), ("page_size=0", "page_size"), ("page_size=1001", "page_size"),
            ("pages=1", "pages"), ("pageSize=1", "pageSize"), ("Name=x", "Name"),
        ],
    )  # fmt: skip
    def test_rubbish_is_named(self, quiet, assert_problem, query, path):
        response = quiet.client.get(f"/workflows?{query}")
        faults = assert_problem(response, 422, "invalid_request", path)
        assert "setting" not in faults[path]

    def test_all_rubbish_is_named_at_once(self, client, assert_problem):
        response = client.get("/workflows?page=a&page_size=b&names=d")
        assert_problem(response, 422, "invalid_request", "page", "page_size", "names")

    def test_a_faulty_file_hides_no_other(self, client, write_workflow):
        write_workflow("id: broken", "a-broken.yaml")
        assert [w["id"] for w in client.get("/workflows").json["workflows"]] == ["flow"]

    def test_a_file_is_offered_and_changed_and_gone_without_a_restart(
        self, client, write_workflow, settings
    ):
        write_workflow(YAML, "new.yaml")
        assert client.get("/workflows/new").json["name"] == "new"
        write_workflow(YAML + "name: Newer\n", "new.yaml")
        assert client.get("/workflows/new").json["name"] == "Newer"
        (settings.workflows_dir / "new.yaml").unlink()
        assert client.get("/workflows/new").status_code == 404


class TestDescribe:
    @pytest.mark.parametrize("reference", ["flow", "The%20Flow"])
    def test_by_id_or_name(self, client, reference):
        assert client.get(f"/workflows/{reference}").json["id"] == "flow"

    def test_everything_that_a_launch_needs_to_know(self, client):
        body = client.get("/workflows/flow").json
        assert {key: body[key] for key in SUMMARY} == SUMMARY
        n, colour, maybe = body["inputs"]
        assert n == {
            "name": "n", "type": "integer", "required": False, "default": 10,
            "description": "How far", "allowed_values": None,
            "schema": {"type": "integer", "minimum": 1, "maximum": 20},
        }  # fmt: skip
        assert (colour["required"], colour["allowed_values"]) == (True, ["red", "blue"])
        assert (maybe["required"], maybe["default"]) == (False, None)
        assert body["outputs"] == [{"name": "total", "description": "The sum"}]
        assert body["steps"] == [
            {
                "name": "first",
                "title": None,
                "type": "script",
                "needs": [],
                "description": "",
            },
            {
                "name": "second",
                "title": None,
                "type": "command",
                "needs": ["first"],
                "description": "Adds",
            },
        ]

    @pytest.mark.parametrize("reference", ["none", "%00", "..", "%2e%2e%2fflow", "x" * 3000])
    def test_what_is_not_there_is_not_found(self, quiet, assert_problem, reference):
        assert_problem(quiet.client.get(f"/workflows/{reference}"), 404, "not_found")


class TestLaunch:
    def test_the_answer_is_that_of_the_contract_to_the_letter(self, service, client):
        response = client.post("/workflows/flow", json={"inputs": {"colour": "red"}})
        assert response.status_code == 201
        assert response.headers["Content-Length"] == "0"
        assert "Content-Type" not in response.headers
        assert response.data == b""
        [execution] = launched(service)
        assert response.headers["Location"] == f"/executions/{execution.id}"
        assert str(uuid.UUID(execution.id)) == execution.id
        assert execution.inputs == {"n": 10, "colour": "red"}
        assert client.get(response.headers["Location"]).status_code == 200

    def test_by_name(self, service, client):
        response = client.post("/workflows/The%20Flow", json={"inputs": {"colour": "red"}})
        assert response.status_code == 201
        assert launched(service)[0].workflow_id == "flow"

    @pytest.mark.parametrize(
        "options",
        [
            {}, {"data": b""}, {"json": {}}, {"json": {"inputs": {}}},
            {"data": b"", "content_type": "text/plain"},
            {"data": b"{}", "content_type": "application/json; charset=utf-8"},
            {"data": b"{}", "content_type": "application/vnd.api+json"},
        ],
    )  # fmt: skip
    def test_the_body_may_be_left_out(self, service, client, write_workflow, options):
        write_workflow(YAML, "new.yaml")
        assert client.post("/workflows/new", **options).status_code == 201
        assert launched(service)[0].inputs == {}

    def test_an_unknown_workflow_is_not_found(self, client, assert_problem):
        assert_problem(client.post("/workflows/none"), 404, "not_found")

    @pytest.mark.parametrize(
        ("inputs", "paths"),
        [
            ({}, ["inputs.colour"]),
            ({"colour": "green"}, ["inputs.colour"]),
            ({"colour": "red", "n": "ten"}, ["inputs.n"]),
            ({"colour": "red", "n": 0}, ["inputs.n"]),
            ({"colour": "red", "n": 21}, ["inputs.n"]),
            ({"colour": "red", "n": 1.5}, ["inputs.n"]),
            ({"colour": "red", "n": True}, ["inputs.n"]),
            ({"colour": "red", "n": None}, ["inputs.n"]),
            ({"colour": "red", "maybe": "perhaps"}, ["inputs.maybe"]),
            ({"colour": "red", "color": "red"}, ["inputs.color"]),
            ({"colour": 1, "n": -1, "x": 1}, ["inputs.colour", "inputs.n", "inputs.x"]),
            ([], ["inputs"]),
            ("red", ["inputs"]),
            (None, ["inputs.colour"]),
        ],
    )
    def test_every_fault_of_the_inputs_is_named(self, quiet, assert_problem, inputs, paths):
        response = quiet.client.post("/workflows/flow", json={"inputs": inputs})
        assert_problem(response, 422, "invalid_request", *paths)

    def test_a_fault_does_not_repeat_the_value(self, client):
        response = client.post("/workflows/flow", json={"inputs": {"colour": "hunter2"}})
        assert "hunter2" not in response.text

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ([], "body"), ("x", "body"), (1, "body"), ({"input": {"n": 2}}, "input"),
            ({"Inputs": {"n": 2}}, "Inputs"), ({"inputs": {}, "input": "{}"}, "input"),
            ({"n": 2}, "n"), ({"m": 2}, "m"), ({"parameters": {"n": 2}}, "parameters"),
            ({"inputs": {}, "parameters": {"n": 2}}, "parameters"),
            ({"inputs": {"colour": "red"}, "n": 2}, "n"),
        ],
    )  # fmt: skip
    def test_a_body_of_another_form_is_refused(self, quiet, assert_problem, body, path):
        response = quiet.client.post(
            "/workflows/flow", data=json.dumps(body), content_type="application/json"
        )
        faults = assert_problem(response, 422, "invalid_request", path)
        expected = "must be an object" if path == "body" else r"is (not known here|an input)"
        assert re.match(expected, faults[path])

    @pytest.mark.parametrize("query", ["n=2", "inputs=1&n=2", "orchestrater=x", "orchestra=x"])
    def test_what_may_be_meant_is_not_left_out_of_the_address(self, quiet, assert_problem, query):
        response = quiet.client.post(f"/workflows/flow?{query}", json={"inputs": {"colour": "red"}})
        assert_problem(response, 422, "invalid_request", query.rpartition("&")[2].partition("=")[0])

    @pytest.mark.parametrize("path", ["/workflows/flow", "/workflows/flow/", "/workflows/flow?x=1"])
    @pytest.mark.parametrize("more", [{}, {"comment": "mine"}, {"tag": 1, "dry": None}])
    @pytest.mark.parametrize("content_type", [None, "text/plain", "application/octet-stream"])
    def test_what_does_no_harm_is_left_out(self, client, path, more, content_type, service):
        body = json.dumps({"inputs": {"colour": "red", "n": 7}, **more})
        assert client.post(path, data=body, content_type=content_type).status_code == 201
        [execution] = launched(service)
        assert execution.inputs == {"n": 7, "colour": "red"}

    @pytest.mark.parametrize("body", ["", " ", "null", "{}", '{"inputs":null}', '{"inputs":{}}'])
    @pytest.mark.parametrize("content_type", [None, "application/json"])
    def test_a_launch_without_inputs_need_not_say_so(
        self, client, write_workflow, body, content_type
    ):
        write_workflow(YAML, "new.yaml")
        answer = client.post("/workflows/new", data=body, content_type=content_type)
        assert answer.status_code == 201, answer.text

    @pytest.mark.parametrize(
        "data", [b"{", b"nonsense", b"{'inputs': {}}", b"\xff", b'{"a": NaN}', b"[" * 100_000]
    )
    def test_malformed_json_is_400(self, quiet, assert_problem, data):
        response = quiet.client.post("/workflows/flow", data=data, content_type="application/json")
        assert_problem(response, 400, "malformed_request")

    @pytest.mark.parametrize(
        ("body", "name"),
        [
            ('{"inputs": {"n": 42}, "inputs": {}}', "inputs"),
            ('{"inputs": {"n": 42, "n": 43}}', "n"),
            ('{"inputs": {"n": 42, "\\u006e": 43}}', "n"),
            ('{"inputs": {"v": [{"a": {"b": 1, "c": 2, "b": 1}}]}}', "b"),
        ],
    )
    def test_a_name_that_stands_twice_is_named(self, quiet, assert_problem, body, name):
        response = quiet.client.post("/workflows/flow", data=body, content_type="application/json")
        assert_problem(response, 422, "invalid_request", name)

    @pytest.mark.parametrize(
        "content_type", ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"]
    )
    def test_another_content_type_is_415(self, quiet, assert_problem, content_type):
        response = quiet.client.post("/workflows/flow", data=b"{}", content_type=content_type)
        assert_problem(response, 415, "unsupported_media_type")

    def test_more_than_a_mebibyte_in_chunks_is_413_too(self, client, assert_problem):
        """Where the server gives the end of a body without its length, as ours does."""
        response = client.post(
            "/workflows",
            input_stream=io.BytesIO(b"id: x\n" + b"#" * 2_000_000),
            content_type="application/yaml",
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert_problem(response, 413, "body_too_large")

    def test_more_than_a_mebibyte_is_413(self, client, assert_problem):
        body = json.dumps({"inputs": {"colour": "x" * 1024 * 1024}})
        response = client.post("/workflows/flow", data=body, content_type="application/json")
        assert_problem(response, 413, "body_too_large")

    def test_just_below_a_mebibyte_is_read(self, client, assert_problem):
        body = json.dumps({"inputs": {"x": "x" * (1024 * 1024 - 100)}})
        response = client.post("/workflows/flow", data=body, content_type="application/json")
        assert_problem(response, 422, "invalid_request", "inputs.x", "inputs.colour")

    def test_the_orchestrator_can_be_told(self, client, assert_problem):
        body = {"inputs": {"colour": "red"}}
        assert client.post("/workflows/flow?orchestrator=local", json=body).status_code == 201
        response = client.post("/workflows/flow?orchestrator=other", json=body)
        assert_problem(response, 404, "not_found")
        assert "no orchestrator 'other'" in response.json["detail"]
        described = client.get("/workflows/flow?orchestrator=other")
        assert_problem(described, 404, "not_found")
        assert "no orchestrator 'other'" in described.json["detail"]


class TestPreferences:
    def launch(self, client, *fields, **more):
        headers = [("Prefer", field) for field in fields]
        inputs = {"inputs": {"colour": "red"}}
        return client.post("/workflows/flow", json=inputs, headers=headers, **more)

    @pytest.mark.parametrize(
        "fields",
        [
            ["return=representation"],
            ["Return = representation"],
            ['return="representation"'],
            ["respond-async, wait=10; a=b, return=representation; x=y"],
            ['foo="a, return=minimal"', "return=representation, return=minimal"],
        ],
    )
    def test_who_prefers_it_gets_the_execution(self, client, fields):
        response = self.launch(client, *fields)
        assert response.status_code == 201
        assert response.headers["Preference-Applied"] == "return=representation"
        assert "Prefer" in response.headers["Vary"]
        location = response.headers["Location"]
        assert response.headers["Content-Location"] == location
        known = client.get(location).json
        assert {**response.json, "as_of": None} == {**known, "as_of": None}

    @pytest.mark.parametrize(
        "fields",
        [
            [],
            ["return=minimal"],
            ["return=minimal", "return=representation"],
            ["return"],
            ["representation"],
            ['x="return=representation"'],
            ["=;,return==representation"],
        ],
    )
    def test_nobody_else_does(self, client, fields):
        response = self.launch(client, *fields)
        assert (response.status_code, response.data) == (201, b"")
        assert response.headers["Content-Length"] == "0"
        assert "Content-Type" not in response.headers
        assert "Preference-Applied" not in response.headers
        assert "Prefer" in response.headers["Vary"]


class TestIdempotencyKey:
    def post(self, client, key, colour="red"):
        return client.post(
            "/workflows/flow", json={"inputs": {"colour": colour}},
            headers={"Idempotency-Key": key},
        )  # fmt: skip

    def test_the_same_key_and_body_launch_once(self, service, client):
        responses = [self.post(client, "k") for _ in range(3)]
        assert {r.status_code for r in responses} == {201}
        assert len({r.headers["Location"] for r in responses}) == 1
        assert len(launched(service)) == 1

    def test_at_the_same_moment_too(self, service):
        with ThreadPoolExecutor(6) as pool:
            responses = list(pool.map(lambda _: self.post(service.client, "k"), range(6)))
        assert {r.status_code for r in responses} == {201}
        assert len({r.headers["Location"] for r in responses}) == 1
        assert len(launched(service)) == 1

    def test_another_key_launches_another_time(self, service, client):
        self.post(client, "k")
        self.post(client, "l")
        assert len(launched(service)) == 2

    def test_the_same_key_for_another_body_is_a_conflict(self, client, assert_problem):
        self.post(client, "k")
        assert_problem(self.post(client, "k", "blue"), 409, "conflict")

    def test_it_holds_although_the_workflow_is_gone_or_another(self, service, client):
        first = self.post(client, "k")
        definition = json.dumps({**NEW, "id": "flow", "inputs": {"size": {"type": "integer"}}})
        assert client.put("/workflows/flow", data=definition,
                          content_type="application/json").status_code == 200  # fmt: skip
        again = self.post(client, "k")
        assert (again.status_code, again.headers["Location"]) == (201, first.headers["Location"])
        assert client.delete("/workflows/flow").status_code == 204
        (service.settings.workflows_dir / "flow.yaml").unlink()
        again = self.post(client, "k")
        assert (again.status_code, again.headers["Location"]) == (201, first.headers["Location"])
        assert self.post(client, "l").status_code == 404

    @pytest.mark.parametrize("key", ["", " ", "a b", "\u00e4", "x" * 256, "a\tb"])
    def test_a_key_that_is_none_is_named(self, quiet, assert_problem, key):
        response = self.post(quiet.client, key)
        assert_problem(response, 422, "invalid_request", "Idempotency-Key")

    def test_a_refused_launch_does_not_use_the_key_up(self, service, client):
        assert self.post(client, "k", "green").status_code == 422
        assert self.post(client, "k").status_code == 201

    def test_keys_of_different_users_do_not_meet(self, guarded, as_user):
        (guarded.settings.workflows_dir / "new.yaml").write_text(YAML)
        locations = {
            guarded.client.post(
                "/workflows/new", headers={"Idempotency-Key": "k", **as_user(name)}
            ).headers["Location"]
            for name in ("ada", "bob")
        }
        assert len(locations) == 2


class TestAmbiguous:
    @pytest.fixture(autouse=True)
    def twins(self, write_workflow):
        for id_ in ("one", "two"):
            write_workflow(json.dumps({**NEW, "id": id_, "name": "Twin"}), f"{id_}.yaml")

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_a_name_of_several_is_a_conflict_that_names_them(self, client, assert_problem, method):
        response = client.open("/workflows/Twin", method=method)
        assert_problem(response, 409, "ambiguous", "one", "two")

    def test_the_id_tells_them_apart(self, client):
        assert client.get("/workflows/one").json["id"] == "one"

    def test_an_id_wins_over_the_same_name(self, client, write_workflow):
        write_workflow(json.dumps({**NEW, "id": "three", "name": "one"}), "three.yaml")
        assert client.get("/workflows/one").json["id"] == "one"


class TestUpload:
    @pytest.mark.parametrize(
        ("data", "content_type"),
        [
            (json.dumps(NEW), "application/json"),
            (YAML, "application/yaml"),
            (YAML, "application/x-yaml"),
            (YAML, "text/yaml; charset=utf-8"),
            (json.dumps(NEW), "text/x-yaml"),
        ],
    )
    def test_a_new_one_is_offered_at_once(self, client, data, content_type):
        response = client.post("/workflows", data=data, content_type=content_type)
        assert response.status_code == 201
        assert response.headers["Location"] == "/workflows/new"
        assert response.json["id"] == "new"
        assert client.get("/workflows/new").status_code == 200
        assert client.post("/workflows/new").status_code == 201

    def test_one_that_exists_is_a_conflict(self, client, assert_problem):
        response = client.post("/workflows", json={**NEW, "id": "flow"})
        assert_problem(response, 409, "conflict")
        assert client.get("/workflows/flow").json["name"] == "The Flow"

    def test_all_faults_are_told_at_once_with_their_places(self, client, assert_problem):
        broken = {
            "id": "-x",
            "what": 1,
            "inputs": {"n": {"type": "integer", "default": "ten"}},
            "outputs": {"o": "${{ steps.ghost.outputs.x }}"},
            "steps": [
                {"id": "a", "type": "script", "config": {"script": "echo ${{ inputs.n }}"}},
                {"id": "a", "type": "magic", "config": {}},
                {"id": "b", "type": "command", "needs": ["ghost"], "config": {"args": []}},
                {"id": "c", "type": "command", "needs": ["d"], "config": {"command": "x"}},
                {"id": "d", "type": "command", "needs": ["c"], "config": {"command": "x"}},
            ],
        }
        response = client.post("/workflows", json=broken)
        assert_problem(
            response, 422, "invalid_definition", "id", "what", "inputs.n.default", "outputs.o",
            "steps[0].config.script", "steps[1].id", "steps[1].type", "steps[2].needs[0]",
            "steps[2].config.command", "steps[3].needs",
        )  # fmt: skip

    def test_the_line_is_told_for_yaml(self, client, assert_problem):
        text = "id: new\nsteps:\n  - id: a\n    type: magic\n    config: {}\n"
        response = client.post("/workflows", data=text, content_type="application/yaml")
        faults = assert_problem(response, 422, "invalid_definition", "steps[0].type")
        assert "(line 4)" in faults["steps[0].type"]
        assert [fault["line"] for fault in response.json["fields"]] == [4]

    @pytest.mark.parametrize("data", [b'{"id": ', b"", b"\xff", b"id: new"])
    def test_malformed_json_is_400(self, quiet, assert_problem, data):
        response = quiet.client.post("/workflows", data=data, content_type="application/json")
        assert_problem(response, 400, "malformed_request")

    @pytest.mark.parametrize("data", ["a: b: c", "[1", "", "# nothing", "a: *b", "\x00"])
    def test_malformed_yaml_is_422(self, quiet, data):
        response = quiet.client.post("/workflows", data=data, content_type="application/yaml")
        assert response.status_code == 422
        assert response.json["code"] == "invalid_definition"

    def test_yaml_that_is_not_utf8_is_400(self, client, assert_problem):
        response = client.post("/workflows", data=b"\xff\xfe", content_type="application/yaml")
        assert_problem(response, 400, "malformed_request")

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_another_content_type_is_415(self, client, assert_problem, method):
        url = "/workflows" if method == "POST" else "/workflows/new"
        response = client.open(url, method=method, data=YAML, content_type="text/plain")
        assert_problem(response, 415, "unsupported_media_type")

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_more_than_a_mebibyte_is_413(self, client, assert_problem, method):
        url = "/workflows" if method == "POST" else "/workflows/new"
        response = client.open(
            url, method=method, data="#" * (1024 * 1024 + 1), content_type="application/yaml"
        )
        assert_problem(response, 413, "body_too_large")

    def test_an_alias_bomb_is_refused(self, client):
        bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        )
        response = client.post("/workflows", data=bomb, content_type="application/yaml")
        assert response.status_code == 422

    @pytest.mark.parametrize("id_", ["../evil", "a/b", ".hidden", "", "x" * 101, "a\u0000b", "a b"])
    def test_an_id_cannot_lead_out_of_the_folder(self, quiet, assert_problem, id_):
        response = quiet.client.post("/workflows", json={**NEW, "id": id_})
        assert_problem(response, 422, "invalid_definition", "id")


class TestReplace:
    def test_there_was_none_before(self, client):
        assert client.put("/workflows/new", json=NEW).status_code == 201
        assert client.get("/workflows/new").status_code == 200

    def test_the_old_one_is_gone_and_executions_of_it_go_on(self, service, client):
        client.post("/workflows/flow", json={"inputs": {"colour": "red"}})
        response = client.put("/workflows/flow", json={**NEW, "id": "flow", "name": "Newer"})
        assert (response.status_code, response.json["name"]) == (200, "Newer")
        assert [w["name"] for w in client.get("/workflows").json["workflows"]] == ["Newer"]
        [execution] = launched(service)
        assert client.get(f"/executions/{execution.id}/tasks").json["tasks"][1]["name"] == "second"

    def test_by_name(self, client):
        response = client.put(
            "/workflows/The%20Flow", json={**NEW, "id": "flow", "name": "The Flow"}
        )
        assert response.status_code == 200

    def test_a_definition_of_another_workflow_is_refused(self, client, assert_problem):
        response = client.put("/workflows/flow", json=NEW)
        assert_problem(response, 422, "invalid_definition", "id")
        assert client.get("/workflows/new").status_code == 404

    def test_faults_leave_the_old_one(self, client):
        assert client.put("/workflows/flow", json={"id": "flow"}).status_code == 422
        assert client.get("/workflows/flow").json["name"] == "The Flow"


class TestRemove:
    @pytest.mark.parametrize("reference", ["new", "The%20New"])
    def test_by_id_or_name(self, client, settings, reference):
        client.post("/workflows", json={**NEW, "name": "The New"})
        response = client.delete(f"/workflows/{reference}")
        assert (response.status_code, response.data) == (204, b"")
        assert "Content-Type" not in response.headers
        assert client.get("/workflows/new").status_code == 404
        assert [path.name for path in settings.workflows_dir.iterdir()] == ["flow.yaml"]

    @pytest.mark.parametrize("reference", ["flow", "The%20Flow"])
    def test_a_file_is_not_touched(self, client, settings, assert_problem, reference):
        response = client.delete(f"/workflows/{reference}")
        assert_problem(response, 409, "conflict")
        assert "was not uploaded" in response.json["detail"]
        assert "(flow.yaml)" in response.json["detail"]
        assert client.get("/workflows/flow").status_code == 200
        assert [path.name for path in settings.workflows_dir.iterdir()] == ["flow.yaml"]

    def test_what_it_stood_in_front_of_is_offered_again(self, client):
        assert client.put("/workflows/flow", json={**NEW, "id": "flow"}).status_code == 200
        assert client.get("/workflows/flow").json["name"] == "flow"
        (shadowed,) = client.get("/workflows").json["faulty"]
        assert (shadowed["file"], shadowed["id"], shadowed["offered"]) == (
            "flow.yaml", "flow", False,
        )  # fmt: skip
        assert shadowed["faults"] == [
            {"path": "id", "message": "is the id of an uploaded definition too"}
        ]
        assert client.delete("/workflows/flow").status_code == 204
        assert client.get("/workflows/flow").json["name"] == "The Flow"
        assert "faulty" not in client.get("/workflows").json

    def test_what_is_not_there_is_not_found(self, client, assert_problem):
        assert_problem(client.delete("/workflows/none"), 404, "not_found")

    def test_an_execution_of_it_is_still_there(self, service, client):
        client.post("/workflows", json=NEW)
        location = client.post("/workflows/new").location
        assert client.delete("/workflows/new").status_code == 204
        assert client.get(location).status_code == 200


class TestSeveralOrchestrators:
    @pytest.fixture
    def both(self, make_service):
        return make_service(
            orchestrators=[
                {"name": "local", "type": "engine"},
                {"name": "far", "type": "fakes.orchestrators:UnreachableOrchestrator"},
            ]
        )

    def test_what_can_be_listed_is_listed_and_the_silent_one_is_named(self, both):
        answer = both.client.get("/workflows")
        body = answer.json
        assert [w["id"] for w in body["workflows"]] == ["flow"]
        assert body["unavailable"] == ["far"]
        assert answer.headers["X-Slipway-Stale"] == "far"

    def test_where_all_answer_nothing_is_stale(self, client):
        assert "X-Slipway-Stale" not in client.get("/workflows").headers

    @pytest.mark.parametrize(
        ("stale", "unavailable", "told"),
        [(True, [], ["hpc"]), (False, ["far"], ["far"]), (True, ["far"], ["far", "hpc"])],
    )
    def test_old_and_missing_ones_are_both_stale(self, stale, unavailable, told):
        workflow = Workflow("i", "n", "a", "e", "n", "hpc", "", stale=stale)
        assert WorkflowList([workflow], unavailable).stale == told

    def test_what_is_here_can_be_launched(self, both):
        response = both.client.post("/workflows/flow", json={"inputs": {"colour": "red"}})
        assert response.status_code == 201

    def test_what_is_not_here_may_be_there(self, both, assert_problem):
        response = both.client.get("/workflows/none")
        assert_problem(response, 503, "upstream_unreachable")
        assert int(response.headers["Retry-After"]) >= 1

    def test_removing_what_nobody_uploaded_is_501(self, make_service, assert_problem):
        service = make_service(fake="Obedient")
        assert_problem(service.client.delete("/workflows/remote"), 501, "not_implemented")

    @pytest.mark.parametrize(("method", "url"), [("POST", "/workflows"), ("PUT", "/workflows/new")])
    def test_uploading_where_nobody_takes_it_is_501(
        self, make_service, assert_problem, method, url
    ):
        client = make_service(fake="Obedient", load__enabled=False).client
        assert_problem(client.open(url, method=method, json=NEW), 501, "not_implemented")


class TestFaultyFiles:
    @pytest.fixture
    def broken(self, service, write_workflow):
        write_workflow(GOOD, "flow.yaml")
        assert service.client.get("/workflows/flow").status_code == 200
        write_workflow("id: flow\nsteps: [", "flow.yaml")
        (service.settings.workflows_dir / "loop.yaml").symlink_to("loop.yaml")
        return service

    def test_are_listed_and_the_last_good_version_is_offered(self, broken):
        body = broken.client.get("/workflows").json
        assert [(w["id"], w["stale"]) for w in body["workflows"]] == [("flow", True)]
        flow, loop = body["faulty"]
        assert (flow["file"], flow["id"], flow["offered"]) == ("flow.yaml", "flow", True)
        assert "(line 2)" in flow["faults"][0]["message"]
        assert (loop["file"], loop["id"], loop["offered"]) == ("loop.yaml", None, False)
        assert "symbolic links" in loop["faults"][0]["message"]

    def test_hinder_nothing(self, broken):
        launch = broken.client.post("/workflows/flow", json={"inputs": {"colour": "red"}})
        assert launch.status_code == 201
        assert broken.client.get("/workflows/flow").json["stale"] is True
        assert upload(broken.client, {"id": "other", "steps": [STEP]}).status_code == 201

    def test_are_named_by_ready_and_do_no_harm_there(self, broken):
        body = broken.client.get("/ready").json
        assert body["degraded"] == ["workflow_file:flow.yaml", "workflow_file:loop.yaml"]
        problems = {c["name"]: c["problem"] for c in body["checks"]}
        assert problems["workflow_file:flow.yaml"] == (
            "is faulty; its last good version is offered"
        )

    def test_stay_as_they_are_until_an_operator_mends_them(self, broken):
        assert broken.client.delete("/workflows/flow").status_code == 409
        for id_ in ("flow", "loop"):
            definition = {"id": id_, "steps": [STEP]}
            assert broken.client.put(f"/workflows/{id_}", json=definition).status_code < 300
            assert broken.client.get(f"/workflows/{id_}").json["stale"] is False
        faulty = broken.client.get("/workflows").json["faulty"]
        assert [(f["file"], f["offered"]) for f in faulty] == [
            ("flow.yaml", False), ("loop.yaml", False),
        ]  # fmt: skip


class TestRoom:
    def test_more_than_one_may_upload_is_a_conflict(self, make_service, assert_problem):
        service = make_service(engine__max_uploads_per_user=1)
        assert upload(service.client, NEW).status_code == 201
        for method, path in (("POST", "/workflows"), ("PUT", "/workflows/more")):
            response = service.client.open(path, method=method, json={**NEW, "id": "more"})
            assert_problem(response, 409, "conflict")
            assert "1 is the most" in response.json["detail"]
        assert service.client.put("/workflows/new", json=NEW).status_code == 200

    def test_and_so_are_more_bytes(self, make_service, assert_problem):
        service = make_service(engine__max_upload_bytes_per_user=100)
        response = upload(service.client, {**NEW, "description": "x" * 100})
        assert_problem(response, 409, "conflict")
        assert service.client.get("/workflows/new").status_code == 404


GOOD = """
id: flow
inputs: {colour: {}}
steps: [{id: a, type: script, config: {script: "true"}}]
"""
STEP = {"id": "a", "type": "script", "config": {"script": "true"}}


def upload(client, document):
    return client.post("/workflows", json=document)


class TestNumbers:
    """A number arrives as it was written, or is refused by name."""

    @pytest.fixture
    def take(self, client):
        inputs = {"i": {"type": "integer"}, "n": {"type": "number"}}
        inputs = {name: words | {"required": False} for name, words in inputs.items()}
        upload(client, {"id": "take", "inputs": inputs, "steps": [STEP]})

        def launch(name, text):
            body = f'{{"inputs": {{"{name}": {text}}}}}'
            return client.post("/workflows/take", data=body, content_type="application/json")

        return launch

    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("i", "9223372036854775807", 2**63 - 1),
            ("i", "-9223372036854775808", -(2**63)),
            ("i", "1e3", 1000),
            ("i", "9007199254740992.0", 2**53),
            ("n", "9007199254740993", 2**53 + 1),
            ("n", "0.1", 0.1),
            ("n", "0.10000000000000001", 0.1),  # as "%.17g" of C prints it
            ("n", "1e22", 1e22),
            ("n", "1.7976931348623157e308", 1.7976931348623157e308),
        ],
    )
    def test_what_64_bits_hold_arrives(self, service, take, name, text, value):
        assert take(name, text).status_code == 201
        assert repr(launched(service)[0].inputs) == repr({name: value})

    @pytest.mark.parametrize("name", ["i", "n"])
    @pytest.mark.parametrize(
        "text",
        [
            "9223372036854775808",
            "-9223372036854775809",
            "12345678901234567890",
            "123456789012345678901234567890",
            "9007199254740993.0",
            "0.1234567890123456789",
            "1e-400",
            '["a", 1e-400]',
        ],
    )
    def test_what_they_do_not_is_refused_by_name(self, take, assert_problem, name, text):
        place = f"inputs.{name}[1]" if "[" in text else f"inputs.{name}"
        message = assert_problem(take(name, text), 422, "invalid_request", place)[place]
        assert "64 bits" in message or "64-bit float" in message

    def test_so_it_is_with_a_default(self, client, assert_problem):
        words = {"type": "integer", "default": 2**63}
        response = upload(client, {"id": "take", "inputs": {"i": words}, "steps": [STEP]})
        assert_problem(response, 422, "invalid_definition", "inputs.i.default")

    def test_a_long_body_is_looked_through_elsewhere(self, take, assert_problem):
        text = f"[{', '.join(['0.1', '0.1234567890123456789'] * 2000)}]"
        response = take("n", text)
        assert response.status_code == 422
        assert len(response.json["fields"]) == 100
        assert "1900 more faults" in response.json["detail"]


def test_text_is_read_as_the_type_that_is_declared(make_service):
    local = make_service()
    upload(local.client, {"id": "w", "inputs": {"n": {"type": "integer"}}, "steps": [STEP]})
    assert local.client.post("/workflows/w", json={"inputs": {"n": "5"}}).status_code == 201
    assert launched(local)[0].inputs == {"n": 5}
