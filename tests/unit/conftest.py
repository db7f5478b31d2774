"""What the unit tests share: settings in a folder of their own, a web process, a conductor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from service_kit import PASSWORDS, Service, basic, open_service, settings_in, users

from app.assembly import create_conductor
from app.domain import DesiredState, ExecutionFilter
from app.settings import Settings

ServiceMaker = Callable[..., Service]


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Make settings whose data lie in the test's folder; see ``service_kit.settings_in``."""
    return partial(settings_in, tmp_path / "data")


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[ServiceMaker]:
    """Make web processes in the test's folder; see ``service_kit.open_service``."""
    made: list[Service] = []

    def make(**options: Any) -> Service:
        made.append(open_service(tmp_path / "data", **options))
        return made[-1]

    yield make
    for service in made:
        service.close()


@pytest.fixture
def service(make_service: ServiceMaker) -> Service:
    """A web process with the embedded engine, without authentication."""
    return make_service()


@pytest.fixture
def client(service: Service) -> FlaskClient:
    return service.client


@pytest.fixture
def guarded(make_service: ServiceMaker) -> Service:
    """A web process with basic authentication; see ``service_kit.PASSWORDS`` and ``ROLES``."""
    return make_service(api__auth=users())


@pytest.fixture
def as_user() -> Callable[[str], dict[str, str]]:
    """Return the headers with which one of the users calls."""
    return lambda name: basic(name, PASSWORDS[name])


@pytest.fixture
def write_workflow(settings: Settings) -> Callable[[str], None]:
    """Put a definition into the folder of the engine."""

    def write(text: str, name: str = "flow.yaml") -> None:
        settings.workflows_dir.mkdir(parents=True, exist_ok=True)
        (settings.workflows_dir / name).write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def conducted(service: Service) -> Iterator[Service]:
    """A service whose conductor runs beside the test, with the real engine and launcher.

    What still runs at the end of the test is cancelled.
    """
    conductor = create_conductor(service.settings)
    thread = threading.Thread(target=conductor.run)
    thread.start()
    try:
        yield service
        _cancel_all(service)
    finally:
        conductor.stop()
        thread.join(30)
    assert not thread.is_alive()


def _cancel_all(service: Service) -> None:
    for execution in service.store.find(ExecutionFilter())[0]:
        if not execution.status.final:
            service.steered.desire(execution, DesiredState.CANCEL)
            ended = service.client.get(f"/executions/{execution.id}?wait=60s").json
            assert ended["status"] in ("SUCCESS", "FAILED", "CANCELLED")
