"""The tests of the store, on PostgreSQL: the very functions that run on SQLite as unit tests."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import psycopg
import pytest
from kit.patience import PATIENCE_SECONDS
from sqlalchemy import make_url

from app.store import migrate
from app.store.changes import open_feed
from app.store.database import Database

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "store"))

kit = import_module("store_kit").kit

_MODULES = (
    "test_journal", "test_stored_executions", "test_changes", "test_other_tables",
    "test_migrations", "test_names_and_tasks", "test_uploads", "test_references_and_lists",
    "test_execution_views", "test_given_names", "test_task_wishes", "test_retention",
    "test_stored_users", "test_audit_log", "test_continued", "test_standing_workflows",
    "test_slaves",
)  # fmt: skip
_FIXTURES = {
    "changes",
    "users",
    "log",
    "elsewhere",
    "ended",
    "empty",
    "execution",
    "uploads",
    "held",
    "selected",
    "standing",
    "wishes",
    "clock",
    "slaves",
    "load_tasks",
    "snapshots",
    "unused",
}
_ELSEWHERE = {
    "test_a_store_that_cannot_be_reached_says_so_and_no_more",
    "test_a_feed_of_sqlite_that_fails_for_one_who_asks_opens_again",
}
"""What says nothing of PostgreSQL."""

for _module in map(import_module, _MODULES):
    for _name, _value in vars(_module).items():
        if _name.startswith(("test_", "Test")) or _name in _FIXTURES:
            assert _name not in globals(), f"two tests are called {_name}"
            if _name not in _ELSEWHERE:
                globals()[_name] = _value


@pytest.fixture
def only_works_with_tables(request: pytest.FixtureRequest) -> bool:
    """Whether the test may work in a database that others work in before and afterwards."""
    return "database" in request.fixturenames and request.function.__module__ != "test_migrations"


@pytest.fixture
def database_url(request: pytest.FixtureRequest, only_works_with_tables: bool) -> str:
    """URL of a database, which has all tables already where the test only works with them."""
    name = "migrated_database" if only_works_with_tables else "postgresql_database"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def database(database_url: str, only_works_with_tables: bool) -> Iterator[Database]:
    made = Database(database_url)
    if not only_works_with_tables:
        migrate.upgrade(made)
    yield made
    made.dispose()


def test_a_feed_whose_connection_is_cut_comes_back_and_has_everybody_look(kit, database_url):
    execution = kit.held()
    ids: set[str] = set()
    look, told = threading.Event(), threading.Event()

    def publish(changed):
        if changed is None:
            look.set()
        else:
            ids.update(changed)
            told.set()

    feed = open_feed(kit.database, "changed", publish)
    url = make_url(database_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
    assert look.wait(PATIENCE_SECONDS)
    kit.see(execution)
    assert told.wait(PATIENCE_SECONDS)
    assert ids == {execution.id}
    feed.close()
