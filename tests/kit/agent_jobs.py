"""Jobs as an agent of the launcher ``slurm`` is told of them, and a node that runs them here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.patience import PATIENCE_SECONDS

from app.engine.launchers.frames import read_lines
from app.engine.launchers.shim import records
from app.engine.launchers.slurm.package import job_package, job_script
from app.engine.launchers.slurm.remote import AgentSession


def specification(folder: Path | str, *argv: str, **given: Any) -> dict[str, Any]:
    """Return what the shim of a job is told."""
    return {
        "argv": list(argv),
        "env": {"SLIPWAY_OUTPUT": f"{folder}/{records.OUTPUTS}"},
        "stdin": None,
        "files": [],
        "working_dir": f"{folder}.work",
        "timeout_seconds": None,
        "kill_grace_seconds": 1.0,
        "execution_id": "e1",
        "doorbell": None,
        "umask": 0o022,
        "most_output_bytes": None,
        "stdout": None,
        "stderr": None,
        "capture": None,
        "setup": [],
        "requeue": False,
        **given,
    }


def prepare(session: AgentSession, folder: Path | str, **files: str) -> None:
    """Have a job prepared."""
    job = {
        "folder": str(folder),
        "execution_id": "e1",
        "working_dir": f"{folder}.work",
        "files": files,
    }
    answer = session.call("prepare", {"jobs": [job]}, timeout=PATIENCE_SECONDS)
    assert answer.result == {"jobs": [{}]}


def submit(
    session: AgentSession,
    program: Mapping[str, Any],
    *specifications: tuple[Path | str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Have jobs submitted by a program; return what came of it."""
    jobs = [
        {"folder": str(folder), "mark": f"slw-{Path(folder).name}", "specification": dict(told)}
        for folder, told in specifications
    ]
    asked = {"submissions": [{"program": dict(program), "jobs": jobs}]}
    found: dict[str, Any] = session.call("submit", asked, timeout=PATIENCE_SECONDS).result
    return found["submissions"][0]


def sbatch(script: str, timeout_seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
    """Return a program that stands for sbatch."""
    return {"argv": ["sh", "-c", script], "timeout_seconds": timeout_seconds}


def look(session: AgentSession, folder: Path | str, offset: int = 0) -> tuple[Any, bytes]:
    """Return what is in the folder of a job, and its frames."""
    asked = {"jobs": [{"folder": str(folder), "offset": offset}], "most_bytes": 1 << 20}
    answer = session.call("look", asked, timeout=PATIENCE_SECONDS)
    return answer.result["jobs"][0], answer.data


class Node:
    """A machine on which jobs are begun as Slurm does.

    Args:
        folder: Where the program of jobs is put.
        python: The interpreter.
    """

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self._package = folder / "jobs.pyz"
        self._package.write_bytes(job_package())
        self._python = python

    def begin(
        self, *folders: Path, restarts: int = 0, job_id: int = 7, task: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:  # fmt: skip
        """Begin a job, or a task of an array."""
        script = job_script(self._python, str(self._package), [str(each) for each in folders])
        told = {"SLURM_JOB_ID": str(job_id), "SLURMD_NODENAME": "n1"}
        told |= {"SLURM_RESTART_COUNT": str(restarts)} if restarts else {}
        told |= {"SLURM_ARRAY_TASK_ID": str(task)} if task is not None else {}
        process = subprocess.Popen(
            ["sh", "-s"],
            stdin=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(folders[0]), **told, **(env or {})},
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(script.encode())
        process.stdin.close()
        return process

    def run(self, *folders: Path, **given: Any) -> int:
        """Run a job to its end; return its exit code."""
        return self.begin(*folders, **given).wait(PATIENCE_SECONDS)


def written(folder: Path, *argv: str, **given: Any) -> Path:
    """Make the folder of a job that was submitted."""
    folder.mkdir(parents=True)
    told = specification(folder, *argv, **given)
    folder.joinpath("specification.json").write_text(json.dumps(told))
    return folder


def texts(folder: Path) -> list[str]:
    """Return the lines that were printed."""
    lines, _ = read_lines(folder / records.FRAMES, 0, 1 << 30)
    return [line.text for line in lines]


def result(folder: Path) -> dict[str, Any]:
    """Return how a job ended."""
    found: dict[str, Any] = json.loads(folder.joinpath(records.EXIT).read_text())
    return found
