"""Who does which share, at first and when slaves come and go: sums are exact, whatever happens."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.load.definition import (
    Definition,
    Hook,
    HttpConfig,
    Mode,
    Options,
    ScriptConfig,
    Step,
    TargetMode,
    TargetSlaves,
)
from app.load.planning import (
    NotEnough,
    Part,
    Worker,
    choose,
    fitting,
    joining,
    needs,
    share_out,
)

HTTP = ("http_executor",)
ROOMS = st.lists(st.integers(1, 200), min_size=1, max_size=7)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("lose"), st.integers(0, 6)),
        st.tuples(st.just("join"), st.integers(1, 200)),
        st.tuples(st.just("scale"), st.integers(0, 60)),
        st.tuples(st.just("work"), st.integers(0, 400)),
    ),
    max_size=20,
)


def worker(id_, max_vus=100, **more):
    return Worker(id_, "i1", max_vus, **{"capabilities": HTTP, **more})


def shares(options, parts, workers, scaled=None, done=0):
    return share_out(options, scaled, parts, {w.id: w for w in workers}, done_elsewhere=done)


def new(workers):
    return [Part("", each.id, each.incarnation) for each in workers]


def covers(parts):
    edges = sorted((part.segment.start, part.segment.end) for part in parts)
    return [start for start, _ in edges] == [0, *(end for _, end in edges[:-1])] and edges[-1][
        1
    ] == 1


class _Team:
    """Slaves that count what they begin, as they are told."""

    def __init__(self, options, workers):
        self.options, self.scaled, self.elsewhere = options, None, 0
        self.workers = {each.id: each for each in workers}
        self.parts = shares(options, new(workers), workers).parts
        self.done = {each.id: 0 for each in workers}

    def plan(self, joins=()):
        parts = [replace(part, claimed=self.done[part.slave], follows=True) for part in self.parts]
        found = shares(
            self.options, [*parts, *new(joins)], self.workers.values(), self.scaled, self.elsewhere
        )
        self.parts, self.lacking = found.parts, found.lacking

    def lose(self, place):
        if len(self.parts) > 1:
            lost = self.parts[place % len(self.parts)]
            self.parts = tuple(part for part in self.parts if part is not lost)
            self.elsewhere += self.done.pop(lost.slave)
            del self.workers[lost.slave]

    def join(self, max_vus):
        one = worker(f"slave-{len(self.done) + self.elsewhere}-{len(self.workers)}-x", max_vus)
        if one.id in self.workers:
            return ()
        self.workers[one.id], self.done[one.id] = one, 0
        return (one,)

    def work(self, most):
        for part in self.parts:
            free = most if part.quota is None else min(most, part.quota - self.done[part.slave])
            self.done[part.slave] += free if part.max_vus else 0


@given(rooms=ROOMS, vus=st.integers(1, 300), iterations=st.integers(1, 1000), events=EVENTS)
def test_whatever_happens_shares_cover_the_whole_and_no_iteration_is_lost_or_done_twice(
    rooms, vus, iterations, events
):
    options = Options(Mode.SHARED_ITERATIONS, vus=vus, iterations=iterations)
    workers = [worker(f"slave-{number}", room) for number, room in enumerate(rooms)]
    team = _Team(options, workers)
    for name, value in events:
        joins = ()
        if name == "scale":
            team.scaled = value
        elif name == "join":
            joins = team.join(value)
        else:
            getattr(team, name)(value)
        team.plan(joins)
        wanted = min(iterations, vus if team.scaled is None else team.scaled)
        room = sum(each.max_vus for each in team.workers.values())
        assert covers(team.parts)
        assert sum(part.max_vus for part in team.parts) + team.lacking == wanted
        assert team.lacking == max(0, wanted - room)
        assert all(part.max_vus <= team.workers[part.slave].max_vus for part in team.parts)
        begun = sum(team.done.values()) + team.elsewhere
        assert begun <= iterations
        assert sum(part.quota for part in team.parts) + team.elsewhere <= iterations
    team.scaled = 1
    for _ in range(len(team.parts) + 2):
        team.plan()
        team.work(10**6)
    assert sum(team.done.values()) + team.elsewhere == iterations


@given(rooms=ROOMS, vus=st.integers(0, 300))
def test_users_are_shared_out_exactly_and_nobody_has_more_than_fit(rooms, vus):
    workers = [worker(f"slave-{number}", room) for number, room in enumerate(rooms)]
    found = shares(Options(Mode.CONSTANT_VUS, vus=vus), new(workers), workers)
    carried = sum(part.max_vus for part in found.parts)
    assert carried == min(vus, sum(rooms))
    assert found.lacking == vus - carried
    assert all(part.max_vus <= room for part, room in zip(found.parts, rooms, strict=True))
    assert {part.quota for part in found.parts} == {None}


def test_shares_stay_as_they_are_while_they_do():
    workers = [worker("a"), worker("b")]
    options = Options(Mode.CONSTANT_VUS, vus=10)
    first = shares(options, new(workers), workers)
    again = shares(options, first.parts, workers, scaled=150)
    assert [part.segment for part in again.parts] == [part.segment for part in first.parts]
    assert [part.max_vus for part in again.parts] == [75, 75]


def test_slaves_of_different_size_have_shares_by_their_size():
    workers = [worker("a", 300), worker("b", 100)]
    found = shares(Options(Mode.CONSTANT_VUS, vus=40), new(workers), workers)
    assert [part.max_vus for part in found.parts] == [30, 10]
    assert found.parts[0].segment.end == Fraction(3, 4)


@given(
    rooms=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    vus=st.lists(st.integers(0, 100), min_size=2, max_size=4),
    joins=st.lists(st.integers(1, 50), max_size=3),
    data=st.data(),
)
def test_there_are_never_too_many_while_users_go_from_one_slave_to_another(rooms, vus, joins, data):
    workers = [worker(f"slave-{number}", room) for number, room in enumerate(rooms)]
    parts = shares(Options(Mode.CONSTANT_VUS, vus=vus[0]), new(workers), workers).parts
    running = {part.slave: part.max_vus for part in parts}
    for wanted in vus[1:]:
        options, more = Options(Mode.CONSTANT_VUS, vus=wanted), []
        if joins:
            more = [worker(f"slave-{len(workers)}", joins.pop())]
            workers += more
        running |= {each.id: 0 for each in more}
        before = sum(running.values())
        for turn in range(6):
            told = [replace(part, running=running[part.slave]) for part in parts]
            parts = shares(options, [*told, *new(more)], workers).parts
            more = []
            assert all(part.max_vus <= part.reserved for part in parts)
            for part in parts:  # some let go at once, and all in the end
                held = running[part.slave] - part.max_vus
                stays = data.draw(st.integers(0, held)) if held > 0 and turn < 4 else 0
                running[part.slave] = part.max_vus + stays
            assert sum(running.values()) <= max(before, wanted)
        assert running == {part.slave: part.reserved for part in parts}


def test_who_is_back_begins_once_the_others_have_let_go():
    here, back = worker("a"), worker("b")
    options = Options(Mode.CONSTANT_VUS, vus=6)
    alone = shares(options, new([here]), [here]).parts
    told = [replace(alone[0], running=6)]
    at_first = shares(options, [*told, *new([back])], [here, back]).parts
    assert [(part.max_vus, part.reserved) for part in at_first] == [(3, 3), (0, 3)]
    slow = [replace(part, running=left) for part, left in zip(at_first, (5, 0), strict=True)]
    assert [part.max_vus for part in shares(options, slow, [here, back]).parts] == [3, 1]
    done = [replace(part, running=left) for part, left in zip(at_first, (3, 0), strict=True)]
    assert [part.max_vus for part in shares(options, done, [here, back]).parts] == [3, 3]


def test_what_others_have_reserved_is_left_to_them():
    workers = [worker("a", 100, reserved=95), worker("b", 100)]
    found = shares(Options(Mode.CONSTANT_VUS, vus=100), new(workers), workers)
    assert sum(part.max_vus for part in found.parts) == 100
    assert found.parts[0].max_vus <= 5


def test_no_iteration_is_given_to_a_slave_without_users():
    workers = [worker(f"slave-{number}") for number in range(7)]
    found = shares(Options(Mode.SHARED_ITERATIONS, vus=2, iterations=100), new(workers), workers)
    assert sorted(part.quota for part in found.parts) == [0] * 5 + [50, 50]
    assert all(bool(part.quota) is bool(part.max_vus) for part in found.parts)


def test_a_quota_falls_only_when_its_slave_is_sure_to_begin_nothing():
    workers = [worker("a"), worker("b")]
    options = Options(Mode.SHARED_ITERATIONS, vus=2, iterations=100)
    first = shares(options, new(workers), workers).parts
    told = shares(options, [replace(p, claimed=10) for p in first], workers, scaled=1).parts
    assert [part.quota for part in told] == [50, 50]
    idle = next(part for part in told if not part.max_vus)
    unsure = shares(options, [replace(p, claimed=10) for p in told], workers, scaled=1).parts
    assert [part.quota for part in unsure] == [50, 50]
    sure = shares(
        options, [replace(p, claimed=10, follows=True) for p in told], workers, scaled=1
    ).parts
    assert {part.slave: part.quota for part in sure} == {
        idle.slave: 10, next(p.slave for p in told if p is not idle): 90,
    }  # fmt: skip


class TestChoice:
    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            (TargetSlaves(), ["b", "a"]),
            (TargetSlaves(TargetMode.MANUAL, slave_ids=("a",)), ["a"]),
            (TargetSlaves(TargetMode.LABEL, labels={"x": "1"}), ["a"]),
            (TargetSlaves(TargetMode.LOCAL), ["l"]),
            (TargetSlaves(max_slaves=1), ["b"]),
        ],
        ids=["auto", "manual", "label", "local", "at-most"],
    )
    def test_those_that_are_meant_are_taken_the_least_busy_first(self, target, expected):
        workers = [
            worker("a", load=0.5, labels={"x": "1"}), worker("b", load=0.1),
            worker("c", there=False), worker("d", capabilities=()), worker("l", local=True),
        ]  # fmt: skip
        assert [each.id for each in choose(target, HTTP, workers, 10)] == expected

    def test_a_local_one_is_taken_where_the_others_cannot_carry_it(self):
        workers = [worker("a", 10), worker("l", 100, local=True)]
        assert [each.id for each in choose(TargetSlaves(), HTTP, workers, 10)] == ["a"]
        assert [each.id for each in choose(TargetSlaves(), HTTP, workers, 11)] == ["a", "l"]
        assert [each.id for each in choose(TargetSlaves(), HTTP, workers[1:], 5)] == ["l"]

    @pytest.mark.parametrize(
        ("target", "vus", "said"),
        [
            (TargetSlaves(TargetMode.LABEL, labels={"x": "2"}), 1, "There is no slave"),
            (TargetSlaves(TargetMode.MANUAL, slave_ids=("a", "z")), 1, "not there.*: z"),
            (TargetSlaves(min_slaves=3), 1, "at least 3 slaves, and there are 2"),
            (TargetSlaves(), 151, "wants 151 virtual users.*room for 150"),
            (TargetSlaves(max_slaves=1), 101, "room for 100"),
        ],
        ids=["nobody", "missing", "too-few", "too-small", "too-small-by-choice"],
    )
    def test_what_cannot_be_is_refused_with_the_reason(self, target, vus, said):
        workers = [worker("a", 100, labels={"x": "1"}), worker("b", 50, load=0.5)]
        with pytest.raises(NotEnough, match=said):
            choose(target, HTTP, workers, vus)

    def test_all_that_steps_and_hooks_need_is_needed(self):
        web, script = HttpConfig("http://h/"), ScriptConfig("1")
        plain = Definition("d", "d", (Step("s", "s", web),), Options(Mode.CONSTANT_VUS))
        assert needs(plain) == {"http_executor"}
        assert needs(replace(plain, pre_hook=Hook(script))) == {
            "http_executor", "script_executor",
        }  # fmt: skip
        step = Step("s", "s", script, post_hook=Hook(web))
        assert needs(replace(plain, steps=(step,))) == {"http_executor", "script_executor"}

    def test_those_fit_that_can_do_all_that_is_needed(self):
        both = worker("b", capabilities=("http_executor", "script_executor"))
        assert fitting(TargetSlaves(), {"script_executor"}, [worker("a"), both]) == [both]


class TestJoining:
    def joins(self, workers, at_it, wanted, vus, target=None):
        found = joining(
            target or TargetSlaves(), HTTP, workers, at_it=at_it, wanted=wanted, vus=vus
        )
        return [each.id for each in found]

    def test_as_many_join_as_were_lost(self):
        workers = [worker("a"), worker("b", load=0.5), worker("c")]
        assert self.joins(workers, {"a": 100}, 1, 10) == []
        assert self.joins(workers, {"a": 100}, 2, 10) == ["c"]
        assert self.joins(workers, {}, 3, 10) == ["a", "c", "b"]

    def test_more_join_where_those_at_it_cannot_carry_all(self):
        workers = [worker("a"), worker("b"), worker("c")]
        assert self.joins(workers, {"a": 100}, 1, 150) == ["b"]
        assert self.joins(workers, {"a": 100}, 1, 201) == ["b", "c"]
        assert self.joins(workers, {"a": 100}, 1, 201, TargetSlaves(max_slaves=2)) == ["b"]

    def test_who_has_not_let_go_yet_does_not_join(self):
        assert self.joins([worker("a"), worker("b")], {"a": 100, "b": 0}, 2, 10) == []

    def test_a_local_one_joins_only_where_nobody_else_is_left(self):
        workers = [worker("a"), worker("l", local=True)]
        assert self.joins(workers, {"a": 100}, 2, 10) == []
        assert self.joins(workers[1:], {}, 2, 10) == ["l"]
