"""A real sshd on a machine of its own, with keys and certificates of every kind."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit.ports import free_port
from kit.servers.machine import Machine
from kit.servers.processes import unavailable

from app.clients._ssh import SshCredential, SshTarget

USER = "slwuser1"
OTHER = "slwuser2"
HOST = "127.0.0.1"
KEY_TYPES = ("ed25519", "rsa", "ecdsa")


def made_key(path: Path, kind: str = "ed25519") -> Path:
    """Make a key pair, and return where the private part is."""
    _keygen("-t", kind, "-f", str(path), "-N", "", "-C", "test")
    return path


def public(path: Path) -> str:
    """Return the public part of a key: type and base64."""
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


def fingerprint(path: Path) -> str:
    """Return the fingerprint of a key, as OpenSSH tells it."""
    return _keygen("-lf", str(path)).split()[1]


def signed(key: Path, authority: Path, *options: str) -> str:
    """Have an authority sign a key, and return the certificate."""
    _keygen("-s", str(authority), "-I", "test", *options, f"{key}.pub")
    return key.with_name(f"{key.name}-cert.pub").read_text()


class SshServer:
    """One sshd; nothing of it outlives :meth:`end`.

    Args:
        options: More lines of ``sshd_config``; the first value counts.

    Attributes:
        keys: Its host keys by type.
        authority: The key of who may sign keys of users, and of hosts.
    """

    def __init__(self, *options: str) -> None:
        for program in ("sshd", "ssh-keygen"):
            if shutil.which(program) is None:
                unavailable(f"{program} was not found")
        self.machine = Machine("slipway-ssh", [USER, OTHER])
        self.port = free_port()
        self.folder = self.machine.folder / "sshd"
        try:
            self.folder.mkdir()
            self.keys = {kind: made_key(self.folder / f"host_{kind}", kind) for kind in KEY_TYPES}
            self.authority = made_key(self.folder / "authority")
            self.key = made_key(self.folder / "user")
            self.authorize(USER, self.key)
            (self.folder / "revoked").write_text("")
            self.configure(*options)
            self.start()
        except BaseException:
            self.end()
            raise

    @property
    def target(self) -> SshTarget:
        """How the user is logged in."""
        return SshTarget(host=HOST, port=self.port, user=USER)

    def credential(self, key: Path | None = None, certificate: str | None = None) -> SshCredential:
        """Return a private key; that of the user where none is named."""
        return SshCredential((key or self.key).read_text(), certificate)

    def known_hosts(self, kinds: Sequence[str] = KEY_TYPES, port: int | None = None) -> str:
        """Return lines of known_hosts."""
        address = f"[{HOST}]:{port or self.port}"
        return "".join(f"{address} {public(self.keys[kind])}\n" for kind in kinds)

    def authorize(self, user: str, key: Path) -> None:
        """Let a key in as a user."""
        self.let_in(public(key), user)

    def let_in(self, line: str, user: str = USER) -> None:
        """Add a line to ``authorized_keys`` of a user."""
        with (self.machine.home(user) / ".ssh" / "authorized_keys").open("a") as file:
            file.write(f"{line}\n")

    def as_cluster(self, name: str, folder: Path, **more: Any) -> dict[str, Any]:
        """Return the settings of a cluster of which only the login is there.

        Args:
            name: What it is called.
            folder: For the file of host keys.
            more: Options of the launcher.
        """
        known_hosts = folder / "known_hosts"
        known_hosts.write_text(self.known_hosts())
        launcher = {
            "type": "slurm", "host": HOST, "port": self.port, "user": USER,
            "known_hosts": str(known_hosts), **more,
        }  # fmt: skip
        return {"name": name, "type": "engine", "launcher": launcher}

    def revoke(self, key: Path) -> None:
        """Let a key in no more."""
        (self.folder / "revoked").write_text(f"{public(key)}\n")

    def configure(self, *options: str) -> None:
        """Write ``sshd_config``; it counts from the next start on."""
        lines = [
            *options,
            f"ListenAddress {HOST}:{self.port}",
            *(f"HostKey {key}" for key in self.keys.values()),
            f"TrustedUserCAKeys {self.authority}.pub",
            f"RevokedKeys {self.folder}/revoked",
            "PidFile none",
            "UsePAM no",
            "UseDNS no",
            "LogLevel VERBOSE",
            "AuthenticationMethods publickey",
            "PermitRootLogin no",
        ]
        (self.folder / "sshd_config").write_text("\n".join([*lines, ""]))

    def start(self) -> None:
        """Start it, or start it again where it was."""
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", f"{self.folder}/sshd_config"]
        self.machine.begin("sshd", command, self._is_ready)

    def stop(self) -> None:
        """End it; what it has let in goes on."""
        self.machine.stop("sshd")

    def signal_sessions(self, number: signal.Signals) -> None:
        """Send a signal to what serves each connection, such as SIGSTOP; new ones are served."""
        self.machine.run("pkill", f"-{number.name.removeprefix('SIG')}", "-f", "^sshd: slwuser")

    @property
    def log(self) -> str:
        """What it said."""
        return (self.machine.folder / "sshd.out").read_text(errors="replace")

    @property
    def logins(self) -> int:
        """How many there were."""
        return self.log.count("Accepted publickey")

    def end(self) -> None:
        """End it with all that runs on its machine."""
        self.machine.end()

    def _is_ready(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, self.port)):
                return False
            probe.settimeout(5)
            return probe.recv(4) == b"SSH-"


def _keygen(*words: str) -> str:
    return subprocess.run(["ssh-keygen", *words], check=True, capture_output=True, text=True).stdout
