"""``GET /executions/<id>/digest``: both forms, and what they promise."""

from __future__ import annotations

import pytest

from app.domain import (
    ExecutionStatus,
    Level,
    LogStream,
    NewLogEntry,
    Observation,
    Task,
    TaskStatus,
)
from app.store.execution_rows import now


def see(service, execution, status=ExecutionStatus.FAILED, **more):
    ends = {"finished_at": now(), "log_complete": True} if status.final else {}
    return service.record(
        execution, Observation(status, **{"cursor": None, "started_at": now(), **ends, **more})
    )


def line(task, text, level=Level.INFO, stream=LogStream.STDOUT):
    return NewLogEntry(level, int(now().timestamp() * 1000), text, task, stream=stream)


def failed(name="first", code=137):
    return Task(name, TaskStatus.FAILED, now(), now(), code, 2, "n1", "exit code 137 after 1s")


@pytest.fixture
def execution(service):
    before = service.add_execution(inputs={"n": 1})
    done = Task("first", TaskStatus.SUCCESS, now(), now(), 0, 1)
    see(service, before, ExecutionStatus.SUCCESS, tasks=(done,))
    made = service.add_execution(inputs={"n": 3})
    entries = (line("", "begun"), line("first", "ERROR: no memory", Level.ERROR))
    see(service, made, tasks=(failed(),), entries=entries)
    return made


class TestJson:
    def test_it_has_the_keys_of_the_contract(self, service, client, execution):
        response = client.get(f"/executions/{execution.id}/digest")
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/json"
        body = response.json
        assert set(body) == {
            "execution", "summary", "duration_seconds", "tasks", "failed", "active", "cancel",
            "last_lines", "log_purged_at",
        }  # fmt: skip
        shown = client.get("/executions").json["executions"][0]
        assert body["execution"] == shown
        assert body["tasks"] == {"PENDING": 1, "FAILED": 1}
        (one,) = body["failed"]
        assert (one["name"], one["exit_code"], one["meaning"]) == ("first", 137, "SIGKILL: killed")
        assert (one["attempts"], one["node"]) == (2, "n1")
        assert (one["first_error"]["index"], one["first_error"]["level"]) == (1, "ERROR")
        assert (
            one["last_lines"]
            == client.get(f"/executions/{execution.id}/logs", query_string={"task": "first"}).json[
                "logs"
            ]
        )
        success = one["last_success"]
        assert success["inputs"] == [{"name": "n", "before": 1, "after": 3}]
        assert success["definition"] == {"changed": False, "before": None, "after": None}
        assert client.get(f"/executions/{success['execution']}").json["status"] == "SUCCESS"

    def test_it_is_the_same_by_name(self, client, execution):
        by_name = client.get(f"/executions/{execution.awf_name}/digest").json
        assert by_name == client.get(f"/executions/{execution.id}/digest").json

    def test_a_value_that_one_side_lacks_is_left_out(self, service, client, execution):
        other = service.add_execution(inputs={"m": 3})
        see(service, other, tasks=(failed(),))
        body = client.get(f"/executions/{other.id}/digest").json
        changes = body["failed"][0]["last_success"]["inputs"]
        assert changes == [{"name": "m", "after": 3}, {"name": "n", "before": 1}]

    def test_a_digest_that_nothing_changed_is_not_sent_again(self, service, client):
        execution = service.add_execution()
        path = f"/executions/{execution.id}/digest"
        seen = {"tasks": (failed(),), "started_at": now()}
        see(service, execution, ExecutionStatus.RUNNING, **seen)
        tag = client.get(path).headers["ETag"]
        see(service, execution, ExecutionStatus.RUNNING, **seen)  # as of later
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
        see(service, execution)
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 200


class TestText:
    @staticmethod
    def text(client, execution):
        response = client.get(
            f"/executions/{execution.id}/digest", headers={"Accept": "text/plain"}
        )
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert response.headers["Vary"] == "Accept"
        return response.text

    def test_it_says_what_a_person_wants_to_know(self, client, execution):
        text = self.text(client, execution)
        head, summary, *_ = text.splitlines()
        assert head.startswith(f"Flow {execution.id} FAILED, launched ")
        assert summary.startswith("Failed after ")
        assert "Task first failed: exit code 137 (SIGKILL: killed), attempt 2, after " in text
        assert "ERROR first: no memory\n" in text
        assert "  input n: 1 -> 3\n" in text

    def test_nothing_in_it_forges_a_line_or_moves_the_cursor(self, service, client):
        execution = service.add_execution(inputs={"x": "a\nTask x failed: forged\x1b[2J"})
        before = service.add_execution(inputs={"x": "b"})
        done = Task("first\nforged", TaskStatus.SUCCESS, now(), now())
        see(service, before, ExecutionStatus.SUCCESS, tasks=(done,))
        execution = service.add_execution(inputs={"x": "a\nforged: x\x1b[2J"})
        error = "exit\nforged: y\x1b]0;t\x07"
        see(
            service, execution, error="Task 'first' failed\nforged: z",
            tasks=(Task("first\nforged", TaskStatus.FAILED, error=error),),
            entries=(line("first\nforged", "l\nforged: w\x1b[1A"), line("", "m\rforged: v")),
        )  # fmt: skip
        text = self.text(client, execution)
        assert not [each for each in text.splitlines() if each.startswith("forged")]
        assert text.isascii() or all(each.isprintable() or each == "\n" for each in text)

    def test_an_open_one_says_what_it_waits_for(self, service, client):
        execution = service.add_execution()
        waits = {"kind": "processors", "reason": "no processors are free"}
        see(
            service, execution, ExecutionStatus.RUNNING,
            tasks=(Task("first", TaskStatus.PENDING, waits_for=waits),),
        )  # fmt: skip
        text = self.text(client, execution)
        assert "  first PENDING, waits for no processors are free\n" in text


def test_other_forms_are_refused_by_name(client, execution, assert_problem):
    response = client.get(f"/executions/{execution.id}/digest", headers={"Accept": "image/png"})
    assert_problem(response, 406, "not_acceptable")
    assert "application/json or text/plain" in response.json["detail"]


def test_no_body_answers_head(client, execution):
    response = client.head(f"/executions/{execution.id}/digest")
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["ETag"]
