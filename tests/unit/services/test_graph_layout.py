"""Where boxes stand and how lines run: none over another, all joined, the same each time."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from kit.graphs import chain, collected, fan, lattice, strands, tangle

from app.services import graph_layout as module
from app.services.graph_folding import FOLDED_FROM, in_order
from app.services.graph_layout import (
    HEIGHT,
    MOST_BOXES,
    MOST_LINES,
    WIDTH,
    TooLarge,
    laid_out,
    lay_out,
    parsed,
)

GRAPHS = {
    "nothing": [],
    "one step": [[]],
    "two apart": [[], []],
    "diamond": [[], [0], [0], [1, 2]],
    "long way round": [[], [0], [1], [2], [0, 3]],
    "chain": chain(500),
    "1-498-1": fan(498),
    "25 x 20": lattice(25, 20, 1196),
    "tangle": tangle(500, 1196),
    "10 x 49": strands(10, 49),
    "collected": collected(500),
}
DRAWN = [(name, folded) for name in GRAPHS for folded in (True, False)]


def joined(layout):
    """Return which steps are joined by a line, at least by the box that they are in."""
    boxes = layout.boxes
    return {
        (need, step)
        for line in layout.lines
        for need in boxes[line.source].steps
        for step in boxes[line.target].steps
    }


@pytest.mark.parametrize(("name", "folded"), DRAWN)
class TestEveryGraph:
    def test_boxes_do_not_overlap_and_are_within_the_picture(self, name, folded):
        layout = lay_out(GRAPHS[name], folded=folded)
        by_layer = {}
        for box in layout.boxes:
            by_layer.setdefault(box.layer, []).append(box)
            assert 0 <= box.x <= layout.width - WIDTH
            assert 0 <= box.y <= layout.height - HEIGHT
        for boxes in by_layer.values():
            assert len({box.x for box in boxes}) == 1
            tops = [box.y for box in boxes]
            assert all(below - above > HEIGHT for above, below in pairwise(tops))
        columns = sorted({box.x for box in layout.boxes})
        assert all(right - left > WIDTH for left, right in pairwise(columns))

    def test_each_step_has_one_box_and_each_need_a_line(self, name, folded):
        needs = GRAPHS[name]
        layout = lay_out(needs, folded=folded)
        assert sorted(s for box in layout.boxes for s in box.steps) == [*range(len(needs))]
        wanted = {(need, step) for step, needed in enumerate(needs) for need in needed}
        assert joined(layout) >= wanted
        if not folded:
            assert joined(layout) == wanted

    def test_lines_go_to_the_right_from_box_to_box_and_through_none(self, name, folded):
        layout = lay_out(GRAPHS[name], folded=folded)
        by_x = {}
        for box in layout.boxes:
            by_x.setdefault(box.x, []).append(box)
        for line in layout.lines:
            source, target = layout.boxes[line.source], layout.boxes[line.target]
            assert source.layer < target.layer
            assert line.points[0] == (source.x + WIDTH, source.y + HEIGHT // 2)
            assert line.points[-1] == (target.x, target.y + HEIGHT // 2)
            for (x, y), (right, below) in pairwise(line.points):
                assert x < right
                passed = [at for at in by_x if x <= at and at + WIDTH <= right]
                if y != below:
                    assert not passed  # it bends between layers only
                for box in (box for at in passed for box in by_x[at]):
                    assert not box.y <= y <= box.y + HEIGHT

    def test_it_is_the_same_each_time_and_on_its_way_to_another_process(self, name, folded):
        work = json.dumps([GRAPHS[name], [], folded]).encode()
        assert laid_out(work) == laid_out(work)
        assert parsed(laid_out(work)) == lay_out(GRAPHS[name], folded=folded)


class TestPlaces:
    def test_a_chain_is_a_straight_line(self):
        layout = lay_out(chain(50))
        assert len({box.y for box in layout.boxes}) == 1
        assert all(len(line.points) == 2 for line in layout.lines)

    def test_a_chain_stays_straight_beside_a_long_line(self):
        layout = lay_out(collected(100))
        assert len({box.y for box in layout.boxes[:90]}) == 1

    def test_lines_cross_as_little_as_an_order_can_make_them(self):
        # Each needs the one opposite, in the order turned round.
        layout = lay_out([[], [], [], [2], [1], [0]])
        assert all(line.points[0][1] == line.points[-1][1] for line in layout.lines)

    def test_what_makes_a_circle_is_drawn_without_the_line_that_closes_it(self):
        layout = lay_out([[2], [0], [1], [3], [1, 2]])
        assert sorted(s for box in layout.boxes for s in box.steps) == [0, 1, 2, 3, 4]
        assert joined(layout) == {(0, 1), (1, 2), (2, 4), (1, 4)}

    def test_an_order_puts_each_step_behind_those_that_it_needs(self):
        needs = tangle(80, 200)
        order, kept = in_order([*reversed([[79 - n for n in each] for each in needs])])
        place = {step: at for at, step in enumerate(order)}
        assert all(place[n] < place[step] for step, each in enumerate(kept) for n in each)
        assert sum(map(len, kept)) == 200


class TestFolds:
    def test_steps_of_a_small_graph_stay_apart(self):
        few = fan(FOLDED_FROM - 3)
        assert len(lay_out(few).boxes) == len(few)

    def test_siblings_of_a_large_one_are_one_box(self):
        layout = lay_out(fan(498))
        assert [len(box.steps) for box in layout.boxes] == [1, 498, 1]
        assert len(layout.lines) == 2

    def test_what_needs_all_of_a_box_folds_in_turn(self):
        width = 200
        needs = [[], *([0] for _ in range(width)), *([1 + s] for s in range(width))]
        assert [len(box.steps) for box in lay_out(needs).boxes] == [1, width, width]

    def test_what_needs_nothing_folds_only_where_the_same_steps_need_it(self):
        assert len(lay_out(strands(10, 49)).boxes) == 490
        apart = [[] for _ in range(300)]
        assert [len(box.steps) for box in lay_out(apart).boxes] == [300]

    def test_a_box_can_be_opened(self):
        layout = lay_out(fan(498), opened=[7])
        assert len(layout.boxes) == 500
        assert len(lay_out(fan(498), opened=[0]).boxes) == 3

    def test_two_that_are_alike_stay_apart(self):
        # The next step of the chain is one of those that are alike.
        assert max(len(box.steps) for box in lay_out([*chain(200), [5]]).boxes) == 1
        assert max(len(box.steps) for box in lay_out([*chain(200), [5], [5]]).boxes) == 3


class TestBounds:
    def test_many_boxes_are_refused(self):
        with pytest.raises(TooLarge):
            lay_out(strands(2, MOST_BOXES // 2 + 1))
        assert parsed(laid_out(json.dumps([strands(2, 5000), [], True]).encode())) is None

    def test_ten_thousand_siblings_are_three_boxes(self):
        assert len(lay_out(fan(9998)).boxes) == 3
        with pytest.raises(TooLarge):
            lay_out(fan(9998), folded=False)

    def test_many_lines_are_refused(self):
        half = 70
        needs = [[] for _ in range(half)] + [[*range(half)] for _ in range(half)]
        assert half * half > MOST_LINES
        with pytest.raises(TooLarge):
            lay_out(needs, folded=False)

    @pytest.mark.parametrize("name", ["MOST_BENDS", "MOST_PASSES", "MOST_POINTS"])
    def test_long_lines_are_refused_before_they_cost_anything(self, name, monkeypatch):
        needs = tangle(120, 300)
        lay_out(needs)
        monkeypatch.setattr(module, name, 100)
        with pytest.raises(TooLarge):
            lay_out(needs)

    def test_lines_to_one_box_share_their_way(self):
        bends = {point for line in lay_out(collected(300)).lines for point in line.points[1:-1]}
        assert len(bends) <= 2 * 300
