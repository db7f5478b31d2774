"""What the tests make once, and copy, is what the service makes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from kit.thrift import make_tables, parsed_once, tables_copied
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.routing import IntegerConverter, Map, Rule

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


class Doubled(IntegerConverter):
    """Takes twice the number that is written."""

    def to_python(self, value: str) -> int:
        return 2 * int(value)


def test_rules_that_share_what_their_text_comes_to_are_apart_in_all_else() -> None:
    def rules(endpoint: str) -> list[Rule]:
        texts = "/<int:a>/<b>", "/all", "/<path:p>/end/"
        return [Rule(text, endpoint=f"{endpoint} {text}", methods=["GET"]) for text in texts]

    with parsed_once():
        maps = [Map(rules(endpoint)) for endpoint in ("one", "two")]
        own = Map(rules("own"), converters={"int": Doubled})
    for endpoint, each in zip(("one", "two"), maps, strict=True):
        bound = each.bind("host")
        assert bound.match("/1/x") == (f"{endpoint} /<int:a>/<b>", {"a": 1, "b": "x"})
        assert bound.match("/a/b/end/") == (f"{endpoint} /<path:p>/end/", {"p": "a/b"})
        assert bound.match("/all") == (f"{endpoint} /all", {})
        assert bound.build(f"{endpoint} /<int:a>/<b>", {"a": 3, "b": "ü"}) == "/3/%C3%BC"
    assert own.bind("host").match("/1/x")[1] == {"a": 2, "b": "x"}


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [*database.iterdump()]
