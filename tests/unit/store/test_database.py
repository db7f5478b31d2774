"""Writing while others hold the store."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.backoff import Backoff
from app.errors import StoreUnavailable, UpstreamUnreachable
from app.store import database as database_module
from app.store import migrate
from app.store.database import Database
from app.store.disk import DiskUsage


@pytest.fixture
def impatient(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'a.db'}", timeout_seconds=0.2)
    database.write(lambda connection: connection.execute(text("CREATE TABLE t (x)")))
    yield database
    database.dispose()


def insert(connection):
    connection.execute(text("INSERT INTO t VALUES (1)"))


def test_a_write_is_given_up_while_another_process_holds_the_store(impatient, tmp_path):
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UpstreamUnreachable) as caught:
        impatient.write(insert)
    assert caught.value.retry_after_seconds
    other.execute("COMMIT")
    impatient.write(insert)


def test_writes_that_wait_for_one_another_are_given_up_together(impatient):
    free, held = threading.Event(), threading.Event()

    def hold(connection):
        held.set()
        free.wait(30)

    holder = threading.Thread(target=impatient.write, args=(hold,))
    holder.start()
    assert held.wait(30)
    with pytest.raises(UpstreamUnreachable):
        impatient.write(insert)
    free.set()
    holder.join()
    impatient.write(insert)


def test_a_write_whose_time_is_over_before_its_turn_is_not_begun(impatient):
    late = Database(impatient.url, timeout_seconds=-1.0)
    with pytest.raises(UpstreamUnreachable):
        late.write(insert)
    late.dispose()
    with impatient.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar() == 0


def test_the_log_of_a_database_that_is_a_link_is_measured_with_it(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "db").symlink_to(tmp_path / "kept" / "db")
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    migrate.upgrade(database)
    size = DiskUsage(database).measure_database(60)["database"].bytes_
    assert size == sum(file.stat().st_size for file in (tmp_path / "kept").iterdir())
    assert size > (tmp_path / "db").stat().st_size
    database.dispose()


class Lost(Exception):
    """As PostgreSQL's driver tells that a transaction was broken off, or its connection."""

    def __init__(self, sqlstate):
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.fixture
def failing(impatient, monkeypatch):
    """A transaction of which some attempts fail, and how often it was begun."""
    monkeypatch.setattr(database_module, "_REPEAT", Backoff(first=1e-6, longest=1e-6))
    begun = []

    def failing(failures, sqlstate):
        def work(connection):
            begun.append(1)
            insert(connection)
            if len(begun) <= failures:
                raise OperationalError("INSERT", {}, Lost(sqlstate))
            return "done"

        return impatient._transact(work, idempotent=False)

    return failing, begun


def rows(database):
    with database.read() as connection:
        return connection.execute(text("SELECT count(*) FROM t")).scalar_one()


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_transaction_that_is_broken_off_is_repeated_twice(impatient, failing, sqlstate):
    write, begun = failing
    assert write(2, sqlstate) == "done"
    assert (len(begun), rows(impatient)) == (3, 1)


@pytest.mark.parametrize(("sqlstate", "attempts"), [("40001", 3), ("42601", 1)])
def test_one_that_fails_each_time_or_for_another_reason_is_not(
    impatient, failing, sqlstate, attempts
):
    write, begun = failing
    with pytest.raises(OperationalError):
        write(9, sqlstate)
    assert (len(begun), rows(impatient)) == (attempts, 0)


@pytest.mark.parametrize(("idempotent", "attempts"), [(False, 1), (True, 3)])
def test_where_nobody_knows_what_was_committed_only_what_may_be_twice_is_repeated(
    impatient, monkeypatch, idempotent, attempts
):
    monkeypatch.setattr(database_module, "_REPEAT", Backoff(first=1e-6, longest=1e-6))
    lost, begun = OperationalError("COMMIT", {}, Lost("08006"), connection_invalidated=True), []

    def commit(work):
        begun.append(work)
        raise database_module._InDoubt(lost)

    monkeypatch.setattr(impatient, "_commit", commit)
    with pytest.raises(StoreUnavailable, match="nobody knows whether it did"):
        impatient._transact(insert, idempotent=idempotent)
    assert len(begun) == attempts
