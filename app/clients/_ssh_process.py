"""A command at a server, while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from paramiko import Channel
from paramiko.ssh_exception import SSHException

from app.clients._ssh_connection import Connection
from app.clients._ssh_dial import Patience
from app.clients._ssh_terms import LoginRefused
from app.clients._ssh_wire import Ring
from app.errors import UpstreamTimeout

_PART_BYTES = 64 * 1024
_MOST_ERRORS_BYTES = 16 * 1024
_WRITE_SECONDS = 30.0
"""How long a command may take nothing of what is written to it."""
_LAST_WORD_SECONDS = 1.0
"""How long the server has to confirm the end of a session."""
_FULL_SECONDS = 0.02
"""The pause before more is offered to a command that takes nothing."""
_ENDS = (OSError, EOFError, SSHException)
"""What paramiko raises where a connection ends; TimeoutError is an OSError."""


class SshProcess:
    """A command over a session of its own. One thread may read and another one write.

    Closing it ends both at once. The command itself goes on where it does not end by itself at the
    end of its input: no server ends it for us.

    Args:
        connection: Carries it.
        channel: A session without a command.
        release: Called once when the session is over.
    """

    def __init__(
        self, connection: Connection, channel: Channel, release: Callable[[], None]
    ) -> None:
        self._connection, self._channel = connection, channel
        self._release = release
        self._ring = Ring()
        self._lock = threading.Lock()
        self._is_closed = False
        self._errors = bytearray()
        self._signal: str | None = None
        self._sending = connection.wire.sending[channel.chanid] = threading.Lock()
        channel.in_buffer.set_event(self._ring)
        channel.in_stderr_buffer.set_event(self._ring)

    @property
    def exit_status(self) -> int | None:
        """Its exit status; None while it runs, and where it has none."""
        status = self._channel.exit_status
        return None if status < 0 else status

    @property
    def signal(self) -> str | None:
        """Name of the signal that ended it, without SIG."""
        return self._signal or self._connection.wire.signals.get(self._channel.chanid)

    @property
    def has_ended(self) -> bool:
        """Whether the server said how it ended."""
        return self.exit_status is not None or self.signal is not None

    @property
    def errors(self) -> bytes:
        """The last of what it wrote to stderr, as far as :meth:`read` has come."""
        return bytes(self._errors)

    def start(self, command: str, patience: Patience, seconds: float) -> None:
        """Have the server run the command.

        Raises:
            LoginRefused: It runs no commands for this account.
            UpstreamTimeout: It did not answer; it perhaps runs.
        """
        sent_at = time.monotonic()
        wait = min(patience.left, seconds)
        try:
            with self._connection.within(wait + 5.0):
                took = self._connection.wire.execute(self._channel, command.encode(), wait)
        except _ENDS:  # the request may have been sent in part, or in whole
            took = None
        if took is False:
            target = self._connection.target
            raise LoginRefused(f"{target.address} runs no commands for '{target.user}'.")
        if took is None:
            if self._connection.wire.heard_at < sent_at:
                self._connection.retired = True
            raise self._lost("and it is not known whether the command was begun")

    @property
    def is_closed(self) -> bool:
        """Whether its session is over, whoever ended it."""
        return self._is_closed or self._channel.closed

    def write(
        self, data: bytes, timeout_seconds: float = _WRITE_SECONDS, *, closing: bool = True
    ) -> None:
        """Write to its input.

        Args:
            data: What to write.
            timeout_seconds: Until it has taken all of it.
            closing: Close the process where it does not.

        Raises:
            UpstreamTimeout: It takes no more, or has ended; part of it may have arrived.
        """
        ends_at = time.monotonic() + timeout_seconds
        left = memoryview(data)
        try:
            while left:
                sent = self._send(left[:_PART_BYTES])
                left = left[sent:]
                if not sent and time.monotonic() > ends_at:
                    raise TimeoutError
        except _ENDS:
            if closing:
                self.close()
            raise self._lost("while something was written to the command") from None

    def end_input(self) -> None:
        """Tell it that nothing more comes."""
        try:
            with self._connection.within(_WRITE_SECONDS), self._sending:
                self._channel.shutdown_write()
        except _ENDS:
            raise self._lost("at the end of the command's input") from None

    def read(self, most_bytes: int, timeout_seconds: float) -> bytes:
        """Read what it wrote to stdout, as soon as there is something.

        Returns:
            At most so many bytes; none when nothing comes any more.

        Raises:
            TimeoutError: Nothing came in time; it may be asked again.
            UpstreamTimeout: The connection was lost, or the process was closed here.
        """
        ends_at = time.monotonic() + timeout_seconds
        while True:
            self._ring.reset()
            out, errors = self.read_now(most_bytes)
            self._errors += errors
            del self._errors[:-_MOST_ERRORS_BYTES]
            if out:
                return out
            if self.is_at_end:
                self.check_end()
                return b""
            left = ends_at - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._ring.wait(left)

    def read_now(self, most_bytes: int) -> tuple[bytes, bytes]:
        """Return what there is of stdout and stderr, without waiting.

        Raises:
            UpstreamTimeout: The connection was lost.
        """
        try:  # who reads tells the server that there is room again
            out = self._channel.recv(most_bytes) if self._channel.recv_ready() else b""
            ready = self._channel.recv_stderr_ready()
            return out, self._channel.recv_stderr(_PART_BYTES) if ready else b""
        except _ENDS:
            raise self._lost("while the command ran") from None

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is there to read, and nothing comes."""
        ended = bool(self._channel.eof_received) or self._channel.closed
        return ended and not (self._channel.recv_ready() or self._channel.recv_stderr_ready())

    def wait(self, seconds: float) -> None:
        """Wait until something may have changed, at most so long; call :meth:`expect` before."""
        self._ring.wait(seconds)

    def expect(self) -> None:
        """From now on notice what changes."""
        self._ring.reset()

    def check_end(self) -> None:
        """Check that the end was the command's, and not the connection's.

        Raises:
            UpstreamTimeout: It was not.
        """
        if self._is_closed:
            raise self._lost("since the gateway closed it")
        by_server = self._channel.chanid in self._connection.wire.ended
        if not (self._channel.eof_received or by_server or self.has_ended):
            raise self._lost("while the command ran")

    def await_close(self, patience: Patience) -> None:
        """Wait for the server's last word: it gives the place of the session back with it."""
        ends_at = time.monotonic() + min(patience.left, _LAST_WORD_SECONDS)
        while not self._channel.closed and (left := ends_at - time.monotonic()) > 0:
            self._ring.reset()
            if not self._channel.closed:
                self._channel.event.wait(min(left, 0.02))

    def close(self) -> None:
        """End the session, and with it what reads and writes here. It may be called twice."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._signal = self.signal
        try:
            self._connection.end(self._channel)
        finally:
            self._ring.set()
            self._release()

    def __enter__(self) -> SshProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, part: memoryview) -> int:
        """Send what the command takes now; where it takes nothing, wait a moment."""
        with self._connection.within(_WRITE_SECONDS), self._sending:
            if self._channel.closed or self._channel.eof_sent:
                raise EOFError
            if self._channel.send_ready():
                self._channel.settimeout(0.0)
                return self._channel.send(bytes(part))
        time.sleep(_FULL_SECONDS)
        return 0

    def _lost(self, when: str) -> UpstreamTimeout:
        return UpstreamTimeout(f"The connection to {self._connection.target} was lost {when}.")
