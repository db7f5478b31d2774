"""A real Vault, or OpenBao, in development mode or one that can be sealed."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import requests
from kit.patience import PATIENCE_SECONDS, await_that
from kit.ports import free_port
from kit.servers.processes import ServerProcess, unavailable

_CONFIG = """\
storage "raft" {{
  path                   = "{folder}"
  node_id                = "only"
  performance_multiplier = 1
}}
listener "tcp" {{
  address         = "{host}"
  cluster_address = "{cluster_host}"
  tls_disable     = true
}}
api_addr      = "http://{host}"
cluster_addr  = "https://{cluster_host}"
disable_mlock = true
"""


def _program() -> str:
    """Find the server: the one that ``.ci/build-vault`` made, or one in the PATH."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(os.environ.get("SLIPWAY_TEST_CACHE") or home / "slipway-tests")
    built = sorted(map(str, cache.glob("vault-*/vault")), reverse=True)
    found = built or [path for name in ("vault", "bao") if (path := shutil.which(name))]
    return found[0] if found else unavailable("no Vault server was found")


@dataclass(frozen=True)
class AppRole:
    """What a role logs in with."""

    name: str
    role_id: str
    secret_id: str


class VaultServer:
    """What the two kinds of server have in common.

    Attributes:
        program: What it is a process of; it is the program of its clients, too.
        address: URL of the server.
        root: Client with the root token, for what an operator does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.program = _program()
        self._host = f"127.0.0.1:{free_port()}"
        self.address = f"http://{self._host}"
        self.root = hvac.Client(self.address, token="")

    def add_role(self, name: str, policy: str, **options: Any) -> AppRole:
        """Make an AppRole with a policy of its own.

        Args:
            name: Name of the role and of the policy.
            policy: Text of the policy.
            options: Of the role, such as ``token_ttl="1h"``.
        """
        if "approle/" not in self.root.sys.list_auth_methods()["data"]:
            self.root.sys.enable_auth_method("approle")
        self.root.sys.create_or_update_policy(name, policy)
        options = {"token_policies": [name], "token_no_default_policy": True, **options}
        self.root.auth.approle.create_or_update_approle(name, **options)
        role_id = self.root.auth.approle.read_role_id(name)["data"]["role_id"]
        secret_id = self.root.auth.approle.generate_secret_id(name)["data"]["secret_id"]
        return AppRole(name, role_id, secret_id)

    def log_in(self, role: AppRole) -> hvac.Client:
        """Return a client that acts as a role."""
        client = hvac.Client(self.address, token="")
        client.auth.approle.login(role.role_id, role.secret_id)
        return client

    def stop(self) -> None:
        """End the server."""
        self._process.stop()

    def _start(self, *arguments: str) -> None:
        self._process = ServerProcess(
            [self.program, "server", *arguments],
            log=self._folder / "vault.log",
            ready=self._answers,
            stop_signal=signal.SIGINT,
        )

    def _answers(self) -> bool:
        try:
            return self._probe().status_code in self._READY
        except OSError:  # refused, or the file of its certificates is not there yet
            return False

    _READY = frozenset({200})

    def _probe(self) -> requests.Response:
        return requests.get(f"{self.address}/v1/sys/health", timeout=PATIENCE_SECONDS)


class DevVault(VaultServer):
    """A server in development mode: in memory, unsealed, KV version 2 at ``secret/``.

    Attributes:
        ca_file: The certificate that signed its own; None without TLS.
    """

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        super().__init__(folder)
        token = "root-of-the-tests"
        arguments = [
            "-dev",
            "-dev-no-store-token",
            f"-dev-root-token-id={token}",
            f"-dev-listen-address={self._host}",
        ]
        self.ca_file: str | None = None
        if tls:
            self.address = f"https://{self._host}"
            self.ca_file = str(folder / "vault-ca.pem")
            arguments += ["-dev-tls", f"-dev-tls-cert-dir={folder}"]
        self.root = hvac.Client(self.address, token=token, verify=self.ca_file or True)
        self._start(*arguments)

    def _probe(self) -> requests.Response:
        # The mount of the engine comes last; before it, health is well already.
        return requests.get(
            f"{self.address}/v1/sys/internal/ui/mounts/secret",
            headers={"X-Vault-Token": self.root.token},
            timeout=PATIENCE_SECONDS,
            verify=self.ca_file or True,
        )


class SealableVault(VaultServer):
    """A server that keeps its data on disk, so that it can be sealed and restarted.

    It starts uninitialised.
    """

    _READY = frozenset({200, 429, 501, 503})

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._config = folder / "vault.hcl"
        cluster_host = f"127.0.0.1:{free_port()}"
        self._config.write_text(
            _CONFIG.format(folder=folder, host=self._host, cluster_host=cluster_host)
        )
        self._unseal_key = ""
        self.start()

    def start(self) -> None:
        """Start it, or restart it after :meth:`stop`; an initialised one is sealed then."""
        self._start(f"-config={self._config}")

    def initialise(self) -> None:
        """Initialise and unseal it, and mount KV version 2 at ``secret/``."""
        answer = self.root.sys.initialize(secret_shares=1, secret_threshold=1)
        self._unseal_key = answer["keys"][0]
        self.root.token = answer["root_token"]
        self.unseal()
        self.root.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})

    def seal(self) -> None:
        """Seal it, as an operator does in an emergency."""
        self.root.sys.seal()

    def unseal(self) -> None:
        """Unseal it, and wait until it has made itself the active node."""
        self.root.sys.submit_unseal_key(self._unseal_key)
        await_that(lambda: self._probe().status_code == 200, "Vault is active")
