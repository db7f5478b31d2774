"""The page that launches a workflow, as any browser gets it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from admin_kit import ask
from flask.testing import FlaskClient
from service_kit import PASSWORDS, Service, basic, open_service

from app.domain import AuditFilter, ExecutionFilter, ExecutionStatus, Observation

FLOW = {
    "id": "flow",
    "description": "<b>bold</b>",
    "inputs": {
        "n": {"type": "integer", "required": True, "minimum": 1, "maximum": 9},
        "kind": {"type": "string", "enum": ["<i>", "b"], "default": "b"},
        "rows": {"type": "array", "default": []},
        "note": {"type": "string", "description": "<script>alert(1)</script>", "required": False},
        "my_token": {"type": "string", "required": False},
    },
    "steps": [{"id": "say", "type": "script", "config": {"script": "true"}}],
}
PAGE = "/ui/workflows/flow"
FIELD = re.compile(r'<input type="hidden" name="key" value="([^"]+)"')


@pytest.fixture
def flow(opened: Service) -> Service:
    """A service with a workflow."""
    assert opened.client.post("/workflows", json=FLOW).status_code == 201
    return opened


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Make services with another orchestrator behind."""
    made: list[Service] = []

    def make(fake: str | None = None, **settings: Any) -> Service:
        made.append(open_service(tmp_path, fake, **settings))
        return made[-1]

    yield make
    for service in made:
        service.close()


def key_of(client: FlaskClient, path: str = PAGE) -> str:
    found = FIELD.search(client.get(path).text)
    assert found
    return found[1]


def send(client: FlaskClient, path: str = PAGE, **fields: str) -> Any:
    given = {f"input:{name}" if name in FLOW["inputs"] else name: text  # type: ignore[operator]
             for name, text in fields.items()}  # fmt: skip
    return client.post(path, data={"key": key_of(client, path), **given})


def launched(service: Service) -> list[Any]:
    found, _ = service.store.find(ExecutionFilter())
    return [service.store.get(each.id) for each in found]


def test_what_is_sent_is_launched_and_its_page_follows(flow: Service) -> None:
    answer = send(flow.client, n="7", rows='["a"]', name="night 4", labels="a=1\n\nb = x=y ")
    (execution,) = launched(flow)
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        f"/ui/executions/{execution.id}",
    )
    assert execution.inputs == {"n": 7, "kind": "b", "rows": ["a"]}
    assert (execution.name, execution.labels) == ("night 4", {"a": "1", "b": "x=y"})


def test_what_is_sent_twice_is_launched_once(flow: Service) -> None:
    client = flow.client
    fields = {"key": key_of(client), "input:n": "7"}
    first, second = (client.post(PAGE, data=fields) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert "not launched once more" in client.get("/ui/account").text
    assert len(launched(flow)) == 1


def test_what_is_changed_and_sent_again_is_another_launch(flow: Service) -> None:
    client = flow.client
    key = key_of(client)
    for number in ("7", "8", "7"):
        assert client.post(PAGE, data={"key": key, "input:n": number}).status_code == 303
    assert sorted(each.inputs["n"] for each in launched(flow)) == [7, 8]


def test_faults_stand_beside_their_fields_and_what_was_typed_stays(flow: Service) -> None:
    typed = {"n": "12", "rows": "[1,\n}", "note": "kept </textarea>", "labels": "nothing"}
    answer = send(flow.client, **typed)
    text = answer.text
    assert answer.status_code == 422
    assert launched(flow) == []
    assert "3 fields need a look" in text
    assert '<a href="#input-1">n</a>' in text
    assert '<ul class="faults" id="input-1-faults"><li>Must be at most 9</li>' in text
    assert "<li>Line 2, column 1: a value was expected</li>" in text
    assert "<li>Line 1 must be key=value</li>" in text
    assert 'value="12"' in text
    assert "kept &lt;/textarea&gt;" in text


def test_a_name_is_judged_with_the_rest(flow: Service) -> None:
    text = send(flow.client, n="x", name=" begins with a space", labels="-=1").text
    assert "Must be a whole number" in text
    assert 'id="field-name-faults"' in text
    assert "-: the key must have" in html.unescape(text)


def test_a_form_without_its_key_is_shown_again(flow: Service) -> None:
    answer = flow.client.post(PAGE, data={"input:n": "7"})
    assert (answer.status_code, launched(flow)) == (422, [])
    assert "Nothing was launched; send it again" in answer.text
    assert FIELD.search(answer.text)


def test_what_an_earlier_run_had_is_filled_in(flow: Service) -> None:
    client = flow.client
    send(client, n="7", kind='"<i>"', rows="[1]", note="text\r\nof two", my_token="hush-hush-1",
         name="first", labels="a=1")  # fmt: skip
    (execution,) = launched(flow)
    assert execution.inputs["my_token"] == "hush-hush-1"
    text = client.get(f"{PAGE}?like={execution.id}").text
    assert "hush-hush" not in text
    assert "Not copied, since they are secret: my_token." in text
    assert 'value="7"' in text
    assert "text\nof two</textarea>" in text
    assert "a=1</textarea>" in text
    again = {
        "key": key_of(client), "like": execution.id, "input:n": "7", "input:kind": '"<i>"',
        "input:rows": "[1]", "input:note": "text\r\nof two",
    }  # fmt: skip
    assert client.post(PAGE, data=again).status_code == 303
    newest = launched(flow)[0]
    assert newest.inputs == {k: v for k, v in execution.inputs.items() if k != "my_token"}
    changed = client.post(PAGE, data={**again, "input:n": "99"}).text
    assert f"Changed: {execution.id[:8]} had <code>7</code>" in changed


def test_inputs_that_are_gone_are_left_out_and_named(flow: Service) -> None:
    send(flow.client, n="7")
    (execution,) = launched(flow)
    less = {**FLOW, "inputs": {"rows": FLOW["inputs"]["rows"]}}  # type: ignore[index]
    assert flow.client.put("/workflows/flow", json=less).status_code == 200
    text = flow.client.get(f"{PAGE}?like={execution.id}").text
    assert "does not take them any more: n, kind." in text


@pytest.mark.parametrize("like", ["nothing", "00000000-0000-4000-8000-000000000000", "<x>"])
def test_a_run_that_is_none_is_told(flow: Service, like: str) -> None:
    answer = flow.client.get(PAGE, query_string={"like": like})
    assert answer.status_code == 200
    assert f"The inputs of {html.escape(like)} cannot be copied" in answer.text


def test_a_run_of_another_workflow_is_told(flow: Service) -> None:
    other = flow.add_execution(workflow_id="other")
    assert "ran another workflow" in flow.client.get(f"{PAGE}?like={other.id}").text


def test_who_names_a_run_of_somebody_else_is_recorded(guarded: Service) -> None:
    headers = basic("dev", PASSWORDS["dev"])
    assert guarded.client.post("/workflows", json=FLOW, headers=headers).status_code == 201
    theirs = guarded.add_execution("bob")
    answer = ask(guarded, "ada", f"/ui/workflows/flow?like={theirs.id}")
    assert f"The inputs of {theirs.id} cannot be copied" in answer.text
    guarded.services.audit.flush()
    found, _ = guarded.services.audit.find(AuditFilter(target=f"/executions/{theirs.id}"), None, 9)
    [told] = [each.event for each in found]
    assert (told.action, told.result, told.username) == ("executions:read", "denied", "ada")


def test_a_secret_is_in_no_answer(flow: Service) -> None:
    answer = send(flow.client, n="12", my_token="hush-hush-2")
    assert "hush-hush" not in answer.text
    assert "Type it once more" in answer.text
    fields = {"input:n": "7", "input:my_token": "hush-hush-3"}
    written = flow.client.post(f"{PAGE}/commands", data=fields).text
    assert "hush-hush" not in written
    assert "$MY_TOKEN" in html.unescape(written)


def test_commands_follow_what_the_form_holds(flow: Service) -> None:
    fields = {"input:n": "7", "input:rows": "[1, 2]", "labels": "a=1"}
    answer = flow.client.post(f"{PAGE}/commands", data=fields)
    written = html.unescape(answer.text)
    assert "slipway run flow \\\n  -i n=7 \\\n  -i 'rows=[1, 2]' \\\n  --label a=1" in written
    assert '-d \'{"inputs": {"n": 7, "rows": [1, 2]}, "labels": {"a": "1"}}\'' in written
    assert launched(flow) == []


def test_commands_leave_out_what_is_wrong(flow: Service) -> None:
    fields = {"input:n": "70", "input:rows": "[1]"}
    written = html.unescape(flow.client.post(f"{PAGE}/commands", data=fields).text)
    assert "What needs a look is left out" in written
    assert "n=70" not in written
    assert "rows=[1]" in written


def test_texts_of_others_are_texts(flow: Service) -> None:
    text = flow.client.get(PAGE).text
    assert "<b>bold</b>" not in text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "<span>&lt;i&gt;</span>" in text


def test_what_is_not_there_is_said(flow: Service) -> None:
    for answer in (flow.client.get("/ui/workflows/<none>"), send(flow.client, n="7")):
        if answer.status_code != 303:
            assert answer.status_code == 404
            assert "There is no workflow “&lt;none&gt;”" in answer.text
    assert flow.client.get(PAGE, query_string={"orchestrator": "no"}).status_code == 404


@pytest.mark.parametrize("fake", ["Unreachable", "Silent", "Garbling"])
def test_an_upstream_that_is_down_is_said(behind: Callable[..., Service], fake: str) -> None:
    service = behind(fake)
    answer = service.client.get("/ui/workflows/remote")
    assert answer.status_code in (502, 503, 504)
    assert "remote cannot be asked about" in answer.text
    assert "Try again" in answer.text
    kept = {"key": "k" * 32, "input:n": '"7"', "input:a_password": "hush"}
    answer = service.client.post("/ui/workflows/remote", data=kept)
    assert answer.status_code in (502, 503, 504)
    assert '<input type="hidden" name="input:n" value="&#34;7&#34;">' in answer.text
    assert "hush" not in answer.text


@pytest.mark.parametrize(("fake", "status"), [("Refusing", 502), ("UnreachableAtLaunch", 503)])
def test_a_launch_that_is_refused_keeps_the_form(
    behind: Callable[..., Service], fake: str, status: int
) -> None:
    client = behind(fake).client
    key = key_of(client, "/ui/workflows/remote")
    answer = client.post("/ui/workflows/remote", data={"key": key, "name": "kept"})
    assert answer.status_code == status
    assert "Nothing was launched." in answer.text
    assert 'value="kept"' in answer.text


def test_a_name_of_two_workflows_is_asked_about(behind: Callable[..., Service]) -> None:
    fake = "fakes.orchestrators:ObedientOrchestrator"
    both = [{"name": name, "type": fake} for name in ("one", "two")]
    client = behind(orchestrators=both).client
    answer = client.get("/ui/workflows/remote")
    assert answer.status_code == 409
    assert 'href="/ui/workflows/remote?orchestrator=two"' in answer.text
    page = client.get("/ui/workflows/remote?orchestrator=two")
    assert page.status_code == 200
    assert 'action="/ui/workflows/remote?orchestrator=two"' in page.text


def test_an_execution_leads_to_the_form_that_launches_it_again(flow: Service) -> None:
    send(flow.client, n="7")
    (execution,) = launched(flow)
    flow.record(execution, Observation(ExecutionStatus.SUCCESS, cursor=None, log_complete=True))
    text = flow.client.get(f"/ui/executions/{execution.id}").text
    assert f'href="{PAGE}?like={execution.id}"' in text
