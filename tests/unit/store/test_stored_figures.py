"""What web processes counted, in the store."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.store.execution_rows import now
from app.store.figures import KEPT, MINUTE, Figures, Minute, ProcessMinute, minute_of


@pytest.fixture
def figures(database):
    return Figures(database)


def row(minute, process="one", **more):
    values = {
        "host": "n1", "pid": 7, "seen_at": minute + timedelta(seconds=5), "ended": False,
        "requests": 10, "failures": 1, "streams": 3, "followers": 2, "delivered": 4,
        "delivery_lag": 0.25, "loop_lag": 0.125, "queue": 8,
    }  # fmt: skip
    return ProcessMinute(minute=minute, process=process, **{**values, **more})


def test_a_minute_is_what_all_processes_counted(figures):
    minute = minute_of(now()) - MINUTE
    other = {"requests": 5, "failures": 0, "streams": 1, "delivery_lag": None, "loop_lag": 0.5}
    figures.put([row(minute), row(minute, "two", **other, queue=None)])
    assert figures.minutes(minute, minute + MINUTE) == [Minute(minute, 15, 1, 4, 0.25, 0.5, 8)]
    assert figures.minutes(minute + MINUTE, minute + 5 * MINUTE) == []


def test_writing_a_minute_again_replaces_it(figures):
    minute = minute_of(now())
    figures.put([row(minute)])
    figures.put([row(minute, requests=12)])
    [found] = figures.minutes(minute, minute + MINUTE)
    assert found.requests == 12


def test_what_is_older_than_charts_show_is_removed_by_whoever_writes(figures):
    minute = minute_of(now())
    old = minute - KEPT - MINUTE
    figures.put([row(old), row(minute - MINUTE)])
    figures.put([row(minute, "two")])
    found = [each.minute for each in figures.minutes(old, minute + MINUTE)]
    assert found == [minute - MINUTE, minute]


def test_of_each_process_the_last_minute_is_told(figures):
    minute = minute_of(now())
    figures.put([row(minute - MINUTE), row(minute, pid=8), row(minute, "two", host="n0")])
    figures.put([row(minute - 20 * MINUTE, "gone")])
    found = figures.processes(minute - 10 * MINUTE)
    assert [(each.host, each.minute) for each in found] == [("n0", minute), ("n1", minute)]
    last = replace(found[1])
    assert last == row(minute, pid=8)
