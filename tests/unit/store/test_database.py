"""Writing while others hold the store."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from sqlalchemy import text

from app.errors import UpstreamUnreachable
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
