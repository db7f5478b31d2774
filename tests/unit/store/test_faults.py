"""A database of SQLite that fails says how, once in the log, and works again afterwards."""

from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError
from structlog.testing import capture_logs

from app.errors import StoreUnavailable
from app.store.conductors import Conductors


def pragma(database, statement):
    """Run a statement on the connection that writes, and on each that takes its place."""
    event.listen(database.engine(), "connect", lambda connection, _: connection.execute(statement))
    with database.engine().connect() as connection:
        driver = connection.connection.driver_connection
        return driver.execute(statement).fetchone()


def fill_the_disk(database):
    pages = pragma(database, "PRAGMA page_count")[0]
    pragma(database, f"PRAGMA max_page_count={pages}")
    return "PRAGMA max_page_count=1000000"


def forbid_writing(database):
    pragma(database, "PRAGMA query_only=1")
    return "PRAGMA query_only=0"


def keep(connection):
    statement = text("INSERT INTO definitions (digest, document) VALUES ('d', :text)")
    connection.execute(statement, {"text": "x" * 100_000})


@pytest.mark.parametrize(
    ("break_it", "why"),
    [(fill_the_disk, "its disk is full"), (forbid_writing, "its file cannot be written to")],
)
def test_what_cannot_be_written_is_said_and_told_once(database, break_it, why):
    mend = break_it(database)
    with capture_logs() as logs:
        for _ in range(5):
            with pytest.raises(StoreUnavailable) as caught:
                database.write(keep)
            Conductors(database).alive(1)  # a read that succeeds says nothing about writing
        assert caught.value.message == f"The store does not answer at the moment: {why}."
        assert caught.value.retry_after_seconds
        assert database.troubled
        pragma(database, mend)
        database.write(keep)
    assert not database.troubled
    assert [(line["event"], line.get("problem")) for line in logs] == [
        ("store unavailable", why),
        ("store available again", None),
    ]
    assert "xxxx" not in str(logs)


def test_a_file_that_is_no_database_any_more_is_said_to_be_so(database, database_url):
    database.dispose()
    with Path(database_url.removeprefix("sqlite:///")).open("r+b") as file:
        file.write(b"something else" * 100)
    for attempt in (lambda: Conductors(database).alive(1), lambda: database.write(keep)):
        with pytest.raises(StoreUnavailable, match="not a database"):
            attempt()


def test_tables_of_another_version_are_told_with_the_remedy(database):
    database.write(lambda c: c.execute(text("DROP TABLE conductors")))
    with pytest.raises(StoreUnavailable, match="run 'slipway migrate'"):
        Conductors(database).alive(1)


def test_a_fault_of_ours_is_none_of_the_store_s(database):
    with pytest.raises(SQLAlchemyError):
        database.write(lambda c: c.execute(text("NO SQL")))
    assert not database.troubled


@pytest.mark.parametrize("break_it", [fill_the_disk, forbid_writing])
def test_a_probe_finds_what_reading_does_not_and_leaves_nothing(database, monkeypatch, break_it):
    monkeypatch.setattr("app.store.database._PROBE_SECONDS", 0.0)
    database.probe()
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM definitions")).scalar_one() == 0
    # What the first probe has used and left is room again.
    database.write(keep)
    mend = break_it(database)
    with pytest.raises(StoreUnavailable):
        database.probe()
    pragma(database, mend)
    database.probe()


def test_a_probe_is_not_repeated_at_once_whoever_asks(database):
    forbid_writing(database)
    with pytest.raises(StoreUnavailable) as first:
        database.probe()
    pragma(database, "PRAGMA query_only=0")
    with pytest.raises(StoreUnavailable) as second:
        database.probe()
    assert second.value.message == first.value.message
