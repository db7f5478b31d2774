"""What nobody foresaw: an execution that no look can bring forward ends all the same."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from kit.definitions import script, workflow
from kit.patience import await_that
from kit.service import Service

PREFIX = "The service cannot go on with this execution: "


@pytest.fixture
def running(service: Service, tmp_path: Path) -> tuple[str, int]:
    """An execution that lasts, and the process of its step."""
    file = tmp_path / "pid"
    client = service.client()
    execution = client.run(workflow("long", script("only", f"echo $$ > {file}\nsleep 300")))
    pid = await_that(lambda: file.exists() and file.read_text().strip(), "the step has begun")
    await_that(lambda: client.tasks(execution)["only"]["started_at"], "it was seen")
    return execution, int(pid)


def put(service: Service, statement: str, *values: str) -> None:
    """Damage the store while no conductor works with it; the next one finds it like that."""
    os.kill(service.pid, signal.SIGSTOP)  # or it would put another one in its place
    try:
        service.kill("conductor")
        with closing(sqlite3.connect(service.data_dir / "slipway.db", timeout=60)) as connection:
            connection.execute(statement, values)
            connection.commit()
    finally:
        os.kill(service.pid, signal.SIGCONT)


def damage_definition(service: Service, execution: str) -> None:
    """Make something of the definition of an execution that cannot be read as one."""
    chosen = (
        "digest = (SELECT json_extract(reference, '$.definition') FROM executions WHERE id = ?)"
    )
    document = json.dumps({"steps": "none"})
    put(service, f"UPDATE definitions SET document = ? WHERE {chosen}", document, execution)


def ended(service: Service, execution: str) -> str:
    """Wait for the end, which takes a few looks with pauses between them."""
    seen = service.client().wait(execution, "FAILED")
    assert seen["error"].startswith(PREFIX)
    return str(seen["error"].removeprefix(PREFIX))


def test_a_definition_that_cannot_be_read_any_more(
    service: Service, running: tuple[str, int]
) -> None:
    execution, pid = running
    damage_definition(service, execution)
    assert ended(service, execution).endswith(". Nothing of it runs any more.")
    assert not Path(f"/proc/{pid}").exists()
    other = service.client().run(workflow("other", script("only", "true")))
    assert service.client().wait(other)["state"] == "SUCCESS"


@pytest.mark.parametrize("of", ["the execution", "a task"])
def test_a_cursor_that_cannot_be_read_any_more(
    service: Service, running: tuple[str, int], of: str
) -> None:
    execution, pid = running
    task = {"status": "DANCING"}
    if of == "a task":
        of_it = "execution = (SELECT number FROM executions WHERE id = ?)"
        put(service, f"UPDATE tasks SET cursor = ? WHERE {of_it}", json.dumps(task), execution)
    else:  # as earlier versions wrote it
        cursor = json.dumps({"tasks": {"only": task}})
        put(service, "UPDATE executions SET cursor = ? WHERE id = ?", cursor, execution)
    error = ended(service, execution)
    assert error.startswith("ValueError: 'DANCING' is not a valid TaskStatus")
    assert error.endswith("may still run.")
    assert Path(f"/proc/{pid}").exists()
    assert service.client().cancel(execution).status_code == 409


def test_it_can_be_cancelled_or_abandoned_meanwhile(
    service: Service, running: tuple[str, int]
) -> None:
    execution, _ = running
    damage_definition(service, execution)
    client = service.client()
    assert client.cancel(execution).status_code == 202
    assert client.send("POST", f"/executions/{execution}/abandon").status_code == 204
    assert client.execution(execution)["state"] == "FAILED"


def test_the_count_survives_conductors_that_are_killed(
    service: Service, running: tuple[str, int]
) -> None:
    execution, _ = running
    damage_definition(service, execution)
    for number in range(3):
        await_that(lambda n=number: tries(service, execution) > n, "a look was counted")  # type: ignore[misc]
        service.replaced("conductor", service.kill("conductor"))
    ended(service, execution)


def tries(service: Service, execution: str) -> int:
    with sqlite3.connect(service.data_dir / "slipway.db") as connection:
        found = connection.execute("SELECT tries FROM executions WHERE id = ?", (execution,))
        return int(found.fetchone()[0])
