"""A web process that is spoken to within the process of the tests, and its store."""

from __future__ import annotations

import base64
import functools
import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from kit.in_process import end
from kit.thrift import cheap_hasher, make_tables

from app.assembly import read_settings
from app.domain import (
    Credential,
    DrivenExecution,
    Execution,
    Identity,
    Observation,
    Role,
)
from app.factory import Web, create_web
from app.resources import _operations
from app.services.bundle import Services
from app.settings import Settings
from app.store.driving import DrivenExecutions
from app.store.executions import Executions
from app.store.launches import Intent, Launches
from app.store.slaves import NewSlave, Slaves
from app.store.steering import SteeredExecutions

CONDUCTOR = "conductor-of-the-test"

PASSWORDS = {"ada": "ada's pass", "bob": "bob:with:colons", "dev": "dev", "ops": "ops", "root": "r"}
ROLES = {
    "ada": ["user"],
    "bob": ["user"],
    "dev": ["user", "developer"],
    "ops": ["operator"],
    "root": ["admin"],
}

_operations.WAIT_SECONDS = 0.0
"""There is no conductor beside these services that could carry anything out."""


@dataclass
class Service:
    """A web process and its store."""

    web: Web
    settings: Settings
    store: Executions = field(init=False)
    launches: Launches = field(init=False)
    steered: SteeredExecutions = field(init=False)
    driving: DrivenExecutions = field(init=False)

    def __post_init__(self) -> None:
        self.store = Executions(self.web.database)
        self.launches = Launches(self.web.database)
        self.steered = SteeredExecutions(self.web.database)
        self.driving = DrivenExecutions(self.web.database)

    @property
    def services(self) -> Services:
        return self.web.app.extensions["slipway"]

    @property
    def client(self) -> FlaskClient:
        """A client of its own for each use, so that threads share none."""
        return self.web.app.test_client()

    def orchestrator(self, name: str) -> Any:
        return self.services.steering._orchestrators[name]

    def add_execution(
        self, owner: str = "anonymous", *, accepted: bool = True, **more: Any
    ) -> Execution:
        """Write down an execution that nobody runs, as a launch would leave it.

        Args:
            owner: Who launched it.
            accepted: Whether its orchestrator accepted it.
            more: Other fields of the intent.
        """
        values: dict[str, Any] = {
            "execution_id": str(uuid.uuid4()),
            "orchestrator": self.settings.orchestrators[0].name,
            "workflow_id": "flow",
            "workflow_name": "Flow",
            "inputs": {},
            "steps": ["first", "second"],
        }
        execution, _ = self.launches.create(Intent(owner=owner, **{**values, **more}))
        if accepted:
            self.launches.launched(execution, {"definition": "none"})
        return self.store.get(execution.id)

    def record(self, execution: Execution, seen: Observation) -> DrivenExecution:
        """Store an observation, as the conductor that holds the execution."""
        self.driving.claim(CONDUCTOR, "node", 3600.0, [], 1000)
        return self.driving.record(self.driving.get(execution.id), CONDUCTOR, seen)

    def add_slave(self, name: str = "slave-1", max_vus: int = 100) -> str:
        """Write down a machine that runs virtual users, as if it had joined; return its id."""
        slave = NewSlave(
            id=name, type="worker", address="host", capabilities=["http_executor"], labels={},
            cpu_cores=1, memory_mb=1, max_vus=max_vus, incarnation=name, connection=name,
        )  # fmt: skip
        Slaves(self.web.database).register(slave, 5.0)
        return name

    def close(self) -> None:
        """Wake who waits, and let go of the store."""
        end(self.web)


def settings_in(folder: Path, environ: dict[str, str] | None = None, **overrides: Any) -> Settings:
    """Make settings whose data lie in a folder, from leaves such as ``logs__max_page``."""
    # A copy: reading takes the options of each way to sign in out of what it is given.
    dotted = {name.replace("__", "."): deepcopy(value) for name, value in overrides.items()}
    return read_settings(None, {"data_dir": str(folder), **dotted}, environ or {})


def open_service(
    folder: Path, fake: str | None = None, *, start: bool = True, **overrides: Any
) -> Service:
    """Make a service in a folder.

    Args:
        folder: Its data folder.
        fake: ``Refusing`` puts that one of ``fakes.orchestrators`` behind.
        start: Follow the store, so that readers are woken.
        overrides: Settings.
    """
    if fake is not None:
        type_ = f"fakes.orchestrators:{fake}Orchestrator"
        overrides["orchestrators"] = [{"name": "remote", "type": type_}]
    settings = settings_in(folder, **overrides)
    if settings.database_url.startswith("sqlite"):
        make_tables(settings.database_url)
    settings.workflows_dir.mkdir(parents=True, exist_ok=True)
    web = create_web(settings)
    if start:
        web.changes.start()
    return Service(web, settings)


def users() -> dict[str, Any]:
    """Return the settings of basic authentication for ``PASSWORDS`` and ``ROLES``."""
    known = [
        {"username": name, "password_hash": _hash_of(name), "roles": roles}
        for name, roles in ROLES.items()
    ]
    return {"type": "basic", "users": known}


@functools.cache
def _hash_of(username: str) -> str:
    return cheap_hasher().hash(PASSWORDS[username])


def signed_in(username: str) -> Identity:
    """Return who somebody is who signed in with their password; see :func:`users`."""
    epoch = f"0-{hashlib.sha256(_hash_of(username).encode()).hexdigest()[:16]}"
    credential = Credential("basic", f"{username}:{epoch}")
    return Identity(username, frozenset(map(Role, ROLES[username])), credential=credential)


@contextmanager
def gone(service: Service, username: str) -> Iterator[None]:
    """Let a user of basic authentication be none for a while."""
    users = service.services.authenticators._authenticators["basic"]._users
    user = users._configured.pop(username)
    users._reads._remembered.clear()
    try:
        yield
    finally:
        users._configured[username] = user
        users._reads._remembered.clear()


def basic(username: str, password: str) -> dict[str, str]:
    """Return the header of HTTP Basic (RFC 7617)."""
    token = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}
