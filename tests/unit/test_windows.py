import threading

import pytest
from kit.clock import Clock

from app.windows import WINDOW_SECONDS, Demand, MemoryWindows, Window


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def windows(clock):
    return MemoryWindows(clock=clock)


def take(windows, limit=60, key="ada", cost=1):
    return windows.take([Demand(key, limit, cost)])


def granted(windows, number, **demand):
    return sum(take(windows, **demand).granted for _ in range(number))


def test_the_limit_is_let_through_and_no_more(windows):
    assert granted(windows, 100) == 60
    assert granted(windows, 100, key="bob") == 60


def test_at_the_edge_of_a_window_there_is_nearly_no_second_helping(windows, clock):
    take(windows)
    clock.now += WINDOW_SECONDS - 0.1
    assert granted(windows, 100) == 59
    clock.now += 0.2
    assert granted(windows, 60) <= 1


def test_who_asks_on_and_on_although_refused_gets_the_limit_in_each_minute(windows, clock):
    minutes = []
    for _ in range(5):
        count = 0
        for _ in range(600):
            count += take(windows).granted
            clock.now += 0.1
        minutes.append(count)
    assert minutes[0] == 60
    assert all(58 <= count <= 61 for count in minutes[1:])


def test_over_any_minute_it_is_never_more_than_twice_the_limit(windows, clock):
    moments = []
    take(windows, limit=30)
    for _ in range(4000):
        if not 30 <= (clock.now - 1000) % 120 <= 59.5:
            moments += [clock.now] * granted(windows, 3, limit=30)
        clock.now += 0.1
    for begin in moments:
        assert sum(begin <= moment < begin + WINDOW_SECONDS for moment in moments) <= 60


@pytest.mark.parametrize("idle", [0.0, 30.0, 59.9, 60.1, 119.9, 500.0])
def test_a_limit_of_one_is_exact(windows, clock, idle):
    assert granted(windows, 3, limit=1) == 1
    clock.now += idle
    again = granted(windows, 3, limit=1)
    assert again == (idle >= WINDOW_SECONDS)
    clock.now += 0.05
    assert granted(windows, 3, limit=1) == 0


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 60, 1000])
@pytest.mark.parametrize("late", [0.0, 0.4, 17.0, 59.95])
@pytest.mark.parametrize("cost", [1, 5])
def test_who_waits_as_long_as_told_is_let_in_and_nobody_who_comes_sooner(
    windows, clock, limit, late, cost
):
    cost = min(cost, limit)
    take(windows, limit=limit)
    clock.now += late
    for _ in range(5):
        granted(windows, limit + 1, limit=limit, cost=cost)
        wait = take(windows, limit=limit, cost=cost).windows[0].wait_seconds(cost)
        assert 0 < wait <= 2 * WINDOW_SECONDS + 1
        clock.now += max(0.0, wait - 0.02)
        assert not take(windows, limit=limit, cost=cost).granted
        clock.now += wait - max(0.0, wait - 0.02)
        assert take(windows, limit=limit, cost=cost).granted


def test_what_is_refused_by_one_counter_is_counted_by_none(windows):
    both = [Demand("requests", 60, 1), Demand("launches", 1, 1)]
    assert windows.take(both).granted
    refused = windows.take(both)
    assert not refused.granted
    assert [window.remaining for window in refused.windows] == [59, 0]
    assert granted(windows, 100, key="requests") == 59


def test_what_costs_more_than_is_left_leaves_that_to_others(windows):
    assert granted(windows, 57) == 57
    assert not take(windows, cost=5).granted
    assert granted(windows, 5) == 3


def test_what_is_remembered_has_a_bound(clock):
    windows = MemoryWindows(most=100, clock=clock)
    for number in range(1000):
        take(windows, key=f"address-{number}")
    assert len(windows._counters) == 100


def test_refused_requests_make_no_counters(clock):
    windows = MemoryWindows(clock=clock)
    windows.take([Demand("launches", 1, 1)])
    for number in range(10):
        windows.take([Demand("launches", 1, 1), Demand(f"n{number}", 60, 1)])
    assert list(windows._counters) == ["launches"]


def test_threads_together_get_the_limit(windows):
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(granted(windows, 200, limit=100)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(got) == 100


def test_a_window_tells_what_is_left():
    assert Window(60, 60, 10, 30.0).counted == 40
    assert Window(60, 60, 10, 30.0).remaining == 20
    assert Window(1, 0, 5, 30.0).remaining == 0
