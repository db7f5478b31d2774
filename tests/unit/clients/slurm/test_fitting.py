"""What jobs ask for, and what the partitions of a cluster give."""

import json

import pytest

from app.clients.slurm.fitting import misfits
from app.clients.slurm.partitions import Partition, dump, load
from app.job_resources import Resources

MAIN = Partition(
    "main", default=True, nodes=10, cpus_per_node=32, memory_bytes_per_node=64 * 2**30,
    max_nodes=4, max_seconds=86400.0, features=("ib", "skylake", "4core"),
    accounts=("chem", "phys"), qos=("normal",),
)  # fmt: skip
GPU = Partition("gpu", nodes=2, cpus_per_node=64, gpus_per_node=4, gpus=8)
BOTH = [MAIN, GPU]


def told(*partitions, usual=None, **asked):
    found = misfits(Resources(**asked), partitions or BOTH, usual)
    return {str(each.resource): each.message for each in found}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"cpus": 32, "memory_bytes": 64 * 2**30, "nodes": 4, "time_seconds": 86400.0},
        {"tasks": 128},
        {"tasks": 4, "cpus": 32},
        {"tasks": 8, "tasks_per_node": 2, "nodes": 4},
        {"tasks_per_node": 32},
        {"constraint": "ib&skylake"},
        {"constraint": "ib|haswell"},
        {"constraint": "[skylake*2&haswell*1]"},
        {"constraint": "4core"},
        {"account": "chem", "qos": "normal"},
        {"partition": "gpu", "gpus": 8},
        {"partition": "gpu", "gpus": 4, "nodes": 1},
        {"partition": "gpu", "account": "anybody", "time_seconds": 1e9},
        {"partition": "gpu,main", "cpus": 64},
        {"partition": "main,gpu", "cpus": 64},
        {"cpus": 64, "extra": ("--partition=huge",)},
        {"cpus": 64, "extra": ("-phuge",)},
    ],
)
def test_what_there_is_is_no_fault(asked):
    assert told(**asked) == {}


@pytest.mark.parametrize(
    ("asked", "resource", "message"),
    [
        ({"cpus": 33}, "cpus",
         "asks for 33 processors for each task, and a node of partition 'main' has 32 at most"),
        ({"memory_bytes": 65 * 2**30}, "memory",
         "asks for 65 GiB of memory, and a node of partition 'main' has 64 GiB of memory at most"),
        ({"nodes": 5}, "nodes",
         "asks for 5 nodes, and a job in partition 'main' has 4 at most"),
        ({"partition": "gpu", "nodes": 3}, "nodes",
         "asks for 3 nodes, and a job in partition 'gpu' has 2 at most"),
        ({"tasks": 129}, "tasks",
         "asks for 129 tasks, and 4 node(s) of partition 'main' have room for 128"),
        ({"tasks": 5, "cpus": 17}, "tasks",
         ("asks for 5 tasks with 17 processors each, and 4 node(s) of partition 'main' have room "
         "for 4")),
        ({"tasks": 4, "cpus": 17, "nodes": 3}, "tasks",
         ("asks for 4 tasks with 17 processors each, and 3 node(s) of partition 'main' have room "
         "for 3")),
        ({"tasks_per_node": 3, "cpus": 16}, "tasks_per_node",
         ("asks for 3 tasks with 16 processors each, and a node of partition 'main' has 32 "
         "processors at most")),
        ({"gpus": 1}, "gpus", "asks for 1 GPUs, and partition 'main' can have 0"),
        ({"gpus": 5, "nodes": 1, "partition": "gpu"}, "gpus",
         "asks for 5 GPUs, and 1 node(s) of partition 'gpu' can have 4"),
        ({"time_seconds": 86401.0}, "time",
         "asks for 24h1s, and partition 'main' gives 24h at most"),
        ({"constraint": "ib&haswell"}, "constraint",
         "no node of partition 'main' has the feature 'haswell'; they have ib, skylake, 4core"),
        ({"constraint": "a|b", "partition": "gpu"}, "constraint",
         "no node of partition 'gpu' has the feature 'a'; they have none"),
        ({"account": "bio"}, "account", "is 'bio', and partition 'main' is for chem, phys"),
        ({"qos": "high"}, "qos", "is 'high', and partition 'main' is for normal"),
        ({"partition": "huge"}, "partition",
         "there is no partition 'huge'; the cluster has main, gpu"),
        ({"partition": "main,huge"}, "partition",
         "there is no partition 'huge'; the cluster has main, gpu"),
        ({"partition": "main,gpu", "cpus": 65}, "cpus",
         "asks for 65 processors for each task, and a node of partition 'main' has 32 at most"),
    ],
)  # fmt: skip
def test_a_misfit_says_what_there_is(asked, resource, message):
    assert told(**asked)[resource] == message


def test_of_several_partitions_the_one_with_fewest_misfits_is_told():
    assert list(told(partition="main,gpu", cpus=65, gpus=9, constraint="x", memory_bytes=2**50)) \
        == ["cpus", "gpus", "constraint"]  # fmt: skip


def test_steps_that_name_none_have_the_usual_ones():
    assert told(usual="gpu", cpus=64) == {}
    assert told(cpus=64)
    assert "no default partition; it has gpu" in told(GPU, cpus=64)["partition"]
    assert told(GPU, cpus=64, partition="gpu") == {}


def test_of_a_cluster_of_which_nothing_is_known_nothing_is_missed():
    assert misfits(Resources(cpus=10**6), []) == []


def test_of_many_names_some_are_told():
    many = [Partition(f"p{i}") for i in range(15)]
    message = told(*many, partition="huge")["partition"]
    assert message.endswith("p10, p11 and 3 more")


def test_partitions_come_back_from_the_store_as_they_were():
    stored = json.loads(json.dumps(dump(BOTH)))
    assert load(stored) == tuple(BOTH)
    stored[0]["of a later version"] = 1
    del stored[1]["qos"]
    assert load(stored) == tuple(BOTH)
