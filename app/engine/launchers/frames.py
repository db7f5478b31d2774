"""Reading the file of frames that a shim writes."""

from __future__ import annotations

import os
from pathlib import Path

from app.engine.launchers.base import OutputLine, Stream
from app.engine.launchers.job_records import Damaged, is_moment, open_regular
from app.engine.launchers.shim.records import (
    CONTINUED,
    HEADER,
    MAX_PAYLOAD,
    REMARK,
    STDERR,
    STDOUT,
)

MAX_FRAME = HEADER.size + MAX_PAYLOAD

_STREAMS = {STDOUT: Stream.STDOUT, STDERR: Stream.STDERR, REMARK: Stream.REMARK}


def read_lines(path: Path, offset: int, limit: int) -> tuple[list[OutputLine], int]:
    """Read output as the contract of a launcher wants it; see :func:`read_frames`."""
    lines, size = parse_frames(read_frames(path, offset, limit))
    return lines, offset + size


def read_frames(path: Path, offset: int, limit: int) -> bytes:
    """Read frames from a file that may be missing, or be replaced by something else.

    Args:
        path: The file.
        offset: Where to begin.
        limit: About so many bytes at most, but always so many that a whole frame is among them.

    Raises:
        OSError: The disk cannot be used now.
    """
    try:
        fd = open_regular(path)
    except Damaged:
        fd = None
    if fd is None:
        return b""
    with os.fdopen(fd, "rb", buffering=0) as file:
        file.seek(offset)
        return file.read(max(limit, MAX_FRAME))


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
