"""``/ui/executions``: lists, filters, and cancelling several at once."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from admin_kit import HOSTILE, ask, assert_led, escaped
from service_kit import Service
from sqlalchemy import event, update

from app.domain import (
    LAST_LINES,
    AuditFilter,
    DesiredState,
    ExecutionStatus,
    Observation,
    Task,
    TaskStatus,
)
from app.errors import Conflict
from app.store.execution_rows import now
from app.store.schema import executions as table

PATH = "/ui/executions"
RUNNING, SUCCESS, FAILED = ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS, ExecutionStatus.FAILED


def see(service: Service, execution, status=RUNNING, **more):
    service.record(execution, Observation(status, **{"cursor": None, **more}))


def ids(answer) -> list[str]:
    return re.findall(r'<tr id="row-([^"]+)"', answer.text)


def words(answer, id_: str) -> str:
    """What the row of an execution says."""
    row = answer.text.partition(f'id="row-{id_}"')[2].partition("</tr>")[0]
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", row)))


def live(answer) -> Any:
    return json.loads(html.unescape(re.search(r'data-live="([^"]*)"', answer.text)[1]))


class TestRows:
    def test_a_row_says_how_it_stands_and_what_it_does(self, service, client):
        execution = service.add_execution(name="night 4", labels={"grid": "fine"})
        solve = Task("second", TaskStatus.RUNNING)
        see(service, execution, tasks=(solve,), progress=0.637, started_at=now())
        said = words(client.get(PATH), execution.id)
        for text in (
            "Running 63 %",
            "Flow",
            execution.id[:8],
            "night 4",
            "grid=fine",
            "now: second",
        ):
            assert text in said

    def test_of_a_failed_one_why(self, service, client):
        execution = service.add_execution()
        error = f"exit code 2 after 3s{LAST_LINES}no licence for 64 cores"
        mesh = Task("first", TaskStatus.FAILED, exit_code=2, error=error)
        see(service, execution, FAILED, tasks=(mesh,), error=f"Task 'first' failed: {error}")
        said = words(client.get(PATH), execution.id)
        assert "Failed exit 2" in said
        assert "first: no licence for 64 cores" in said

    def test_of_a_waiting_one_for_what(self, service, client):
        execution = service.add_execution(needs={"second": ["first"]})
        waits = {"kind": "queue", "reason": "the partition is full"}
        first = Task("first", TaskStatus.PENDING, waits_for=waits)
        see(service, execution, ExecutionStatus.PENDING, tasks=(first,))
        assert "Waiting the partition is full" in words(client.get(PATH), execution.id)

    def test_what_is_not_live_says_since_when(self, service, client):
        execution = service.add_execution()
        see(service, execution)
        old = update(table).values(as_of=now() - timedelta(hours=1), touched=10**9)
        service.web.database.write(lambda c: c.execute(old))
        assert "not live since" in words(client.get(PATH), execution.id)

    def test_whatever_is_shown_is_escaped(self, service, client):
        execution = service.add_execution(
            workflow_name=HOSTILE, name=HOSTILE, labels={"k": HOSTILE}, steps=[HOSTILE]
        )
        failed = Task(HOSTILE, TaskStatus.FAILED, error=HOSTILE)
        see(service, execution, FAILED, tasks=(failed,), error=HOSTILE)
        assert escaped(client.get(PATH))
        assert escaped(client.get(PATH, query_string={"workflow": HOSTILE}))
        assert escaped(client.get(PATH, query_string={"since": HOSTILE, "label": HOSTILE}))

    def test_a_page_takes_a_bounded_number_of_statements(self, service, client):
        for _ in range(30):
            see(service, service.add_execution(), tasks=(Task("first", TaskStatus.RUNNING),))
        client.get(PATH)
        sent = []
        note = lambda *given: sent.append(given[2])  # noqa: E731
        reader = service.web.database._reader
        event.listen(reader, "before_cursor_execute", note)
        client.get(f"{PATH}?state=RUNNING")
        event.remove(reader, "before_cursor_execute", note)
        told = [text for text in sent if "executions" in text or "tasks" in text]
        assert len(told) <= 9, told


class TestFilters:
    @pytest.fixture
    def some(self, service) -> dict[str, str]:
        made = {
            "run": service.add_execution(labels={"grid": "fine"}),
            "failed": service.add_execution(name="night 4", workflow_id="other"),
            "bobs": service.add_execution("bob"),
        }
        see(service, made["run"])
        see(service, made["failed"], FAILED)
        return {name: execution.id for name, execution in made.items()}

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("", ["failed", "run"]),
            ("state=&workflow=&q=", ["failed", "run"]),
            ("whose=all", ["bobs", "failed", "run"]),
            ("owner=bob", ["bobs"]),
            ("state=open", ["run"]),
            ("state=ended", ["failed"]),
            ("state=FAILED&state=RUNNING", ["failed", "run"]),
            ("state=PAUSED", []),
            ("workflow=other", ["failed"]),
            ("workflow=Flow", ["failed", "run"]),
            ("label=grid%3Dfine", ["run"]),
            ("label=grid&label=run", []),
            ("q=night+4", ["failed"]),
            ("q=night", []),
            ("since=1h", ["failed", "run"]),
            ("order=oldest", ["run", "failed"]),
        ],
    )
    def test_they_stand_in_the_address(self, client, some, query, names):
        answer = client.get(f"{PATH}?{query}")
        assert answer.status_code == 200
        assert ids(answer) == [some[name] for name in names]

    def test_by_how_an_id_begins(self, client, some):
        assert ids(client.get(f"{PATH}?q={some['run'][:13]}")) == [some["run"]]

    @pytest.mark.parametrize(
        ("query", "field", "words"),
        [
            ("since=soon", "since", "Must be a moment"),
            ("label=%21", "label", "Must be a label"),
            ("state=GONE", "state", "Must be one of"),
            ("order=sideways", "order", "Must be one of"),
            (f"q={'x' * 3000}", "q", "Must have at most"),
        ],
    )
    def test_one_that_cannot_be_used_is_told_beside_its_field(
        self, client, some, query, field, words
    ):
        answer = client.get(f"{PATH}?{query}")
        assert answer.status_code == 422
        assert ids(answer) == []
        faults = answer.text.partition(f'id="filter-{field}-faults"')[2]
        assert words in faults[:300]

    @pytest.mark.parametrize("number", ["0", "-3", "x", "9" * 20])
    def test_a_page_that_there_cannot_be_leads_to_the_first(self, client, some, number):
        answer = client.get(f"{PATH}?state=ended&page={number}")
        assert answer.status_code == 422
        assert f"there is no page “{number}”" in answer.text
        assert f'href="{PATH}?state=ended">First page' in answer.text

    def test_an_empty_list_says_which_filter_empties_it(self, client, some):
        text = client.get(f"{PATH}?workflow=none&label=a%3Db").text
        assert "Workflow “none”, Label “a=b”" in text
        assert "Clear filters" in text

    def test_nothing_runs_but_some_ended(self, service, client):
        see(service, service.add_execution(), SUCCESS, finished_at=now(), log_complete=True)
        assert "1 of yours ended within a day" in client.get(f"{PATH}?state=open").text
        assert "You have launched nothing yet" not in client.get(PATH).text

    def test_pages_keep_the_filters(self, service, client):
        for _ in range(53):
            service.add_execution(workflow_id="many")
        first = client.get(f"{PATH}?workflow=many")
        assert "The first 50 of 53 executions" in first.text
        assert f'href="{PATH}?workflow=many&amp;page=2"' in first.text
        second = client.get(f"{PATH}?workflow=many&page=2")
        assert len(ids(second)) == 3
        assert "51\N{EN DASH}53 of 53 executions" in second.text
        assert f'href="{PATH}?workflow=many"' in second.text
        assert live(first)["takesNew"]
        assert not live(second)["takesNew"]
        assert "The list ends before this page" in client.get(f"{PATH}?workflow=many&page=9").text

    def test_what_a_script_must_know_of_them(self, client, some):
        told = live(client.get(f"{PATH}?workflow=flow&label=grid&state=RUNNING&since=1d&q=x"))
        assert told["after"] > told["since"]
        del told["after"], told["since"]
        assert told == {
            "owners": ["anonymous"], "states": ["RUNNING"], "workflow": "flow", "called": "x",
            "labels": [["grid", None]], "takesNew": True,
        }  # fmt: skip


class TestWhose:
    def test_users_see_their_own_and_no_choice(self, guarded):
        mine, theirs = guarded.add_execution("ada"), guarded.add_execution("bob")
        for query in ("", "?whose=all", "?owner=bob"):
            answer = ask(guarded, "ada", f"{PATH}{query}")
            assert ids(answer) == [mine.id]
            assert "everybody" not in answer.text
            assert theirs.id not in answer.text

    def test_operators_see_their_own_until_they_ask_for_all(self, guarded):
        mine, theirs = guarded.add_execution("ops"), guarded.add_execution("ada")
        assert ids(ask(guarded, "ops", PATH)) == [mine.id]
        everybody = ask(guarded, "ops", f"{PATH}?whose=all")
        assert ids(everybody) == [theirs.id, mine.id]
        assert "ada" in words(everybody, theirs.id)

    def test_what_somebody_left_running(self, service, client):
        assert "You left" not in client.get(PATH).text
        first = service.add_execution()
        for _ in range(2):
            service.add_execution()
        service.add_execution("bob")
        old = now() - timedelta(days=2, hours=3, minutes=1)
        change = update(table).where(table.c.id == first.id).values(created_at=old)
        service.web.database.write(lambda c: c.execute(change))
        service.steered.desire(service.add_execution(), DesiredState.RUN)
        text = client.get(PATH).text
        assert "You left 4 running; the oldest for 2 d 3 h" in text
        shown = client.get(f"{PATH}?state=open&order=oldest")
        assert ids(shown)[0] == first.id
        assert "You left" not in shown.text


class TestCancel:
    def test_the_page_before_counts_what_can_be_cancelled_and_says_why_not(self, service, client):
        able, ended = service.add_execution(), service.add_execution()
        see(service, ended, SUCCESS)
        sent = {"id": [able.id, ended.id, "nothing"], "back": "workflow=flow"}
        answer = client.post(f"{PATH}/cancel", data=sent)
        assert "Cancel 1 execution?" in answer.text
        assert "2 cannot be cancelled" in answer.text
        assert "has ended" in answer.text
        assert "there is no such execution any more" in answer.text
        assert f'href="{PATH}?workflow=flow">Keep running' in answer.text
        assert service.store.get(able.id).status is ExecutionStatus.PENDING

    def test_once_confirmed_each_is_cancelled(self, service, client):
        some = [service.add_execution() for _ in range(2)]
        sent = {"id": [each.id for each in some], "back": "state=open&page=2", "confirmed": "yes"}
        answer = client.post(f"{PATH}/cancel", data=sent)
        assert_led(answer, f"{PATH}?state=open&page=2")
        assert {service.store.get(e.id).status for e in some} == {ExecutionStatus.CANCELLING}
        assert "2 executions are being cancelled" in client.get(PATH).text

    def test_nothing_ticked(self, client):
        assert_led(client.post(f"{PATH}/cancel", data={}), PATH)
        assert "Nothing was ticked" in client.get(PATH).text

    def test_what_failed_stays_ticked_with_the_reason(self, make_service):
        service = make_service(fake="Pausing")
        client = service.client
        good, bad = service.add_execution(), service.add_execution(orchestrator="gone")
        service.services.workflows._orchestrators["gone"] = None  # known, but nothing is behind it
        real = service.services.steering.cancel

        def cancel(id_, identity):
            if id_ == bad.id:
                raise Conflict("It refuses.")
            real(id_, identity)

        service.services.steering.cancel = cancel
        sent = {"id": [good.id, bad.id], "confirmed": "yes"}
        answer = client.post(f"{PATH}/cancel", data=sent)
        assert answer.status_code == 200
        assert "1 of 2 was not cancelled" in answer.text
        assert "It refuses" in answer.text
        assert re.findall(r'name="id" value="([^"]*)" checked', answer.text) == [bad.id]

    def test_each_is_audited_by_its_own_address(self, guarded):
        some = [guarded.add_execution("ada").id for _ in range(2)]
        ask(guarded, "ada", f"{PATH}/cancel", {"id": some, "confirmed": "yes"})
        guarded.services.audit.flush()
        found, _ = guarded.services.audit.find(AuditFilter(action="executions:cancel"), None, 10)
        assert sorted(e.event.target for e in found) == sorted(f"/executions/{i}" for i in some)
        assert {e.event.result for e in found} == {"success"}

    def test_nobody_cancels_what_others_have(self, guarded):
        theirs = guarded.add_execution("bob")
        answer = ask(guarded, "ada", f"{PATH}/cancel", {"id": theirs.id, "confirmed": "yes"})
        assert_led(answer, PATH)
        assert guarded.store.get(theirs.id).status is ExecutionStatus.PENDING

    def test_who_ticks_what_others_have_is_recorded(self, guarded):
        theirs, mine = guarded.add_execution("bob"), guarded.add_execution("ada")
        ask(guarded, "ada", f"{PATH}/cancel", {"id": [theirs.awf_name, "no-such", mine.id]})
        guarded.services.audit.flush()
        found, _ = guarded.services.audit.find(AuditFilter(action="executions:cancel"), None, 10)
        [told] = [each.event for each in found]
        assert (told.target, told.result) == (f"/executions/{theirs.id}", "denied")
        assert (told.username, told.detail) == ("ada", f"POST {PATH}/cancel: not_found")

    @pytest.mark.parametrize("back", ["//evil.example", "page=x", "workflow=%00", "x" * 9000])
    def test_it_leads_back_to_the_list_and_nowhere_else(self, client, back):
        answer = client.post(f"{PATH}/cancel", data={"back": back})
        assert answer.headers["Location"].startswith(PATH)
