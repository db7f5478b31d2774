"""Streams on the wire: the events of a follower as server-sent events, JSON lines or text."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

import orjson
from flask import Response, request

from app.domain import Execution, Identity
from app.observability import Metrics
from app.resources._api import iso
from app.resources._context import services
from app.resources._written import as_ndjson, as_sse, as_text, written
from app.resources.root.statuses import status_and_state
from app.services.follow import (
    Batch,
    Changed,
    Dropped,
    Ended,
    Event,
    Expired,
    Heartbeat,
    Moved,
    StatusChanged,
)
from app.services.turns import Turn

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
TEXT = "text/plain"

# The client comes back after this many milliseconds; spread, so that not all do at once.
_RETRY_MS = (1000, 3000)
_RETRY_MOVED_MS = (100, 1500)
_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
_NOTHING_PACKED = b"\x00\x00\x00\xff\xff"
"""A block of no bytes in compressed data (RFC 1951, 3.2.4), where one begins at a byte."""
_PACKED_BYTES = 32 * 1024
"""What is compressed in one turn."""

Place = Callable[[], AbstractContextManager[None]]
"""Takes a place among the requests that are held."""

Encoder = Callable[[Event, Turn], bytes]
"""Writes an event, in turns where that takes time."""


class Packer(Protocol):
    """What zlib makes to compress with."""

    def compress(self, data: bytes, /) -> bytes:
        """Compress some more."""


def status_json(execution: Execution) -> dict[str, Any]:
    """Give the state of an execution, as status events carry it."""
    return {
        "id": execution.id,
        **status_and_state(execution.status),
        "progress": execution.progress,
        "error": execution.error,
        "as_of": iso(execution.as_of),
    }


def event_json(event: Event) -> tuple[str, dict[str, Any]]:
    """Give the name and the data of any event that has a name."""
    match event:
        case StatusChanged(execution):
            return "status", status_json(execution)
        case Dropped(number, first, following):
            return "dropped", {"count": number, "after": first - 1, "next": following}
        case Ended(status, total):
            return "end", {**status_and_state(status), "total": total}
        case Moved(following):
            return "moved", {"after": following - 1}
        case Expired(reason):
            return "expired", {"reason": reason}
        case _:
            raise TypeError(event)


def sse(event: Event, turn: Turn) -> bytes:
    """Write an event as server-sent events; the id of each is the cursor."""
    if isinstance(event, Batch):
        return written(as_sse, event, turn)
    if isinstance(event, Changed):
        return b""
    if isinstance(event, Heartbeat):
        return b":\n\n"
    name, data = event_json(event)
    head = b""
    if isinstance(event, Moved):
        head = b"retry: %d\n" % random.randint(*_RETRY_MOVED_MS)  # noqa: S311
    elif isinstance(event, Ended):
        head = b"id: %d\n" % event.next
    elif isinstance(event, Dropped):
        head = b"id: %d\n" % (event.next - 1)
    return b"%sevent: %s\ndata: %s\n\n" % (head, name.encode(), orjson.dumps(data))


def ndjson(event: Event, turn: Turn) -> bytes:
    """Write an event as lines of JSON."""
    if isinstance(event, Batch):
        return written(as_ndjson, event, turn)
    if isinstance(event, Changed):
        return b""
    if isinstance(event, Heartbeat):
        return b"\n"
    name, data = event_json(event)
    return orjson.dumps({"type": name, **data}, option=orjson.OPT_APPEND_NEWLINE)


def text(event: Event, turn: Turn) -> bytes:
    """Write an event as text: the log, and why it is not all of it."""
    if isinstance(event, Batch):
        return written(as_text, event, turn)
    match event:
        case Dropped(number):
            return b"--- %d entries left out, this reader was too slow ---\n" % number
        case Moved(following):
            return b"--- this server stops; go on with after=%d ---\n" % (following - 1)
        case Expired(reason):
            return b"--- %s ---\n" % reason.encode()
        case _:
            return b""


class PackedText:
    """Writes events as text in gzip, where a heartbeat is nothing to read and yet some bytes.

    The window is as small as can be, since each reader has one.
    """

    def __init__(self) -> None:
        self._packer = zlib.compressobj(level=1, wbits=16 + 9, memLevel=1)

    def __call__(self, event: Event, turn: Turn) -> bytes:
        """Write an event."""
        if isinstance(event, Heartbeat):
            return _NOTHING_PACKED
        last = isinstance(event, Ended | Moved | Expired)
        packed = pack(self._packer, text(event, turn), turn)
        return packed + self._packer.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


def stream(
    events: Iterator[Event], encode: Encoder, content_type: str, identity: Identity
) -> Response:
    """Answer with a stream of events.

    Raises:
        LimitExceeded: As many streams are open as may be.
    """
    bundle = services()
    headers = dict(_HEADERS)
    if encode is text:
        headers["Vary"] = "Accept, Accept-Encoding"
        if request.accept_encodings["gzip"] > 0:
            headers["Content-Encoding"] = "gzip"
            encode = PackedText()
    turn = partial(bundle.turns.turn, identity.username)
    place = partial(bundle.places.stream, identity, content_type)
    body = held(_write(bundle.metrics, events, encode, turn), identity, place)
    return Response(body, content_type=f"{content_type}; charset=utf-8", headers=headers)


def held(body: Iterator[bytes], identity: Identity, place: Place) -> Iterator[bytes]:
    """Give a body that holds a place while it is written.

    Raises:
        LimitExceeded: As many requests are held as may be.
    """
    services().places.check(identity)  # now, while an error can still be answered
    return _in_place(body, place)


def _in_place(body: Iterator[bytes], place: Place) -> Iterator[bytes]:
    with place():
        yield from body


def _write(
    metrics: Metrics, events: Iterator[Event], encode: Encoder, turn: Turn
) -> Iterator[bytes]:
    opened_at = time.time()
    if encode is sse:
        yield b"retry: %d\n\n" % random.randint(*_RETRY_MS)  # noqa: S311
    elif encode is text:
        yield b""  # sends the head, since the first line may be long in coming
    for event in events:
        if isinstance(event, Batch):
            observe_lag(metrics, event, opened_at)
        data = encode(event, turn)
        if data:
            yield data


def observe_lag(metrics: Metrics, batch: Batch, opened_at: float) -> None:
    """Note how late a reader gets what was written after he had come; the past is no delay."""
    written_at = batch.entries[-1].timestamp_ms / 1000
    if written_at >= opened_at:
        metrics.delivery_lag.observe(max(0.0, time.time() - written_at))


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
