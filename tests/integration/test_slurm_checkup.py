"""What a real cluster has, how its nodes are taken out of work, and what a check of it finds."""

from __future__ import annotations

from functools import partial

import pytest
from kit.patience import await_that
from kit.ports import free_port
from kit.slurm_launcher import GivenKeys, key_pair

from app.domain import Outcome
from app.engine.launchers.slurm.fit import Fit
from app.errors import CapabilityMissing, NotFound
from app.job_resources import Asked, Resources
from app.store.clusters import Clusters

ADMIN = {"admin": {"user": "slwadmin"}}


@pytest.fixture
def launcher_with(slurm, launcher_of):
    return partial(launcher_of, slurm)


def outcomes(launcher, owner="ada"):
    return {each.name: each for each in launcher.examine(owner)}


def failed(found):
    return [name for name, each in found.items() if each.outcome is Outcome.FAILED]


def test_what_the_cluster_has_is_noted_for_those_who_ask_nobody(launcher_with, database, slurm):
    launcher = launcher_with()
    assert launcher.nodes() == []
    launcher.tend()
    found = {node.id: node for node in launcher.nodes()}
    assert list(found) == ["hpc~node1", "hpc~node2", "hpc~node3"]
    first = found["hpc~node1"]
    assert (first.type, first.address, first.state) == ("slurm", "node1", "online")
    assert set(first.labels["partitions"].split(",")) == {"main", "urgent"}
    assert (first.labels["features"], first.labels["gres"]) == ("intel,node1", "gpu:2")
    assert (first.labels["processors"], first.labels["memory"]) == ("4", "4000MiB")
    (fault,) = Fit(database, "hpc", None).faults([Asked("steps[0].resources", Resources(cpus=9))])
    assert fault.path == "steps[0].resources.cpus"


def test_what_was_noted_lately_is_not_asked_for_again(launcher_with, database, slurm):
    launcher = launcher_with()
    launcher.tend()
    noted_at = Clusters(database).noted_at("hpc")
    slurm.stop("slurmctld")
    launcher.tend()
    assert Clusters(database).noted_at("hpc") == noted_at


def test_a_node_is_drained_by_an_administrator_and_works_again(launcher_with, slurm):
    launcher = launcher_with(**ADMIN)
    assert launcher.drains
    launcher.tend()
    launcher.drain("hpc~node2")
    drained = launcher.node("hpc~node2")
    assert (drained.state, drained.labels["reason"]) == ("draining", "drained at Slipway")
    launcher.drain("hpc~node2")
    launcher.undrain("hpc~node2")

    def works():
        launcher.undrain("hpc~node2")
        return launcher.node("hpc~node2").state == "online"

    await_that(works, "it works again")


def test_without_an_administrator_nothing_is_drained(launcher_with, slurm):
    launcher = launcher_with()
    launcher.tend()
    assert not launcher.drains
    with pytest.raises(CapabilityMissing, match="no admin account"):
        launcher.drain("hpc~node2")
    assert slurm.admin("sinfo", "-h", "-n", "node2", "-p", "main", "-o", "%T").split() == ["idle"]


@pytest.mark.parametrize("node_id", ["hpc~ALL", "hpc~node9", "node1", "other~node1"])
def test_only_nodes_that_were_noted_reach_a_command_line(launcher_with, node_id):
    launcher = launcher_with(**ADMIN)
    launcher.tend()
    with pytest.raises(NotFound):
        launcher.drain(node_id)


def test_a_check_finds_that_all_is_well(launcher_with):
    found = outcomes(launcher_with(**ADMIN))
    assert failed(found) == [], found
    assert list(found) == [
        "account", "dns", "port", "host_key", "login", "program", "clock", "work_folder", "space",
        "quota", "scheduler", "partitions", "nodes", "accounting", "admin",
    ]  # fmt: skip
    assert found["scheduler"].text.startswith("Slurm ")
    assert found["partitions"].text.startswith("main*, long")
    assert found["nodes"].text == "3 of 3 take jobs"
    assert found["host_key"].text.startswith("SHA256:")


def test_a_check_says_what_is_wrong_on_the_way_and_how_to_mend_it(launcher_with):
    found = outcomes(launcher_with(host="no.such.host.invalid"))
    assert failed(found) == ["dns"]
    assert list(found)[-1] == "dns"
    assert found["dns"].fix
    found = outcomes(launcher_with(port=free_port()))
    assert failed(found) == ["port"]


def test_a_check_tells_a_wrong_host_key_from_a_wrong_key(launcher_with, slurm):
    other = "SHA256:" + "A" * 43
    found = outcomes(launcher_with(host_keys=[other]))
    assert failed(found) == ["host_key"]
    private, _ = key_pair()
    found = outcomes(launcher_with(keys=GivenKeys({"pair": private})))
    assert failed(found) == ["login"]
    assert "authorized_keys" in found["login"].fix


def test_a_check_of_somebody_without_an_account_says_so(launcher_with):
    mapped = [{"user": "grace", "account": "slwuser2"}]
    found = outcomes(launcher_with(user=None, user_map=mapped))
    assert failed(found) == ["account"]
    assert "ada" in found["account"].text


def test_a_check_finds_a_partition_that_is_not_there(launcher_with):
    found = outcomes(launcher_with(partition="nope"))
    assert failed(found) == ["partitions"]
    assert found["partitions"].text.startswith("there is no 'nope'")


def test_a_check_finds_that_the_folder_cannot_be_written_to(launcher_with):
    found = outcomes(launcher_with(workdir="/etc/slipway"))
    assert failed(found) == ["work_folder"]
    assert "Permission denied" in found["work_folder"].text
    assert found["work_folder"].fix


def test_a_check_finds_that_the_controller_is_down(launcher_with, slurm):
    slurm.stop("slurmctld")
    found = outcomes(launcher_with())
    assert failed(found) == ["scheduler"]
    assert "down" in found["scheduler"].text.lower()


def test_a_check_finds_that_there_is_no_accounting(launcher_with, slurm):
    slurm.stop("slurmdbd")
    found = outcomes(launcher_with())
    assert failed(found) == []
    assert found["accounting"].outcome is Outcome.WARNING
