"""Executions and their steps as tables and lines, word for word."""

import time
from datetime import UTC, datetime

import pytest
from kit.raw_server import RawServer, answer

from slipway.cli.executions import columns, done, lines_of, result_code, running_first, task_columns
from slipway.cli.output import Output
from slipway.models import ExecutionState

NOW = datetime(2026, 11, 26, 9, 17, tzinfo=UTC)
RUNNING = {
    "id": "e5b2077c-0000-4000-8000-000000000001", "status": "RUNNING", "state": "RUNNING",
    "workflow": "diamond", "workflow_name": "Diamond", "owner": "ana", "progress": 0.629,
    "created_at": "2026-11-26T09:14:00Z", "started_at": "2026-11-26T09:14:01Z",
    "name": "night 4", "labels": {"grid": "fine", "team": "ice"}, "orchestrator": "local",
    "tasks": [
        {"name": "split", "status": "SUCCESS", "attempts": 1, "exit_code": 0, "node": "n01",
         "started_at": "2026-11-26T09:14:01Z", "finished_at": "2026-11-26T09:14:02Z"},
        {"name": "low", "status": "RUNNING", "attempts": 2, "node": "n01",
         "started_at": "2026-11-26T09:14:02Z"},
        {"name": "join", "status": "PENDING",
         "waits_for": {"kind": "tasks", "reason": "low", "tasks": ["low"]}},
    ],
}  # fmt: skip
FAILED = {
    "id": "c01d77aa-0000-4000-8000-000000000002", "status": "FAILED", "state": "FAILED",
    "workflow": "count", "workflow_name": "数える🙂\x1b[2J", "owner": "bob", "progress": 1.0,
    "created_at": "2026-11-26T07:00:00Z", "started_at": "2026-11-26T07:00:01Z",
    "finished_at": "2026-11-26T07:00:42Z", "error": "Task 'join' failed: exit code 3",
}  # fmt: skip
STATES = [ExecutionState.read(each) for each in (FAILED, RUNNING)]


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    time.tzset()


def table(width=None, items=STATES, made=columns):
    out = Output()
    out.width = width
    out.colour = False
    given = made(items, NOW) if made is columns else made(NOW)
    return out.table_lines(running_first(items) if made is columns else items, given)


def test_what_runs_comes_first_and_nothing_is_cut_in_a_pipe():
    assert table() == [
        "ID        WORKFLOW      STATUS   DONE  AGE  TOOK  OWNER  NAME     LABELS",
        "e5b2077c  Diamond       RUNNING  62 %   3m    2m  ana    night 4  grid=fine,team=ice",
        "c01d77aa  数える🙂\ufffd[2J  FAILED          2h   41s  bob",
    ]


def test_only_what_was_done_is_said_to_be():
    states = [ExecutionState.read({**FAILED, "status": status, "state": status})
              for status in ("SUCCESS", "FAILED", "CANCELLED")]  # fmt: skip
    assert [done(state) for state in states] == ["100 %", "", ""]


def test_columns_leave_by_their_worth():
    assert table(40) == [
        "ID        WORKFLOW    STATUS   DONE  AGE",
        "e5b2077c  Diamond     RUNNING  62 %   3m",
        "c01d77aa  数える🙂\ufffd…  FAILED          2h",
    ]
    assert [line.split()[0] for line in table(12)] == ["ID", "e5b2077c", "c01d77aa"]


def test_ids_are_as_long_as_it_takes_to_tell_them_apart():
    twins = [ExecutionState.read({**RUNNING, "id": f"aaaaaaaa-0{n}"}) for n in range(2)]
    assert [line.split()[0] for line in table(items=twins)] == ["ID", "aaaaaaaa-00", "aaaaaaaa-01"]


def test_the_steps_of_an_execution():
    assert table(items=STATES[1].tasks, made=task_columns) == [
        "STEP   STATUS   TRIES  CODE  TOOK  NODE",
        "split  SUCCESS      1     0    1s  n01",
        "low    RUNNING      2          2m  n01",
        "join   PENDING      0",
    ]


def test_how_an_execution_stands():
    assert lines_of(STATES[1], Output(), NOW) == [
        "e5b2077c Diamond RUNNING, 62 %, started 09:14 (2 min ago) by ana",
        "night 4 grid=fine team=ice",
        "split SUCCESS 1s, low RUNNING 2m, join PENDING",
    ]
    assert lines_of(STATES[0], Output(), NOW) == [
        "c01d77aa 数える🙂\ufffd[2J FAILED, ended 07:00 (2 h ago) after 41s by bob",
        "Task 'join' failed: exit code 3",
    ]


def test_very_many_steps_are_told_as_those_that_matter():
    tasks = [{"name": f"s{n}", "status": "SUCCESS"} for n in range(20)]
    tasks.append({"name": "bad", "status": "FAILED", "exit_code": 3})
    last = lines_of(ExecutionState.read({**RUNNING, "tasks": tasks}), Output(), NOW)[-1]
    assert last.startswith("bad FAILED code 3, s0 SUCCESS")
    assert last.endswith(", +9 more")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 0), (["SUCCESS"], 0), (["SUCCESS", "CANCELLED"], 3), (["CANCELLED", "FAILED"], 1),
        (["RUNNING"], 0), (["HIBERNATING"], 0),
    ],
)  # fmt: skip
def test_the_result_of_several(words, code):
    states = [ExecutionState.read({**RUNNING, "status": word, "state": word}) for word in words]
    assert result_code(states) == code


def test_a_word_that_nobody_knows_is_not_the_end():
    assert not ExecutionState.read({**RUNNING, "state": "HIBERNATING"}).state.is_final


@pytest.mark.parametrize("words", [("status",), ("tasks",), ("exec", "status")], ids=" ".join)
def test_of_a_whole_id_the_service_is_asked_once(person, words):
    with RawServer(lambda *_: answer(200, RUNNING)) as server:
        done = person.types("--url", server.url, *words, RUNNING["id"])
        assert (done[0], len(server.asked)) == (0, 1), done
