"""What the end-to-end tests share: real services, each in a folder of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit.browser import Chromium
from kit.client import Client
from kit.following import Relay
from kit.service import Service

EXAMPLES = Path(__file__).parents[2] / "app" / "cli" / "examples" / "workflows"
SETTINGS = {
    "SLIPWAY_ENGINE__KILL_GRACE": "500ms",
    # Most steps of these tests sleep; the machine's cores must not decide how many at a time.
    "SLIPWAY_ENGINE__MAX_PARALLEL_TASKS": "8",
}


@pytest.fixture
def new_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Make services that are ended with the test; they are not started."""
    made: list[Service] = []

    def make(**more: object) -> Service:
        env = {**SETTINGS, **more.pop("env", {})}  # type: ignore[dict-item]
        made.append(Service(tmp_path / f"service-{len(made)}", env=env, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for service in made:
        service.end()


@pytest.fixture
def service(new_service: Callable[..., Service]) -> Service:
    """A running service of the test's own, to be killed and started again as it likes."""
    return new_service().start()


@pytest.fixture
def start(new_service: Callable[..., Service]) -> Callable[..., Service]:
    """Start services with some settings."""
    return lambda **env: new_service(env={f"SLIPWAY_{k}": str(v) for k, v in env.items()}).start()


@pytest.fixture
def relay(service: Service, tmp_path: Path) -> Iterator[Relay]:
    """A running execution of the service of the test's own."""
    made = Relay(service.client(), tmp_path)
    yield made
    made.end()


@pytest.fixture
def no_faults(tmp_path: Path) -> Iterator[None]:
    """Services of the test's own report no fault, whatever their clients do."""
    yield
    for log in tmp_path.glob("service-*/service.log"):
        text = log.read_text(encoding="utf-8")
        assert "Traceback" not in text
        assert "crashed" not in text


@pytest.fixture
def chromium(tmp_path: Path) -> Chromium:
    """A real browser."""
    found = shutil.which("chromium")
    if found is None:
        reason = "no chromium on this machine; see .ci/install-servers"
        if os.environ.get("SLIPWAY_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return Chromium(found, tmp_path / "chromium")


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service with the example workflows, which tests must leave running."""
    service = Service(tmp_path_factory.mktemp("shared"), env=SETTINGS)
    shutil.copytree(EXAMPLES, service.workflows_dir)
    try:
        yield service.start()
    finally:
        service.end()


@pytest.fixture(scope="session")
def service_url(shared_service: Service) -> str:
    """Where the shared service is."""
    return shared_service.url


@pytest.fixture
def client(shared_service: Service) -> Client:
    """A user of the shared service."""
    return shared_service.client()
