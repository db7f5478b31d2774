"""Launchers for clusters without the engine, and their jobs; a ``home`` is an execution."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from kit.patience import await_that
from kit.servers.slurm import SlurmCluster
from kit.slurm_launcher import keys_for, slurm_launcher

from app.engine.launchers.base import Job, JobPhase, JobState, Launcher, Watched
from app.store.database import Database

EXECUTIONS = Path("/var/empty/executions")
"""What executions go by here: nothing is there."""


@pytest.fixture
def launcher_of(database: Database, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Make launchers for clusters: ``launcher_of(cluster, keys=None, **options)``."""
    made: list[Any] = []

    def make(cluster: SlurmCluster, keys: Any = None, **options: Any) -> Any:
        given = {"keys": keys or keys_for(cluster), **options}
        made.append(slurm_launcher(cluster, database, EXECUTIONS, tmp_path, **given))
        made[-1].home = EXECUTIONS / uuid.uuid4().hex
        return made[-1]

    yield make
    for each in made:
        each.close()


def job(launcher: Any, *argv: str, attempt: int = 1, **fields: Any) -> Job:
    """Make a job of the execution that the launcher's home is."""
    folder: Path = launcher.home
    given: Mapping[str, Any] = {
        "execution_id": folder.name, "folder": folder / "tasks" / "a" / str(attempt),
        "argv": argv, "working_dir": folder / "work", "env": {}, "kill_grace_seconds": 1.0,
        **fields,
    }  # fmt: skip
    return Job(**given)


def state_of(launcher: Launcher, folder: Path) -> JobState | None:
    """Look at a job; None where nothing is known of it now."""
    return launcher.states([Watched(folder)]).get(folder)


def begun(launcher: Any, *argv: str, **fields: Any) -> Path:
    """Begin a job, and return its folder."""
    made = _ready(launcher, [job(launcher, *argv, **fields)])[0]
    launcher.prepare(made)
    launcher.start(made)
    return made.folder


def many(launcher: Any, count: int, *argv: str, **fields: Any) -> list[Path]:
    """Begin several jobs together, whose ``N`` counts from 0; return their folders."""
    numbers = range(count)
    made = [job(launcher, *argv, attempt=n, env={"N": str(n)}, **fields) for n in numbers]
    assert launcher.prepare_many(_ready(launcher, made)) == {}
    launcher.start_many(made)
    return [each.folder for each in made]


def end(launcher: Launcher, folder: Path) -> JobState:
    """Wait until a job has ended."""

    def exited() -> JobState | None:
        state = state_of(launcher, folder)
        return state if state and state.phase in (JobPhase.EXITED, JobPhase.LOST) else None

    found = await_that(exited, "the job has exited")
    assert found is not None
    return found


def texts(launcher: Launcher, folder: Path) -> list[str]:
    """Read the output of a job."""
    lines, _ = launcher.read(folder, 0, 1 << 20)
    return [line.text for line in lines]


def drain(slurm: SlurmCluster) -> None:
    """Let no node begin anything any more."""
    nodes = f"nodename={','.join(slurm.nodes)}"
    slurm.admin("scontrol", "update", nodes, "state=drain", "reason=x")


def _ready(launcher: Any, jobs: list[Job]) -> list[Job]:
    launcher.place(launcher.home, "ada")
    launcher.make_work_folder(launcher.home / "work", {}, begun=False)
    return jobs
