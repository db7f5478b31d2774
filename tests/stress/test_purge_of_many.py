"""Many executions are purged while others are launched: all of them go, and nobody is held up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from kit.client import Client
from kit.definitions import script, workflow
from kit.patience import await_that
from kit.service import Service
from kit.stress import scaled
from sqlalchemy import text

from app.store import migrate
from app.store.database import Database

LINES = 20
TASKS = 3
SHORT = workflow("short", script("say", "echo said"))
_DAY_MS = 24 * 3600 * 1000
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :number) "
_ENDED = (
    "INSERT INTO executions (id, awf_name, orchestrator, workflow_id, workflow_name, owner, inputs,"
    " status, desired, created_at, finished_at, as_of, n_info, b_info, log_complete)"
    + _NUMBERS
    + "SELECT 'old-' || i, 'old-20200101-000000-' || i, 'local', 'old', 'old', 'anonymous', '{}',"
    " 'SUCCESS', 'RUN', :at, :at, :at, :lines, :lines * 10, true FROM n"
)
_ENTRIES = (
    "INSERT INTO log_entries (execution, sequence, level, timestamp, task, content) "
    + _NUMBERS.replace(":number", ":lines")
    + "SELECT e.number, n.i - 1, 2, :at, 'say', 'a line of ' || e.id FROM executions e, n"
)
_TASKS = (
    "INSERT INTO tasks (execution, name, position, status) "
    + _NUMBERS.replace(":number", ":tasks")
    + "SELECT e.number, 'task-' || n.i, n.i, 'SUCCESS' FROM executions e, n"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str | None:
    """URL of the store; None for the service's own."""
    if request.param == "sqlite":
        return None
    found: str = request.getfixturevalue("postgresql_database")
    return found


@pytest.fixture
def filled(
    url: str | None, new_service: Callable[..., Service]
) -> Iterator[tuple[Service, Database, int]]:
    """A service that has been at work for long, and purges what is older than a day."""
    number = scaled(10_000, 300)
    env = {"SLIPWAY_RETENTION__EXECUTIONS": "1d"}
    service = new_service(env={**env, "SLIPWAY_DATABASE__URL": url} if url else env)
    service.data_dir.mkdir(parents=True, mode=0o700)
    database = Database(url or f"sqlite:///{service.data_dir / 'slipway.db'}")
    migrate.upgrade(database)
    old_ms = int(datetime.now(UTC).timestamp() * 1000) - 2 * _DAY_MS
    values = {"number": number, "at": old_ms, "lines": LINES, "tasks": TASKS}
    for statement in (_ENDED, _ENTRIES, _TASKS):
        given = {name: value for name, value in values.items() if f":{name}" in statement}
        database.write(lambda c, s=statement, g=given: c.execute(text(s), g))  # type: ignore[misc]
    yield service, database, number
    database.dispose()


def count(database: Database, table: str, condition: str = "1 = 1") -> int:
    with database.read() as connection:
        statement = f"SELECT count(*) FROM {table} WHERE {condition}"
        return int(connection.execute(text(statement)).scalar_one())


def test_thousands_are_purged_while_others_launch(
    filled: tuple[Service, Database, int], did: Callable[[str], None]
) -> None:
    service, database, number = filled
    service.start()
    client = service.client()
    client.upload(SHORT)
    launched, seconds, begun = [], [], time.monotonic()
    while left := count(database, "removals", "kind <> 3") + count(
        database, "executions", "workflow_id = 'old'"
    ):
        started = time.monotonic()
        launched.append(client.launch("short"))
        seconds.append(time.monotonic() - started)
        assert left <= 2 * number
        time.sleep(0.02)
    took = time.monotonic() - begun
    for execution in launched:
        assert client.wait(execution)["state"] == "SUCCESS"
        assert client.lines(execution, "say") == ["said"]
    assert_only_these(database, launched, number)
    for execution in ("old-1", f"old-{number}", "old-20200101-000000-7"):
        assert client.send("GET", f"/executions/{execution}").status_code == 410
    median, worst = sorted(seconds)[len(seconds) // 2] * 1000, max(seconds) * 1000
    did(
        f"{number} executions with {number * LINES} entries purged in {took:.0f} s "
        f"({database.dialect}) beside {len(launched)} launches (median {median:.0f} ms, worst "
        f"{worst:.0f} ms), none lost"
    )


def assert_only_these(database: Database, launched: list[str], number: int) -> None:
    """All that was old is gone, and all that was launched is there."""
    assert count(database, "tombstones") == number
    assert count(database, "spent_names", "name LIKE 'old-%'") == number
    assert count(database, "executions") == len(launched)
    for table in ("tasks", "log_entries"):
        of_others = "execution NOT IN (SELECT number FROM executions)"
        assert count(database, table, of_others) == 0, table


def test_a_conductor_that_dies_again_and_again_purges_them_all(
    filled: tuple[Service, Database, int], did: Callable[[str], None]
) -> None:
    service, database, number = filled
    service.start()
    client, kills = service.client(), 0
    client.upload(SHORT)
    launched = []
    while count(database, "tombstones") < number:
        before = count(database, "tombstones")
        if kills < scaled(10, 2):
            old = service.kill("conductor")
            kills += 1
            launched.append(client.launch("short"))
            service.replaced("conductor", old)
        await_that(
            lambda before=before: count(database, "tombstones") > min(before, number - 1),
            "another one goes on",
        )
    await_that(lambda: count(database, "removals", "kind <> 3") == 0, "nothing is left")
    _await_all(client, launched)
    assert_only_these(database, launched, number)
    did(f"{number} executions purged ({database.dialect}) by {kills + 1} conductors in turn")


def _await_all(client: Client, launched: list[str]) -> None:
    for execution in launched:
        assert client.wait(execution)["state"] == "SUCCESS"
