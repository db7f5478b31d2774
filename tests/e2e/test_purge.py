"""Purging with real processes: what its owner removes is gone for good, whoever dies meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from kit.client import Client
from kit.definitions import script, workflow
from kit.following import EventStream
from kit.patience import await_that
from kit.service import Service, run_slipway

LINES = 5000
TALE = workflow("tale", script("tell", f"seq {LINES}; mkdir -p deep/er; touch deep/er/file"))
SHORT = workflow("short", script("say", "echo said; echo more > file"))
LONG = workflow("long", script("wait", "echo begun; sleep 600"))
OF_EXECUTIONS = ("tasks", "log_entries", "log_checkpoints")


def rows(service: Service, table: str, condition: str = "1 = 1") -> int:
    database = f"file:{service.data_dir / 'slipway.db'}?mode=ro"
    with closing(sqlite3.connect(database, uri=True)) as connection:
        statement = f"SELECT count(*) FROM {table} WHERE {condition}"
        return int(connection.execute(statement).fetchone()[0])


def purge(client: Client, execution: str) -> int:
    return client.send("DELETE", f"/executions/{execution}", params={"purge": "true"}).status_code


def folders(service: Service) -> set[str]:
    return {path.name for path in (service.data_dir / "executions").iterdir()} - {"workflows"}


def test_what_is_purged_leaves_nothing_but_its_tombstone(start: Callable[..., Service]) -> None:
    service = start()
    client = service.client()
    for definition in (LONG, SHORT):
        client.upload(definition)
    gone, kept = client.launch("short"), client.launch("short")
    for execution in (gone, kept):
        client.wait(execution, "SUCCESS")
    open_one = client.launch("long")
    with EventStream(service.url, "/executions/events") as events:
        events.until(lambda event: event.event == "status")
        assert purge(client, gone) == 204
        assert purge(client, gone) == 410
        told = events.until(lambda event: event.event == "purged")[-1]
    assert told.data["id"] == gone
    for path in ("", "/logs", "/tasks"):
        answer = client.send("GET", f"/executions/{gone}{path}")
        assert (answer.status_code, answer.json()["code"]) == (410, "purged")
    await_that(lambda: folders(service) == {kept, open_one}, "the folder is removed")
    await_that(lambda: rows(service, "removals") == 0, "nothing is left to be removed")
    assert client.lines(kept, "say") == ["said"]


def test_a_conductor_that_is_killed_in_the_middle_leaves_nothing_behind(
    start: Callable[..., Service],
) -> None:
    service = start()
    client = service.client()
    for definition in (TALE, SHORT):
        client.upload(definition)
    long = [client.launch("tale") for _ in range(2)]
    short = [client.launch("short") for _ in range(10)]
    kept = client.launch("tale")
    for execution in (*long, *short, kept):
        client.wait(execution, "SUCCESS")
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda e: purge(service.client(), e), (*long, *short))) == {204}
    begun = rows(service, "log_entries")
    await_that(lambda: rows(service, "log_entries") < begun, "the conductor is at it")
    service.replaced("conductor", service.kill("conductor"))
    await_that(lambda: rows(service, "removals") == 0, "nothing is left to be removed")
    assert folders(service) == {kept}
    number = f"(SELECT number FROM executions WHERE id = '{kept}')"
    for table in OF_EXECUTIONS:
        assert rows(service, table, f"execution <> {number}") == 0, table
    assert client.lines(kept, "tell") == [str(n) for n in range(1, LINES + 1)]
    assert {client.send("GET", f"/executions/{e}").status_code for e in long + short} == {410}


def test_the_shell_purges_beside_the_running_service(start: Callable[..., Service]) -> None:
    service = start()
    client = service.client()
    client.upload(SHORT)
    ended = [client.launch("short") for _ in range(3)]
    for execution in ended:
        client.wait(execution, "SUCCESS")
    purge_all = ("purge", "--data-dir", service.data_dir, "--older-than", "0s")
    assert "3 executions" in run_slipway(*purge_all, "--dry-run").stdout
    assert {client.execution(each)["state"] for each in ended} == {"SUCCESS"}
    assert "3 executions" in run_slipway(*purge_all).stdout
    assert {client.send("GET", f"/executions/{each}").status_code for each in ended} == {410}
    await_that(lambda: not folders(service), "the folders are removed")


def test_what_is_too_old_goes_by_itself_and_the_rest_goes_on(start: Callable[..., Service]) -> None:
    service = start(RETENTION__EXECUTIONS="1s")
    client = service.client()
    client.upload(SHORT)
    client.upload(LONG)
    running, ended = client.launch("long"), client.launch("short")
    client.wait(running, "RUNNING")
    await_that(
        lambda: client.send("GET", f"/executions/{ended}").status_code == 410, "it is purged"
    )
    await_that(lambda: folders(service) == {running}, "its folder is removed")
    assert client.execution(running)["state"] == "RUNNING"
