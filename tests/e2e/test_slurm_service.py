"""Workflows whose steps are jobs of a real cluster, with keys that were made here."""

from __future__ import annotations

import pytest
from kit.definitions import script, workflow
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
