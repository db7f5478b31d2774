"""Processes that live but do nothing, and settings that became wrong, while the service runs."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit.definitions import script, workflow
from kit.fixtures import SETTINGS
from kit.following import EventStream, Relay, is_stuck
from kit.patience import await_that
from kit.service import Service, is_alive

from app.cores import usable_cores

SILENCE = {"SLIPWAY_WEB__SILENCE_TIMEOUT": "2s", "SLIPWAY_CONDUCTOR__SILENCE_TIMEOUT": "2s"}


@pytest.fixture(scope="module")
def impatient_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of two web processes that bears with no silence."""
    env = {**SETTINGS, **SILENCE, "SLIPWAY_WEB__PROCESSES": "2"}
    made = Service(tmp_path_factory.mktemp("impatient"), env=env)
    yield made
    made.end()


@pytest.fixture
def impatient(impatient_service: Service) -> Service:
    """That service, with all of its processes and nothing to do."""
    impatient_service.heal()
    await_that(lambda: len(impatient_service.children("web")) == 2, "both web processes")
    return impatient_service


def test_a_stopped_web_process_is_replaced(impatient: Service) -> None:
    service = impatient
    stopped, other = service.children("web")
    os.kill(stopped, signal.SIGSTOP)
    await_that(lambda: not is_alive(stopped), "the stopped one is killed")
    await_that(lambda: len(service.children("web")) == 2, "another is there")
    assert other in service.children("web")
    assert all(service.client().send("GET", "/health").ok for _ in range(40))
    assert "process gives no sign of life" in service.log


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP], ids=lambda sign: sign.name)
def test_a_template_that_is_gone_or_stands_still_delays_only_its_forks(
    impatient: Service, sign: signal.Signals
) -> None:
    service = impatient
    killed, other = service.children("web")
    conductor = service.child("conductor")
    os.kill(killed, signal.SIGKILL)
    harmed = service.child("template")
    os.kill(harmed, sign)
    assert service.client().send("GET", "/health").ok
    await_that(lambda: not is_alive(harmed), "the template is gone")
    await_that(lambda: len(service.children("web")) == 2, "another web process is there")
    assert other in service.children("web")
    assert killed not in service.children("web")
    assert service.child("conductor") == conductor
    assert all(service.client().send("GET", "/health").ok for _ in range(20))


@pytest.mark.cold
def test_as_it_comes_there_is_a_web_process_for_each_usable_core(
    new_service: Callable[..., Service],
) -> None:
    service = new_service(env={"SLIPWAY_WEB__PROCESSES": None}).start()
    expected = min(4, usable_cores())
    await_that(lambda: len(service.children("web")) == expected, "all web processes")
    assert all(service.client().send("GET", "/health").ok for _ in range(20))


def test_a_stopped_conductor_is_replaced_and_its_work_goes_on(impatient: Service) -> None:
    service = impatient
    client = service.client()
    execution = client.run(workflow("w", script("a", "until [ -e go ]; do sleep 0.02; done")))
    client.wait(execution, "RUNNING")
    stopped = service.child("conductor")
    os.kill(stopped, signal.SIGSTOP)
    (service.work(execution) / "go").touch()
    assert client.wait(execution)["status"] == "SUCCESS"
    assert not is_alive(stopped)


def test_a_stopped_writer_leaves_launches_with_an_answer(service: Service) -> None:
    client = service.client()
    client.run(workflow("w", script("a", "true")))
    writer = sqlite3.connect(service.data_dir / "slipway.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        refused = client.send("POST", "/workflows/w")
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert client.send("GET", "/workflows").ok
    finally:
        writer.execute("ROLLBACK")
    assert client.send("POST", "/workflows/w").status_code == 201


def test_stuck_children_do_not_outlive_their_supervisor(impatient: Service) -> None:
    service = impatient
    client = service.client()
    execution = client.run(workflow("w", script("a", "sleep 600")))
    client.wait(execution, "RUNNING")
    children = service.children()
    assert len(children) >= 3
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    service.kill("supervisor")
    await_that(lambda: not any(map(is_alive, children)), "the children are gone")
    assert len(service.jobs()) == 1, "commands go on"


@pytest.mark.cold
def test_settings_that_became_wrong_leave_the_healthy_processes_alone(
    new_service: Callable[..., Service], tmp_path: Path
) -> None:
    config = tmp_path / "slipway.yaml"
    good = f"data_dir: {tmp_path / 'data'}\n"
    config.write_text(good)
    more = {"SLIPWAY_WEB__PROCESSES": "2"}
    service = new_service(arguments=["--config", config], env=more).start()
    first, second = service.children("web")
    conductor = service.child("conductor")
    config.write_text(good + "wob: 1\n")
    os.kill(first, signal.SIGTERM)
    await_that(
        lambda: service.log.count("cannot start as the settings are now") >= 2, "it is tried again"
    )
    assert "wob: is not a setting" in service.log
    assert second in service.children("web")
    assert service.children("conductor") == [conductor]
    for _ in range(40):  # on a connection each, and none waits for the one that is missing
        assert service.client().send("GET", "/health").ok
    config.write_text(good)
    await_that(lambda: service.log.count("web process started") == 3, "it is there again")
    assert all(service.client().send("GET", "/health").ok for _ in range(20))


def test_readers_have_the_time_of_the_settings_when_the_service_stops(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    service = start(WEB__SHUTDOWN_TIMEOUT="50s")
    client = service.client()
    relay = Relay(client, tmp_path)
    relay.write(40_000, "z" * 150)
    await_that(lambda: client.page(relay.id, size=0)["total_results"] > 40_000, "all is stored")
    slow = EventStream(service.url, f"{relay.path}/logs?levels=15", receive_bytes=4096)
    await_that(lambda: is_stuck(slow.socket), "the rest does not get through")
    service.send(signal.SIGTERM)
    time.sleep(6)  # longer than it would take by default
    assert [event.event for event in slow.read()][-1] == "moved"
    assert service.join() == 0
    assert "cut off" not in service.log
    assert "had to be killed" not in service.log
