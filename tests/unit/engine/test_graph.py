from graphlib import CycleError
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.graph import Waiting, find_cycle, topological_order


@st.composite
def graphs(draw):
    """Acyclic graphs whose steps are listed in any order."""
    size = draw(st.integers(1, 12))
    names = draw(st.permutations([f"s{i}" for i in range(size)]))
    needs = {name: draw(st.sets(st.sampled_from(names[:i] or [None]))) - {None}
             for i, name in enumerate(names)}  # fmt: skip
    return {name: sorted(needs[name]) for name in draw(st.permutations(names))}


@given(graphs())
def test_each_step_stands_behind_those_that_it_needs(needs):
    order = topological_order(needs)
    assert sorted(order) == sorted(needs)
    for name in order:
        assert all(order.index(need) < order.index(name) for need in needs[name])


@given(graphs())
def test_an_order_that_is_right_is_kept(needs):
    order = topological_order(needs)
    assert topological_order({name: needs[name] for name in order}) == order


@given(graphs(), st.data())
def test_waiting_is_needing_over_any_number_of_steps(needs, data):
    step, other = (data.draw(st.sampled_from(list(needs))) for _ in range(2))
    waits_for = Waiting(needs).waits_for
    expected = other in needs[step] or any(waits_for(need, other) for need in needs[step])
    assert waits_for(step, other) == expected


@given(graphs())
def test_an_acyclic_graph_has_no_cycle(needs):
    assert find_cycle(needs) == []


def test_a_cycle_is_named_in_the_order_of_need():
    needs = {"a": ["c"], "b": ["a"], "c": ["b"], "d": ["a"]}
    cycle = find_cycle(needs)
    assert cycle[0] == cycle[-1]
    assert len(cycle) == 4
    assert all(first in needs[second] for first, second in pairwise(cycle))
    with pytest.raises(CycleError):
        topological_order(needs)


def test_where_steps_need_each_other_all_wait_for_all():
    waiting = Waiting({"a": ["b"], "b": ["a"], "c": []})
    assert waiting.waits_for("a", "b")
    assert waiting.waits_for("c", "a")


def test_a_long_chain_is_looked_through_once():
    size = 3000
    waiting = Waiting({str(n): [str(n - 1)] if n else [] for n in range(size)})
    assert all(waiting.waits_for(str(n), "0") for n in range(1, size))
    assert not any(waiting.waits_for("0", str(n)) for n in range(size))
