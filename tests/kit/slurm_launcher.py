"""The launcher ``slurm`` for a real cluster of the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from kit.servers.slurm import SlurmCluster

from app.clients._ssh_terms import SshCredential
from app.engine.launchers.slurm.accounts import ClusterAccounts
from app.engine.launchers.slurm.cluster import Cluster
from app.engine.launchers.slurm.fit import Fit
from app.engine.launchers.slurm.launcher import SlurmLauncher
from app.engine.launchers.slurm.options import SlurmOptions
from app.settings.schema import Choice
from app.store.database import Database
from app.store.placements import Placements
from app.store.scheduler_turns import SchedulerTurns

NAME = "hpc"


def key_pair() -> tuple[str, str]:
    """Make a key pair; return the private half as OpenSSH writes it, and the public line."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return private, public


class GivenKeys:
    """Key pairs that a test made, by id.

    Attributes:
        private: The private halves.
        newest: Ids by owner.
    """

    def __init__(self, private: Mapping[str, str]) -> None:
        self.private = dict(private)
        self.newest: dict[str, str] = {}

    def newest_for(self, owner: str, cluster: str) -> str | None:
        """Return the id of an owner's pair."""
        return self.newest.get(owner)

    def succeeded(self, key_id: str) -> None:
        """Note nothing."""

    def read(self, key_id: str) -> SshCredential:
        """Return the private half of a pair."""
        return SshCredential(self.private[key_id])


class Reached(Protocol):
    """How a cluster is reached."""

    host: str
    port: int
    users: Sequence[str]

    @property
    def known_hosts(self) -> str:
        """The line for ``known_hosts``."""


def slurm_options(cluster: Reached, folder: Path, **given: Any) -> SlurmOptions:
    """Return options for a cluster; its host key stands in a file of the folder."""
    known_hosts = folder / f"known_hosts.{cluster.port}"
    known_hosts.write_text(cluster.known_hosts)
    field = Choice(lambda _: SlurmOptions, (), load_default="slurm")
    options = {
        "type": "slurm", "host": cluster.host, "port": cluster.port, "user": cluster.users[0],
        "known_hosts": str(known_hosts), "key": "pair", "poll": {"followed": "200ms"},
    }  # fmt: skip
    found: SlurmOptions = field.deserialize({**options, **given}).options
    return found


def keys_for(cluster: SlurmCluster) -> GivenKeys:
    """Make a key pair that all accounts of a cluster let in."""
    private, public = key_pair()
    for user in (*cluster.users, cluster.admin_user):
        cluster.authorize(user, public)
    return GivenKeys({"pair": private})


def slurm_launcher(
    cluster: Reached,
    database: Database,
    executions_dir: Path,
    folder: Path,
    *,
    keys: GivenKeys,
    late_seconds: float = 3.0,
    **options: Any,
) -> SlurmLauncher:
    """Return a launcher for a cluster.

    Args:
        cluster: The cluster.
        database: The store.
        executions_dir: What executions go by here.
        folder: Of the test.
        keys: Key pairs.
        late_seconds: How long records may be late.
        options: Of the launcher.
    """
    found = slurm_options(cluster, folder, **options)
    return SlurmLauncher(
        Cluster(
            found,
            ClusterAccounts(found, NAME),
            keys,
            placements=Placements(database, NAME),
            turns=SchedulerTurns(database, NAME, found.poll.command),
            executions_dir=executions_dir,
            late_seconds=late_seconds,
        ),
        Fit(database, NAME, found.partition),
    )
