"""A dialect beside the root API: below its prefix whatever fails has its own form."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from service_kit import Service, basic, users
from toy_dialect import DIALECT as TOY
from werkzeug.test import TestResponse

from app.assembly import DIALECTS, import_dialect
from app.cli.openapi import command
from app.errors import ConfigError, NotAuthenticated, UpstreamUnreachable
from app.resources._dialect import Dialect
from app.resources._dialects import Dialects
from app.resources._openapi import DialectApi
from app.resources.root import DIALECT as ROOT
from app.resources.root.errors import RootErrors

ServiceMaker = Callable[..., Service]
BOTH = ["root", "toy_dialect:DIALECT"]
PATH = "/toy/tallies/executions"


@pytest.fixture
def toy(make_service: ServiceMaker) -> Service:
    return make_service(api__dialects=BOTH)


def assert_sorry(response: TestResponse, status: int, word: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.content_type == "application/vnd.toy+json"
    assert response.headers["X-Request-ID"]
    body = json.loads(response.data)
    assert body.keys() == {"sorry", "word", "faults"}
    assert body["word"] == word
    assert "Traceback" not in response.text
    return body


def test_its_views_use_the_same_services(toy: Service) -> None:
    toy.add_execution()
    toy.add_execution()
    assert toy.client.post(PATH, json={}).json == {"states": {"PENDING": 2}}
    assert toy.client.post(PATH, json={"workflow": "other"}).json == {"states": {}}
    assert len(toy.client.get("/executions").json["executions"]) == 2


@pytest.mark.parametrize(
    ("status", "word", "request_", "more"),
    [
        (404, "NOT_FOUND", "GET /toy", {}),
        (404, "NOT_FOUND", "GET /toy/", {}),
        (404, "NOT_FOUND", "POST /toy/nothing/at/all", {}),
        (405, "METHOD_NOT_ALLOWED", f"PATCH {PATH}", {}),
        (400, "MALFORMED_REQUEST", f"POST {PATH}", {"data": "{"}),
        (413, "BODY_TOO_LARGE", f"POST {PATH}", {"data": b" " * 2_000_000}),
        (415, "UNSUPPORTED_MEDIA_TYPE", f"POST {PATH}",
         {"data": "a: b", "content_type": "text/yaml"}),
        (421, "UNKNOWN_HOST", f"POST {PATH}", {"headers": {"Host": "evil.example"}}),
        (403, "FOREIGN_ORIGIN", f"POST {PATH}", {"headers": {"Origin": "http://evil.example"}}),
    ],
)  # fmt: skip
def test_whatever_fails_below_its_prefix_has_its_form(
    toy: Service, status: int, word: str, request_: str, more: dict[str, Any]
) -> None:
    method, path = request_.split(" ")
    response = toy.client.open(path, method=method, **more)
    assert_sorry(response, status, word)
    if status == 405:
        assert set(response.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


def test_it_may_have_another_status_for_a_fault(toy: Service) -> None:
    response = toy.client.post(PATH, json={"most": 101, "workflov": "flow"})
    body = assert_sorry(response, 400, "INVALID_REQUEST")
    assert body["faults"].keys() == {"most", "workflov"}


def test_faults_of_the_program_and_behind_it_have_its_form(
    toy: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: Exception) -> TestResponse:
        def find(*_: Any) -> None:
            raise error

        monkeypatch.setattr(type(toy.services.executions), "find", find)
        return toy.client.post(PATH, json={})

    body = assert_sorry(fail(RuntimeError("secret")), 500, "INTERNAL_ERROR")
    assert "secret" not in str(body)
    for number in (errno.ENOSPC, errno.EDQUOT):
        response = fail(OSError(number, "secret", "/secret/place"))
        assert "secret" not in str(assert_sorry(response, 503, "STORE_UNAVAILABLE"))
        assert int(response.headers["Retry-After"]) >= 1
    assert_sorry(fail(OSError(errno.EBADF, "secret")), 500, "INTERNAL_ERROR")
    response = fail(UpstreamUnreachable("The upstream does not answer."))
    assert_sorry(response, 503, "UPSTREAM_UNREACHABLE")
    assert int(response.headers["Retry-After"]) >= 1


def test_who_has_not_signed_in_is_told_so_in_its_form(make_service: ServiceMaker) -> None:
    client = make_service(api__dialects=BOTH, api__auth=users()).client
    for headers in ({}, basic("ada", "wrong")):
        response = client.post(PATH, json={}, headers=headers)
        assert_sorry(response, 401, "NOT_AUTHENTICATED")
        assert response.headers["WWW-Authenticate"].startswith("Basic ")


def test_a_script_of_the_page_is_offered_no_password_box(make_service: ServiceMaker) -> None:
    client = make_service(api__dialects=BOTH, api__auth=users()).client
    for path in ("/executions", "/events?topics=executions", "/toy/nothing", PATH):
        headers = {"X-Requested-With": "slipway-page"}
        for more in ({}, basic("ada", "wrong")):
            assert "WWW-Authenticate" not in client.get(path, headers={**headers, **more}).headers
    others = {"X-Requested-With": "XMLHttpRequest"}
    for headers in ({}, others):
        challenge = client.get("/executions", headers=headers).headers["WWW-Authenticate"]
        assert challenge.startswith("Basic ")


@pytest.mark.parametrize("path", ["/nothing", "/toys", "/to", "/TOY", "/x/toy"])
def test_what_does_not_lie_below_its_prefix_is_not_its_own(toy: Service, path: str) -> None:
    response = toy.client.get(path)
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    assert response.json is not None
    assert response.json["errors"]


def with_prefix(prefix: str, errors: Any = None) -> Dialect:
    return Dialect(name=prefix, prefix=prefix, blueprints=(), errors=errors or TOY.errors)


def test_of_two_prefixes_the_longer_one_answers() -> None:
    for order in (["/api", "/api/v1"], ["/api/v1", "/api"]):
        mine = {"/api/v1": TOY.errors, "/api": RootErrors()}
        dialects = Dialects([with_prefix(prefix, mine[prefix]) for prefix in order])
        found = {
            path: dialects.refuse(path, HTTPStatus.BAD_REQUEST, "no").content_type.partition("/")[2]
            for path in ("/api", "/api/v1", "/api/v1/x", "/api/v12", "/api/x/v1", "/x", "/")
        }
        toy = [path for path, form in found.items() if form == "vnd.toy+json"]
        assert toy == ["/api/v1", "/api/v1/x"]


def test_there_is_one_dialect_at_each_prefix() -> None:
    with pytest.raises(ConfigError, match="same prefix"):
        Dialects([ROOT, with_prefix("/a"), with_prefix("/a")])
    with pytest.raises(ConfigError, match="the name 'toy'"):
        Dialects([TOY, replace(TOY, prefix="/other")])


@pytest.mark.parametrize("prefix", ["api", "/api/", "/", "/a b", "/a//b", "/<x>"])
def test_a_prefix_is_a_path(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        with_prefix(prefix)


def test_an_error_that_cannot_be_rendered_has_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(TOY.errors), "render", lambda *_: 1 / 0)
    response = Dialects([TOY]).refuse("/toy", HTTPStatus.BAD_REQUEST, "It is no request.")
    assert response.status_code == 400
    assert response.content_type == "application/problem+json"


def test_it_has_a_document_of_its_own(toy: Service) -> None:
    document = toy.client.get("/toy/openapi.json").json
    assert document["info"]["title"] == "Tallies"
    assert list(document["paths"]) == [PATH]
    assert [tag["name"] for tag in document["tags"]] == ["tallies"]
    responses = document["paths"][PATH]["post"]["responses"]
    for status in ("400", "401", "413", "415", "503"):
        assert list(responses[status]["content"]) == ["application/vnd.toy+json"]
    default = document["components"]["responses"]["DEFAULT_ERROR"]["content"]
    assert default["application/vnd.toy+json"]["schema"] == {"$ref": "#/components/schemas/Sorry"}
    assert PATH not in toy.client.get("/openapi.json").json["paths"]
    script = toy.client.get("/docs/start.js").text
    assert '"/toy/openapi.json"' in script
    assert '"/openapi.json"' in script


def test_its_document_is_made_once_and_not_before_somebody_asks(
    toy: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    described: list[str] = []
    describe = DialectApi._described

    def slowly(api: DialectApi) -> dict[str, Any]:
        described.append(api.dialect.name)
        time.sleep(0.2)
        return describe(api)

    def ask(form: str) -> bytes:
        return toy.web.app.test_client().get(f"/toy/openapi.{form}").data

    monkeypatch.setattr(DialectApi, "_described", slowly)
    toy.client.get("/executions")
    assert described == []
    with ThreadPoolExecutor(4) as pool:
        first, second, third, fourth = pool.map(ask, ("json", "yaml", "json", "yaml"))
    assert described == ["toy"]
    assert (first, second) == (third, fourth)
    assert json.loads(first) == yaml.safe_load(second)


def test_one_line_adds_it(
    make_service: ServiceMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(DIALECTS, "toy", "toy_dialect:DIALECT")
    assert make_service().client.post(PATH, json={}).status_code == 200
    folder = tmp_path / "openapi"
    folder.mkdir()

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(command, arguments)

    assert run("--write", str(folder)).exit_code == 0
    assert {path.name for path in folder.iterdir()} == {
        f"{dialect.name}.{form}"
        for dialect in map(import_dialect, DIALECTS)
        if dialect.document
        for form in ("json", "yaml")
    }
    assert run("--check", str(folder)).exit_code == 0
    assert json.loads(run("toy").stdout)["info"]["title"] == "Tallies"
    assert run("nothing").exit_code == 2
    for old in ("old.json", "old.yaml"):
        (folder / old).write_text("{}\n", encoding="utf-8")
        assert run("--check", str(folder)).exit_code == 1
        (folder / old).unlink()
    stale = folder / "toy.yaml"
    stale.write_text(stale.read_text(encoding="utf-8").replace("Tallies", "Tallys"))
    assert run("--check", str(folder)).exit_code == 1


class TestTheChoiceOfDialects:
    def test_one_that_is_not_named_is_not_served(self, make_service: ServiceMaker) -> None:
        client = make_service(api__dialects=["toy_dialect:DIALECT"]).client
        assert client.post(PATH, json={}).status_code == 200
        for path in ("/executions", "/openapi.json", "/nothing"):
            response = client.get(path)
            assert response.status_code == 404
            assert response.content_type == "application/problem+json"

    def test_what_operators_ask_is_always_answered(self, make_service: ServiceMaker) -> None:
        client = make_service(api__dialects=["toy_dialect:DIALECT"]).client
        for path in ("/health", "/version", "/metrics", "/docs"):
            assert client.get(path).status_code == 200, path

    @pytest.mark.parametrize(
        ("names", "path"),
        [
            (["nothing"], "api.dialects[0]"),
            (["root", "nothing:DIALECT"], "api.dialects[1]"),
            (["root", "toy_dialect:MOST"], "api.dialects[1]"),
            (["root", "toy_dialect:"], "api.dialects[1]"),
            (["root", ":"], "api.dialects[1]"),
            (["root", "root"], "api.dialects[1]"),
            (["root", 5], "api.dialects[1]"),
            ([], "api.dialects"),
            ("root", "api.dialects"),
        ],
    )
    def test_a_name_that_is_none_is_told_with_its_place(
        self, make_settings: Callable[..., Any], names: Any, path: str
    ) -> None:
        with pytest.raises(ConfigError) as raised:
            make_settings(api__dialects=names)
        assert [fault.path for fault in raised.value.fields] == [path]


def test_it_is_told_of_a_fault_when_the_view_has_returned(make_service: ServiceMaker) -> None:
    service = make_service(api__dialects=BOTH, api__auth=users())
    answer = service.web.dialects.fail(PATH, NotAuthenticated("The token was revoked."))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
