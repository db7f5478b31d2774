"""What goes between a launcher and its helper: a JSON value and some bytes, their lengths first."""

import json
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from app.domain import JSON

_LENGTHS = struct.Struct(">II")


def pack(head: "JSON", body: bytes = b"") -> bytes:
    """Make a message."""
    text = json.dumps(head).encode()
    return _LENGTHS.pack(len(text), len(body)) + text + body


def unpack(read: "Callable[[int], bytes]", most: int) -> "tuple[JSON, bytes]":
    """Read a message.

    Args:
        read: Gives exactly as many bytes as it is asked for.
        most: Bytes that the whole message may have.

    Raises:
        ValueError: It is longer than that, or no such message.
    """
    lengths = _LENGTHS.unpack(read(_LENGTHS.size))
    if sum(lengths) > most:
        raise ValueError(f"a message of {sum(lengths)} bytes, at most {most} are taken")
    text, body = map(read, lengths)
    try:
        return json.loads(text), body
    except RecursionError as exc:
        raise ValueError("a message that is nested too deep") from exc
