"""Pictures of graphs as the server draws them: boxes are links that say what they are."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest
from kit.graphs import chain, fan, lattice
from service_kit import Service

from app.domain import ExecutionStatus, Observation, Step, Task, TaskStatus
from app.services.graph_layout import lay_out
from app.services.graphs import Graph, Missing
from app.ui._graph import execution_picture, shortened, workflow_picture

EVIL = "<script>alert(1)</script>\"'"
FAILED, RUNNING, SUCCESS = TaskStatus.FAILED, TaskStatus.RUNNING, TaskStatus.SUCCESS


def graph(needs, tasks=(), names=None, **more):
    names = names or [f"s{n}" for n in range(len(needs))]
    steps = tuple(
        Step(name, "", tuple(names[m] for m in n)) for name, n in zip(names, needs, strict=True)
    )
    return Graph(steps, lay_out(needs), tasks=tasks, **more)


def upload(opened: Service, needs, id_="flow", **titles):
    steps = [
        {
            "id": f"s{n}", "type": "script", "needs": [f"s{m}" for m in needed],
            "config": {"script": "true"}, "name": titles.get(f"s{n}", f"s{n}"),
        }
        for n, needed in enumerate(needs)
    ]  # fmt: skip
    kept = opened.client.put(f"/workflows/{id_}", json={"id": id_, "steps": steps})
    assert kept.status_code in (200, 201), kept.json


def launch(opened: Service, id_="flow"):
    return opened.client.post(f"/workflows/{id_}").headers["Location"].rpartition("/")[2]


def see(opened: Service, execution, *tasks):
    opened.record(
        opened.store.get(execution), Observation(ExecutionStatus.RUNNING, None, tasks=tasks)
    )


def picture_of(answer):
    """Return the SVG of a page, which must be well-formed."""
    assert answer.status_code == 200
    found = re.search(r'<svg class="graph-picture".*?</svg>', answer.text, re.DOTALL)
    assert found, answer.text
    return ET.fromstring(found[0])


def nodes_of(svg):
    return [each for each in svg.iter() if "graph-node" in each.get("class", "").split()]


class TestPicture:
    def test_a_node_says_what_it_is_in_words(self):
        tasks = (
            Task("s0", SUCCESS, exit_code=0), Task("s1", FAILED, exit_code=2),
            Task("s2", RUNNING, attempts=2),
        )  # fmt: skip
        made = execution_picture(graph(chain(3), tasks), "e1")
        assert [node.said for node in made.nodes] == [
            "s0, succeeded", "s1, failed, exit 2", "s2, running, attempt 2",
        ]  # fmt: skip
        assert made.nodes[1].address == "/ui/executions/e1/log?task=s1"

    def test_a_step_that_runs_for_elements_says_for_how_many(self):
        made = execution_picture(graph([[]], (Task("s0", RUNNING),), elements={"s0": 12}), "e1")
        assert made.nodes[0].said == "s0 \N{MULTIPLICATION SIGN}12, running"

    def test_where_it_leads_is_for_the_page_to_say(self):
        made = execution_picture(
            graph([[]], (Task("s0", SUCCESS),)), "e1", leads_to=lambda s: f"#{s}"
        )
        assert made.nodes[0].address == "#s0"

    def test_a_box_of_several_counts_the_worst_and_can_be_opened(self):
        needs = fan(200)
        states = [FAILED if n in (3, 4) else SUCCESS for n in range(len(needs))]
        tasks = tuple(Task(f"s{n}", state) for n, state in enumerate(states))
        fold = execution_picture(graph(needs, tasks), "e1").nodes[1]
        assert (fold.label, fold.state, fold.remark) == ("200 steps", "FAILED", "2 of 200")
        assert fold.address == "/ui/executions/e1/graph?open=s1#graph"
        assert fold.said == "200 steps, failed, 2 of 200, show each"
        assert len(json.loads(fold.steps)) == 200

    def test_of_a_workflow_only_what_can_be_opened_leads_somewhere(self):
        made = workflow_picture(graph(fan(200)), "/ui/workflows/w/graph")
        assert [node.address for node in made.nodes] == [
            "",
            "/ui/workflows/w/graph?open=s1#graph",
            "",
        ]
        assert {node.state for node in made.nodes} == {""}
        assert workflow_picture(graph(fan(200)), "").nodes[1].address == ""

    def test_a_large_one_must_be_asked_for(self):
        large = graph(lattice(25, 20, 1196))
        assert (workflow_picture(large, "/w").asks, workflow_picture(large, "/w").nodes) == (
            True,
            (),
        )
        drawn = workflow_picture(large, "/w", draw=True)
        assert (drawn.asks, len(drawn.edges)) == (False, 1196)

    @pytest.mark.parametrize("missing", Missing)
    def test_why_there_is_none_is_said(self, missing):
        made = workflow_picture(Graph((Step("a", ""), Step("b", "")), missing=missing), "/w")
        assert made.missing.endswith(".")
        assert (made.steps, made.nodes) == (2, ())

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("short", "short"),
            ("a" * 18, "a" * 18),
            ("solve-the-whole-region-12", "solve-the-w…ion-12"),
        ],
    )
    def test_names_are_shortened_in_their_middle(self, name, expected):
        assert shortened(name) == expected
        assert len(shortened(name)) <= 18

    def test_lines_are_level_or_curved_between_layers(self):
        made = workflow_picture(graph([[], [0], [1], [0, 2]]), "")
        assert all(re.fullmatch(r"M\d+ \d+(H\d+|C(\d+ ){5}\d+)+", edge.path) for edge in made.edges)


class TestOfExecutions:
    def test_it_is_drawn_by_the_server(self, opened):
        upload(opened, [[], [0], [0], [1, 2]])
        id_ = launch(opened)
        see(opened, id_, Task("s0", SUCCESS, exit_code=0), Task("s1", FAILED, exit_code=2))
        answer = opened.client.get(f"/ui/executions/{id_}/graph")
        svg = picture_of(answer)
        nodes = nodes_of(svg)
        assert [node.get("aria-label") for node in nodes] == [
            "s0, succeeded", "s1, failed, exit 2", "s2, waiting", "s3, waiting",
        ]  # fmt: skip
        assert all(node.tag == "a" and node.get("href") for node in nodes)
        assert f'data-execution="{id_}"' in answer.text

    def test_no_name_of_a_step_is_more_than_text(self, opened):
        upload(opened, [[], [0]], s1=EVIL)
        id_ = launch(opened)
        answer = opened.client.get(f"/ui/executions/{id_}/graph")
        assert "<script>alert" not in answer.text
        nodes = nodes_of(picture_of(answer))
        assert nodes[1].get("aria-label") == f"{EVIL}, waiting"
        assert nodes[1].find("title").text == EVIL

    def test_a_fold_is_opened_and_closed_by_links(self, opened):
        upload(opened, fan(200))
        id_ = launch(opened)
        path = f"/ui/executions/{id_}/graph"
        nodes = nodes_of(picture_of(opened.client.get(path)))
        assert len(nodes) == 3
        asked = opened.client.get(nodes[1].get("href").partition("#")[0])
        assert "Fold steps that are alike" in asked.text
        assert len(nodes_of(picture_of(asked))) == 202

    def test_a_large_one_is_drawn_for_who_asks(self, opened):
        upload(opened, lattice(25, 20, 1196))
        id_ = launch(opened)
        path = f"/ui/executions/{id_}/graph"
        first = opened.client.get(path)
        assert "graph-picture" not in first.text
        assert "Draw 500 steps" in first.text
        assert len(nodes_of(picture_of(opened.client.get(f"{path}?draw=yes")))) > 400

    def test_of_nothing_there_is_a_page_that_says_so(self, opened):
        answer = opened.client.get("/ui/executions/1b4e28ba-2fa1-11d2-883f-0016d3cca427/graph")
        assert answer.status_code == 404


class TestOfWorkflows:
    def test_it_is_drawn_without_states(self, opened):
        upload(opened, [[], [0]])
        nodes = nodes_of(picture_of(opened.client.get("/ui/workflows/flow/graph")))
        assert [(node.tag, node.get("aria-label")) for node in nodes] == [("g", "s0"), ("g", "s1")]

    def test_where_nothing_is_known_it_is_said(self, opened):
        step = {"id": "a", "type": "http", "config": {"url": "http://127.0.0.1:1/"}}
        body = {"id": "v", "variables": {"n": 1}, "steps": [step, {**step, "id": "b"}]}
        assert opened.client.put("/workflows/v", json=body).status_code in (200, 201)
        assert "is not known here" in opened.client.get("/ui/workflows/v/graph").text
