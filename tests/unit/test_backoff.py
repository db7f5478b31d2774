import pytest

from app.backoff import Backoff


def test_each_pause_is_twice_the_one_before_up_to_the_longest():
    pauses = Backoff(first=1.0, longest=15.0)
    assert [pauses.pause(failures) for failures in range(1, 7)] == [1, 2, 4, 8, 15, 15]


def test_the_growth_is_as_chosen():
    pauses = Backoff(first=0.5, longest=10.0, growth=3.0)
    assert [pauses.pause(failures) for failures in (1, 2, 3, 4)] == [0.5, 1.5, 4.5, 10]


@pytest.mark.parametrize("failures", [1_000, 1_025, 10**6, 10**12])
def test_any_number_of_failures_has_the_longest_pause(failures):
    assert Backoff(first=0.1, longest=60.0).pause(failures) == 60.0


def test_pauses_without_growth_are_equal():
    assert {Backoff(first=2.0, longest=9.0, growth=1.0).pause(n) for n in (1, 5, 5_000)} == {2.0}


def test_jitter_spreads_the_pauses_around_the_one_without_it():
    pauses = Backoff(first=10.0, longest=10.0, jitter=0.2)
    seen = [pauses.pause(1) for _ in range(1_000)]
    assert min(seen) >= 8.0
    assert max(seen) <= 12.0
    assert max(seen) - min(seen) > 2.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": 0.0, "longest": 1.0},
        {"first": 2.0, "longest": 1.0},
        {"first": 1.0, "longest": 2.0, "growth": 0.5},
        {"first": 1.0, "longest": 2.0, "jitter": 1.0},
        {"first": 1.0, "longest": 2.0, "jitter": -0.1},
    ],
)
def test_what_is_no_row_of_growing_pauses_is_refused(wrong):
    with pytest.raises(ValueError, match="do not grow"):
        Backoff(**wrong)
