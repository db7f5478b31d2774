"""Turns of the event loop, one piece of work at a time."""

import subprocess
import sys
import threading
from collections import Counter

import pytest
from kit.patience import PATIENCE_SECONDS

from app.services import turns as module
from app.services.turns import Turns


@pytest.fixture
def turns():
    return Turns()


@pytest.fixture
def pauses(monkeypatch):
    """Stand in for the pauses, which are counted and take no time."""
    paused = []
    monkeypatch.setattr(module.time, "sleep", paused.append)
    return paused


class Queue:
    """Those who wait for a turn while the test has it, in the order of their coming."""

    def __init__(self, turns):
        self._turns = turns
        self._threads = []
        self.served = []

    def join(self, owner):
        number = self._count()

        def work():
            with self._turns.turn(owner):
                self.served.append(owner)

        self._threads.append(threading.Thread(target=work, daemon=True))
        self._threads[-1].start()
        for _ in range(3000):
            if self._count() > number:
                return
            threading.Event().wait(0.005)
        raise AssertionError("nobody waits")

    def _count(self):
        queues = self._turns._gate._queues.values()
        return sum(len(queue) for sides in queues for queue in sides.values())

    def serve(self):
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        return self.served


def test_one_piece_of_work_is_done_at_a_time(turns):
    inside, most = [], []

    def work():
        for _ in range(50):
            with turns.turn("ada"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert (len(most), max(most)) == (400, 1)


def test_the_many_of_one_user_have_one_turn_where_the_one_of_another_has_one(turns):
    with turns.turn("me"):
        queue = Queue(turns)
        for owner in ["ada", "ada", "ada", "ada", "bob", "eve", "eve"]:
            queue.join(owner)
    assert queue.serve() == ["ada", "bob", "eve", "ada", "eve", "ada", "ada"]
    assert not turns._gate._queues


def test_after_some_work_there_is_a_pause_whoever_did_it(turns, pauses, monkeypatch):
    monkeypatch.setattr(module.time, "perf_counter", iter(range(100)).__next__)
    monkeypatch.setattr(module, "_WORK_SECONDS", 2.5)
    monkeypatch.setattr(module, "_WRITE_SECONDS", 0.0)
    for owner in ("ada", "bob", "ada"):
        assert pauses == []
        with turns.turn(owner):
            pass
    assert pauses == [module._PAUSE_SECONDS]


def test_work_that_takes_no_time_is_not_slowed_down(turns, pauses, monkeypatch):
    monkeypatch.setattr(module.time, "perf_counter", lambda: 0.0)
    for _ in range(round(module._WORK_SECONDS / module._WRITE_SECONDS) - 2):
        with turns.turn("ada"):
            pass
    assert pauses == []


def test_a_turn_is_given_back_however_the_work_ends(turns):
    for _ in range(3):
        with pytest.raises(KeyError), turns.turn("ada"):
            raise KeyError
    with turns.turn("bob"):
        pass


GREENLETS = """
from gevent import monkey; monkey.patch_all()
import gevent, time
from app.services.turns import Turns
turns, looks, done = Turns(), [], []

def read(owner):
    for _ in range(5):
        with turns.turn(owner):
            end = time.perf_counter() + 0.003
            while time.perf_counter() < end:
                pass
        done.append(len(looks))

def look():
    while True:
        looks.append(1)
        gevent.sleep(0.0001)

looking = gevent.spawn(look)
readers = [gevent.spawn(read, str(i % 3)) for i in range(30)]
gevent.sleep(0.02)
for reader in readers[::4]:
    reader.kill()          # as when a client hangs up, waiting or at work
gevent.joinall(readers, timeout=60, raise_error=True)
with turns.turn("last"):
    pass
print(len(done), len(looks))
"""


def test_the_event_loop_runs_others_between_any_two_turns_and_who_hangs_up_takes_none():
    run = subprocess.run(
        [sys.executable, "-c", GREENLETS], capture_output=True, text=True, timeout=90, check=True
    )
    done, looks = map(int, run.stdout.split())
    assert done >= 22 * 5
    assert looks >= done, run.stdout


def test_nobody_waits_for_ever_when_all_come_at_once(turns):
    served = Counter()

    def work(owner):
        for _ in range(20):
            with turns.turn(owner):
                served[owner] += 1

    threads = [threading.Thread(target=work, args=(str(i % 5),)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert served == dict.fromkeys("01234", 80)


def test_who_lets_others_go_first_pauses_after_each_few(turns, pauses):
    for _ in range(20):
        turns.let_others_go_first("10.0.0.1")
    assert pauses == [module._PAUSE_SECONDS] * 5
