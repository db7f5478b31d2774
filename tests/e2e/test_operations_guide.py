"""What the manual of operators says to do, done."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.definitions import script, workflow
from kit.guides import blocks, run_block
from kit.service import Service

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")


def block(mark: str, language: str = "sh") -> str:
    [found] = [each for each in blocks(PAGE, language) if mark in each]
    return found


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine; see .ci/install-servers")
    program = tmp_path / "slipway"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = block("[Unit]", "ini").replace("/opt/slipway/bin/slipway", str(program))
    text = text.replace("=slipway\n", "=root\n", 2)  # User and Group, who must exist
    unit = tmp_path / "slipway.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    told = [line for line in done.stderr.splitlines() if "slipway.service" in line]
    assert (done.returncode, told) == (0, []), done.stderr


def run(block: str, data: Path, backup: Path) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("no sqlite3 on this machine; see .ci/install-servers")
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        env={"PATH": "/usr/bin:/bin", "DATA": str(data), "BACKUP": str(backup)}, check=True,
    )  # fmt: skip


def test_a_backup_of_a_running_service_brings_back_what_was_there(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    service, backup = start(), tmp_path / "backup"
    client = service.client()
    before = client.run(workflow("before", script("a", "echo kept")))
    client.wait(before, "SUCCESS")
    run(block("# backup (SQLite)"), service.data_dir, backup)
    after = client.run(workflow("after", script("a", "echo lost")))
    client.wait(after, "SUCCESS")
    service.stop()
    run(block("# restore (SQLite)"), service.data_dir, backup)
    service.start()
    client = service.client()
    assert client.lines(before, "a") == ["kept"]
    assert [each["id"] for each in client.get("/executions")["executions"]] == [before]
    with sqlite3.connect(service.data_dir / "slipway.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_what_has_ended_is_purged_by_who_has_it_and_from_a_shell(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    service = start()
    client = service.client()
    mine, by_id, young = (client.run(workflow("w", script("a", "true"))) for _ in range(3))
    for execution in (mine, by_id, young):
        client.wait(execution, "SUCCESS")
    run_block(block("?purge=true"), tmp_path, URL=service.url, EXECUTION=mine)
    assert client.send("GET", f"/executions/{mine}").status_code == 410
    [known] = re.findall(r"slipway purge ([0-9a-f-]{36})", block("slipway purge"))
    lines = block("slipway purge").replace(known, by_id)
    data = str(service.data_dir)
    run_block(lines, tmp_path, SLIPWAY_DATA_DIR=data, DATA=data)
    assert client.send("GET", f"/executions/{by_id}").status_code == 410
    assert client.get(f"/executions/{young}")["state"] == "SUCCESS"
