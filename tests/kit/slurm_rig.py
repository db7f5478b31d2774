"""The launcher ``slurm`` in the suite of all launchers: a cluster, and one account of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

from kit.servers.slurm import SlurmCluster
from kit.slurm_launcher import GivenKeys, keys_for, slurm_launcher
from kit.thrift import make_tables

from app.engine.launchers.base import LauncherContext, NoOptions
from app.engine.launchers.slurm.launcher import SlurmLauncher
from app.engine.launchers.slurm.places import Places
from app.store.database import Database
from app.store.placements import Placement

REACH = "SLIPWAY_TEST_SLURM"
"""Variable that says how the cluster is reached, also to the processes that tests begin."""


@dataclass(frozen=True)
class Reach:
    """How a cluster is reached.

    Attributes:
        private_key: Of its first user.
    """

    host: str
    port: int
    users: tuple[str, ...]
    known_hosts: str
    private_key: str


def reach(cluster: SlurmCluster) -> str:
    """Make a key pair for a cluster; return a value for :data:`REACH`."""
    key = keys_for(cluster).private["pair"]
    return json.dumps(
        asdict(Reach(cluster.host, cluster.port, cluster.users, cluster.known_hosts, key))
    )


class Rig(SlurmLauncher):
    """A launcher for the cluster that the tests have now; its executions are placed already."""

    Options: ClassVar[type] = NoOptions

    @classmethod
    def create(cls, options: NoOptions, context: LauncherContext) -> Self:
        """Build one whose executions have their folders where they have them here."""
        there = Reach(**json.loads(os.environ[REACH]))
        root = context.data_dir
        store = Path(f"{root}.store")
        store.mkdir(exist_ok=True)
        url = f"sqlite:///{store}/slipway.db"
        if not (store / "slipway.db").exists():
            make_tables(url)
        keys = GivenKeys({"pair": there.private_key})
        made = slurm_launcher(there, Database(url), root, store, keys=keys, workdir=str(root))
        made._cluster.places.__class__ = _Everywhere
        return cls(made._cluster)


class _Everywhere(Places):
    """Has a place for whatever stands where executions have their folders."""

    def placed(self, executions: Collection[str]) -> dict[str, Placement]:
        found = super().placed(executions)
        for execution in set(executions) - found.keys():
            login = self._logins.of(self._accounts.of("ada"))
            placement = Placement(execution, login.account.user, "ada", login.root)
            found[execution] = self._placements.add(placement)
        return found


def folder_on(cluster: SlurmCluster, number: int) -> Path:
    """Make a folder that belongs to the first account of a cluster, and that all of it sees."""
    user = cluster.users[0]
    folder = cluster.machine.home(user) / f"bench{number}"
    folder.mkdir()
    shutil.chown(folder, cluster.machine.uid(user), -1)
    return folder
