"""Jobs of a cluster whose disk is full, or whose account may write nothing more."""

from __future__ import annotations

import pytest
from kit.definitions import script, workflow
from kit.patience import await_that
from kit.servers.small_disks import small_disk, used_quota
from kit.slurm_service import let_in, slurm_service

LINES = 3000
LOST = "bytes of output found no place on the disk"


@pytest.fixture
def full(slurm):
    with small_disk(slurm.machine, slurm.users[0]) as disk:
        yield disk


@pytest.fixture
def quota(slurm):
    with used_quota(slurm.machine, slurm.users[0]) as disk:
        yield disk


@pytest.fixture
def client_of(new_service, slurm, tmp_path):
    def make(disk):
        options = {"workdir": str(disk.path), "python": disk.python}
        client = slurm_service(new_service, slurm, tmp_path, **options).client()
        let_in(client, slurm)
        return client

    return make


@pytest.mark.parametrize(
    ("kind", "words"), [("full", "No space left on device"), ("quota", "Disk quota exceeded")]
)
def test_what_cannot_be_written_down_waits_for_room_and_says_so(request, client_of, kind, words):
    disk = request.getfixturevalue(kind)
    client = client_of(disk)
    client.wait(client.run(workflow("before", script("a", "true"))), "SUCCESS")
    disk.fill()
    execution = client.run(workflow("late", script("a", "echo begun >> runs; cat runs")))
    waits = await_that(lambda: client.tasks(execution)["a"]["waits_for"], "it says why it waits")
    assert waits["kind"] == "launcher"
    assert words in waits["reason"]
    disk.make_room()
    client.wait(execution, "SUCCESS")
    assert client.lines(execution, "a") == ["begun"]
    assert client.tasks(execution)["a"]["waits_for"] is None
    [told] = [
        each["content"] for each in client.page(execution)["logs"] if words in each["content"]
    ]
    assert told.startswith("Nothing can begin yet")


def test_what_waits_for_room_is_cancelled(client_of, full):
    client = client_of(full)
    client.wait(client.run(workflow("before", script("a", "true"))), "SUCCESS")
    full.fill()
    execution = client.run(workflow("never", script("a", "true")))
    await_that(lambda: client.tasks(execution)["a"]["waits_for"], "it waits")
    client.cancel(execution)
    client.wait(execution, "CANCELLED")


def test_output_that_finds_no_place_is_counted_and_the_job_goes_on(client_of, full, slurm):
    client = client_of(full)
    wait = f"until [ -e {full.path}/$n ]; do sleep 0.1; done"
    prints = f"seq {LINES} | sed s/$/:{'x' * 99}/; touch {full.path}/said"
    prints = f"echo begun; n=1; {wait}; {prints}; n=2; {wait}; echo done"
    execution = client.run(workflow("talks", script("a", prints)))

    def seen():
        return [each["content"] for each in client.page(execution)["logs"]]

    def run(command, name):
        return slurm.machine.run(command, f"{full.path}/{name}", user=slurm.users[0])

    await_that(lambda: "begun" in seen(), "it runs")
    full.fill()
    run("touch", 1)
    await_that(lambda: run("ls", "said").status == 0, "it has printed all")
    full.make_room()
    run("touch", 2)
    client.wait(execution, "SUCCESS")
    lines = client.lines(execution, "a")
    assert lines[0] == "begun"
    assert "done" in lines
    assert any(LOST in line for line in lines)
    numbers = [int(line.partition(":")[0]) for line in lines if ":x" in line]
    assert numbers == sorted({*numbers})


def test_a_check_says_so(client_of, full):
    client = client_of(full)
    client.wait(client.run(workflow("before", script("a", "true"))), "SUCCESS")
    full.fill()
    told = client.send("POST", "/orchestrators/hpc/check").json()["result"]["checks"]
    wrong = {each["name"]: each for each in told if each["outcome"] != "ok"}
    assert {"work_folder", "space"} <= wrong.keys()
    assert "No space left on device" in wrong["work_folder"]["text"]
    assert wrong["work_folder"]["fix"].startswith("make room there")
    assert wrong["space"]["fix"].startswith("make room below")
