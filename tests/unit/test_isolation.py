import os
import signal
import time
from pathlib import Path

import pytest

from app.isolation import Isolated, OverBudget

PATIENCE = 30.0
HERE = str(Path(__file__).parent)
KEPT = []


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def isolated(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", HERE)
    return Isolated(seconds=PATIENCE)


def process_id(_):
    return str(os.getpid()).encode()


def names_of_environment(_):
    return "\n".join(os.environ).encode()


def length(content):
    os.write(1, b"what a library prints is no reply\n")
    return str(len(content)).encode()


def fail(_):
    raise ValueError("of no interest to others")


def never_end(_):
    while True:
        pass


def take_memory(content):
    return bytes(int(content))


def keep_memory(content):
    KEPT.append(b"x" * int(content))
    return b""


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def call(isolated, function, content=b"", owner="ada"):
    return isolated.run(owner, f"{__name__}:{function.__name__}", content)


def test_calls_a_function_in_another_process_which_stays(isolated):
    first = call(isolated, process_id)
    assert first != process_id(b"")
    assert call(isolated, process_id) == first


@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
def test_takes_arguments_of_any_size(isolated, size):
    assert call(isolated, length, b"x" * size) == str(size).encode()


def test_the_process_gets_no_secret(isolated, monkeypatch):
    monkeypatch.setenv("SLIPWAY_MASTER_KEY", "secret")
    assert b"SLIPWAY" not in call(isolated, names_of_environment)


def test_a_failure_is_told_and_the_next_call_works(isolated):
    with pytest.raises(RuntimeError, match="fail failed"):
        call(isolated, fail)
    assert call(isolated, length, b"x") == b"1"


@pytest.mark.parametrize(
    ("function", "content"), [(never_end, b""), (die, b""), (take_memory, b"4000000000")]
)
def test_what_takes_too_much_is_ended_and_the_next_call_works(monkeypatch, function, content):
    monkeypatch.setenv("PYTHONPATH", HERE)
    isolated = Isolated(seconds=2.0 if function is never_end else PATIENCE)
    with pytest.raises(OverBudget):
        call(isolated, function, content)
    assert call(Isolated(seconds=PATIENCE), length, b"x") == b"1"
    isolated._seconds = PATIENCE
    assert call(isolated, length, b"x") == b"1"


def test_a_process_that_took_much_memory_is_replaced(isolated):
    first = call(isolated, process_id)
    call(isolated, keep_memory, b"400000000")
    assert call(isolated, process_id) != first


def test_a_process_that_somebody_ended_is_replaced(isolated):
    first = int(call(isolated, process_id))
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not isolated._idle[0].alive)
    assert int(call(isolated, process_id)) != first
