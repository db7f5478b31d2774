"""Readers of one change read it once for all, on PostgreSQL as well."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kit.patience import PATIENCE_SECONDS, await_that, join
from sqlalchemy import event

from app.domain import ALL_LEVELS, ExecutionStatus, Identity, Level, NewLogEntry, Observation, Role
from app.factory import create_web, read_settings
from app.resources._context import EXTENSION
from app.services.follow import Batch, FollowQuery
from app.services.logs import LogQuery
from app.store.database import Database
from app.store.executions import Executions, Intent

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
    page = services.logs.page(id_, ADA, LogQuery(0, 100, levels, PATIENCE_SECONDS))
    entries = [entry for stretch in page.stretches() for entry in stretch.entries]
    assert [entry.content for entry in entries] == ["news"]


def by_wait(services: Any, id_: str, _levels: Level) -> None:
    execution = services.executions.wait(id_, ADA, PATIENCE_SECONDS)
    assert execution.status is ExecutionStatus.RUNNING
    assert services.executions.tasks_of(execution)


def by_stream(services: Any, id_: str, levels: Level) -> None:
    events = services.follow.open(id_, lambda: ADA, FollowQuery(levels))
    for happening in events:
        if isinstance(happening, Batch):
            assert [entry.content for entry in happening.entries] == ["news"]
            return


@pytest.mark.parametrize("levels", [ALL_LEVELS, Level.INFO | Level.ERROR], ids=["all", "some"])
@pytest.mark.parametrize("read", [by_page, by_wait, by_stream])
def test_two_hundred_readers_of_one_change_cost_a_few_statements(web, read, levels):
    services = web.app.extensions[EXTENSION]
    executions = Executions(Database(web.database.url))
    intent = Intent("id", "local", "flow", "Flow", "ada", {}, steps=["first"])
    executions.launched(executions.create(intent)[0], {"job": 1})
    [execution] = executions.claim("conductor", "node", 600.0, [], 10)
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
    statements: list[str] = []

    @event.listens_for(web.database.engine(), "before_cursor_execute")
    def _note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement)

    entry = NewLogEntry(Level.INFO, 1, "news", "first")
    executions.record(
        execution, "conductor", Observation(ExecutionStatus.RUNNING, None, entries=(entry,))
    )
    join(*threads)
    assert faults == []
    assert len(statements) <= FEW, statements
