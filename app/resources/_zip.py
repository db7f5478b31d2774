"""Archives (PKWARE APPNOTE 6.3, "ZIP") that are written while they are sent, in bounded memory."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from app.services.turns import Turn

CONTENT_TYPE: Final = "application/zip"
_PIECE_BYTES: Final = 32 * 1024
"""What is compressed in one turn."""
_SENT_BYTES: Final = 16 * 1024
"""What is sent at once, at the least."""
_PLAIN_FILE: Final = 0o100644
_UNIX: Final = 3
_MODE_BITS: Final = 16

Member = tuple[str, Iterable[bytes]]
"""A file of an archive: its name, and what it holds, piece by piece."""


class _Sink(io.RawIOBase):
    """Takes what is written, for whoever comes for it; it cannot be gone back in."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self.size += len(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts, self.size = self._parts, [], 0
        return b"".join(parts)


def archive(members: Iterable[Member], moment: datetime, turn: Turn) -> Iterator[bytes]:
    """Write an archive; the same members at the same moment are the same bytes.

    Args:
        members: The files; what they hold is asked for when it is their turn.
        moment: When they were changed last, to whoever unpacks them.
        turn: Taken for each piece that is compressed.
    """
    sink = _Sink()
    with ZipFile(sink, "w", ZIP_DEFLATED) as written:
        for name, pieces in members:
            info = ZipInfo(name, moment.timetuple()[:6])
            info.compress_type = ZIP_DEFLATED
            info.create_system = _UNIX
            info.external_attr = _PLAIN_FILE << _MODE_BITS
            with written.open(info, "w") as file:
                for piece in _cut(pieces):
                    with turn():
                        file.write(piece)
                    if sink.size >= _SENT_BYTES:
                        yield sink.take()
    yield sink.take()


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), _PIECE_BYTES):
            yield piece[start : start + _PIECE_BYTES]
