"""Connections of paramiko, within our bounds: what it leaves open is closed here.

What paramiko writes to its log is of use to who looks for a fault in it only: it tells each refused
session and each lost connection as an error with a traceback, and those are told by our own errors.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from paramiko import Channel, Transport
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_REQUEST,
    cMSG_CHANNEL_REQUEST,
    cMSG_GLOBAL_REQUEST,
)
from paramiko.message import Message
from paramiko.packet import Packetizer
from paramiko.ssh_exception import SSHException

_LOG_NAME = "paramiko.slipway"
_LONGEST_GREETING_BYTES = 64 * 1024
_LONGEST_SENDING_SECONDS = 1.0
"""How long the end of a session waits for who is sending in it."""
_WEAK: Mapping[str, Sequence[str]] = {
    "ciphers": ("aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"),
    "macs": ("hmac-sha1", "hmac-md5", "hmac-sha1-96", "hmac-md5-96"),
}


def _tame(record: logging.LogRecord) -> bool:
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return logging.getLogger().isEnabledFor(logging.DEBUG)


logging.getLogger(_LOG_NAME).addFilter(_tame)


class _Packets(Packetizer):
    """Notices when something was last heard, and asks for a sign of life after a silence."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self.heard_at = time.monotonic()
        self.asked_at: float | None = None
        self.keep_alive_seconds: float | None = None
        self.ask: Callable[[], None] = lambda: None
        self._greeting_bytes = 0

    def read_message(self) -> tuple[int, Message]:
        got = super().read_message()
        self.heard_at, self.asked_at = time.monotonic(), None
        return got

    def start_handshake(self, timeout: float) -> None:
        """Begin no timer: its thread would outlive a handshake that fails."""

    def _check_keepalive(self) -> None:  # called whenever there was nothing to read
        if self.keep_alive_seconds is None or self.asked_at is not None or self.need_rekey():
            return
        now = time.monotonic()
        if now - self.heard_at > self.keep_alive_seconds:
            self.asked_at = now
            self.ask()

    def _read_timeout(self, timeout: float) -> bytes:
        part: bytes = super()._read_timeout(timeout)  # type: ignore[misc]
        self._greeting_bytes += len(part)
        if self._greeting_bytes > _LONGEST_GREETING_BYTES:
            raise SSHException("what it says before its version never ends")
        return part


class Wire(Transport):
    """One connection, encrypted.

    Args:
        connection: A socket, or a channel of another connection.
        algorithms: Of host keys, in the order in which they are wanted.

    Attributes:
        host_blob: What the server showed as its key; empty before.
        signals: Names of the signals that ended commands, by number of the channel.
        ended: Numbers of the channels that the server closed.
        refused: Numbers of the channels whose command it did not take.
        sending: Held while something is sent over a channel, by its number: sshd ends the whole
            connection where data comes for a channel that is closed on both sides.
    """

    packetizer: _Packets

    def __init__(self, connection: Any, algorithms: tuple[str, ...]) -> None:
        super().__init__(connection, disabled_algorithms=_WEAK, packetizer_class=_Packets)
        self.set_log_channel(_LOG_NAME)
        self.host_blob = b""
        self.signals: dict[int, str] = {}
        self.ended: set[int] = set()
        self.refused: set[int] = set()
        self.sending: dict[int, threading.Lock] = {}
        self._algorithms = algorithms

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """Algorithms of host keys, as paramiko asks for them."""
        return self._algorithms

    @property
    def silent_seconds(self) -> float:
        """How long a sign of life has been asked for in vain; 0 where none is due."""
        asked_at = self.packetizer.asked_at
        return 0.0 if asked_at is None else time.monotonic() - asked_at

    @property
    def heard_at(self) -> float:
        """When something last came from the server."""
        return self.packetizer.heard_at

    def keep_alive(self, seconds: float) -> None:
        """Ask for a sign of life after so long a silence, again and again."""
        self.packetizer.ask = self._ask
        self.packetizer.keep_alive_seconds = seconds

    def forget_key(self) -> None:
        """Drop the private key, which paramiko keeps after a login."""
        if self.auth_handler is not None:
            self.auth_handler.private_key = None

    def execute(self, channel: Channel, command: bytes, seconds: float) -> bool | None:
        """Ask the server to run a command; paramiko itself would wait for ever.

        Returns:
            Whether it took it; None where it has not answered.
        """
        message = Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(True)
        message.add_string(command)
        channel.event.clear()
        channel.event_ready = False
        if channel.closed:
            return None
        self._send_user_message(message)  # type: ignore[attr-defined]
        if not channel.event.wait(seconds):
            return None
        if channel.event_ready:
            return True
        return False if channel.chanid in self.refused else None

    def forget(self, channel: Channel) -> None:
        """Drop what was noted of a channel; its number is used again some day."""
        self.signals.pop(channel.chanid, None)
        self.ended.discard(channel.chanid)
        self.refused.discard(channel.chanid)
        self.sending.pop(channel.chanid, None)

    def _ask(self) -> None:
        message = Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        with suppress(SSHException, EOFError):
            self._send_message(message)  # type: ignore[attr-defined]

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:
        super()._verify_key(host_key, sig)  # type: ignore[misc]
        if not self.host_blob:
            self.host_blob = host_key
        elif host_key != self.host_blob:
            raise SSHException("the server shows another host key than before")

    def _channel_request(self, channel: Channel, message: Message) -> None:
        at = message.packet.tell()
        if message.get_text() == "exit-signal":
            message.get_boolean()
            self.signals[channel.chanid] = message.get_text()[:32]
        message.packet.seek(at)
        channel._handle_request(message)  # type: ignore[attr-defined]  # noqa: SLF001

    def _channel_close(self, channel: Channel, message: Message) -> None:
        self.ended.add(channel.chanid)
        sending = self.sending.get(channel.chanid)
        # Not for ever: who sends may wait for new keys, which this thread agrees on.
        is_held = sending is not None and sending.acquire(timeout=_LONGEST_SENDING_SECONDS)
        try:
            channel._handle_close(message)  # type: ignore[attr-defined]  # noqa: SLF001
        finally:
            if sending is not None and is_held:
                sending.release()

    def _channel_failure(self, channel: Channel, message: Message) -> None:
        self.refused.add(channel.chanid)
        channel._request_failed(message)  # type: ignore[attr-defined]  # noqa: SLF001

    _channel_handler_table: ClassVar[dict[int, Any]] = {
        **Transport._channel_handler_table,  # type: ignore[attr-defined]  # noqa: SLF001
        MSG_CHANNEL_REQUEST: lambda channel, m: channel.transport._channel_request(channel, m),  # noqa: SLF001
        MSG_CHANNEL_CLOSE: lambda channel, m: channel.transport._channel_close(channel, m),  # noqa: SLF001
        MSG_CHANNEL_FAILURE: lambda channel, m: channel.transport._channel_failure(channel, m),  # noqa: SLF001
    }


class Ring(threading.Event):
    """Rings when one of several buffers of paramiko has something new, or ends."""

    def clear(self) -> None:
        """Do nothing: one buffer that is empty says nothing of the others."""

    def reset(self) -> None:
        """Make ready for the next ring."""
        super().clear()
