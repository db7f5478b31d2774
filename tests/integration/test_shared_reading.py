"""Readers of one change read it once for all, on PostgreSQL as well, and never read the past.

Counted is whatever the web process sends: statements of SQLAlchemy, and what its change feed asks
on the connection that listens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from kit.patience import PATIENCE_SECONDS, await_that, join
from sqlalchemy import event

from app.assembly import read_settings
from app.domain import (
    ALL_LEVELS,
    DrivenExecution,
    ExecutionStatus,
    Identity,
    Level,
    NewLogEntry,
    Observation,
    Role,
)
from app.errors import NotFound
from app.factory import create_web
from app.resources._context import EXTENSION
from app.resources.root.encoders import RootMessages
from app.services.follow import Batch, FollowQuery, StatusChanged
from app.services.idle import outcome, waited
from app.services.logs import LogQuery
from app.store.database import Database
from app.store.driving import DrivenExecutions
from app.store.launches import Intent, Launches

READERS = 200
ADA = Identity("ada", frozenset({Role.ADMIN}))
FEW = 5


@pytest.fixture
def web(tmp_path, migrated_database) -> Iterator[Any]:
    overrides = {
        "data_dir": str(tmp_path), "database.url": migrated_database, "database.timeout": "1m",
        "streams.max_per_user": 1000,
    }  # fmt: skip
    made = create_web(read_settings(None, overrides, {}))
    made.changes.start()
    yield made
    made.changes.close()
    made.database.dispose()


def by_page(services: Any, id_: str, levels: Level) -> None:
    query = LogQuery(0, 100, levels, PATIENCE_SECONDS)
    page = outcome(services.logs.steps(id_, ADA, query))
    entries = [entry for stretch in page.stretches() for entry in stretch.entries]
    assert [entry.content for entry in entries] == ["news"]


def by_wait(services: Any, id_: str, _levels: Level) -> None:
    execution = outcome(services.executions.wait(id_, ADA, PATIENCE_SECONDS))
    assert execution.status is ExecutionStatus.RUNNING
    assert services.executions.tasks_of(execution)


def by_stream(services: Any, id_: str, levels: Level) -> None:
    events = services.follow.open(id_, lambda: ADA, FollowQuery(levels))
    for happening in events:
        if isinstance(happening, Batch):
            assert [entry.content for entry in happening.entries] == ["news"]
            return


def by_events(services: Any, id_: str, _levels: Level) -> None:
    for happening in waited(services.events.steps(lambda: ADA)):
        if isinstance(happening, StatusChanged):
            assert happening.execution.id == id_
            if happening.execution.status is ExecutionStatus.RUNNING:
                return


def by_websocket(services: Any, id_: str, levels: Level) -> None:
    messages = RootMessages(services.follow.tasks)
    for happening in services.follow.open(id_, lambda: ADA, FollowQuery(levels)):
        frames = b"".join(messages.encode(happening, nullcontext))
        if b'"news"' in frames:
            return


def launched(web: Any) -> tuple[DrivenExecutions, DrivenExecution]:
    """Launch an execution, and drive it, over a store as another process has it."""
    database = Database(web.database.url)
    launches, executions = Launches(database), DrivenExecutions(database)
    intent = Intent("id", "local", "flow", "Flow", "ada", {}, steps=["first"])
    launches.launched(launches.create(intent)[0], {"job": 1})
    [execution] = executions.claim("conductor", "node", 600.0, [], 10)
    return executions, execution


@contextmanager
def counted(database: Database, feed: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect what is sent to the server while the block runs."""
    statements: list[str] = []
    ask = feed._ask

    def _ask(connection: Any) -> None:
        statements.append("proof")
        ask(connection)

    def _note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement)

    with monkeypatch.context() as patch:
        patch.setattr(feed, "_ask", _ask)
        event.listen(database.engine(), "before_cursor_execute", _note)
        yield statements
        event.remove(database.engine(), "before_cursor_execute", _note)


@pytest.mark.parametrize("levels", [ALL_LEVELS, Level.INFO | Level.ERROR], ids=["all", "some"])
@pytest.mark.parametrize("read", [by_page, by_wait, by_stream, by_websocket, by_events])
def test_two_hundred_readers_of_one_change_cost_a_few_statements(web, read, levels, monkeypatch):
    services = web.app.extensions[EXTENSION]
    executions, execution = launched(web)
    faults: list[Exception] = []

    def run() -> None:
        try:
            read(services, "id", levels)
        except Exception as exc:  # noqa: BLE001
            faults.append(exc)

    threads = [threading.Thread(target=run) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    await_that(lambda: faults or web.changes.waiting == READERS, "all of them wait")
    assert faults == []
    time.sleep(1)  # a few of them may still be on the way from their first look to the wait
    entry = NewLogEntry(Level.INFO, 1, "news", "first")
    news = Observation(ExecutionStatus.RUNNING, None, entries=(entry,))
    with counted(web.database, web.changes._feed, monkeypatch) as statements:
        executions.record(execution, "conductor", news)
        join(*threads)
    assert faults == []
    # The feed looks at whether its server is still the right one after some silence, too.
    assert len(statements) <= FEW, statements


def test_two_hundred_who_ask_at_the_same_moment_share_what_nothing_has_changed(web, monkeypatch):
    services = web.app.extensions[EXTENSION]
    launched(web)
    services.executions.tasks("id", ADA)
    start, got = threading.Barrier(READERS + 1), []

    def ask() -> None:
        start.wait(PATIENCE_SECONDS)
        got.append(services.executions.tasks("id", ADA))

    threads = [threading.Thread(target=ask) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    with counted(web.database, web.changes._feed, monkeypatch) as statements:
        start.wait(PATIENCE_SECONDS)
        join(*threads)
    assert len(got) == READERS
    assert set(statements) <= {"proof"}
    assert len(statements) < READERS


def test_what_another_process_committed_is_seen_by_every_request_that_begins_later(
    web, monkeypatch
):
    """Also while the connection that listens is cut, again and again."""
    monkeypatch.setattr("app.store.changes._RETRY_SECONDS", 0.05)
    services = web.app.extensions[EXTENSION]
    executions, execution = launched(web)
    proved = 0
    for n in range(1, 301):
        if n % 60 == 0:
            with web.changes._feed._lock:
                pid = web.changes._feed._connection.info.backend_pid
            with Database(web.database.url).connect() as admin:
                admin.execute("SELECT pg_terminate_backend(%s)", [pid])
        if n % 3:
            entry = NewLogEntry(Level.INFO, n, str(n), "first")
            seen = Observation(ExecutionStatus.RUNNING, None, entries=(entry,))
            executions.record(execution, "conductor", seen)
        else:
            executions.touch(execution, "conductor", None)
        shown, stored = services.executions.get("id", ADA), executions.get("id")
        assert (shown.log_total, shown.as_of) == (stored.log_total, stored.as_of)
        proved += web.changes.prove()
    assert proved
    await_that(web.changes.prove, "the feed is back")
    executions.touch(execution, "conductor", None)
    assert services.executions.get("id", ADA).as_of == executions.get("id").as_of


def test_a_launch_that_another_process_withdrew_is_gone_at_once(web):
    services = web.app.extensions[EXTENSION]
    launches = Launches(Database(web.database.url))
    for n in range(20):
        intent = Intent(f"id{n}", "local", "flow", "Flow", "ada", {}, steps=["first"])
        launch, _ = launches.create(intent)
        assert services.executions.get(launch.id, ADA).id == launch.id
        launches.withdraw(launch)
        with pytest.raises(NotFound):
            services.executions.get(launch.id, ADA)
