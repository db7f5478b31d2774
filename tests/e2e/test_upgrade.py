"""A new version of the service finds what the one before left, and goes on with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from alembic import command
from kit.definitions import script, workflow
from kit.service import Service
from kit.work import MARK, await_marks, marks, wait_for_gate
from sqlalchemy import Connection, text

from app.store import migrate
from app.store.database import Database


def downgrade(data_dir: Path, revision: str) -> None:
    """Make the store one of an earlier version, which knew its own parts of a cursor only."""

    def work(connection: Connection) -> None:
        command.downgrade(migrate.alembic_config(connection), revision)
        for number, cursor in connection.execute(text("SELECT number, cursor FROM executions")):
            kept = {name: json.loads(cursor)[name] for name in ("begun_at", "paused", "tasks")}
            statement = text("UPDATE executions SET cursor = :cursor WHERE number = :number")
            connection.execute(statement, {"cursor": json.dumps(kept), "number": number})

    database = Database(f"sqlite:///{data_dir / 'slipway.db'}")
    database.write(work)
    database.dispose()


def test_an_execution_under_way_goes_on_where_its_cursor_held_all_tasks(
    start: Callable[..., Service],
) -> None:
    service = start()
    client = service.client()
    steps = [
        script("first", MARK + "echo first"),
        script(
            "second", MARK + "echo begun\n" + wait_for_gate("gate") + "echo done", needs=["first"]
        ),
        script("third", MARK, needs=["second"]),
    ]
    execution = client.run(workflow("gated", *steps))
    await_marks(service, execution, 2)
    service.stop()
    downgrade(service.data_dir, "0009")
    service.start()
    client = service.client()
    (service.work(execution) / "gate").touch()
    client.wait(execution, "SUCCESS")
    assert marks(service, execution) == ["first", "second", "third"]
    assert client.lines(execution, "first") == ["first"]
    assert client.lines(execution, "second") == ["begun", "done"]
