"""Workflows whose steps are jobs of a real cluster, with keys that were made here."""

from __future__ import annotations

import pytest
from kit.definitions import script, workflow
from kit.patience import await_that
from kit.slurm_service import let_in, slurm_service


@pytest.fixture
def service(new_service, slurm, tmp_path):
    return slurm_service(new_service, slurm, tmp_path)


def test_a_pipeline_runs_as_jobs_by_a_key_that_was_made_here(service, slurm):
    client = service.client()
    let_in(client, slurm)
    first = script("first", "echo $SLURM_JOB_ID; echo hello > file; echo n=3 > $SLIPWAY_OUTPUT")
    second = script("second", "cat file; echo n is $N", needs=["first"])
    second["env"] = {"N": "${{ steps.first.outputs.n }}"}
    execution = client.run(workflow("pipeline", first, second))
    client.wait(execution, "SUCCESS")
    assert client.lines(execution, "second") == ["hello", "n is 3"]


def test_elements_that_begin_together_are_one_array(service, slurm):
    client = service.client()
    let_in(client, slurm)
    each = script(
        "each", "echo $SLURM_ARRAY_JOB_ID; echo twice=$((2 * SLIPWAY_ITEM)) > $SLIPWAY_OUTPUT"
    )
    each["foreach"] = [1, 2, 3, 4]
    outputs = {"all": "${{ steps.each.outputs.twice }}"}
    execution = client.run(workflow("fan", each, outputs=outputs))
    ended = client.wait(execution, "SUCCESS")
    printed = [client.lines(execution, f"each[{index}]") for index in range(4)]
    assert len({tuple(lines) for lines in printed}) == 1, printed
    assert client.get(f"/executions/{execution}")["outputs"] == {"all": ["2", "4", "6", "8"]}, ended


def test_a_pause_says_what_it_costs(service, slurm):
    client = service.client()
    let_in(client, slurm)
    execution = client.run(workflow("slow", script("a", "echo up; sleep 3; echo down")))
    client.wait(execution, "RUNNING")
    assert client.send("POST", f"/executions/{execution}/pause").status_code < 300
    client.wait(execution, "PAUSED")

    def told():
        lines = [each["content"] for each in client.page(execution)["logs"]]
        return any("their time limits go on" in line for line in lines)

    await_that(told, "it says so")
    assert client.send("POST", f"/executions/{execution}/resume").status_code < 300
    client.wait(execution, "SUCCESS")
    assert client.lines(execution, "a") == ["up", "down"]
