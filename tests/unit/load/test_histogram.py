from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.load import histogram
from app.load.histogram import LONGEST_US, Histogram, merged, quantile, quantiles, read_counts

DURATIONS = st.lists(st.integers(0, LONGEST_US // 1000) | st.integers(0, 100_000), max_size=60)


def counts_of(durations):
    one = Histogram()
    for duration in durations:
        one.add(duration)
    return one.counts()


def exact(durations, wanted):
    values = sorted(durations)
    place = wanted * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


@given(DURATIONS.filter(bool), st.floats(0, 1))
def test_a_quantile_is_0_2_percent_off_at_most(durations, wanted):
    assert quantile(counts_of(durations), wanted) == pytest.approx(
        exact(durations, wanted), rel=0.002
    )


@given(st.integers(0, LONGEST_US))
def test_one_duration_is_exact_at_each_quantile(duration):
    assert quantiles(counts_of([duration]), [0, 0.5, 1]) == [duration] * 3


@given(DURATIONS.filter(bool))
def test_the_ends_and_the_mean_are_exact(durations):
    counts = counts_of(durations)
    assert quantiles(counts, [0, 1]) == [min(durations), max(durations)]
    assert histogram.mean(counts) == sum(durations) / len(durations)


@given(DURATIONS.filter(bool), st.lists(st.floats(0, 1), min_size=2))
def test_quantiles_rise(durations, wanted):
    values = quantiles(counts_of(durations), sorted(wanted))
    assert values == pytest.approx(sorted(values), rel=1e-12)


@given(st.lists(DURATIONS, max_size=5), st.randoms())
def test_merging_is_counting_all_in_one(parts, random):
    together = counts_of([duration for part in parts for duration in part])
    shuffled = random.sample(parts, len(parts))
    assert merged(map(counts_of, shuffled)) == together


@given(DURATIONS, DURATIONS, DURATIONS)
def test_grouping_means_nothing(one, two, three):
    a, b, c = map(counts_of, (one, two, three))
    assert merged([merged([a, b]), c]) == merged([a, merged([b, c])])
    assert merged([a, histogram.nothing()]) == a


@given(DURATIONS)
def test_is_read_as_it_was_written(durations):
    counts = counts_of(durations)
    assert read_counts(json.loads(json.dumps(counts))) == counts


def test_counts_are_a_copy():
    one = Histogram()
    one.add(5)
    before = one.counts()
    one.add(6)
    assert before["n"] == 1
    assert one.counts()["b"] == {"5": 1, "6": 1}


def test_nothing_has_no_quantiles():
    assert quantiles(histogram.nothing(), [0, 0.95]) == [0, 0]
    assert histogram.mean(histogram.nothing()) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"n": 2}, {"n": True}, {"n": -1}, {"n": 1.0}, {"sum": "1"}, {"sum": 2**53}, {"min": 9},
        {"b": {}}, {"b": []}, {"b": {"7": -1, "5": 2}}, {"b": {"x": 1}}, {"b": {"07": 1}},
        {"b": {"300": 1}}, {"b": {"99999": 1}}, {"b": {"5": True}}, {"b": {"5": 1.0}},
        {"b": {"5": 1, "6": 0}}, {"b": {5: 1}}, {"more": 1}, {"b": {"-1": 1}}, {"max": None},
    ],
)  # fmt: skip
def test_what_does_not_add_up_is_refused(change):
    with pytest.raises(ValueError, match="histogram"):
        read_counts(counts_of([5]) | change)


@pytest.mark.parametrize("value", [None, [], 7, {}, "x"])
def test_what_is_no_histogram_is_refused(value):
    with pytest.raises(ValueError, match="histogram"):
        read_counts(value)
