"""Real servers for the tests, on loopback, in folders of their own.

A fixture starts what it needs and ends exactly that. Where a server is not installed its tests are
skipped; with ``SLIPWAY_REQUIRE_SERVERS=1`` they fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.cluster_jobs import launcher_of
from kit.servers.sshd import SshServer
from kit.servers.vault import DevVault, SealableVault

__all__ = ["launcher_of"]


@pytest.fixture(scope="session")
def vault_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevVault]:
    """A Vault in development mode, shared by all tests: each makes roles of its own."""
    server = DevVault(tmp_path_factory.mktemp("vault"))
    yield server
    server.stop()


@pytest.fixture
def sealable_vault(tmp_path: Path) -> Iterator[SealableVault]:
    """A Vault of the test's own, initialised and unsealed."""
    server = SealableVault(tmp_path)
    try:
        server.initialise()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def ssh_server() -> Iterator[SshServer]:
    """An sshd that the tests of a module share; each leaves it as it was."""
    server = SshServer()
    yield server
    server.end()
