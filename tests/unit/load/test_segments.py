from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.load.segments import MOST_CELLS, WHOLE, Segment, deal, segment_of_json

WEIGHTS = st.lists(st.integers(0, 300), min_size=1, max_size=9).filter(any)
TOTALS = st.integers(0, 5000)


@pytest.mark.parametrize("slaves", [1, 2, 3, 7])
@pytest.mark.parametrize("total", [0, 1, 2, 4, 5, 7, 100])
def test_equal_slaves_differ_by_one_at_most(slaves, total):
    shares = [segment.share(total) for segment in WHOLE.split([1] * slaves)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


def test_one_more_takes_none_from_the_third_of_five():
    third = WHOLE.split([1] * 5)[2]
    shares = [third.share(total) for total in range(11)]
    assert shares == sorted(shares)
    assert shares[-1] == 2


@given(WEIGHTS, TOTALS)
def test_shares_sum_to_the_total(weights, total):
    assert sum(segment.share(total) for segment in WHOLE.split(weights)) == total


@given(WEIGHTS, TOTALS)
def test_one_more_goes_to_one_and_takes_none_from_another(weights, total):
    more = [s.share(total + 1) - s.share(total) for s in WHOLE.split(weights)]
    assert sorted(more) == [0] * (len(weights) - 1) + [1]


@given(WEIGHTS, st.data())
def test_nobody_gets_more_than_they_can_carry(weights, data):
    total = data.draw(st.integers(0, sum(weights)))
    shares = [segment.share(total) for segment in WHOLE.split(weights)]
    assert all(share <= weight for share, weight in zip(shares, weights, strict=True))


@given(WEIGHTS, TOTALS)
def test_a_share_is_near_its_size(weights, total):
    for segment in WHOLE.split(weights):
        ideal = total * (segment.end - segment.start)
        assert abs(segment.share(total) - ideal) <= 2 + segment.of.bit_length()


@given(WEIGHTS, WEIGHTS, TOTALS)
def test_a_divided_segment_is_the_sum_of_its_parts(weights, parts, total):
    for segment in WHOLE.split(weights):
        within = segment.split(parts)
        assert sum(part.share(total) for part in within) == segment.share(total)
        assert (within[0].start, within[-1].end) == (segment.start, segment.end)


@given(WEIGHTS, WEIGHTS, TOTALS)
def test_numbers_are_those_that_the_share_counts(weights, parts, total):
    segments = [part for segment in WHOLE.split(weights) for part in segment.split(parts)]
    numbers = [
        segment.number(index) for segment in segments for index in range(segment.share(total))
    ]
    assert sorted(numbers) == list(range(total))


@given(WEIGHTS)
def test_segments_cover_the_whole(weights):
    segments = WHOLE.split(weights)
    assert [segments[0].start, *(segment.end for segment in segments)] == [
        Fraction(sum(weights[:index]), sum(weights)) for index in range(len(weights) + 1)
    ]


@given(WEIGHTS, WEIGHTS)
def test_is_read_as_it_was_written(weights, parts):
    for segment in WHOLE.split(weights)[-1].split(parts):
        assert segment_of_json(segment.to_json()) == segment


@given(WEIGHTS, TOTALS, st.integers(0, 40))
def test_iterations_are_dealt_to_holders_only(weights, total, holders):
    segments = WHOLE.split(weights)
    dealt = [deal(total, segment, holders) for segment in segments]
    assert sum(dealt) == (total if holders else 0)
    assert all(
        segment.share(holders) or not iterations
        for segment, iterations in zip(segments, dealt, strict=True)
    )


@given(WEIGHTS, TOTALS, st.integers(1, 40))
def test_one_iteration_more_is_one_slave_s(weights, total, holders):
    more = [
        deal(total + 1, segment, holders) - deal(total, segment, holders)
        for segment in WHOLE.split(weights)
    ]
    assert sorted(more) == [0] * (len(weights) - 1) + [1]


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1], [MOST_CELLS, 1]])
def test_weights_that_divide_nothing_are_refused(weights):
    with pytest.raises(ValueError, match=r"weights|cells"):
        WHOLE.split(weights)


@pytest.mark.parametrize(
    "value",
    [
        None, [], [[]], [0, 1, 1], [0, 1, 1, 2], [0, 0, 0, 0], [1, 1, 0, 1], [0, 1, 2, 1],
        [-1, 1, 1, 1], [0, 1, 1.0, 1], [0, True, 1, 1], ["0", 1, 1, 1], [0, 1, 1, 1] * 5,
        [0, MOST_CELLS + 1, 1, MOST_CELLS + 1], [0, 1, 1, 1, 0], {"first": 0}, "0111",
    ],
)  # fmt: skip
def test_what_is_no_segment_is_refused(value):
    with pytest.raises(ValueError, match=r"segment|cells"):
        segment_of_json(value)


def test_is_written_as_fractions_that_are_not_reduced():
    first, second = WHOLE.split([2, 4])[1].split([1, 1])
    assert second.to_json() == [1, 3, 3, 3, 1, 2, 2, 2]
    assert (first.start, second.end) == (Fraction(1, 3), 1)


def test_a_segment_of_many_cells_is_cheap():
    first, second = WHOLE.split([MOST_CELLS - 1, 1])
    assert second.share(MOST_CELLS) == 1
    assert Segment(5, 5, MOST_CELLS).share(10**9) == 0
    assert first.of == MOST_CELLS


def test_who_has_no_cells_has_no_numbers():
    with pytest.raises(ValueError, match="without cells"):
        Segment(1, 1, 2).number(0)
