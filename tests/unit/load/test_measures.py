from __future__ import annotations

import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.load.histogram import Histogram
from app.load.measures import (
    MOST_KINDS,
    closed,
    empty,
    merge,
    read_report,
    with_few_errors,
)


def counts_of(durations):
    one = Histogram()
    for duration in durations:
        one.add(duration)
    return one.counts()


COUNTS = st.integers(0, 1000)
DURATIONS = st.lists(st.integers(0, 10**7), max_size=5)


@st.composite
def steps(draw):
    durations = draw(DURATIONS)
    failure = draw(st.integers(0, len(durations)))
    return {
        "count": len(durations),
        "success": len(durations) - failure,
        "failure": failure,
        "duration": counts_of(durations),
    }


ERRORS = st.builds(
    lambda code, step, first, count: {
        "code": code, "message": "refused", "step_id": step, "first_ms": first, "count": count,
    },
    st.sampled_from(["TIMEOUT_ERROR", "CONNECTION_ERROR"]),
    st.sampled_from(["", "a", "b"]),
    COUNTS,
    COUNTS,
)  # fmt: skip
REPORTS = st.builds(
    lambda sums, iteration, requests, failed, ended, steps, errors: {
        **empty(),
        **sums,
        "iteration": counts_of(iteration),
        "requests": {**counts_of(requests), "failed": failed},
        "ended": ended,
        "steps": steps,
        "errors": sorted(errors, key=lambda error: tuple(map(str, error.values()))),
    },
    st.fixed_dictionaries(
        dict.fromkeys(
            [
                "claimed", "iterations", "failed", "interrupted", "dropped", "vus", "vus_max",
                "completed_vus", "running_us",
            ],
            COUNTS,
        )
    ),
    DURATIONS,
    DURATIONS,
    COUNTS,
    st.booleans(),
    st.dictionaries(st.sampled_from("abc"), steps(), max_size=3),
    st.lists(ERRORS, max_size=4, unique_by=lambda error: (error["code"], error["step_id"])),
)  # fmt: skip


@given(st.lists(REPORTS, max_size=5), st.randoms())
def test_the_order_means_nothing(reports, random):
    assert merge(random.sample(reports, len(reports))) == merge(reports)


@given(REPORTS, REPORTS, REPORTS)
def test_the_grouping_means_nothing(one, two, three):
    assert merge([merge([one, two]), three]) == merge([one, merge([two, three])])


@given(REPORTS)
def test_what_is_empty_and_has_ended_changes_nothing(report):
    assert merge([report, empty(ended=True)]) == merge([report])
    assert merge([]) == empty(ended=True)


@given(st.lists(REPORTS, min_size=1, max_size=4))
def test_merging_leaves_the_parts_as_they_were(reports):
    before = deepcopy(reports)
    merge(reports)
    assert reports == before


@given(REPORTS, REPORTS)
def test_everything_is_counted_once(one, two):
    both = merge([one, two])
    for name in ("claimed", "iterations", "failed", "interrupted", "dropped", "vus"):
        assert both[name] == one[name] + two[name]
    assert both["requests"]["n"] == one["requests"]["n"] + two["requests"]["n"]
    assert both["requests"]["failed"] == one["requests"]["failed"] + two["requests"]["failed"]
    assert both["running_us"] == max(one["running_us"], two["running_us"])
    assert both["ended"] is (one["ended"] and two["ended"])
    for step in "abc":
        parts = [report["steps"][step]["count"] for report in (one, two) if step in report["steps"]]
        assert both["steps"].get(step, {"count": 0})["count"] == sum(parts)
    assert sum(error["count"] for error in both["errors"]) == sum(
        error["count"] for report in (one, two) for error in report["errors"]
    )


@given(REPORTS)
def test_is_read_as_it_was_written(report):
    assert read_report(json.loads(json.dumps(report))) == report


def errors_of_kinds(number):
    return [
        {"code": "E", "message": f"{kind}", "step_id": "", "first_ms": kind, "count": kind}
        for kind in range(number)
    ]


def test_the_first_kinds_of_errors_are_told_apart_and_the_others_counted_together():
    report = with_few_errors({**empty(), "errors": errors_of_kinds(30)})
    assert len(report["errors"]) == MOST_KINDS
    assert report["errors"][:-1] == errors_of_kinds(MOST_KINDS - 1)
    rest = report["errors"][-1]
    assert (rest["code"], rest["first_ms"]) == ("OTHER", MOST_KINDS - 1)
    assert rest["count"] == sum(range(MOST_KINDS - 1, 30))
    assert read_report(report) == report


def test_few_kinds_of_errors_stay():
    report = {**empty(), "errors": errors_of_kinds(MOST_KINDS)}
    assert with_few_errors(report) == report


def test_what_is_lost_runs_no_more():
    report = closed({**empty(), "vus": 3, "iterations": 7})
    assert (report["vus"], report["iterations"], report["ended"]) == (0, 7, True)


STEP = {"count": 1, "success": 1, "failure": 0, "duration": counts_of([5])}


@pytest.mark.parametrize(
    "change",
    [
        {"vus": -1}, {"vus": None}, {"vus": 1.5}, {"running_us": True}, {"ended": 0}, {"x": 1},
        {"iteration": {}}, {"requests": counts_of([])}, {"requests": []}, {"steps": []},
        {"steps": {"a": {}}}, {"steps": {"a": STEP | {"count": 2}}},
        {"steps": {"a": STEP | {"success": True}}}, {"steps": {"a" * 501: STEP}},
        {"steps": {"a\0": STEP}}, {"errors": {}}, {"errors": [{}]}, {"errors": [7]},
        {"errors": errors_of_kinds(21)}, {"errors": [errors_of_kinds(1)[0] | {"code": 7}]},
        {"errors": [errors_of_kinds(1)[0] | {"first_ms": -1}]},
        {"errors": [errors_of_kinds(1)[0] | {"message": "x" * 501}]},
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused(change):
    with pytest.raises(ValueError, match="must"):
        read_report(empty() | change)


@pytest.mark.parametrize("value", [None, [], {}, "x", 7])
def test_what_is_nothing_like_a_report_is_refused(value):
    with pytest.raises(ValueError, match="report"):
        read_report(value)
