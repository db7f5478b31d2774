"""What a web process counts within a minute."""

import pytest

from app.pulse import Pulse


def test_requests_and_those_that_failed_are_counted():
    pulse = Pulse()
    for status in (200, 404, 429, 500, 503):
        pulse.answered(status)
    counts = pulse.read()
    assert (counts.requests, counts.failures) == (5, 2)


def test_a_minute_begins_anew_and_what_is_open_stays_open():
    pulse = Pulse()
    pulse.answered(500)
    pulse.delivered(1.0)
    pulse.ran_late(0.5)
    pulse.opened()
    pulse.opened()
    pulse.closed()
    assert pulse.turn().failures == 1
    counts = pulse.read()
    assert (counts.requests, counts.failures, counts.loop_lag) == (0, 0, 0.0)
    assert (counts.delivered, counts.delivery_lag) == (0, None)
    assert counts.streams == 1


def test_the_worst_loop_lag_counts():
    pulse = Pulse()
    for seconds in (0.1, 0.7, 0.2):
        pulse.ran_late(seconds)
    assert pulse.read().loop_lag == 0.7


@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.003, 0.04, 0.5, 12.0])
def test_the_delivery_lag_is_right_to_a_tenth(seconds):
    pulse = Pulse()
    for _ in range(95):
        pulse.delivered(seconds)
    for _ in range(5):
        pulse.delivered(100.0)
    counts = pulse.read()
    assert counts.delivered == 100
    assert max(seconds, 0.001) <= counts.delivery_lag <= max(seconds, 0.001) * 1.1001


def test_the_slowest_of_few_counts():
    pulse = Pulse()
    for seconds in (0.01, 0.01, 2.0):
        pulse.delivered(seconds)
    assert pulse.read().delivery_lag == pytest.approx(2.0, rel=0.1)
