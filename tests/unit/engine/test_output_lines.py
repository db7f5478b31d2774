import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.launchers.shim.lines import _MOST_STATES, Lines, whole_characters
from app.engine.launchers.shim.records import CONTINUED, MAX_LINE

SLOW = 1000.0
"""Seconds between two chunks, so that no budget is used up and all is overdue."""


class Told:
    """What is passed on of chunks, as a reader of the frames sees it."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.now = 0.0
        self.seen: list[str] = []

    def feed(self, chunk: bytes) -> list[str]:
        data, before = chunk, len(self.seen)
        while data:
            room = self.lines.room
            self._take(self.lines.feed(data[:room], self.now))
            data = data[room:]
        return self.seen[before:]

    def wait(self, seconds: float) -> list[str]:
        self.now += seconds
        before = len(self.seen)
        if self.now >= self.lines.due:
            self._take(self.lines.overdue())
        return self.seen[before:]

    def end(self) -> list[str]:
        before = len(self.seen)
        self._take(self.lines.end())
        return self.seen[before:]

    def _take(self, payloads) -> None:
        for code, payload in payloads:
            assert len(payload) <= MAX_LINE + 1
            assert b"\r" not in payload
            texts = payload.decode("utf-8", "replace").removesuffix("\n").split("\n")
            self.seen += [f"...{texts[0]}" if code == CONTINUED else texts[0], *texts[1:]]


@pytest.fixture
def told():
    return Told()


def test_each_state_of_a_progress_bar_is_seen_while_it_is_there(told):
    for i in range(1, 9):
        assert told.feed(b"progress %d\r" % i) == []
        assert told.wait(0.4) == []
        assert told.wait(0.2) == [f"progress {i}"]
        told.wait(0.4)
    assert told.feed(b"done\n") == ["done"]
    assert told.end() == []


def test_a_bar_whose_return_comes_first_is_seen_too(told):
    told.feed(b"\r 10%")
    assert told.wait(1.1) == [" 10%"]
    assert told.feed(b"\r 20%") == []
    assert told.wait(1.1) == [" 20%"]
    assert told.feed(b"\r 30%\n") == [" 30%"]


def test_an_unfinished_line_is_passed_on_and_goes_on_later(told):
    assert told.feed(b"waiting for the licence server ... ") == []
    assert told.wait(0.9) == []
    assert told.wait(0.2) == ["waiting for the licence server ... "]
    assert told.lines.due == math.inf
    assert told.feed(b"ok\nnext\n") == ["...ok", "next"]


def test_what_ends_a_line_that_was_passed_on_is_no_line_of_its_own(told):
    for end in (b"\n", b"\r\n", b"\r\r\n", b"\r"):
        told.feed(b"Password: ")
        assert told.wait(2.0) == ["Password: "]
        assert told.feed(end) == []
        assert told.wait(2.0) == []
        assert told.feed(b"next\n") == ["next"]


def test_a_line_feed_may_come_long_after_its_return(told):
    told.feed(b"100%\r")
    assert told.wait(2.0) == ["100%"]
    assert told.feed(b"\nnext\n") == ["next"]


@pytest.mark.parametrize(
    "data", [b"a\rb\rc\n", b"a\r\nb\r\r\nc\r\n", b"a\r\rb\rc", b"\ra\r\rb\n\rc\r"]
)
def test_returns_end_lines_like_line_feeds(told, data):
    assert told.feed(data) + told.end() == ["a", "b", "c"]


def test_of_states_that_nobody_could_read_some_are_kept_and_the_last_one_is(told):
    chunk = b"".join(b"%d\r" % i for i in range(100))
    for _ in range(100):
        told.feed(chunk)
        told.now += 0.1
    told.feed(b"end\n")
    assert told.seen[-1] == "end"
    assert _MOST_STATES <= len(told.seen) < _MOST_STATES + 2 * 10 + 10


def test_a_bar_that_moves_all_the_time_is_seen_all_the_time(told):
    seconds = 300
    for i in range(10 * seconds):
        told.feed(b"\r%4d/3000" % i)
        before = len(told.seen)
        told.wait(0.1)
    assert _MOST_STATES + seconds < len(told.seen) < _MOST_STATES + 4 * seconds
    assert int(told.seen[before - 1].split("/")[0]) > 10 * seconds - 20, "the latest"


def test_no_character_is_cut_in_two_by_time(told):
    told.feed("Größe".encode()[:3])
    assert told.wait(2.0) == ["Gr"]
    assert told.feed("Größe".encode()[3:] + b"\n") == ["...öße"]


def test_the_pieces_of_a_long_line_say_that_they_go_on(told):
    told.feed(b"ERROR " + b"x" * 140_000 + b"\n" + b"next\n")
    first, second, third, last = told.seen
    assert first.startswith("ERROR x")
    assert (second[:4], third[:4], last) == ("...x", "...x", "next")


@given(st.lists(st.tuples(st.sampled_from([b"a", b"\n", b"\r", b"bc\n", b"\xc3", b"\xa4", b"\xf0"]),
                          st.sampled_from([0.0, 0.6, SLOW])), max_size=30))  # fmt: skip
def test_nothing_but_line_ends_is_lost_however_it_comes(chunks):
    told, data = Told(), b""
    for chunk, pause in chunks:
        data += chunk
        told.feed(chunk)
        told.wait(pause)
    told.end()
    sent = data.decode("utf-8", "replace").translate({10: None, 13: None})
    seen = "".join(told.seen).replace("...", "")
    assert seen.replace("\ufffd", "") == sent.replace("\ufffd", "")
    assert all("\r" not in line for line in told.seen)


@given(st.text(), st.integers(0, 3))
def test_whole_characters_are_those_that_can_be_read(text, cut):
    data = text.encode()
    data = data[: max(0, len(data) - cut)]
    assert data[: whole_characters(data)].decode() == data.decode("utf-8", "ignore")
