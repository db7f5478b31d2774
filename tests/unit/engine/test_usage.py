"""What tasks take: as a run tells it, and as it is read from what somebody may have made up."""

import math

import pytest
from engine_kit import GONE, Bench, ScriptedLauncher, steps

from app.domain import ExecutionStatus, Usage
from app.engine.launchers.job_records import read_usage, usage_of
from app.engine.launchers.shim import records

SEEN, LAST = Usage(1.0, 50.0, 100, 200), Usage(3.0, 10.0, 50, 300)


class Measuring(ScriptedLauncher):
    """A launcher that knows what its jobs take."""

    def usage(self, folder):
        self._asked("usage", folder)
        return SEEN


@pytest.fixture
def clock(monkeypatch):
    """A monotonic clock of runs that a test puts forward."""
    now = [1000.0]
    monkeypatch.setattr("app.engine.run.time.monotonic", lambda: now[0])
    return now


def fail(_folder):
    raise GONE


def asked(flow):
    return sum(what == "usage" for what, _ in flow.launcher.calls)


def test_running_tasks_are_asked_now_and_then(tmp_path, clock):
    flow = Bench(steps("a", "b"), tmp_path, launcher=Measuring())
    assert flow.look().usage == {}
    clock[0] += 10
    assert flow.look().usage == {"a": SEEN, "b": SEEN}
    for _ in range(5):
        clock[0] += 1
        assert flow.look().usage == {}
    assert asked(flow) == 2
    flow.launcher.finish("a", usage=LAST)
    clock[0] += 10
    assert flow.look().usage == {"a": LAST, "b": SEEN}
    assert asked(flow) == 3


def test_each_is_first_asked_a_second_after_its_beginning(tmp_path, clock):
    flow = Bench(steps("a", {"id": "b", "needs": ["a"], "retries": 1, "retry_delay": 0}), tmp_path,
                 launcher=Measuring())  # fmt: skip
    assert flow.look().usage == {}
    clock[0] += 0.9
    assert flow.look().usage == {}
    clock[0] += 0.2
    assert flow.look().usage == {"a": SEEN}
    clock[0] += 3
    flow.launcher.finish("a", usage=LAST)
    assert flow.look().usage == {"a": LAST}
    clock[0] += 1.1
    assert flow.look().usage == {"b": SEEN}
    clock[0] += 1.1
    assert flow.look().usage == {}
    flow.launcher.finish("b", 1, usage=LAST)
    assert flow.look().usage == {"b": Usage()}, "its next attempt has begun"
    clock[0] += 1.1
    assert flow.look().usage == {"b": SEEN}


def test_no_look_fails_for_it(tmp_path, clock, monkeypatch):
    flow = Bench(steps("a"), tmp_path)
    flow.look()
    monkeypatch.setattr(flow.launcher, "usage", fail)
    clock[0] += 10
    assert flow.look().usage == {}
    flow.launcher.finish("a")
    assert flow.finish().status is ExecutionStatus.SUCCESS


def test_each_end_tells_the_last_and_each_attempt_begins_with_nothing(tmp_path, clock):
    flow = Bench(steps({"id": "a", "retries": 1, "retry_delay": 0}), tmp_path)
    flow.look()
    flow.launcher.finish("a", 1, usage=LAST)
    assert flow.look().usage == {"a": Usage()}
    flow.launcher.finish("a", 0, usage=SEEN)
    assert flow.look().usage == {"a": SEEN}


def test_a_launcher_that_does_not_know_says_nothing(tmp_path, clock):
    flow = Bench(steps("a"), tmp_path)
    flow.look()
    clock[0] += 10
    assert flow.look().usage == {}
    flow.launcher.finish("a")
    assert flow.look().usage == {}


@pytest.mark.parametrize(
    "told",
    [
        None, 1, [], {}, "x",
        {"cpu_seconds": -1}, {"cpu_seconds": True}, {"cpu_seconds": "1"}, {"cpu_percent": math.nan},
        {"memory_bytes": math.inf}, {"memory_peak_bytes": 2**63}, {"memory_bytes": [1]},
    ],
)  # fmt: skip
def test_what_is_no_usage_is_none(told):
    found = usage_of(told)
    assert found is None or (told == {} and found == Usage())


def test_a_usage_is_read_whole(tmp_path):
    told = {"cpu_seconds": 1, "cpu_percent": 2.5, "memory_bytes": 3.0, "memory_peak_bytes": None}
    assert usage_of(told) == Usage(1, 2.5, 3, None)
    assert read_usage(tmp_path) is None
    record = tmp_path / records.USAGE
    record.write_bytes(records.USAGE_RECORD.pack(1.23456, 50.04, 0.0, 4096.0))
    assert read_usage(tmp_path) == Usage(1.235, 50.0, None, 4096)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"x" * 31,
        records.USAGE_RECORD.pack(math.nan, 1, 1, 1), records.USAGE_RECORD.pack(1, -1, 1, 1),
        records.USAGE_RECORD.pack(1, 1, math.inf, 1), records.USAGE_RECORD.pack(1, 1, 1, 1e300),
    ],
)  # fmt: skip
def test_a_damaged_record_says_nothing(tmp_path, content):
    (tmp_path / records.USAGE).write_bytes(content)
    assert read_usage(tmp_path) is None


def test_what_is_no_record_holds_nobody_up(tmp_path):
    (tmp_path / records.USAGE).mkdir()
    assert read_usage(tmp_path) is None
