import time

import pytest

from app.errors import LimitExceeded
from app.identity import attempts as module
from app.identity.attempts import Attempts, side_of


@pytest.fixture
def clock(monkeypatch):
    moment = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    return moment


@pytest.fixture
def attempts(clock):
    return Attempts()


def fail(attempts, number, name="ada", address="a"):
    for _ in range(number):
        attempts.failed(name, address)


def pause(attempts, name="ada", address="a"):
    try:
        attempts.check(name, address)
    except LimitExceeded as exc:
        return exc.retry_after_seconds
    return 0


def test_a_few_wrong_ones_cost_nothing(attempts):
    fail(attempts, 4)
    attempts.check("ada", "a")


def test_each_further_one_doubles_the_pause_up_to_a_minute(attempts, clock):
    pauses = []
    fail(attempts, 4)
    for _ in range(9):
        fail(attempts, 1)
        pauses.append(pause(attempts))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    clock[0] += 60
    attempts.check("ada", "a")


def test_nobody_is_locked_out_by_the_guesses_of_another(attempts):
    fail(attempts, 1000)
    assert pause(attempts) > 0
    attempts.check("ada", "elsewhere")
    attempts.check("bob", "a")


def test_many_names_from_one_address_slow_each_of_them_down(attempts):
    for number in range(20):
        fail(attempts, 1, name=f"user-{number}")
    assert pause(attempts, "user-3") == 1
    attempts.check("never-wrong", "a")


def test_many_addresses_slow_the_name_down_where_it_was_wrong(attempts):
    for number in range(25):
        fail(attempts, 1, address=f"host-{number}")
    assert pause(attempts, address="host-3") == 32
    attempts.check("ada", "never-wrong")


def test_a_right_one_makes_up_for_those_before(attempts):
    fail(attempts, 10)
    attempts.succeeded("ada", "a")
    attempts.check("ada", "a")


def test_after_a_quarter_of_an_hour_all_is_forgotten(attempts, clock):
    fail(attempts, 100)
    clock[0] += 901
    fail(attempts, 1)
    attempts.check("ada", "a")


def test_what_is_remembered_has_a_bound(attempts, monkeypatch):
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 100)
    for number in range(1000):
        fail(attempts, 1, name=f"n{number}", address=f"a{number}")
    assert len(attempts._pairs._failures) == len(attempts._sums._failures) == 100


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", None, True),
        ("unix", "10.0.0.1", False),
    ],
)
def test_a_client_is_a_host_or_a_network_of_ipv6(one, other, same):
    assert (side_of(one) == side_of(other)) is same
