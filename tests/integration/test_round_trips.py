"""How often PostgreSQL is asked and answers: a launch waits for each round trip."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from kit.patience import await_that
from sqlalchemy import make_url

from app.store import _postgresql
from app.store.changes import open_feed
from app.store.database import Database
from app.store.launches import Intent, Launches, UsedKey

_CUT = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'slipway' AND state = 'idle'"
)


@pytest.fixture
def database(migrated_database: str) -> Iterator[Database]:
    made = Database(migrated_database, timeout_seconds=20.0)
    with made.read():
        pass  # a connection is there
    yield made
    made.dispose()


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Gets an element for each wait for an answer."""
    waits: list[None] = []
    wait = _postgresql.BoundedConnection.wait

    def counting(connection: Any, *args: Any, **kwargs: Any) -> Any:
        waits.append(None)
        return wait(connection, *args, **kwargs)

    monkeypatch.setattr(_postgresql.BoundedConnection, "wait", counting)
    return waits


def intent(**more: Any) -> Intent:
    steps = ["first", "second"]
    return Intent(str(uuid.uuid4()), "local", "flow", "Flow", "ada", {}, steps, **more)


def test_a_launch_is_written_down_in_four_round_trips(database, round_trips):
    """To begin, to write the execution and to notify, to write its tasks, and to commit."""
    launches = Launches(database)
    for expected, key in ((4, None), (5, "mine")):
        before = key and UsedKey("ada", f"{key} before", "")
        launches.create(intent(reference={"definition": "x"}, used=before))
        round_trips.clear()
        used = key and UsedKey("ada", key, "")
        launches.create(intent(reference={"definition": "x"}, used=used))
        assert len(round_trips) == expected


def test_an_acceptance_takes_three_round_trips(database, round_trips):
    launches = Launches(database)
    for number in range(2):
        execution, _ = launches.create(intent())
        round_trips.clear()
        launches.launched(execution, {"job": number})
    assert len(round_trips) == 3


def test_who_listens_hears_of_a_launch_once_it_is_committed(database):
    heard: dict[str, set[str]] = {"wanted": set(), "changed": set()}
    feeds = [open_feed(database, kind, lambda ids, k=kind: heard[k].update(ids)) for kind in heard]
    execution, _ = Launches(database).create(intent(reference={"definition": "x"}))
    await_that(lambda: all(ids == {execution.id} for ids in heard.values()))
    for feed in feeds:
        feed.close()


def test_a_connection_that_the_server_ended_just_now_is_not_used(database, migrated_database):
    url = make_url(migrated_database).set(drivername="postgresql")
    launches = Launches(database)
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as operator:
        for _ in range(3):
            launches.create(intent())  # it answered just now
            assert operator.execute(_CUT).rowcount >= 1
            with database.read():
                pass
            launches.create(intent())
