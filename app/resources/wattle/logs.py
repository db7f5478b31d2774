"""What this API writes of the lines of a worker, live."""

from __future__ import annotations

from typing import Final

import orjson

from app.domain import LogStream
from app.resources._encoders import SseEncoder, Told, unbroken
from app.services.follow import Moved
from app.services.stretches import Stretch

_TYPES: Final = {int(LogStream.STDOUT): b"stdout", int(LogStream.STDERR): b"stderr"}


class WattleSse(SseEncoder):
    """Server-sent events without names, each of which is one line that a worker wrote."""

    @classmethod
    def entries(cls, stretch: Stretch) -> bytes:
        """Write each line as an event; what the engine remarks is none of the worker's."""
        return unbroken(
            b"".join(
                b'id: %d\ndata: {"type": "%s", "content": %s}\n\n'
                % (entry.sequence, _TYPES[entry.stream], orjson.dumps(entry.content))
                for entry in stretch.entries
                if entry.stream in _TYPES
            )
        )

    def told(self, event: Told) -> bytes:
        """Write when to come back, where this server stops; nothing else has a place here."""
        return self.prelude() if isinstance(event, Moved) else b""

    def heartbeat(self) -> bytes:
        """Return a comment."""
        return b": keep-alive\n\n"
