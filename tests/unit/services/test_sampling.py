"""What a web process counts is written down, minute by minute."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import StoreUnavailable
from app.pulse import Pulse
from app.services.sampling import Sampler
from app.store.figures import KEPT, MINUTE

BEGIN = datetime(2026, 1, 31, 12, 0, 30, tzinfo=UTC)
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


class Store:
    """Keeps rows as the store does, by minute."""

    def __init__(self):
        self.rows = {}
        self.failing = False

    def put(self, rows):
        if self.failing:
            raise StoreUnavailable("It is away.")
        self.rows |= {row.minute: row for row in rows}


class Stage:
    def __init__(self):
        self.moment = BEGIN
        self.store = Store()
        self.pulse = Pulse()
        self.queued = 3
        self.sampler = Sampler(
            self.store, self.pulse, followers=lambda: 2, queue=self.queue,
            clock=lambda: self.moment,
        )  # fmt: skip

    def queue(self):
        if self.store.failing:
            raise StoreUnavailable("It is away.")
        return self.queued

    def sample(self, seconds=10):
        self.moment += timedelta(seconds=seconds)
        self.sampler.sample()


@pytest.fixture
def stage():
    return Stage()


def requests(stage):
    return {row.minute: row.requests for row in stage.store.rows.values()}


def test_a_minute_is_written_again_and_again_while_it_lasts(stage):
    stage.pulse.answered(200)
    stage.sample()
    stage.pulse.answered(200)
    stage.sample()
    assert requests(stage) == {NOON: 2}
    [row] = stage.store.rows.values()
    assert (row.queue, row.followers, row.seen_at, row.ended) == (3, 2, stage.moment, False)


def test_the_next_minute_begins_at_nothing(stage):
    stage.pulse.answered(200)
    stage.sample(40)
    stage.pulse.answered(200)
    stage.sample()
    assert requests(stage) == {NOON: 1, NOON + MINUTE: 1}


def test_what_the_store_does_not_take_waits_until_it_does(stage):
    stage.store.failing = True
    for _ in range(3):
        stage.pulse.answered(200)
        stage.sample(60)
    assert requests(stage) == {}
    stage.store.failing = False
    stage.sample()
    assert requests(stage) == {NOON: 1, NOON + MINUTE: 1, NOON + 2 * MINUTE: 1,
                               NOON + 3 * MINUTE: 0}  # fmt: skip


def test_no_more_waits_than_charts_show(stage):
    stage.store.failing = True
    for _ in range(KEPT // MINUTE + 50):
        stage.sample(60)
    stage.store.failing = False
    stage.sample()
    assert len(stage.store.rows) <= KEPT // MINUTE + 1
    assert min(stage.store.rows) >= stage.moment - KEPT - 2 * MINUTE


def test_a_process_that_ends_says_so(stage):
    stage.sampler.start()
    stage.sampler.close()
    assert [row.ended for row in stage.store.rows.values()] == [True]


def test_one_that_never_began_writes_nothing(stage):
    stage.sampler.close()
    assert stage.store.rows == {}


def test_the_end_does_not_wait_for_a_store_that_hangs(stage, monkeypatch):
    monkeypatch.setattr("app.services.sampling._END_SECONDS", 0.05)
    release, hangs = threading.Event(), threading.Event()

    def hang(rows):
        hangs.set()
        release.wait()

    stage.store.put = hang
    stage.sampler.start()
    hangs.wait()
    stage.sampler.close()
    release.set()
    assert stage.store.rows == {}
