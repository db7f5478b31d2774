"""What the tests make once, and copy, is what the service makes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from kit.thrift import make_tables, tables_copied
from sqlalchemy.exc import SQLAlchemyError

from app.store import migrate
from app.store.database import Database


def test_tables_that_are_copied_are_those_of_the_migrations(tmp_path: Path) -> None:
    migrated, copied = tmp_path / "migrated.db", tmp_path / "copied.db"
    make_tables(f"sqlite:///{migrated}")
    database = Database(f"sqlite:///{copied}")
    with tables_copied():
        migrate.upgrade(database)
    migrate.check(database)
    database.dispose()
    assert dump(copied) == dump(migrated)


def test_a_database_with_tables_is_migrated_and_not_copied(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    with tables_copied():
        database.write(lambda store: store.exec_driver_sql("CREATE TABLE executions (id TEXT)"))
        with pytest.raises(SQLAlchemyError, match="table executions already exists"):
            database.write(migrate._upgrade)
    database.dispose()


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [*database.iterdump()]
