"""A running service whose workflows run on a real cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kit.client import Client
from kit.servers.slurm import SlurmCluster
from kit.service import Service

NAME = "hpc"
METADATA = {"metadata": {"cluster": NAME}}


def slurm_service(
    new_service: Callable[..., Service], cluster: SlurmCluster, folder: Path, **options: Any
) -> Service:
    """Start a service whose users have the account of the first user of a cluster.

    Args:
        new_service: Makes services.
        cluster: The cluster.
        folder: For the file of settings.
        options: Of the launcher, beside where the cluster is.
    """
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(cluster.known_hosts)
    launcher = {
        "type": "slurm", "host": cluster.host, "port": cluster.port, "user": cluster.users[0],
        "known_hosts": str(known_hosts), **options,
    }  # fmt: skip
    settings = folder / "settings.json"
    settings.write_text(
        json.dumps({"orchestrators": [{"name": NAME, "type": "engine", "launcher": launcher}]})
    )
    arguments = ["--config", settings, "--data-dir", folder / "service-data"]
    service = new_service(arguments=arguments)
    service.data_dir = folder / "service-data"
    return service.start()


def let_in(client: Client, cluster: SlurmCluster, user: str | None = None) -> str:
    """Make a key pair for a cluster, and have an account of it let its public half in.

    Returns:
        The id of the pair.
    """
    made = client.send("POST", "/ssh_keys", json=METADATA)
    assert made.status_code == 201, made.text
    cluster.authorize(user or cluster.users[0], made.json()["public_key"])
    return str(made.json()["id"])
