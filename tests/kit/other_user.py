"""A real user of this machine, made for tests of commands that run as another one."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from kit.patience import await_that

import app
from app.engine.launchers.base import LauncherContext, NoOptions
from app.engine.launchers.broker_link import HELPER, by_sudo
from app.engine.launchers.run_as import Account, RunAsLauncher

USER = "SLIPWAY_TEST_USER"
"""Variable that names the user of :class:`Rig`, also to the processes that tests begin."""

_NEEDED = (Path(sys.base_prefix), Path(sys.prefix), Path(app.__file__).parents[1])
_OPEN_UP = """
set -e
stash=/run/slipway-tests && mkdir -p "$stash" && mount -t tmpfs -o mode=755 tmpfs "$stash"
open=$1 && shift
for path in $open; do mkdir -p "$stash$path" && mount --bind "$path" "$stash$path"; done
closed=$1 && shift
for path in $closed; do mount -t tmpfs -o mode=755 tmpfs "$path"; done
for path in $open; do mkdir -p "$path" && mount --bind "$stash$path" "$path"; done
exec "$@"
"""


def _closed_above(path: Path) -> Path | None:
    """The highest folder on the way to a path that other users cannot pass."""
    folders = [*reversed(path.parents), path]
    return next((each for each in folders if not each.stat().st_mode & 0o001), None)


def within_reach() -> Sequence[str]:
    """Return a command that runs another one where other users can reach this installation.

    An installation for developers may stand in the home folder of root, which stays as it is: only
    the other command sees another folder there.
    """
    paths = [path for needed in _NEEDED for path in (needed, needed.resolve())]
    closed = {str(folder) for path in paths if (folder := _closed_above(path))}
    if not closed:
        return ()
    needed = dict.fromkeys(str(p) for p in paths if any(p.is_relative_to(c) for c in closed))
    script = ("sh", "-c", _OPEN_UP, "sh", " ".join(needed), " ".join(closed))
    return ("unshare", "--mount", "--", *script)


def obstacle(name: str) -> str:
    """Return why commands cannot run as another user on this machine; nothing if they can."""
    command = (*within_reach(), *by_sudo(name), *HELPER)
    with suppress(OSError):
        tried = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return tried.stderr.decode("utf-8", "replace") if tried.returncode else ""
    return "neither sudo nor unshare is there"


@contextmanager
def made_user(suffix: str = "") -> Iterator[str]:
    """Make a user, and take it away again with all that it runs and has.

    Args:
        suffix: Tells several of them from each other.

    Raises:
        LookupError: That is not possible here; it says why.
    """
    if os.geteuid() != 0 or shutil.which("useradd") is None:
        raise LookupError("only root can make users, with useradd")
    name = f"slipway-{os.getpid()}{suffix}"
    home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/var/tmp"))
    options = ("--system", "--no-create-home", "--home-dir", str(home))
    subprocess.run(
        ["useradd", *options, "--shell", "/usr/sbin/nologin", name], check=True, capture_output=True
    )
    uid = pwd.getpwnam(name).pw_uid
    os.chown(home, uid, -1)
    try:
        if reason := obstacle(name):
            raise LookupError(reason)
        yield name
    finally:
        _end_processes(uid)
        subprocess.run(["userdel", name], check=True, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


def user_of_rig(suffix: str = "") -> Iterator[str]:
    """Be a fixture: make a user for :class:`Rig`, or skip the test, but not where it must run."""
    before = os.environ.get(USER)
    try:
        with made_user(suffix) as name:
            os.environ[USER] = name
            yield name
    except LookupError as exc:
        if os.environ.get("SLIPWAY_REQUIRE_SERVERS") == "1":
            pytest.fail(str(exc))
        pytest.skip(str(exc))
    finally:
        os.environ.pop(USER, None)
        if before is not None:
            os.environ[USER] = before


def _end_processes(uid: int) -> None:
    def none_is_left() -> bool:
        pids = [int(p.name) for p in Path("/proc").glob("[0-9]*") if _is_of(p, uid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    await_that(none_is_left, "the processes of the user have ended")


def _is_of(process: Path, uid: int) -> bool:
    with suppress(OSError):
        lines = process.joinpath("status").read_text().splitlines()
        state = next(line for line in lines if line.startswith("State:")).split()[1]
        uids = next(line for line in lines if line.startswith("Uid:")).split()[1:]
        return str(uid) in uids and state not in "ZX"
    return False


class Rig(RunAsLauncher):
    """The launcher of ``engine.run_as`` with that user, for any folder of that user."""

    @classmethod
    def create(cls, options: NoOptions, context: LauncherContext) -> Rig:
        """Build one whose jobs are in the folder of the service."""
        data_dir = context.data_dir
        name = os.environ[USER]
        through = (*within_reach(), *by_sudo(name))
        return cls(Account(name, data_dir, str(data_dir)), through)
