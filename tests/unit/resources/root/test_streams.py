"""Streams on the wire, byte by byte."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import websocket
from follow_kit import (
    ALL,
    PATIENCE,
    Log,
    await_that,
    open_stream,
    parse_sse,
    service_in,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_kit import PASSWORDS, basic, gone, users
from werkzeug.test import EnvironBuilder
from wsproto.frame_protocol import FrameProtocol

from app.domain import ExecutionStatus, Level, NewLogEntry, TaskStatus
from app.domain import Task as DomainTask
from app.resources._websocket import text_frame
from app.services.tickets import _digest
from app.store.execution_rows import now
from app.store.tickets import Tickets

FIXTURES = HealthCheck.function_scoped_fixture
D, I, W, E = Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR  # noqa: E741
JSON, SSE, NDJSON, TEXT = (
    "application/json", "text/event-stream", "application/x-ndjson", "text/plain",
)  # fmt: skip
SHOWN_AS = {"PENDING": "RUNNING", "PAUSED": "RUNNING", "UNKNOWN": "RUNNING"}
UNKNOWN = "00000000-0000-4000-8000-00000000ffff"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with service_in(tmp_path_factory, streams__heartbeat="100ms") as made:
        yield made


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    auth = {**users(), "recheck": "100ms"}
    with service_in(tmp_path_factory, api__auth=auth, streams__heartbeat="100ms") as made:
        yield made


@pytest.fixture
def client(service):
    return service.client


@pytest.fixture
def log(service):
    return Log(service)


def as_user(name):
    return basic(name, PASSWORDS.get(name, "?"))


def path(log, query=""):
    return f"/executions/{log.id}/logs{query and '?' + query}"


def names(frames):
    return [frame.event for frame in frames]


def shown_status(service, log):
    """The data of a status event, as it must be now."""
    execution = service.store.get(log.id)
    as_of = execution.as_of.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "id": log.id,
        "execution_id": execution.awf_name,
        "status": SHOWN_AS.get(execution.status, execution.status),
        "state": str(execution.status),
        "progress": execution.progress,
        "error": execution.error,
        "as_of": as_of,
    }


def told_of_all(service, log):
    """The data of an event among those of all executions: with what runs."""
    head = {**shown_status(service, log)}
    rest = {name: head.pop(name) for name in ("progress", "error", "as_of")}
    called = {"name": None, "labels": {}}
    return {**head, "workflow": "flow", "workflow_name": "Flow", **called, **rest}


class TestServerSentEvents:
    def test_the_bytes_are_exactly_these(self, service, client, log):
        log.see(error="no luck", progress=0.5)
        log.write([I, D, E], ["Grüße", "", 'two\nlines "quoted"\r']).end()
        with open_stream(client, path(log, "levels=15")) as stream:
            assert stream.status == 200
            first = stream.chunk()
            retry = re.fullmatch(rb"retry: (\d+)\n\n", first)
            assert retry
            assert 1000 <= int(retry[1]) <= 3000
            rest = stream.read()[len(first) :]
        status = json.dumps(shown_status(service, log), separators=(",", ":"))
        assert rest.decode() == (
            f"event: status\ndata: {status}\n\n"
            'id: 0\nevent: log\ndata: {"level":"INFO","timestamp":"2022-10-20T12:32:29.774Z",'
            '"content":"Grüße","task":"split","index":0}\n\n'
            'id: 1\nevent: log\ndata: {"level":"DEBUG","timestamp":"2022-10-20T12:32:29.775Z",'
            '"content":"","task":"","index":1}\n\n'
            'id: 2\nevent: log\ndata: {"level":"ERROR","timestamp":"2022-10-20T12:32:29.776Z",'
            r'"content":"two\nlines \"quoted\"\r","task":"","index":2}' + "\n\n"
            'id: 3\nevent: end\ndata: {"status":"SUCCESS","state":"SUCCESS","total":3}\n\n'
        )

    def test_the_headers_keep_every_proxy_from_holding_it_back(self, client, log):
        with open_stream(client, path(log.end())) as stream:
            assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert stream.headers["Cache-Control"] == "no-cache, no-transform"
            assert stream.headers["X-Accel-Buffering"] == "no"
            assert "Content-Length" not in stream.headers

    def test_the_advice_when_to_come_back_is_not_the_same_for_all(self, client, log):
        log.end()
        advice = {parse_sse(client.get(path(log), headers={"Accept": SSE}).data)[0].retry
                  for _ in range(20)}  # fmt: skip
        assert len(advice) > 5

    def test_the_first_bytes_come_although_nothing_happens(self, client, log):
        with open_stream(client, path(log)) as stream:
            stream.read_until(lambda got: got.count(b"\n\n") == 2)
            assert names(stream.frames) == ["status"]

    def test_an_id_is_the_place_in_the_whole_log_whatever_the_filter(self, client, log):
        log.write([I, D, W, I, E, D, I]).end()
        with open_stream(client, path(log, "levels=0")) as stream:
            stream.read()
        logged = [frame for frame in stream.frames if frame.event == "log"]
        assert [frame.id for frame in logged] == [0, 2, 3, 4, 6]
        assert [frame.data["index"] for frame in logged] == [0, 2, 3, 4, 6]
        assert stream.frames[-1].id == 7

    def test_silence_is_broken_by_comments(self, client, log):
        with open_stream(client, path(log)) as stream:
            got = stream.read_until(lambda got: got.count(b":\n\n") == 3)
        assert got.endswith(b"\n\n:\n\n:\n\n:\n\n")

    def test_status_changes_have_no_id_so_the_cursor_stays(self, client, log):
        with open_stream(client, path(log)) as stream:
            stream.read_until(lambda got: b"PENDING" in got)
            log.see(ExecutionStatus.RUNNING)
            stream.read_until(lambda got: got.count(b"event: status") == 2)
        assert [(f.id, f.data["status"], f.data["state"]) for f in stream.frames] == [
            (None, "RUNNING", "PENDING"), (None, "RUNNING", "RUNNING"),
        ]  # fmt: skip

    def test_a_process_that_stops_says_so_and_when_to_come_back(self, make_service):
        service = make_service()
        log = Log(service).write(5)
        with open_stream(service.client, path(log)) as stream:
            stream.read_until(lambda got: b"id: 4\n" in got)
            before = len(stream.received)
            service.web.changes.close()
            last = stream.read()[before:]
        found = re.fullmatch(rb'retry: (\d+)\nevent: moved\ndata: \{"after":4\}\n\n', last)
        assert found
        assert 100 <= int(found[1]) <= 1500

    def test_who_is_too_slow_is_told_what_he_missed_and_where_to_read_it(self, make_service):
        service = make_service(streams__heartbeat="100ms", streams__max_lag="100")
        log = Log(service).write([I, D] * 50)
        with open_stream(service.client, path(log)) as stream:
            stream.read_until(lambda got: got.endswith(b":\n\n"))
            log.write([I, D] * 300).end()
            stream.read()
        [gap] = [frame for frame in stream.frames if frame.event == "dropped"]
        assert gap.data == {"count": 250, "after": 99, "next": 600}
        assert gap.id == 599
        got = [frame.id for frame in stream.frames if frame.event == "log"]
        assert got == [*range(0, 100, 2), *range(600, 700, 2)]
        missed = service.client.get(
            path(log, f"after={gap.data['after']}&size={gap.data['count']}")
        ).json
        assert [entry["index"] for entry in missed["logs"]] == list(range(100, 600, 2))


class TestComingBack:
    @pytest.fixture
    def log(self, service):
        return Log(service).write([I, D, W, I, E, D, I]).end()

    @pytest.mark.parametrize("given_", [{"Last_Event_ID": "7"}, {"Last_Event_ID": "99"}])
    def test_who_has_got_the_end_is_told_to_stop(self, client, log, given_):
        with open_stream(client, path(log), **given_) as stream:
            assert (stream.status, stream.read()) == (204, b"")
            assert "Content-Type" not in stream.headers

    def test_so_is_who_says_it_in_the_address(self, client, log):
        assert client.get(path(log, "after=7"), headers={"Accept": SSE}).status_code == 204

    def test_who_has_all_entries_but_not_the_end_gets_the_end(self, client, log):
        with open_stream(client, path(log), Last_Event_ID="6") as stream:
            stream.read()
        assert names(stream.frames) == ["status", "end"]

    def test_of_an_execution_that_goes_on_there_is_no_such_end(self, service, client):
        log = Log(service).write(3)
        with open_stream(client, path(log), Last_Event_ID="3") as stream:
            assert stream.status == 200
            stream.read_until(lambda got: b"event: status" in got)

    def test_only_what_lies_behind_the_cursor_comes(self, client, log):
        with open_stream(client, path(log, "levels=15"), Last_Event_ID="3") as stream:
            stream.read()
        assert [frame.id for frame in stream.frames if frame.event == "log"] == [4, 5, 6]

    @pytest.mark.parametrize(
        ("query", "header", "first"),
        [("from=1&after=2", "4", 5), ("after=2", "4", 5), ("from=6", "1", 2), ("from=1&after=2",
         None, 3), ("from=1", None, 1), ("", "-1", 0), ("after=5", "-1", 0)],
    )  # fmt: skip
    def test_the_header_wins_over_after_and_that_over_from(self, client, log, query, header, first):
        more = {} if header is None else {"Last_Event_ID": header}
        for accept in (SSE, NDJSON):
            with open_stream(client, path(log, f"levels=15&{query}"), accept, **more) as stream:
                stream.read()
            found = stream.frames if accept == SSE else stream.lines
            got = [f.id if accept == SSE else f["index"] for f in found
                   if (f.event if accept == SSE else f["type"]) == "log"]  # fmt: skip
            assert got == list(range(first, 7))

    def test_an_index_in_the_future_is_waited_for(self, service, client):
        log = Log(service).write([I, D])
        with open_stream(client, path(log, "from=3")) as stream:
            log.write([I, D, W, E, I]).end()
            stream.read()
        assert [frame.id for frame in stream.frames if frame.event == "log"] == [5, 6]


class TestJsonLines:
    def test_the_lines_are_exactly_these(self, service, client, log):
        log.see().write(1).end()
        with open_stream(client, path(log), NDJSON) as stream:
            assert stream.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"
            assert stream.headers["X-Accel-Buffering"] == "no"
            got = stream.read()
        status = json.dumps({"type": "status", **shown_status(service, log)}, separators=(",", ":"))
        assert got.decode() == (
            f"{status}\n"
            '{"type":"log","level":"INFO","timestamp":"2022-10-20T12:32:29.774Z",'
            '"content":"line 0","task":"split","index":0}\n'
            '{"type":"end","status":"SUCCESS","state":"SUCCESS","total":1}\n'
        )

    def test_silence_is_broken_by_empty_lines(self, client, log):
        with open_stream(client, path(log), NDJSON) as stream:
            assert stream.chunk().startswith(b'{"type":"status"')
            assert [stream.chunk() for _ in range(3)] == [b"\n"] * 3

    def test_who_has_got_everything_gets_the_end_once_more(self, client, log):
        log.write(2).end()
        with open_stream(client, path(log, "after=2"), NDJSON) as stream:
            stream.read()
        assert [line["type"] for line in stream.lines] == ["status", "end"]

    def test_a_process_that_stops_tells_the_cursor(self, make_service):
        service = make_service(streams__heartbeat="100ms")
        log = Log(service).write(2)
        with open_stream(service.client, path(log), NDJSON) as stream:
            stream.read_until(lambda got: b'"index":1' in got)
            service.web.changes.close()
            stream.read()
        assert stream.lines[-1] == {"type": "moved", "after": 1}


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (None, JSON), ("*/*", JSON), (JSON, JSON), ("", JSON), ("application/*", JSON),
        (SSE, SSE), ("TEXT/EVENT-STREAM", SSE), (NDJSON, NDJSON), (TEXT, TEXT),
        (f"{SSE}, {JSON};q=0.5", SSE), (f"{SSE};q=0.1, {NDJSON};q=0.2, */*;q=0.1", NDJSON),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", JSON),
        (f"{JSON};q=0, {NDJSON}", NDJSON), ("text/plain; charset=utf-8", TEXT),
    ],
)  # fmt: skip
def test_the_form_is_chosen_by_accept(client, log, accept, answer):
    log.end()
    headers = {} if accept is None else {"Accept": accept}
    response = client.get(path(log), headers=headers)
    assert (response.status_code, response.mimetype) == (200, answer)


@pytest.mark.parametrize("accept", ["image/png", "text/html", "text/eventstream", f"{SSE};q=0"])
def test_what_cannot_be_had_is_refused_and_the_choice_named(client, log, assert_problem, accept):
    response = client.get(path(log.end()), headers={"Accept": accept})
    assert_problem(response, 406, "not_acceptable")
    assert SSE in response.json["detail"]


RUBBISH = {
    "from": ["-1", "a", "1.5", "", "9007199254740992", "%00"],
    "after": ["-2", "a", "1.5", "", "9007199254740992", "1 2"],
    "levels": ["256", "-1", "INFO", ""],
    "follow": ["maybe", "", "2"],
    "size": ["-2", "x"],
    "timeout": ["soon", "-1s"],
    "folow": ["true"],
}


class TestOneTask:
    @pytest.mark.parametrize(("accept", "more"), [(SSE, ""), (NDJSON, ""), (TEXT, "&follow=true")])
    def test_only_what_it_says_comes_on_every_transport(self, client, log, accept, more):
        log.write(7).end()
        answer = client.get(path(log, f"task=split{more}"), headers={"Accept": accept})
        assert answer.status_code == 200
        assert re.findall(r"line (\d)", answer.text) == ["0", "3", "6"]

    @pytest.mark.parametrize("accept", [JSON, TEXT])
    def test_nothing_else_comes_where_nothing_follows(self, client, log, accept):
        log.write(7).end()
        answer = client.get(path(log, "task=split"), headers={"Accept": accept})
        assert re.findall(r"line (\d)", answer.text) == ["0", "3", "6"]

    def test_a_name_that_no_task_can_have(self, client, log, assert_problem):
        answer = client.get(path(log, f"task={'x' * 256}"), headers={"Accept": SSE})
        assert_problem(answer, 422, "invalid_request", "task")


class TestTail:
    @pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT])
    @pytest.mark.parametrize(
        ("query", "lines"),
        [
            ("tail=2", ["5", "6"]),
            ("tail=0", []),
            ("tail=99", list("0123456")),
            ("tail=2&task=split", ["3", "6"]),
            ("tail=99&task=split", ["0", "3", "6"]),
            ("tail=1&task=", ["5"]),
            ("tail=1&levels=4", []),
        ],
    )
    def test_a_stream_begins_so_many_before_the_end(self, client, log, accept, query, lines):
        log.write(7).end()
        followed = path(log, f"{query}&follow=true")
        answer = client.get(followed, headers={"Accept": accept})
        assert re.findall(r"line (\d)", answer.text) == lines

    def test_what_comes_later_is_all_there(self, client, log):
        log.write(5)
        with open_stream(client, path(log, "tail=1")) as stream:
            stream.read_until(lambda got: b"line 4" in got)
            log.write(2).end()
            told = stream.read().decode()
        assert re.findall(r"line (\d)", told) == ["4", "5", "6"]

    def test_a_browser_that_comes_back_goes_on_where_it_was(self, client, log):
        log.write(7).end()
        headers = {"Accept": SSE, "Last-Event-ID": "2"}
        answer = client.get(path(log, "tail=1"), headers=headers)
        assert re.findall(r"line (\d)", answer.text) == ["3", "4", "5", "6"]


class TestRubbish:
    @pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT, JSON])
    @pytest.mark.parametrize("parameter", RUBBISH)
    def test_in_a_parameter_it_is_named(self, client, log, assert_problem, accept, parameter):
        for value in RUBBISH[parameter]:
            response = client.get(path(log, f"{parameter}={value}"), headers={"Accept": accept})
            assert_problem(response, 422, "invalid_request", parameter)

    @pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT, JSON])
    @pytest.mark.parametrize("value", ["a", "1.5", "-2", "9007199254740992", "7, 8", "\u00e9"])
    def test_in_the_cursor_it_is_named(self, client, log, assert_problem, accept, value):
        headers = {"Accept": accept, "Last-Event-ID": value}
        response = client.get(path(log), headers=headers)
        assert_problem(response, 422, "invalid_request", "Last-Event-ID")

    def test_in_the_address_of_events_it_is_named(self, client, assert_problem):
        response = client.get("/executions/events?tickets=1")
        assert_problem(response, 422, "invalid_request", "tickets")

    def test_no_place_is_held_for_it(self, service, client, log):
        client.get(path(log, "from=x"), headers={"Accept": SSE})
        assert service.web.changes.waiting == 0
        assert not service.services.places._open


class TestEvents:
    def test_the_bytes_are_exactly_these(self, make_service):
        service = make_service(streams__heartbeat="100ms")
        log = Log(service).see()
        with open_stream(service.client, "/executions/events") as stream:
            assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert stream.headers["Cache-Control"] == "no-cache, no-transform"
            stream.read_until(lambda got: got.endswith(b":\n\n"))
            begin = stream.received
            log.end()
            after = stream.read_until(lambda got: b"SUCCESS" in got)[len(begin) :]
            service.web.changes.close()
            before = len(stream.received)
            last = stream.read()[before:]
        head, first, *_ = begin.split(b"\n\n")
        assert re.fullmatch(rb"retry: \d+", head)
        assert first.startswith(b'event: status\ndata: {"id":"%s",' % log.id.encode())
        status = json.dumps(told_of_all(service, log), separators=(",", ":"))
        assert after.replace(b":\n\n", b"").decode() == f"event: status\ndata: {status}\n\n"
        assert re.fullmatch(rb'retry: \d+\nevent: moved\ndata: \{"after":-1\}\n\n', last)

    def test_they_can_be_had_as_lines_of_json(self, make_service):
        service = make_service()
        log = Log(service).see()
        accept = {"Accept": f"{NDJSON};q=0.9, text/html"}
        with open_stream(service.client, "/executions/events", **accept) as stream:
            assert stream.headers["Content-Type"] == f"{NDJSON}; charset=utf-8"
            assert "Accept" in stream.headers["Vary"]
            line = stream.read_until(lambda got: got.endswith(b"}\n")).splitlines()[0]
        assert json.loads(line) == {"type": "status", **told_of_all(service, log)}

    @pytest.mark.parametrize("accept", ["text/html", JSON, TEXT, f"{SSE};q=0"])
    def test_in_no_other_form(self, client, assert_problem, accept):
        response = client.get("/executions/events", headers={"Accept": accept})
        assert_problem(response, 406, "not_acceptable")
        assert SSE in response.json["detail"]
        assert NDJSON in response.json["detail"]

    def test_a_user_sees_his_own_executions_only(self, guarded):
        own, other = Log(guarded, owner="ada"), Log(guarded, owner="bob")
        ids = {}
        for name in ("ada", "bob", "ops"):
            with open_stream(guarded.client, "/executions/events", **as_user(name)) as stream:
                stream.read_until(lambda got: got.endswith(b":\n\n"))
            ids[name] = {frame.data["id"] for frame in stream.frames}
        assert (own.id in ids["ada"], other.id in ids["ada"]) == (True, False)
        assert (own.id in ids["bob"], other.id in ids["bob"]) == (False, True)
        assert {own.id, other.id} <= ids["ops"]


class TestWhoMayRead:
    @pytest.fixture
    def log(self, guarded):
        return Log(guarded, owner="ada").see().write(2)

    @pytest.mark.parametrize(
        ("accept", "query"),
        [(SSE, ""), (NDJSON, ""), (TEXT, ""), (TEXT, "follow=true"), (JSON, ""), (SSE, "after=9")],
    )
    def test_to_another_user_an_execution_does_not_exist(
        self, guarded, log, assert_problem, accept, query
    ):
        for id_ in (log.id, UNKNOWN, "events", "x" * 65, "%00"):
            response = guarded.client.get(
                f"/executions/{id_}/logs?{query}", headers={"Accept": accept, **as_user("bob")}
            )
            assert_problem(response, 404, "not_found")
        assert guarded.web.changes.waiting == 0

    def test_nor_can_he_get_a_ticket_for_it(self, guarded, log, assert_problem):
        response = guarded.client.post(f"/executions/{log.id}/tickets", headers=as_user("bob"))
        assert_problem(response, 404, "not_found")

    @pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT, JSON])
    def test_without_credentials_nobody_reads(self, guarded, log, assert_problem, accept):
        for address in (path(log), "/executions/events"):
            response = guarded.client.get(address, headers={"Accept": accept})
            assert_problem(response, 401, "not_authenticated")
            assert response.headers["WWW-Authenticate"].startswith("Basic")

    def test_who_is_no_user_any_more_is_told_and_sent_away(self, guarded, log):
        with (
            open_stream(guarded.client, path(log), **as_user("ada")) as stream,
            open_stream(guarded.client, "/executions/events", **as_user("ada")) as events,
        ):
            stream.read_until(lambda got: b"id: 1\n" in got)
            events.read_until(lambda got: b"event: status" in got)
            with gone(guarded, "ada"):
                for end in (stream.read(), events.read()):
                    assert end.endswith(
                        b'event: expired\ndata: {"reason":"There is no such user any more."}\n\n'
                    )

    def test_the_text_says_so_as_well(self, guarded, log):
        with open_stream(guarded.client, path(log, "follow=1"), TEXT, **as_user("ada")) as text:
            text.chunk()
            with gone(guarded, "ada"):
                assert text.read().endswith(b"--- There is no such user any more. ---\n")


class TestTickets:
    @pytest.fixture
    def log(self, guarded):
        return Log(guarded, owner="ada").write(2).end()

    @pytest.fixture
    def ticket(self, guarded, log):
        def ticket(subject=log.id):
            response = guarded.client.post(f"/executions/{subject}/tickets", headers=as_user("ada"))
            assert response.status_code == 201
            assert set(response.json) == {"ticket", "expires_in"}
            assert response.json["expires_in"] == 60
            return response.json["ticket"]

        return ticket

    @pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT])
    def test_one_opens_one_stream_once(self, guarded, log, ticket, assert_problem, accept):
        address = path(log, f"ticket={ticket()}")
        first = guarded.client.get(address, headers={"Accept": accept})
        assert first.status_code == 200
        assert b"line 1" in first.data
        again = guarded.client.get(address, headers={"Accept": accept})
        assert_problem(again, 401, "not_authenticated")

    def test_one_opens_the_events(self, guarded, ticket):
        address = f"/executions/events?ticket={ticket('events')}"
        with open_stream(guarded.client, address) as stream:
            assert stream.status == 200
        assert guarded.client.get(address).status_code == 401

    @pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT, JSON])
    def test_a_look_at_the_head_leaves_it_as_it_is(self, guarded, log, ticket, accept):
        address, headers = path(log, f"ticket={ticket()}"), {"Accept": accept}
        for _ in range(2):
            assert guarded.client.head(address, headers=headers).status_code == 200
        assert guarded.client.get(address, headers=headers).status_code == 200
        assert guarded.client.head(address, headers=headers).status_code == 401

    def test_a_look_at_the_head_of_the_events_leaves_it_as_it_is(self, guarded, ticket):
        address = f"/executions/events?ticket={ticket('events')}"
        assert guarded.client.head(address).status_code == 200
        with open_stream(guarded.client, address) as stream:
            assert stream.status == 200

    def test_one_is_good_for_a_page_that_is_waited_for(self, guarded, ticket):
        running = Log(guarded, owner="ada")
        address = path(running, f"timeout=50ms&ticket={ticket(running.id)}")
        assert guarded.client.get(address).json["logs"] == []
        assert guarded.client.get(address).status_code == 401

    @pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT])
    def test_a_stream_begins_at_its_begin_where_no_event_has_come(self, guarded, log, accept):
        headers = {"Accept": accept, "Last-Event-ID": "", **as_user("ada")}
        answer = guarded.client.get(path(log, "follow=true"), headers=headers)
        assert answer.status_code == 200
        assert b"line 0" in answer.data

    def test_another_execution_is_not_opened(self, guarded, log, ticket):
        other = Log(guarded, owner="ada").end()
        given_ = ticket()
        for address in (path(other), "/executions/events", f"/executions/{other.id}/ws"):
            response = guarded.client.get(f"{address}?ticket={given_}", headers={"Accept": SSE})
            assert response.status_code == 401
        assert guarded.client.get(path(log, f"ticket={given_}")).status_code == 200

    @pytest.mark.parametrize(
        ("method", "address"),
        [("GET", "/executions"), ("GET", "/executions/{}"), ("GET", "/executions/{}/tasks"),
         ("DELETE", "/executions/{}"), ("POST", "/executions/{}/tickets"),
         ("POST", "/executions/{}/pause"), ("GET", "/workflows"), ("GET", "/ssh_keys")],
    )  # fmt: skip
    def test_nothing_but_streams_takes_one(self, guarded, log, ticket, method, address):
        given_ = ticket()
        response = guarded.client.open(f"{address.format(log.id)}?ticket={given_}", method=method)
        assert response.status_code == 401
        assert guarded.client.get(path(log, f"ticket={given_}")).status_code == 200

    def test_one_that_is_too_old_opens_nothing(self, guarded, log, assert_problem):
        store = Tickets(guarded.web.database)
        store.add(_digest("old"), "ada", log.id, now() - timedelta(milliseconds=2), "{}")
        response = guarded.client.get(path(log, "ticket=old"), headers={"Accept": SSE})
        assert_problem(response, 401, "not_authenticated")

    @pytest.mark.parametrize(
        "rubbish", ["", "x", "%00", "%ff", "long-wrong-" * 500, "%f0%9f%9a%80"]
    )
    def test_rubbish_opens_nothing(self, guarded, log, assert_problem, rubbish):
        response = guarded.client.get(path(log, f"ticket={rubbish}"), headers={"Accept": SSE})
        assert_problem(response, 401, "not_authenticated")

    def test_bad_credentials_beside_a_good_ticket_do_not_matter(self, guarded, log, ticket):
        headers = {"Accept": SSE, **as_user("nobody")}
        address = path(log, f"ticket={ticket()}")
        assert guarded.client.get(address, headers=headers).status_code == 200

    def test_a_ticket_is_good_for_a_websocket(self, guarded, log, ticket):
        with web_socket(guarded, f"/executions/{log.id}/ws?ticket={ticket()}") as ws:
            assert ws.messages()[-1]["type"] == "end"


class TestLimits:
    @pytest.fixture
    def service(self, make_service):
        return make_service(
            api__auth=users(), streams__heartbeat="100ms", streams__max_per_user=2,
            streams__max_total=3,
        )  # fmt: skip

    def open(self, service, log, name, accept=SSE, query=""):
        stream = open_stream(service.client, path(log, query), accept, **as_user(name))
        if stream.status == 200:
            stream.chunk()
        return stream

    def refused(self, service, address, name, accept=SSE, code="quota_exceeded"):
        response = service.client.get(address, headers={"Accept": accept, **as_user(name)})
        assert response.status_code == 429
        assert response.json["code"] == code
        assert 10 <= int(response.headers["Retry-After"]) <= 15
        return response.json["detail"]

    def test_too_many_streams_are_refused_and_told_when_to_come_back(self, service, assert_problem):
        log, other = Log(service, owner="ada").see().write(1), Log(service, owner="bob").see()
        one = self.open(service, log, "ada")
        two = self.open(service, log, "ada", TEXT, "follow=1")
        for accept in (SSE, NDJSON):
            assert "2 streams" in self.refused(service, path(log), "ada", accept)
        assert "2 streams" in self.refused(service, "/executions/events", "ada")
        three = self.open(service, other, "bob")
        assert three.status == 200
        full = self.refused(service, path(other), "bob", code="limit_exceeded")
        assert "as many streams" in full
        page = service.client.get(path(log), headers=as_user("ada"))
        assert page.status_code == 200
        one.close()
        again = self.open(service, log, "ada")
        assert again.status == 200
        for stream in (two, three, again):
            stream.close()
        assert not service.services.places._open
        assert service.web.changes.waiting == 0

    def test_every_request_that_is_held_holds_a_place(self, service):
        """A descriptor each: whatever way a user has of waiting, they get no more of them."""
        log = Log(service, owner="ada").see().write(3)
        waiting = [
            f"/executions/{log.id}?wait=10m",
            f"/executions/{log.id}/logs?from=3&timeout=10m",
        ]
        answers = []
        threads = [
            threading.Thread(
                target=lambda address: answers.append(
                    service.client.get(address, headers=as_user("ada"))
                ),
                args=(address,),
            )
            for address in waiting
        ]
        for thread in threads:
            thread.start()
        await_that(lambda: service.services.places._open["ada"] == 2)
        for address in waiting:
            assert "2 streams or long polls" in self.refused(service, address, "ada", JSON)
        assert "2 streams" in self.refused(service, path(log), "ada", TEXT)
        assert "2 streams" in self.refused(service, path(log), "ada", SSE)
        for address in (
            f"/executions/{log.id}",
            f"/executions/{log.id}/logs?from=0&timeout=10m",
            f"/executions/{log.id}/logs?from=3&timeout=0",
            "/executions",
        ):
            assert service.client.get(address, headers=as_user("ada")).status_code == 200
        log.end()
        for thread in threads:
            thread.join(PATIENCE)
        assert [answer.status_code for answer in answers] == [200, 200]
        assert not service.services.places._open

    def test_a_download_holds_a_place_until_it_has_arrived(self, service):
        log = Log(service, owner="ada").see().write(3).end()
        held = [self.open(service, log, "ada", TEXT) for _ in range(2)]
        assert "2 streams" in self.refused(service, path(log), "ada", TEXT)
        for download in held:
            download.close()
        assert self.open(service, log, "ada", TEXT).read().count(b"\n") == 3
        assert not service.services.places._open

    def test_a_websocket_is_a_stream_as_well(self, service):
        log = Log(service, owner="ada").see()
        held = [self.open(service, log, "ada") for _ in range(2)]
        address = f"/executions/{log.id}/ws"
        assert refusal(service, address, as_user("ada")).status_code == 429
        for stream in held:
            stream.close()


class TestMetrics:
    def value(self, service, name, **labels):
        return service.services.metrics.counted.get_sample_value(name, labels) or 0

    def test_open_streams_are_counted_by_transport(self, service, log):
        before = self.value(service, "slipway_streams_opened_total", transport=NDJSON)
        with open_stream(service.client, path(log), NDJSON) as stream:
            stream.chunk()
            assert self.value(service, "slipway_streams_open", transport=NDJSON) == 1
            text = service.client.get("/metrics").text
            assert 'slipway_streams_open{transport="application/x-ndjson"} 1.0' in text
            assert "slipway_waiting_readers" in text
        assert self.value(service, "slipway_streams_open", transport=NDJSON) == 0
        after = self.value(service, "slipway_streams_opened_total", transport=NDJSON)
        assert after == before + 1

    def test_the_delay_is_that_of_new_entries_and_not_the_age_of_old_ones(self, service, log):
        name = "slipway_delivery_lag_seconds_count"
        log.write(3)
        before = self.value(service, name)
        with open_stream(service.client, path(log)) as stream:
            stream.read_until(lambda got: got.endswith(b":\n\n"))
            assert self.value(service, name) == before
            entry = NewLogEntry(I, int(time.time() * 1000) + 1, "now")
            log.see(entries=(entry,))
            stream.read_until(lambda got: b"now" in got)
        assert self.value(service, name) == before + 1


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_a_message_is_one_frame_as_the_protocol_writes_it(size):
    """The reference is wsproto, which takes long for the same."""
    message = b"x" * size
    expected = FrameProtocol(client=False, extensions=[]).send_data(message.decode(), fin=True)
    assert text_frame(message) == bytes(expected)


class ClientSocket:
    """A WebSocket client on one end of a pair of sockets, the application on the other."""

    def __init__(self, service, address, server: bool = True, **options):
        ours, theirs = socket.socketpair()
        route, _, query = address.partition("?")
        self.raw = ours
        self._server = theirs
        self._key = options
        self._done = threading.Event()
        self._request = (service, route, query, server)
        self._thread = threading.Thread(target=self._serve, args=(theirs,))

    def connect(self, header=None):
        """Shake hands; the request's bytes are read by the test in place of a server."""
        self._thread.start()
        try:
            self.ws = websocket.create_connection(
                "ws://localhost/", socket=self.raw, timeout=PATIENCE, header=header or {}
            )
        except BaseException:
            self.close()
            raise
        return self

    def _serve(self, end):
        service, route, query, has_socket = self._request
        received = b""
        while b"\r\n\r\n" not in received:
            new = end.recv(65536)
            if not new:
                return
            received += new
        head = received.decode("latin-1").split("\r\n")[1:]
        headers = dict(line.split(": ", 1) for line in head if ": " in line)
        environ = EnvironBuilder(route, query_string=query, headers=headers).get_environ()
        if has_socket:
            environ["slipway.socket"] = end
        end.settimeout(self._key.get("limit"))
        started = []
        answer = service.web.app(environ, lambda *given: started.extend(given))
        if started:
            status, fields, *_ = started
            lines = [f"HTTP/1.1 {status}", *(f"{n}: {v}" for n, v in fields), "", ""]
            end.sendall("\r\n".join(lines).encode() + b"".join(answer))
        end.close()
        self._done.set()

    def close(self):
        self.raw.close()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the request is still held"

    def message(self):
        return json.loads(self.ws.recv())

    def until(self, kind, **fields):
        """Read up to a message."""
        taken = []
        while True:
            taken.append(self.message())
            if taken[-1]["type"] == kind and fields.items() <= taken[-1].items():
                return taken

    def messages(self):
        """Read to the close; its code and reason are in ``closed``."""
        taken = []
        while True:
            code, data = self.ws.recv_data()
            if code == websocket.ABNF.OPCODE_CLOSE:
                self.closed = (int.from_bytes(data[:2], "big"), data[2:].decode())
                return taken
            taken.append(json.loads(data))


@contextmanager
def web_socket(service, address, header=None, **options) -> Iterator[ClientSocket]:
    made = ClientSocket(service, address, **options).connect(header)
    yield made
    made.close()


def refusal(service, address, header=None, **options):
    """The answer to a handshake that is refused."""
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        ClientSocket(service, address, **options).connect(header)
    return caught.value


class TestWebSocket:
    @pytest.fixture
    def connect(self, service, log):
        return lambda query="": web_socket(service, f"/executions/{log.id}/ws{query}")

    def test_it_tells_status_tasks_metrics_log_and_end(self, service, log, connect):
        log.see(tasks=(DomainTask("first", TaskStatus.RUNNING, attempts=1),)).write([I, D, E])
        log.see(tasks=(DomainTask("first", TaskStatus.SUCCESS, exit_code=0, attempts=1),))
        status = {"type": "status", **shown_status(service, log.end())}
        with connect() as ws:
            messages = ws.messages()
        assert messages[0] == status
        kinds = [message["type"] for message in messages]
        assert kinds == ["status", "task", "task", "metrics", "log", "log", "end"]
        assert messages[1] == {
            "type": "task", "name": "first", "title": None, "status": "SUCCESS", "started_at": None,
            "finished_at": None, "exit_code": 0, "attempts": 1, "node": None, "error": None,
            "run": 0, "continued_from": None, "ready_at": None, "waits_for": None,
            "cpu_seconds": None, "cpu_percent": None, "memory_bytes": None,
            "memory_peak_bytes": None,
        }  # fmt: skip
        assert messages[3] == {"type": "metrics", "tasks": 2, "tasks_done": 1, "tasks_running": 0}
        assert [message["index"] for message in messages[4:6]] == [0, 2]
        assert messages[4]["content"] == "line 0"
        assert messages[-1] == {
            "type": "end", "status": "SUCCESS", "state": "SUCCESS", "total": 3,
        }  # fmt: skip
        assert ws.closed == (1000, "the execution has ended: SUCCESS")

    def test_by_its_name_it_is_told_in_the_words_of_names(self, service, log):
        log.see().write(1)
        log.end()
        name = log.execution.awf_name
        with web_socket(service, f"/executions/{name}/ws") as ws:
            messages = ws.messages()
        first, last = messages[0], messages[-1]
        assert (first["id"], first["execution_id"], first["status"]) == (name, name, "completed")
        assert last == {"type": "end", "status": "completed", "state": "SUCCESS", "total": 1}

    def test_each_thing_is_told_when_it_happens(self, log, connect):
        with connect() as ws:
            ws.until("metrics", tasks=2)
            log.see(ExecutionStatus.RUNNING)
            ws.until("status", status="RUNNING")
            log.tasks(DomainTask("first", TaskStatus.RUNNING))
            assert [m["type"] for m in ws.until("metrics", tasks_running=1)] == ["task", "metrics"]
            log.write(1)
            assert ws.until("log")[-1]["index"] == 0
            log.tasks(DomainTask("first", TaskStatus.SUCCESS))
            assert ws.until("metrics", tasks_done=1)[0]["status"] == "SUCCESS"
            log.end(ExecutionStatus.CANCELLED)
            assert ws.messages()[-1]["status"] == "CANCELLED"
            assert ws.closed == (1000, "the execution has ended: CANCELLED")

    @pytest.mark.parametrize(
        ("query", "expected"),
        [("?after=1&levels=15", [2, 3]), ("?from=1", [2, 3]), ("?levels=1", [1]), ("?after=3", [])],
    )
    def test_it_begins_where_it_was_told(self, log, connect, query, expected):
        log.write([I, D, W, I]).end()
        with connect(query) as ws:
            got = [m["index"] for m in ws.messages() if m["type"] == "log"]
        assert got == expected

    def test_a_process_that_stops_says_where_to_go_on(self, make_service):
        service = make_service(streams__heartbeat="100ms")
        log = Log(service).write(3)
        with web_socket(service, f"/executions/{log.id}/ws") as ws:
            ws.until("log", index=2)
            service.web.changes.close()
            assert ws.messages()[-1] == {"type": "moved", "after": 2}
            assert ws.closed == (1001, "come back with after=2")

    def test_who_is_no_user_any_more_is_sent_away_with_the_reason(self, guarded):
        log = Log(guarded, owner="ada")
        address = f"/executions/{log.id}/ws"
        with web_socket(guarded, address, header=as_user("ada")) as ws:
            ws.until("status")
            with gone(guarded, "ada"):
                assert ws.messages()[-1]["type"] == "expired"
            assert ws.closed == (1008, "There is no such user any more.")

    def test_silence_is_broken_by_pings_and_an_answer_keeps_it_open(self, connect):
        with connect() as ws:
            ws.until("status")
            pings = 0
            while pings < 4:
                code, _ = ws.ws.recv_data(control_frame=True)  # answers pings by itself
                pings += code == websocket.ABNF.OPCODE_PING

    def test_who_does_not_answer_a_ping_is_taken_for_gone(self, service, log, connect):
        with connect() as ws:
            ws.raw.recv(10)
            assert ws._done.wait(PATIENCE)
        assert log.id not in service.web.changes._topics

    def test_who_has_nothing_to_say_stays(self, service, log):
        """The server gives the socket a limit, for what it writes."""
        log.see().write(1)
        with web_socket(service, f"/executions/{log.id}/ws", limit=0.02) as client:
            client.until("log")
            time.sleep(0.1)
            log.write(1)
            assert client.until("log")[-1]["index"] == 1

    def test_a_ping_is_answered(self, connect):
        with connect() as ws:
            ws.ws.ping("abc")
            while True:
                code, data = ws.ws.recv_data(control_frame=True)
                if code == websocket.ABNF.OPCODE_PONG:
                    break
            assert data == b"abc"

    def test_what_the_client_says_is_ignored(self, log, connect):
        with connect() as ws:
            ws.ws.send("hello" * 10_000)
            ws.ws.send_binary(b"\x00" * 100)
            log.write(1).end()
            assert ws.messages()[-1]["type"] == "end"

    @pytest.mark.parametrize(
        ("query", "status"),
        [("from=x", 422), ("after=-2", 422), ("levels=256", 422), ("form=1", 422)],
    )
    def test_rubbish_is_refused_before_the_handshake(self, service, log, query, status):
        refused = refusal(service, f"/executions/{log.id}/ws?{query}")
        assert refused.status_code == status
        assert json.loads(refused.resp_body)["code"] == "invalid_request"

    def test_nobody_sees_the_execution_of_another(self, guarded):
        log = Log(guarded, owner="ada")
        for id_ in (log.id, UNKNOWN):
            refused = refusal(guarded, f"/executions/{id_}/ws", as_user("bob"))
            assert refused.status_code == 404

    def test_without_credentials_there_is_no_handshake(self, guarded):
        log = Log(guarded, owner="ada")
        assert refusal(guarded, f"/executions/{log.id}/ws").status_code == 401

    @pytest.mark.parametrize(
        "headers",
        [{}, {"Upgrade": "h2c", "Connection": "Upgrade"},
         {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
         {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "12",
          "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}],
    )  # fmt: skip
    def test_what_is_no_handshake_is_told_so(self, service, client, log, assert_problem, headers):
        ours, theirs = socket.socketpair()
        response = client.get(
            f"/executions/{log.id}/ws", headers=headers,
            environ_overrides={"slipway.socket": theirs},
        )  # fmt: skip
        assert_problem(response, 400, "malformed_request")
        assert "WebSocket" in response.json["detail"]
        ours.close()
        theirs.close()
        assert not service.services.places._open

    def test_a_server_that_hands_out_no_socket_cannot_do_it(self, service, log):
        refused = refusal(service, f"/executions/{log.id}/ws", server=False)
        assert refused.status_code == 501


class Traveller:
    """A follower that is cut off again and again, and changes its transport each time."""

    def __init__(self, service, log, levels):
        self._service, self._log, self._levels = service, log, levels
        self.got: list[int] = []

    @property
    def cursor(self):
        return self.got[-1] if self.got else -1

    @property
    def to_come(self):
        return [place for place in self._log.places(self._levels) if place > self.cursor]

    def leg(self, accept, budget, query, mark, **headers):
        """Go on, and be cut off after some bytes, or when there is no more to come for now."""
        last = mark % self.to_come[-1] if self.to_come else b""
        address = path(self._log, f"levels={self._levels}&{query}")
        with open_stream(self._service.client, address, accept, **headers) as stream:
            stream.read_until(lambda got: len(got) >= budget or last in got)
        stream.received = stream.received[:budget]
        return stream

    def sse(self, budget):
        more = {"Last_Event_ID": str(self.cursor)} if self.got else {}
        stream = self.leg(SSE, budget, "from=0", b'"index":%d}\n\n', **more)
        self.got += [frame.id for frame in stream.frames if frame.event == "log"]

    def ndjson(self, budget):
        stream = self.leg(NDJSON, budget, f"after={self.cursor}", b'"index":%d}\n')
        self.got += [line["index"] for line in stream.lines if line["type"] == "log"]

    def text(self, budget):
        if not self.to_come:
            return  # a text says nothing while nothing is written
        stream = self.leg(TEXT, budget, f"follow=true&after={self.cursor}", b"line %d\n")
        complete = stream.received[: stream.received.rfind(b"\n") + 1].decode()
        self.got += [int(line.rpartition(" ")[2]) for line in complete.splitlines()]

    def poll(self, budget):
        query = f"levels={self._levels}&after={self.cursor}&size={budget // 100}&timeout=0"
        page = self._service.client.get(path(self._log, query)).json
        self.got += [entry["index"] for entry in page["logs"]]

    def websocket(self, budget):
        query = f"levels={self._levels}&after={self.cursor}"
        with web_socket(self._service, f"/executions/{self._log.id}/ws?{query}") as ws:
            for _ in self.to_come[: budget // 100]:
                self.got.append(ws.until("log")[-1]["index"])

    def rest(self):
        """Go on to the end of what has ended."""
        more = {"Last_Event_ID": str(self.cursor)}
        with open_stream(
            self._service.client, path(self._log, f"levels={self._levels}"), **more
        ) as stream:
            stream.read()
        self.got += [frame.id for frame in stream.frames if frame.event == "log"]
        assert stream.frames[-1].event == "end"


LEGS = st.tuples(
    st.sampled_from(["sse", "ndjson", "poll", "text", "websocket"]),
    st.integers(0, 1500),
    st.lists(st.sampled_from([D, I, W, E]), max_size=6),
)


def test_a_follower_that_is_cut_and_changes_transport_gets_every_entry_once(service):
    @settings(max_examples=20, suppress_health_check=[FIXTURES])
    @given(levels=st.integers(1, ALL), legs=st.lists(LEGS, max_size=8))
    def check(levels, legs):
        log = Log(service).see(ExecutionStatus.RUNNING)
        traveller = Traveller(service, log, levels)
        for transport, budget, new in legs:
            if new:
                log.write(new)
            getattr(traveller, transport)(budget)
        log.end()
        traveller.rest()
        assert traveller.got == log.places(levels)

    check()
