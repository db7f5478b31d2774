"""How often is looked, and how calls and answers are shared."""

from __future__ import annotations

import threading
import time

import pytest
from fakes.alien4cloud.driver import ManualClock
from kit.patience import PATIENCE_SECONDS

from app.caching import SingleFlight, UpstreamReads
from app.clients._pace import Budget, Pace, PollOptions
from app.errors import UpstreamError


@pytest.fixture
def clock():
    return ManualClock()


def make_pace(clock):
    return Pace(PollOptions(min=0.5, max=15.0, budget_per_second=20), clock)


def in_threads(count, function):
    results = []
    threads = [threading.Thread(target=lambda: results.append(function())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    return results


def test_a_quiet_execution_is_looked_at_less_and_less_often(clock):
    pace = make_pace(clock)
    pauses = [pace.pause("x", followed=False, quiet_seconds=s) for s in (0, 1, 4, 20, 60, 3600)]
    assert pauses == [0.485, 0.485, 1.0, 5.0, 15.0, 15.0]


def test_one_that_is_followed_is_looked_at_a_little_sooner_than_it_must_be(clock):
    assert 0.45 < make_pace(clock).pause("x", followed=True, quiet_seconds=3600) < 0.5


def test_many_wait_so_long_that_the_budget_is_enough(clock):
    pace = make_pace(clock)
    for index in range(500):
        pause = pace.pause(f"x{index}", followed=False, quiet_seconds=3600)
    assert 500 * 2 / 20 <= pause < 60
    assert pace.pause("x0", followed=True, quiet_seconds=3600) < 0.5


@pytest.mark.parametrize(("followed", "left"), [(1, 19 - 4), (3, 19 - 12), (100, 19 / 4)])
def test_the_others_have_what_the_followed_leave_and_a_quarter_in_any_case(clock, followed, left):
    pace = make_pace(clock)
    for index in range(500):
        pace.pause(f"x{index}", followed=index < followed, quiet_seconds=3600)
    pause = pace.pause("x400", followed=False, quiet_seconds=3600)
    assert pause == pytest.approx((500 - followed) * 2 / left)


def test_those_that_have_ended_or_went_elsewhere_are_not_counted(clock):
    pace = make_pace(clock)
    for index in range(500):
        pace.pause(f"x{index}", followed=False, quiet_seconds=0)
    for index in range(100):
        pace.forget(f"x{index}")
    assert pace.pause("x400", followed=False, quiet_seconds=0) == pytest.approx(400 * 2 / 19)
    clock.advance(3600)
    assert pace.pause("x", followed=False, quiet_seconds=0) < 50
    assert pace.pause("x", followed=False, quiet_seconds=0) == 0.485


def test_the_budget_is_kept_and_the_first_come_is_the_first_served():
    budget = Budget(100)
    served = []
    begun = time.monotonic()

    def take(number):
        budget.take()
        served.append(number)

    threads = [threading.Thread(target=take, args=(i,)) for i in range(30)]
    for thread in threads:
        thread.start()
        time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert time.monotonic() - begun >= 0.25
    assert served[5:] == list(range(5, 30))


def test_some_go_first_and_leave_every_fourth_turn_to_the_others():
    budget = Budget(50)
    served, ready = [], threading.Barrier(13)

    def take(kind):
        ready.wait(PATIENCE_SECONDS)
        with budget.going_first(kind == "first"):
            budget.take()
        served.append(kind)

    kinds = ["first"] * 6 + ["other"] * 6
    threads = [threading.Thread(target=take, args=(kind,)) for kind in kinds]
    for _ in range(5):
        budget.take()  # what may pass at once has passed
    for thread in threads:
        thread.start()
    ready.wait(PATIENCE_SECONDS)
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert served[1:].index("other") <= 4
    assert served[:9].count("first") == 6


def test_a_call_is_made_once_for_all_that_want_it():
    flights, calls = SingleFlight(), []

    def call():
        calls.append(1)
        time.sleep(0.1)
        return object()

    assert len(set(in_threads(20, lambda: flights.do("key", call)))) == 1
    assert len(calls) == 1
    assert flights.do("key", lambda: 5) == 5


def test_a_failure_is_shared_too():
    flights = SingleFlight()

    def fail():
        time.sleep(0.05)
        raise UpstreamError("down")

    def attempt():
        with pytest.raises(UpstreamError):
            flights.do("key", fail)
        return True

    assert in_threads(5, attempt) == [True] * 5


def test_an_interrupted_call_is_made_again_by_the_next():
    flights, entered = SingleFlight(), threading.Event()

    def interrupted():
        entered.set()
        time.sleep(0.05)
        raise KeyboardInterrupt

    def lead():
        with pytest.raises(KeyboardInterrupt):
            flights.do("key", interrupted)

    leader = threading.Thread(target=lead)
    leader.start()
    entered.wait(PATIENCE_SECONDS)
    assert flights.do("key", lambda: 5) == 5
    leader.join()


def test_while_one_asks_again_the_others_get_the_old_answer(clock):
    cache = UpstreamReads(10, clock=clock)
    cache.get("key", lambda: "old")
    clock.advance(11)
    entered, leave = threading.Event(), threading.Event()

    def load():
        entered.set()
        leave.wait(PATIENCE_SECONDS)
        return "new"

    leader = threading.Thread(target=cache.get, args=("key", load))
    leader.start()
    entered.wait(PATIENCE_SECONDS)
    assert cache.get("key", lambda: "other").value == "old"
    leave.set()
    leader.join()
    assert cache.get("key", lambda: "other").value == "new"


def test_a_cache_keeps_no_more_than_it_should(clock):
    cache = UpstreamReads(10, max_bytes=25_000, clock=clock)
    for key in "abc":
        cache.get(key, lambda: key * 10_000)  # noqa: B023
    assert [cache.peek(key) and key for key in "abc"] == [None, "b", "c"]
