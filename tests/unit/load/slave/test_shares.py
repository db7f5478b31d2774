"""A task of a slave over its worker processes: nothing is begun twice, and nothing is left over."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from kit.slave_messages import desired, report

from app.load.messages import TaskReport
from app.load.segments import WHOLE
from app.load.slave.shares import SharedTask

VUS = 10


def vus(task, segment, elapsed_us):
    return segment.share(VUS if task.scaled is None else task.scaled)


def shared(processes=2, **more):
    return SharedTask(desired(**more), 0.0, processes, vus)


def says(task, process, told, claimed, *, ended=False):
    done = report(claimed, ended=ended)
    return task.reported(process, TaskReport(told.task, told.generation, done))


def test_each_process_has_a_part_and_together_they_have_all():
    told = dict(shared(processes=3, quota=10).wants(0.0, leaving=False))
    assert sorted(told) == [0, 1, 2]
    assert sum(each.segment.share(VUS) for each in told.values()) == VUS
    assert sum(each.quota for each in told.values()) == 10
    assert {each.generation for each in told.values()} == {1}


def test_nothing_is_said_twice():
    task = shared()
    assert len(task.wants(0.0, leaving=False)) == 2
    assert task.wants(1.0, leaving=False) == []


def test_a_process_that_has_no_virtual_user_gets_no_iteration():
    told = dict(shared(processes=4, scaled=1, quota=7).wants(0.0, leaving=False))
    assert sorted(each.quota for each in told.values()) == [0, 0, 0, 7]


def test_the_running_time_goes_on_and_stands_still_in_a_pause():
    task = shared(elapsed_us=5_000_000)
    assert task.wants(2.0, leaving=False)[0][1].elapsed_us == 7_000_000
    task.take(desired(generation=2, elapsed_us=9_000_000, paused=True), 4.0)
    (_, told), *_ = task.wants(6.0, leaving=False)
    assert (told.elapsed_us, told.paused) == (9_000_000, True)


def test_what_is_older_is_ignored():
    task = shared(generation=3)
    task.take(desired(generation=2, stop="now"), 1.0)
    assert task.desired.stop == "no"


def test_what_is_held_begins_nothing_until_the_same_is_said_again():
    task = shared(generation=3)
    task.wants(0.0, leaving=False)
    task.hold(2.0)
    assert {told.paused for _, told in task.wants(2.0, leaving=False)} == {True}
    task.take(desired(generation=2), 3.0)
    assert task.wants(3.0, leaving=False) == []
    task.take(desired(generation=3, elapsed_us=8_000_000), 4.0)
    told = task.wants(4.0, leaving=False)
    assert {(each.paused, each.elapsed_us) for _, each in told} == {(False, 8_000_000)}


def test_a_generation_is_followed_once_all_processes_follow_it():
    task = shared(generation=5)
    told = dict(task.wants(0.0, leaving=False))
    assert task.report().generation == 0
    says(task, 0, told[0], 3)
    assert task.report().generation == 0
    says(task, 1, told[1], 4)
    assert (task.report().generation, task.report().report["iterations"]) == (5, 7)


def test_a_task_has_ended_once_all_its_parts_have():
    task = shared()
    told = dict(task.wants(0.0, leaving=False))
    assert not says(task, 0, told[0], 1, ended=True)
    assert not task.report().report["ended"]
    assert says(task, 1, told[1], 1, ended=True)
    assert not says(task, 1, told[1], 1, ended=True), "it is told once"
    assert task.report().report["ended"]


def test_the_last_report_of_a_process_that_died_counts_and_its_rest_is_done():
    task = shared(quota=10)
    told = dict(task.wants(0.0, leaving=False))
    says(task, 0, told[0], 3)
    says(task, 1, told[1], 2)
    task.replaced(0)
    assert task.report().report["iterations"] == 5
    again = dict(task.wants(1.0, leaving=False))
    assert again[0].quota == told[0].quota - 3
    assert 1 not in again, "the other one has its own still"
    says(task, 0, again[0], again[0].quota, ended=True)
    says(task, 1, told[1], told[1].quota, ended=True)
    assert task.report().report["iterations"] == 10


def test_what_a_process_died_without_a_word_for_is_done_by_the_next():
    task = shared(processes=1, quota=10)
    task.wants(0.0, leaving=False)
    task.replaced(0)
    ((_, told),) = task.wants(1.0, leaving=False)
    assert told.quota == 10


def test_who_loses_its_virtual_users_gives_back_what_it_did_not_begin_and_not_before():
    task = shared(quota=10)
    told = dict(task.wants(0.0, leaving=False))
    task.take(desired(generation=2, quota=10, scaled=1), 1.0)
    later = dict(task.wants(1.0, leaving=False))
    (loser,) = (number for number, each in later.items() if not each.segment.share(1))
    keeper = 1 - loser
    assert later[loser].quota == 0
    assert later[keeper].quota == told[keeper].quota
    says(task, loser, told[loser], 2)  # it has not read the last line yet
    assert task.wants(1.5, leaving=False) == []
    says(task, loser, later[loser], 4, ended=True)
    ((number, last),) = task.wants(2.0, leaving=False)
    assert (number, last.quota) == (keeper, 6)


def test_whoever_leaves_ends_gently_unless_it_is_to_end_at_once():
    task = shared()
    assert {each.stop for _, each in task.wants(0.0, leaving=True)} == {"gently"}
    task.take(desired(generation=2, stop="now"), 1.0)
    assert {each.stop for _, each in task.wants(1.0, leaving=True)} == {"now"}


class Simulation:
    """Worker processes that do what they are told, at some time, and die."""

    def __init__(self, processes, quota):
        self.task = SharedTask(desired(quota=quota), 0.0, processes, vus)
        self.told = [None] * processes
        self.done = [0] * processes
        self.lost = 0
        self.reported = [0] * processes
        self.listen()

    def listen(self):
        for number, told in self.task.wants(0.0, leaving=False):
            self.told[number] = told

    def work(self, process, most):
        told = self.told[process]
        if told.segment.share(VUS if told.scaled is None else told.scaled):
            self.done[process] += max(0, min(most, told.quota - self.done[process]))

    def report(self, process):
        says(self.task, process, self.told[process], self.done[process])
        self.reported[process] = self.done[process]
        self.listen()

    def die(self, process):
        self.lost += self.reported[process]
        self.done[process] = self.reported[process] = 0
        self.task.replaced(process)
        self.listen()

    def scale(self, vus):
        before = self.task.desired
        self.task.take(replace(before, generation=before.generation + 1, scaled=vus), 0.0)
        self.listen()

    def total(self):
        return self.lost + sum(self.done)


@given(
    processes=st.integers(1, 5),
    quota=st.integers(0, 60),
    events=st.lists(
        st.one_of(
            st.tuples(st.just("work"), st.integers(0, 4), st.integers(0, 20)),
            st.tuples(st.just("report"), st.integers(0, 4), st.just(0)),
            st.tuples(st.just("die"), st.integers(0, 4), st.just(0)),
            st.tuples(st.just("scale"), st.integers(0, 12), st.just(0)),
        ),
        max_size=40,
    ),
)
def test_iterations_are_exact_whatever_happens(processes, quota, events):
    simulation = Simulation(processes, quota)
    for kind, which, number in events:
        if kind == "scale":
            simulation.scale(which)
        elif kind == "work":
            simulation.work(which % processes, number)
        else:
            getattr(simulation, kind)(which % processes)
        assert simulation.total() <= quota
    simulation.scale(VUS)
    for _ in range(3):
        for process in range(processes):
            simulation.report(process)
            simulation.work(process, quota)
            simulation.report(process)
    assert simulation.total() == quota
    assert simulation.task.report().report["iterations"] == quota


def test_a_new_share_is_taken_whole():
    task = shared()
    task.wants(0.0, leaving=False)
    half, _ = WHOLE.split([1, 1])
    task.take(desired(generation=2, segment=half), 1.0)
    told = dict(task.wants(1.0, leaving=False))
    assert sum(each.segment.share(VUS) for each in told.values()) == half.share(VUS)
