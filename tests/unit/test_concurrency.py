import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.patience import PATIENCE_SECONDS, await_that

from app.concurrency import FairPlaces, Precedence
from app.errors import LimitExceeded


def waiting(places):
    return sum(len(queue) for sides in places._queues.values() for queue in sides.values())


class TestFairPlaces:
    @staticmethod
    def served(places, owners, order):
        """Let one hold the place until all others wait, and note the order of the others."""

        def take(owner):
            with places.place(*owner.split("/")):
                order.append(owner)

        with ThreadPoolExecutor(32) as pool, places.place("first"):
            for number, owner in enumerate(owners, 1):
                pool.submit(take, owner)
                await_that(lambda n=number: waiting(places) == n)
        return order

    def test_go_round_by_owner(self):
        order = self.served(FairPlaces(1, 10), ["ada", "ada", "ada", "bob", "ada", "cyd"], [])
        assert order == ["ada", "bob", "cyd", "ada", "ada", "ada"]

    def test_go_round_by_side_within_an_owner(self):
        asked = ["ada/x", "ada/x", "ada/x", "ada/y", "bob/x", "bob/x"]
        order = self.served(FairPlaces(1, 10), asked, [])
        assert order == ["ada/x", "bob/x", "ada/y", "bob/x", "ada/x", "ada/x"]

    def test_an_owner_may_not_wait_on_any_number_of_sides(self):
        places, order = FairPlaces(1, 1, sides=2), []
        with ThreadPoolExecutor(2) as pool, places.place("first"):
            for number, side in enumerate("xy", 1):
                pool.submit(self.served_one, places, side)
                await_that(lambda n=number: waiting(places) == n)
            with pytest.raises(LimitExceeded), places.place("ada", "z"):
                pass
        assert self.served(places, ["bob"], order) == ["bob"]

    def test_whoever_is_ended_while_he_waits_leaves_no_place_behind(self, monkeypatch):
        places = FairPlaces(1, 1)
        with places.place("ada"):
            with monkeypatch.context() as patch:
                patch.setattr("app.concurrency.threading.Event.wait", lambda _event: 1 / 0)
                with pytest.raises(ZeroDivisionError), places.place("bob"):
                    pass
            assert waiting(places) == 0
        with places.place("cyd"):
            pass

    def test_one_owner_never_holds_the_last_place(self):
        places = FairPlaces(2, 10)
        entered = threading.Event()

        def take_second():
            with places.place("ada"):
                entered.set()

        with places.place("ada"):
            thread = threading.Thread(target=take_second)
            thread.start()
            await_that(lambda: places._queues)
            with places.place("bob"):
                assert not entered.is_set()
        thread.join(PATIENCE_SECONDS)
        assert entered.is_set()

    def test_who_waits_too_often_is_refused(self):
        places = FairPlaces(1, 1)
        with ThreadPoolExecutor(1) as pool, places.place("ada"):
            pool.submit(self.served_one, places)
            await_that(lambda: places._queues)
            with pytest.raises(LimitExceeded), places.place("ada"):
                pass
        with places.place("ada"):
            pass

    @staticmethod
    def served_one(places, side=""):
        with places.place("ada", side):
            pass


MODEST = """
from gevent import monkey; monkey.patch_all()
import os
from app.concurrency import make_pool

pool = make_pool(1, modest=True)
make_pool(1).run(int)  # which imports what another user may not read
os.nice(12)
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)  # only root may lower it again
thread = monkey.get_original("threading", "get_native_id")
nice = lambda: os.getpriority(os.PRIO_PROCESS, thread())
print([pool.run(nice) for _ in range(2)])
"""


def test_modest_threads_are_nicer_than_their_process_whatever_that_is():
    said = subprocess.run(
        [sys.executable, "-c", MODEST], capture_output=True, text=True, check=False
    )
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert said.stdout == f"{[min(19, before + 17)] * 2}\n", said.stderr


class TestPrecedence:
    def order(self, first, others):
        precedence, went = Precedence(), ""
        while first or others:
            goes_first = precedence.is_for_first(first > 0, others > 0)
            precedence.went(goes_first)
            went += "F" if goes_first else "o"
            first, others = first - goes_first, others - (not goes_first)
        return went

    def test_of_four_in_a_row_one_is_one_of_the_others(self):
        assert self.order(8, 4) == "FFFoFFFoFFoo"

    def test_where_one_side_waits_alone_it_goes(self):
        assert self.order(5, 0) == "FFFFF"
        assert self.order(0, 3) == "ooo"
