"""Runs commands on this machine as another user than the service's own."""

from __future__ import annotations

import os
import pwd
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from app.backoff import Backoff
from app.domain import JSON, Usage
from app.engine.launchers.base import (
    Job,
    JobPhase,
    JobState,
    Launcher,
    LauncherCapability,
    LauncherContext,
    NoOptions,
    OutputLine,
    Staging,
)
from app.engine.launchers.broker_link import HELPER, Helper, Link, NotStarted, by_sudo
from app.engine.launchers.frames import parse_frames
from app.engine.launchers.job_records import (
    MAX_EXIT_CODE,
    Process,
    clean_text,
    is_moment,
    losses_of,
    usage_of,
)
from app.engine.launchers.local import LocalLauncher, wake_for_each
from app.engine.launchers.outputs import parse_outputs
from app.engine.model import StreamFile
from app.errors import ConfigError, FieldError, UpstreamError, UpstreamGarbled

_SETTING = "engine.run_as"
_LISTEN_AGAIN = Backoff(first=1.0, longest=60.0)
"""When a listener is started anew that ended, or that could not be started."""

_REMOVE_SECONDS = 0.1
"""How long a folder is removed at once: calls of the helper wait for each other."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user of the commands.

    Attributes:
        name: Name of the user.
        folder: Where the folders of the executions are; that user's, and nobody else's.
        home: Home folder.
    """

    name: str
    folder: Path
    home: str

    @property
    def executions_dir(self) -> Path:
        """Folder of the folders of executions."""
        return self.folder / "executions"

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of commands, with those that name their user set to that one."""
        own = {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}
        return {name: own.get(name, value) for name, value in base.items()}


def find_account(name: str | None, folder: Path | None) -> Account | None:
    """Look up the user of the commands; None if it is the service's own.

    Args:
        name: Value of ``engine.run_as``.
        folder: Value of ``engine.run_as_dir``; the home folder of that user if there is none.

    Raises:
        ConfigError: There is no such user, or commands must not run as that one.
    """
    if name is None:
        if folder is not None:
            raise _fault("is missing, without which run_as_dir has no use")
        return None
    try:
        user = pwd.getpwnam(name)
    except KeyError as exc:
        raise _fault(f"there is no user '{name}' on this machine") from exc
    if user.pw_uid == 0:
        raise _fault("must not be root")
    if user.pw_uid == os.geteuid():
        raise _fault("must be another user than the one that the service runs as")
    return Account(name, (folder or Path(user.pw_dir)).absolute(), user.pw_dir)


def check_account(
    account: Account, secret: Sequence[Path], through: Sequence[str] | None = None
) -> None:
    """See whether commands can run as that user, and cannot read what they should not.

    Nor may they change the program of the service, or a folder above anything of that.

    Args:
        account: The user of the commands.
        secret: Files and folders that it must not be able to read.
        through: Command that runs another one as that user; sudo if None.

    Raises:
        ConfigError: They cannot, or can.
    """
    program = [Path(__file__).parents[2], Path(sys.prefix), Path(sys.executable).parent]
    above = dict.fromkeys(folder for path in (*secret, *program) for folder in path.parents)
    asked = {"secret": list(map(str, secret)), "program": list(map(str, [*program, *above]))}
    command = " ".join(HELPER)
    try:
        helper = Helper(through or by_sudo(account.name), account.folder)
    except NotStarted as exc:
        text = f"the helper '{command}' cannot be run as {account.name} by sudo: {exc}"
        raise _fault(text) from exc
    try:
        found, _ = helper.call({"verb": "access", **asked})
    except (OSError, EOFError, ValueError, RuntimeError, UpstreamError) as exc:
        raise _fault(f"the helper of {account.name} does not answer: {exc!r}") from exc
    finally:
        helper.close()
    for right, verb in (("readable", "read"), ("writable", "change")):
        paths = found.get(right) if isinstance(found, dict) else None
        if not isinstance(paths, list):
            raise _fault(f"the helper of {account.name} does not say what it can {verb}")
        if paths:
            raise _fault(f"{account.name} must not be able to {verb} {paths[0]}")


def _fault(text: str) -> ConfigError:
    return ConfigError("Commands cannot run as another user.", fields=(FieldError(_SETTING, text),))


class RunAsLauncher(Launcher):
    """Has the launcher of this machine do everything, in a helper that runs as another user.

    Folders of jobs belong to that user, and this process never looks into them: it gets bytes from
    the helper, and reads them as what a stranger wrote.

    Args:
        account: The user of the commands.
        through: Command that runs another one as that user; sudo if None.
    """

    honours = LocalLauncher.honours
    capabilities: ClassVar[frozenset[LauncherCapability]] = frozenset({LauncherCapability.PAUSE})

    def __init__(self, account: Account, through: Sequence[str] | None = None) -> None:
        self._folder = account.folder
        self._through = through or by_sudo(account.name)
        self._link = Link(self._through, account.folder)

    @classmethod
    def create(cls, options: NoOptions, context: LauncherContext) -> Self:
        """Build the launcher of the user whom ``engine.run_as`` names."""
        if context.account is None:
            raise _fault("must name the user as whom commands run")
        return cls(context.account)

    def may_use(self, folder: Path) -> bool:
        """Suppose so: into that user's folder only the helper can look."""
        return True

    def make_work_folder(self, folder: Path, files: Mapping[str, str], *, begun: bool) -> None:
        """Have the folder made in which an execution works; see the contract."""
        if begun and self._link.call("has_folder", folder=str(folder))[0] is True:
            return
        arguments = {"folder": str(folder), "files": dict(files), "begun": False}
        try:
            self._link.call("make_work_folder", **arguments)
        except RuntimeError as exc:
            raise OSError(str(exc)) from exc

    def remove_folder(self, folder: Path, seconds: float) -> bool:
        """Have the folder of an execution removed, no longer than others may wait for a call."""
        some = min(seconds, _REMOVE_SECONDS)
        return self._link.call("remove_folder", folder=str(folder), seconds=some)[0] is True

    def stage_in(self, folder: Path, staging: Staging) -> None:
        """Have files looked for that a job needs."""
        self._link.call("stage_in", folder=str(folder), staging=_staging(staging))

    def stage_out(self, folder: Path, staging: Staging) -> None:
        """Have files looked for that a job should have left."""
        self._link.call("stage_out", folder=str(folder), staging=_staging(staging))

    def prepare(self, job: Job) -> None:
        """Have the records of a job written."""
        self._link.call("prepare", **_job(job))

    def start(self, job: Job) -> None:
        """Have a shim set upon a job."""
        self._link.call("start", **_job(job))

    def refuse(self, folder: Path, *, cancelled: bool) -> bool:
        """Have the job's claim taken."""
        return self._link.call("refuse", folder=str(folder), cancelled=cancelled)[0] is True

    def state(self, folder: Path, process: JSON = None) -> JobState:
        """Have a job looked at."""
        told, _ = self._link.call("state", folder=str(folder), process=process)
        try:
            return _state(told)
        except UpstreamGarbled:
            self._link.renew()
            raise

    def read(self, folder: Path, offset: int, limit: int) -> tuple[list[OutputLine], int]:
        """Have frames read, and make lines of them."""
        _, data = self._link.call("read", folder=str(folder), offset=offset, limit=limit)
        lines, size = parse_frames(data)
        return lines, offset + size

    def outputs(self, folder: Path) -> Mapping[str, JSON]:
        """Have the results read, and parse them."""
        return parse_outputs(self._link.call("outputs", folder=str(folder))[1])

    def usage(self, folder: Path) -> Usage | None:
        """Have read what a job takes."""
        return usage_of(self._link.call("usage", folder=str(folder))[0])

    def cancel(self, folder: Path) -> None:
        """Have the end of a job asked for."""
        self._link.call("cancel", folder=str(folder))

    def end(self, folder: Path, process: JSON, *, force: bool) -> None:
        """Have all that has the job's mark ended."""
        self._link.call("end", folder=str(folder), process=process, force=force)

    def pause(self, folder: Path) -> None:
        """Have a job stopped."""
        self._link.call("pause", folder=str(folder))

    def resume(self, folder: Path) -> None:
        """Have a job continued."""
        self._link.call("resume", folder=str(folder))

    def listen(self, wake: Callable[[str], None]) -> None:
        """Answer that user's doorbell by a helper of its own, which is replaced when it ends."""
        thread = threading.Thread(
            target=self._hear, args=(self._listener(), wake), name="doorbell", daemon=True
        )
        thread.start()

    def _listener(self, hung: Process | None = None) -> Helper | None:
        helper = None
        try:
            helper = Helper(self._through, self._folder, hung)
            helper.call({"verb": "listen"})
        except (NotStarted, OSError, EOFError, ValueError, UpstreamError):
            if helper is not None:
                helper.close()
            return None  # calls fail for the same reason, and say so
        return helper

    def _hear(self, helper: Helper | None, wake: Callable[[str], None]) -> None:
        failures, hung = 0, None
        while True:
            if helper is not None:
                failures = 0
                wake_for_each(helper.rings, wake)
                helper.close()
                hung = helper.process
            failures += 1
            time.sleep(_LISTEN_AGAIN.pause(failures))
            helper = self._listener(hung)


def _staging(staging: Staging) -> dict[str, Any]:
    return {**asdict(staging), "folder": str(staging.folder)}


def _job(job: Job) -> dict[str, Any]:
    fields = {name: getattr(job, name) for name in _JOB_FIELDS}
    for name in map(str, StreamFile):
        place = getattr(job, name)
        fields[name] = place and {"folder": str(place.folder), "path": place.path}
    return {**fields, "folder": str(job.folder), "working_dir": str(job.working_dir)}


_JOB_FIELDS = (
    *("execution_id", "argv", "env", "files", "stdin"),
    *("timeout_seconds", "kill_grace_seconds", "most_output_bytes"),
)


def _state(told: JSON) -> JobState:
    """Read a state that a stranger may have made up.

    Raises:
        UpstreamGarbled: It is none.
    """
    if not isinstance(told, dict):
        raise _garbled()
    fields: dict[str, Any] = {name: told.get(name) for name in _STATE}
    if not all(is_right(fields[name]) for name, is_right in _STATE.items()):
        raise _garbled()
    process = Process.load(told.get("process"))
    for name in ("node", "reason", "fault"):
        fields[name] = fields[name] and clean_text(fields[name])
    fields["phase"] = JobPhase(fields["phase"])
    usage, losses = usage_of(told.get("usage")), losses_of(told.get("losses"))
    return JobState(**fields, process=process and process.dump(), usage=usage, losses=losses)


def _garbled() -> UpstreamGarbled:
    return UpstreamGarbled("The helper that acts as the user of the commands tells no state.")


def _is_text(value: JSON) -> bool:
    return value is None or isinstance(value, str)


def _is_flag(value: JSON) -> bool:
    return isinstance(value, bool)


def _is_exit_code(value: JSON) -> bool:
    return value is None or (type(value) is int and 0 <= value <= MAX_EXIT_CODE)


_STATE: Mapping[str, Callable[[JSON], bool]] = {
    "phase": lambda value: isinstance(value, str) and value in set(JobPhase),
    "node": _is_text,
    "pause_asked": _is_flag,
    "lingers": _is_flag,
    "exit_code": _is_exit_code,
    "timed_out": _is_flag,
    "cancelled": _is_flag,
    "started_at": is_moment,
    "finished_at": is_moment,
    "reason": _is_text,
    "fault": _is_text,
}
