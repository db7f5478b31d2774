import json
import threading
import time
from threading import Semaphore

import pytest
from kit.patience import await_that, held

from app.domain import ExecutionStatus, Level, NewLogEntry, Observation
from app.resources.root.logs import LogArgsSchema

D, I, W, E = Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR  # noqa: E741
LOG = [I, D, W, I, E, D, I]
SHOWN = [0, 2, 3, 4, 6]
"""Places of the entries that ``levels=0`` lets through."""


def entries(levels, first=0):
    return tuple(
        NewLogEntry(level, 1_666_269_149_774 + i, f"line {i}", "split" if i % 2 else "")
        for i, level in enumerate(levels, start=first)
    )


@pytest.fixture
def grow(service):
    """Make an execution's log longer, or complete."""

    def grow(execution, levels=(), *, end=False):
        status = ExecutionStatus.SUCCESS if end else ExecutionStatus.RUNNING
        current = service.store.get(execution.id)
        new = entries(levels, current.log_total)
        seen = Observation(status, cursor=None, entries=new, log_complete=end)
        return service.record(execution, seen)

    return grow


@pytest.fixture
def execution(service, grow):
    return grow(service.add_execution(), LOG)


@pytest.fixture
def read(client, execution):
    """Read a page, without waiting unless told."""

    def read(**query):
        response = client.get(
            f"/executions/{execution.id}/logs", query_string={"timeout": "0", **query}
        )
        assert response.status_code == 200, response.text
        return response.json

    return read


def places(page):
    return [entry["index"] for entry in page["logs"]]


class TestPartsOfIt:
    def test_one_task(self, read):
        page = read(levels=15, task="split")
        assert (places(page), page["total_results"]) == ([1, 3, 5], 3)
        assert places(read(levels=15, task="split", size=1, **{"from": 1})) == [3]
        assert places(read(levels=1, task="split")) == [1, 5]
        assert places(read(levels=15, task="")) == [0, 2, 4, 6]
        assert places(read(levels=15, task="split", after=1)) == [3, 5]
        assert read(task="nobody")["total_results"] == 0

    def test_the_end_of_it(self, read):
        page = read(levels=15, tail=2)
        assert (places(page), page["from"], page["total_results"]) == ([5, 6], 5, 7)
        assert places(read(tail=2)) == [4, 6]
        assert places(read(levels=15, tail=2, size=1)) == [5]
        assert places(read(levels=15, tail=99)) == list(range(7))
        assert places(read(levels=15, tail=1, task="split")) == [5]
        assert places(read(levels=15, tail=0)) == []

    @pytest.mark.parametrize("query", ["task=split&from=3", "tail=0&task=split", "tail=0"])
    def test_a_poll_waits_for_what_it_asked_for(self, service, execution, grow, query):
        answers = []
        address = f"/executions/{execution.id}/logs?timeout=1m&levels=15&{query}"
        thread = threading.Thread(target=lambda: answers.append(service.client.get(address)))
        thread.start()
        await_that(lambda: held(service.web.changes))
        grow(execution, [I])
        thread.join(30)
        assert [places(answer.json) for answer in answers] == [[7]]

    def test_it_is_complete_where_nothing_can_come_behind_the_page(self, read, grow, execution):
        grow(execution, end=True)
        for query, complete in [
            ({}, True),
            ({"size": 4}, False),
            ({"size": 5}, True),
            ({"size": 0}, False),
            ({"from": 4, "size": 1}, True),
            ({"from": 5, "size": 0}, True),
            ({"from": 99}, True),
            ({"tail": 3, "size": 2}, False),
            ({"task": "split", "size": 1, "levels": 1}, False),
            ({"task": "split", "size": 2, "levels": 1}, True),
        ]:
            assert read(**query)["complete"] is complete, query


class TestPage:
    def test_the_answer_has_the_keys_of_the_contract(self, client, execution):
        response = client.get(f"/executions/{execution.id}/logs?from=0&timeout=1m&size=-1&levels=0")
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/json"
        body = response.json
        assert set(body) == {
            "logs", "total_results", "from", "execution_status", "execution_state", "complete",
        }  # fmt: skip
        assert (body["total_results"], body["from"]) == (5, 0)
        assert (body["execution_status"], body["execution_state"]) == ("RUNNING", "RUNNING")
        assert body["complete"] is False
        assert body["logs"][0] == {
            "level": "INFO", "timestamp": "2022-10-20T12:32:29.774Z", "content": "line 0",
            "task": "", "index": 0,
        }  # fmt: skip
        assert [entry["level"] for entry in body["logs"]] == [
            "INFO",
            "WARN",
            "INFO",
            "ERROR",
            "INFO",
        ]
        assert places(body) == SHOWN

    def test_the_defaults_are_those_of_the_contract(self, client, execution):
        explicit = client.get(
            f"/executions/{execution.id}/logs?from=0&timeout=1m&size=-1&levels=0"
        ).json
        assert client.get(f"/executions/{execution.id}/logs").json == explicit

    @pytest.mark.parametrize("levels", range(16))
    def test_any_mask_any_stretch(self, read, levels):
        mask = levels or 14
        expected = [place for place, level in enumerate(LOG) if level & mask]
        for start, size in [(0, -1), (1, 2), (3, 100), (0, 0), (2, 0)]:
            page = read(**{"from": start, "size": size, "levels": levels})
            assert places(page) == (
                expected[start:] if size < 0 else expected[start : start + size]
            )
            assert (page["total_results"], page["from"]) == (len(expected), start)

    def test_all_means_no_more_than_the_service_allows(self, make_service):
        service = make_service(logs__max_page="3")
        execution = service.add_execution()
        service.record(
            execution, Observation(ExecutionStatus.RUNNING, cursor=None, entries=entries([I] * 10))
        )
        for size in (-1, 4, 2**53 - 1):
            page = service.client.get(f"/executions/{execution.id}/logs?size={size}").json
            assert (places(page), page["total_results"]) == ([0, 1, 2], 10)

    @pytest.mark.parametrize("levels", [2, 15])
    def test_a_page_of_very_long_lines_ends_sooner(self, service, levels):
        execution = service.add_execution()
        new = tuple(NewLogEntry(I, 1_666_269_149_774 + i, "x" * 65_536) for i in range(1_600))
        for start in (0, 800):
            seen = Observation(ExecutionStatus.RUNNING, None, entries=new[start : start + 800])
            service.record(execution, seen)
        path = f"/executions/{execution.id}/logs?levels={levels}&size="
        answer = service.client.get(f"{path}-1")
        assert len(answer.data) < 5 << 20
        assert int(answer.headers["Content-Length"]) == len(answer.data)
        assert (places(answer.json), answer.json["total_results"]) == (list(range(64)), 1_600)
        read = []
        while len(read) < 200:
            read += places(service.client.get(f"{path}{200 - len(read)}&from={len(read)}").json)
        assert read == list(range(200))

    def test_an_entry_larger_than_any_page_is_one_of_its_own(self, service):
        execution = service.add_execution()
        new = tuple(NewLogEntry(I, 1_666_269_149_774, text) for text in ("a", "b" * 6_000_000, "c"))
        service.record(execution, Observation(ExecutionStatus.RUNNING, None, entries=new))
        path = f"/executions/{execution.id}/logs?size=-1"
        first = service.client.get(path).json
        assert places(first) == [0, 1]
        assert first["logs"][1]["content"] == "b" * 6_000_000
        assert places(service.client.get(f"{path}&from=2").json) == [2]

    @pytest.mark.parametrize("kept", [True, False])
    def test_a_long_page_is_the_same_whether_it_is_kept_or_read_again(
        self, service, kept, monkeypatch
    ):
        execution = service.add_execution()
        seen = Observation(ExecutionStatus.RUNNING, None, entries=entries([I, D] * 1_500))
        service.record(execution, seen)
        monkeypatch.setattr("app.resources._log_page._KEPT_PAGES", Semaphore(int(kept)))
        for query, expected in {"levels=15": range(3_000), "levels=2": range(0, 3_000, 2)}.items():
            address = f"/executions/{execution.id}/logs?{query}"
            answer = service.client.get(address, buffered=True)
            assert int(answer.headers["Content-Length"]) == len(answer.data)
            assert places(answer.json) == list(expected)
            assert answer.json["total_results"] == len(expected)
        assert not service.services.places._open

    def test_a_long_page_holds_a_place_until_it_is_taken(self, make_service, assert_problem):
        service = make_service(streams__max_total=1)
        execution = service.add_execution()
        seen = Observation(ExecutionStatus.RUNNING, None, entries=entries([I] * 1_500))
        service.record(execution, seen)
        path = f"/executions/{execution.id}/logs"
        page = service.client.get(path, buffered=False)
        assert_problem(service.client.get(path), 429, "limit_exceeded")
        assert places(service.client.get(f"{path}?size=500").json) == list(range(500))
        page.close()
        assert service.client.head(path, buffered=True).status_code == 200
        assert places(service.client.get(path, buffered=True).json) == list(range(1_500))
        assert not service.services.places._open

    def test_a_page_is_read_in_batches_and_has_no_gap(self, service):
        execution = service.add_execution()
        seen = Observation(ExecutionStatus.RUNNING, None, entries=entries([I, D] * 2_500))
        service.record(execution, seen)
        path = f"/executions/{execution.id}/logs"
        for query, expected in {
            "levels=15": range(5_000),
            "levels=2": range(0, 5_000, 2),
            "levels=1&from=1500": range(3_001, 5_000, 2),
            "levels=15&from=7&size=2500": range(7, 2_507),
            "levels=15&size=1000": range(1_000),
            "levels=15&from=4999": range(4_999, 5_000),
        }.items():
            assert places(service.client.get(f"{path}?{query}").json) == list(expected)

    def test_a_follower_that_goes_on_where_a_page_ended_gets_each_entry_once(self, read):
        seen, start = [], 0
        while page := read(**{"from": start, "size": 2})["logs"]:
            seen += [entry["index"] for entry in page]
            start += len(page)
        assert seen == SHOWN

    def test_an_index_means_the_same_for_ever(self, read, grow, execution):
        before = read(**{"from": 1, "size": 3})["logs"]
        grow(execution, [E, D, I] * 200)
        grow(execution, [W], end=True)
        assert read(**{"from": 1, "size": 3})["logs"] == before

    @pytest.mark.parametrize(
        ("parameter", "values"),
        [
            (
                "from",
                ["-1", "a", "1.5", "", "9007199254740992", "1e3", "0x1", "null", "1 2", "1_0", "٣"],
            ),
            ("size", ["-2", "a", "1.5", "", "-1.0", "9" * 400]),
            ("levels", ["256", "1000", "-1", "INFO", "", "1.0", "0b1111"]),
            (
                "timeout",
                ["soon", "-1s", "", "1", "60", "1m 30s", "1d", "601s", "1h", "1e400s", "s"],
            ),
            ("From", ["0"]),
            ("timout", ["0s"]),
            ("Timeout", ["0s"]),
            ("time_out", ["0s"]),
            ("level", ["15"]),
            ("form", ["5"]),
        ],
    )
    def test_rubbish_is_named(self, client, execution, assert_problem, parameter, values):
        for value in values:
            response = client.get(
                f"/executions/{execution.id}/logs", query_string={parameter: value}
            )
            assert_problem(response, 422, "invalid_request", parameter)

    def test_all_rubbish_is_named_at_once(self, client, execution, assert_problem):
        response = client.get(
            f"/executions/{execution.id}/logs?from=-1&size=-2&levels=256&timeout=soon&sizes=1"
        )
        names = ("from", "size", "levels", "timeout", "sizes")
        faults = assert_problem(response, 422, "invalid_request", *names)
        assert faults["sizes"] == "is not known here; did you mean 'size'?"
        details = [error["detail"] for error in response.json["errors"]]
        assert all(any(detail.startswith(name) for detail in details) for name in names)
        assert details[0] in response.json["detail"]

    @pytest.mark.parametrize("query", ["x=1", "_=1690", "access_token=abc&utm_source=x", "n&n&n"])
    def test_what_nobody_knows_is_left_out(self, client, execution, query):
        answer = client.get(f"/executions/{execution.id}/logs?timeout=0s&{query}")
        assert answer.json == client.get(f"/executions/{execution.id}/logs?timeout=0s").json

    def test_there_may_not_be_many_of_these(self, client, execution, assert_problem):
        query = "&".join(f"x{i}" for i in range(21))
        response = client.get(f"/executions/{execution.id}/logs?{query}")
        assert_problem(response, 422, "invalid_request", "query")

    @pytest.mark.parametrize(
        ("mask", "same_as"), [(16, 0), (17, 1), (31, 15), (128, 0), (240, 0), (255, 15), (24, 8)]
    )
    def test_bits_of_the_mask_that_mean_nothing_are_left_out(self, read, mask, same_as):
        assert read(levels=mask, timeout="0s") == read(levels=same_as, timeout="0s")

    @pytest.mark.parametrize(
        "timeout", ["0", "0s", "1ns", "1ms", "+1ms", "0.001s", "1us1ns", "10m"]
    )
    def test_durations_are_written_as_in_go(self, read, timeout):
        assert read(timeout=timeout)["total_results"] == 5

    @pytest.mark.parametrize(
        "query", ["timeout=\u00b5s", "from=%00", "levels=%ff", "size=\U0001f600"]
    )
    def test_bytes_that_mean_nothing_are_rubbish(self, client, execution, query):
        assert client.get(f"/executions/{execution.id}/logs?{query}").status_code == 422


class Poll:
    """A long poll under way in a thread."""

    def __init__(self, service, execution, **query):
        self._answers = []
        self._thread = threading.Thread(
            target=lambda: self._answers.append(
                service.client.get(f"/executions/{execution.id}/logs", query_string=query)
            )
        )
        before = held(service.web.changes)
        self._thread.start()
        await_that(lambda: held(service.web.changes) > before, "it is held")

    @property
    def open(self):
        self._thread.join(0.3)
        return self._thread.is_alive()

    def answer(self):
        self._thread.join(30)
        [answer] = self._answers
        assert answer.status_code == 200
        return answer.json


class TestLongPoll:
    def test_entries_that_wait_are_answered_at_once(self, client, execution):
        assert client.get(f"/executions/{execution.id}/logs?timeout=10m").json["logs"]

    def test_an_entry_ends_the_wait(self, service, execution, grow):
        poll = Poll(service, execution, **{"from": 5, "timeout": "10m"})
        grow(execution, [W])
        page = poll.answer()
        assert (places(page), page["total_results"], page["from"]) == ([7], 6, 5)

    def test_an_entry_that_the_filter_holds_back_does_not(self, service, execution, grow):
        poll = Poll(service, execution, **{"from": 5, "timeout": "10m"})
        grow(execution, [D, D])
        assert poll.open
        grow(execution, [E])
        assert places(poll.answer()) == [9]

    def test_the_end_of_the_execution_ends_the_wait(self, service, execution, grow):
        poll = Poll(service, execution, **{"from": 5, "timeout": "10m"})
        grow(execution, end=True)
        page = poll.answer()
        assert (page["logs"], page["total_results"]) == ([], 5)
        assert (page["execution_status"], page["complete"]) == ("SUCCESS", True)

    def test_an_end_with_more_entries_to_come_does_not(self, service, execution, grow):
        poll = Poll(service, execution, **{"from": 5, "timeout": "10m"})
        service.record(execution, Observation(ExecutionStatus.SUCCESS, cursor=None))
        assert poll.open
        grow(execution, [I], end=True)
        page = poll.answer()
        assert (places(page), page["execution_status"]) == ([7], "SUCCESS")

    def test_when_the_time_is_over_there_are_none(self, read):
        page = read(**{"from": 5, "timeout": "50ms"})
        assert (page["logs"], page["total_results"], page["from"]) == ([], 5, 5)
        assert page["complete"] is False

    def test_beyond_the_end_that_very_index_is_waited_for(self, service, execution, grow):
        poll = Poll(service, execution, **{"from": 7, "timeout": "10m"})
        grow(execution, [I])
        grow(execution, [W])
        assert poll.open
        grow(execution, [E])
        page = poll.answer()
        assert (places(page), page["from"], page["total_results"]) == ([9], 7, 8)

    def test_of_what_has_ended_nothing_is_waited_for(self, read, grow, execution):
        grow(execution, end=True)
        page = read(**{"from": 1_000_000, "timeout": "10m"})
        assert (page["logs"], page["total_results"], page["complete"]) == ([], 5, True)

    def test_who_asks_again_beyond_the_end_of_a_finished_log_is_held(
        self, service, read, grow, execution
    ):
        """Until its own time is over: it would be answered as fast as it can ask."""
        grow(execution, end=True)
        query = {"from": 5, "size": 50, "levels": 14}
        assert read(**query, timeout="10m")["complete"] is True
        held = Poll(service, execution, **query, timeout="10m")
        further = Poll(service, execution, **{**query, "from": 77, "timeout": "10m"})
        behind = Poll(service, execution, after=1000, timeout="10m")
        assert held.open
        for at_once in (
            {**query, "timeout": "0"},
            {**query, "from": 4, "timeout": "10m"},
            {"from": 5, "size": 0, "timeout": "10m"},
            {"from": 5, "levels": 15, "timeout": "10m"},
        ):
            page = read(**at_once)
            assert (page["complete"], page["execution_status"]) == (True, "SUCCESS")
        began = time.monotonic()
        short = read(**query, timeout="300ms")
        assert time.monotonic() - began >= 0.3
        assert (short["logs"], short["total_results"], short["complete"]) == ([], 5, True)
        service.web.changes.close()
        for poll in (held, further, behind):
            assert poll.answer()["complete"] is True

    def test_each_caller_is_told_once_at_once(self, guarded, as_user):
        execution = guarded.add_execution("ada")
        guarded.record(execution, Observation(ExecutionStatus.FAILED, None, log_complete=True))
        path = f"/executions/{execution.id}/logs?timeout=10m"
        for name in ("ada", "ops", "root"):
            answer = guarded.client.get(path, headers=as_user(name))
            assert (answer.status_code, answer.json["complete"]) == (200, True)
        elsewhere = guarded.client.get(
            path, headers=as_user("ada"), environ_base={"REMOTE_ADDR": "10.0.0.1"}
        )
        assert elsewhere.json["complete"] is True

    def test_who_waited_for_the_end_may_ask_once_more(self, service, read, grow, execution):
        poll = Poll(service, execution, **{"from": 5, "timeout": "10m"})
        grow(execution, end=True)
        assert poll.answer()["complete"] is True
        assert read(**{"from": 5, "timeout": "10m"})["complete"] is True

    def test_the_total_alone_is_told_at_once(self, read):
        page = read(**{"from": 99, "size": 0, "timeout": "10m"})
        assert (page["logs"], page["total_results"]) == ([], 5)

    def test_a_process_that_stops_answers_what_it_has(self, service, execution):
        polls = [Poll(service, execution, **{"from": 5 + i, "timeout": "10m"}) for i in range(3)]
        service.web.changes.close()
        assert [poll.answer()["logs"] for poll in polls] == [[], [], []]

    def test_many_readers_get_the_same_line(self, service, execution, grow):
        polls = [Poll(service, execution, **{"from": 5, "timeout": "10m"}) for _ in range(20)]
        grow(execution, [W])
        assert {json.dumps(poll.answer()) for poll in polls} == {json.dumps(polls[0].answer())}
        assert service.web.changes.waiting == 0

    def test_a_follower_of_a_growing_log_gets_every_entry_once_and_in_order(
        self, service, execution, grow
    ):
        def write():
            for i in range(60):
                grow(execution, [LOG[i % 7]] * (i % 3))
            grow(execution, end=True)

        writer = threading.Thread(target=write)
        writer.start()
        seen, start = [], 0
        while True:
            page = service.client.get(
                f"/executions/{execution.id}/logs",
                query_string={"from": start, "levels": 15, "size": 7, "timeout": "30s"},
            ).json
            assert page["from"] == start
            seen += places(page)
            start += len(page["logs"])
            if page["complete"] and start >= page["total_results"]:
                break
        writer.join()
        assert seen == list(range(service.store.get(execution.id).log_total))


def test_a_log_that_was_never_written_is_empty(service, client):
    execution = service.add_execution()
    page = client.get(f"/executions/{execution.id}/logs?timeout=0").json
    assert (page["logs"], page["total_results"], page["from"]) == ([], 0, 0)
    assert (page["execution_status"], page["execution_state"]) == ("RUNNING", "PENDING")


def test_a_poll_that_names_no_time_ends_before_clients_of_a_minute_give_up():
    assert 50 < LogArgsSchema().load({})["timeout"] < 60
