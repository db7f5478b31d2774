"""What a cluster says of its nodes and partitions. The texts called 22.05 were taken from a real
cluster; those below were written after the manual pages of later versions, and recorded nowhere."""

from pathlib import Path

import pytest

from app.clients.slurm import configured, nodes
from app.clients.slurm.nodes import ClusterNode
from app.domain import NodeState

RECORDED = Path(__file__).parent / "recorded"
LATER = (
    "cn01|gpu|mixed-|96/32/0/128|1031000|N/A|a100,ib|gpu:a100:4(S:0,2),shard:16|none\n"
    "cn02|gpu|idle~|0/1K/0/1K|1.5T|12-44|(null)|gpu:2,gpu:h100:1|none\n"
    "cn03|gpu|down*|0/0/128/128|1031000|0|(null)|(null)|Not responding\n"
    "slurm_load_node: a line that is none of the answer\n"
)


def recorded(name):
    return (RECORDED / f"{name}.txt").read_text(encoding="utf-8")


def by_name(text):
    return {node.name: node for node in nodes.nodes(text)}


def test_a_node_is_read_once_with_all_of_its_partitions():
    found = by_name(recorded("sinfo-22.05"))
    assert list(found) == ["node1", "node2", "node3"]
    first = found["node1"]
    assert (first.partitions, first.features) == (("urgent", "main"), ("intel", "node1"))
    assert (first.cpus, first.cpus_allocated, first.load) == (4, 0, 0.0)
    assert first.memory_bytes == 4000 * 2**20
    assert (first.gres, first.gpus, found["node2"].gpus) == (("gpu:2",), 2, 0)
    assert set(found["node3"].partitions) == {"long", "urgent", "scrap", "brief", "main"}


def test_a_node_out_of_work_says_why_whatever_signs_that_has():
    found = by_name(recorded("sinfo-22.05-drained"))
    assert {name: node.standing for name, node in found.items()} == {
        "node1": NodeState.OFFLINE,
        "node2": NodeState.DRAINING,
        "node3": NodeState.ONLINE,
    }
    assert found["node2"].reason == "bad | disk, see #12"
    assert found["node3"].reason == ""


def test_texts_of_later_versions_are_read():
    found = by_name(LATER)
    assert list(found) == ["cn01", "cn02", "cn03"]
    assert (found["cn01"].gpus, found["cn01"].gres) == (4, ("gpu:a100:4(S:0,2)", "shard:16"))
    assert (found["cn01"].load, found["cn01"].free_bytes) == (0.75, None)
    assert (found["cn02"].cpus, found["cn02"].gpus) == (1024, 3)
    assert found["cn03"].standing is NodeState.OFFLINE


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        ("idle", NodeState.ONLINE),
        ("idle~", NodeState.ONLINE),
        ("mixed", NodeState.ONLINE),
        ("MIXED", NodeState.ONLINE),
        ("planned", NodeState.ONLINE),
        ("reserved", NodeState.ONLINE),
        ("allocated", NodeState.BUSY),
        ("allocated+", NodeState.BUSY),
        ("completing", NodeState.BUSY),
        ("draining", NodeState.DRAINING),
        ("drained$", NodeState.DRAINING),
        ("maint", NodeState.DRAINING),
        ("failing", NodeState.DRAINING),
        ("fail", NodeState.OFFLINE),
        ("idle*", NodeState.OFFLINE),
        ("drained*", NodeState.OFFLINE),
        ("down", NodeState.OFFLINE),
        ("powered_down", NodeState.OFFLINE),
        ("powering_up#", NodeState.OFFLINE),
        ("inval", NodeState.OFFLINE),
        ("something new", NodeState.OFFLINE),
    ],
)
def test_states_of_nodes_have_a_word_of_ours(state, standing):
    assert ClusterNode("node1", state=state).standing is standing


def test_partitions_have_what_their_nodes_have():
    found = configured.partitions(
        recorded("partitions-22.05"), nodes.nodes(recorded("sinfo-22.05"))
    )
    main, long, *others = found
    assert (main.name, main.default, main.up, main.nodes) == ("main", True, True, 3)
    assert (main.cpus_per_node, main.memory_bytes_per_node) == (4, 4000 * 2**20)
    assert (main.gpus, main.gpus_per_node) == (2, 2)
    assert (main.max_seconds, main.default_seconds, main.max_nodes) == (3600.0, 600.0, None)
    assert (main.accounts, main.qos) == (None, None)
    assert (long.default, long.nodes, long.max_seconds, long.gpus) == (False, 1, None, 0)
    assert long.features == ("intel", "node3")
    assert [each.name for each in others] == ["urgent", "scrap", "brief"]


def test_a_partition_of_few_says_whose_it_is():
    text = (
        "PartitionName=few AllowAccounts=lab,other AllowQos=high MaxNodes=2 State=INACTIVE "
        "DefaultTime=1-12:00:00 MaxTime=2-00:00:00 TotalNodes=5\nno partition\n"
    )
    (few,) = configured.partitions(text, [])
    assert (few.accounts, few.qos, few.max_nodes, few.up) == (("lab", "other"), ("high",), 2, False)
    assert (few.default_seconds, few.max_seconds) == (129600.0, 172800.0)
    assert (few.nodes, few.cpus_per_node) == (5, 0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10", 600), ("1:30", 90), ("01:00:00", 3600), ("1-0", 86400), ("2-01:30", 178200),
     ("UNLIMITED", None), ("NONE", None), ("", None), ("1:2:3:4", None)],
)  # fmt: skip
def test_times_are_read_as_slurm_writes_them(text, seconds):
    assert configured.seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "version"),
    [("slurm-wlm 22.05.8\n", "22.05.8"), ("slurm 23.11.10", "23.11.10"),
     ("slurm 24.05.0-0rc1", "24.05.0"), ("command not found", None)],
)  # fmt: skip
def test_the_version_is_read(text, version):
    assert configured.version(text) == version


def test_the_settings_say_how_long_ended_jobs_stay_in_the_queue():
    told = configured.settings(recorded("config-22.05"))
    assert (told["slurm_version"], told["clustername"]) == ("22.05.8", "cluster1")
    assert configured.min_job_age(told) == 300.0
    assert configured.min_job_age({}) is None


def test_what_is_stored_of_nodes_comes_back_and_what_another_version_added_is_passed_over():
    found = nodes.nodes(recorded("sinfo-22.05-drained"))
    stored = [{**each, "novelty": 1} for each in nodes.dump(found)]
    assert nodes.load(stored) == found


def test_a_node_is_taken_out_of_work_with_a_reason():
    assert nodes.drain("node1", "by ada, of Slipway") == [
        "scontrol", "update", "NodeName=node1", "State=DRAIN", "Reason=by ada, of Slipway",
    ]  # fmt: skip
    assert nodes.undrain("node1")[-1] == "State=RESUME"
