"""Workflows of one name on several orchestrators, on the command line."""

from __future__ import annotations

import json

import pytest
from kit.definitions import script, workflow


@pytest.fixture
def ana(person, new_service, tmp_path, monkeypatch):
    settings = tmp_path / "settings.json"
    entries = [{"name": name, "type": "engine"} for name in ("here", "there")]
    settings.write_text(json.dumps({"orchestrators": entries}))
    service = new_service(arguments=["--config", settings, "--data-dir", tmp_path / "data"])
    service.start().client().upload(workflow("flow", script("a", "true")))
    monkeypatch.setenv("SLIPWAY_URL", service.url)
    return person


def test_a_workflow_is_run_where_one_says(ana):
    code, _, err = ana.types("run", "flow")
    assert code == 2
    assert err.splitlines() == [
        "slipway: There are several workflows 'flow': use the id, or --orchestrator NAME.",
        "  flow on the orchestrator 'here'",
        "  flow on the orchestrator 'there'",
    ]
    for name in ("here", "there"):
        code, out, _ = ana.types("run", "flow", "--orchestrator", name, "--wait", "-o", "json")
        assert (code, json.loads(out)["orchestrator"]) == (0, name)
    assert ana.types("rerun", "--wait", "-o", "json").code == 0
    code, _, err = ana.types("run", "flow", "--orchestrator", "nowhere")
    assert code == 4
    assert "nowhere" in err


def test_what_is_shown_says_how_it_is_run_there(ana):
    shown = ana.types("show", "flow", "--orchestrator", "there").out.splitlines()
    assert shown[-1] == "Run it   slipway run flow --orchestrator there -f"
