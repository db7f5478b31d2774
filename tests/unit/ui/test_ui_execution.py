"""The page of one execution: what it shows of each state, and what its forms ask for."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from service_kit import PASSWORDS, Service, basic, open_service, users

from app.domain import (
    ExecutionStatus,
    Level,
    LogStream,
    NewLogEntry,
    Observation,
    Task,
    TaskStatus,
)
from app.ui._one_execution import ROWS, steps_of
from app.ui._values import LONGEST, MOST, shown_values
from app.ui.comparison import Row, beside

BEGAN = datetime.now(UTC) - timedelta(minutes=5)
FLOW = """id: flow
inputs: {cells: {type: integer, default: 1}}
steps:
  - {id: first, type: script, config: {script: exit 2}}
  - {id: second, type: script, needs: [first], config: {script: 'true'}}
"""
HARM = "<script>alert('x')</script>"
RUNNING, SUCCESS = ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS


@pytest.fixture
def service(tmp_path: Any) -> Any:
    made = open_service(tmp_path, api__auth=users())
    yield made
    made.close()


def ask(service: Service, path: str, who: str = "ada", **form: str) -> Any:
    method = "POST" if form or path.rpartition("/")[2] in {"cancel", "pause"} else "GET"
    headers = basic(who, PASSWORDS[who])
    return service.client.open(f"/ui/executions/{path}", method=method, headers=headers, data=form)


def see(service: Service, id_: str, status: ExecutionStatus, *tasks: Task, **more: Any) -> None:
    service.record(service.store.get(id_), Observation(status, None, tasks=tasks, **more))


def fail(service: Service, id_: str, said: str = "no licence") -> None:
    at = int(BEGAN.timestamp() * 1000)
    see(
        service, id_, ExecutionStatus.FAILED,
        Task("first", TaskStatus.FAILED, BEGAN, BEGAN + timedelta(seconds=9), 137, 2, "n14"),
        Task("second", TaskStatus.SKIPPED),
        error="Task 'first' failed",
        entries=(
            NewLogEntry(Level.INFO, at, "begins", "first", stream=LogStream.STDOUT),
            NewLogEntry(Level.ERROR, at + 1, said, "first", stream=LogStream.STDERR),
        ),
        log_complete=True,
    )  # fmt: skip


def test_the_digest_stands_before_the_views_and_leads_to_the_line(service):
    id_ = service.add_execution("ada").id
    fail(service, id_)
    text = ask(service, id_).text
    assert "exit 137, SIGKILL: killed" in text
    assert "attempt 2, on node n14" in re.sub(r"\s+", " ", text)
    assert re.search(rf'href="/ui/executions/{id_}/log#L\d+".*no licence', text)
    assert text.index("no licence") < text.index('class="tabs"')
    assert "Retry from first" in text
    assert "Failed</span><span" in text
    assert "exit 137</span>" in text


def test_a_retry_of_several_failed_steps_names_none_of_them(service):
    id_ = service.add_execution("ada", steps=["first", "second"]).id
    both = (Task(name, TaskStatus.FAILED, BEGAN, BEGAN, 1, 1) for name in ("first", "second"))
    see(service, id_, ExecutionStatus.FAILED, *both, error="failed", log_complete=True)
    assert "Retry 2 failed steps" in ask(service, id_).text


def test_nothing_that_is_shown_is_markup(service):
    id_ = service.add_execution("ada", inputs={HARM: HARM}, steps=[HARM], workflow_name=HARM).id
    see(
        service, id_, ExecutionStatus.FAILED,
        Task(HARM, TaskStatus.FAILED, BEGAN, BEGAN, 1, 1, HARM, error=HARM, title=HARM),
        error=HARM, outputs={HARM: HARM},
        entries=(NewLogEntry(Level.ERROR, 1, HARM, HARM, stream=LogStream.STDERR),),
    )  # fmt: skip
    for query in ("", "?view=inputs", "?view=outputs", f"?step={HARM}", "?view=graph"):
        answer = ask(service, id_ + query)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
    other = service.add_execution("ada", inputs={HARM: "1"}, steps=[HARM]).id
    assert "<script>alert" not in ask(service, f"{id_}/compare/{other}").text


def test_a_stranger_sees_none_and_an_operator_sees_it(service):
    id_ = service.add_execution("ada").id
    see(service, id_, RUNNING)
    assert ask(service, id_, "bob").status_code == 404
    assert ask(service, f"{id_}/cancel", "bob", x="").status_code == 404
    page = ask(service, id_, "ops")
    assert page.status_code == 200
    assert "Cancel execution" in page.text


def test_what_waits_says_why(service):
    id_ = service.add_execution("ada").id
    waits = {"kind": "queue", "reason": "the partition long, which is full"}
    see(
        service, id_, ExecutionStatus.PENDING,
        Task("first", TaskStatus.PENDING, waits_for=waits),
        Task("second", TaskStatus.PENDING, waits_for={"kind": "tasks", "reason": "first"}),
    )  # fmt: skip
    text = re.sub(r"<[^>]*>|\s+", " ", ask(service, id_).text)
    assert "first waits for the partition long, which is full." in text
    assert "second waits for" not in text


def test_each_button_asks_the_service_and_leads_back(service):
    id_ = service.add_execution("ada").id
    see(service, id_, RUNNING, Task("first", TaskStatus.RUNNING, BEGAN))
    assert "Pause</button>" in ask(service, id_).text
    paused = ask(service, f"{id_}/pause", x="")
    assert (paused.status_code, paused.headers["Location"]) == (303, f"/ui/executions/{id_}")
    assert service.store.get(id_).status is ExecutionStatus.PAUSED
    assert "Resume</button>" in ask(service, id_).text
    assert ask(service, f"{id_}/resume", x="").status_code == 303
    assert service.store.get(id_).status is RUNNING
    again = ask(service, f"{id_}/resume", x="")
    assert (again.status_code, "The execution is not paused." in again.text) == (409, True)
    question = service.client.get(
        f"/ui/executions/{id_}/cancel", headers=basic("ada", PASSWORDS["ada"])
    )
    assert "Keep running" in question.text
    assert ask(service, f"{id_}/cancel").status_code == 303
    assert service.store.get(id_).status is ExecutionStatus.CANCELLING


def test_steps_are_steered_by_those_who_may_only(service):
    id_ = service.add_execution("ada").id
    see(service, id_, RUNNING, Task("first", TaskStatus.RUNNING, BEGAN))
    assert "Restart step" not in ask(service, f"{id_}?step=first").text
    text = ask(service, f"{id_}?step=first", "ops").text
    assert "Restart step</button>" in text
    assert re.search(r"<button disabled[^>]*>Start step", text)
    assert "It runs." in text
    assert ask(service, f"{id_}/steps/stop", step="first").status_code == 403
    assert ask(service, f"{id_}/steps/start", "ops", step="first").status_code == 409
    assert ask(service, f"{id_}/steps/stop", "ops", step="none").status_code == 404
    assert ask(service, f"{id_}/steps/stop", "ops", x="").status_code == 422
    assert ask(service, f"{id_}/steps/stop", "ops", step="first").status_code == 303


def test_a_retry_that_is_sent_twice_is_one(service):
    headers = basic("dev", PASSWORDS["dev"])
    kept = service.client.post(
        "/workflows", data=FLOW, content_type="application/yaml", headers=headers
    )
    assert kept.status_code == 201
    launched = service.client.post(
        "/workflows/flow", json={"inputs": {}}, headers=basic("ada", PASSWORDS["ada"])
    )
    id_ = launched.headers["Location"].rpartition("/")[2]
    fail(service, id_)
    key = re.search(r'retry">.*?name="key" value="([^"]+)"', ask(service, id_).text, re.DOTALL)
    assert key is not None
    answers = [ask(service, f"{id_}/retry", key=key[1]) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {303}
    (new,) = {answer.headers["Location"] for answer in answers}
    assert new != f"/ui/executions/{id_}"
    text = ask(service, id_).text
    assert f'It goes on in <a href="{new}">' in text
    assert re.search(r"<button[^>]* disabled[^>]*>Retry from first", text)
    assert "Goes on from" in ask(service, new.rpartition("/")[2]).text


def test_purging_leads_to_the_list(service):
    id_ = service.add_execution("ada").id
    fail(service, id_)
    done = ask(service, f"{id_}/purge", x="")
    assert (done.status_code, done.headers["Location"]) == (303, "/ui/executions")
    assert ask(service, id_).status_code == 410


def test_the_audit_names_the_execution_as_the_api_does(service):
    id_ = service.add_execution("ada").id
    see(service, id_, RUNNING)
    ask(service, f"{id_}/cancel")
    ask(service, f"{id_}/resume", x="")
    service.services.audit.flush()
    found = service.client.get(
        f"/audit?target=/executions/{id_}", headers=basic("root", PASSWORDS["root"])
    )
    told = {(e["action"], e["target"], e["result"]) for e in found.json["events"]}
    assert told == {
        ("executions:cancel", f"/executions/{id_}/cancel", "success"),
        ("executions:steer", f"/executions/{id_}/resume", "refused"),
    }


def test_abandoning_is_for_operators_where_something_is_stuck(service):
    id_ = service.add_execution("ada").id
    see(service, id_, RUNNING)
    assert "Abandon" not in ask(service, id_, "ops").text
    ask(service, f"{id_}/cancel")
    assert "Abandon…" in ask(service, id_, "ops").text
    assert "Abandon…" not in ask(service, id_).text
    assert ask(service, f"{id_}/abandon", x="").status_code == 403
    assert ask(service, f"{id_}/abandon", "ops", x="").status_code == 303


def test_a_number_of_users_that_is_none_is_said_beside_the_field(service):
    id_ = service.add_execution("ada").id
    see(service, id_, RUNNING)
    for text in ("", "-1", "many", "1" * 40, "\N{ARABIC-INDIC DIGIT ONE}"):
        answer = ask(service, f"{id_}/scale", target_vus=text)
        assert answer.status_code == 422
        assert "Must be a whole number, 0 or more" in answer.text
    assert ask(service, f"{id_}/scale", target_vus="3").status_code == 501


def test_the_table_of_steps_has_pages_and_leaves_out_what_is_done():
    tasks = [
        Task(f"t{n}", TaskStatus.SUCCESS if n % 2 else TaskStatus.PENDING) for n in range(3 * ROWS)
    ]
    first = steps_of(tasks, page=1, hides_done=False)
    assert (len(first.rows), first.pages, first.counts["SUCCESS"]) == (ROWS, 3, 150)
    assert steps_of(tasks, page=99, hides_done=False).page == 3
    hidden = steps_of(tasks, page=2, hides_done=True)
    assert (hidden.total, hidden.pages, len(hidden.rows)) == (150, 2, 50)
    assert steps_of([], page=1, hides_done=True).pages == 1


def test_values_are_bounded_and_secrets_folded():
    shown = shown_values({"text": "x" * (LONGEST + 1), "list": [1], "password": "p", "no": None})
    text, numbers, password, nothing = shown.values
    assert (text.is_cut, len(text.text), text.is_long) == (True, LONGEST, True)
    assert (numbers.kind, numbers.is_long) == ("list, 1 items", False)
    assert (password.is_secret, password.is_long) == (True, True)
    assert nothing.text == "null"
    assert shown_values({str(n): n for n in range(MOST + 3)}).left == 3


def test_lines_that_were_replaced_stand_beside_those_that_came():
    lines = ["--- a", "+++ b", "@@ -1,4 +1,4 @@", " one", "-two", "-three", "+TWO", " four"]
    assert [*beside(lines)] == [
        Row("place", "@@ -1,4 +1,4 @@", "@@ -1,4 +1,4 @@"),
        Row("same", "one", "one"),
        Row("changed", "two", "TWO"),
        Row("changed", "three", None),
        Row("same", "four", "four"),
    ]
    assert [*beside(["-a", "+b", "-c"])] == [Row("changed", "a", "b"), Row("changed", "c", None)]
    assert [*beside(["-a", "-b", "+c"])][1] == Row("changed", "b", None)


def test_two_are_compared_side_by_side_or_unified(service):
    headers = basic("dev", PASSWORDS["dev"])
    ids = []
    for text in (FLOW, FLOW.replace("exit 2", "exit 3")):
        kept = service.client.put(
            "/workflows/flow", data=text, content_type="application/yaml", headers=headers
        )
        assert kept.status_code in {200, 201}, kept.json
        made = service.client.post("/workflows/flow", json={"inputs": {}}, headers=headers)
        ids.append(made.headers["Location"].rpartition("/")[2])
    address = f"{ids[1]}/compare/{ids[0]}"
    text = ask(service, address, "dev").text
    assert 'class="gone"' in text
    assert 'class="come"' in text
    assert "the definition" in text
    unified = ask(service, f"{address}?form=unified", "dev").text
    assert "+  - {id: first" in unified
    assert re.search(r'class="place">--- .*\n</span><span class="place">\+\+\+ ', unified)
    assert ask(service, address, "bob").status_code == 404
