"""A real Slurm cluster with a real sshd, on a machine of its own."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

from kit.patience import await_that
from kit.servers.machine import Machine, Ran
from kit.servers.processes import unavailable
from kit.servers.slurm_conf import (
    HOST,
    SlurmOptions,
    SlurmPorts,
    gres_conf,
    munge_socket,
    slurm_conf,
    slurmdbd_conf,
    sshd_config,
)

USERS = ("slwuser1", "slwuser2", "slwuser3", "slwuser4", "slwuser5")
ADMIN = "slwadmin"
"""A plain user of the machine, and an administrator for Slurm."""

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "sshd", "ssh-keygen")
_OF_ACCOUNTING = ("mariadbd", "slurmdbd", "sacct")
_USABLE = {"idle", "mixed", "allocated"}
_numbers = count(1)


_PROCESS_STATES = r"""
for each in $(grep -lzx "SLURM_JOB_ID=$1" /proc/[0-9]*/environ 2>/dev/null); do
  sed 's/.*) \(.\) .*/\1/' "${each%environ}stat" 2>/dev/null
done
"""


class SlurmCluster:
    """One cluster; nothing of it outlives :meth:`end`.

    Attributes:
        options: What it is like.
        machine: What all of it runs on.
        name: What Slurm calls it.
        host, port: Where its sshd listens.
        host_key: The public key of its sshd, as ``known_hosts`` has it: type and base64.
        users: Its plain users; they can log in once they are authorized.
        admin_user: The user who may suspend any job and drain nodes, where there is accounting.
    """

    def __init__(self, options: SlurmOptions | None = None) -> None:
        self.options = options or SlurmOptions()
        _find_programs(self.options)
        self.name = f"cluster{os.getpid()}x{next(_numbers)}"
        self.users = USERS
        self.admin_user = ADMIN
        self.machine = Machine(HOST, [*USERS, ADMIN])
        self._ports = SlurmPorts(self.options)
        self.host, self.port = "127.0.0.1", self._ports.sshd
        self._starters: Mapping[str, Callable[..., None]] = {
            "munged": self._start_munged,
            **({"mariadbd": self._start_mariadbd} if self.options.accounting else {}),
            **({"slurmdbd": self._start_slurmdbd} if self.options.accounting else {}),
            "slurmctld": self._start_slurmctld,
            "sshd": self._start_sshd,
            **dict.fromkeys(self.nodes, self._start_slurmd),
        }
        try:
            self._configure()
            self.start_all()
        except BaseException:
            self.end()
            raise

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of its compute nodes; so are their daemons called here."""
        return tuple(self._ports.nodes)

    @property
    def daemons(self) -> tuple[str, ...]:
        """Names for :meth:`start` and :meth:`stop`."""
        return tuple(self._starters)

    @property
    def known_hosts(self) -> str:
        """The line for ``known_hosts``."""
        return f"[{self.host}]:{self.port} {self.host_key}\n"

    def authorize(self, user: str, public_key: str, options: str = "") -> None:
        """Let a public key in as a user, with options of ``authorized_keys``."""
        with self._authorized_keys(user).open("a", encoding="utf-8") as file:
            file.write(f"{options} {public_key.strip()}\n".lstrip())

    def forbid(self, user: str) -> None:
        """Let none of the keys of a user in any more."""
        self._authorized_keys(user).write_text("")

    def run(
        self, *command: str, user: str = USERS[0], stdin: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Ran:  # fmt: skip
        """Run a command as a user, past sshd."""
        return self.machine.run(*command, user=user, stdin=stdin, env=env)

    def admin(self, *command: str) -> str:
        """Run a command of Slurm as root, such as ``scontrol``; it must succeed."""
        ran = self.machine.run(*command)
        assert ran.status == 0, f"{command}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def process_states(self, job_id: int) -> set[str]:
        """Return the states of a job's processes, such as S and T: proc_pid_stat(5)."""
        ran = self.machine.run("sh", "-c", _PROCESS_STATES, "sh", str(job_id))
        return {*ran.stdout.split()}

    def stop(self, daemon: str) -> None:
        """End a daemon; jobs go on without that of their node."""
        self.machine.stop(daemon)

    def start(self, daemon: str, *arguments: str) -> None:
        """Start a daemon where it was, unless it runs; ``-c`` has slurmctld forget its jobs."""
        self._starters[daemon](daemon, *arguments)

    def start_all(self) -> None:
        """Start what does not run, and wait until all nodes take jobs."""
        for daemon in self.daemons:
            self.start(daemon)
        await_that(self._nodes_are_up, "the nodes are up")

    def heal(self) -> None:
        """Bring it back to how it was at first, but for jobs that have ended."""
        for user in [*self.users, self.admin_user]:
            self.machine.set_shell(user, "/bin/bash")
            self.forbid(user)
        for daemon in self.daemons:
            self.start(daemon)
        self.machine.run("scancel", "--hurry", *(f"--user={u}" for u in (*USERS, ADMIN)))
        for user in (*USERS, ADMIN):
            self.machine.run("scancel", f"--user={user}")
        self.machine.run("scontrol", "update", f"nodename={','.join(self.nodes)}", "state=resume")
        await_that(lambda: not self.admin("squeue", "-h"), "all jobs have ended")
        self.start_all()

    def end(self) -> None:
        """End all of it at once, with its jobs."""
        self.machine.end()

    def _nodes_are_up(self) -> bool:
        ran = self.machine.run("sinfo", "-h", "-N", "-p", "urgent", "-o", "%T")
        return ran.status == 0 and [line in _USABLE for line in ran.stdout.split()] == [
            True for _ in self.nodes
        ]

    def _authorized_keys(self, user: str) -> Path:
        return self.machine.home(user) / ".ssh" / "authorized_keys"

    def _configure(self) -> None:
        folder = self.machine.folder
        for name, user in (("munge", "munge"), ("state", "slurm"), ("sshd", "root")):
            (folder / name).mkdir()
            shutil.chown(folder / name, user)
        for node in self.nodes:
            (folder / "spool" / node).mkdir(parents=True)
        key = folder / "munge" / "key"
        key.touch(0o400)
        key.write_bytes(secrets.token_bytes(128))
        shutil.chown(key, "munge")
        host_key = folder / "sshd" / "host_key"
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(host_key)]
        subprocess.run(keygen, check=True)
        self.host_key = " ".join(host_key.with_suffix(".pub").read_text().split()[:2])
        config = sshd_config(folder, self.port, self.options)
        (folder / "sshd" / "config").write_text(config)
        for number in range(2):
            (folder / f"gpu{number}").touch()
        (folder / "gres.conf").write_text(gres_conf(folder))
        conf = folder / "slurm.conf"
        conf.write_text(slurm_conf(self.name, folder, self.options, self._ports))
        self.machine.env["SLURM_CONF"] = str(conf)
        if self.options.accounting:
            (folder / "mariadb").mkdir()
            dbd = folder / "slurmdbd.conf"
            dbd.touch(0o600)
            dbd.write_text(slurmdbd_conf(folder, self._ports))
            shutil.chown(dbd, "slurm")

    def _start_munged(self, name: str) -> None:
        folder = self.machine.folder / "munge"
        command = ["munged", "--foreground", f"--key-file={folder}/key", "--num-threads=4"]
        command += [f"--socket={munge_socket(self.machine.folder)}", f"--seed-file={folder}/seed"]
        command += [f"--pid-file={folder}/pid", f"--log-file={folder}/log"]
        self.machine.begin(name, command, munge_socket(self.machine.folder).exists, user="munge")

    def _start_mariadbd(self, name: str) -> None:
        # Without tables of grants nothing needs to be installed first.
        folder = self.machine.folder / "mariadb"
        command = ["mariadbd", "--no-defaults", "--user=root", f"--datadir={folder}"]
        command += ["--skip-grant-tables", "--bind-address=127.0.0.1"]
        command += [f"--port={self._ports.mariadbd}", f"--socket={folder}/socket"]
        command += ["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M"]
        command += ["--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync"]
        command += ["--innodb-lock-wait-timeout=900"]
        self.machine.begin(name, command, lambda: _listens(self._ports.mariadbd))

    def _start_slurmdbd(self, name: str) -> None:
        if self.machine.is_running(name):
            return
        self.machine.begin(
            name, ["slurmdbd", "-D"], lambda: _listens(self._ports.slurmdbd), user="slurm"
        )
        if not self.admin("sacctmgr", "-nP", "show", "user", ADMIN):
            lines = [f"add cluster {self.name}", "add account lab"]
            lines += [f"add user {','.join(self.users)} account=lab"]
            lines += [f"add user {ADMIN} account=lab adminlevel=admin"]
            ran = self.machine.run("sacctmgr", "-i", stdin="\n".join([*lines, "quit", ""]))
            assert ran.status == 0, ran.stdout + ran.stderr

    def _start_slurmctld(self, name: str, *arguments: str) -> None:
        answers = ("scontrol", "-Q", "ping")
        self.machine.begin(
            name,
            ["slurmctld", "-D", *arguments],
            lambda: self.machine.run(*answers).status == 0,
            user="slurm",
        )

    def _start_slurmd(self, node: str) -> None:
        port = self._ports.nodes[node]
        self.machine.begin(node, ["slurmd", "-D", "-N", node], lambda: _listens(port))

    def _start_sshd(self, name: str) -> None:
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        config = self.machine.folder / "sshd" / "config"
        self.machine.begin(name, [sshd, "-D", "-e", "-f", str(config)], lambda: _listens(self.port))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _find_programs(options: SlurmOptions) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    for program in (*_PROGRAMS, *(_OF_ACCOUNTING if options.accounting else ())):
        if shutil.which(program, path=path) is None:
            unavailable(f"{program} was not found")
    for user in ("munge", "slurm"):
        try:
            pwd.getpwnam(user)
        except KeyError:
            unavailable(f"there is no user {user}")
