"""The lines of the guide on virtual users do what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.load_target import LoadTarget
from kit.engine_v1 import EngineClient
from kit.guides import blocks, require_programs, run_block
from kit.service import Service

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "load.md"


@pytest.fixture
def service(new_service: Callable[..., Service]) -> Service:
    """One of its own: what other tests do to the slave of a shared one stops these lines."""
    require_programs("jq")
    return new_service().start()


@pytest.mark.runs("docs/guides/load.md")
def test_the_lines_of_the_guide_do_what_it_says(
    service: Service, load_target: LoadTarget, tmp_path: Path
) -> None:
    lines = "\n".join(blocks(GUIDE.read_text(encoding="utf-8")))
    printed = run_block(lines, tmp_path, SLIPWAY=service.url, TARGET=load_target.url)
    client = EngineClient(service.url)
    listed = client.ask("GET", "/executions")["executions"]
    of_guide = [row for row in listed if row["workflow_id"] in ("first-load", "long-load")]
    ended = {row["workflow_id"]: client.ended(row["id"])["status"] for row in of_guide}
    assert ended == {"first-load": "completed", "long-load": "aborted"}
    assert [row["workflow_id"] for row in of_guide] == ["long-load", "first-load", "first-load"]
    first = json.loads(printed.splitlines()[0])
    assert first["workflow_id"] == "first-load"
    metrics = client.metrics(first["execution_id"])
    assert metrics["step_metrics"]["s1"]["count"] == 40
