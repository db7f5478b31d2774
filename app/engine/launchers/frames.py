"""Reading the file of frames that a shim writes."""

from __future__ import annotations

from pathlib import Path

from app.engine.launchers.base import OutputLine, Stream
from app.engine.launchers.job_records import is_moment
from app.engine.launchers.shim.reading import read_frames
from app.engine.launchers.shim.records import (
    CONTINUED,
    HEADER,
    REMARK,
    STDERR,
    STDOUT,
)

_STREAMS = {STDOUT: Stream.STDOUT, STDERR: Stream.STDERR, REMARK: Stream.REMARK}


def read_lines(path: Path, offset: int, limit: int) -> tuple[list[OutputLine], int]:
    """Read output as the contract of a launcher wants it; see :func:`read_frames`."""
    lines, size = parse_frames(read_frames(path, offset, limit))
    return lines, offset + size


def parse_frames(data: bytes) -> tuple[list[OutputLine], int]:
    """Turn frames into lines.

    Bytes that are not UTF-8 become U+FFFD, and so does NUL, which PostgreSQL cannot keep in a text.

    Args:
        data: Content of the file from the beginning of a frame on. The last frame may be cut off,
            by the end of ``data`` or because its writer is at it or was killed.

    Returns:
        The lines of all whole frames, and the number of bytes that these take.
    """
    lines: list[OutputLine] = []
    offset = 0
    while offset + HEADER.size <= len(data):
        code, timestamp, length = HEADER.unpack_from(data, offset)
        begin = offset + HEADER.size
        stream = _STREAMS.get(code & ~CONTINUED)
        if stream is None or begin + length > len(data) or not is_moment(timestamp):
            break
        offset = begin + length
        text = data[begin:offset].decode("utf-8", "replace")
        text = text.replace("\0", "\ufffd")
        if "\r" in text:  # what a shim of an earlier version wrote may hold states of a line
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        texts = text.removesuffix("\n").split("\n")
        if code & CONTINUED:
            lines.append(OutputLine(stream, timestamp, texts.pop(0), continues=True))
        lines += [OutputLine(stream, timestamp, line) for line in texts]
    return lines, offset
