"""Following by a server that says what a test wants: what ends a log, and what does not."""

from __future__ import annotations

import gzip
import time

import pytest
from client_kit import (
    END,
    ID,
    QUICK,
    STATUS,
    STREAM,
    Waits,
    client_of,
    entry,
    execution,
    lines,
    log,
    page,
)
from kit.raw_server import HOLD, RawServer, answer, problem

import slipway.following
from slipway import (
    Client,
    Execution,
    Misused,
    NotAllowed,
    NotFound,
    NotOurs,
    RateLimited,
    ServerFault,
    TimedOut,
    Unreachable,
    faults,
)
from slipway.attempts import Patience
from slipway.transport import Request

HEAD = answer(200, b"", STREAM, "")


def stream(*events):
    return HEAD + lines(*events)


def following(server, waits=None, **more):
    return Execution(client_of(server.url, waits), ID).follow(**more)


def got(follow):
    return [each.index for each in follow]


def streams(*said):
    """A server that gives these answers one after the other, and the last one again.

    A page that is asked for where a stream comes next is empty.
    """
    waiting = [*said]

    def talk(asked, _):
        if asked.headers["accept"] != STREAM and waiting[0][: len(HEAD)] == HEAD:
            return answer(200, page())
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return RawServer(talk)


def afters(server):
    return [int(each.query["after"]) for each in server.asked]


def test_a_log_begins_with_the_status_and_ends_with_the_end():
    told = []
    with streams(stream(STATUS, log(0), b"", log(1), END)) as server:
        follow = following(server, on_status=told.append)
        assert got(follow) == [0, 1]
        assert next(follow, None) is None
    assert [(each.type, each.state) for each in told] == [("status", "RUNNING"),
                                                          ("end", "SUCCESS")]  # fmt: skip
    assert follow.status == told[-1]
    assert server.asked[0].headers["accept-encoding"] == "identity"
    assert server.asked[0].query == {"levels": "14", "after": "-1"}


def test_a_clean_end_is_no_end_of_a_log():
    with streams(stream(STATUS, log(0)), stream(STATUS, log(1)), stream(STATUS, END)) as server:
        assert got(following(server)) == [0, 1]
        assert afters(server) == [-1, 0, 1]


def test_what_comes_twice_is_handed_out_once_and_gaps_are_none_of_our_business():
    with streams(stream(STATUS, log(3), log(3), log(7)),
                 stream(STATUS, log(3), log(7), log(9), END)) as server:  # fmt: skip
        assert got(following(server)) == [3, 7, 9]


def test_the_log_goes_on_behind_what_was_handed_out_in_another_follow():
    with streams(stream(STATUS, log(8), END)) as server:
        assert got(following(server, after=7)) == [8]
        assert afters(server) == [7]


def test_a_service_that_moves_is_come_back_to_at_once():
    waits = Waits()
    with streams(stream(STATUS, log(0), {"type": "moved", "after": 0}, log(5)),
                 stream(STATUS, log(1), END)) as server:  # fmt: skip
        assert got(following(server, waits)) == [0, 1]
        assert afters(server) == [-1, 0]
    assert waits.slept == []


def test_a_service_that_moves_again_and_again_is_not_asked_without_a_pause():
    waits = Waits()
    moved = stream(STATUS, {"type": "moved", "after": -1})

    def talk(asked, number):
        if asked.headers["accept"] == STREAM:
            return moved if number < 6 else stream(STATUS, log(0), END)
        return answer(200, page())

    with RawServer(talk) as server:
        assert got(following(server, waits)) == [0]
    assert waits.slept


def test_what_was_dropped_is_read_by_pages():
    """What the stream says behind it comes later, so that the order stays."""

    def talk(asked, number):
        after = int(asked.query["after"])
        if number == 0:
            return stream(STATUS, log(0), {"type": "dropped", "count": 4, "after": 0}, log(5))
        if asked.headers["accept"] == STREAM:
            return stream(STATUS, log(after + 1), END)
        found = [entry(i) for i in range(after + 1, min(after + 3, 5))]
        return answer(200, page(*found))

    with RawServer(talk) as server:
        assert got(following(server)) == [0, 1, 2, 3, 4, 5]


def test_who_may_not_read_any_more_comes_back_once():
    """What they may read with a token that was renewed, the service knows."""
    expired = {"type": "expired", "reason": "The token has ended."}
    with streams(stream(STATUS, log(0), expired), stream(STATUS, log(1), END)) as server:
        assert got(following(server)) == [0, 1]
    with streams(stream(STATUS, expired)) as server:
        with pytest.raises(NotAllowed, match=r"^The token has ended\.$"):
            next(following(server))
        assert len(server.asked) == 2


def test_a_log_is_quiet_for_longer_than_two_tokens_last():
    waits = Waits()
    quiet = [stream(STATUS), lambda: waits.sleep(300), lines({"type": "expired", "reason": "It."})]
    with streams(*[quiet] * 3, stream(STATUS, log(0), END)) as server:
        assert got(following(server, waits)) == [0]


@pytest.mark.parametrize(("status", "kind"), [(403, NotAllowed), (404, NotFound), (410, NotFound)])
def test_who_may_not_read_at_all_is_told_so(status, kind):
    with streams(stream(STATUS, log(0)), problem(status)) as server:
        follow = following(server)
        assert next(follow).index == 0
        with pytest.raises(kind):
            next(follow)
        assert not follow.ended


def test_after_an_exception_it_can_be_read_on():
    with streams(stream(STATUS, log(0)), problem(403), stream(STATUS, log(1), END)) as server:
        follow = following(server)
        next(follow)
        with pytest.raises(NotAllowed):
            next(follow)
        assert got(follow) == [1]


@pytest.mark.parametrize(
    ("said", "kind"), [(problem(429), RateLimited), (problem(503), ServerFault),
                       (answer(502, b"x", "text/html"), NotOurs),
                       (answer(504, b"x", "text/html"), NotOurs)],
    ids=["429", "503", "502", "504"],
)  # fmt: skip
def test_a_service_that_is_away_for_more_than_a_minute_is_given_up(said, kind):
    waits = Waits()
    with streams(stream(STATUS, log(0)), *[said] * 200) as server:
        follow = following(server, waits)
        next(follow)
        with pytest.raises(kind):
            next(follow)
    assert 50 < sum(waits.slept) < 75


def test_a_service_that_is_gone_is_given_up_after_its_time():
    told = []
    waits = Waits()
    with streams(stream(STATUS, log(0))) as server:
        client = client_of(server.url, waits, notice=told.append)
        follow = Execution(client, ID).follow()
        next(follow)
    with pytest.raises(Unreachable):
        next(follow)
    assert 90 < sum(waits.slept) <= 100 + 5
    assert told == [f"Nothing listens at {server.url[7:]}. Trying again ..."]


def test_a_service_that_was_away_is_told_to_be_back():
    told = []
    away = [answer(502, b"x", "text/html")] * 7
    with streams(stream(STATUS, log(0)), *away, stream(STATUS, END)) as server:
        client = client_of(server.url, notice=told.append)
        assert got(Execution(client, ID).follow()) == [0]
    assert [line.partition(" ")[0] for line in told] == ["Something", "There"]


def test_pauses_grow_and_begin_anew_with_a_new_line():
    waits = Waits()
    nothing = stream(STATUS)

    with streams(*[nothing] * 2, *[b""] * 4, stream(STATUS, log(0)),
                 stream(STATUS, END)) as server:  # fmt: skip
        assert got(following(server, waits)) == [0]
    *grown, anew = waits.slept
    assert len(grown) == 6
    assert 0.05 <= grown[0] <= 0.1
    assert all(0.05 * 2**n <= seconds <= 0.1 * 2**n for n, seconds in enumerate(grown))
    assert anew <= 0.1


def test_a_stream_that_is_nothing_but_cut_is_read_by_pages_to_the_end():
    def talk(asked, _):
        if asked.headers["accept"] == STREAM:
            return stream(STATUS)
        after = int(asked.query["after"])
        return answer(200, page(*[entry(after + 1)] * (after < 4), complete=after >= 3))

    with RawServer(talk) as server:
        follow = following(server)
        assert got(follow) == [0, 1, 2, 3, 4]
    assert follow.ended
    assert follow.status.state == "SUCCESS"


def buffering(asked, number):
    """A proxy that holds streams back until they end, and lets pages through."""
    if asked.path.endswith("/logs"):
        if asked.headers["accept"] == STREAM:
            return [HOLD]
        after = int(asked.query["after"])
        return answer(200, page(*[entry(after + 1)] * (after < 2), complete=after >= 2))
    return answer(200, execution())


def test_a_proxy_that_holds_the_log_back_is_noticed():
    lines_ = []
    with RawServer(buffering) as server:
        client = Client(server.url, patience=QUICK, trace=lines_.append)
        follow = Execution(client, ID).follow()
        assert got(follow) == [0, 1, 2]
        assert follow.ended
        assert [each.query.get("timeout") for each in server.asked] == [
            None, None, "20s", "20s", "20s", "20s",
        ]  # fmt: skip
        # The next log of this client is read by pages at once.
        del server.asked[:]
        assert got(Execution(client, ID).follow()) == [0, 1, 2]
        assert STREAM not in [each.headers["accept"] for each in server.asked]
    assert any("holds the log back" in line for line in lines_)


def test_a_proxy_that_holds_back_and_waits_for_seconds_only_is_asked_for_less():
    waited = []

    def talk(asked, number):
        if "timeout" in asked.query:
            waited.append(asked.query["timeout"])
            if int(waited[-1][:-1]) > 3:
                return answer(504, b"x", "text/html")
        return buffering(asked, number)

    with RawServer(talk) as server:
        client = Client(server.url, patience=QUICK)
        client.transport.sleep = lambda _: None
        assert got(Execution(client, ID).follow()) == [0, 1, 2]
    assert waited == ["20s", "10s", "5s", "2s", "2s", "2s", "2s"]


def test_a_proxy_that_holds_back_all_but_the_beginning_is_noticed():
    def talk(asked, number):
        if asked.headers["accept"] == STREAM:
            return [stream(STATUS), HOLD]
        return buffering(asked, number)

    with RawServer(talk) as server:
        assert got(Execution(Client(server.url, patience=QUICK), ID).follow()) == [0, 1, 2]


def test_a_service_that_says_that_it_lives_is_not_taken_for_a_proxy():
    def talk(asked, _):
        if asked.headers["accept"] != STREAM:
            return problem(500)
        beats = [b"\n", lambda: time.sleep(0.05)] * 8  # longer than any silence that it allows
        return [stream(STATUS), *beats, lines(log(0), END)]

    with RawServer(talk) as server:
        assert got(Execution(Client(server.url, patience=QUICK), ID).follow()) == [0]
        assert len(server.asked) == 1


def test_a_service_that_is_silent_altogether_is_given_up():
    quick = Patience(silence=0.4, buffered=0.1, quiet=0.1, probe=0.1)
    with RawServer(lambda *_: [HOLD]) as server:
        with pytest.raises(TimedOut, match="is silent"):
            next(Execution(Client(server.url, patience=quick), ID).follow())


def test_the_end_of_a_log_is_found_before_it_is_followed_from_there():
    """Counted from the end it would mean something else after a cut."""

    def talk(asked, number):
        if "tail" in asked.query:
            assert asked.query["tail"] == "2"
            return answer(200, page(entry(5)))
        if number == 1:
            return stream(STATUS)
        return stream(STATUS, log(5), log(8), END)

    with RawServer(talk) as server:
        assert got(following(server, tail=2)) == [5, 8]
        assert [each.query["after"] for each in server.asked[1:]] == ["4", "4"]


def test_what_comes_next_is_what_comes_behind_the_last_one():
    def talk(asked, _):
        return answer(200, page(entry(5))) if "tail" in asked.query else stream(STATUS, log(6), END)

    with RawServer(talk) as server:
        assert got(following(server, tail=0)) == [6]
        assert server.asked[1].query["after"] == "5"


@pytest.mark.parametrize(
    "line",
    [
        b"rubbish", b"[1]", b"7", b'{"type": "log"}', b"\xff\xfe", b"[" * 100_000,
        lines(log(1) | {"index": "1"}), lines(log(1) | {"content": 7}),
        lines(log(1) | {"level": []}), lines(log(1) | {"timestamp": "now"}),
        lines(log(1) | {"task": None}), lines(log(1) | {"timestamp": "2026-01-31T12:00:00"}),
    ],
    ids=range(12),
)  # fmt: skip
def test_a_line_that_is_none_of_the_service_is_not_ours(line):
    with streams(stream(STATUS, log(0), line, log(1)), stream(STATUS, line)) as server:
        follow = following(server)
        assert next(follow).index == 0
        with pytest.raises(NotOurs):
            next(follow)


def test_a_login_page_in_the_place_of_a_log_is_not_ours():
    with streams(answer(200, b"<html>" * 100, "text/html")) as server, pytest.raises(NotOurs):
        next(following(server))


def test_what_a_newer_service_says_beside_is_passed_over():
    new = {"type": "weather", "sky": "blue"}
    told = []
    with streams(stream(STATUS | {"state": "DREAMING", "mood": 1}, new,
                        log(0, "x", "NOTICE") | {"host": "n1"}, END)) as server:  # fmt: skip
        (one,) = following(server, on_status=told.append)
    assert one.level == "NOTICE"
    assert one.extra == {"host": "n1"}
    assert told[0].state == "DREAMING"
    assert not told[0].state.is_final
    assert told[0].extra == {"mood": 1}


def test_a_stream_that_is_compressed_all_the_same_is_read():
    body = gzip.compress(lines(STATUS, log(0), END))
    said = answer(200, body, STREAM, "length", Content_Encoding="gzip")
    with streams(said) as server:
        assert got(following(server)) == [0]


def test_letters_that_are_cut_apart_are_whole_again():
    text = "żółć 🌊"
    data = lines(STATUS, {**log(0), "content": text}, END).replace(
        text.encode("unicode-escape"), text.encode()
    )
    parts = [data[i : i + 1] for i in range(len(data))]
    with streams([HEAD, *parts]) as server:
        assert [each.content for each in following(server)] == [text]


def test_a_follow_that_is_closed_closes_its_connection():
    def talk(asked, _):
        return [stream(STATUS, log(0)), HOLD]

    with RawServer(talk) as server:
        with following(server) as follow:
            next(follow)
            (connection,) = server.connections
        connection.settimeout(60)
        assert connection.recv(1) == b""


@pytest.mark.parametrize("level", ["eror", "", "notice", "in\x1bfo", 7])
def test_a_level_that_is_none_is_said_before_anything_is_asked(level):
    with pytest.raises(Misused, match="level"):
        Execution(client_of("http://127.0.0.1:1"), ID).follow(level=level)


def change(id_, state):
    return {"type": "status", "id": id_, "status": state, "state": state}


def test_events_go_on_after_a_cut_and_tell_what_ended_meanwhile():
    def talk(asked, number):
        if asked.path != "/executions/events":
            id_ = asked.path.rpartition("/")[2]
            return answer(200, execution("SUCCESS" if id_ == "a" else "RUNNING", id=id_))
        if number == 0:
            return stream(change("a", "RUNNING"), change("b", "RUNNING"))
        return [stream(change("b", "RUNNING"), b"", {"type": "new"}, change("c", "FAILED")), HOLD]

    with RawServer(talk) as server, client_of(server.url).events() as events:
        assert [(each.id, each.state) for _, each in zip(range(4), events, strict=False)] == [
            ("a", "RUNNING"), ("b", "RUNNING"), ("a", "SUCCESS"), ("c", "FAILED"),
        ]  # fmt: skip


def test_events_come_back_once_when_the_credential_has_ended():
    expired = {"type": "expired", "reason": "The token has ended."}
    with streams(stream(expired), stream(change("a", "FAILED"), expired),
                 stream(expired)) as server, client_of(server.url).events() as events:  # fmt: skip
        assert next(events).id == "a"
        with pytest.raises(NotAllowed, match=r"^The token has ended\.$"):
            next(events)
        assert len(server.asked) == 4


def test_what_events_told_before_a_fault_is_handed_out_before_it():
    said = stream(change("a", "FAILED"), b"rubbish")
    with streams(said, stream(b"rubbish")) as server, client_of(server.url).events() as events:
        assert next(events).id == "a"
        with pytest.raises(NotOurs):
            next(events)


def test_events_of_a_service_that_moves_again_and_again_are_not_asked_for_without_a_pause():
    waits, moved = Waits(), stream({"type": "moved", "after": -1})
    last = [stream(change("a", "FAILED")), HOLD]
    with streams(*[moved] * 3, last) as server, client_of(server.url, waits).events() as events:
        assert next(events).id == "a"
    assert len(waits.slept) == 2


def test_a_line_without_an_end_is_given_up_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(slipway.following, "_MOST_BYTES", 100_000)
    endless = HEAD + b"x" * 300_000
    with RawServer(lambda *_: endless) as server:
        client = client_of(server.url)
        response = client.transport.open(Request("GET", "/x", accept=STREAM), 5.0)
        lines_ = slipway.following.Lines(response, server.url)
        with pytest.raises(faults.Fault, match="a line has no end"), response:
            list(iter(lambda: lines_.read(5.0), None))


def test_lines_are_whole_however_the_blocks_are_cut(monkeypatch):
    monkeypatch.setattr(slipway.following, "_BLOCK_BYTES", 7)
    with streams(stream(STATUS, log(0, "a" * 50), log(1), END)) as server:
        assert [each.content for each in following(server)] == ["a" * 50, "line 1"]
