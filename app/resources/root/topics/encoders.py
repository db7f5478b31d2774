"""What the stream of many topics writes: each event names its topic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import orjson

from app.resources._encoders import NdjsonEncoder, SseEncoder
from app.resources.root.topics.kinds import Message, Topic, told
from app.services.follow import Heartbeat
from app.services.topics import AllEnded, OfTopic, Opened
from app.services.turns import Turn


class TopicEncoder(ABC):
    """Writes the events of one reader.

    Args:
        topics: The topics that are asked for, by their names.

    Attributes:
        content_type: Media type of the form, which clients name in ``Accept``.
        headers: Fields of the answer, beside those of all streams.
    """

    content_type: ClassVar[str]
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, topics: Mapping[str, Topic]) -> None:
        self._topics = topics
        self._heads = {name: b'{"topic":%s' % orjson.dumps(name) for name in topics}

    def prelude(self) -> bytes | None:
        """Return what is sent at once."""
        return None

    def encode(self, event: Any, turn: Turn) -> Iterable[bytes]:
        """Write an event, in as many pieces as the client may get apart from each other."""
        if isinstance(event, OfTopic):
            return self._of_topic(event, turn)
        if isinstance(event, Heartbeat):
            return (self.heartbeat(),)
        name, fields = _of_all(event)
        return (self.event(name, fields),)

    def _of_topic(self, event: OfTopic[Any], turn: Turn) -> Iterator[bytes]:
        head = self._heads[event.topic]
        for name, fields in self._topics[event.topic].messages(event.event, turn):
            yield self.event(name, _joined(head, fields))

    @abstractmethod
    def event(self, name: str, fields: bytes) -> bytes:
        """Write an event whose fields are a JSON object already."""

    @abstractmethod
    def heartbeat(self) -> bytes:
        """Return the bytes that only show that the connection is alive."""


def _joined(head: bytes, fields: bytes) -> bytes:
    """Write an object that begins with a head, which is open and not empty, and goes on."""
    return head + (fields[1:] if fields == b"{}" else b"," + fields[1:])


def _of_all(event: Any) -> Message:
    """Write an event of the stream itself."""
    if isinstance(event, Opened):
        return Message("opened", orjson.dumps({"heartbeat": event.heartbeat_seconds}))
    if isinstance(event, AllEnded):
        return Message("end", b"{}")
    return told(event)


class TopicSse(TopicEncoder):
    """Server-sent events."""

    content_type = SseEncoder.content_type

    def event(self, name: str, fields: bytes) -> bytes:
        """Write an event."""
        return b"event: %s\ndata: %s\n\n" % (name.encode(), fields)

    def heartbeat(self) -> bytes:
        """Return a comment."""
        return b":\n\n"


class TopicNdjson(TopicEncoder):
    """Lines of JSON, each with a ``type``."""

    content_type = NdjsonEncoder.content_type

    def event(self, name: str, fields: bytes) -> bytes:
        """Write a line."""
        return _joined(b'{"type":' + orjson.dumps(name), fields) + b"\n"

    def heartbeat(self) -> bytes:
        """Return an empty line."""
        return b"\n"


ENCODERS: Mapping[str, type[TopicEncoder]] = {
    encoder.content_type: encoder for encoder in (TopicSse, TopicNdjson)
}
"""The ways to follow topics, by what a client names in ``Accept``; the default first."""
