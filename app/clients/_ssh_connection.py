"""One connection to an account, through the hosts on the way, and the sessions over it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from paramiko import Channel
from paramiko.ssh_exception import ChannelException, SSHException

from app.clients._ssh_dial import Patience, dial
from app.clients._ssh_hosts import HostKeys
from app.clients._ssh_login import log_in
from app.clients._ssh_terms import SshCredential, SshLimits, SshTarget
from app.clients._ssh_wire import Wire
from app.errors import UpstreamUnreachable

_LONGEST_ENDING_SECONDS = 5.0
"""How long a connection is waited for that is to end."""


class SessionRefused(Exception):
    """The server gives no further session now; nothing was sent."""


class Connection:
    """Carries sessions. What counts them, and who may use it, is the pool's.

    Args:
        target: The account.
        limits: Bounds.

    Attributes:
        sessions: How many places are taken.
        running: How many of them have a session.
        room: How many there are, as far as is known.
        room_at: When less room was found than there should be.
        barren_at: Since when the server gives no session though none runs; None where it does.
        used_at: When a place was last given back.
        retired: It takes no further session.
        host_key: Fingerprint of the host key of the target.
    """

    def __init__(self, target: SshTarget, limits: SshLimits) -> None:
        self.target = target
        self.sessions = 0
        self.running = 0
        self.room = limits.sessions_per_connection
        self.room_at = 0.0
        self.barren_at: float | None = None
        self.used_at = time.monotonic()
        self.retired = False
        self.host_key = ""
        self.patience = Patience(limits.connect_seconds, f"The connection to {target}")
        self._limits = limits
        self._wires: list[Wire] = []
        self._socket: socket.socket | None = None
        self._opening = threading.Lock()  # paramiko keeps one exception for all who open
        self._overdue: dict[object, float] = {}
        self._is_aborted = False

    @property
    def wire(self) -> Wire:
        """The connection to the target itself."""
        return self._wires[-1]

    @property
    def is_usable(self) -> bool:
        """Whether it may take a session."""
        return not self.retired and all(wire.is_active() for wire in self._wires)

    @property
    def server(self) -> str:
        """What the server calls itself."""
        return str(self.wire.remote_version)[:200]

    def connect(
        self,
        host_keys: HostKeys,
        credential: Callable[[], SshCredential],
        allow: Callable[[SshTarget], None],
    ) -> None:
        """Connect and log in, hop by hop.

        Args:
            host_keys: What is known of the servers.
            credential: Gives the key, at each hop anew.
            allow: Called before each hop; raises where it may not be tried now.

        Raises:
            UpstreamUnreachable: Nothing was sent; later it may work.
            UpstreamRefused: A host key, or a login, is refused.
        """
        try:
            for hop in self.target.hops:
                allow(hop)
                self._hop(hop, host_keys, credential)
        except BaseException:
            self.abort()
            raise
        for wire in self._wires:
            wire.keep_alive(self._limits.keep_alive_seconds)

    def open_session(self, patience: Patience) -> Channel:
        """Open a session.

        Raises:
            SessionRefused: The server gives none now.
            UpstreamUnreachable: The connection is of no use any more, or the time is over.
        """
        if not self._opening.acquire(timeout=patience.left):
            patience.check("others open sessions over the same connection")
            raise SessionRefused
        try:
            seconds = max(0.1, min(patience.left, self._limits.channel_seconds))
            with self.within(seconds + _LONGEST_ENDING_SECONDS):
                return self.wire.open_session(timeout=seconds)
        except ChannelException as exc:
            raise SessionRefused from exc
        except (SSHException, EOFError, OSError) as exc:
            self.retired = True
            raise UpstreamUnreachable(
                f"The connection to {self.target} was lost before the command was sent.",
                detail=f"{type(exc).__name__}: {exc}",
                retry_after_seconds=1.0,
            ) from None
        finally:
            self._opening.release()

    def within(self, seconds: float) -> _Within:
        """Bound what may hang in the system: what outlasts it ends with the whole connection."""
        return _Within(self, seconds)

    def end(self, channel: Channel) -> None:
        """Close a session."""
        sending = self.wire.sending.get(channel.chanid)
        is_held = sending is not None and sending.acquire(timeout=_LONGEST_ENDING_SECONDS)
        try:
            with self.within(_LONGEST_ENDING_SECONDS), suppress(SSHException, EOFError, OSError):
                channel.close()
        finally:
            if sending is not None and is_held:
                sending.release()
        self.wire.forget(channel)

    def fault(self) -> str | None:
        """Return why the connection is to be ended by force; None where nothing is wrong."""
        now = time.monotonic()
        if any(wire.silent_seconds > self._limits.silence_seconds for wire in self._wires):
            return "it gives no sign of life"
        if any(ends_at < now for ends_at in list(self._overdue.values())):
            return "nothing can be sent over it"
        return None

    def abort(self) -> None:
        """End it with all of its sessions, whatever hangs; its threads are gone on return."""
        self.retired = self._is_aborted = True
        self.patience.stop()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        for wire in list(self._wires):  # from outside: the ends of tunnels are then ends already
            wire.close()
            wire.sock.close()
        for wire in list(self._wires):
            if wire.is_alive() and wire is not threading.current_thread():
                wire.join(_LONGEST_ENDING_SECONDS)
        if self._socket is not None:
            self._socket.close()

    def _hop(
        self, hop: SshTarget, host_keys: HostKeys, credential: Callable[[], SshCredential]
    ) -> None:
        expected = host_keys.expected(hop)
        link = self._link(hop)
        wire = Wire(link, expected.algorithms)
        self._wires.append(wire)
        self.patience.check(f"{hop.address} was reached")  # it may have been ended meanwhile
        self._greet(wire, hop)
        self.host_key = expected.check(wire.host_blob)
        log_in(wire, hop, credential, max(0.1, self.patience.left))
        self.patience.check(f"{hop.address} has let '{hop.user}' in too late")

    def _link(self, hop: SshTarget) -> Any:
        if not self._wires:
            self._socket = dial(hop.host, hop.port, self.patience)
            return self._socket
        before = self._wires[-1]
        try:
            return before.open_channel(
                "direct-tcpip",
                (hop.host, hop.port),
                ("127.0.0.1", 0),
                timeout=max(0.1, self.patience.left),
            )
        except (SSHException, EOFError, OSError) as exc:
            self.patience.check(f"{hop.address} was not reached")
            raise UpstreamUnreachable(
                f"{hop.address} cannot be reached through the host before it.",
                detail=f"{type(exc).__name__}: {exc}",
                retry_after_seconds=5.0,
            ) from None

    def _greet(self, wire: Wire, hop: SshTarget) -> None:
        """Agree on keys; on return it is known who the server says it is."""
        done = threading.Event()
        wire.banner_timeout = self.patience.left + 1.0
        wire.start_client(event=done)
        while not done.wait(0.05) and wire.is_active():
            self.patience.check(f"{hop.address} does not answer as an SSH server")
        if not wire.is_active():
            self.patience.check(f"{hop.address} does not answer as an SSH server")
            said = wire.get_exception()
            raise Ungreeted(
                f"{hop.address} ended the connection before the login.",
                detail=f"{type(said).__name__}: {said}",
                retry_after_seconds=5.0,
            )


class Ungreeted(UpstreamUnreachable):
    """A server ends a connection at once, as one does that has too many of them."""


class _Within:
    """See :meth:`Connection.within`."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self._connection, self._ends_at = connection, time.monotonic() + seconds

    def __enter__(self) -> None:
        self._connection._overdue[self] = self._ends_at  # noqa: SLF001

    def __exit__(self, *_: object) -> None:
        self._connection._overdue.pop(self, None)  # noqa: SLF001
