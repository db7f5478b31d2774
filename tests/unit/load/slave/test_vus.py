from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import gevent
import pytest
from gevent.event import Event

from app.load.definition import SECOND_US, Mode, Options, Stage
from app.load.exchange import Answer, Request, TransportFailed
from app.load.measures import read_report
from app.load.messages import DesiredTask
from app.load.modes import due_count, most_vus, quota, vus_at
from app.load.segments import WHOLE, deal
from app.load.slave import gate, vus
from app.load.slave.gate import Permission
from app.load.slave.vus import GRACE_US, LATEST_US, Task

ENDLESS = 2**60
REQUEST = Request("GET", "http://target/")


class Clock:
    us = 10 * SECOND_US


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    for module in (gate, vus):
        monkeypatch.setattr(module, "boot_us", lambda: made.us)
    return made


def settle(rounds=30):
    for _ in range(rounds):
        gevent.sleep(0)


class Client:
    """Answers when it is told to, and counts what is under way."""

    def __init__(self, ready):
        self.ready = ready
        self.answers = Event()
        self.answers.set()
        self.fails = False
        self.sent = self.open = 0

    def send(self, request):
        self.ready()
        self.sent += 1
        self.open += 1
        try:
            gevent.sleep(0)
            self.answers.wait()
        finally:
            self.open -= 1
        if self.fails:
            raise TransportFailed("CONNECTION_ERROR", "refused", 1)
        return Answer(200, 1)

    def close(self):
        pass


class Program:
    """Sends a request in each iteration."""

    def __init__(self, requests=1, fails=None):
        self.requests, self.fails = requests, fails
        self.begun = []

    def __call__(self, http, recorder, vu, number):
        self.begun.append((vu, number))
        if self.fails is not None:
            raise self.fails
        for _ in range(self.requests):
            try:
                http.send(REQUEST)
            except TransportFailed:
                return False
            recorder.step("s1", "success", 1)
        return True

    def close(self):
        pass


class Bench:
    """A task, and all that it is in touch with."""

    def __init__(self, clock, options, program=None, lease_us=ENDLESS, **desired):
        self.clock = clock
        self.permission = Permission()
        self.permission.until_us = lease_us
        self.program = program or Program()
        self.ends = 0
        self.desired = DesiredTask(
            **{
                "task": "t", "execution": "e", "generation": 1, "digest": "d", "segment": WHOLE,
                "scaled": None, "quota": quota(options), "max_vus": 1000, "elapsed_us": 0,
            } | desired
        )  # fmt: skip
        self.task = Task(
            self.desired, options, self.program, make_client=self._client,
            permission=self.permission,
            on_end=self._end,
        )  # fmt: skip
        settle()

    def _client(self, ready):
        self.client = Client(ready)
        return self.client

    def _end(self):
        self.ends += 1

    def want(self, **changes):
        """Want something else from now on, at the time that it is."""
        elapsed = self.report()["running_us"]
        self.desired = replace(
            self.desired, generation=self.desired.generation + 1, elapsed_us=elapsed, **changes
        )
        self.task.take(self.desired)
        settle()

    def later(self, microseconds):
        """Let time pass, and the task notice it."""
        self.clock.us += microseconds
        self.task.look()
        settle()

    def hold(self):
        """Let no request be answered."""
        self.client.answers.clear()
        settle()

    def report(self):
        return self.task.report()


@pytest.fixture
def bench(clock):
    made = []

    def make(*arguments, **more):
        made.append(Bench(clock, *arguments, **more))
        return made[-1]

    yield make
    for each in made:
        each.task.stop()
    settle()


def constant(vus=5, seconds=10):
    return Options(
        Mode.CONSTANT_VUS, vus=vus, duration_us=None if seconds is None else seconds * SECOND_US
    )


def at_a_rate(rate, vus, seconds=10, **more):
    return Options(
        Mode.CONSTANT_ARRIVAL_RATE, rate=Fraction(rate), duration_us=seconds * SECOND_US,
        max_vus=vus, **more,
    )  # fmt: skip


def test_virtual_users_run_until_the_duration_is_over_and_end_what_they_have_begun(bench):
    it = bench(constant(vus=5))
    it.hold()
    assert it.client.open == 5
    it.later(10 * SECOND_US)
    assert not it.report()["ended"]
    begun = it.client.sent
    it.client.answers.set()
    settle()
    report = it.report()
    assert (report["ended"], it.ends, report["vus"]) == (True, 1, 0)
    assert report["claimed"] == report["iterations"] == begun == it.client.sent
    assert (report["vus_max"], report["completed_vus"], report["interrupted"]) == (5, 5, 0)


def test_what_does_not_end_in_time_is_cut_and_counted_apart(bench):
    it = bench(constant(vus=3))
    it.hold()
    done = it.report()["iterations"]
    it.later(10 * SECOND_US)
    it.later(GRACE_US["no"] - 1)
    assert it.client.open == 3
    it.later(1)
    report = it.report()
    assert (report["ended"], report["interrupted"], it.client.open) == (True, 3, 0)
    assert (report["iterations"], report["failed"]) == (done, 0)
    assert report["claimed"] == done + 3


@pytest.mark.parametrize("stop", ["gently", "now"])
def test_a_stop_begins_nothing_and_cuts_what_goes_on_for_too_long(bench, stop):
    it = bench(constant(vus=3, seconds=None))
    it.hold()
    it.want(stop=stop)
    sent = it.client.sent
    it.later(GRACE_US[stop] - 1)
    assert it.client.open == 3
    it.later(1)
    report = it.report()
    assert (report["ended"], report["interrupted"], it.client.sent) == (True, 3, sent)


def test_a_stop_at_once_shortens_a_gentle_one(bench):
    it = bench(constant(vus=1, seconds=None))
    it.hold()
    it.want(stop="gently")
    it.later(GRACE_US["now"])
    assert it.client.open == 1
    it.want(stop="now")
    it.later(1)
    assert it.client.open == 0


@pytest.mark.parametrize("slaves", [1, 2, 3, 7])
@pytest.mark.parametrize("users", [1, 2, 5, 7])
@pytest.mark.parametrize("iterations", [1, 2, 7, 100])
@pytest.mark.parametrize("mode", [Mode.SHARED_ITERATIONS, Mode.PER_VU_ITERATIONS])
def test_iterations_are_exact_on_any_number_of_slaves(bench, slaves, users, iterations, mode):
    options = Options(mode, vus=users, iterations=iterations)
    total, holders = quota(options), most_vus(options)
    segments = WHOLE.split([1] * slaves)
    tasks = [
        bench(options, segment=segment, quota=deal(total, segment, holders)) for segment in segments
    ]
    for _ in range(100):
        settle(10)
        if all(task.report()["ended"] for task in tasks):
            break
    reports = [task.report() for task in tasks]
    assert all(report["ended"] for report in reports)
    assert sum(report["iterations"] for report in reports) == total
    assert sum(report["vus_max"] for report in reports) == holders
    assert [bool(report["iterations"]) for report in reports] == [
        bool(segment.share(holders)) for segment in segments
    ]
    numbers = [number for task in tasks for number, _ in task.program.begun]
    assert set(numbers) == set(range(1, holders + 1))
    if mode is Mode.PER_VU_ITERATIONS:
        assert all(numbers.count(number) == iterations for number in set(numbers))


def test_iterations_of_a_user_are_counted_from_1(bench):
    it = bench(Options(Mode.PER_VU_ITERATIONS, vus=2, iterations=3))
    settle()
    assert sorted(it.program.begun) == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]


def test_iterations_that_are_added_later_are_run_too(bench):
    it = bench(Options(Mode.SHARED_ITERATIONS, vus=2, iterations=10), quota=4)
    settle()
    assert (it.report()["ended"], it.report()["iterations"]) == (True, 4)
    it.want(quota=10)
    settle()
    assert (it.report()["ended"], it.report()["iterations"], it.ends) == (True, 10, 2)


def test_users_of_a_lost_slave_run_what_it_has_left(bench):
    options = Options(Mode.PER_VU_ITERATIONS, vus=4, iterations=5)
    it = bench(options, segment=WHOLE.split([1, 1])[0], quota=10)
    settle(60)
    assert (it.report()["iterations"], it.report()["vus_max"]) == (10, 2)
    it.want(segment=WHOLE, quota=17)
    settle(60)
    assert (it.report()["iterations"], it.report()["ended"]) == (17, True)


def test_an_older_wish_is_nothing(bench):
    it = bench(constant(vus=5), generation=7)
    it.task.take(replace(it.desired, generation=6, paused=True, scaled=1))
    it.hold()
    assert it.client.open == 5
    assert it.task.generation == 7


@pytest.mark.parametrize("slaves", [1, 2, 3, 7])
def test_a_ramp_is_exact_at_every_moment_on_any_number_of_slaves(bench, clock, slaves):
    stages = tuple(Stage(10 * SECOND_US, Fraction(target)) for target in (10, 0))
    options = Options(Mode.RAMPING_VUS, stages=stages)
    tasks = [bench(options, segment=segment) for segment in WHOLE.split([1] * slaves)]
    for _ in range(21):
        elapsed = tasks[0].report()["running_us"]
        assert sum(task.report()["vus"] for task in tasks) == vus_at(options, None, elapsed)
        clock.us += SECOND_US
        for task in tasks:
            task.later(0)
    assert all(task.report()["ended"] for task in tasks)


def test_a_pause_lets_end_what_is_under_way_and_begins_nothing(bench):
    it = bench(constant(vus=4))
    it.hold()
    it.want(paused=True)
    sent = it.client.sent
    it.client.answers.set()
    it.later(60 * SECOND_US)
    assert (it.client.open, it.client.sent) == (0, sent)
    report = it.report()
    assert (report["running_us"], report["vus"], report["ended"]) == (0, 4, False)
    it.want(paused=False)
    assert it.client.sent > sent
    it.later(10 * SECOND_US)
    assert it.report()["ended"]


def test_a_pause_holds_the_next_request_of_an_iteration_too(bench):
    it = bench(constant(vus=2), program=Program(requests=1000))
    it.hold()
    it.want(paused=True)
    it.client.answers.set()
    settle()
    sent = it.client.sent
    it.later(SECOND_US)
    assert (it.client.sent, it.report()["iterations"]) == (sent, 0)
    it.want(paused=False)
    assert it.client.sent > sent


def test_the_time_of_an_iteration_is_without_the_pause_in_it(bench):
    it = bench(constant(vus=1), program=Program(requests=2))
    it.hold()
    it.later(SECOND_US)
    it.want(paused=True)
    it.client.answers.set()
    it.later(5 * SECOND_US)
    it.hold()
    it.want(paused=False)
    it.later(SECOND_US)
    it.client.answers.set()
    settle()
    assert it.report()["iteration"]["max"] == 2 * SECOND_US


@pytest.mark.parametrize("stop", ["gently", "now"])
def test_who_is_held_by_a_pause_is_cut_at_once_by_a_stop(bench, stop):
    it = bench(constant(vus=2), program=Program(requests=1000))
    it.want(paused=True)
    it.want(stop=stop)
    report = it.report()
    assert (report["ended"], report["interrupted"], report["vus"]) == (True, 2, 0)


def test_without_a_lease_nothing_is_sent(bench):
    it = bench(constant(vus=2), lease_us=0)
    assert (it.client.sent, it.report()["claimed"]) == (0, 0)
    it.permission.until_us = it.clock.us + SECOND_US
    it.later(0)
    assert it.client.sent > 0
    it.later(SECOND_US)
    sent = it.client.sent
    it.later(SECOND_US)
    assert it.client.sent == sent


def test_a_lease_is_looked_at_before_each_request(bench):
    it = bench(constant(vus=3), program=Program(requests=1000))
    it.hold()
    it.clock.us += SECOND_US
    it.permission.until_us = it.clock.us
    sent = it.client.sent
    it.client.answers.set()
    settle()
    assert (it.client.sent, it.client.open) == (sent, 0)


@pytest.mark.parametrize("paused", [True, False])
def test_scaling_adds_and_takes_away(bench, paused):
    it = bench(constant(vus=5))
    it.hold()
    it.want(scaled=8, paused=paused)
    assert it.report()["vus"] == 8
    it.want(scaled=2)
    it.client.answers.set()
    settle()
    assert it.report()["vus"] == 2
    it.want(scaled=0)
    assert (it.report()["vus"], it.report()["ended"]) == (0, False)
    it.want(scaled=3, paused=False)
    it.hold()
    assert (it.report()["vus"], it.client.open, it.report()["vus_max"]) == (3, 3, 8)


def test_nobody_has_more_users_than_the_task_may_have(bench):
    it = bench(constant(vus=50), max_vus=7)
    assert it.report()["vus"] == 7


def test_users_whose_requests_fail_pause_in_between(bench):
    it = bench(constant(vus=2))
    it.hold()
    it.client.fails = True
    done = it.report()["iterations"]
    it.client.answers.set()
    settle(100)
    assert it.report()["iterations"] - done == it.report()["failed"] == 2


def test_users_that_do_nothing_let_others_run(bench):
    it = bench(constant(vus=2), program=Program(requests=0))
    settle(100)
    assert 2 <= it.report()["iterations"] < 20


def test_a_fault_of_ours_is_an_error_and_the_user_goes_on(bench):
    it = bench(
        Options(Mode.SHARED_ITERATIONS, vus=1, iterations=2), program=Program(fails=KeyError("x"))
    )
    while not it.report()["ended"]:
        gevent.sleep(0.01)
    report = it.report()
    assert (report["iterations"], report["failed"]) == (2, 2)
    assert [(error["code"], error["count"]) for error in report["errors"]] == [
        ("EXECUTION_ERROR", 2)
    ]


def test_a_running_time_that_is_told_to_be_less_makes_no_time_negative(bench):
    it = bench(constant(vus=1), elapsed_us=SECOND_US)
    it.hold()
    it.task.take(replace(it.desired, generation=2, elapsed_us=0))
    it.client.answers.set()
    settle()
    assert it.report()["iteration"]["min"] == 0
    assert read_report(it.report())


def test_what_is_cut_before_it_could_begin_is_counted_as_interrupted(bench, clock):
    it = bench(at_a_rate(100, vus=500))
    clock.us += SECOND_US // 10
    it.task._arrive()
    it.task._cut()
    settle()
    report = it.report()
    assert report["claimed"] == report["interrupted"] + report["iterations"] == 10


def test_a_fault_of_ours_ends_the_task_and_is_told(bench, monkeypatch):
    it = bench(constant(vus=2))
    it.hold()
    monkeypatch.setattr(it.task, "_fill", [].pop)
    it.later(0)
    report = it.report()
    assert (report["ended"], report["vus"], report["interrupted"]) == (True, 0, 2)
    assert report["errors"][0]["message"] == "internal: IndexError"


def test_a_task_that_is_forgotten_sends_nothing_more(bench):
    it = bench(constant(vus=3))
    it.task.stop()
    settle()
    sent = it.client.sent
    settle()
    assert (it.client.sent, it.client.open) == (sent, 0)


class TestArrivals:
    def test_each_that_is_due_begins(self, bench):
        it = bench(at_a_rate(100, vus=50))
        for _ in range(100):
            it.later(SECOND_US // 10)
        report = it.report()
        assert (report["iterations"], report["dropped"], report["ended"]) == (1000, 0, True)
        assert it.client.sent == 1000

    def test_what_finds_no_user_is_dropped_and_no_burst_follows(self, bench):
        it = bench(at_a_rate(100, vus=10))
        for _ in range(40):
            it.later(SECOND_US // 10)
        assert it.report()["dropped"] == 0
        it.hold()
        for _ in range(20):
            it.later(SECOND_US // 10)
        assert (it.client.open, it.report()["dropped"]) == (10, 190)
        it.client.answers.set()
        settle()
        for _ in range(40):
            sent = it.client.sent
            it.later(SECOND_US // 10)
            assert it.client.sent - sent == 10
        report = it.report()
        assert report["iterations"] + report["dropped"] == 1000
        assert report["ended"]

    def test_their_time_counts_from_when_they_were_due(self, bench):
        it = bench(at_a_rate(1, vus=10, seconds=4))
        it.later(1)
        it.hold()
        it.later(SECOND_US)
        it.later(2 * SECOND_US)
        it.client.answers.set()
        settle()
        longest = it.report()["iteration"]["max"]
        assert 2 * SECOND_US - 2 <= longest <= 3 * SECOND_US

    def test_after_a_standstill_of_the_process_what_is_late_is_dropped(self, bench):
        it = bench(at_a_rate(100, vus=500))
        it.later(SECOND_US)
        it.later(5 * SECOND_US)
        report = it.report()
        late = 100 * LATEST_US // SECOND_US
        assert it.client.sent == 50 + late
        assert report["dropped"] == 600 - it.client.sent

    def test_a_pause_makes_nothing_due(self, bench):
        it = bench(at_a_rate(50, vus=500))
        for _ in range(30):
            it.later(SECOND_US // 10)
        it.want(paused=True)
        it.later(8 * SECOND_US)
        assert it.client.sent == 150
        it.want(paused=False)
        assert it.client.sent == 150
        for _ in range(70):
            it.later(SECOND_US // 10)
        assert (it.report()["iterations"], it.report()["dropped"]) == (500, 0)

    @pytest.mark.parametrize("slaves", [1, 2, 3, 7])
    @pytest.mark.parametrize("rate", ["1", "7", "1/2"])
    @pytest.mark.parametrize("users", [1, 2, 9])
    def test_a_rate_is_exact_on_any_number_of_slaves(self, bench, clock, slaves, rate, users):
        options = at_a_rate(rate, vus=users)
        tasks = [bench(options, segment=segment) for segment in WHOLE.split([1] * slaves)]
        for _ in range(40):
            clock.us += SECOND_US // 4
            for task in tasks:
                task.later(0)
            due = due_count(options, tasks[0].report()["running_us"])
            reports = [task.report() for task in tasks]
            assert sum(report["claimed"] + report["dropped"] for report in reports) == due
            assert all(report["vus_max"] for report in reports if report["claimed"])
        assert due == 10 * Fraction(rate)
        assert sum(report["iterations"] + report["dropped"] for report in reports) == due
        assert users == 1 or not any(report["dropped"] for report in reports)

    def test_users_are_there_before_they_are_needed_and_more_when_they_are(self, bench):
        it = bench(at_a_rate(10, vus=10, pre_allocated_vus=2))
        assert it.report()["vus"] == 2
        it.hold()
        for _ in range(5):
            it.later(SECOND_US // 10)
        assert (it.report()["vus"], it.client.open) == (5, 5)
        it.want(scaled=3)
        it.client.answers.set()
        settle()
        assert it.report()["vus"] == 3

    def test_who_comes_in_the_middle_begins_there(self, bench):
        it = bench(at_a_rate(100, vus=500), elapsed_us=5 * SECOND_US)
        it.later(SECOND_US // 10)
        assert (it.client.sent, it.report()["dropped"]) == (10, 0)

    def test_who_comes_at_the_beginning_misses_nothing(self, bench):
        it = bench(at_a_rate(100, vus=500), elapsed_us=200_000)
        it.later(0)
        assert (it.client.sent, it.report()["dropped"]) == (20, 0)

    def test_none_is_begun_twice_where_the_running_time_is_told_to_be_less(self, bench):
        it = bench(at_a_rate(100, vus=500, seconds=2))
        it.later(SECOND_US // 2)
        for generation in range(2, 6):
            elapsed = it.report()["running_us"] - 40_000
            it.task.take(replace(it.desired, generation=generation, elapsed_us=elapsed))
            settle()
            it.later(SECOND_US // 10)
        for _ in range(30):
            it.later(SECOND_US // 10)
        report = it.report()
        assert (report["iterations"], report["dropped"], report["ended"]) == (200, 0, True)

    def test_a_stop_lets_none_begin(self, bench):
        it = bench(at_a_rate(100, vus=500))
        it.later(SECOND_US // 10)
        it.want(stop="gently")
        it.later(SECOND_US)
        report = it.report()
        assert (it.client.sent, report["dropped"], report["ended"]) == (10, 0, True)

    def test_without_a_lease_nothing_is_due_here(self, bench):
        it = bench(at_a_rate(100, vus=500), lease_us=0)
        it.later(SECOND_US)
        it.permission.until_us = ENDLESS
        it.later(SECOND_US // 10)
        assert (it.client.sent, it.report()["dropped"]) == (10, 0)
