"""The commands of the guide to Slurm, run as they stand there, with a real cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.guides import below, require_programs, run_block
from kit.slurm_service import slurm_service

ROOT = Path(__file__).parents[2]
PAGE = "docs/guides/slurm.md"


def block(heading: str, number: int = 0) -> str:
    return below(ROOT, PAGE, f"## {heading}")[number]


@pytest.mark.runs("docs/guides/slurm.md")
def test_from_the_empty_account_to_the_first_followed_job(new_service, slurm, tmp_path):
    require_programs("jq")
    service = slurm_service(new_service, slurm, tmp_path)
    folder = tmp_path / "desk"
    folder.mkdir()

    def run(text: str) -> str:
        return run_block(text, folder, SLIPWAY_URL=service.url, HOME=str(folder))

    run(block("A key, and a first look"))
    line = (folder / "line").read_text()
    assert line.startswith("restrict ssh-ed25519 ")
    slurm.authorize(slurm.users[0], line)
    assert "logs in" in run(block("A key, and a first look", 2))
    checks = run(block("A key, and a first look", 3)).splitlines()
    assert len(checks) >= 5, checks
    followed = run(block("A first job"))
    assert "step 3 of 3" in followed
    assert "job " in followed
