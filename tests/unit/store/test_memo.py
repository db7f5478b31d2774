"""Values that are read again only when anything was written."""

import sqlite3

import pytest
from sqlalchemy import text

from app.errors import NotFound
from app.store import migrate
from app.store.database import Database
from app.store.memo import Memo


class Store:
    """Counts the reads of values that a test may change behind the memo's back."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.values: dict[str, int] = {}
        self.reads: list[str] = []
        self.memo = Memo(database, self.read)

    def read(self, key: str) -> int:
        self.reads.append(key)
        if key not in self.values:
            raise NotFound(key)
        return self.values[key]

    def commit(self) -> None:
        with sqlite3.connect(self.database.url.removeprefix("sqlite:///")) as other:
            other.execute("PRAGMA user_version = 7")
            other.execute("DELETE FROM tickets")


@pytest.fixture
def store(database):
    return Store(database)


def test_a_value_is_read_once_while_nothing_is_written(store):
    store.values = {"a": 1, "b": 2}
    assert [store.memo.get(key) for key in "abab"] == [1, 2, 1, 2]
    assert store.reads == ["a", "b"]


def test_a_commit_of_another_process_is_seen_at_once(store):
    store.values["a"] = 1
    for value in range(2, 50):
        store.memo.get("a")
        store.values["a"] = value
        store.commit()
        assert store.memo.get("a") == value


def test_a_commit_of_this_process_is_seen_at_once(store):
    store.values["a"] = 1
    store.memo.get("a")
    store.values["a"] = 2
    store.database.write(lambda c: c.execute(text("DELETE FROM tickets")))
    assert store.memo.get("a") == 2


def test_what_is_written_while_a_value_is_read_is_seen_by_the_next(database):
    values = iter([1, 2])

    def read(_key: str) -> int:
        value = next(values)
        database.write(lambda c: c.execute(text("DELETE FROM tickets")))
        return value

    memo = Memo(database, read)
    assert [memo.get("a"), memo.get("a")] == [1, 2]


def test_what_is_not_there_is_looked_for_every_time(store):
    for _ in range(2):
        with pytest.raises(NotFound):
            store.memo.get("a")
    assert store.reads == ["a", "a"]


def test_it_keeps_a_bounded_number_of_bytes(store, monkeypatch):
    monkeypatch.setattr("app.store.memo._KEPT_BYTES", 50_000)
    store.memo = Memo(store.database, store.read)
    store.values = {str(number): number for number in range(3000)}
    for key in store.values:
        store.memo.get(key)
    store.memo.get("0")
    assert store.reads.count("0") == 2


def test_without_a_version_every_value_is_read(store, monkeypatch):
    monkeypatch.setattr(store.database, "version", lambda: None)
    store.values["a"] = 1
    assert [store.memo.get("a"), store.memo.get("a")] == [1, 1]
    assert store.reads == ["a", "a"]


def test_a_store_that_is_away_has_no_version(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'slipway.db'}")
    migrate.upgrade(database)
    database.dispose()
    for file in tmp_path.glob("slipway.db*"):
        file.unlink()
    (tmp_path / "slipway.db").mkdir()
    assert database.version() is None
