"""Encoders: what each way to follow an execution writes for the events of one reader.

One class is one transport. What a dialect says in it (the names and fields of events) are its
:class:`Words`, so a dialect's encoder is a subclass that names them.
"""

from __future__ import annotations

import random
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import orjson

from app.domain import LogEntry
from app.log_lines import log_line
from app.resources._packing import pack
from app.resources._websocket import text_frame
from app.resources._written import written
from app.services.follow import (
    Batch,
    Changed,
    Dropped,
    Ended,
    Event,
    Expired,
    Heartbeat,
    Moved,
    Removed,
    StatusChanged,
)
from app.services.stretches import Stretch
from app.services.turns import Turn

# The client comes back after this many milliseconds; spread, so that not all do at once.
_RETRY_MS = (1000, 3000)
_RETRY_MOVED_MS = (100, 1500)
_NOTHING_PACKED = b"\x00\x00\x00\xff\xff"
"""A block of no bytes in compressed data (RFC 1951, 3.2.4), where one begins at a byte."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What is written already, in the form of the transport: once for all who get it."""

    data: bytes


_LINE_ENDS = tuple((end.encode(), b"\\u%04x" % ord(end)) for end in "\x85\u2028\u2029")

Told = StatusChanged | Dropped | Ended | Moved | Expired | Removed
"""The events that have a name and fields."""
End = Ended | Moved | Expired
"""The events after which nothing comes."""


class Words(Protocol):
    """What a dialect says of log entries and events."""

    def entry(self, entry: LogEntry) -> dict[str, Any]:
        """Return the fields of a log entry."""

    def event(self, event: Told) -> tuple[str, dict[str, Any]]:
        """Return the name and the fields of an event."""


class Encoder(ABC):
    """Writes the events of one reader in the form of one transport.

    Attributes:
        content_type: Media type of the form, which clients name in ``Accept``.
        words: What the dialect says.
        headers: Fields of the answer, beside those of all streams.
    """

    content_type: ClassVar[str]
    words: ClassVar[Words]
    headers: Mapping[str, str] = {}

    @classmethod
    def for_client(cls, *, takes_gzip: bool) -> Encoder:  # noqa: ARG003
        """Return an encoder for one reader.

        Args:
            takes_gzip: The client reads what is compressed with gzip (RFC 9110, 12.5.3).
        """
        return cls()

    def prelude(self) -> bytes | None:
        """Return what is sent at once; nothing sends the head alone, None waits with that, too."""
        return None

    @classmethod
    @abstractmethod
    def entries(cls, stretch: Stretch) -> bytes:
        """Write log entries; done once for all readers of the same ones."""

    @abstractmethod
    def told(self, event: Told) -> bytes:
        """Write an event that has a name; nothing leaves it out."""

    def heartbeat(self) -> bytes:
        """Return the bytes that only show that the connection is alive."""
        return b""

    def encode(self, event: Event | Ready, turn: Turn) -> Iterable[bytes]:
        """Write an event, in as many pieces as the client may get apart from each other.

        Args:
            event: What happened.
            turn: Taken where there is much to write.
        """
        if isinstance(event, Ready):
            return (event.data,)
        if isinstance(event, Batch):
            return (written(self.entries, event, turn),)
        if isinstance(event, Changed):
            return ()
        if isinstance(event, Heartbeat):
            return (self.heartbeat(),)
        return (self.told(event),)


def unbroken(lines: bytes) -> bytes:
    """Escape in lines of JSON what some readers take for the end of a line, although it is none.

    JSON itself escapes the control characters only (RFC 8259, 7); Unicode's other ends of lines are
    those of Python's ``splitlines``, by which many a reader of events finds them.
    """
    for character, escaped in _LINE_ENDS:
        lines = lines.replace(character, escaped)
    return lines


class SseEncoder(Encoder):
    """Server-sent events (WHATWG HTML, 9.2); the id of each is the cursor."""

    content_type = "text/event-stream"

    def prelude(self) -> bytes:
        """Return what tells the client when to come back after a cut."""
        return b"retry: %d\n\n" % random.randint(*_RETRY_MS)  # noqa: S311

    @classmethod
    def entries(cls, stretch: Stretch) -> bytes:
        """Write each entry as an event."""
        say = cls.words.entry
        return unbroken(
            b"".join(
                b"id: %d\nevent: log\ndata: %s\n\n" % (entry.sequence, orjson.dumps(say(entry)))
                for entry in stretch.entries
            )
        )

    def told(self, event: Told) -> bytes:
        """Write an event, with the cursor where it moves."""
        name, data = self.words.event(event)
        head = b""
        if isinstance(event, Moved):
            head = b"retry: %d\n" % random.randint(*_RETRY_MOVED_MS)  # noqa: S311
        elif isinstance(event, Ended):
            head = b"id: %d\n" % event.next
        elif isinstance(event, Dropped):
            head = b"id: %d\n" % (event.next - 1)
        return b"%sevent: %s\ndata: %s\n\n" % (head, name.encode(), orjson.dumps(data))

    def heartbeat(self) -> bytes:
        """Return a comment."""
        return b":\n\n"


class NdjsonEncoder(Encoder):
    """Lines of JSON, each with a ``type``."""

    content_type = "application/x-ndjson"

    @classmethod
    def entries(cls, stretch: Stretch) -> bytes:
        """Write each entry as a line."""
        say = cls.words.entry
        return unbroken(
            b"".join(
                orjson.dumps({"type": "log", **say(entry)}, option=orjson.OPT_APPEND_NEWLINE)
                for entry in stretch.entries
            )
        )

    def told(self, event: Told) -> bytes:
        """Write a line."""
        name, data = self.words.event(event)
        return orjson.dumps({"type": name, **data}, option=orjson.OPT_APPEND_NEWLINE)

    def heartbeat(self) -> bytes:
        """Return an empty line."""
        return b"\n"


class TextEncoder(Encoder):
    """Text: the log, and why it is not all of it; compressed where the client reads that."""

    content_type = "text/plain"
    headers: Mapping[str, str] = {"Vary": "Accept, Accept-Encoding"}

    @classmethod
    def for_client(cls, *, takes_gzip: bool) -> Encoder:
        """Return an encoder for one reader."""
        return _PackedTextEncoder(cls()) if takes_gzip else cls()

    def prelude(self) -> bytes:
        """Send the head, since the first line may be long in coming."""
        return b""

    @classmethod
    def entries(cls, stretch: Stretch) -> bytes:
        """Write each entry as a line, or as several where it has several."""
        lines = (log_line(e.timestamp_ms, e.level, e.task, e.content) for e in stretch.entries)
        return "".join(lines).encode()

    def told(self, event: Told) -> bytes:
        """Write why entries are missing."""
        match event:
            case Dropped(number):
                return b"--- %d entries left out, this reader was too slow ---\n" % number
            case Moved(following):
                return b"--- this server stops; go on with after=%d ---\n" % (following - 1)
            case Expired(reason):
                return b"--- %s ---\n" % reason.encode()
            case _:
                return b""


class _PackedTextEncoder(TextEncoder):
    """Text in gzip, where a heartbeat is nothing to read and yet some bytes.

    The window is as small as can be, since each reader has one.
    """

    headers: Mapping[str, str] = {**TextEncoder.headers, "Content-Encoding": "gzip"}

    def __init__(self, plain: Encoder) -> None:
        self._plain = plain
        self._packer = zlib.compressobj(level=1, wbits=16 + 9, memLevel=1)

    def encode(self, event: Event | Ready, turn: Turn) -> Iterable[bytes]:
        """Write an event."""
        if isinstance(event, Heartbeat):
            return (_NOTHING_PACKED,)
        plain = b"".join(self._plain.encode(event, turn))
        mode = zlib.Z_FINISH if isinstance(event, End) else zlib.Z_SYNC_FLUSH
        return (pack(self._packer, plain, turn) + self._packer.flush(mode),)


class WebSocketEncoder(Encoder):
    """Messages of a WebSocket (RFC 6455), each a JSON object with a ``type``."""

    content_type = "websocket"

    @classmethod
    def entries(cls, stretch: Stretch) -> bytes:
        """Write each entry as a message."""
        say = cls.words.entry
        return b"".join(cls.message("log", say(entry)) for entry in stretch.entries)

    def told(self, event: Told) -> bytes:
        """Write a message."""
        return self.message(*self.words.event(event))

    @staticmethod
    def message(name: str, data: Mapping[str, Any]) -> bytes:
        """Write a message as one frame."""
        return text_frame(orjson.dumps({"type": name, **data}))

    def closing(self, event: End) -> tuple[int, str]:
        """Return the code (RFC 6455, 7.4) and the reason of the end, with the cursor if need be."""
        match event:
            case Ended(status):
                return 1000, f"the execution has ended: {status}"
            case Moved(following):
                return 1001, f"come back with after={following - 1}"
            case Expired(reason):
                return 1008, reason


class PageEncoder(ABC):
    """Writes a page of a log, as long polls get it.

    Attributes:
        content_type: Media type of the form.
        words: What the dialect says.
    """

    content_type: ClassVar[str] = "application/json"
    words: ClassVar[Words]
    prelude: ClassVar[bytes]
    separator: ClassVar[bytes] = b","

    @classmethod
    def entries(cls, stretch: Stretch) -> bytes:
        """Write entries as items of a JSON array; done once for all readers of the same ones."""
        say = cls.words.entry
        return orjson.dumps([say(entry) for entry in stretch.entries])[1:-1]

    @classmethod
    @abstractmethod
    def epilogue(cls, page: Any, number: int) -> bytes:
        """Write what follows the entries of a :class:`app.services.logs.LogPage`.

        Args:
            page: The page.
            number: How many entries it holds.
        """

    @classmethod
    def separated(cls, parts: Iterable[bytes]) -> Iterator[bytes]:
        """Put separators between parts of a page."""
        for place, part in enumerate(parts):
            if place:
                yield cls.separator
            yield part
