"""How much of their upstreams orchestrators take."""

from types import SimpleNamespace

from kit.clock import Clock

from app.clients.orchestrator import Polls
from app.poll_rates import PollRates


def test_rates_are_of_the_time_since_the_last_call():
    clock, taken = Clock(), [0]
    remote = SimpleNamespace(polls=lambda: Polls(taken[0], 20.0))
    own = SimpleNamespace(polls=lambda: None)
    rates = PollRates({"a4c": remote, "local": own}, clock)
    taken[0], clock.now = 55, clock.now + 5
    assert rates.read() == {"a4c": {"used": 11.0, "allowed": 20.0}}
    clock.now += 10
    assert rates.read() == {"a4c": {"used": 0.0, "allowed": 20.0}}


def test_nothing_is_told_where_nothing_is_bounded():
    assert PollRates({"local": SimpleNamespace(polls=lambda: None)}).read() is None
