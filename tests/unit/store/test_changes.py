"""Wake-ups. No test here relies on how fast one comes, only on that it comes."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from store_kit import OWNER, StoreKit, entries

from app.domain import DesiredState, ExecutionStatus, Level
from app.store.changes import ChangeFeed, Changes, open_feed
from app.store.database import Database
from app.store.execution_rows import now

PATIENCE = 30.0
"""Longest wait for what must happen; it takes milliseconds."""


@pytest.fixture
def execution(kit):
    return kit.held()


@pytest.fixture
def changes(kit, execution) -> Iterator[Changes]:
    """Wake-ups that began after the execution was written down, so of that they tell nothing."""
    made = Changes(kit.database)
    made.start()
    yield made
    made.close()


@pytest.fixture
def elsewhere(kit) -> Iterator[StoreKit]:
    """The same store as another process sees it."""
    database = Database(kit.database.url)
    yield StoreKit(database)
    database.dispose()


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


class Heard:
    """What a feed told."""

    def __init__(self):
        self.ids = set()
        self.all = threading.Event()

    def __call__(self, ids):
        if ids is None:
            self.all.set()
        else:
            self.ids.update(ids)


class Readers:
    """Threads that wait for one change each."""

    def __init__(self, changes, execution_id, number, timeout=PATIENCE):
        self.results = []
        self._threads = [
            threading.Thread(target=self._wait, args=(changes, execution_id, timeout))
            for _ in range(number)
        ]
        for thread in self._threads:
            thread.start()
        until(lambda: changes.waiting == number)

    def _wait(self, changes, execution_id, timeout):
        with changes.subscribe(execution_id) as subscription:
            self.results.append(subscription.wait(timeout))

    def join(self):
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        return self.results


@pytest.mark.parametrize("number", [1, 64, 65, 200])
def test_every_reader_is_woken_by_a_change_made_elsewhere(execution, elsewhere, changes, number):
    readers = Readers(changes, execution.id, number)
    elsewhere.append(execution, entries([Level.INFO]))
    assert readers.join() == [True] * number
    assert changes.waiting == 0


def test_a_change_made_by_the_same_process_wakes_as_well(kit, execution, changes):
    readers = Readers(changes, execution.id, 3)
    kit.append(execution, entries([Level.INFO]))
    assert readers.join() == [True] * 3


@pytest.mark.parametrize(
    "change",
    [
        lambda kit, e: kit.executions.desire(e, DesiredState.CANCEL, ExecutionStatus.CANCELLING),
        lambda kit, e: kit.executions.doubt(e, "?"),
        lambda kit, e: kit.executions.launched(e, {"job": 2}),
        lambda kit, e: kit.see(e, ExecutionStatus.SUCCESS, log_complete=True),
    ],
    ids=["desire", "doubt", "launched", "end"],
)
def test_whatever_a_reader_can_see_wakes_him(execution, elsewhere, changes, change):
    readers = Readers(changes, execution.id, 1)
    change(elsewhere, execution)
    assert readers.join() == [True]


def test_a_launch_that_is_settled_wakes_its_reader(kit, elsewhere):
    execution = kit.create()
    kit.executions.doubt(execution, "?")
    kit.claim()
    changes = Changes(kit.database)
    changes.start()
    readers = Readers(changes, execution.id, 1)
    elsewhere.executions.settle(execution, OWNER, {"job": 1})
    assert readers.join() == [True]
    changes.close()


def test_changes_of_other_executions_wake_nobody(kit, elsewhere, execution, changes):
    other = kit.held()
    heard = Heard()
    feed = open_feed(kit.database, "changed", heard)
    readers = Readers(changes, execution.id, 1, timeout=0.5)
    elsewhere.append(other, entries([Level.INFO]))
    until(lambda: other.id in heard.ids)
    feed.close()
    assert readers.join() == [False]


def test_an_observation_without_news_wakes_nobody(elsewhere, execution, changes):
    readers = Readers(changes, execution.id, 1, timeout=0.3)
    elsewhere.executions.touch(execution, OWNER, None)
    elsewhere.executions.follow(execution, now() + timedelta(minutes=1))
    assert readers.join() == [False]


def test_a_change_between_the_look_and_the_wait_is_not_missed(elsewhere, execution, changes):
    with changes.subscribe(execution.id) as subscription:
        seen = subscription.seen
        elsewhere.append(execution, entries([Level.INFO]))
        until(lambda: changes._topics[execution.id].version != seen)
        assert subscription.wait(0.0)
        assert not subscription.wait(0.0)


def test_no_wake_up_is_lost_however_often_a_reader_looks_and_waits(
    kit, elsewhere, execution, changes
):
    lines = 300
    counted = []

    def follow():
        """Read, and wait only if there is nothing new: a lost wake-up would stop this for good."""
        have = 0
        with changes.subscribe(execution.id) as subscription:
            while have < lines:
                total = kit.executions.get(execution.id).log_total
                if total == have and not subscription.wait(PATIENCE):
                    break
                have = total
        counted.append(have)

    followers = [threading.Thread(target=follow) for _ in range(4)]
    for follower in followers:
        follower.start()
    for i in range(lines):
        elsewhere.append(execution, entries([Level.INFO], i))
    for follower in followers:
        follower.join(2 * PATIENCE)
    assert counted == [lines] * 4


def test_a_reader_whose_time_is_over_goes_away_empty_handed(execution, changes):
    with changes.subscribe(execution.id) as subscription:
        assert not subscription.wait(0.01)
    assert changes.waiting == 0


def test_closing_wakes_all_and_from_then_on_nobody_waits(execution, changes):
    readers = Readers(changes, execution.id, 70)
    changes.close()
    assert readers.join() == [False] * 70
    with changes.subscribe(execution.id) as subscription:
        assert not subscription.wait(PATIENCE)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("wanted", {"launched", "cancelled", "followed", "doubted"}),
        ("changed", {"launched", "cancelled", "doubted", "seen"}),
    ],
)
def test_each_feed_tells_what_is_its_own(kit, elsewhere, kind, told):
    created = {name: kit.create() for name in ("launched", "doubted")}
    held = {name: kit.held() for name in ("cancelled", "followed", "seen", "touched", "last")}
    heard = Heard()
    feed = open_feed(kit.database, kind, heard)
    elsewhere.executions.launched(created["launched"], {"job": 1})
    elsewhere.executions.doubt(created["doubted"], "?")
    elsewhere.executions.desire(held["cancelled"], DesiredState.CANCEL)
    elsewhere.executions.follow(held["followed"], now())
    elsewhere.see(held["seen"])
    elsewhere.executions.touch(held["touched"], OWNER, None)
    elsewhere.executions.desire(held["last"], DesiredState.PAUSE)
    until(lambda: held["last"].id in heard.ids)
    feed.close()
    names = {e.id: name for name, e in {**created, **held}.items()}
    assert {names[id_] for id_ in heard.ids} == told | {"last"}


@pytest.mark.parametrize("kind", ["changed", "wanted"])
@pytest.mark.parametrize("withdrawn", [1, 3])
def test_a_change_after_a_withdrawal_is_told_whatever_its_number(kit, elsewhere, kind, withdrawn):
    execution = kit.held()
    launches = [kit.create() for _ in range(withdrawn)]
    heard = Heard()
    feed = open_feed(kit.database, kind, heard)
    for launch in launches:
        elsewhere.executions.desire(launch, DesiredState.CANCEL)
    until(lambda: heard.ids >= {launch.id for launch in launches})
    for launch in launches:
        elsewhere.executions.withdraw(launch)
    heard.ids.clear()
    elsewhere.executions.desire(execution, DesiredState.PAUSE)
    until(lambda: execution.id in heard.ids)
    feed.close()


class InterruptedFeed(ChangeFeed):
    """Loses its connection at once, and works again afterwards."""

    interruptions = 0

    def _open(self):
        pass

    def _listen(self):
        if not self.interruptions:
            self.interruptions = 1
            raise ConnectionError("gone")
        self._closed.wait()


def test_after_an_interruption_everybody_is_told_to_look(kit):
    heard = Heard()
    feed = InterruptedFeed(kit.database, "changed", heard)
    feed.start()
    assert heard.all.wait(PATIENCE)
    feed.close()
