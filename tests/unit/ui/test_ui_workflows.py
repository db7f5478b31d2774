"""``/ui/workflows``: what there is to launch."""

from __future__ import annotations

import html
import re

import pytest
from admin_kit import HOSTILE, ask, escaped
from service_kit import Service, users

from app.domain import ExecutionStatus, Observation, Workflow
from app.errors import UpstreamError

PATH = "/ui/workflows"
STEPS = "steps: [{id: a, type: script, config: {script: 'true'}}]\n"


def names(answer) -> list[str]:
    return [
        html.unescape(n) for n in re.findall(r'<td class="name"><a [^>]*>([^<]*)<', answer.text)
    ]


@pytest.fixture
def flows(write_workflow):
    write_workflow(f"id: mesh\nname: Mesh and solve\ndescription: CFD, then a solver\n{STEPS}")
    write_workflow(f"id: ramp\nname: Ramp load\ndescription: 100 users\n{STEPS}", "ramp.yaml")


class Far:
    """Another orchestrator, of which the workflows are known, or not."""

    capabilities = frozenset()

    def __init__(self, *workflows: Workflow, silent: bool = False) -> None:
        self._workflows, self._silent = workflows, silent

    def workflows(self, _identity):
        if self._silent:
            raise UpstreamError("a4c does not answer.")
        return list(self._workflows)


def far(service: Service, *ids: str, stale: bool = False, silent: bool = False) -> None:
    some = [Workflow(id_, id_, "a", "e", "n", "a4c", "", stale=stale) for id_ in ids]
    service.services.workflows._orchestrators["a4c"] = Far(*some, silent=silent)


@pytest.mark.usefixtures("flows")
class TestList:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", ["Mesh and solve", "Ramp load"]),
            ("q=SOLVER", ["Mesh and solve"]),
            ("q=ramp&orchestrator=local", ["Ramp load"]),
            ("orchestrator=a4c", []),
            ("stale=yes", []),
        ],
    )
    def test_it_is_searched_by_the_address(self, client, query, found):
        answer = client.get(f"{PATH}?{query}")
        assert answer.status_code == 200
        assert names(answer) == found
        if query:
            assert f"{len(found)} of 2 workflows" in answer.text
        if query and not found:
            assert "Show all 2 workflows" in answer.text

    def test_each_tells_how_it_went_last_and_leads_to_its_launch(self, service, client):
        last = service.add_execution(workflow_id="mesh")
        service.add_execution("bob", workflow_id="mesh")
        service.record(last, Observation(ExecutionStatus.FAILED, cursor=None))
        text = client.get(PATH).text
        assert f'href="/ui/executions/{last.id}"' in text
        assert "Failed" in text.partition("Mesh and solve")[2].partition("</tr>")[0]
        assert "never run by you" in text.partition("Ramp load")[2].partition("</tr>")[0]
        assert 'href="/ui/workflows/mesh"' in text

    def test_definitions_are_for_developers(self, make_service, write_workflow):
        guarded = make_service(api__auth=users())
        write_workflow(f"id: mesh\n{STEPS}")
        write_workflow("id: bad\nsteps: what\n", "bad.yaml")
        ada, dev = ask(guarded, "ada", PATH).text, ask(guarded, "dev", PATH).text
        for text in ("/ui/definitions", "with faults", "bad.yaml"):
            assert text not in ada
            assert text in dev

    def test_a_silent_orchestrator_is_named_with_the_moment(self, service, client):
        far(service, "old", stale=True)
        text = client.get(PATH).text
        assert re.search(r"a4c fell silent <time[^>]*>just now</time>:\s+its list may", text)
        assert "may be old<span" in text
        assert names(client.get(f"{PATH}?stale=yes")) == ["old"]
        far(service, silent=True)
        assert "its workflows are missing here" in client.get(PATH).text
        far(service, "old")
        assert "silent" not in client.get(PATH).text

    def test_the_same_id_on_two_orchestrators_is_launched_where_it_stands(self, service, client):
        far(service, "mesh")
        text = client.get(PATH).text
        assert 'href="/ui/workflows/mesh?orchestrator=a4c"' in text
        assert 'href="/ui/workflows/mesh?orchestrator=local"' in text
        assert 'href="/ui/workflows/ramp"' in text

    def test_a_definition_that_became_faulty_is_no_silence(self, client, write_workflow):
        client.get(PATH)
        write_workflow("id: ramp\nsteps: what\n", "ramp.yaml")
        text = client.get(PATH).text
        assert "its definition has faults by now" in text
        assert "silent" not in text
        assert "1 definition with faults" in text


def test_where_nothing_answers_it_says_so_and_offers_to_try_again(service, client):
    service.services.workflows._orchestrators.clear()
    far(service, silent=True)
    answer = client.get(PATH)
    assert answer.status_code == 200
    assert "No workflow can be listed now: a4c does not answer." in answer.text
    assert "nothing to launch" not in answer.text


def test_where_there_is_none_it_says_what_comes_next(client):
    text = client.get(PATH).text
    assert "There is nothing to launch yet" in text
    assert text.count("Upload a definition") == 2


def test_whatever_is_shown_is_escaped(service, client):
    far(service, HOSTILE)
    assert escaped(client.get(PATH))
    assert escaped(client.get(PATH, query_string={"q": HOSTILE, "orchestrator": HOSTILE}))


def test_1500_are_listed_page_by_page(service, client):
    far(service, *(f"flow {n:04}" for n in range(1500)))
    first = client.get(PATH)
    assert "1,500 workflows, 1\N{EN DASH}50 shown" in first.text
    assert len(names(first)) == 50
    assert f'href="{PATH}?page=2"' in first.text
    last = client.get(f"{PATH}?page=999999&q=flow")
    assert names(last)[-1] == "flow 1499"
    assert f'href="{PATH}?q=flow&amp;page=29"' in last.text
    assert "1,451\N{EN DASH}1,500 shown" in last.text
    assert len(names(client.get(f"{PATH}?page=rubbish"))) == 50
