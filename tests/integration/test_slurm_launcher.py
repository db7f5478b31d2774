"""The launcher ``slurm`` and a real cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.patience import await_that
from kit.slurm_launcher import keys_for, slurm_launcher
from kit.thrift import make_tables

from app.engine.launchers.base import Job, JobPhase, Watched
from app.store.database import Database

EXECUTIONS = Path("/var/empty/executions")


@pytest.fixture
def database(tmp_path):
    url = f"sqlite:///{tmp_path}/slipway.db"
    make_tables(url)
    made = Database(url)
    yield made
    made.dispose()


@pytest.fixture
def launcher(slurm, database, tmp_path):
    launcher = slurm_launcher(slurm, database, EXECUTIONS, tmp_path, keys=keys_for(slurm))
    yield launcher
    launcher.close()


def job(*argv, attempt=1, **fields) -> Job:
    folder = EXECUTIONS / "e1"
    return Job(
        **{
            "execution_id": "e1",
            "folder": folder / "tasks" / "a" / str(attempt),
            "argv": argv,
            "working_dir": folder / "work",
            "env": {},
            "kill_grace_seconds": 1.0,
            **fields,
        }
    )


def begun(launcher, *argv, **fields):
    launcher.place(EXECUTIONS / "e1", "ada")
    launcher.make_work_folder(EXECUTIONS / "e1" / "work", {}, begun=False)
    made = job(*argv, **fields)
    launcher.prepare(made)
    launcher.start(made)
    return made.folder


def end(launcher, folder):
    def exited():
        state = launcher.states([Watched(folder)]).get(folder)
        return state if state and state.phase in (JobPhase.EXITED, JobPhase.LOST) else None

    return await_that(exited, "the job has exited")


def texts(launcher, folder):
    lines, _ = launcher.read(folder, 0, 1 << 20)
    return [line.text for line in lines]


def test_a_command_runs_as_a_job(launcher):
    folder = begun(launcher, "bash", "-c", "echo $SLURM_JOB_ID; echo done=1 > $SLIPWAY_OUTPUT")
    state = end(launcher, folder)
    assert (state.phase, state.exit_code, state.reason) == (JobPhase.EXITED, 0, None), state
    assert texts(launcher, folder)[0].isdigit()
    assert launcher.outputs(folder) == {"done": "1"}
    assert state.node
