"""Definitions as they were given, their versions, and whose they are, on every door."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

import pytest
from service_kit import PASSWORDS, ROLES, Service, basic, open_service, users

TEXT = "id: w   # a comment\n\nsteps:\n  - {id: a, type: script, config: {script: 'true'}}\n"
# The engine has no variables, so no definition of its own is meant.
LOAD = "id: v   # a comment\nvariables: {a: 1}\nsteps: [{id: a, type: http, config: {url: 'http://127.0.0.1:1/'}}]\n"
YAML = "application/yaml"
OTHER = {"eve": ["developer"], "both": ["developer", "operator"]}


@pytest.fixture
def service(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, roles in OTHER.items():
        monkeypatch.setitem(PASSWORDS, name, f"of {name}")
        monkeypatch.setitem(ROLES, name, roles)
    made = open_service(tmp_path, api__auth=users(), engine__max_versions=3)
    yield made
    made.close()


def ask(service: Service, who: str, method: str, path: str, **more: Any) -> Any:
    headers = basic(who, PASSWORDS[who]) | more.pop("headers", {})
    return service.client.open(path, method=method, headers=headers, **more)


def put(
    service: Service, who: str, text: str, path: str = "/workflows/w", type_: str = YAML
) -> Any:
    return ask(service, who, "PUT", path, data=text.encode(), content_type=type_)


def submit(service: Service, who: str, **body: Any) -> Any:
    return ask(service, who, "POST", "/api/v1/workflows", json=body)


class TestCheck:
    def check(self, service, text, who="dev", type_=YAML):
        return ask(
            service, who, "POST", "/definitions/check", data=text.encode(), content_type=type_
        )

    @pytest.mark.parametrize(("text", "id_"), [(TEXT, "w"), (LOAD, "v")])
    def test_a_good_one_is_told_as_what_it_would_be_and_nothing_is_kept(self, service, text, id_):
        found = self.check(service, text)
        assert (found.status_code, found.json["id"]) == (200, id_)
        assert ask(service, "dev", "GET", f"/workflows/{id_}").status_code == 404
        assert put(service, "dev", text, f"/workflows/{id_}").json["version"] == 1
        assert self.check(service, text).status_code == 200  # whose id is taken by now

    def test_a_faulty_one_is_told_with_all_faults_as_an_upload_does(self, service):
        text = TEXT.replace("id: a, ", "").replace("script: 'true'", "script: 7")
        checked = self.check(service, text)
        assert checked.status_code == 422
        uploaded = put(service, "dev", text)
        assert checked.json["fields"] == uploaded.json["fields"]
        assert len(checked.json["fields"]) == 2

    def test_it_is_for_those_who_may_upload(self, service):
        assert self.check(service, TEXT, who="ada").status_code == 403
        assert self.check(service, TEXT, type_="text/plain").status_code == 415
        assert self.check(service, "{", type_="application/json").status_code == 400


class TestText:
    @pytest.mark.parametrize(
        "text",
        [
            TEXT,
            TEXT.replace("\n", "\r\n"),
            "\ufeff" + TEXT,
            TEXT + "# größe \N{GRINNING FACE}",
            "{id: w, steps: [{id: a, type: script, config: {script: 'true'}}]}",
        ],
    )
    def test_it_is_given_back_byte_by_byte(self, service, text):
        assert put(service, "dev", text).status_code == 201
        response = ask(service, "ada", "GET", "/workflows/w/definition")
        assert response.status_code == 200
        assert response.data == text.encode()
        assert response.headers["Content-Type"] == YAML
        assert response.headers["Content-Location"] == "/workflows/w/definition?version=1"
        assert response.headers["ETag"] == f'"{hashlib.sha256(text.encode()).hexdigest()}"'

    def test_json_stays_json(self, service):
        step = {"id": "a", "type": "script", "config": {"script": "a\nb\n"}}
        text = json.dumps({"id": "w", "steps": [step]}, indent=3)
        assert put(service, "dev", text, type_="application/json").status_code == 201
        response = ask(service, "ada", "GET", "/workflows/w/definition")
        assert (response.text, response.content_type) == (text, "application/json")

    def test_whoever_has_it_already_is_told_so(self, service):
        put(service, "dev", TEXT)
        tag = ask(service, "ada", "GET", "/workflows/w/definition").headers["ETag"]
        headers = {"If-None-Match": tag}
        same = ask(service, "ada", "GET", "/workflows/w/definition", headers=headers)
        assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", tag)
        put(service, "dev", TEXT + "#")
        other = ask(service, "ada", "GET", "/workflows/w/definition", headers=headers)
        assert other.status_code == 200

    @pytest.mark.parametrize("other", ['"other"', 'W/"other"'])
    def test_what_it_must_be_and_is_not_is_refused_as_any_fault_is(self, service, other):
        put(service, "dev", TEXT)
        tag = ask(service, "ada", "GET", "/workflows/w/definition").headers["ETag"]

        def under(**conditions):
            headers = {name.replace("_", "-"): value for name, value in conditions.items()}
            return ask(service, "ada", "GET", "/workflows/w/definition", headers=headers)

        refused = under(If_Match=other)
        assert (refused.status_code, refused.content_type) == (412, "application/problem+json")
        assert refused.json["code"] == "precondition_failed"
        assert under(If_Match=tag).data == TEXT.encode()
        both = under(If_Match="*", If_None_Match="*")
        assert (both.status_code, both.data) == (304, b"")

    @pytest.mark.parametrize(("name", "type_"), [("f.yaml", YAML), ("f.json", "application/json")])
    def test_a_file_of_the_folder_is_shown_as_it_is(self, service, name, type_):
        text = (
            TEXT
            if type_ == YAML
            else '{"id":"w",\n"steps":[{"id":"a","type":"script","config":{"script":"x"}}]}'
        )
        service.settings.workflows_dir.mkdir(parents=True, exist_ok=True)
        file = service.settings.workflows_dir / name
        file.write_text(text)
        response = ask(service, "ada", "GET", "/workflows/w/definition")
        assert (response.status_code, response.text, response.content_type) == (200, text, type_)
        assert "Content-Location" not in response.headers
        assert ask(service, "ada", "GET", "/workflows/w/versions").json == {"versions": []}
        assert ask(service, "ada", "GET", "/workflows/w/definition?version=1").status_code == 404
        described = ask(service, "ada", "GET", "/workflows/w").json
        assert (described["owner"], described["version"]) == (None, None)
        file.write_text("id: w\nsteps: [")
        response = ask(service, "ada", "GET", "/workflows/w/definition")
        assert response.status_code == 409
        assert "last good content" in response.json["detail"]

    def test_what_is_not_there_is_not_found(self, service):
        for path in ("definition", "versions", "definition?version=1"):
            assert ask(service, "ada", "GET", f"/workflows/none/{path}").status_code == 404
        put(service, "dev", TEXT)
        assert ask(service, "ada", "GET", "/workflows/w/definition?version=2").status_code == 404
        for wrong in ("0", "-1", "x", str(2**70)):
            response = ask(service, "ada", "GET", f"/workflows/w/definition?version={wrong}")
            assert response.status_code == 422

    def test_who_has_it_already_is_told_what_they_may_keep_it_for(self, service):
        put(service, "dev", TEXT)
        first = ask(service, "ada", "GET", "/workflows/w/definition")
        same = {"If-None-Match": first.headers["ETag"]}
        again = ask(service, "ada", "GET", "/workflows/w/definition", headers=same)
        assert again.status_code == 304
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]

    def test_who_wants_another_one_is_refused_as_everywhere(self, service, assert_problem):
        put(service, "dev", TEXT)
        other = {"If-Match": '"other"'}
        refused = ask(service, "ada", "GET", "/workflows/w/definition", headers=other)
        assert_problem(refused, 412, "precondition_failed")

    def test_what_is_defined_elsewhere_has_none_here(self, make_service, assert_problem):
        client = make_service(fake="Obedient").client
        for path in ("definition", "versions"):
            assert_problem(client.get(f"/workflows/remote/{path}"), 501, "not_implemented")


class TestVersions:
    def test_who_and_when_and_each_text(self, service):
        texts = [f"{TEXT}# {number}\n" for number in (1, 2, 3)]
        for who, text in zip(["dev", "both", "dev"], texts, strict=True):
            assert put(service, who, text).json["owner"] == "dev"
        found = ask(service, "ada", "GET", "/workflows/w/versions").json["versions"]
        assert [(each["version"], each["uploaded_by"]) for each in found] == [
            (3, "dev"), (2, "both"), (1, "dev"),
        ]  # fmt: skip
        assert {each["size_bytes"] for each in found} == {len(texts[0])}
        assert {each["media_type"] for each in found} == {YAML}
        moments = [each["uploaded_at"] for each in found]
        assert moments == sorted(moments, reverse=True)
        for number, text in enumerate(texts, 1):
            address = f"/workflows/w/definition?version={number}"
            assert ask(service, "ada", "GET", address).text == text

    def test_the_oldest_go_first(self, service):
        for number in range(5):
            put(service, "dev", f"{TEXT}#{number}")
        found = ask(service, "ada", "GET", "/workflows/w/versions").json["versions"]
        assert [each["version"] for each in found] == [5, 4, 3]
        assert ask(service, "ada", "GET", "/workflows/w/definition?version=2").status_code == 404

    def test_the_same_text_again_is_no_new_one(self, service):
        assert [put(service, "dev", TEXT).json["version"] for _ in range(3)] == [1, 1, 1]

    def test_a_launch_names_the_one_that_it_runs(self, service):
        def launch() -> Any:
            location = ask(service, "ada", "POST", "/workflows/w").headers["Location"]
            return ask(service, "ada", "GET", location).json["workflow_version"]

        put(service, "dev", TEXT)
        assert launch() == 1
        put(service, "dev", TEXT + "#")
        assert launch() == 2
        assert ask(service, "dev", "DELETE", "/workflows/w").status_code == 204
        assert put(service, "dev", TEXT).json["version"] == 3
        assert launch() == 3
        listed = ask(service, "ada", "GET", "/executions").json["executions"]
        assert [each["workflow_version"] for each in listed] == [3, 2, 1]

    def test_nothing_of_a_removed_one_is_shown(self, service):
        put(service, "dev", TEXT)
        ask(service, "dev", "DELETE", "/workflows/w")
        assert ask(service, "ada", "GET", "/workflows/w/versions").status_code == 404
        put(service, "eve", TEXT + "# mine\n")
        found = ask(service, "ada", "GET", "/workflows/w/versions").json["versions"]
        assert [(each["version"], each["uploaded_by"]) for each in found] == [(2, "eve")]
        assert ask(service, "ada", "GET", "/workflows/w").json["owner"] == "eve"


class TestOwners:
    def test_another_developer_neither_replaces_nor_removes_it(self, service, assert_problem):
        put(service, "dev", TEXT)
        for response in (
            put(service, "eve", TEXT + "#"),
            ask(service, "eve", "DELETE", "/workflows/w"),
        ):
            assert_problem(response, 403, "not_allowed")
            assert "belongs to 'dev'" in response.json["detail"]
        assert ask(service, "ada", "GET", "/workflows/w/definition").text == TEXT
        described = ask(service, "ada", "GET", "/workflows/w").json
        assert (described["owner"], described["version"]) == ("dev", 1)

    @pytest.mark.parametrize("who", ["dev", "both", "root"])
    def test_its_owner_and_operators_do(self, service, who):
        put(service, "dev", TEXT)
        response = put(service, who, TEXT + "#")
        assert (response.status_code, response.json["owner"]) == (200, "dev")
        assert put(service, "dev", TEXT + "##").status_code == 200
        assert ask(service, who, "DELETE", "/workflows/w").status_code == 204

    def test_an_operator_who_defines_nothing_does_not(self, service):
        put(service, "dev", TEXT)
        assert put(service, "ops", TEXT + "#").status_code == 403

    def test_what_operators_put_into_the_folder_is_theirs(self, service, assert_problem):
        service.settings.workflows_dir.mkdir(parents=True, exist_ok=True)
        (service.settings.workflows_dir / "w.yaml").write_text(TEXT)
        response = put(service, "dev", TEXT)
        assert_problem(response, 403, "not_allowed")
        assert "belongs to the operators" in response.json["detail"]
        assert put(service, "both", TEXT + "#").json["owner"] == "both"
        assert ask(service, "ada", "GET", "/workflows/w/definition").text == TEXT + "#"


class TestVirtualUsers:
    def test_text_versions_and_owner(self, service):
        assert put(service, "dev", LOAD, "/workflows/v").json["version"] == 1
        assert put(service, "dev", LOAD + "#", "/workflows/v").json["version"] == 2
        assert ask(service, "ada", "GET", "/workflows/v/definition").text == LOAD + "#"
        assert ask(service, "ada", "GET", "/workflows/v/definition?version=1").text == LOAD
        found = ask(service, "ada", "GET", "/workflows/v/versions").json["versions"]
        assert [(each["version"], each["uploaded_by"]) for each in found] == [
            (2, "dev"),
            (1, "dev"),
        ]
        assert ask(service, "ada", "GET", "/workflows/v").json["owner"] == "dev"

    def test_their_own_api_keeps_them_apart_too(self, service):
        put(service, "dev", LOAD, "/workflows/v")
        response = submit(service, "eve", yaml=LOAD + "#")
        assert response.status_code == 403
        assert response.json["error"] == "forbidden"
        assert "belongs to 'dev'" in response.json["message"]
        assert ask(service, "eve", "DELETE", "/workflows/v").status_code == 403
        assert ask(service, "ada", "GET", "/workflows/v/definition").text == LOAD
        assert submit(service, "root", yaml=LOAD + "#").status_code != 403

    def test_an_object_is_kept_as_json(self, service):
        step = {"id": "a", "type": "http", "config": {"url": "http://127.0.0.1:1/"}}
        workflow = {"id": "o", "variables": {"a": 1}, "steps": [step]}
        assert submit(service, "dev", workflow=workflow).status_code in (201, 500)
        response = ask(service, "ada", "GET", "/workflows/o/definition")
        assert response.content_type == "application/json"
        assert response.json == workflow


class TestStanding:
    def make(self, service: Service) -> None:
        worker = {"name": "x", "command": "echo '{{ inputs.n }}' ${inputs.n}"}
        body = {"name": "s", "working_dir": None, "workers": [worker]}
        assert ask(service, "dev", "POST", "/api/workflows", json=body).status_code in (200, 201)

    def test_what_it_was_made_of_is_shown_as_json(self, service):
        self.make(service)
        response = ask(service, "ada", "GET", "/workflows/s/definition")
        assert response.content_type == "application/json"
        assert response.json["steps"][0]["config"]["args"] == ["{{ inputs.n }}", "${inputs.n}"]
        assert ask(service, "ada", "GET", "/workflows/s").json["owner"] == "dev"

    def test_another_developer_does_not_remove_it(self, service):
        self.make(service)
        assert ask(service, "eve", "DELETE", "/workflows/s").status_code == 403
        assert ask(service, "eve", "DELETE", "/api/workers/s/x").status_code == 404
        assert ask(service, "dev", "DELETE", "/workflows/s").status_code == 204


class TestNames:
    @pytest.mark.parametrize(
        "name", ["50 % (why?)", "a#b&c=d;e", "..a", "größe", "日本", "a\\b", "%2F", "+", "a  b"]
    )
    def test_any_name_that_is_taken_can_be_addressed(self, service, name):
        assert put(service, "dev", f"name: {json.dumps(name)}\n{TEXT}").status_code == 201
        address = f"/workflows/{quote(name, safe='')}"
        assert ask(service, "ada", "GET", address).json["name"] == name
        assert ask(service, "ada", "POST", address).status_code == 201

    def test_it_is_found_however_its_letters_are_put_together(self, service):
        put(service, "dev", f'name: "gr\u00f6\u00dfe"\n{TEXT}')
        assert ask(service, "ada", "GET", "/workflows/gro%CC%88%C3%9Fe").status_code == 200
        put(service, "dev", f'name: "gro\u0308\u00dfe"\n{TEXT}')
        assert ask(service, "ada", "GET", "/workflows/gr%C3%B6%C3%9Fe").status_code == 200

    @pytest.mark.parametrize("name", ["a/b", "..", "a\\nb"])
    def test_others_are_refused_on_every_door(self, service, name):
        for text, path in ((TEXT, "/workflows/w"), (LOAD, "/workflows/v")):
            response = put(service, "dev", f'name: "{name}"\n{text}', path)
            assert response.status_code == 422
            assert "name" in [fault["path"] for fault in response.json["fields"]]
        assert submit(service, "dev", yaml=f'name: "{name}"\n{LOAD}').status_code == 400
        service.settings.workflows_dir.mkdir(parents=True, exist_ok=True)
        (service.settings.workflows_dir / "w.yaml").write_text(f'name: "{name}"\n{TEXT}')
        (faulty,) = ask(service, "dev", "GET", "/workflows").json["faulty"]
        assert faulty["faults"][0]["path"] == "name"


class TestNextVersion:
    @pytest.mark.parametrize("text", [TEXT, LOAD])
    def test_it_takes_the_place_of_the_version_that_it_is_made_from(self, service, text):
        path = "/workflows/w" if text is TEXT else "/workflows/v"
        put(service, "dev", text, path)
        assert put(service, "dev", text + "# 2", f"{path}?based_on=1").json["version"] == 2
        late = put(service, "dev", text + "# other", f"{path}?based_on=1")
        assert late.status_code == 409
        assert "made from version 1, and version 2 is offered by now" in late.json["detail"]
        assert ask(service, "dev", "GET", f"{path}/definition").text == text + "# 2"
        # The same text once more makes no version.
        assert put(service, "dev", text + "# 2", f"{path}?based_on=2").json["version"] == 2

    @pytest.mark.parametrize("text", [TEXT, LOAD])
    def test_what_is_gone_by_now_is_not_made_again(self, service, text):
        path = "/workflows/w" if text is TEXT else "/workflows/v"
        put(service, "dev", text, path)
        ask(service, "dev", "DELETE", path)
        late = put(service, "dev", text, f"{path}?based_on=1")
        assert late.status_code == 409
        assert "is not there any more" in late.json["detail"]

    def test_a_version_is_a_number(self, service):
        assert put(service, "dev", TEXT, "/workflows/w?based_on=x").status_code == 422


class TestDifference:
    def test_it_is_told_line_by_line(self, service):
        put(service, "dev", TEXT)
        put(service, "dev", TEXT.replace("true", "false"))
        path = "/workflows/w/definition/diff"
        for more in ("", "?before=1", "?after=2", "?before=1&after=2"):
            told = ask(service, "ada", "GET", path + more).json
            assert (told["before"], told["after"], told["cut"]) == (1, 2, False)
            assert told["diff"][:2] == ["--- w 1", "+++ w 2"]
            assert [line for line in told["diff"][2:] if line[0] in "+-"] == [
                "-  - {id: a, type: script, config: {script: 'true'}}",
                "+  - {id: a, type: script, config: {script: 'false'}}",
            ]
        for more in ("?before=2", "?after=1"):
            assert ask(service, "ada", "GET", path + more).json["diff"] == []

    def test_versions_that_are_not_there_are_said(self, service):
        put(service, "dev", TEXT)
        for query in ("before=7", "before=1&after=7"):
            path = f"/workflows/w/definition/diff?{query}"
            assert ask(service, "ada", "GET", path).status_code == 404
        assert (
            ask(service, "ada", "GET", "/workflows/w/definition/diff?before=x").status_code == 422
        )
        assert (
            ask(service, "ada", "GET", "/workflows/no/definition/diff?before=1").status_code == 404
        )
