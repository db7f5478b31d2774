"""``/executions/<id>/logs/place`` and ``/logs/matches``: finding one's way in a log."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from follow_kit import Log
from kit.patience import PATIENCE_SECONDS
from sqlalchemy import update

from app.domain import Level
from app.services import log_search, stretches, tallies
from app.store.schema import executions

D, I, W, E = Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR  # noqa: E741
CONTENTS = ["one", "two", "three one", "", "ONE (1.5)", "four", "\N{SNOWMAN} one"]
LEVELS = [I, W, D, I, E, I, I]
"""Entries 0, 3 and 6 are of the task 'split'."""


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """What one request gets to must not depend on how busy the machine is."""
    monkeypatch.setattr(log_search, "_FINDING_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(log_search, "_COUNTING_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(log_search, "_THOROUGH_SECONDS", -1.0)


@pytest.fixture
def log(service):
    return Log(service).write(LEVELS, CONTENTS)


@pytest.fixture
def ask(client, log):
    """Ask for a place, or for what matches; of all levels unless told."""

    def ask(what, of=None, **query):
        path = f"/executions/{of or log.id}/logs/{what}"
        response = client.get(path, query_string={"levels": 15, **query})
        assert response.status_code == 200, response.text
        return response.json

    return ask


def told(found):
    """Shorten what was found: index, place and number of the match, and how many there are."""
    match = found["match"]
    one = match and (match["entry"]["index"], match["from"], match["number"])
    assert found["total_is_exact"]
    assert found["go_on_from"] is None
    return one, found["total_results"]


class TestPlaces:
    @pytest.mark.parametrize(
        ("query", "places", "listed"),
        [
            ({}, [0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6]),
            ({"levels": 0}, [0, 1, 2, 2, 3, 4, 5, 6], [0, 1, 3, 4, 5, 6]),
            ({"levels": 8}, [0, 0, 0, 0, 0, 1, 1, 1], [4]),
            ({"task": "split"}, [0, 1, 1, 1, 2, 2, 2, 3], [0, 3, 6]),
            ({"task": "", "levels": 2}, [0, 0, 0, 0, 0, 0, 1, 1], [5]),
            ({"grep": "one"}, [0, 1, 1, 2, 2, 2, 2, 3], [0, 2, 6]),
        ],
    )
    def test_a_line_is_at_its_place_of_the_list(self, ask, query, places, listed):
        found = [ask("place", index=index, **query) for index in range(8)]
        assert [each["from"] for each in found] == places
        assert [each["index"] for each in found if each["listed"]] == listed
        assert {each["total_results"] for each in found} == {places[-1]}
        assert {each["log_total"] for each in found} == {7}

    def test_a_page_from_there_begins_with_the_line(self, service, client, ask):
        log = Log(service).write([I, D, W] * 400)
        for index in (0, 2, 255, 257, 512, 900, 1199):
            place = ask("place", log.id, index=index, levels=6)
            page = client.get(
                f"/executions/{log.id}/logs",
                query_string={"from": place["from"], "size": 1, "timeout": 0, "levels": 6},
            ).json
            assert page["logs"][0]["index"] == index
            assert page["total_results"] == place["total_results"] == 800

    def test_beyond_the_end_is_behind_all(self, ask):
        place = ask("place", index=10**9)
        assert (place["from"], place["listed"], place["total_results"]) == (7, False, 7)

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("", "index"), ("index=-1", "index"), ("index=x", "index"), ("indx=1", "indx"),
            ("index=1&grep=(", "grep"), ("index=1&levels=256", "levels"),
        ],
    )  # fmt: skip
    def test_rubbish_is_named(self, client, log, assert_problem, query, field):
        answer = client.get(f"/executions/{log.id}/logs/place?{query}")
        assert_problem(answer, 422, "invalid_request", field)


class TestMatches:
    @pytest.mark.parametrize(
        ("query", "found", "total"),
        [
            ({"text": "one"}, [0, 2, 4, 6], 4), ({"text": "OnE"}, [0, 2, 4, 6], 4),
            ({"text": "(1.5)"}, [4], 1), ({"text": "\N{SNOWMAN}"}, [6], 1),
            ({"text": "x"}, [], 0), ({"text": "."}, [4], 1), ({"grep": "^one$"}, [0], 1),
            ({"grep": "one|t"}, [0, 1, 2, 6], 4), ({"text": "one", "levels": 2}, [0, 6], 2),
            ({"text": "one", "task": "split"}, [0, 6], 2),
            ({"text": "one", "of_levels": 8}, [4], 1), ({"of_levels": 8}, [4], 1),
            ({"of_levels": 12}, [1, 4], 2), ({"of_levels": 8, "levels": 2}, [], 0),
            ({"of_levels": 8, "task": "split"}, [], 0), ({"of_levels": 2, "task": ""}, [5], 1),
            ({"of_levels": 8, "text": "one", "levels": 2}, [], 0), ({}, [0, 1, 2, 3, 4, 5, 6], 7),
        ],
    )  # fmt: skip
    def test_both_ways_lead_through_all_of_them(self, ask, query, found, total):
        shown = {name: query[name] for name in ("levels", "task") if name in query}
        for direction, way in (("next", [-1, *found]), ("previous", [10**6, *found[::-1]])):
            for begin, index in pairwise(way):
                answer = ask("matches", index=begin, direction=direction, **query)
                place = ask("place", index=index, **shown)["from"]
                assert told(answer) == ((index, place, found.index(index) + 1), total)
            answer = ask("matches", index=way[-1], direction=direction, **query)
            assert told(answer) == (None, total)

    def test_the_entry_is_told_as_in_a_page(self, ask, client, log):
        match = ask("matches", text="four")["match"]
        page = client.get(f"/executions/{log.id}/logs?timeout=0&after=4&size=1").json
        assert [match["entry"]] == page["logs"]

    @pytest.mark.parametrize("task", [None, "split"])
    def test_what_lies_far_apart_is_found_both_ways(self, service, ask, task):
        log = Log(service)
        log.write([I] * 9000, ["needle" if n in {300, 8994} else "hay" for n in range(9000)])
        log.write([I] * 9000)
        query = {"text": "needle"} | ({"task": task} if task else {})
        for _ in range(2):  # with nothing counted yet, and with all
            answer = ask("matches", log.id, index=17_999, direction="previous", **query)
            assert told(answer)[0][::2] == (8994, 2)
            answer = ask("matches", log.id, index=8994, direction="previous", **query)
            assert told(answer)[0][::2] == (300, 1)
            assert told(ask("matches", log.id, index=300, **query))[0][::2] == (8994, 2)
            assert told(ask("matches", log.id, index=8994, **query)) == (None, 2)

    def test_what_is_known_to_hold_nothing_is_not_read_again(self, service, ask, monkeypatch):
        monkeypatch.setattr(tallies, "_STRETCH", 64)
        log = Log(service).write([I] * 1000, ["needle" if n == 500 else "-" for n in range(1000)])
        ask("matches", log.id, text="needle")
        read, reading = [], stretches.Stretches.read

        def noting(self, key):
            read.append(key.place)
            return reading(self, key)

        monkeypatch.setattr(stretches.Stretches, "read", noting)
        monkeypatch.setattr(stretches, "STRETCH", 64)
        assert told(ask("matches", log.id, text="needle"))[0][0] == 500
        answer = ask("matches", log.id, text="needle", index=999, direction="previous")
        assert told(answer)[0][0] == 500
        assert not [place for place in read if place < 448 or 512 <= place < 900]

    def test_one_request_takes_its_time_and_the_next_one_goes_on(self, service, ask, monkeypatch):
        monkeypatch.setattr(log_search, "_FINDING_SECONDS", -1.0)
        monkeypatch.setattr(log_search, "_COUNTING_SECONDS", -1.0)
        monkeypatch.setattr(log_search, "_THOROUGH_SECONDS", PATIENCE_SECONDS)
        monkeypatch.setattr(stretches, "STRETCH", 8)
        contents = ["needle" if n in {5, 70} else "hay" for n in range(100)]
        log = Log(service).write([I] * 100, contents)
        index, asked, found = 5, 0, ask("matches", log.id, index=5, text="needle")
        while found["match"] is None:
            assert found["total_is_exact"] is False
            assert found["counted"] < 100
            assert found["go_on_from"] > index
            index, asked = found["go_on_from"], asked + 1
            found = ask("matches", log.id, index=index, text="needle")
        assert found["match"]["entry"]["index"] == 70
        assert asked == 8
        assert not found["total_is_exact"]
        found = ask("matches", log.id, index=5, text="needle", thorough="true")
        assert found["total_is_exact"]
        assert (found["total_results"], found["counted"]) == (2, 100)
        index = 70
        while found["match"] is None or index == 70:
            found = ask("matches", log.id, index=index, text="needle", direction="previous")
            index = found["go_on_from"]
        assert found["match"]["entry"]["index"] == 5

    def test_a_log_that_grows_has_more_of_them(self, log, ask):
        assert told(ask("matches", text="one", index=6)) == (None, 4)
        log.write([I], ["one more"])
        assert told(ask("matches", text="one", index=6)) == ((7, 7, 5), 5)

    def test_an_empty_log_has_none(self, service, ask):
        log = Log(service).see()
        for query in ({"text": "a"}, {"of_levels": 8}, {"task": ""}):
            for direction in ("next", "previous"):
                assert told(ask("matches", log.id, direction=direction, **query)) == (None, 0)

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("text=", "text"), (f"text={'x' * 201}", "text"), ("text=a&grep=b", "text"),
            ("grep=(", "grep"), ("index=-2", "index"), ("direction=up", "direction"),
            ("of_levels=0", "of_levels"), ("of_levels=16", "of_levels"), ("texd=a", "texd"),
        ],
    )  # fmt: skip
    def test_rubbish_is_named(self, client, log, assert_problem, query, field):
        answer = client.get(f"/executions/{log.id}/logs/matches?{query}")
        assert_problem(answer, 422, "invalid_request", field)

    @pytest.mark.parametrize("text", ["\N{SNOWMAN}" * 200, "(" * 200, "s" * 200, "İ" * 200])
    def test_any_text_can_be_looked_for(self, service, ask, text):
        log = Log(service).write([I], [f"<{text}>"])
        assert told(ask("matches", log.id, text=text)) == ((0, 0, 1), 1)


def test_a_log_that_was_removed_says_so(service, client, assert_problem):
    log = Log(service).write(3).end()
    gone = update(executions).where(executions.c.id == log.id)
    removed = gone.values(log_purged_at=datetime.now(UTC))
    service.web.database.write(lambda store: store.execute(removed))
    for path in ("place?index=1", "matches?text=a"):
        assert_problem(client.get(f"/executions/{log.id}/logs/{path}"), 410, "purged")
