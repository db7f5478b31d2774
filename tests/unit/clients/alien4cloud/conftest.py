"""An emulator and an adapter that share a clock, so that time costs no time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes.alien4cloud import Alien4Cloud
from fakes.alien4cloud.driver import Driver, ManualClock, make_execution, make_launch
from fakes.alien4cloud.refreshing import ended_refreshers

from app.clients.alien4cloud import Alien4CloudOptions, Alien4CloudOrchestrator
from app.settings.schema import load_section


@pytest.fixture(autouse=True)
def refreshers() -> Iterator[None]:
    with ended_refreshers():
        yield


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Iterator[Alien4Cloud]:
    with Alien4Cloud(clock=clock, start_delay=0.5) as server:
        yield server


@pytest.fixture
def make_options(server: Alien4Cloud) -> Callable[..., Alien4CloudOptions]:
    """Make options; the budget is wide, so that tests need not wait for their turn."""

    def make(**more: Any) -> Alien4CloudOptions:
        poll = {"min": "100ms", "max": "2s", "budget_per_second": 10_000, **more.pop("poll", {})}
        values = {"url": server.url, "user": "admin", "password": "secret", "poll": poll, **more}
        options, faults = load_section(Alien4CloudOptions, values, "")
        assert options is not None, faults
        return options

    return make


@pytest.fixture
def make_orchestrator(
    make_options: Callable[..., Alien4CloudOptions], clock: ManualClock
) -> Callable[..., Alien4CloudOrchestrator]:
    def make(**more: Any) -> Alien4CloudOrchestrator:
        return Alien4CloudOrchestrator("hpc", make_options(**more), clock=clock)

    return make


@pytest.fixture
def orchestrator(make_orchestrator: Callable[..., Any]) -> Alien4CloudOrchestrator:
    return make_orchestrator(timeout="20s", cache_ttl="0s", grace="10s", launch_limit="0s")


@pytest.fixture
def environment(server: Alien4Cloud) -> Any:
    """A deployed environment whose application exposes ``exec_job``."""
    application = server.application("covid", tags={"hpcwaas-workflows": "exec_job"})
    return application.environment("prod").workflow("exec_job")


@pytest.fixture
def drive(orchestrator: Alien4CloudOrchestrator, clock: ManualClock) -> Callable[..., Driver]:
    """Launch a workflow, and return its driver."""

    def launch(workflow_id: str, inputs: dict[str, Any] | None = None) -> Driver:
        wanted = make_launch(workflow_id, inputs, clock=clock)
        execution = make_execution(wanted, orchestrator.trigger(wanted))
        return Driver(orchestrator, execution, clock, clock.advance)

    return launch
