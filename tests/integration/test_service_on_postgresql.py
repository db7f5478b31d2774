"""The real service over a real PostgreSQL: two kinds of processes that hear of each other by it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest
from kit.definitions import script, workflow
from kit.fencing import LEASE, assert_a_stopped_driver_begins_nothing
from kit.patience import await_that, join
from kit.servers.postgresql import PostgresqlServer
from kit.service import Service
from kit.trees import Tree

GO_ON = "until [ -e go ]; do sleep 0.05; done; echo second"


@pytest.fixture(scope="module")
def service_over_postgresql(
    tmp_path_factory: pytest.TempPathFactory, postgresql_server: PostgresqlServer
) -> Iterator[Service]:
    with postgresql_server.database() as url:
        service = Service(
            tmp_path_factory.mktemp("over"),
            env={"SLIPWAY_DATABASE__URL": url, "SLIPWAY_ENGINE__KILL_GRACE": "0.3s"},
        )
        yield service
        service.end()


@pytest.fixture
def over_postgresql(service_over_postgresql: Service) -> Service:
    """A service over PostgreSQL with nothing to do."""
    service_over_postgresql.heal()
    return service_over_postgresql


def test_a_line_wakes_who_waits_for_it_and_a_wish_the_conductor(over_postgresql: Service) -> None:
    service, client = over_postgresql, over_postgresql.client()
    execution = client.run(workflow("flow", script("only", f"echo first; {GO_ON}")))
    await_that(lambda: "first" in said(service, execution), "the first line")
    start = client.page(execution)["total_results"]
    pages = []
    reader = threading.Thread(
        target=lambda: pages.append(service.client().page(execution, start, timeout="10m"))
    )
    reader.start()
    reader.join(0.5)
    assert reader.is_alive()
    (service.work(execution) / "go").touch()
    join(reader)  # ten minutes unless it was woken
    assert [entry["content"] for entry in pages[0]["logs"]][:1] == ["second"]
    assert client.wait(execution)["status"] == "SUCCESS"
    endless = client.run(workflow("endless", script("only", "sleep 1000")))
    client.wait(endless, "RUNNING")
    assert client.cancel(endless).status_code == 202
    assert client.wait(endless)["status"] == "CANCELLED"


def test_restarts_at_once_and_a_conductor_that_is_killed_are_each_run_once(
    over_postgresql: Service, tmp_path: Path
) -> None:
    service = over_postgresql
    running = Tree(service.client(), tmp_path)
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: running.post("restart", client=service.client()), range(8))
        )
    old = service.kill("conductor")
    assert set(answers) <= {202, 409}
    accepted = answers.count(202)
    service.replaced("conductor", old)
    running.await_runs(1 + accepted)
    running.post("stop")
    running.client.wait(running.id)
    assert running.is_free()
    created = [
        running.client.send("POST", f"/executions/{running.id}/retry").status_code for _ in range(2)
    ]
    assert created == [201, 409]
    (running.folder / "gate").touch()
    listed = running.client.get("/executions", continues=running.id)["executions"]
    assert running.client.wait(listed[0]["id"])["state"] == "SUCCESS"
    assert len(running.began) == 2 + accepted
    running.assert_never_twice()


def test_waiting_for_notifications_holds_up_no_request(over_postgresql: Service) -> None:
    """The driver must give way to gevent while it listens, else one wait would stop them all."""
    client = over_postgresql.client()
    client.get("/health")
    # The feed waits a second at a time; one request in a few may meet it, and none must.
    took = []
    for _ in range(100):
        began = time.monotonic()
        client.get("/health")
        took.append(time.monotonic() - began)
    assert median(took) < 0.5, "each waits for the feed"


def test_a_conductor_that_is_killed_loses_no_line_and_runs_nothing_twice(
    over_postgresql: Service,
) -> None:
    service, client = over_postgresql, over_postgresql.client()
    count = "echo $SLIPWAY_TASK >> ran; for i in $(seq 60); do echo line $i; sleep 0.02; done"
    execution = client.run(
        workflow("count", script("one", count), script("two", count, needs=["one"]))
    )
    for _ in range(2):
        client.wait(execution, "RUNNING")
        time.sleep(0.3)
        service.replaced("conductor", service.kill("conductor"))
    assert client.wait(execution)["status"] == "SUCCESS"
    for task in ("one", "two"):
        assert client.lines(execution, task) == [f"line {i}" for i in range(1, 61)]
    ran = service.work(execution) / "ran"
    assert ran.read_text().split() == ["one", "two"]


def test_machines_that_share_no_folder_offer_the_same_uploads(
    tmp_path: Path, postgresql_database: str
) -> None:
    env = {"SLIPWAY_DATABASE__URL": postgresql_database}
    services = [Service(tmp_path / name, env=env) for name in ("one", "two")]
    try:
        one, two = (service.start().client() for service in services)
        one.upload(workflow("shared", script("first", "true")))
        assert two.get("/workflows")["workflows"] == one.get("/workflows")["workflows"]
        assert two.wait(two.launch("shared"))["status"] == "SUCCESS"
        two.upload(workflow("shared", script("second", "true")))
        assert [step["name"] for step in one.get("/workflows/shared")["steps"]] == ["second"]
        assert one.wait(one.launch("shared"))["status"] == "SUCCESS"
        assert one.send("DELETE", "/workflows/shared").status_code == 204
        assert two.send("POST", "/workflows/shared").status_code == 404
        assert [list(service.workflows_dir.iterdir()) for service in services] == [[], []]
    finally:
        for service in services:
            service.end()


def test_a_driver_that_stood_still_begins_nothing_that_was_cancelled(
    tmp_path: Path, postgresql_database: str
) -> None:
    env = {"SLIPWAY_DATABASE__URL": postgresql_database, "SLIPWAY_CONDUCTOR__LEASE": LEASE}
    data = ["--data-dir", tmp_path / "data"]
    services = [Service(tmp_path / name, env=env, arguments=data) for name in ("one", "two")]
    try:
        first, second = (service.start() for service in services)
        assert_a_stopped_driver_begins_nothing(first, second, tmp_path / "began")
    finally:
        for service in services:
            service.end()


def said(service: Service, execution: str) -> list[str]:
    """What the execution has written so far."""
    return [entry["content"] for entry in service.client().page(execution)["logs"]]
