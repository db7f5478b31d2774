"""What is peculiar to the feed of SQLite, which counts changes."""

import threading

from sqlalchemy import text

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
