"""``?grep=`` on logs, in each form in which a log can be had."""

import json
import re
import threading
from urllib.parse import quote

import pytest
from follow_kit import Log
from kit.patience import PATIENCE_SECONDS, await_that, held

from app.domain import Level
from app.services import grep as greps
from app.services import stretches, tallies

D, I, W, E = Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR  # noqa: E741
SSE, NDJSON, TEXT = "text/event-stream", "application/x-ndjson", "text/plain"
CONTENTS = ["one", "two", "three one", "", "ONE\ntwo", "four", "\N{SNOWMAN} one"]
LEVELS = [I, W, D, I, E, I, I]
"""Entries 0, 3 and 6 are of the task 'split'."""


@pytest.fixture
def log(service):
    return Log(service).write(LEVELS, CONTENTS)


@pytest.fixture
def read(client, log):
    """Read a page, without waiting unless told."""

    def read(grep, **query):
        query = {"timeout": "0", "levels": 15, "grep": grep, **query}
        response = client.get(f"/executions/{log.id}/logs", query_string=query)
        assert response.status_code == 200, response.text
        return response.json

    return read


def places(page):
    return [entry["index"] for entry in page["logs"]]


def lines(answer):
    return [json.loads(line) for line in answer.data.splitlines() if line]


class TestPages:
    @pytest.mark.parametrize(
        ("grep", "found"),
        [
            ("one", [0, 2, 6]), ("(?i)one", [0, 2, 4, 6]), ("^one$", [0]), ("(?m)^two$", [1, 4]),
            ("\N{SNOWMAN}", [6]), ("^$", [3]), ("o|e", [0, 1, 2, 4, 5, 6]), ("five", []),
            (" ", [2, 6]), ("a+b", []),
        ],
    )  # fmt: skip
    def test_the_entries_that_match_and_no_others(self, read, grep, found):
        page = read(grep)
        assert (places(page), page["total_results"]) == (found, len(found))

    def test_all_else_that_may_be_asked_counts_among_what_matches(self, read):
        grep = "(?i)one"
        assert places(read(grep, size=2)) == [0, 2]
        page = read(grep, **{"from": 1, "size": 2})
        assert (places(page), page["from"], page["total_results"]) == ([2, 4], 1, 4)
        assert places(read(grep, after=0)) == places(read(grep, after=1)) == [2, 4, 6]
        assert read(grep, after=2)["from"] == 2
        assert places(read(grep, tail=2)) == [4, 6]
        assert places(read(grep, tail=3, size=1)) == [2]
        assert places(read(grep, levels=0)) == [0, 4, 6]
        assert places(read(grep, levels=1)) == [2]
        assert places(read(grep, task="split")) == [0, 6]
        assert places(read(grep, task="")) == [2, 4]
        assert places(read(grep, task="split", after=0, levels=2)) == [6]
        assert places(read(grep, task="split", tail=1)) == [6]
        assert read(grep, size=0)["total_results"] == 4
        assert places(read(grep, after=999)) == places(read(grep, **{"from": 99})) == []

    def test_it_is_complete_where_nothing_can_come_behind_the_page(self, read, log):
        assert read("one")["complete"] is False
        log.end()
        for query, complete in (
            ({}, True), ({"size": 2}, False), ({"size": 3}, True), ({"from": 3, "size": 1}, True),
            ({"after": 2, "size": 1}, True), ({"after": 0, "size": 1}, False),
        ):  # fmt: skip
            assert read("one", **query)["complete"] is complete, query
        assert read("nothing")["complete"] is True

    def test_pages_go_on_at_the_last_index_whatever_lies_between(self, read, log):
        log.write(700).write([I], ["the last one"]).end()
        found, after = [], -1
        while True:
            page = read("one", after=after, size=2)
            found += places(page)
            if page["complete"]:
                break
            after = found[-1]
        assert found == [0, 2, 6, 707]

    @pytest.mark.parametrize("query", ["", "&tail=0", "&from=3", "&after=6", "&task=split&from=2"])
    def test_a_poll_waits_for_what_matches_and_for_nothing_else(self, service, log, query):
        answers = []
        address = f"/executions/{log.id}/logs?timeout=1m&levels=15&grep=one{query}"
        if not query:
            address = address.replace("grep=one", "grep=the+awaited")
        thread = threading.Thread(target=lambda: answers.append(service.client.get(address)))
        thread.start()
        await_that(lambda: held(service.web.changes))
        log.write([I], ["nothing of it"])
        log.write([D, D], ["still", "nothing"])
        assert not answers
        log.write([I] * 3, ["the awaited one"] * 3)
        thread.join(PATIENCE_SECONDS)
        (answer,) = answers
        assert 12 in places(answer.json)  # which is of the task
        assert min(places(answer.json)) >= 10

    def test_another_pattern_has_another_tag(self, client, log):
        address = f"/executions/{log.id}/logs?timeout=0&levels=15&grep="
        tag = client.get(f"{address}two").headers["ETag"]
        assert client.get(f"{address}two", headers={"If-None-Match": tag}).status_code == 304
        assert client.get(f"{address}TWO", headers={"If-None-Match": tag}).status_code == 200
        assert client.get(f"{address}four", headers={"If-None-Match": tag}).status_code == 200

    def test_what_was_looked_through_is_not_again(self, service, read, monkeypatch):
        assert read("one")["total_results"] == 3
        counted = []
        monkeypatch.setattr(tallies.Tallies, "_further", lambda *_: counted.append(1))
        assert read("one", size=0)["total_results"] == 3
        assert not counted


class TestStreams:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("grep=one", [0, 2, 6]), ("grep=one&after=0", [2, 6]), ("grep=one&from=1", [2, 6]),
            ("grep=one&tail=2", [2, 6]), ("grep=one&task=split", [0, 6]), ("grep=five", []),
            ("grep=one&task=split&tail=1", [6]), ("grep=.*", [0, 1, 2, 3, 4, 5, 6]),
        ],
    )  # fmt: skip
    def test_lines_of_json(self, client, log, query, found):
        log.end()
        address = f"/executions/{log.id}/logs?levels=15&{query}"
        told = lines(client.get(address, headers={"Accept": NDJSON}))
        assert [each["index"] for each in told if each["type"] == "log"] == found
        assert [each["type"] for each in told if each["type"] != "log"] == ["status", "end"]
        assert told[-1]["total"] == 7

    def test_events(self, client, log):
        log.end()
        address = f"/executions/{log.id}/logs?levels=15&grep=one"
        told = client.get(address, headers={"Accept": SSE, "Last-Event-ID": "0"}).text
        assert [line for line in told.splitlines() if line.startswith("id: ")] == [
            "id: 2", "id: 6", "id: 7",
        ]  # fmt: skip

    def test_text_followed_and_not(self, client, log):
        log.end()
        address = f"/executions/{log.id}/logs?levels=15"
        for more in ("", "&follow=true"):
            told = client.get(f"{address}&grep=%5Eone{more}", headers={"Accept": TEXT})
            assert re.fullmatch(r"\S+ INFO  split: one\n", told.text), told.text
        last = client.get(f"{address}&grep=one&tail=1", headers={"Accept": TEXT})
        assert "\N{SNOWMAN} one" in last.text
        assert last.text.count("\n") == 1
        some = client.get(f"{address}&grep=one&size=2", headers={"Accept": TEXT}).text
        assert (some.count("\n"), "three one" in some) == (2, True)
        none = client.get(f"{address}&grep=five", headers={"Accept": TEXT})
        assert (none.status_code, none.data) == (200, b"")

    def test_ranges_are_of_the_whole_text_alone(self, client, log):
        log.end()
        headers = {"Accept": TEXT, "Range": "bytes=0-3"}
        answer = client.get(f"/executions/{log.id}/logs?grep=one", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["ETag"].startswith("W/")


class TestFaults:
    @pytest.mark.parametrize("accept", ["application/json", NDJSON, SSE, TEXT])
    @pytest.mark.parametrize(
        "fault",
        [
            ("(", "missing ) at character 1"), ("a(?=b)", "no look-around"),
            ("a**", "bad repetition operator ** at character 2"),
            (r"(.)\1", r"invalid escape sequence \1 at character 4"),
        ],
    )  # fmt: skip
    def test_a_pattern_that_is_none_is_said_where_before_anything_else(
        self, client, log, assert_problem, accept, fault
    ):
        grep, says = fault
        for more in ("", "&follow=true"):
            address = f"/executions/{log.id}/logs?timeout=30s&grep={quote(grep)}{more}"
            answer = client.get(address, headers={"Accept": accept})
            told = assert_problem(answer, 422, "invalid_request", "grep")
            assert says in told["grep"]

    @pytest.mark.parametrize("query", ["grep=", f"grep={'x' * 501}", "grep=a&grep=b", "greb=a"])
    def test_rubbish_is_named(self, client, log, assert_problem, query):
        answer = client.get(f"/executions/{log.id}/logs?timeout=0&{query}")
        assert_problem(answer, 422, "invalid_request", query[:4])

    def test_a_log_that_takes_too_long_says_so_and_the_next_request_goes_on(
        self, service, client, log, assert_problem, monkeypatch
    ):
        monkeypatch.setattr(stretches, "STRETCH", 4)
        monkeypatch.setattr(greps, "SEARCH_SECONDS", -1.0)
        address = f"/executions/{log.id}/logs?timeout=0&levels=15&grep=one"
        answer = client.get(address)
        assert_problem(answer, 429, "limit_exceeded")
        assert int(answer.headers["Retry-After"]) > 0
        assert client.get(address).json["total_results"] == 3


def test_a_catastrophic_pattern_over_a_long_log_is_answered(service, client):
    log = Log(service)
    for _ in range(4):
        log.write([I] * 25, ["a" * 2000] * 24 + ["a" * 2000 + "!"])
    address = f"/executions/{log.id}/logs?timeout=0&size=3&grep={quote('(a+)+$')}"
    assert client.get(address).json["total_results"] == 96
    address = f"/executions/{log.id}/logs?timeout=0&size=3&grep={quote('^(a|aa)+!$')}"
    assert places(client.get(address).json) == [24, 49, 74]


def test_a_hundred_thousand_lines(service, client):
    log = Log(service)
    for first in range(0, 100_000, 10_000):
        log.write([I] * 10_000, [f"step {first + n} of it" for n in range(10_000)])
    log.end()
    address = f"/executions/{log.id}/logs?timeout=0&levels=15&grep="
    page = client.get(f"{address}{quote('^step 9?99[0-9]{2}7 ')}&tail=2").json
    assert page["total_results"] == 100
    assert places(page) == [99987, 99997]
    assert page["complete"] is True
    told = client.get(f"{address}77777", headers={"Accept": NDJSON})
    assert [each["index"] for each in lines(told) if each["type"] == "log"] == [77777]
