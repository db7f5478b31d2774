"""Alien4Cloud is away for long, under executions that are followed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes.alien4cloud import Alien4Cloud, script
from kit.gateway import Gateway, alien4cloud, assert_each_once, simple_place
from kit.patience import PATIENCE_SECONDS, await_that
from kit.stress import scaled

EXECUTIONS = 20
HOUR = 3600.0
LINES = [f"line {index}" for index in range(60)]


@pytest.fixture
def server() -> Iterator[Alien4Cloud]:
    with Alien4Cloud(start_delay=0.05) as server:
        yield server


@pytest.fixture
def gateway(server: Alien4Cloud, tmp_path: Path) -> Iterator[Gateway]:
    settings = {"conductor": {"stale_after": "1s"}, "load": {"enabled": False}}
    with Gateway(tmp_path, [alien4cloud(server)], settings) as gateway:
        yield gateway


def test_an_outage_under_followed_executions_loses_no_status_and_no_line(
    gateway: Gateway, server: Alien4Cloud, did: Callable[[str], None]
) -> None:
    """They take an hour of Alien4Cloud's own time, and end while it is away."""
    seconds = scaled(120, 5)
    id_ = simple_place(server, script.simple(HOUR, LINES)).workflow_id("job")
    executions = [gateway.ada.launch(id_) for _ in range(EXECUTIONS)]
    with ThreadPoolExecutor(EXECUTIONS) as pool:
        patience = seconds + PATIENCE_SECONDS
        logs = [
            pool.submit(gateway.ada.follow, execution, wait="2s", seconds=patience)
            for execution in executions
        ]
        for execution in executions:
            gateway.ada.until(execution, "RUNNING")
        server.advance(HOUR / 2)
        for execution in executions:
            gateway.ada.watch(
                execution, lambda _, e=execution: gateway.ada.page(e)["total_results"] > 20
            )
        server.down()
        down_at = time.monotonic()
        server.advance(HOUR)
        for execution in executions:
            seen = gateway.ada.watch(execution, lambda view: view["stale"])
            assert seen["status"] == "RUNNING"
        assert_it_is_told(gateway, id_, executions[0])
        time.sleep(max(0.0, down_at + seconds - time.monotonic()))
        server.up()
        for execution in executions:
            gateway.ada.watch(execution, lambda view: not view["stale"])
    for execution, log in zip(executions, logs, strict=True):
        assert_each_once(log.result(), LINES)
        view = gateway.ada.execution(execution)
        assert (view["status"], view["stale"]) == ("SUCCESS", False)
    await_that(lambda: gateway.ada.get("/ready").status_code == 200, "it is ready again")
    did(f"{seconds} s without Alien4Cloud under {EXECUTIONS} executions, {len(LINES)} lines each")


def assert_it_is_told(gateway: Gateway, workflow: str, execution: str) -> None:
    """Everybody is told that Alien4Cloud is away, and nobody gets an end of the log."""
    total = gateway.ada.page(execution)["total_results"]
    page = gateway.ada.page(execution, f"from={total}&timeout=1s&levels=15")
    assert (page["logs"], page["complete"]) == ([], False)
    assert gateway.ada.workflows()[workflow]["stale"] is True
    ready = gateway.ada.get("/ready")
    problems = {c["name"]: c["problem"] for c in ready.json()["checks"] if not c["ok"]}
    assert (ready.status_code, list(problems)) == (503, ["orchestrator:hpc"])
    assert "hpc" in problems["orchestrator:hpc"]
