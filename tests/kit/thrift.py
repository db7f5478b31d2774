"""What spares the tests time: things made once, or not before they are needed."""

from __future__ import annotations

import functools
import gc
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import URL, Connection, Engine, create_engine, inspect
from werkzeug.routing import Rule

from app.store import migrate
from app.store.database import Database

cheap_hasher = functools.partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
"""Makes hashers of hardly any strength."""
_OF_ITS_OWN = ("BEGIN TRANSACTION;", "COMMIT;")
"""Statements of a dump for which there is a transaction already."""


def make_tables(database_url: str) -> None:
    """Make a database of SQLite with all tables, unless there is one: a copy of a migrated one."""
    path = Path(database_url.removeprefix("sqlite:///"))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(_migrated())


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slipway.db"
        database = Database(f"sqlite:///{path}")
        migrate.upgrade(database)
        database.dispose()
        return path.read_bytes()


@contextmanager
def tables_copied() -> Iterator[None]:
    """Make the tables of new databases of SQLite by a copy of what the migrations made once."""
    upgrade, statements = migrate._upgrade, _statements()

    def copy(connection: Connection) -> None:
        if connection.dialect.name != "sqlite" or inspect(connection).get_table_names():
            upgrade(connection)
        else:
            for statement in statements:
                connection.exec_driver_sql(statement)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "_upgrade", copy)
        yield


def _statements() -> list[str]:
    """What makes a database like a migrated one."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(_migrated())
        file.flush()
        with closing(sqlite3.connect(file.name)) as migrated:
            return [each for each in migrated.iterdump() if each not in _OF_ITS_OWN]


@contextmanager
def cheap_hashes() -> Iterator[None]:
    """Hash passwords with hardly any strength."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.identity.basic.PasswordHasher", cheap_hasher)
        yield


@contextmanager
def compiled_once() -> Iterator[None]:
    """Let the engines of SQLite share the statements that they compiled.

    A process of the service has one store, and compiles each statement once; tests have hundreds.
    """
    first = create_engine("sqlite://")
    first.connect().close()  # makes the dialect ready

    def create(url: str | URL, **options: Any) -> Engine:
        engine = create_engine(url, **options)
        if engine.dialect.name == first.dialect.name:
            engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.store._sqlite.create_engine", create)
        yield
    first.dispose()


@contextmanager
def parsed_once() -> Iterator[None]:
    """Let rules that say the same share what their text comes to.

    A process of the service has one web process, with a rule for each address; tests have hundreds.
    """
    compile_ = Rule.compile
    known: dict[tuple[object, ...], Rule] = {}

    def take_over(rule: Rule) -> None:
        if rule.map.converters != rule.map.default_converters:
            compile_(rule)
            return
        says = rule.rule, rule.subdomain, rule.host, rule.merge_slashes, rule.map.host_matching
        if says not in known:
            compile_(rule)
            known[says] = rule
            return
        like = known[says]
        rule._parts, rule._trace, rule._converters = like._parts, like._trace, like._converters
        rule.arguments |= like._converters.keys()
        rule._build = rule._compile_builder(append_unknown=False).__get__(rule, None)
        rule._build_unknown = rule._compile_builder(append_unknown=True).__get__(rule, None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "compile", take_over)
        yield


def collect_no_garbage_yet() -> None:
    """Let the collector wait for :func:`collect_less_garbage`: what is imported stays anyway."""
    gc.disable()


def collect_less_garbage() -> None:
    """Let the collector leave alone what was imported, and look at all else less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    gc.enable()


OF_SERVICES = (cheap_hashes, tables_copied)
"""What also holds in the services of the tests, unless they are cold."""
