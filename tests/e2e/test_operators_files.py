"""Definitions of operators and of developers, as both work with the real service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from kit.definitions import script, workflow
from kit.service import Service, run_slipway


def put(folder: Path, name: str, content: object) -> Path:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder / name


def test_an_operator_hands_files_over_to_a_developer(start: Callable[..., Service]) -> None:
    service = start()
    client, folder = service.client(), service.workflows_dir
    good = put(folder, "good.yaml", workflow("good", script("a", "true")))
    faulty = put(folder, "faulty.yaml", {"id": "faulty"})
    known = put(folder, "known.yaml", workflow("known", script("a", "true")))
    client.upload(workflow("known", script("uploaded", "true")))
    refused = client.send("DELETE", "/workflows/good")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "(good.yaml)" in refused.json()["detail"]

    command = "import-workflows", "--data-dir", service.data_dir, "--user", "dev"
    done = run_slipway(*command, good, faulty, known)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [f"{good}: 'good' is in the store"]
    assert f"{faulty}: steps: " in done.stderr
    assert f"{known}: There is a workflow 'known' already." in done.stderr

    assert sorted(folder.iterdir()) == [faulty, known]
    assert client.wait(client.launch("good"))["status"] == "SUCCESS"
    assert client.send("DELETE", "/workflows/good").status_code == 204
    assert client.send("GET", "/workflows/good").status_code == 404
    listed = client.get("/workflows")
    assert [w["id"] for w in listed["workflows"]] == ["known"]
    assert [(f["file"], f["offered"]) for f in listed["faulty"]] == [
        ("faulty.yaml", False), ("known.yaml", False),
    ]  # fmt: skip
    assert client.get("/workflows/known")["steps"][0]["name"] == "uploaded"
    assert client.get("/ready")["degraded"] == [
        "workflow_file:faulty.yaml", "workflow_file:known.yaml",
    ]  # fmt: skip
