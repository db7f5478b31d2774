"""What the unit tests share: settings in a folder of their own, a web process, a conductor."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask.testing import FlaskClient

from app.domain import DesiredState, Execution, ExecutionFilter, Observation
from app.factory import Web, create_conductor, create_web, read_settings
from app.services.bundle import Services
from app.settings import Settings
from app.store import migrate
from app.store.database import Database
from app.store.executions import Executions, Intent

CONDUCTOR = "conductor-of-the-test"

# Cheap hashes: what is tested here is not argon2.
_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

PASSWORDS = {"ada": "ada's pass", "bob": "bob:with:colons", "dev": "dev", "ops": "ops", "root": "r"}
ROLES = {
    "ada": ["user"],
    "bob": ["user"],
    "dev": ["user", "developer"],
    "ops": ["operator"],
    "root": ["admin"],
}


@dataclass
class Service:
    """A web process, spoken to in this process, and its store."""

    web: Web
    settings: Settings
    store: Executions = field(init=False)

    def __post_init__(self) -> None:
        self.store = Executions(self.web.database)

    @property
    def services(self) -> Services:
        return self.web.app.extensions["slipway"]

    @property
    def client(self) -> FlaskClient:
        """A client of its own for each use, so that threads share none."""
        return self.web.app.test_client()

    def orchestrator(self, name: str) -> Any:
        return self.services.executions._orchestrators[name]

    def add_execution(
        self, owner: str = "anonymous", *, accepted: bool = True, **more: Any
    ) -> Execution:
        """Write down an execution that nobody runs, as a launch would leave it.

        Args:
            owner: Who launched it.
            accepted: Whether its orchestrator accepted it.
            more: Other fields of the intent.
        """
        number = self.store.find(ExecutionFilter())[1]
        values: dict[str, Any] = {
            "execution_id": f"00000000-0000-4000-8000-{number:012d}",
            "orchestrator": self.settings.orchestrators[0].name,
            "workflow_id": "flow",
            "workflow_name": "Flow",
            "inputs": {},
            "steps": ["first", "second"],
        }
        execution, _ = self.store.create(Intent(owner=owner, **{**values, **more}))
        if accepted:
            self.store.launched(execution, {"definition": "none"})
        return self.store.get(execution.id)

    def record(self, execution: Execution, seen: Observation) -> Execution:
        """Store an observation, as the conductor that holds the execution."""
        self.store.claim(CONDUCTOR, "node", 3600.0, [], 1000)
        return self.store.record(execution, CONDUCTOR, seen)


ServiceMaker = Callable[..., Service]


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Make settings whose data lie in the test's folder, from leaves by dotted path."""

    def make(environ: dict[str, str] | None = None, **overrides: Any) -> Settings:
        dotted = {name.replace("__", "."): value for name, value in overrides.items()}
        return read_settings(None, {"data_dir": str(tmp_path / "data"), **dotted}, environ or {})

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def make_service(make_settings: Callable[..., Settings]) -> Iterator[ServiceMaker]:
    """Make web processes; ``fake="Refusing"`` puts one of ``fakes.orchestrators`` behind it."""
    made: list[Web] = []

    def make(*, fake: str | None = None, start: bool = True, **overrides: Any) -> Service:
        if fake is not None:
            type_ = f"fakes.orchestrators:{fake}Orchestrator"
            overrides["orchestrators"] = [{"name": "remote", "type": type_}]
        settings = make_settings(**overrides)
        migrate.upgrade(Database(settings.database_url))
        settings.workflows_dir.mkdir(parents=True, exist_ok=True)
        web = create_web(settings)
        made.append(web)
        if start:
            web.changes.start()
        return Service(web, settings)

    yield make
    for web in made:
        web.changes.close()
        web.database.dispose()


@pytest.fixture
def service(make_service: ServiceMaker) -> Service:
    """A web process with the embedded engine, without authentication."""
    return make_service()


@pytest.fixture
def client(service: Service) -> FlaskClient:
    return service.client


@pytest.fixture
def guarded(make_service: ServiceMaker) -> Service:
    """A web process with basic authentication; see ``PASSWORDS`` and ``ROLES``."""
    users = [
        {"username": name, "password_hash": _HASHER.hash(PASSWORDS[name]), "roles": roles}
        for name, roles in ROLES.items()
    ]
    return make_service(api__auth={"type": "basic", "users": users})


def basic(username: str, password: str) -> dict[str, str]:
    """Give the header of HTTP Basic (RFC 7617)."""
    token = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


@pytest.fixture
def as_user() -> Callable[[str], dict[str, str]]:
    """Give the headers with which one of the users calls."""
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
            service.store.desire(execution, DesiredState.CANCEL)
            client = service.client
            assert client.get(f"/executions/{execution.id}?wait=60s").json["status"] != "RUNNING"
