"""The guide of the command line, run as it stands there."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.guides import below, run_block
from kit.service import Service

ROOT = Path(__file__).parents[2]
GUIDE = "docs/guides/cli.md"
FLOW = """\
id: flow
name: Flow
inputs: {n: {type: integer, default: 1}}
outputs: {n: "${{ inputs.n }}"}
steps:
  - {id: say, type: script, config: {script: "echo the number is $INPUT_N"}}
"""


@pytest.fixture
def env(shared_service: Service, tmp_path: Path) -> dict[str, str]:
    home = str(tmp_path / "home")
    return {"SLIPWAY_URL": shared_service.url, "HOME": home, "XDG_CONFIG_HOME": home}


@pytest.mark.runs("docs/guides/cli.md", "## Launching")
def test_launching(env: dict[str, str], tmp_path: Path) -> None:
    follow, wait = below(ROOT, GUIDE, "## Launching")
    printed = run_block(follow, tmp_path, **env)
    assert "join   INFO 239 + 191 = 430 primes up to 3000" in printed
    assert run_block(wait, tmp_path, **env).splitlines()[-1] == "430"


@pytest.mark.runs("docs/guides/cli.md", "## Writing a definition: validate, try, upload")
def test_writing_a_definition(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW, encoding="utf-8")
    [commands] = below(ROOT, GUIDE, "## Writing a definition: validate, try, upload")
    printed = run_block(commands, tmp_path, **env)
    for words in (
        "flow.yaml: flow is valid, 1 step.", "the number is 10", "Flow is uploaded, version 1.",
        "Flow is uploaded, version 1. Run it: slipway run flow -f\nFlow is uploaded, version",
        "flow is deleted.",
    ):  # fmt: skip
        assert words in printed


@pytest.mark.runs("docs/guides/cli.md", "## Watching")
def test_watching(env: dict[str, str], tmp_path: Path) -> None:
    run_block("slipway run diamond -i n=3000 --wait", tmp_path, **env)
    [commands] = below(ROOT, GUIDE, "## Watching")
    printed = run_block(commands, tmp_path, **env)
    assert "ID " in printed
    assert "join   SUCCESS" in printed


@pytest.mark.runs("docs/guides/cli.md", "## Logs")
def test_logs(env: dict[str, str], tmp_path: Path) -> None:
    run_block("slipway run diamond -i n=3000 --wait", tmp_path, **env)
    [commands] = below(ROOT, GUIDE, "## Logs")
    printed = run_block(commands, tmp_path, **env)
    assert "join   INFO 239 + 191 = 430 primes up to 3000" in printed
    assert "430 primes" in (tmp_path / "join.txt").read_text(encoding="utf-8")


@pytest.mark.runs("docs/guides/cli.md", "## Steering")
def test_steering(env: dict[str, str], tmp_path: Path) -> None:
    run_block("slipway run diamond -i n=3000 --wait", tmp_path, **env)
    [commands] = below(ROOT, GUIDE, "## Steering")
    printed = run_block(commands, tmp_path, **env)
    assert "they differ" in printed
    assert (tmp_path / "help.zip").stat().st_size > 1000
