"""The tests of the store, on PostgreSQL: the very functions that run on SQLite as unit tests."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import psycopg
import pytest
from kit.patience import PATIENCE_SECONDS, await_that
from sqlalchemy import make_url, select, text

from app.store import migrate
from app.store.changes import open_feed
from app.store.database import Database
from app.store.given_names import NEXT_FREE_NAME, name_parameters

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "store"))

kit = import_module("store_kit").kit

_MODULES = (
    "test_journal", "test_stored_executions", "test_changes", "test_other_tables",
    "test_migrations", "test_names_and_tasks", "test_uploads", "test_references_and_lists",
    "test_execution_views", "test_given_names", "test_task_wishes", "test_retention",
    "test_stored_users", "test_audit_log", "test_continued", "test_standing_workflows",
    "test_slaves", "test_purging", "test_last_success", "test_found_executions",
    "test_stored_figures", "test_overview", "test_task_attempts", "test_briefs",
    "test_unfinished_by_index", "test_stored_operations", "test_cluster_tables",
)  # fmt: skip
_FIXTURES = {
    "submitted",
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
    "clocks",
    "slaves",
    "load_tasks",
    "snapshots",
    "unused",
    "purging",
    "succeeded",
    "statements",
    "figures",
    "overview",
    "operations",
    "asked",
}
_ELSEWHERE = {
    "test_a_store_that_cannot_be_reached_says_so_and_no_more",
    "test_a_feed_of_sqlite_that_fails_for_one_who_asks_opens_again",
}
"""What says nothing of PostgreSQL."""
MOMENT = datetime(2023, 12, 9, 14, 30, 22, 774_000, tzinfo=UTC)
STEM = "flow-20231209-143022"

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


def test_launches_of_one_workflow_wait_for_no_other_and_a_gap_holds_up_nobody(kit, monkeypatch):
    monkeypatch.setattr("app.store.launches.now", lambda: MOMENT)

    def begin(transaction):
        return kit.launches._create(transaction, kit.intent()).awf_name

    with kit.database.engine().connect() as one, kit.database.engine().connect() as two:
        # A launch that waited for one of these would wait until the end of the test.
        assert [begin(one), begin(two)] == [STEM, f"{STEM}-2"]
        assert kit.create().awf_name == f"{STEM}-3"
        two.rollback()
        one.commit()
    # Two of three names are given, and the third of them is not given again.
    assert [kit.create().awf_name for _ in range(2)] == [f"{STEM}-4", f"{STEM}-5"]


def test_a_name_that_somebody_gives_without_its_lock_is_lost_without_an_error(kit, monkeypatch):
    monkeypatch.setattr("app.store.launches.now", lambda: MOMENT)
    other = kit.create(workflow_id="another")
    give = text("UPDATE executions SET awf_name = :name WHERE id = :id")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with kit.database.engine().connect() as elsewhere, ThreadPoolExecutor(1) as pool:
        elsewhere.execute(give, {"name": STEM, "id": other.id})
        launch = pool.submit(kit.create)
        with kit.database.read() as reader:
            await_that(lambda: reader.exec_driver_sql(waiting).scalar(), "it waits for the name")
        elsewhere.commit()
        assert launch.result(PATIENCE_SECONDS).awf_name == f"{STEM}-2"


def test_a_long_series_of_names_and_many_executions_are_never_read_as_a_whole(kit):
    """Each launch looks a few names up in the index, whatever the planner makes of the rest."""
    rows = text(
        "INSERT INTO executions (id, awf_name, orchestrator, workflow_id, workflow_name, owner,"
        " inputs, status, desired, created_at, as_of) SELECT 'x' || n, 'other-' || n, '', '', '',"
        " '', '{}', 'SUCCESS', 'RUN', 1, 1 FROM generate_series(1, 3000) AS n"
    )
    kit.database.write(lambda connection: connection.execute(rows))
    statement = select(NEXT_FREE_NAME)
    with kit.database.engine().connect() as connection:
        connection.exec_driver_sql("ANALYZE executions")
        asked = statement.compile(dialect=connection.dialect)
        values = {**asked.params, **name_parameters("flow", MOMENT)}
        plan = connection.exec_driver_sql(f"EXPLAIN {asked}", values).scalars().all()
    assert [line for line in plan if "Seq Scan on executions" in line] == []


def test_the_statements_of_a_launch_are_not_planned_anew_each_time(kit):
    with kit.database.engine().begin() as connection:
        # What the planner knows is of rows that earlier tests have put there and taken away.
        connection.execute(text("DELETE FROM pg_statistic WHERE starelid = 'executions'::regclass"))
    for _ in range(20):
        kit.create()
    planned = text("SELECT statement, generic_plans FROM pg_prepared_statements")
    with kit.database.engine().connect() as connection:  # the one on which all of them ran
        plans = {row.statement: row.generic_plans for row in connection.execute(planned)}
    assert any(statement.startswith("INSERT INTO executions") for statement in plans)
    assert all(plans.values()), plans
