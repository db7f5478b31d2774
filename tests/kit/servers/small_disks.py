"""Accounts of a machine that can write little, or nothing more."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from kit.servers.machine import Machine

_FILL = 'head -c 1G /dev/zero >> "$1/fill"'
_WRAPPER = """#!/bin/sh
[ -e {mark} ] || exec python3 "$@"
exec strace -f -qq -o /dev/null -e inject={calls}:error=EDQUOT python3 "$@"
"""
_CALLS = "mkdir,mkdirat,link,linkat,rename,renameat,renameat2"
"""What a quota that is used up refuses, beside data."""


class ScantDisk(Protocol):
    """A folder of a user in which there is room, or none.

    Attributes:
        path: Of the folder.
        python: The interpreter of its user.
    """

    path: Path
    python: str

    def fill(self) -> None:
        """Let nothing be written any more."""

    def make_room(self) -> None:
        """Let something be written again."""


class SmallDisk:
    """A file system of a few KiB, which can be full."""

    python = "python3"

    def __init__(self, machine: Machine, user: str, path: Path) -> None:
        self._machine, self._user, self.path = machine, user, path

    def fill(self) -> None:
        self._machine.run("sh", "-c", _FILL, "sh", str(self.path), user=self._user)

    def make_room(self) -> None:
        self._machine.run("rm", "-f", str(self.path / "fill"), user=self._user)


class UsedQuota:
    """A folder whose user has used up their quota, as far as their programs can tell: the kernels
    on which tests run know none."""

    def __init__(self, machine: Machine, user: str, path: Path) -> None:
        self._machine, self._user, self.path = machine, user, path
        self._mark = machine.home(user) / "used-up"
        script = _WRAPPER.format(mark=shlex.quote(str(self._mark)), calls=_CALLS)
        wrapper = machine.home(user) / "python"
        self._run("sh", "-c", f"cat > {wrapper}; chmod 755 {wrapper}", stdin=script)
        self.python = str(wrapper)

    def fill(self) -> None:
        self._run("touch", str(self._mark))
        self._end_agents()

    def make_room(self) -> None:
        self._run("rm", "-f", str(self._mark))
        self._end_agents()

    def _end_agents(self) -> None:
        """The next ones begin under the rule of now."""
        self._machine.run("pkill", "--full", "--uid", self._user, "zlib.decompress")

    def _run(self, *command: str, stdin: str = "") -> None:
        ran = self._machine.run(*command, user=self._user, stdin=stdin)
        assert ran.status == 0, ran.stderr


@contextmanager
def small_disk(machine: Machine, user: str) -> Iterator[ScantDisk]:
    """Mount a file system of 2 MiB below the home of a user."""
    path = _made(machine, user)
    options = f"size=2m,uid={machine.uid(user)},mode=700"
    mounted = machine.run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path))
    assert mounted.status == 0, mounted.stderr
    try:
        yield SmallDisk(machine, user, path)
    finally:
        machine.run("umount", "--lazy", str(path))


@contextmanager
def used_quota(machine: Machine, user: str) -> Iterator[ScantDisk]:
    """Have a user's programs told that a quota is used up, whenever it is to be."""
    disk = UsedQuota(machine, user, _made(machine, user))
    try:
        yield disk
    finally:
        disk.make_room()


def _made(machine: Machine, user: str) -> Path:
    path = machine.home(user) / "small"
    machine.run("mkdir", "-p", str(path), user=user)
    return path
