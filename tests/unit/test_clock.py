import time

import pytest

from app import clock
from app.clock import Instant


@pytest.fixture
def times(monkeypatch):
    """The clock, the time since the start of the machine, and the name of that start."""
    now = {"wall": 1e9, "up": 500.0, "boot": "one"}
    monkeypatch.setattr(clock, "uptime", lambda: now["up"])
    monkeypatch.setattr(clock, "boot_id", lambda: now["boot"])
    monkeypatch.setattr(time, "time", lambda: now["wall"])
    return now


@pytest.mark.parametrize("step", [0, -3600, 3600])
def test_within_one_start_of_the_machine_no_clock_counts(times, step):
    then = Instant.now()
    times.update(wall=1e9 + step, up=510.0)
    assert then.elapsed() == 10.0
    assert then.after(15.0).left(60.0) == 5.0
    assert then.after(5.0).left(60.0) == 0.0


@pytest.mark.parametrize(
    ("step", "elapsed", "left"), [(10, 10, 20), (-3600, 0, 60), (3600, 3600, 0)]
)
def test_between_two_starts_the_clock_counts_within_bounds(times, step, elapsed, left):
    then = Instant.now()
    times.update(wall=1e9 + step, up=3.0, boot="two")
    assert then.elapsed() == elapsed
    assert then.after(30.0).left(60.0) == left


def test_it_survives_the_store(times):
    then = Instant.now()
    assert Instant.load(then.dump()) == then
    for rubbish in (None, [], [1, 2], ["a", 1, "b"], {"wall": 1}, 7):
        assert Instant.load(rubbish) is None


def test_the_real_ones_go_forward():
    then = Instant.now()
    assert then.boot_id == clock.boot_id() != ""
    assert 0 <= then.elapsed() < 3600
