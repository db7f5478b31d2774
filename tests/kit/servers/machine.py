"""A machine of its own on loopback: its users, its processes and its mounts are nobody else's.

It shares the network and the files of the machine of the tests. No user is made on that one: the
machine has a list of users of its own.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kit.patience import PATIENCE_SECONDS, await_that
from kit.servers.processes import ServerProcess, children_of, unavailable

_FIRST_UID = 61_001
_GROUP = 61_000
_SERVICE_USERS = ("root", "daemon", "nobody", "sshd", "munge", "slurm")
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
# The first process of a machine: it takes leave of the orphans, which would be zombies else.
_FIRST = """
mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd || exit
mount --bind "$1/etc" /etc || exit
hostname "$2" || exit
echo ready
exec python3 -S -c '
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
while signal.sigwait([signal.SIGCHLD]):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
'
"""


@dataclass(frozen=True)
class Ran:
    """What came of a command.

    Attributes:
        status: Its exit status, negative where a signal ended it.
    """

    status: int
    stdout: str
    stderr: str


class Machine:
    """One machine; nothing of it outlives :meth:`end`, or the tests, whatever ends these.

    Args:
        name: Its host name.
        users: Names of its plain users, each with a home folder and a key to be let in by.

    Attributes:
        folder: Everything of it; every user may look into it.
        env: Variables of each command, beside PATH.
    """

    def __init__(self, name: str, users: Sequence[str]) -> None:
        if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("nsenter") is None:
            unavailable("only root makes machines of its own, with unshare and nsenter")
        # pytest's own folders are closed to other users, and too long for a socket's name.
        self.folder = Path(tempfile.mkdtemp(prefix="slipway-machine-"))
        self.folder.chmod(0o755)
        self.env: dict[str, str] = {}
        self._uids = {user: _FIRST_UID + number for number, user in enumerate(users)}
        self._shells = dict.fromkeys(users, "/bin/bash")
        for user in users:
            self._make_home(user)
        # All of /etc: a list that is mounted by itself is gone when somebody else replaces theirs.
        self._etc = self.folder / "etc"
        subprocess.run(["cp", "-a", "/etc", self._etc], check=True)
        self._write_users()
        (self._etc / "hosts").write_text(f"127.0.0.1 localhost {name}\n")
        self._servers: dict[str, ServerProcess] = {}
        command = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += ["sh", "-c", _FIRST, "sh", str(self.folder), name]
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "KILL", *command]
        self._outer = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self._outer.stdout is not None
        if self._outer.stdout.readline().strip() != "ready":
            _, why = self._outer.communicate()
            shutil.rmtree(self.folder)
            unavailable(f"this machine gives no namespaces ({why.strip()})")
        first = children_of(self._outer.pid)[0]
        self._within = ["nsenter", "--target", str(first), "--mount", "--uts", "--pid", "--"]

    @property
    def users(self) -> tuple[str, ...]:
        """Its plain users."""
        return tuple(self._uids)

    def uid(self, user: str) -> int:
        """Return the number of one of its plain users."""
        return self._uids[user]

    def home(self, user: str) -> Path:
        """Return the home folder of a user, whose path is the same outside."""
        return self.folder / "home" / user

    def set_shell(self, user: str, shell: str) -> None:
        """Give a user another login shell."""
        self._shells[user] = shell
        self._write_users()

    def run(
        self,
        *command: str,
        user: str = "root",
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        seconds: float = PATIENCE_SECONDS,
    ) -> Ran:
        """Run a command there and wait for its end."""
        home = "/root" if user == "root" else str(self.home(user))
        full = {"PATH": _PATH, "HOME": home, "USER": user, **self.env, **(env or {})}
        through = [*self._within, "env", "-C", home]
        if user != "root":
            number = str(self._uids[user])
            through += ["setpriv", f"--reuid={number}", f"--regid={_GROUP}", "--clear-groups"]
        done = subprocess.run(
            [*through, *command], input=stdin, env=full, timeout=seconds, text=True,
            check=False, capture_output=True, errors="surrogateescape",
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def begin(
        self,
        name: str,
        command: Sequence[str],
        ready: Callable[[], bool],
        *,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start a server there, unless it runs, and wait until it takes requests."""
        if self.is_running(name):
            return
        prepared = ["env", "-C", str(self.folder)]
        prepared += [f"{key}={value}" for key, value in self.env.items()]
        self._servers[name] = ServerProcess(
            command, log=self.folder / f"{name}.out", ready=ready, stop_signal=stop_signal,
            user=user, through=[*self._within, *prepared],
        )  # fmt: skip

    def is_running(self, name: str) -> bool:
        """Return whether one of its servers is there."""
        return name in self._servers and self._servers[name].lives

    def pid(self, name: str) -> int:
        """Return the process of one of its servers, as the machine of the tests counts."""
        return self._servers[name].pid

    def send(self, name: str, number: signal.Signals) -> None:
        """Send one of its servers a signal, such as SIGSTOP."""
        self._servers[name].send(number)

    def stop(self, name: str) -> None:
        """End one of its servers; on return it is gone."""
        if name in self._servers:
            self._servers[name].send(signal.SIGCONT)
            self._servers.pop(name).stop()

    def end(self) -> None:
        """End all that runs there, at once, and remove its folder."""
        self._outer.kill()
        self._outer.communicate()
        for name in list(self._servers):
            self.stop(name)
        await_that(self._remove, "the folder of the machine is gone")

    def _remove(self) -> bool:
        with suppress(OSError):
            shutil.rmtree(self.folder)
        return not self.folder.exists()

    def _make_home(self, user: str) -> None:
        home = self.folder / "home" / user
        (home / ".ssh").mkdir(parents=True)
        (home / ".ssh" / "authorized_keys").touch(0o600)
        for path in (home, home / ".ssh", home / ".ssh" / "authorized_keys"):
            os.chown(path, self._uids[user], _GROUP)
        home.chmod(0o700)
        (home / ".ssh").chmod(0o700)

    def _write_users(self) -> None:
        """Write the lists of users and groups."""
        services = []
        for name in _SERVICE_USERS:
            with suppress(KeyError):
                found = pwd.getpwnam(name)
                ids = f"{found.pw_uid}:{found.pw_gid}"
                services.append(f"{name}:*:{ids}::{found.pw_dir}:{found.pw_shell}")
        plain = [
            f"{user}:*:{uid}:{_GROUP}::{self.home(user)}:{self._shells[user]}"
            for user, uid in self._uids.items()
        ]
        groups = [f"{line.split(':')[0]}:*:{line.split(':')[3]}:" for line in services]
        groups += [f"users:*:{_GROUP}:", "tty:*:5:"]
        (self._etc / "passwd").write_text("\n".join([*services, *plain, ""]))
        (self._etc / "group").write_text("\n".join([*groups, ""]))
