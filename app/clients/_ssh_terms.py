"""What is said about a login over SSH: where to, as whom, within which bounds, and what came."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.errors import UpstreamGarbled, UpstreamRefused

SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class SshTarget:
    """Where to log in, and as whom: what connections are kept for.

    Attributes:
        host: Name or address.
        port: TCP port.
        user: Account there.
        jump: Hosts on the way, the first one first; ways of their own do not count.
        identity: What the key is called, such as its id. Connections that one key opened are never
            used for another one.
    """

    host: str
    user: str
    port: int = SSH_PORT
    jump: tuple[SshTarget, ...] = ()
    identity: str = ""

    def __str__(self) -> str:
        return f"{self.user}@{self.address}"

    @property
    def address(self) -> str:
        """The host, with the port where it is not the usual one, as OpenSSH writes them."""
        return self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"

    @property
    def hops(self) -> tuple[SshTarget, ...]:
        """Every server on the way, the last one being the target."""
        return (*self.jump, self)


@dataclass(frozen=True, slots=True)
class SshCredential:
    """What proves who logs in. It is shown nowhere, and dropped once it was used.

    Attributes:
        private_key: Private key, as OpenSSH or PEM writes it, not encrypted.
        certificate: User certificate of OpenSSH for this key, as one line; None without.
    """

    private_key: str = field(repr=False)
    certificate: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SshLimits:
    """Bounds of a pool, in numbers and in seconds.

    Attributes:
        sessions_per_connection: Commands at once over one connection. A server frees the place of
            a command later than its end is seen, so this stays well below its MaxSessions.
        connections_per_account: Connections at once to one target.
        connections_in_all: Connections at once.
        opens_per_minute: Connections that may be begun to one server within a minute.
        connect_seconds: From the look-up of the name to the end of the login, hops included.
        channel_seconds: For the server to give a session, or to take a command.
        keep_alive_seconds: Silence after which the server is asked for a sign of life.
        silence_seconds: How long the sign may take before the connection counts as dead.
        idle_seconds: How long a connection is kept that nobody uses.
    """

    sessions_per_connection: int = 4
    connections_per_account: int = 2
    connections_in_all: int = 32
    opens_per_minute: int = 20
    connect_seconds: float = 20.0
    channel_seconds: float = 15.0
    keep_alive_seconds: float = 15.0
    silence_seconds: float = 30.0
    idle_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended.

    Attributes:
        exit_status: Its exit status; None where a signal ended it.
        signal: Name of that signal, without SIG.
        stdout: What it wrote there.
        stderr: What it wrote there.
    """

    exit_status: int | None
    stdout: bytes
    stderr: bytes
    signal: str | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """A login that worked.

    Attributes:
        host_key: Fingerprint of the host key, as ``SHA256:...``.
        server: What the server calls itself.
        seconds: How long it took.
    """

    host_key: str
    server: str
    seconds: float


class HostKeyRefused(UpstreamRefused):
    """A server shows a host key that is not the expected one; no key of a user was used.

    Attributes:
        fingerprint: Of the key that it shows, as ``SHA256:...``; empty where that is not told.
        line: The line of a known_hosts file that would accept the key; empty likewise.
    """

    fingerprint: str = ""
    line: str = ""


class LoginRefused(UpstreamRefused):
    """A server refuses the account or its key; or the key, or its certificate, is of no use."""


class OutputTooLarge(UpstreamGarbled):
    """A command writes more than was to be read; it ran, at least in part."""
