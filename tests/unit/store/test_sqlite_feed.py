"""What is peculiar to the feed of SQLite, which counts changes."""

import threading
import time
from contextlib import suppress

import pytest
from sqlalchemy import text

from app.store._commits import CommitWatch
from app.store.changes import open_feed


def test_an_older_database_in_the_place_of_this_one_has_everybody_look(kit):
    execution = kit.held()
    look, told = threading.Event(), threading.Event()
    feed = open_feed(kit.database, "changed", lambda ids: look.set() if ids is None else told.set())
    kit.database.write(lambda c: c.execute(text("UPDATE counters SET value = 0")))
    assert look.wait(30)
    kit.see(execution)
    assert told.wait(30)
    feed.close()


def prove_to_nobody(feed):
    with suppress(KeyboardInterrupt):
        assert not feed.prove()


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("step", ["_counted", "_publish"])
def test_a_feed_of_sqlite_that_fails_for_one_who_asks_opens_again(kit, monkeypatch, step, error):
    monkeypatch.setattr("app.store.changes._RETRY_SECONDS", 0.05)
    execution, told = kit.held(), threading.Event()
    waits, go_on = threading.Event(), threading.Event()

    def wait(_watch):
        waits.set()
        return go_on.wait(30)

    def fail(*_):
        raise error

    monkeypatch.setattr(CommitWatch, "wait", wait)
    feed = open_feed(kit.database, "changed", lambda ids: told.set() if ids is None else None)
    assert waits.wait(30)
    with monkeypatch.context() as patch:
        patch.setattr(feed, step, fail)
        kit.see(execution)
        prove_to_nobody(feed)
    go_on.set()
    assert told.wait(30)
    deadline = time.monotonic() + 30
    while not feed.prove():
        assert time.monotonic() < deadline
    feed.close()
