"""Ending, stopping and continuing jobs of a cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import structlog

from app.clients.slurm import control
from app.clients.slurm.control import Effect
from app.domain import JSON
from app.engine.launchers.slurm.accounts import ClusterAccount
from app.engine.launchers.slurm.faults import entries
from app.engine.launchers.slurm.logins import Login, Logins
from app.engine.launchers.slurm.places import Places
from app.engine.launchers.slurm.programs import Finished, finished, program, run
from app.engine.launchers.slurm.rounds import Known, Rounds

log = structlog.get_logger(__name__)

_JOB: Final = re.compile(r"[0-9]{1,18}(?:_[0-9]{1,18})?")
_MOST_BYTES: Final = 4096
_FILE_SECONDS: Final = 60.0
"""For what only touches files: those of clusters can be slow."""


class Steering:
    """Acts upon jobs. Threads may share it.

    Each request is left in the folder of the job first, where its shim finds it however late; what
    Slurm is told beside that makes it work sooner, or for what the shim does not see.

    Args:
        places: Where the folders of jobs are.
        logins: Logs in to accounts.
        rounds: Looks at jobs.
        admin: The account that may suspend jobs; None without.
        timeout: Seconds for a command of Slurm.
    """

    def __init__(
        self,
        places: Places,
        logins: Logins,
        rounds: Rounds,
        admin: ClusterAccount | None,
        timeout: float,
    ) -> None:
        self._places = places
        self._logins = logins
        self._rounds = rounds
        self._admin = admin
        self._timeout = timeout

    def cancel(self, folder: Path) -> None:
        """Ask for the end of a job; idempotent.

        A job that runs ends by its shim, which gives the command its time; one that stands still
        goes on for that. One that waits is taken out of the queue; where it begins at the same
        moment, its shim finds the request.

        Raises:
            SlipwayError: It cannot be asked for now.
        """
        login, known = self._rounds.see(folder)
        look = known.look
        if look.name is None or look.result is not None:
            self._request("cancel", login, known, None)
        elif look.claim is None:
            mark = look.submission.mark if look.submission else None
            self._request("cancel", login, known, control.scancel(look.name, mark))
        else:
            self._request("cancel", login, known, None)
            if look.pause_asked:
                self._let_go(login, look.name)

    def end(self, folder: Path, process: JSON, *, force: bool) -> None:
        """Have Slurm end a job of which nothing else is left than its id."""
        job = process.get("job") if isinstance(process, dict) else None
        if not isinstance(job, str) or not _JOB.fullmatch(job):
            return
        login, _ = self._places.find(folder)
        self._run(login, control.scancel(job))

    def pause(self, folder: Path) -> None:
        """Stop a job that runs, and hold one that waits; idempotent.

        Raises:
            SlipwayError: It cannot be asked for now.
        """
        self._stop_or_go("pause", folder)

    def resume(self, folder: Path) -> None:
        """Let a job go on; idempotent.

        Raises:
            SlipwayError: It cannot be asked for now.
        """
        self._stop_or_go("resume", folder)

    def _let_go(self, login: Login, job: str) -> None:
        """Let a job go on that stands still."""
        if self._admin is None:
            self._run(login, control.signal_all(job, "CONT"))
        else:
            self._run(self._logins.of(self._admin), control.scontrol("resume", job))

    def _stop_or_go(self, verb: str, folder: Path) -> None:
        login, known = self._rounds.see(folder)
        look = known.look
        if look.name is None or look.result is not None:
            self._request(verb, login, known, None)
            return
        job, stops = look.name, verb == "pause"
        if look.claim is None:
            argv = control.scontrol("hold" if stops else "release", job)
            self._request(verb, login, known, argv)
        elif self._admin is None:
            argv = control.signal_all(job, "STOP" if stops else "CONT")
            self._request(verb, login, known, argv)
        else:
            self._request(verb, login, known, None)
            argv = control.scontrol("suspend" if stops else "resume", job)
            self._run(self._logins.of(self._admin), argv)

    def _run(self, login: Login, argv: list[str]) -> None:
        _check(argv, run(login, argv, {}, timeout=self._timeout, most_bytes=_MOST_BYTES))

    def _request(self, verb: str, login: Login, known: Known, argv: list[str] | None) -> None:
        """Leave a request in the folder of a job, or take it back, and then run a command."""
        then = None if argv is None else program(argv, {}, self._timeout)
        arguments = {"jobs": [{"folder": known.path, "program": then}]}
        answer = login.agent.call(verb, arguments, timeout=self._timeout + _FILE_SECONDS)
        ran = entries(answer.result, "jobs", verb)[0]
        if argv is not None:
            _check(argv, finished(ran))


def _check(argv: list[str], ran: Finished) -> None:
    """Note a command that failed: its request stands, and the shim follows it all the same."""
    if (found := control.effect(ran.code, ran.errors)) is not Effect.DONE:
        log.warning(
            "a command of Slurm failed", argv=argv, code=ran.code, stderr=ran.errors, as_=found
        )
