"""What a service shows of a real cluster, how that is checked, and how its nodes are drained."""

from __future__ import annotations

import json

import pytest
from kit.patience import await_that
from kit.slurm_service import let_in, slurm_service


@pytest.fixture
def service(new_service, slurm, tmp_path):
    return slurm_service(new_service, slurm, tmp_path)


def test_a_check_says_what_is_well_and_what_is_not_and_the_nodes_are_seen(service, slurm, person):
    client = service.client()
    listed = client.send("GET", "/orchestrators").json()["orchestrators"]
    hpc = next(each for each in listed if each["name"] == "hpc")
    assert hpc["elsewhere"] is True
    assert "tell its nodes" in hpc["can"]
    assert "drain nodes" not in hpc["can"]

    told = client.send("POST", "/orchestrators/hpc/check").json()
    assert (told["state"], told["result"]["ok"]) == ("DONE", False)
    last = told["result"]["checks"][-1]
    assert (last["name"], last["outcome"]) == ("login", "failed")
    assert "cluster: hpc" in last["text"]

    let_in(client, slurm)
    told = client.send("POST", "/orchestrators/hpc/check").json()
    checks = {each["name"]: each for each in told["result"]["checks"]}
    assert told["result"]["ok"], checks
    assert checks["scheduler"]["text"].startswith("Slurm ")

    nodes = {node["id"]: node for node in client.send("GET", "/nodes").json()["nodes"]}
    assert {"hpc~node1", "hpc~node2", "hpc~node3"} <= set(nodes)
    first = nodes["hpc~node1"]
    assert (first["orchestrator"], first["type"], first["state"]) == ("hpc", "slurm", "online")
    assert first["labels"]["gres"] == "gpu:2"
    slaves = client.send("GET", "/api/v1/slaves").json()["slaves"]
    assert not [each for each in slaves if "node1" in json.dumps(each)]
    assert client.send("GET", "/api/v1/slaves/hpc~node1").status_code == 404

    refused = client.send("POST", "/nodes/hpc~node1/drain")
    assert refused.status_code == 501

    done = person.types("doctor", "--url", service.url)
    assert done.code == 0, done
    assert "hpc:partitions" in done.out
    assert client.send("POST", "/orchestrators/nowhere/check").status_code == 404


def test_a_conductor_drains_a_node_with_the_account_of_an_administrator(
    new_service, slurm, tmp_path
):
    service = slurm_service(new_service, slurm, tmp_path)
    key = let_in(service.client(), slurm, slurm.admin_user)
    service.stop()
    settings = tmp_path / "settings.json"
    written = json.loads(settings.read_text())
    written["orchestrators"][0]["launcher"]["admin"] = {"user": slurm.admin_user, "key": key}
    settings.write_text(json.dumps(written))
    client = service.start().client()

    def noted():
        listed = client.send("GET", "/nodes").json()["nodes"]
        return {node["id"]: node for node in listed if node["orchestrator"] == "hpc"}

    await_that(noted, "a conductor has noted the nodes by itself")
    told = client.send("POST", "/nodes/hpc~node2/drain")
    assert told.status_code == 200, told.text
    assert (told.json()["state"], told.json()["result"]) == ("DONE", {"state": "draining"})
    state = slurm.admin("sinfo", "-h", "-n", "node2", "-p", "main", "-o", "%T").split()
    assert state[0].startswith("drain")
    assert noted()["hpc~node2"]["labels"]["reason"] == "drained at Slipway"

    def works():
        told = client.send("POST", "/nodes/hpc~node2/undrain").json()
        return told["state"] == "DONE" and told["result"]["state"] == "online"

    await_that(works, "it works again")
