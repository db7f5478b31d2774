"""Graphs of workflows, of executions, and of definitions that are only checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.graphs import fan
from service_kit import PASSWORDS, Service, basic, open_service, users

from app.services.graph_layout import HEIGHT, WIDTH

DIAMOND = """id: diamond
steps:
  - {id: a, type: script, config: {script: 'true'}}
  - {id: b, type: script, needs: [a], config: {script: 'true'}}
  - {id: c, type: script, needs: [a], config: {script: 'true'}}
  - {id: d, type: script, needs: [b, c], config: {script: 'true'}}
"""
LOAD = """id: users
variables: {a: 1}
steps:
  - {id: a, type: http, config: {url: 'http://127.0.0.1:1/'}}
  - {id: b, type: http, config: {url: 'http://127.0.0.1:1/'}}
"""


@pytest.fixture
def service(tmp_path: Any) -> Any:
    made = open_service(tmp_path, api__auth=users())
    yield made
    made.close()


def ask(service: Service, who: str, method: str, path: str, **more: Any) -> Any:
    return service.client.open(path, method=method, headers=basic(who, PASSWORDS[who]), **more)


def upload(service: Service, text: str) -> str:
    kept = ask(service, "dev", "POST", "/workflows", data=text, content_type="application/yaml")
    assert kept.status_code == 201, kept.json
    return str(kept.json["id"])


def large(id_: str, needs: list[list[int]]) -> str:
    steps = [
        {
            "id": f"s{n}",
            "type": "script",
            "needs": [f"s{need}" for need in needed],
            "config": {"script": "true"},
        }
        for n, needed in enumerate(needs)
    ]
    return json.dumps({"id": id_, "steps": steps})


def names(graph: Any) -> list[list[str]]:
    return [box["steps"] for box in graph["boxes"]]


class TestOfWorkflows:
    def test_its_steps_stand_in_layers_and_are_joined(self, service):
        upload(service, DIAMOND)
        found = ask(service, "ada", "GET", "/workflows/diamond/graph").json
        assert (found["missing"], found["steps"]) == (None, 4)
        assert names(found) == [["a"], ["b"], ["c"], ["d"]]
        assert [box["layer"] for box in found["boxes"]] == [0, 1, 1, 2]
        assert (found["box_width"], found["box_height"]) == (WIDTH, HEIGHT)
        assert [(line["source"], line["target"]) for line in found["lines"]] == [
            (0, 1), (0, 2), (1, 3), (2, 3),
        ]  # fmt: skip
        assert "status" not in found["boxes"][0]

    def test_many_alike_are_one_box_that_can_be_opened(self, service):
        upload(service, large("wide", fan(200)))
        path = "/workflows/wide/graph"
        found = ask(service, "ada", "GET", path).json
        assert [len(held) for held in names(found)] == [1, 200, 1]
        opened = ask(service, "ada", "GET", f"{path}?open=s7&open=unknown").json
        assert opened["steps"] == len(opened["boxes"]) == 202
        apart = ask(service, "ada", "GET", f"{path}?folded=false").json
        assert len(apart["boxes"]) == 202

    def test_too_many_to_draw_are_counted_and_said_to_be(self, service):
        upload(service, large("huge", [[] if n < 2 else [n - 2] for n in range(1200)]))
        found = ask(service, "ada", "GET", "/workflows/huge/graph").json
        assert (found["missing"], found["steps"], found["boxes"]) == ("too_large", 1200, [])

    def test_of_virtual_users_nobody_knows_what_waits_for_what(self, service):
        upload(service, LOAD)
        found = ask(service, "ada", "GET", "/workflows/users/graph").json
        assert (found["missing"], found["boxes"], found["steps"]) == ("unknown", [], 2)

    def test_what_is_not_there_has_none(self, service):
        assert ask(service, "ada", "GET", "/workflows/nothing/graph").status_code == 404

    @pytest.mark.parametrize("query", ["folded=perhaps", "&".join(["open=a"] * 21)])
    def test_how_it_is_seen_is_checked(self, service, query):
        upload(service, DIAMOND)
        found = ask(service, "ada", "GET", f"/workflows/diamond/graph?{query}")
        assert found.status_code == 422
        assert found.json["fields"][0]["path"] in {"folded", "open"}


class TestOfExecutions:
    def launch(self, service: Service, workflow: str) -> str:
        started = ask(service, "ada", "POST", f"/workflows/{workflow}")
        return str(started.headers["Location"].rpartition("/")[2])

    def test_each_box_tells_the_worst_of_its_tasks(self, service):
        upload(service, DIAMOND)
        id_ = self.launch(service, "diamond")
        found = ask(service, "ada", "GET", f"/executions/{id_}/graph").json
        assert names(found) == [["a"], ["b"], ["c"], ["d"]]
        assert {box["status"] for box in found["boxes"]} == {"PENDING"}
        assert found["boxes"][0]["statuses"] == {"PENDING": 1}

    def test_it_is_that_of_what_was_launched_whatever_the_workflow_is_by_now(self, service):
        upload(service, DIAMOND)
        id_ = self.launch(service, "diamond")
        other = DIAMOND.replace("needs: [a]", "needs: []")
        replaced = ask(
            service, "dev", "PUT", "/workflows/diamond", data=other, content_type="application/yaml"
        )
        assert replaced.status_code == 200
        assert len(ask(service, "ada", "GET", "/workflows/diamond/graph").json["lines"]) == 2
        assert len(ask(service, "ada", "GET", f"/executions/{id_}/graph").json["lines"]) == 4

    def test_without_its_snapshot_the_version_that_was_uploaded_tells(self, service, monkeypatch):
        upload(service, DIAMOND)
        id_ = self.launch(service, "diamond")
        graphs = service.services.graphs
        for orchestrator in graphs._orchestrators.values():
            monkeypatch.setattr(orchestrator, "launched_steps", lambda *_: None)
        assert len(ask(service, "ada", "GET", f"/executions/{id_}/graph").json["lines"]) == 4
        monkeypatch.setattr(graphs._texts, "uploaded", lambda _: None)
        found = ask(service, "ada", "GET", f"/executions/{id_}/graph").json
        assert (found["missing"], found["steps"]) == ("unknown", 4)

    def test_that_of_somebody_else_is_not_there(self, service):
        upload(service, DIAMOND)
        id_ = self.launch(service, "diamond")
        assert ask(service, "dev", "GET", f"/executions/{id_}/graph").status_code == 404


class TestOfDefinitions:
    def check(self, service: Service, text: str, query: str = "?graph=true") -> Any:
        return ask(
            service, "dev", "POST", f"/definitions/check{query}", data=text,
            content_type="application/yaml",
        )  # fmt: skip

    def test_one_that_is_only_checked_has_one(self, service):
        found = self.check(service, DIAMOND).json
        assert found["id"] == "diamond"
        assert names(found["graph"]) == [["a"], ["b"], ["c"], ["d"]]
        assert ask(service, "dev", "GET", "/workflows/diamond").status_code == 404

    def test_it_is_told_only_where_it_is_asked_for(self, service):
        assert "graph" not in self.check(service, DIAMOND, "").json

    def test_one_with_faults_has_none(self, service):
        found = self.check(service, DIAMOND.replace("[a]", "[nobody]"))
        assert found.status_code == 422
