"""What orchestrators want to be done now and then."""

import threading
from types import SimpleNamespace

from kit.patience import await_that, join

from app.errors import UpstreamUnreachable
from app.tending import Tending


class Kept:
    """Counts how often it is tended, and fails as told."""

    def __init__(self, name, error=None):
        self.name, self.error, self.times = name, error, 0

    def tend(self):
        self.times += 1
        if self.error is not None:
            raise self.error


def test_each_is_tended_again_and_again_whatever_becomes_of_the_others():
    hangs, goes_on = threading.Event(), threading.Event()
    stuck = SimpleNamespace(name="stuck", tend=lambda: (hangs.set(), goes_on.wait()))
    fails = Kept("fails", UpstreamUnreachable("It does not answer."))
    breaks = Kept("breaks", RuntimeError("a fault"))
    fine = Kept("fine")
    stopping = threading.Event()
    beside = []

    def housekeeping(event):
        beside.append(event)
        event.wait()

    tending = Tending([stuck, fails, breaks, fine], housekeeping, every_seconds=0.01)
    thread = threading.Thread(target=tending.run, args=(stopping,))
    thread.start()
    await_that(lambda: hangs.is_set() and min(fails.times, breaks.times, fine.times) > 2)
    assert beside == [stopping]
    goes_on.set()
    stopping.set()
    join(thread)
