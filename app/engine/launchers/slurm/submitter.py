"""Having jobs written down and submitted: several of one step as one array."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from app.clients.slurm.submission import Outcome, submitted
from app.domain import JSON
from app.engine.launchers.base import Job
from app.engine.launchers.shim.records import unrun
from app.engine.launchers.slurm.faults import entries, fault_of
from app.engine.launchers.slurm.logins import Login
from app.engine.launchers.slurm.options import SlurmOptions
from app.engine.launchers.slurm.package import job_script
from app.engine.launchers.slurm.places import Places
from app.engine.launchers.slurm.submitting import ENVIRONMENT, There, command_line, specify
from app.errors import InvalidRequest, SlipwayError, UpstreamRefused, UpstreamUnreachable

MOST_TASKS: Final = 1000
"""Of an array: Slurm's MaxArraySize is 1001 by default, and task numbers stay below it."""
_FILE_SECONDS: Final = 60.0
"""For what only touches files: those of clusters can be slow."""
_JOB_SECONDS: Final = 0.1
"""More of that for each job: several files of it are brought to the disk."""
_MARK_LETTERS: Final = 32


def mark_of(folders: Sequence[Path]) -> str:
    """Return the name that a job, or an array of jobs, has in Slurm, and no other ever has.

    Args:
        folders: Those of the jobs, below that of all executions.
    """
    text = "\n".join(map(str, folders))
    return "slw-" + hashlib.sha256(text.encode()).hexdigest()[:_MARK_LETTERS]


class Submitter:
    """Has jobs submitted. Threads may share it.

    A submission of which nobody knows what came of it is none that failed: its job is looked for
    by its name, see :class:`app.engine.launchers.slurm.rounds.Rounds`.

    Args:
        places: Where the folders of jobs are.
        options: Of the cluster.
    """

    def __init__(self, places: Places, options: SlurmOptions) -> None:
        self._places = places
        self._options = options

    def prepare(self, jobs: Sequence[Job]) -> dict[Path, SlipwayError]:
        """Have the records of jobs of one execution written.

        Returns:
            Why some of them can never be submitted, by folder.

        Raises:
            SlipwayError: It cannot be done now.
        """
        login, _ = self._places.find(jobs[0].folder)
        refused: dict[Path, SlipwayError] = {}
        fit, written = [], []
        for job in jobs:
            try:
                command_line(job.resources, mark_of([]), self._options)
                written.append(self._record(login, job))
            except InvalidRequest as exc:
                refused[job.folder] = exc
            else:
                fit.append(job)
        if not fit:
            return refused
        told = login.agent.call(
            "prepare", {"jobs": written}, timeout=_FILE_SECONDS + _JOB_SECONDS * len(fit)
        )
        found = entries(told.result, "jobs", "prepare", len(fit), raises=False)
        for job, entry in zip(fit, found, strict=True):
            if "error" in entry:
                fault = fault_of(entry["error"], "prepare")
                if not isinstance(fault, InvalidRequest | UpstreamRefused):
                    raise fault
                refused[job.folder] = fault
        return refused

    def _record(self, login: Login, job: Job) -> dict[str, JSON]:
        return {
            "folder": self._places.path_for(login.account.user, job.folder),
            "execution_id": job.execution_id,
            "working_dir": self._places.path_for(login.account.user, job.working_dir),
            "files": dict(job.files),
        }

    def submit(self, jobs: Sequence[Job]) -> None:
        """Have prepared jobs of one step submitted, as one array where they are several.

        Raises:
            SlipwayError: Some were surely not submitted.
        """
        for begin in range(0, len(jobs), MOST_TASKS):
            some = jobs[begin : begin + MOST_TASKS]
            told = self._submit(some)
            states = [outcome.get("state") for outcome in told]
            # Some were submitted before, so that there is no array of all of them.
            left = [job for job, state in zip(some, states, strict=True) if state == "prepared"]
            if left and len(left) < len(some):
                for job in left:
                    self._submit([job])

    def _submit(self, jobs: Sequence[Job]) -> list[dict[str, JSON]]:
        login, _ = self._places.find(jobs[0].folder)
        user = login.account.user
        paths = [self._places.path_for(user, job.folder) for job in jobs]
        mark = mark_of([self._places.below(job.folder) for job in jobs])
        there = There(login.root, login.umask, partial(self._places.path_for, user))
        count = len(jobs) if len(jobs) > 1 else None
        program = {
            "argv": command_line(jobs[0].resources, mark, self._options, count),
            "timeout_seconds": self._options.command_timeout,
            "env": dict(ENVIRONMENT),
            "stdin": job_script(self._options.python, login.package, paths),
        }
        asked = [
            {"folder": path, "mark": mark, "specification": specify(job, there, self._options)}
            for job, path in zip(jobs, paths, strict=True)
        ]
        answer = login.agent.call(
            "submit",
            {"submissions": [{"program": program, "jobs": asked}]},
            timeout=self._options.command_timeout + _FILE_SECONDS + _JOB_SECONDS * len(jobs),
        )
        return self._note(login, paths, entries(answer.result, "submissions", "submit")[0])

    def _note(
        self, login: Login, paths: Sequence[str], told: Mapping[str, JSON]
    ) -> list[dict[str, JSON]]:
        """Take note of what came of a submission; return what that is for each job."""
        outcomes = entries(told, "jobs", "submit", len(paths))
        ran = told.get("ran")
        if not isinstance(ran, dict):
            return outcomes
        states = [outcome.get("state") for outcome in outcomes]
        if all(state == "prepared" for state in states):
            why = str(ran.get("stderr", ""))[:500]
            raise UpstreamUnreachable("The command sbatch cannot be begun.", detail=why)
        failed = [
            path
            for path, each in zip(paths, outcomes, strict=True)
            if each.get("state") == "failed"
        ]
        if not failed:
            return outcomes
        found = submitted(ran.get("code"), ran.get("stdout", ""), ran.get("stderr", ""))
        if found.outcome is Outcome.REFUSED:
            end = unrun(126, f"the cluster refused it: {found.reason}")
            ended = [{"folder": path, "exit": end} for path in failed]
            answer = login.agent.call("conclude", {"jobs": ended}, timeout=_FILE_SECONDS)
            entries(answer.result, "jobs", "conclude")
        return outcomes
