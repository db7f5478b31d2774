import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.concurrency import Turns
from app.errors import LimitExceeded

PATIENCE = 30.0


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def waiting(turns):
    return sum(len(queue) for sides in turns._queues.values() for queue in sides.values())


class TestTurns:
    @staticmethod
    def served(turns, owners, order):
        """Let one hold the place until all others wait, and note the order of the others."""

        def take(owner):
            with turns.turn(*owner.split("/")):
                order.append(owner)

        with ThreadPoolExecutor(32) as pool, turns.turn("first"):
            for number, owner in enumerate(owners, 1):
                pool.submit(take, owner)
                wait_for(lambda n=number: waiting(turns) == n)
        return order

    def test_go_round_by_owner(self):
        order = self.served(Turns(1, 10), ["ada", "ada", "ada", "bob", "ada", "cyd"], [])
        assert order == ["ada", "bob", "cyd", "ada", "ada", "ada"]

    def test_go_round_by_side_within_an_owner(self):
        asked = ["ada/x", "ada/x", "ada/x", "ada/y", "bob/x", "bob/x"]
        order = self.served(Turns(1, 10), asked, [])
        assert order == ["ada/x", "bob/x", "ada/y", "bob/x", "ada/x", "ada/x"]

    def test_an_owner_may_not_wait_on_any_number_of_sides(self):
        turns, order = Turns(1, 1, sides=2), []
        with ThreadPoolExecutor(2) as pool, turns.turn("first"):
            for number, side in enumerate("xy", 1):
                pool.submit(self.served_one, turns, side)
                wait_for(lambda n=number: waiting(turns) == n)
            with pytest.raises(LimitExceeded), turns.turn("ada", "z"):
                pass
        assert self.served(turns, ["bob"], order) == ["bob"]

    def test_whoever_is_ended_while_he_waits_leaves_no_place_behind(self, monkeypatch):
        turns = Turns(1, 1)
        with turns.turn("ada"):
            with monkeypatch.context() as patch:
                patch.setattr("app.concurrency.Event.wait", lambda _event: 1 / 0)
                with pytest.raises(ZeroDivisionError), turns.turn("bob"):
                    pass
            assert waiting(turns) == 0
        with turns.turn("cyd"):
            pass

    def test_one_owner_never_holds_the_last_place(self):
        turns = Turns(2, 10)
        entered = threading.Event()

        def take_second():
            with turns.turn("ada"):
                entered.set()

        with turns.turn("ada"):
            thread = threading.Thread(target=take_second)
            thread.start()
            wait_for(lambda: turns._queues)
            with turns.turn("bob"):
                assert not entered.is_set()
        thread.join(PATIENCE)
        assert entered.is_set()

    def test_who_waits_too_often_is_refused(self):
        turns = Turns(1, 1)
        with ThreadPoolExecutor(1) as pool, turns.turn("ada"):
            pool.submit(self.served_one, turns)
            wait_for(lambda: turns._queues)
            with pytest.raises(LimitExceeded), turns.turn("ada"):
                pass
        with turns.turn("ada"):
            pass

    @staticmethod
    def served_one(turns, side=""):
        with turns.turn("ada", side):
            pass
