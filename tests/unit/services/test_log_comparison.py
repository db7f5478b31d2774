"""Two logs are compared task by task, whatever differs from run to run, and within bounds."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from app.domain import Level, LogEntry, LogStream
from app.services import log_comparison as module
from app.services.log_comparison import LogComparison

OUT, ERR, NONE = LogStream.STDOUT, LogStream.STDERR, LogStream.NONE
NAMES = ("id-of-one", "flow-20260131-120000"), ("id-of-other", "flow-20260131-130000")


def log(*lines):
    """Make a log of pairs of a task and what it says, perhaps with a stream and a level."""
    entries = []
    for sequence, (task, content, *more) in enumerate(lines):
        stream, level = [*more, *(OUT, Level.INFO)[len(more) :]]
        entries.append(LogEntry(sequence, int(level), sequence, task, content, int(stream)))
    return entries


def compare(before, after, shared=("a", "b"), unshared=()):
    turns = []

    @contextmanager
    def turn():
        assert not turns, "one turn at a time"
        turns.append(1)
        yield
        turns.pop()

    made = LogComparison(set(shared), set(unshared), NAMES, turn)
    return made.run([iter(before), iter(after)])


def told(difference):
    return [
        (each.task, each.line, each.before and each.before.content,
         each.after and each.after.content)
        for each in difference.lines
    ]  # fmt: skip


class TestSame:
    def test_the_same_log_differs_in_nothing(self):
        lines = log(("", "begun"), ("a", "1"), ("b", "1"), ("a", "2"))
        found = compare(lines, lines)
        assert (found.lines, found.compared, found.stopped_by) == ((), (4, 4), "")

    def test_tasks_that_write_at_the_same_time_do_so_in_any_order(self):
        one = [(task, str(n)) for n in range(500) for task in "ab"]
        other = [*(("a", str(n)) for n in range(500)), *(("b", str(n)) for n in range(500))]
        assert compare(log(*one), log(*other)).lines == ()

    def test_so_do_the_two_streams_of_a_task(self):
        one = log(("a", "out"), ("a", "err", ERR), ("a", "out 2"))
        other = log(("a", "err", ERR), ("a", "out"), ("a", "out 2"))
        assert compare(one, other).lines == ()

    def test_many_lines_are_all_compared(self):
        lines = log(*(("a", f"line {n}") for n in range(1009)))
        found = compare(lines, lines)
        assert (found.lines, found.compared) == ((), (1009, 1009))
        shifted = log(*(("a", f"line {n + (n > 700)}") for n in range(1009)))
        assert told(compare(lines, shifted)) == [("a", 702, "line 701", "line 702")]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("took 3.25s", "took 12ms"),
            ("took 1h12.219s.", "took 59m2s."),
            ("took 3 seconds", "took 4 seconds"),
            ("2026-11-27T01:53:01.908Z x", "2025-01-02 23:00:00,1 x"),
            ("2026/11/27 01:53:01 x", "2026/11/28 01:53:01 x"),
            ("[01:53:01] x", "[9:00:00.123] x"),
            ("Fri Nov 27 01:53:01 UTC", "Sat Nov 28 21:53:01 UTC"),
            ("Fri, 27 Nov 2026 01:02:03", "Sat, 28 Nov 2026 01:02:03"),
            ("at 0x7ffe12ab>", "at 0x55>"),
            ("18444959-aaf0-431a-af62-44345c86b994", "00000000-0000-4000-8000-999999999999"),
            ("in /x/id-of-one/work", "in /x/id-of-other/work"),
            ("flow-20260131-120000 begun", "flow-20260131-130000 begun"),
            ("pid 17", "pid 18"),
            ("x" * 5000, "x" * 4096 + "y"),
        ],
    )  # fmt: skip
    def test_what_differs_from_run_to_run_does_not_count(self, one, other):
        assert compare(log(("a", one)), log(("a", other))).lines == ()

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("n is 3", "n is 4"), ("3.25", "3.26"), ("a12", "a13"), ("2d", "3d"),
            ("100%", "99%"), ("file1s", "file2s"), ("x" * 1999 + "y", "x" * 1999 + "z"),
            ("id-of-other", "id-of-one"),
        ],
    )  # fmt: skip
    def test_results_do(self, one, other):
        assert told(compare(log(("a", one)), log(("a", other)))) == [("a", 1, one, other)]


class TestDifferent:
    def test_of_each_task_the_first_line_that_differs_is_told_the_first_of_all_first(self):
        one = log(("b", "same"), ("a", "same"), ("a", "x"), ("b", "y"), ("a", "later"))
        other = log(("a", "same"), ("b", "same"), ("b", "z"), ("a", "w"), ("a", "other"))
        assert told(compare(one, other)) == [("a", 2, "x", "w"), ("b", 2, "y", "z")]

    def test_another_level_is_a_difference(self):
        one, other = log(("a", "x", OUT, Level.INFO)), log(("a", "x", OUT, Level.ERROR))
        assert told(compare(one, other)) == [("a", 1, "x", "x")]

    def test_a_line_that_one_log_lacks_is_told(self):
        one, other = log(("a", "x")), log(("a", "x"), ("a", "more"), ("a", "most"))
        assert told(compare(one, other)) == [("a", 2, None, "more")]
        assert told(compare(other, one)) == [("a", 2, "more", None)]
        assert told(compare(log(), one)) == [("a", 1, None, "x")]

    def test_so_is_one_in_a_log_that_goes_on_for_long(self):
        long = log(*(("a", str(n)) for n in range(2000)))
        found = compare(log(("a", "0")), long)
        assert told(found) == [("a", 2, None, "1")]
        assert found.stopped_by == ""

    def test_lines_of_tasks_that_only_one_has_do_not_count(self):
        one = log(("a", "x"), ("old", "z"))
        assert compare(one, log(("a", "x")), unshared={"old"}).lines == ()

    def test_what_a_task_wrote_comes_before_what_is_said_of_its_end(self):
        one = log(("a", "out"), ("a", "Task 'a' succeeded", NONE))
        other = log(("a", "out"), ("a", "no memory", ERR), ("a", "Task 'a' failed", NONE))
        assert told(compare(one, other)) == [("a", 1, None, "no memory")]
        assert told(compare(other, one)) == [("a", 1, "no memory", None)]

    def test_long_lines_are_cut(self):
        one, other = log(("a", "x" * 5000)), log(("a", "y"))
        assert told(compare(one, other)) == [("a", 1, "x" * 2000 + "...", "y")]

    def test_nothing_more_is_read_once_all_is_found(self):
        def endless():
            sequence = 0
            while True:
                yield from log(("", "x"), ("a", f"{sequence}"), ("b", "x"))
                sequence += 1

        other = (LogEntry(n, 2, n, task, f"other {n}", 1) for n in range(10**9) for task in "ab")
        own = (LogEntry(n, 2, n, "", f"own {n}", 1) for n in range(10**9))
        mixed = (entry for pair in zip(other, own, strict=False) for entry in pair)
        found = compare(endless(), mixed)
        assert (len(found.lines), found.stopped_by) == (3, "")
        assert max(found.compared) < 1000

    def test_of_very_many_tasks_the_first_are_told(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_LINES", 2)
        tasks = ("c", "d", "e")
        one, other = log(*((t, "x") for t in tasks)), log(*((t, "y") for t in tasks))
        assert told(compare(one, other, tasks)) == [("c", 1, "x", "y"), ("d", 1, "x", "y")]


class TestBounds:
    @staticmethod
    def same(number, task="a"):
        return (LogEntry(n, 2, n, task, f"line {n}", 1) for n in range(number))

    def test_so_many_entries_are_read(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_ENTRIES", 1000)
        found = compare(self.same(10**9), self.same(10**9))
        assert (found.lines, found.stopped_by) == ((), "entries")
        assert max(found.compared) == 1000

    def test_and_so_many_bytes(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_BYTES", 10_000)
        found = compare(self.same(10**9), self.same(10**9))
        assert (found.lines, found.stopped_by) == ((), "bytes")
        assert max(found.compared) < 2000

    def test_and_so_many_lines_wait_for_their_counterparts(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_WAITING_BYTES", 100_000)
        found = compare(self.same(10**9, "a"), self.same(10**9, "b"))
        assert (found.lines, found.stopped_by) == ((), "waiting")
        assert max(found.compared) < 2000

    def test_and_it_ends_in_time(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_SECONDS", 0.0)
        assert compare(self.same(10**9), self.same(10**9)).stopped_by == "time"

    def test_what_was_found_before_is_told(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_ENTRIES", 400)
        one = log(("b", "x"), *(("a", "same") for _ in range(1000)))
        other = log(("b", "y"), *(("a", "same") for _ in range(1000)))
        found = compare(one, other)
        assert told(found) == [("b", 1, "x", "y")]
        assert found.stopped_by == "entries"

    @pytest.mark.parametrize(
        "line",
        ["1" * 4096, "1s" * 2048, "0x" * 2048, "1.1." * 1024, "aaaaaaaa-" * 450, "pid " * 1000,
         "2026-11-27T" * 370, "1 s " * 1000, "Jan " * 1000],
        ids=range(9),
    )  # fmt: skip
    def test_no_line_takes_more_than_its_length_says(self, line):
        # Where the time grew with the square of the length, this would take minutes.
        assert compare(log(*[("a", line)] * 200), log(*[("a", line + "x")] * 200)).stopped_by == ""

    def test_many_tasks_take_no_more_than_their_number_says(self):
        # Where the time grew with the square of the number, the bound on it would end this.
        tasks = [f"task {number}" for number in range(10_000)]
        one = [(task, "x") for task in tasks]
        found = compare(log(*one), log(*one, *((task, "more") for task in tasks)), tasks)
        assert (len(found.lines), found.stopped_by) == (module.MOST_LINES, "")
        assert found.compared == (10_000, 20_000)
