"""From the command's pipes to the file of frames, and the doorbell that says so."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from .records import FRAMES, HEADER, MAX_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .places import Bytes


class Output:
    """The file of frames.

    Attributes:
        fresh: Something was written since the doorbell was rung.
        lost: Number of bytes that found no place on the disk.
    """

    def __init__(self) -> None:
        self.fresh = False
        self.lost = 0
        self._fd = os.open(FRAMES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = 0

    def append(self, stream: int, payload: bytes) -> None:
        """Write one frame, or nothing if it does not fit: a full disk does not stop a command."""
        frame = HEADER.pack(stream, time.time(), len(payload)) + payload
        written = 0
        with suppress(OSError):
            written = os.write(self._fd, frame)
        if written == len(frame):
            self._size += written
            self.fresh = True
        else:
            os.ftruncate(self._fd, self._size)
            self.lost += len(payload)


class Pipe:
    """The reading end of one of the command's streams.

    Nothing is read ahead: what the disk does not take yet, the command cannot write.

    Args:
        stream: Which one.
        fd: The open pipe.
        output: Where it is passed on to.
        plain: Files to which its bytes are appended as they are. They have them first, so that what
            is read as output stands in them already.

    Attributes:
        closed: Nothing can come any more.
    """

    def __init__(self, stream: int, fd: int, output: Output, plain: Sequence[Bytes] = ()) -> None:
        os.set_blocking(fd, False)
        self.closed = False
        self._stream = stream
        self._fd = fd
        self._output = output
        self._plain = plain
        self._rest = b""

    def read(self) -> bool:
        """Pass on what is there, up to 64 KiB; return whether there was anything."""
        try:
            chunk = os.read(self._fd, MAX_LINE + 1 - len(self._rest))
        except BlockingIOError:
            return False
        if not chunk:
            self.close()
            return False
        payload, self._rest = whole_lines(self._rest + chunk)
        if payload:
            self._pass_on(payload)
        return True

    def close(self) -> None:
        """Pass on the last line, which has no line feed."""
        if self._rest:
            self._pass_on(self._rest)
        os.close(self._fd)
        self.closed = True

    def _pass_on(self, payload: bytes) -> None:
        for file in self._plain:
            file.append(payload)
        self._output.append(self._stream, payload)


def whole_lines(data: bytes, limit: int = MAX_LINE) -> tuple[bytes, bytes]:
    """Split off what can be written: whole lines, or a piece of a line that is too long.

    Args:
        data: What came and was not written yet, at most ``limit + 1`` bytes.
        limit: Longest line, in bytes without its line feed; at least 4.

    Returns:
        What to write now, and what to keep until more comes: at most ``limit`` bytes.
    """
    end = data.rfind(b"\n") + 1
    if not end and len(data) > limit:
        end = limit
        # Not within a character: the bytes of a UTF-8 sequence but the first are 10xxxxxx.
        while end > limit - 3 and data[end] & 0xC0 == 0x80:
            end -= 1
    return data[:end], data[end:]


def ring(doorbell: str | None, execution_id: str) -> None:
    """Notify whoever listens that something happened; never wait, never fail.

    The doorbell is a named pipe: short writes are atomic (pipe(7)), and without a reader there is
    nothing to open (fifo(7)). A ring that is lost costs time only.
    """
    if doorbell is None:
        return
    with suppress(OSError):
        fd = os.open(doorbell, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fd, f"{execution_id}\n".encode())
        finally:
            os.close(fd)
