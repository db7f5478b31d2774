"""The slave that ``slipway serve`` brings along."""

from __future__ import annotations

import os
import signal

import pytest
from fakes.load_target import Answer, LoadTarget
from kit.engine_v1 import EngineClient, get_step, load
from kit.patience import await_that
from kit.service import Service, children_of


@pytest.fixture
def target():
    with LoadTarget(heads=False) as target:
        target.answer("/work", Answer(delay=0.02))
        yield target


def slave_of(service: Service) -> list[int]:
    return [
        pid for pid in children_of(service.pid)
        if b"app.cli.local_slave" in open(f"/proc/{pid}/cmdline", "rb").read()  # noqa: PTH123
    ]  # fmt: skip


def done(engine: EngineClient, execution: str) -> int:
    return int(engine.metrics(execution)["total_iterations"])


def goes_on(engine: EngineClient, execution: str) -> None:
    before = done(engine, execution)
    await_that(lambda: done(engine, execution) > before, "further iterations")


def test_it_starts_with_the_first_work_and_survives_whatever_is_killed(new_service, target):
    service = new_service().start()
    engine = EngineClient(service.url)
    assert slave_of(service) == []
    assert engine.slaves() == []
    execution = engine.submit(load(get_step(f"{target.url}/work"), vus=3, duration="10m"))
    await_that(lambda: engine.slaves("online", "busy") == ["local"], "it is there")
    goes_on(engine, execution)
    for role in ("conductor", "web"):
        service.kill(role)
        await_that(lambda: engine.send("GET", "/slaves").ok, "the service is back")
        goes_on(engine, execution)
    (first,) = slave_of(service)
    os.kill(first, signal.SIGKILL)
    await_that(lambda: slave_of(service) not in ([], [first]), "it is started again")
    goes_on(engine, execution)
    service.kill_all()
    service.start()
    engine = EngineClient(service.url)
    goes_on(engine, execution)
    engine.stop(execution)
    engine.until(execution, "aborted")
    service.stop()


def test_where_it_is_switched_off_nothing_is_launched_without_others(new_service, target):
    service = new_service(env={"SLIPWAY_LOAD__LOCAL_SLAVE": "off"}).start()
    engine = EngineClient(service.url)
    workflow = load(get_step(f"{target.url}/work"), vus=1, iterations=1)
    answer = engine.send("POST", "/workflows", json={"workflow": workflow})
    assert (answer.status_code, answer.json()["error"]) == (500, "submission_failed")
