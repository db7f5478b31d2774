"""The one writer of SQLite: what waits is committed together, and each has its own outcome."""

import threading
import time
from contextlib import contextmanager

import pytest
from gevent import GreenletExit, Timeout
from kit.patience import PATIENCE_SECONDS
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from app.errors import StoreUnavailable
from app.store import _sqlite
from app.store.database import Database


def insert(name):
    statement = text("INSERT INTO definitions (digest, document) VALUES (:name, '{}')")
    return lambda c: c.execute(statement, {"name": name}).rowcount


def stored(database):
    with database.read() as connection:
        rows = connection.execute(text("SELECT digest FROM definitions ORDER BY digest"))
        return list(rows.scalars())


class Crowd:
    """Threads that write, and what became of it."""

    def __init__(self, database, works):
        self.outcomes = [None] * len(works)
        self._threads = [
            threading.Thread(target=self._write, args=(database, i, work))
            for i, work in enumerate(works)
        ]
        for thread in self._threads:
            thread.start()

    def _write(self, database, place, work):
        try:
            self.outcomes[place] = database.write(work)
        except Exception as exc:  # noqa: BLE001
            self.outcomes[place] = exc

    def join(self):
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()
        return self.outcomes


@contextmanager
def busy_writer(database):
    """Keep the writer at work until the block is over; what is written meanwhile waits."""
    begun, go_on = threading.Event(), threading.Event()

    def work(_connection):
        begun.set()
        assert go_on.wait(PATIENCE_SECONDS)

    with_it = Crowd(database, [work])
    assert begun.wait(PATIENCE_SECONDS)
    yield
    go_on.set()
    with_it.join()


def run_together(database, works):
    """Run transactions that wait for each other; return the outcomes and the number of commits."""
    commits = []
    with busy_writer(database):
        crowd = Crowd(database, works)
        while len(database._sqlite_writer._waiting) < len(works):
            pass
        event.listen(database.engine(), "commit", lambda _connection: commits.append(1))
    outcomes = crowd.join()
    return outcomes, len(commits) - 1


def test_transactions_that_wait_for_each_other_are_committed_together(database, monkeypatch):
    monkeypatch.setattr(_sqlite, "_TURN_SECONDS", PATIENCE_SECONDS)
    names = [f"{i:03}" for i in range(50)]
    outcomes, commits = run_together(database, [insert(name) for name in names])
    assert outcomes == [1] * 50
    assert commits == 1
    assert stored(database) == names


def test_many_that_take_long_leave_the_lock_to_others_in_between(database, monkeypatch):
    monkeypatch.setattr(_sqlite, "_TURN_SECONDS", 0.0)

    def slow(name):
        def work(connection):
            time.sleep(0.02)
            return insert(name)(connection)

        return work

    names = [f"{i:03}" for i in range(20)]
    outcomes, commits = run_together(database, [slow(name) for name in names])
    assert outcomes == [1] * 20
    assert commits > 1
    assert stored(database) == names


def test_the_pause_after_a_long_transaction_is_left_to_what_comes_next(database, monkeypatch):
    monkeypatch.setattr(_sqlite, "_LONG_SECONDS", 0.0)
    monkeypatch.setattr(_sqlite, "_PAUSE_SECONDS", 60.0)
    pauses = []
    monkeypatch.setattr(_sqlite, "_sleep", pauses.append)
    database.write(insert("a"))
    assert pauses == []
    database.write(insert("b"))
    assert len(pauses) == 1
    assert 0.0 < pauses[0] <= 60.0
    monkeypatch.setattr(_sqlite, "_LONG_SECONDS", 60.0)
    database._sqlite_writer._rest_until = time.monotonic()
    database.write(insert("c"))
    assert len(pauses) == 1


def test_what_comes_while_another_process_has_the_lock_joins_in(database, monkeypatch):
    monkeypatch.setattr(_sqlite, "_TURN_SECONDS", PATIENCE_SECONDS)
    elsewhere = Database(database.url)
    commits = []
    event.listen(database.engine(), "commit", lambda _connection: commits.append(1))
    with busy_writer(elsewhere):
        first = Crowd(database, [insert("a")])
        while database._sqlite_writer._waiting or not database._sqlite_writer._busy:
            pass  # until it asks for the lock
        others = Crowd(database, [insert("b"), insert("c")])
        while len(database._sqlite_writer._waiting) < 2:
            pass
    assert first.join() + others.join() == [1, 1, 1]
    assert len(commits) == 1
    assert stored(database) == ["a", "b", "c"]
    elsewhere.dispose()


def test_one_that_fails_takes_back_nothing_of_the_others(database):
    def broken(connection):
        insert("of the broken one")(connection)
        raise ValueError("half way")

    works = [insert("a"), broken, insert("b"), insert("a"), insert("c")]
    outcomes, _ = run_together(database, works)
    assert [type(outcome) for outcome in outcomes] == [int, ValueError, int, IntegrityError, int]
    assert stored(database) == ["a", "b", "c"]


def test_one_that_ends_the_whole_transaction_is_answered_alone(database):
    def rolled_back(connection):
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("SELECT * FROM no_such_table")

    works = [insert("a"), rolled_back, insert("b")]
    outcomes, _ = run_together(database, works)
    assert outcomes[0] == outcomes[2] == 1
    assert isinstance(outcomes[1], StoreUnavailable)
    assert stored(database) == ["a", "b"]


BREAKS = [KeyboardInterrupt, GreenletExit, Timeout, ValueError]
STATEMENTS = [
    "SELECT digest FROM definitions",
    "UPDATE definitions SET document = 'half' RETURNING digest",
]


def broken_off(statement, error):
    """Make what is broken off in the middle of a statement, which its frame holds on to."""

    def use(connection):
        rows = connection.execute(text(statement))
        assert rows.fetchone()
        raise error

    return use


@pytest.fixture
def elsewhere(database):
    """Another process, as it were, in a store that holds something."""
    for name in ("a", "b", "c"):
        database.write(insert(name))
    made = Database(database.url)
    yield made
    made.dispose()


@pytest.mark.parametrize("error", BREAKS)
@pytest.mark.parametrize("statement", STATEMENTS)
def test_one_that_is_broken_off_leaves_no_statement_to_the_next(
    database, elsewhere, statement, error
):
    with pytest.raises(error) as kept:  # with all frames that it went through
        database.write(broken_off(statement, error))
    elsewhere.write(insert("d"))
    assert database.write(insert("e")) == 1
    assert stored(database) == ["a", "b", "c", "d", "e"]
    with database.read() as connection:
        assert set(connection.execute(text("SELECT document FROM definitions")).scalars()) == {"{}"}
    assert kept.value


@pytest.mark.parametrize("statement", STATEMENTS)
def test_one_of_several_that_is_broken_off_leaves_no_statement(database, elsewhere, statement):
    works = [insert("d"), broken_off(statement, ValueError), insert("e")]
    outcomes, _ = run_together(database, works)
    assert [type(outcome) for outcome in outcomes] == [int, ValueError, int]
    elsewhere.write(insert("f"))
    assert database.write(insert("g")) == 1
    assert stored(database) == ["a", "b", "c", "d", "e", "f", "g"]


@pytest.mark.parametrize("moment", ["begin", "commit", "rollback"])
def test_one_that_is_broken_off_at_either_end_leaves_no_transaction(database, elsewhere, moment):
    def break_off(_connection):
        raise KeyboardInterrupt

    def work(connection):
        insert("lost")(connection)
        if moment == "rollback":
            raise ValueError

    event.listen(database.engine(), moment, break_off)
    with pytest.raises(KeyboardInterrupt) as kept:
        database.write(work)
    event.remove(database.engine(), moment, break_off)
    elsewhere.write(insert("d"))
    assert database.write(insert("e")) == 1
    assert stored(database) == ["a", "b", "c", "d", "e"]
    assert kept.value


@pytest.mark.parametrize("error", BREAKS)
def test_a_reader_that_is_broken_off_leaves_no_old_view_to_the_next(database, elsewhere, error):
    with pytest.raises(error) as kept, database.read() as connection:
        broken_off(STATEMENTS[0], error)(connection)
    elsewhere.write(insert("d"))
    assert stored(database) == ["a", "b", "c", "d"]
    assert kept.value


def test_while_another_process_holds_the_lock_all_are_refused_in_the_time_of_one(database):
    elsewhere = Database(database.url)
    patient = Database(database.url, timeout_seconds=0.5)
    answered = threading.Event()
    with busy_writer(elsewhere):
        crowd = Crowd(patient, [insert(str(i)) for i in range(40)])

        def give_up():
            crowd.join()
            answered.set()

        threading.Thread(target=give_up).start()
        assert answered.wait(PATIENCE_SECONDS)  # one after the other they would take 20 s and more
    assert {type(outcome) for outcome in crowd.outcomes} == {StoreUnavailable}
    assert stored(database) == []
    assert patient.write(insert("later")) == 1
    for each in (elsewhere, patient):
        each.dispose()
