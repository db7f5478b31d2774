"""One stream of many topics, on the wire."""

from urllib.parse import quote

import pytest
from follow_kit import Log, open_stream, service_in
from service_kit import PASSWORDS, basic, gone, users

from app.domain import ExecutionStatus, TaskStatus
from app.domain import Task as DomainTask

SSE, NDJSON = "text/event-stream", "application/x-ndjson"
UNKNOWN = "00000000-0000-4000-8000-00000000ffff"
RUNNING, FAILED = ExecutionStatus.RUNNING, ExecutionStatus.FAILED


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


def address(*topics):
    return f"/events?topics={quote(','.join(topics))}"


def follow(client, *topics, **headers):
    return open_stream(client, address(*topics), **headers)


def told(stream, topic, *kinds):
    """The events of a topic so far, of some kinds: names and data without the topic."""
    found = [(f.event, f.data) for f in stream.frames if f.data.get("topic") == topic]
    return [(name, data) for name, data in found if not kinds or name in kinds]


def wait_for(stream, topic, kind, number=1):
    stream.read_until(lambda _: len(told(stream, topic, kind)) >= number)
    return told(stream, topic, kind)[-1][1]


class TestOneStream:
    def test_who_asks_the_same_as_somebody_before_is_told_all_of_it(self, client, log):
        log.write(3).end()
        topic = f"execution/{log.id}"

        def all_of_it():
            with follow(client, topic) as stream:
                wait_for(stream, topic, "end")
            return told(stream, topic)

        first, *others = [all_of_it() for _ in range(3)]
        assert [name for name, _ in first][::2] == ["status", "end"]
        assert first[0][1]["state"] == "SUCCESS"
        assert others == [first, first]

    def test_two_who_read_at_the_same_time_are_both_told_of_each_change(self, client, log):
        topic = f"execution/{log.id}"
        with follow(client, topic) as one, follow(client, topic) as other:
            for stream in (one, other):
                assert wait_for(stream, topic, "status")["state"] == "PENDING"
            log.write(1).end()
            for stream in (one, other):
                wait_for(stream, topic, "end")
                assert told(stream, topic, "status")[-1][1]["state"] == "SUCCESS"

    def test_each_event_names_its_topic_and_the_end_of_all_ends_it(self, client, log):
        log.write(3).end()
        topics = [f"log/{log.id}", f"execution/{log.id}"]
        with follow(client, *topics) as stream:
            assert stream.status == 200
            stream.read()
        first, *rest, last = stream.frames
        assert (first.event, first.data) == ("opened", {"heartbeat": 0.1})
        assert (last.event, last.data) == ("end", {})
        assert {frame.data["topic"] for frame in rest} == {*topics}
        for topic in topics:
            assert told(stream, topic)[-1][0] == "end"

    def test_the_entries_of_a_log_come_together_with_their_cursor(self, client, log):
        log.write(3).end()
        with follow(client, f"log/{log.id}") as stream:
            stream.read()
        ((_, data),) = told(stream, f"log/{log.id}", "log")
        assert [entry["index"] for entry in data["entries"]] == [0, 1, 2]
        assert data["after"] == 2
        assert data["entries"][0] == {
            "level": "INFO", "timestamp": "2022-10-20T12:32:29.774Z", "content": "line 0",
            "task": "split", "index": 0,
        }  # fmt: skip

    def test_each_topic_has_a_cursor_and_options_of_its_own(self, service, client, log):
        other = Log(service).write(5).end()
        log.write(5).end()
        cursors = [f"log/{log.id};after=3", f"log/{other.id};task=split;after=0"]
        names = [f"log/{log.id}", f"log/{other.id};task=split"]
        with follow(client, *cursors) as stream:
            stream.read()
        found = [
            [e["index"] for _, data in told(stream, name, "log") for e in data["entries"]]
            for name in names
        ]
        assert found == [[4], [3]]

    def test_a_task_may_have_whatever_separates_topics_in_its_name(self, client, log):
        log.write(1).end()
        name = f"log/{log.id};task={quote('a,b;c=d/ü', safe='')}"
        with follow(client, name) as stream:
            stream.read()
        assert told(stream, name)[-1][0] == "end"

    def test_lines_of_json_say_the_same(self, client, log):
        log.write(2).end()
        with follow(client, f"log/{log.id}", accept=NDJSON) as stream:
            stream.read()
        kinds = [line["type"] for line in stream.lines]
        assert kinds == ["opened", "status", "log", "end", "end"]
        assert [line.get("topic") for line in stream.lines[1:]] == [f"log/{log.id}"] * 3 + [None]

    def test_heartbeats_come_and_what_happens_in_any_topic(self, client, service, log):
        other = Log(service)
        with follow(client, f"log/{log.id}", f"log/{other.id}", "executions") as stream:
            stream.read_until(lambda got: got.count(b":\n\n") > 2)
            log.write(1)
            wait_for(stream, f"log/{log.id}", "log")
            other.write(1)
            wait_for(stream, f"log/{other.id}", "log")
            other.see(RUNNING)
            stream.read_until(
                lambda _: (
                    (other.id, "RUNNING")
                    in {(d["id"], d["state"]) for _, d in told(stream, "executions", "status")}
                )
            )
        log.end()
        other.end()

    def test_a_long_log_does_not_keep_the_others_waiting(self, client, service, log):
        log.write(2500).end()
        other = Log(service).write(1).end()
        with follow(client, f"log/{log.id}", f"log/{other.id}") as stream:
            stream.read()
        order = [f.data["topic"] for f in stream.frames if f.event == "log"]
        assert order.index(f"log/{other.id}") <= 1
        assert order.count(f"log/{log.id}") >= 5

    def test_it_holds_one_place(self, service, client, log):
        with follow(client, f"log/{log.id}", "executions", f"execution/{log.id}") as stream:
            wait_for(stream, f"execution/{log.id}", "status")
            assert service.services.places._open.total() == 1
        log.end()
        assert service.services.places._open.total() == 0
        assert service.web.changes.waiting == 0

    def test_a_process_that_stops_says_where_to_go_on(self, make_service):
        service = make_service(streams__heartbeat="100ms")
        log = Log(service).write(4)
        with follow(service.client, f"log/{log.id}", "executions") as stream:
            wait_for(stream, f"log/{log.id}", "log")
            service.web.changes.close()
            stream.read()
        assert told(stream, f"log/{log.id}", "moved")[0][1]["after"] == 3
        assert stream.frames[-1].event == "moved"
        assert "topic" not in stream.frames[-1].data


class TestAnExecution:
    def test_it_tells_status_tasks_and_their_numbers(self, client, log):
        log.tasks(DomainTask("first", TaskStatus.RUNNING))
        topic = f"execution/{log.id}"
        with follow(client, topic) as stream:
            tasks = wait_for(stream, topic, "tasks")
            assert [task["name"] for task in tasks["tasks"]] == ["first", "second"]
            assert (tasks["total"], tasks["done"], tasks["running"]) == (2, 0, 1)
            log.see(RUNNING, tasks=[DomainTask("first", TaskStatus.SUCCESS)], progress=0.5)
            tasks = wait_for(stream, topic, "tasks", 2)
            assert [task["name"] for task in tasks["tasks"]] == ["first"]
            assert (tasks["total"], tasks["done"], tasks["running"]) == (2, 1, 0)
            stream.read_until(
                lambda _: any(d["progress"] == 0.5 for _, d in told(stream, topic, "status"))
            )
            log.end(FAILED)
            stream.read()
        assert told(stream, topic)[-1][1]["state"] == "FAILED"
        assert told(stream, topic, "log") == []

    def test_what_is_written_into_its_log_is_no_news(self, client, log):
        log.see(RUNNING)
        topic = f"execution/{log.id}"
        with follow(client, topic) as stream:
            wait_for(stream, topic, "status")
            log.write(5)
            log.end()
            stream.read()
        assert [data["state"] for _, data in told(stream, topic, "status")][-1] == "SUCCESS"
        assert told(stream, topic, "log", "dropped") == []

    def test_the_moment_up_to_which_it_stands_so_moves_on_in_silence(self, service, client, log):
        topic = f"execution/{log.id}"
        with follow(client, topic) as stream:
            first = wait_for(stream, topic, "status")["as_of"]
            log.see(log.status)
            stream.read_until(
                lambda _: any(d["as_of"] > first for _, d in told(stream, topic, "status"))
            )
        log.end()


class TestAllExecutions:
    def test_what_ended_meanwhile_is_told_to_who_comes_back(self, client, service, log):
        log.see(RUNNING)
        with follow(client, "executions") as stream:
            stream.read_until(lambda _: log.id in ids(stream))
            after = told(stream, "executions", "status")[-1][1]["after"]
        log.end(FAILED)
        with follow(client, f"executions;after={after}") as stream:
            stream.read_until(lambda _: log.id in ids(stream))
        (data,) = [d for _, d in told(stream, "executions") if d["id"] == log.id]
        assert data["state"] == "FAILED"
        assert data["after"] > after
        assert (data["owner"], data["stale"], data["brief"]["active"]) == ("anonymous", False, 0)

    def test_without_a_cursor_only_what_has_not_ended(self, client, service, log):
        log.end()
        open_one = Log(service)
        with follow(client, "executions") as stream:
            stream.read_until(lambda _: open_one.id in ids(stream))
        assert log.id not in ids(stream)
        open_one.end()

    def test_it_begins_again_by_itself_where_changes_were_lost(self, client, service, log):
        with follow(client, "executions") as stream:
            stream.read_until(lambda _: log.id in ids(stream))
            service.web.changes._changed(None)
            stream.read_until(lambda _: ids(stream).count(log.id) > 1)
        assert told(stream, "executions", "moved") == []
        log.end()


def ids(stream):
    return [data["id"] for _, data in told(stream, "executions", "status")]


class TestRefusals:
    def test_an_unknown_one_is_told_and_the_others_go_on(self, client, log):
        log.write(1).end()
        names = [f"log/{UNKNOWN}", "weather/today", "executions/x", "log", f"log/{log.id}"]
        with follow(client, *names) as stream:
            stream.read()
        for name in names[:-1]:
            ((kind, data),) = told(stream, name)
            assert (kind, data["status"], data["code"]) == ("refused", 404, "not_found"), name
            assert data["detail"]
        assert told(stream, names[-1])[-1][0] == "end"

    def test_what_another_one_owns_is_there_for_nobody_else(self, guarded):
        log = Log(guarded, owner="ada").write(1).end()
        with follow(guarded.client, f"log/{log.id}", **as_user("bob")) as stream:
            stream.read()
        ((kind, data),) = told(stream, f"log/{log.id}")
        assert (kind, data["status"]) == ("refused", 404)

    @pytest.mark.parametrize(
        ("topics", "says"),
        [
            ("", "must have 1 to 6000 characters"),
            ("x" * 6001, "must have 1 to 6000 characters"),
            ("executions,", "place 2"),
            (",".join(["executions"] * 51), "more than 50"),
            ("executions,executions;after=3", "only once, and not at place 2"),
            (f"log/{UNKNOWN};after=x", "place 1, 'after'"),
            (f"log/{UNKNOWN};after=-2", "place 1, 'after'"),
            (f"log/{UNKNOWN};after", "value for 'after' at place 1"),
            (f"log/{UNKNOWN};after=1;after=2", "'after' only once"),
            (f"log/{UNKNOWN};levels=256", "'levels'"),
            (f"executions,log/{UNKNOWN};colour=red", "place 2, 'colour'"),
        ],
    )
    def test_a_fault_is_named_with_its_place(self, client, topics, says):
        answer = client.get(f"/events?topics={quote(topics)}")
        assert answer.status_code == 422
        (fault,) = answer.json["fields"]
        assert fault["path"] == "topics"
        assert says in fault["message"]

    def test_the_topics_are_needed(self, client):
        answer = client.get("/events")
        assert answer.status_code == 422
        assert answer.json["fields"][0]["path"] == "topics"

    def test_the_end_of_a_credential_ends_all_topics(self, guarded):
        log = Log(guarded, owner="ada").write(1)
        names = [f"log/{log.id}", f"execution/{log.id}", "executions"]
        with follow(guarded.client, *names, **as_user("ada")) as stream:
            wait_for(stream, names[0], "log")
            with gone(guarded, "ada"):
                stream.read()
        last = stream.frames[-1]
        assert (last.event, last.data) == (
            "expired", {"reason": "There is no such user any more."},
        )  # fmt: skip
        assert not [
            told(stream, name, "expired") for name in names if told(stream, name, "expired")
        ]
        assert guarded.web.changes.waiting == 0
        log.end()

    def test_forms_that_there_are_not_are_refused(self, client):
        answer = client.get(address("executions"), headers={"Accept": "text/html"})
        assert answer.status_code == 406
