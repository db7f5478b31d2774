from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.load.definition import SECOND_US, Mode, Options, Stage
from app.load.modes import (
    due_at,
    due_count,
    ends_at,
    first_vus,
    most_vus,
    next_due_us,
    quota,
    vus_at,
)
from app.load.segments import WHOLE, deal

STAGES = st.lists(
    st.builds(
        Stage, st.integers(0, 5) | st.integers(0, 20 * SECOND_US), st.integers(0, 50).map(Fraction)
    ),
    min_size=1,
    max_size=4,
).map(tuple)
RATES = st.fractions(0, 200, max_denominator=50)
CONSTANT = st.builds(
    Options,
    mode=st.just(Mode.CONSTANT_ARRIVAL_RATE),
    rate=RATES,
    duration_us=st.none() | st.integers(0, 60 * SECOND_US),
    time_unit_us=st.sampled_from([1000, SECOND_US, 60 * SECOND_US]),
    max_vus=st.integers(1, 50),
)
RAMPED = st.builds(
    Options,
    mode=st.just(Mode.RAMPING_ARRIVAL_RATE),
    stages=STAGES,
    time_unit_us=st.sampled_from([1000, SECOND_US]),
    max_vus=st.integers(1, 50),
)
ARRIVALS = CONSTANT | RAMPED
MOMENTS = st.integers(0, 90 * SECOND_US)


def ramp(*targets, seconds=10, mode=Mode.RAMPING_VUS):
    stages = tuple(Stage(seconds * SECOND_US, Fraction(target)) for target in targets)
    return Options(mode, stages=stages)


def at_a_rate(rate, seconds=10, **more):
    return Options(
        Mode.CONSTANT_ARRIVAL_RATE, rate=Fraction(rate), duration_us=seconds * SECOND_US, **more
    )


def test_a_ramp_up_and_down_is_linear_in_whole_users():
    options = ramp(10, 0)
    assert [vus_at(options, None, second * SECOND_US) for second in range(22)] == [
        *range(11), *range(9, -1, -1), 0,
    ]  # fmt: skip


def test_a_user_is_added_at_the_whole_number_and_taken_away_at_the_next():
    options = ramp(1, 0, seconds=1)
    moments = (0, SECOND_US - 1, SECOND_US, 2 * SECOND_US - 1, 2 * SECOND_US)
    assert [vus_at(options, None, moment) for moment in moments] == [0, 0, 1, 1, 0]


def test_a_stage_without_duration_is_a_jump():
    options = Options(
        Mode.RAMPING_VUS, stages=(Stage(0, Fraction(10)), Stage(5 * SECOND_US, Fraction(10)))
    )
    assert vus_at(options, None, 0) == 10
    assert ends_at(options) == 5 * SECOND_US


@given(STAGES, MOMENTS)
def test_a_ramp_stays_between_its_targets(stages, moment):
    vus = vus_at(Options(Mode.RAMPING_VUS, stages=stages), None, moment)
    assert 0 <= vus <= most_vus(Options(Mode.RAMPING_VUS, stages=stages))


@pytest.mark.parametrize("slaves", [1, 2, 3, 7])
def test_a_ramp_never_takes_a_user_from_one_to_give_it_to_another(slaves):
    segments = WHOLE.split([1] * slaves)
    options = ramp(10, 0)
    for moment in range(0, 20 * SECOND_US, SECOND_US // 10):
        now, then = vus_at(options, None, moment), vus_at(options, None, moment + SECOND_US // 10)
        changes = [segment.share(then) - segment.share(now) for segment in segments]
        assert sum(segment.share(now) for segment in segments) == now
        assert not (max(changes) > 0 > min(changes))


@pytest.mark.parametrize(
    ("options", "end"),
    [
        (Options(Mode.CONSTANT_VUS), None),
        (Options(Mode.CONSTANT_VUS, duration_us=5), 5),
        (Options(Mode.SHARED_ITERATIONS, iterations=5, duration_us=7), 7),
        (Options(Mode.EXTERNALLY_CONTROLLED), None),
        (ramp(1, 2, 3), 30 * SECOND_US),
        (ramp(1, 2, mode=Mode.RAMPING_ARRIVAL_RATE), 20 * SECOND_US),
        (at_a_rate(1), 10 * SECOND_US),
    ],
)
def test_an_execution_ends_with_its_duration_or_its_stages(options, end):
    assert ends_at(options) == end


@pytest.mark.parametrize(
    ("options", "scaled", "vus"),
    [
        (Options(Mode.CONSTANT_VUS, vus=5), None, 5),
        (Options(Mode.CONSTANT_VUS, vus=5), 0, 0),
        (Options(Mode.CONSTANT_VUS, vus=5), 50, 50),
        (Options(Mode.PER_VU_ITERATIONS, vus=5, iterations=2), None, 5),
        (Options(Mode.SHARED_ITERATIONS, vus=5, iterations=2), None, 2),
        (Options(Mode.SHARED_ITERATIONS, vus=5, iterations=100), 7, 7),
        (Options(Mode.EXTERNALLY_CONTROLLED, vus=5, max_vus=8), 10, 8),
        (Options(Mode.EXTERNALLY_CONTROLLED, vus=5), 10, 10),
        (ramp(10, 0), 3, 3),
        (at_a_rate(1, max_vus=9, pre_allocated_vus=2), None, 9),
        (at_a_rate(1, max_vus=9, pre_allocated_vus=2), 20, 20),
        (at_a_rate(1, pre_allocated_vus=2), None, 2),
    ],
)
def test_a_number_that_was_asked_for_takes_the_place_of_the_other(options, scaled, vus):
    assert vus_at(options, scaled, 5 * SECOND_US) == vus
    assert most_vus(options, scaled) == vus


def test_the_most_of_a_ramp_is_its_highest_target():
    assert most_vus(ramp(3, 10, 0)) == 10


@pytest.mark.parametrize(
    ("options", "scaled", "vus"),
    [
        (at_a_rate(1, max_vus=9, pre_allocated_vus=2), None, 2),
        (at_a_rate(1, max_vus=9, pre_allocated_vus=2), 1, 1),
        (at_a_rate(1, max_vus=9), None, 9),
    ],
)
def test_some_users_of_a_rate_are_there_before_they_are_needed(options, scaled, vus):
    assert first_vus(options, scaled) == vus


@pytest.mark.parametrize(
    ("options", "scaled", "iterations"),
    [
        (Options(Mode.CONSTANT_VUS, vus=5), None, None),
        (Options(Mode.SHARED_ITERATIONS, vus=5, iterations=7), None, 7),
        (Options(Mode.SHARED_ITERATIONS, vus=5, iterations=7), 9, 7),
        (Options(Mode.PER_VU_ITERATIONS, vus=5, iterations=7), None, 35),
        (Options(Mode.PER_VU_ITERATIONS, vus=5, iterations=7), 6, 42),
        (Options(Mode.PER_VU_ITERATIONS, vus=5, iterations=7), 1, 35),
        (at_a_rate(1), None, None),
    ],
)
def test_iterations_are_a_total_or_each_user_s(options, scaled, iterations):
    assert quota(options, scaled) == iterations


@pytest.mark.parametrize("slaves", [1, 2, 3, 7])
@pytest.mark.parametrize("vus", [1, 2, 4, 5, 7])
@pytest.mark.parametrize("iterations", [1, 2, 7, 100])
@pytest.mark.parametrize("mode", [Mode.SHARED_ITERATIONS, Mode.PER_VU_ITERATIONS])
def test_quotas_sum_exactly_and_nobody_has_one_without_a_user(slaves, vus, iterations, mode):
    options = Options(mode, vus=vus, iterations=iterations)
    total, users = quota(options), most_vus(options)
    segments = WHOLE.split([1] * slaves)
    quotas = [deal(total, segment, users) for segment in segments]
    assert sum(quotas) == total
    assert [bool(share) for share in quotas] == [bool(segment.share(users)) for segment in segments]
    if mode is Mode.PER_VU_ITERATIONS:
        assert quotas == [segment.share(users) * iterations for segment in segments]


@pytest.mark.parametrize(
    ("rate", "seconds", "total"),
    [(1, 10, 10), (7, 10, 70), ("1/2", 10, 5), (100, 10, 1000), (20, 3, 60)],
)
@pytest.mark.parametrize("slaves", [1, 2, 3, 7])
def test_a_rate_is_exact_at_every_second_on_any_number_of_slaves(rate, seconds, total, slaves):
    options = at_a_rate(rate, seconds, max_vus=5)
    segments = WHOLE.split([1] * slaves)
    for second in range(seconds + 2):
        due = due_count(options, second * SECOND_US)
        assert due == math.ceil(Fraction(rate) * min(second, seconds))
        assert sum(deal(due, segment, most_vus(options)) for segment in segments) == due
    assert due_count(options, seconds * SECOND_US) == total


def test_the_first_iteration_is_due_at_once_and_the_last_before_the_end():
    options = at_a_rate(100)
    assert [due_count(options, moment) for moment in (0, 1, 10_000, 10_001)] == [0, 1, 1, 2]
    assert due_count(options, 10 * SECOND_US - 9_999) == 1000
    assert due_count(options, 60 * SECOND_US) == 1000


def test_a_ramped_rate_keeps_each_fraction():
    stages = ((2, 20), (4, 20), (2, 0))
    options = Options(
        Mode.RAMPING_ARRIVAL_RATE,
        stages=tuple(Stage(seconds * SECOND_US, Fraction(target)) for seconds, target in stages),
    )
    assert due_at(options, 8 * SECOND_US) == 20 + 80 + 20
    assert due_at(options, SECOND_US) == 5
    assert due_count(options, ends_at(options)) == 120


def test_nothing_is_due_while_the_rate_is_0():
    options = ramp(0, 10, mode=Mode.RAMPING_ARRIVAL_RATE)
    assert due_count(options, 10 * SECOND_US) == 0
    assert next_due_us(options, 5 * SECOND_US) is None
    assert due_count(options, 20 * SECOND_US) == 50


def test_a_time_unit_is_what_a_rate_is_over():
    options = at_a_rate(3, 60, time_unit_us=60 * SECOND_US)
    assert due_at(options, 60 * SECOND_US) == 3


@given(ARRIVALS, MOMENTS, MOMENTS)
def test_what_is_due_only_grows(options, one, other):
    assert due_at(options, min(one, other)) <= due_at(options, max(one, other))


@given(ARRIVALS, MOMENTS)
def test_nothing_is_due_before_the_beginning_or_after_the_end(options, moment):
    assert due_at(options, -moment) == 0
    end = ends_at(options)
    assert end is None or due_at(options, end + moment) == due_at(options, end)


@given(ARRIVALS, MOMENTS, st.lists(st.integers(0, 20), min_size=1, max_size=7).filter(any))
def test_shares_of_what_is_due_sum_exactly(options, moment, weights):
    due = due_count(options, moment)
    users = most_vus(options)
    segments = WHOLE.split(weights)
    shares = [deal(due, segment, users) for segment in segments]
    assert sum(shares) == due
    assert all(segment.share(users) for segment, due in zip(segments, shares, strict=True) if due)


@given(CONSTANT.filter(lambda options: options.rate), MOMENTS)
def test_the_next_one_is_due_when_it_is_said_to_be(options, moment):
    end = ends_at(options)
    wait = next_due_us(options, moment)
    if end is None or moment + wait < end:
        assert due_count(options, moment + wait) == due_count(options, moment)
        if end is None or moment + wait + 2 <= end:
            assert due_count(options, moment + wait + 2) > due_count(options, moment)
