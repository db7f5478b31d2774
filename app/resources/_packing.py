"""Compression (RFC 1952) that leaves others their turn."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from app.services.turns import Turn

_PACKED_BYTES = 32 * 1024
"""What is compressed in one turn."""


class Packer(Protocol):
    """What zlib makes to compress with."""

    def compress(self, data: bytes, /) -> bytes:
        """Compress some more."""


def compress(chunks: Iterable[bytes], turn: Turn, level: int = 6) -> Iterator[bytes]:
    """Compress with gzip (RFC 1952), a little at a time."""
    packer = zlib.compressobj(level, wbits=31)
    for chunk in chunks:
        yield pack(packer, chunk, turn)
    yield packer.flush()


def pack(packer: Packer, data: bytes, turn: Turn) -> bytes:
    """Compress what may be more than one turn allows for."""
    packed = []
    for start in range(0, len(data), _PACKED_BYTES):
        with turn():
            packed.append(packer.compress(data[start : start + _PACKED_BYTES]))
    return b"".join(packed)
