"""One service and two clusters at once."""

from __future__ import annotations

import json

from kit.definitions import script, workflow
from kit.servers.slurm import SlurmCluster


def entry(name: str, cluster: SlurmCluster, folder) -> dict[str, object]:
    known_hosts = folder / f"known_hosts.{name}"
    known_hosts.write_text(cluster.known_hosts)
    slurm = {
        "host": cluster.host, "port": cluster.port, "user": cluster.users[0],
        "known_hosts": str(known_hosts),
    }  # fmt: skip
    return {"name": name, "type": "engine", "launcher": "slurm", "slurm": slurm}


def test_each_execution_runs_where_it_was_launched(new_service, new_slurm, tmp_path):
    clusters = {name: new_slurm(accounting=False) for name in ("one", "two")}
    settings = tmp_path / "settings.json"
    entries = [entry(name, cluster, tmp_path) for name, cluster in clusters.items()]
    settings.write_text(json.dumps({"orchestrators": entries}))
    service = new_service(arguments=["--config", settings, "--data-dir", tmp_path / "data"])
    client = service.start().client()
    for name, cluster in clusters.items():
        made = client.send("POST", "/ssh_keys", json={"metadata": {"cluster": name}}).json()
        cluster.authorize(cluster.users[0], made["public_key"])
    client.upload(workflow("where", script("a", "scontrol show config | grep ^ClusterName")))
    for name, cluster in clusters.items():
        answer = client.send("POST", "/workflows/where", params={"orchestrator": name}, json={})
        assert answer.status_code == 201, answer.text
        execution = answer.headers["Location"].rpartition("/")[2]
        client.wait(execution, "SUCCESS")
        [line] = client.lines(execution, "a")
        assert line.split()[-1] == cluster.name
    clusters["one"].stop("sshd")
    answer = client.send("POST", "/workflows/where", params={"orchestrator": "two"}, json={})
    client.wait(answer.headers["Location"].rpartition("/")[2], "SUCCESS")
