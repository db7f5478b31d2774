"""Fixtures of real services and servers, which there are once for all folders of the tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.load_target import LoadTarget
from kit.client import Client
from kit.following import Relay
from kit.servers.postgresql import PostgresqlServer
from kit.servers.slurm import SlurmCluster
from kit.servers.slurm_conf import SlurmOptions
from kit.service import Service
from kit.thrift import make_tables

from app.store.database import Database

EXAMPLES = Path(__file__).parents[2] / "app" / "cli" / "examples" / "workflows"
SETTINGS = {
    "SLIPWAY_ENGINE__KILL_GRACE": "500ms",
    # Most steps of these tests sleep; the machine's cores must not decide how many at a time.
    "SLIPWAY_ENGINE__MAX_PARALLEL_TASKS": "8",
}
_SHARED = ("shared_service", "service", "client")


@pytest.fixture
def new_service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Make services that are ended with the test; they are not started."""
    made: list[Service] = []
    is_cold = request.node.get_closest_marker("cold") is not None

    def make(**more: object) -> Service:
        env = {**SETTINGS, **more.pop("env", {})}  # type: ignore[dict-item]
        made.append(Service(tmp_path / f"service-{len(made)}", env=env, **more))  # type: ignore[arg-type]
        made[-1].cold = is_cold
        return made[-1]

    yield make
    for service in made:
        service.end()


@pytest.fixture
def start(new_service: Callable[..., Service]) -> Callable[..., Service]:
    """Start services with some settings."""
    return lambda **env: new_service(env={f"SLIPWAY_{k}": str(v) for k, v in env.items()}).start()


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service with the example workflows, which tests must leave running."""
    service = Service(tmp_path_factory.mktemp("shared"), env=SETTINGS)
    shutil.copytree(EXAMPLES, service.workflows_dir)
    try:
        yield service.start()
    finally:
        service.end()


@pytest.fixture
def service(shared_service: Service) -> Iterator[Service]:
    """The shared service with nothing else to do, to be killed and started again as one likes."""
    shared_service.heal()
    yield shared_service
    shared_service.heal()


@pytest.fixture
def service_url(shared_service: Service) -> str:
    """Where the shared service is now."""
    return shared_service.url


@pytest.fixture
def client(shared_service: Service) -> Client:
    """A user of the shared service."""
    return shared_service.client()


@pytest.fixture
def relay(service: Service, tmp_path: Path) -> Iterator[Relay]:
    """A running execution of the service that may be killed."""
    made = Relay(service.client(), tmp_path)
    yield made
    made.end()


@pytest.fixture
def no_faults(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """The services of the test report no fault, whatever their clients do."""
    shared = None
    if not {*_SHARED}.isdisjoint(request.fixturenames):
        shared = request.getfixturevalue("shared_service")
    before = len(shared.log) if shared else 0
    yield
    logs = [path.read_text(encoding="utf-8") for path in tmp_path.glob("service-*/service.log")]
    if shared:
        logs.append(shared.log[before:])
    for log in logs:
        assert "Traceback" not in log
        assert "crashed" not in log


@pytest.fixture
def load_target() -> Iterator[LoadTarget]:
    """A target of load that has seen nothing yet."""
    with LoadTarget() as target:
        yield target


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A store of one's own on SQLite, with all tables."""
    url = f"sqlite:///{tmp_path}/slipway.db"
    make_tables(url)
    made = Database(url)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    server = PostgresqlServer()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store_settings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Settings of a service over each kind of store."""
    if request.param == "sqlite":
        yield {}
        return
    with request.getfixturevalue("postgresql_server").database() as url:
        yield {"SLIPWAY_DATABASE__URL": url}


@pytest.fixture
def postgresql_database(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """URL of an empty database."""
    with postgresql_server.database() as url:
        yield url


@pytest.fixture
def migrated_database(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """URL of a database with all tables and no rows, which the next test gets as well."""
    with postgresql_server.migrated_database() as url:
        yield url


@pytest.fixture(scope="session")
def shared_slurm() -> Iterator[SlurmCluster]:
    """A Slurm cluster with accounting, there once for each worker."""
    cluster = SlurmCluster()
    yield cluster
    cluster.end()


@pytest.fixture
def slurm(shared_slurm: SlurmCluster) -> Iterator[SlurmCluster]:
    """The shared cluster with nothing to do, all of it running; tests may stop what they like."""
    yield shared_slurm
    shared_slurm.heal()


@pytest.fixture
def new_slurm() -> Iterator[Callable[..., SlurmCluster]]:
    """Start clusters of the test's own, by the fields of ``SlurmOptions``."""
    made: list[SlurmCluster] = []

    def make(**options: Any) -> SlurmCluster:
        made.append(SlurmCluster(SlurmOptions(**options)))
        return made[-1]

    yield make
    for cluster in made:
        cluster.end()
