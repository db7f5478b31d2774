"""The one way out over SSH: bounded in time, in size and in number, failing in our own words.

Commands share connections, which are kept for a while. Whether a command was perhaps begun is told
by the error: :class:`UpstreamUnreachable` and :class:`UpstreamRefused` mean that it surely was not,
:class:`UpstreamTimeout` and :class:`OutputTooLarge` that it may have been.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import structlog

from app.clients._ssh_dial import Patience
from app.clients._ssh_hosts import HostKeys
from app.clients._ssh_opens import Opens
from app.clients._ssh_terms import (
    HostKeyRefused,
    Login,
    LoginRefused,
    OutputTooLarge,
    Ran,
    SshCredential,
    SshLimits,
    SshTarget,
)
from app.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable

if TYPE_CHECKING:
    from app.clients._ssh_connection import Connection
    from app.clients._ssh_process import SshProcess

__all__ = [
    "HostKeyRefused",
    "HostKeys",
    "Login",
    "LoginRefused",
    "OutputTooLarge",
    "Ran",
    "SshCredential",
    "SshLimits",
    "SshPool",
    "SshTarget",
]

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
"""How often it is looked whether there is a place, or an idle connection to close."""
_PART_BYTES = 64 * 1024
_FIRST_PAUSE_SECONDS = 0.05
"""Before a refused session is tried again; each pause is twice the one before."""
_LONGEST_PAUSE_SECONDS = 1.0
"""The longest of these pauses."""
_TRIES_TO_GREET = 3
_BARREN_SECONDS = 3.0
"""How long a connection without a session of ours may refuse another before it is given up."""
_ROOM_SECONDS = 30.0
"""How long a server that had no place for a session is believed to have none."""
_NO_MORE_SECONDS = 30.0
"""How long a further connection to an account is not tried where one was refused."""


class SshPool:
    """Runs commands, over connections that it keeps. Threads may share it.

    Args:
        host_keys: What is known of servers.
        limits: Bounds.
    """

    def __init__(self, host_keys: HostKeys, limits: SshLimits | None = None) -> None:
        self._host_keys = host_keys
        self._limits = limits or SshLimits()
        self._opens = Opens(self._limits.opens_per_minute)
        self._changed = threading.Condition()
        self._connections: list[Connection] = []
        self._dialling: dict[SshTarget, Connection] = {}
        self._failed: dict[SshTarget, tuple[float, UpstreamError]] = {}
        self._no_more: dict[SshTarget, float] = {}
        self._is_closed = False
        self._wake = threading.Event()
        self._keeper: threading.Thread | None = None

    def run(
        self,
        target: SshTarget,
        credential: Callable[[], SshCredential],
        command: str,
        *,
        stdin: bytes = b"",
        timeout_seconds: float,
        most_bytes: int,
    ) -> Ran:
        """Run a command to its end.

        A command that outlives the time is not ended by that; ``timeout N`` before it does so.

        Args:
            target: Whose account, where.
            credential: Gives the key, if a connection is to be made; called for each hop.
            command: For the login shell of the account.
            stdin: What it reads.
            timeout_seconds: For all of it.
            most_bytes: Most that it may write, to stdout and stderr together.

        Raises:
            UpstreamUnreachable: The command was surely not begun.
            UpstreamRefused: The same; the host key, the account or its key is not right.
            UpstreamTimeout: It may have been begun, and may run on.
            OutputTooLarge: It wrote more; it was begun.
        """
        patience = Patience(timeout_seconds, f"The command at {target}")
        with self._begin(target, credential, command, patience) as process:
            feeder = None
            if stdin:
                feeder = threading.Thread(
                    target=_feed, args=(process, stdin, patience), name="ssh-stdin", daemon=True
                )
                feeder.start()
            else:
                process.end_input()
            try:
                ran = _read_all(process, target, patience, most_bytes)
            finally:
                process.close()
                if feeder is not None:
                    feeder.join()
        return ran

    def open(
        self,
        target: SshTarget,
        credential: Callable[[], SshCredential],
        command: str,
        *,
        timeout_seconds: float = 60.0,
    ) -> SshProcess:
        """Begin a command that goes on; its session is taken until it is closed.

        Args:
            target: Whose account, where.
            credential: As for :meth:`run`.
            command: As for :meth:`run`.
            timeout_seconds: Until it has been begun.

        Raises:
            UpstreamUnreachable: As for :meth:`run`.
            UpstreamRefused: As for :meth:`run`.
            UpstreamTimeout: As for :meth:`run`.
        """
        patience = Patience(timeout_seconds, f"The command at {target}")
        return self._begin(target, credential, command, patience)

    def try_login(self, target: SshTarget, credential: Callable[[], SshCredential]) -> Login:
        """Log in over a connection of its own, which is closed at once.

        Raises:
            UpstreamUnreachable: The server cannot be asked now.
            UpstreamRefused: It does not work; it says why.
        """
        began_at = time.monotonic()
        connection = self._connect(target, credential, Patience(3600.0, ""), kept=False)
        login = Login(connection.host_key, connection.server, time.monotonic() - began_at)
        connection.abort()
        self._forget(connection)
        return login

    def forget(self, target: SshTarget) -> None:
        """End what there is to an account, as after its key was revoked."""
        with self._changed:
            ending = [c for c in self._connections if c.target == target]
            self._failed.pop(target, None)
            self._no_more.pop(target, None)
        self._end(ending)

    def counts(self) -> dict[SshTarget, tuple[int, int]]:
        """Return, for each target, how many connections there are, and sessions over them."""
        found: dict[SshTarget, tuple[int, int]] = {}
        with self._changed:
            for each in self._connections:
                connections, sessions = found.get(each.target, (0, 0))
                found[each.target] = connections + 1, sessions + each.sessions
        return found

    def close(self) -> None:
        """End everything, also what others wait for; on return no thread and no socket is left."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            ending = [*self._connections, *self._dialling.values()]
        self._wake.set()
        self._end(ending)
        if self._keeper is not None:
            self._keeper.join()

    def __enter__(self) -> SshPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(
        self,
        target: SshTarget,
        credential: Callable[[], SshCredential],
        command: str,
        patience: Patience,
    ) -> SshProcess:
        from app.clients._ssh_connection import SessionRefused  # noqa: PLC0415
        from app.clients._ssh_process import SshProcess  # noqa: PLC0415

        pause = _FIRST_PAUSE_SECONDS
        while True:
            connection = self._take(target, credential, patience)
            try:
                channel = connection.open_session(patience)
            except SessionRefused:
                self._refused(connection)
                patience.check(f"{target.address} gives no further session")
                time.sleep(min(pause * random.uniform(0.5, 1.5), patience.left))  # noqa: S311
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            except UpstreamUnreachable:
                # A kept one may have ended long ago, and another one may do.
                self._give_back(connection)
                patience.check(f"connections to {target.address} are lost")
                if self._is_closed:
                    raise
                continue
            except BaseException:
                self._give_back(connection)
                raise
            self._opened(connection)
            process = SshProcess(connection, channel, partial(self._over_with, connection))
            try:
                process.start(command, patience, self._limits.channel_seconds)
            except BaseException:
                process.close()
                raise
            return process

    def _take(
        self, target: SshTarget, credential: Callable[[], SshCredential], patience: Patience
    ) -> Connection:
        """Take a place for a session, over a connection that may have to be made."""
        asked_at = time.monotonic()
        while True:
            with self._changed:
                if (found := self._place(target, asked_at)) is not None:
                    return found
                if not self._may_connect(target):
                    patience.check(f"all sessions at {target.address} are taken")
                    self._changed.wait(min(patience.left, _LOOK_SECONDS))
                    continue
            self._add(target, credential, patience)

    def _place(self, target: SshTarget, asked_at: float) -> Connection | None:
        """Find a free place; the caller holds the lock."""
        if self._is_closed:
            raise UpstreamUnreachable("The gateway closes its connections.")
        ours = [c for c in self._connections if c.target == target and c.is_usable]
        free = [c for c in ours if c.sessions < c.room]
        if free:
            best = min(free, key=lambda c: c.sessions)
            best.sessions += 1
            return best
        failed_at, error = self._failed.get(target, (0.0, None))
        if error is not None and not ours and failed_at >= asked_at:
            raise error.again()  # of an attempt that this caller has waited for
        return None

    def _may_connect(self, target: SshTarget) -> bool:
        """Whether the caller, who holds the lock, is to make a connection; it is noted then."""
        now = time.monotonic()
        ours = [c for c in self._connections if c.target == target and c.is_usable]
        if target in self._dialling or len(ours) >= self._limits.connections_per_account:
            return False
        if ours and now < self._no_more.get(target, 0.0):
            return False
        if len(self._connections) + len(self._dialling) >= self._limits.connections_in_all:
            idle = [c for c in self._connections if not c.sessions]
            if not idle:
                return False
            min(idle, key=lambda c: c.used_at).retired = True  # the keeper ends it
            self._wake.set()
            return False
        self._keep()
        self._dialling[target] = self._new(target)
        return True

    def _add(
        self, target: SshTarget, credential: Callable[[], SshCredential], patience: Patience
    ) -> None:
        try:
            self._connect(target, credential, patience, kept=True)
        except UpstreamError as exc:
            with self._changed:
                self._failed[target] = time.monotonic(), exc.again()
                has_others = any(c.target == target and c.is_usable for c in self._connections)
                if has_others:
                    self._no_more[target] = time.monotonic() + _NO_MORE_SECONDS
            if not has_others:
                raise
            log.warning("no further connection over SSH", target=str(target), error=exc.message)
        finally:
            with self._changed:
                self._dialling.pop(target, None)
                self._changed.notify_all()

    def _new(self, target: SshTarget) -> Connection:
        from app.clients._ssh_connection import Connection  # noqa: PLC0415

        return Connection(target, self._limits)

    def _connect(
        self,
        target: SshTarget,
        credential: Callable[[], SshCredential],
        patience: Patience,
        *,
        kept: bool,
    ) -> Connection:
        """Connect; a server that ends connections at once may have too many of them now."""
        from app.clients._ssh_connection import Ungreeted  # noqa: PLC0415

        for attempt in range(_TRIES_TO_GREET):
            connection = self._new(target)
            with self._changed:
                if self._is_closed:
                    raise UpstreamUnreachable("The gateway closes its connections.")
                self._keep()
                if kept:
                    self._dialling[target] = connection
                else:
                    connection.sessions = 1
                    self._connections.append(connection)
            try:
                connection.connect(self._host_keys, credential, self._opens.take)
            except Ungreeted:
                self._forget(connection)
                if attempt + 1 == _TRIES_TO_GREET or patience.left < 1:
                    raise
                time.sleep(random.uniform(0.2, 1.0))  # noqa: S311
                continue
            except BaseException:
                self._forget(connection)
                raise
            if kept:
                self._join(connection)
            return connection
        raise AssertionError

    def _join(self, connection: Connection) -> None:
        with self._changed:
            if not self._is_closed:
                self._connections.append(connection)
                self._failed.pop(connection.target, None)
                return
        connection.abort()
        raise UpstreamUnreachable("The gateway closes its connections.")

    def _refused(self, connection: Connection) -> None:
        """The server gives no place that there should be: learn how many it has."""
        with self._changed:
            now = time.monotonic()
            connection.sessions -= 1
            connection.room = max(1, min(connection.room, connection.running))
            connection.room_at = now
            if connection.running:
                connection.barren_at = None
            elif connection.barren_at is None:
                connection.barren_at = now
            elif now - connection.barren_at > _BARREN_SECONDS:
                # Commands that outlived their sessions hold the places; a new connection has some.
                connection.retired = True
            self._changed.notify_all()

    def _opened(self, connection: Connection) -> None:
        with self._changed:
            connection.running += 1
            connection.barren_at = None

    def _over_with(self, connection: Connection) -> None:
        with self._changed:
            connection.running -= 1
        self._give_back(connection)

    def _give_back(self, connection: Connection) -> None:
        with self._changed:
            connection.sessions -= 1
            connection.used_at = time.monotonic()
            self._changed.notify_all()
        if connection.retired:
            self._wake.set()

    def _forget(self, connection: Connection) -> None:
        with self._changed:
            if connection in self._connections:
                self._connections.remove(connection)
            self._changed.notify_all()

    def _end(self, connections: list[Connection]) -> None:
        for each in connections:
            each.patience.stop()
        for each in connections:
            each.abort()
            self._forget(each)

    def _keep(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._look_after, name="ssh-keeper", daemon=True)
            self._keeper.start()

    def _look_after(self) -> None:
        while not self._is_closed:
            self._wake.wait(_LOOK_SECONDS)
            self._wake.clear()
            if not self._is_closed:
                self._end(self._over())

    def _over(self) -> list[Connection]:
        """Find what is to be ended, and leave it to nobody any more."""
        now = time.monotonic()
        with self._changed:
            connections = list(self._connections)
            for each in connections:
                short = each.room < self._limits.sessions_per_connection
                if short and now - each.room_at > _ROOM_SECONDS:
                    each.room, each.room_at = each.room + 1, now
                if not each.sessions and now - each.used_at > self._limits.idle_seconds:
                    each.retired = True
            over = []
            for each in connections:
                fault = each.fault()
                if fault is not None:
                    log.warning("connection over SSH ended", target=str(each.target), why=fault)
                if fault is not None or (not each.is_usable and not each.sessions):
                    each.retired = True
                    over.append(each)
        return over


def _feed(process: SshProcess, data: bytes, patience: Patience) -> None:
    try:
        process.write(data, patience.left, closing=False)
        process.end_input()
    except UpstreamTimeout:
        pass  # a command need not read all that there is, and how it ends is told


def _read_all(process: SshProcess, target: SshTarget, patience: Patience, most_bytes: int) -> Ran:
    out, errors = bytearray(), bytearray()
    for more, wrong in _parts(process, target, patience):
        out += more
        errors += wrong
        if len(out) + len(errors) > most_bytes:
            raise OutputTooLarge(f"The command at {target} wrote more than {most_bytes} bytes.")
    process.await_close(patience)
    return Ran(process.exit_status, bytes(out), bytes(errors), process.signal)


def _parts(
    process: SshProcess, target: SshTarget, patience: Patience
) -> Iterator[tuple[bytes, bytes]]:
    while True:
        process.expect()
        out, errors = process.read_now(_PART_BYTES)
        if out or errors:
            yield out, errors
        elif process.is_at_end and (process.has_ended or process.is_closed):
            process.check_end()
            return
        elif not patience.left:
            raise UpstreamTimeout(f"The command at {target} did not end in time; it may run on.")
        else:
            process.wait(patience.left if not process.is_at_end else 0.02)
