"""Conductors that are killed while the jobs of a cluster run."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from kit.definitions import script, workflow
from kit.patience import await_that
from kit.slurm_service import let_in, slurm_service
from kit.stress import SCALE

from app.engine.launchers.slurm.submitter import mark_of

DEATHS = 20 if SCALE >= 1 else 3
PRINTS = "for i in 1 2 3 4 5 6 7 8; do echo $SLIPWAY_TASK $i; sleep 0.1; done"


@pytest.fixture
def service(new_service, slurm, tmp_path):
    return slurm_service(new_service, slurm, tmp_path)


def test_a_conductor_killed_at_any_moment_doubles_no_job_and_loses_no_line(service, slurm):
    client = service.client()
    let_in(client, slurm)
    steps = [script("a", PRINTS), script("b", PRINTS, needs=["a"]), script("c", PRINTS)]
    client.upload(workflow("mortal", *steps))
    marks = []
    for _ in range(DEATHS):
        execution = client.launch("mortal")
        time.sleep(random.uniform(0.05, 3.0))
        service.replaced("conductor", service.kill("conductor"))
        client.wait(execution, "SUCCESS")
        for name in "abc":
            marks.append(mark_of([Path(execution, "tasks", name, "1")]))
            assert client.lines(execution, name) == [f"{name} {i}" for i in range(1, 9)]

    def names() -> Counter[str]:
        return Counter(slurm.admin("sacct", "-a", "-X", "-n", "-P", "-o", "jobname%40").split())

    await_that(lambda: names().keys() >= {*marks}, "all of them are accounted for")
    assert {names()[mark] for mark in marks} == {1}, "each attempt of a step is one job"
