"""Work without an end: many launches of one user beside another's, and hours of everything."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kit.client import Client
from kit.definitions import script, workflow
from kit.following import SSE, EventStream, descriptors_of, rss_mib
from kit.patience import await_that
from kit.service import Service
from kit.stress import scaled

from app.domain import ExecutionFilter
from app.store.database import Database
from app.store.disk import DiskUsage
from app.store.executions import Executions
from app.store.purging import Purging

pytestmark = pytest.mark.usefixtures("no_faults")

Did = Callable[[str], None]

QUICK = workflow(
    "quick",
    script("one", 'echo "$SLIPWAY_EXECUTION_ID" >> "$RAN"; echo "n=$INPUT_N" >> "$SLIPWAY_OUTPUT"'),
    script("two", "for i in 1 2 3; do echo line $i; done", needs=["one"]),
    inputs={"n": {"type": "integer"}},
    outputs={"n": "${{ steps.one.outputs.n }}"},
)
LONG = workflow("long", script("wait", "echo begun; sleep 600"))
KILLED = workflow("killed", script("dies", "echo begun; kill -9 $$"))
EXECUTION_BYTES = 12 * 1024
"""Room in the database for one execution without its log: rows, indexes, pages half full."""
LOG_FACTOR = 12
"""Room for the log of an execution, as a multiple of its text: short lines are mostly their row."""
IDLE_DESCRIPTORS = 12
"""Of connections that are kept for the next who comes: three for each to the database."""
SPARE_BYTES = 8 * 1024 * 1024
"""For what the database has anyway, and SQLite's log beside it."""


def quick(ran: Path) -> dict[str, object]:
    """Return a workflow whose executions note that they ran."""
    first, second = QUICK["steps"]
    return {**QUICK, "steps": [{**first, "env": {"RAN": str(ran)}}, second]}


def test_a_flood_of_launches_runs_each_once_and_others_get_their_turn(
    service: Service, tmp_path: Path, did: Did
) -> None:
    ran, client, number = tmp_path / "ran", service.client(), scaled(2000, 20)
    client.upload(quick(ran))
    client.upload(workflow("echo", script("say", "echo hello")))
    launched = [client.launch("quick", {"n": n}) for n in range(number)]
    ahead = client.wait(client.launch("echo"), seconds=3000)
    assert ahead["state"] == "SUCCESS"
    for n, execution in enumerate(launched):
        ended = client.wait(execution, seconds=3000)
        assert (ended["state"], ended["outputs"]) == ("SUCCESS", {"n": str(n)})
    assert sorted(ran.read_text(encoding="utf-8").split()) == sorted(launched)
    did(f"{number} launches in a row, each ran once")


def test_a_service_under_work_keeps_nothing_of_it(
    service: Service, tmp_path: Path, did: Did
) -> None:
    """Users launch, follow, cancel, purge and ask, all the time; afterwards nothing of it is left.

    The database has what is kept, and little more.
    """
    ran, seconds = tmp_path / "ran", scaled(600, 4)
    client = service.client()
    client.upload(quick(ran))
    client.upload(LONG)
    client.upload(KILLED)
    users: list[Callable[[Service], int]] = [
        launch_and_follow, launch_and_follow, cancel, see_killed, purge, ask,
    ]  # fmt: skip
    work(service, users, max(2, seconds // 5))  # so that all is loaded, and caches are full
    pids = {role: service.child(role) for role in ("web", "conductor")}
    opened = {role: descriptors_of(pid) for role, pid in pids.items()}
    memory = {role: rss_mib(pid) for role, pid in pids.items()}
    rounds = work(service, users, seconds)
    for role, pid in pids.items():
        assert service.child(role) == pid, "no process had to be replaced"
        await_that(
            lambda role=role, pid=pid: descriptors_of(pid) <= opened[role] + IDLE_DESCRIPTORS,
            f"descriptors of {role}",
        )
    grown = {role: rss_mib(pid) - memory[role] for role, pid in pids.items()}
    assert all(growth < 40 for growth in grown.values()), grown
    states = client.get("/executions", state=["PENDING", "RUNNING", "CANCELLING"])
    assert states["executions"] == []
    assert service.jobs() == []
    kept, most = room(service)
    assert kept <= most
    now = ", ".join(f"{role} {memory[role] + grown[role]:.0f} MiB" for role in pids)
    more = ", ".join(f"{growth:+.1f}" for growth in grown.values())
    did(
        f"{rounds} rounds in {seconds} s; then {now} ({more} MiB); the database takes up "
        f"{kept / 2**20:.0f} MiB, of {most / 2**20:.0f} that what is kept explains"
    )


def room(service: Service) -> tuple[int, int]:
    """Return what the database takes up, and the most that what it keeps can explain."""
    database = Database(f"sqlite:///{service.data_dir / 'slipway.db'}")
    purging = Purging(database, {})
    await_that(lambda: not purging.is_anything_left(), "what was purged is removed")
    usage = DiskUsage(database).measure_database(60)
    newest, _ = Executions(database).find(ExecutionFilter(), 0, 1)
    number = newest[0].number  # with those that were purged, whose tombstones are small
    database.dispose()
    kept = usage["database"].bytes_ - usage["database_free"].bytes_
    return kept, number * EXECUTION_BYTES + LOG_FACTOR * usage["logs"].bytes_ + SPARE_BYTES


def work(service: Service, users: list[Callable[[Service], int]], seconds: float) -> int:
    """Let users work side by side for a while, and return how many rounds they made."""
    end = time.monotonic() + seconds

    def repeat(once: Callable[[Service], int]) -> int:
        rounds = 0
        while time.monotonic() < end:
            rounds += once(service)
        return rounds

    with ThreadPoolExecutor(len(users)) as pool:
        return sum(pool.map(repeat, users))


def launch_and_follow(service: Service) -> int:
    client = service.client()
    number = threading.get_ident() % 1000
    execution = client.launch("quick", {"n": number})
    with EventStream(service.url, f"/executions/{execution}/logs?levels=15") as stream:
        said = [event.data["content"] for event in stream.read() if event.event == "log"]
    assert [line for line in said if line.startswith("line ")] == ["line 1", "line 2", "line 3"]
    assert client.execution(execution)["outputs"] == {"n": str(number)}
    return 1


def cancel(service: Service) -> int:
    client = service.client()
    execution = client.launch("long")
    client.wait(execution, "RUNNING")
    assert client.cancel(execution).status_code == 202
    assert client.wait(execution)["state"] == "CANCELLED"
    return 1


def see_killed(service: Service) -> int:
    client = service.client()
    execution = client.launch("killed")
    assert client.wait(execution)["state"] == "FAILED"
    return 1


def purge(service: Service) -> int:
    client = service.client()
    execution = client.launch("quick", {"n": 1})
    assert client.wait(execution)["state"] == "SUCCESS"
    answer = client.send("DELETE", f"/executions/{execution}", params={"purge": "true"})
    assert answer.status_code == 204
    assert client.send("GET", f"/executions/{execution}/logs").status_code == 410
    return 1


def ask(service: Service) -> int:
    client: Client = service.client()
    for path in ("/health", "/ready", "/workflows", "/executions?page_size=50", "/version"):
        assert client.send("GET", path).ok
    refused = client.send("POST", "/workflows/quick", json={"inputs": {"n": "many"}})
    assert refused.status_code == 422
    assert client.send("GET", "/executions/none/logs", headers={"Accept": SSE}).status_code == 404
    time.sleep(0.05)
    return 1
