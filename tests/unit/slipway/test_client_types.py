"""The client is typed for those who use it: their scripts are checked as they check them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import slipway

SCRIPT = """\
from datetime import datetime
from typing import assert_type

from slipway import (
    Client, Execution, ExecutionFailed, InvalidInput, Level, LogEntry, Status, TaskStatus, Token,
    Workflow,
)


def main() -> None:
    with Client("https://slipway.example.org", Token("t")) as client:
        assert_type(client, Client)
        for workflow in client.workflows():
            assert_type(workflow, Workflow)
            print(workflow.name, [each.type for each in workflow.inputs])
        try:
            execution = client.workflow("diamond").run({"a": 1}, n=3, labels={"grid": "fine"})
        except InvalidInput as exc:
            print([fault.path for fault in exc.fields], exc.status + 1, exc.problem["detail"])
            return
        assert_type(execution, Execution)
        for entry in execution.follow(level="warn", step="low", after=3):
            assert_type(entry, LogEntry)
            assert_type(entry.index, int)
            assert_type(entry.level, Level)
            assert_type(entry.timestamp, datetime)
            if entry.level >= Level.ERROR:
                print(entry.content.upper())
        try:
            execution.wait(timeout=60, check=True)
        except ExecutionFailed as exc:
            assert_type(exc.execution, Execution)
        assert_type(execution.status, Status)
        print([task.name for task in execution.tasks if task.status is TaskStatus.FAILED])
        print(sum(1 for each in client.executions(status=Status.FAILED) if each.progress > 0.5))
        print([entry.content for entry in execution.logs(level=Level.DEBUG)], execution.outputs)
"""
WRONG = {
    'Client("http://x", "token")': "arg-type",
    'Client("http://x").workflow("w").run(3)': "arg-type",
    'len(Client("http://x").executions())': "arg-type",
    'Client("http://x").execution("i").wait(check="no")': "arg-type",
    'Client("http://x").execution("i").colour': "attr-defined",
}


def checked(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    file = folder / "script.py"
    file.write_text(script, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent",
         f"--cache-dir={folder / 'cache'}", str(file)],
        cwd=folder, env={"MYPYPATH": str(Path(slipway.__file__).parents[1]), "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_script_of_a_user_is_right_and_wrong_ones_are_found(tmp_path):
    assert (Path(slipway.__file__).parent / "py.typed").exists()
    done = checked(tmp_path, SCRIPT)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = ["from slipway import Client", *WRONG]
    told = checked(tmp_path, "\n".join(lines)).stdout.splitlines()
    for number, kind in enumerate(WRONG.values(), 2):
        assert any(f"script.py:{number}: error" in line and f"[{kind}]" in line for line in told), (
            told
        )
