"""From the command's pipes to the file of frames, and the doorbell that says so."""

import os
import time
from contextlib import suppress

from .lines import Lines
from .records import FRAMES, HEADER, REMARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .places import Bytes


class Output:
    """The file of frames.

    Args:
        most_bytes: Most bytes of it; what a command writes beyond is counted only. None for no
            limit.

    Attributes:
        fresh: Something was written since the doorbell was rung.
        lost: Number of bytes that found no place on the disk.
        beyond: Number of bytes beyond the limit.
    """

    def __init__(self, most_bytes: "int | None" = None) -> None:
        self.fresh = False
        self.lost = self.beyond = 0
        self._most_bytes = most_bytes
        self._fd = os.open(FRAMES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._fd).st_size  # an earlier run may have written
        self._gap = 0
        self._unsynced = False

    def flush(self) -> None:
        """Have what was written on the disk, so that other machines can read it."""
        if self._unsynced:
            self._unsynced = False
            with suppress(OSError):
                os.fsync(self._fd)

    def append(self, stream: int, payload: bytes) -> None:
        """Write one frame, or nothing if it does not fit: a full disk does not stop a command."""
        if self.beyond or (
            self._most_bytes is not None and self._size + len(payload) > self._most_bytes
        ):
            self._pass_over(len(payload))
        elif (self._gap and not self._tell_of_gap()) or not self._write(stream, payload):
            self._miss(len(payload))

    def remark(self, text: str) -> None:
        """Write a line of the shim's own, which no limit holds back."""
        self._write(REMARK, f"{text}\n".encode("utf-8", "replace"))

    def losses(self) -> "Iterator[str]":
        """Return what a reader of the file misses, in words."""
        if self.lost:
            yield f"{self.lost} bytes of output found no place on the disk"
        if self.beyond:
            yield (
                f"{self.beyond} bytes of output were not kept, beyond the limit of "
                f"{self._most_bytes} bytes"
            )

    def _pass_over(self, count: int) -> None:
        if not self.beyond:
            self.remark(
                f"The output reached its limit of {self._most_bytes} bytes: what follows is"
                " counted, and not kept"
            )
        self.beyond += count

    def _miss(self, count: int) -> None:
        self._gap += count
        self.lost += count

    def _tell_of_gap(self) -> bool:
        text = f"{self._gap} bytes of output found no place on the disk here\n"
        told = self._write(REMARK, text.encode())
        if told:
            self._gap = 0
        return told

    def _write(self, stream: int, payload: bytes) -> bool:
        frame = HEADER.pack(stream, time.time(), len(payload)) + payload
        written = 0
        with suppress(OSError):
            written = os.write(self._fd, frame)
        if written == len(frame):
            self._size += written
            self.fresh = self._unsynced = True
            return True
        with suppress(OSError):
            os.ftruncate(self._fd, self._size)
        return False


class Pipe:
    """The reading end of one of the command's streams.

    Nothing is read ahead: what the disk does not take yet, the command cannot write.

    Args:
        stream: Which one.
        fd: The open pipe.
        output: Where it is passed on to.
        plain: Files to which its bytes are appended as they come. They have them first, so that
            what is read as output stands in them already.

    Attributes:
        closed: Nothing can come any more.
    """

    def __init__(
        self, stream: int, fd: int, output: "Output", plain: "Sequence[Bytes]" = ()
    ) -> None:
        os.set_blocking(fd, False)
        self.closed = False
        self._stream = stream
        self._fd = fd
        self._output = output
        self._plain = plain
        self._lines = Lines()

    @property
    def due(self) -> float:
        """When :meth:`keep_time` has something to do, on the monotonic clock."""
        return self._lines.due

    def read(self) -> bool:
        """Pass on what is there, up to 64 KiB; return whether there was anything."""
        try:
            chunk = os.read(self._fd, self._lines.room)
        except BlockingIOError:
            return False
        if not chunk:
            self.close()
            return False
        for file in self._plain:
            if file.append(chunk) and file.place is not None:
                self._output.remark(
                    f"{file.place.path} reached its limit of {file.most_bytes} bytes: what follows"
                    " is counted, and not written there"
                )
        self._pass_on(self._lines.feed(chunk, time.monotonic()))
        return True

    def keep_time(self, now: float) -> None:
        """Pass on a line that has been unfinished for long enough."""
        if now >= self._lines.due:
            self._pass_on(self._lines.overdue())

    def close(self) -> None:
        """Pass on the last line, which has no line feed."""
        self._pass_on(self._lines.end())
        os.close(self._fd)
        self.closed = True

    def _pass_on(self, payloads: "Iterable[tuple[int, bytes]]") -> None:
        for code, payload in payloads:
            self._output.append(self._stream | code, payload)


def ring(doorbell: "str | None", execution_id: str) -> None:
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
