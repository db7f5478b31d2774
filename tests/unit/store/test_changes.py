"""Wake-ups. No test here relies on how fast one comes, only on that it comes."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from kit.patience import PATIENCE_SECONDS as PATIENCE
from kit.patience import await_that as until
from store_kit import OWNER, StoreKit, entries

from app.domain import DesiredState, DesiredTaskState, ExecutionStatus, Level
from app.store.changes import ChangeFeed, Changes, open_feed
from app.store.database import Database
from app.store.execution_rows import now


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
        lambda kit, e: kit.steered.desire(e, DesiredState.CANCEL, ExecutionStatus.CANCELLING),
        lambda kit, e: kit.launches.doubt(e, "?"),
        lambda kit, e: kit.launches.launched(e, {"job": 2}),
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
    kit.launches.doubt(execution, "?")
    kit.claim()
    changes = Changes(kit.database)
    changes.start()
    readers = Readers(changes, execution.id, 1)
    elsewhere.driving.settle(execution, OWNER, {"job": 1})
    assert readers.join() == [True]
    changes.close()


def test_a_launch_that_is_accepted_at_once_is_told_to_conductors(kit, elsewhere):
    heard = Heard()
    feed = open_feed(kit.database, "wanted", heard)
    execution = elsewhere.create(reference={"definition": "x"})
    until(lambda: execution.id in heard.ids)
    feed.close()
    assert elsewhere.claim() == [execution.id]


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
    elsewhere.driving.touch(execution, OWNER, None)
    elsewhere.steered.follow(execution, now() + timedelta(minutes=1))
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
        ("wanted", {"launched", "cancelled", "followed", "doubted", "restarted"}),
        ("changed", {"launched", "cancelled", "doubted", "seen"}),
    ],
)
def test_each_feed_tells_what_is_its_own(kit, elsewhere, kind, told):
    created = {name: kit.create() for name in ("launched", "doubted")}
    held = {
        name: kit.held()
        for name in ("cancelled", "followed", "seen", "touched", "restarted", "last")
    }
    heard = Heard()
    feed = open_feed(kit.database, kind, heard)
    elsewhere.launches.launched(created["launched"], {"job": 1})
    elsewhere.launches.doubt(created["doubted"], "?")
    elsewhere.steered.desire(held["cancelled"], DesiredState.CANCEL)
    elsewhere.steered.follow(held["followed"], now())
    elsewhere.steered.desire_task(held["restarted"], "first", DesiredTaskState.RUNNING, anew=True)
    elsewhere.see(held["seen"])
    elsewhere.driving.touch(held["touched"], OWNER, None)
    elsewhere.steered.desire(held["last"], DesiredState.PAUSE)
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
        elsewhere.steered.desire(launch, DesiredState.CANCEL)
    until(lambda: heard.ids >= {launch.id for launch in launches})
    for launch in launches:
        elsewhere.launches.withdraw(launch)
    heard.ids.clear()
    elsewhere.steered.desire(execution, DesiredState.PAUSE)
    until(lambda: execution.id in heard.ids)
    feed.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda kit, e: kit.steered.desire(e, DesiredState.CANCEL, ExecutionStatus.CANCELLING),
        lambda kit, e: kit.launches.doubt(e, "?"),
        lambda kit, e: kit.launches.launched(e, {"job": 2}),
        lambda kit, e: kit.see(e, ExecutionStatus.SUCCESS, log_complete=True),
        lambda kit, e: kit.driving.touch(e, OWNER, None),
        lambda kit, e: kit.steered.abandon(e, "why"),
        lambda kit, e: kit.driving.close_log(e, OWNER),
    ],
    ids=["desire", "doubt", "launched", "end", "touch", "abandon", "close"],
)
def test_what_was_committed_anywhere_is_told_once_that_is_asked_for(
    kit, elsewhere, execution, changes, change
):
    for writer in (elsewhere, kit):
        assert changes.prove()
        before = changes.stamp(execution.id)
        change(writer, execution)
        assert changes.prove()
        assert changes.stamp(execution.id) != before
        execution = kit.held()


def test_a_withdrawal_is_told_although_no_row_is_left(kit, elsewhere, changes):
    launch = kit.create()
    assert changes.prove()
    before = changes.stamp(launch.id)
    elsewhere.launches.withdraw(launch)
    assert changes.prove()
    assert changes.stamp(launch.id) != before


def test_what_changes_of_one_execution_leaves_the_others_as_they_were(
    kit, elsewhere, execution, changes
):
    other = kit.held()
    assert changes.prove()
    before = changes.stamp(execution.id)
    elsewhere.append(other, entries([Level.INFO]))
    elsewhere.driving.touch(other, OWNER, None)
    elsewhere.driving.renew(OWNER, 60.0)
    assert changes.prove()
    assert changes.stamp(execution.id) == before


def test_stamps_are_bounded_and_never_come_back(kit, elsewhere, execution, changes, monkeypatch):
    monkeypatch.setattr("app.store.changes._MOST_STAMPS", 3)
    others = [kit.held() for _ in range(10)]
    seen = set()
    for other in [*others, execution, *others, execution]:
        elsewhere.append(other, entries([Level.INFO]))
        assert changes.prove()
        seen.add(changes.stamp(execution.id))
        assert len(changes._stamps) <= 5
    changes._outdate(None)
    assert changes.stamp(execution.id) not in seen


def test_nothing_is_proved_before_the_start_nor_after_the_end(kit):
    changes = Changes(kit.database)
    assert not changes.prove()
    changes.start()
    assert changes.prove()
    changes.close()
    assert not changes.prove()


class InterruptedFeed(ChangeFeed):
    """Loses its connection at once, and works again when it may."""

    interruptions = 0

    def __init__(self, *args):
        super().__init__(*args)
        self.interrupted, self.may_open = threading.Event(), threading.Event()

    def _open(self):
        if self.interrupted.is_set() and not self.may_open.is_set():
            raise ConnectionError("still gone")

    def _listen(self):
        if not self.interruptions:
            self.interruptions = 1
            self.interrupted.set()
            raise ConnectionError("gone")
        self._closed.wait()

    def _catch_up(self):
        if not self.may_open.is_set():
            raise ConnectionError("gone")


def test_after_an_interruption_everybody_is_told_to_look(kit, monkeypatch):
    monkeypatch.setattr("app.store.changes._RETRY_SECONDS", 0.05)
    heard, proved_when_told = Heard(), []

    def publish(ids):
        proved_when_told.append(feed.prove())
        heard(ids)

    feed = InterruptedFeed(kit.database, "changed", publish)
    feed.start()
    assert feed.interrupted.wait(PATIENCE)
    assert not feed.prove()
    assert not heard.all.is_set()
    feed.may_open.set()
    assert heard.all.wait(PATIENCE)
    assert proved_when_told == [False]
    until(feed.prove)
    feed.close()


class TestCalls:
    """Those who wait without a thread."""

    def test_who_is_called_is_called_once_and_at_once_where_it_changed_before(self, changes):
        calls = []
        with changes.subscribe("x") as subscription:
            subscription.call(lambda: calls.append("later"))
            assert calls == []
            changes.publish(["x"])
            until(lambda: calls == ["later"])
            subscription.call(lambda: calls.append("at once"))
            assert calls == ["later", "at once"]
            assert subscription.has_changed()
            assert not subscription.has_changed()
            changes.publish(["x"])
            assert calls == ["later", "at once"]

    def test_who_takes_it_back_is_not_called(self, changes):
        calls = []

        def call():
            calls.append("called")

        with changes.subscribe("x") as subscription, changes.subscribe("x") as other:
            subscription.call(call)
            other.call(lambda: calls.append("other"))
            subscription.uncall(call)
            changes.publish(["x"])
            until(lambda: calls == ["other"])
            subscription.uncall(call)  # twice, and after it was published
