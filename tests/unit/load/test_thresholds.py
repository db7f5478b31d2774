from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.load.histogram import Histogram
from app.load.measures import empty
from app.load.thresholds import ThresholdFault, judge, parse_threshold

METRICS = [
    "http_req_duration", "http_req_failed", "http_reqs", "iterations", "iteration_duration",
]  # fmt: skip


def counts_of(durations):
    one = Histogram()
    for duration in durations:
        one.add(duration)
    return one.counts()


def measured():
    milliseconds = counts_of(number * 1000 for number in range(1, 101))
    return {
        **empty(),
        "running_us": 4_000_000,
        "iterations": 50,
        "failed": 5,
        "vus": 3,
        "vus_max": 7,
        "iteration": counts_of([10_000] * 50),
        "requests": {**milliseconds, "failed": 10},
        "steps": {
            "a": {"count": 4, "success": 3, "failure": 1, "duration": counts_of([2000] * 4)},
            "a.b c": {"count": 1, "success": 1, "failure": 0, "duration": counts_of([500])},
        },
    }


@pytest.mark.parametrize(
    ("metric", "condition", "value", "passed"),
    [
        ("http_req_duration", "p(95) < 500", 95.05, True),
        ("http_req_duration", "p(95)<95", 95.05, False),
        ("http_req_duration", " p( 99.9 )  >=  99 ", 99.901, True),
        ("http_req_duration", "p(0) == 1", 1, True),
        ("http_req_duration", "p(100) != 100", 100, False),
        ("http_req_duration", "avg < 51", 50.5, True),
        ("http_req_duration", "med<51", 50.5, True),
        ("http_req_duration", "min>=1", 1, True),
        ("http_req_duration", "max<=1e2", 100, True),
        ("http_req_failed", "rate < 0.1", 0.1, False),
        ("http_req_failed", "rate <= 0.1", 0.1, True),
        ("http_req_failed", "count<11", 10, True),
        ("http_reqs", "count > 99", 100, True),
        ("http_reqs", "rate > 25", 25, False),
        ("iterations", "rate>0", 12.5, True),
        ("iterations", "count==50", 50, True),
        ("iteration_duration", "max < 10.5", 10, True),
        ("vus", "value == 3", 3, True),
        ("vus", "max > -1", 7, True),
        ("http_req_duration{step:a}", "max < 2.5", 2, True),
        ("http_req_failed{ step : a }", "rate == 0.25", 0.25, True),
        ("http_reqs{step:a}", "rate == 1", 1, True),
        ("iterations{step:a}", "count == 4", 4, True),
        ("iteration_duration{step:a}", "avg == 2", 2, True),
        ("a.duration", "p(50) == 2", 2, True),
        ("a.failure_rate", "rate < 0.25", 0.25, False),
        ("a.failure_rate", "value <= 0.25", 0.25, True),
        ("a.b c.duration", "min < 1", 0.5, True),
        ("http_reqs{step:a.b c}", "count == 1", 1, True),
    ],
)
def test_judges(metric, condition, value, passed):
    judgement = judge(parse_threshold(metric, condition), measured())
    assert judgement.value == pytest.approx(value, rel=0.002)
    assert (judgement.passed, judgement.measured) == (passed, True)


@pytest.mark.parametrize(
    ("metric", "condition"),
    [
        ("http_req_duration", "p(95) < 500"),
        ("http_req_duration", "max >= 0"),
        ("http_req_failed", "rate < 0.1"),
        ("http_req_failed", "count == 0"),
        ("http_reqs", "count > 500"),
        ("http_reqs", "count < 500"),
        ("http_reqs", "rate >= 0"),
        ("iterations", "rate > 0"),
        ("iterations", "rate >= 0"),
        ("iteration_duration", "avg >= 0"),
        ("vus", "value >= 0"),
        ("vus", "max >= 0"),
        ("a.duration", "p(95) < 500"),
        ("a.failure_rate", "rate < 0.5"),
        ("http_reqs{step:a}", "count >= 0"),
    ],
)
@pytest.mark.parametrize("ended", [True, False])
def test_nothing_measured_is_not_passed(metric, condition, ended):
    judgement = judge(parse_threshold(metric, condition), empty(ended=ended))
    assert (judgement.passed, judgement.value, judgement.measured) == (False, 0, False)


def test_a_rate_over_no_time_is_not_measured():
    check = parse_threshold("http_reqs", "rate > 0")
    assert not judge(check, measured() | {"running_us": 0}).measured


@given(st.sampled_from(METRICS), st.sampled_from(["p(95)", "rate", "count"]), st.integers(0, 2**50))
def test_what_was_judged_is_json(metric, statistic, running):
    try:
        check = parse_threshold(metric, f"{statistic} < 1")
    except ThresholdFault:
        return
    report = measured() | {"running_us": running}
    json.dumps(judge(check, report).value, allow_nan=False)


@pytest.mark.parametrize(
    "metric",
    [
        "", "http_req", "HTTP_REQS", "duration", "failure_rate", ".duration", "a.p95",
        "vus{step:a}",
        "http_reqs{step:}", "http_reqs{step: }", "http_reqs{name:a}", "http_reqs{step:a",
        "http_reqs{step:a}}", "http_reqs {step:a}", "duration{step:a}", "http_reqs{step:a\n",
        "checks", "http_reqs{step:" + "a" * 1000 + "}",
    ],
)  # fmt: skip
def test_a_metric_that_nobody_knows_is_a_fault_of_the_metric(metric):
    with pytest.raises(ThresholdFault, match="must") as caught:
        parse_threshold(metric, "count > 1")
    assert caught.value.field == "metric"


@pytest.mark.parametrize(
    "condition",
    [
        "", "500", "< 500", "p(95)", "p(95) <", "p(95) 500", "p(95) = 500", "p(95) => 500",
        "p(101) < 5", "p(-1) < 5", "p() < 5", "p95 < 5", "P(95) < 5", "p(95) < 5ms", "p(95) < NaN",
        "p(95) < inf", "p(95) < 1e999", "rate < 1", "count > 1", "value > 1", "p(95) < 5 or 6",
        "p(95) < 5\0", "avg", "mean < 5", "p(95) < --5", "p(9 5) < 1", "p(95) < " + "9" * 400,
        "p(95) < ." , "p(95) < 1_000", " " * 600 + "p(95) < 5",
    ],
)  # fmt: skip
def test_a_condition_that_says_nothing_is_a_fault_of_the_condition(condition):
    with pytest.raises(ThresholdFault, match="must") as caught:
        parse_threshold("http_req_duration", condition)
    assert caught.value.field == "condition"


@pytest.mark.parametrize(
    ("metric", "condition", "words"),
    [
        ("http_reqs", "p(95) < 1", "count or rate"),
        ("http_req_failed", "avg < 1", "rate or count"),
        ("vus", "count < 1", "value or max"),
        ("a.failure_rate", "count < 1", "rate or value"),
        ("a.duration", "rate < 1", r"p\(N\), avg, min, max or med"),
    ],
)
def test_a_statistic_that_a_metric_lacks_is_answered_with_those_it_has(metric, condition, words):
    with pytest.raises(ThresholdFault, match=words):
        parse_threshold(metric, condition)


def test_the_step_is_for_the_caller_to_check():
    assert parse_threshold("http_reqs{step:nowhere}", "count > 1").step == "nowhere"
    assert parse_threshold("no.where.duration", "max > 1").step == "no.where"
    assert parse_threshold("http_reqs", "count > 1").step is None
