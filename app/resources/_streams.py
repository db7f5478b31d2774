"""Streams on the wire: the events of a follower as server-sent events, JSON lines or text.

What many readers get is written once: a batch is encoded when the first of them needs it.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from flask import Response, request

from app.domain import Execution, Identity, Level, LogEntry, log_line, log_timestamp
from app.observability import Metrics
from app.resources._api import iso
from app.resources._context import services
from app.resources._statuses import status_and_state
from app.services.bundle import Services
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
from app.services.places import Places

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
TEXT = "text/plain"

# The client comes back after this many milliseconds; spread, so that not all do at once.
_RETRY_MS = (1000, 3000)
_RETRY_MOVED_MS = (100, 1500)
_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
_NOTHING_PACKED = b"\x00\x00\x00\xff\xff"
"""A block of no bytes in compressed data (RFC 1951, 3.2.4), where one begins at a byte."""
_LEVEL_NAMES = {int(level): level.name for level in Level}

Encoder = Callable[[Event], bytes]


def entry_json(entry: LogEntry) -> dict[str, Any]:
    """Give a log entry as it stands on every wire."""
    return {
        "level": _LEVEL_NAMES[entry.level],
        "timestamp": log_timestamp(entry.timestamp_ms),
        "content": entry.content,
        "task": entry.task,
        "index": entry.sequence,
    }


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


def sse(event: Event) -> bytes:
    """Write an event as server-sent events; the id of each is the cursor."""
    if isinstance(event, Batch):
        return _once(_as_sse, event, _sse_batch)
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


def ndjson(event: Event) -> bytes:
    """Write an event as lines of JSON."""
    if isinstance(event, Batch):
        return _once(_as_ndjson, event, _ndjson_batch)
    if isinstance(event, Changed):
        return b""
    if isinstance(event, Heartbeat):
        return b"\n"
    name, data = event_json(event)
    return orjson.dumps({"type": name, **data}, option=orjson.OPT_APPEND_NEWLINE)


def text(event: Event) -> bytes:
    """Write an event as text: the log, and why it is not all of it."""
    if isinstance(event, Batch):
        return text_lines(event.entries)
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

    def __call__(self, event: Event) -> bytes:
        """Write an event."""
        if isinstance(event, Heartbeat):
            return _NOTHING_PACKED
        last = isinstance(event, Ended | Moved | Expired)
        packed = self._packer.compress(text(event))
        return packed + self._packer.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


def text_lines(entries: Iterable[LogEntry]) -> bytes:
    """Write log entries as text."""
    return "".join(log_line(e.timestamp_ms, e.level, e.task, e.content) for e in entries).encode()


# Each lives as long as the batch that it was made of.
_as_sse: WeakKeyDictionary[Batch, bytes] = WeakKeyDictionary()
_as_ndjson: WeakKeyDictionary[Batch, bytes] = WeakKeyDictionary()


def _once(
    kept: WeakKeyDictionary[Batch, bytes], batch: Batch, write: Callable[[Batch], bytes]
) -> bytes:
    written = kept.get(batch)
    if written is None:
        written = kept[batch] = write(batch)
    return written


def _sse_batch(batch: Batch) -> bytes:
    return b"".join(
        b"id: %d\nevent: log\ndata: %s\n\n" % (entry.sequence, orjson.dumps(entry_json(entry)))
        for entry in batch.entries
    )


def _ndjson_batch(batch: Batch) -> bytes:
    return b"".join(
        orjson.dumps({"type": "log", **entry_json(entry)}, option=orjson.OPT_APPEND_NEWLINE)
        for entry in batch.entries
    )


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
    body = held(_write(bundle, events, encode), content_type, identity)
    return Response(body, content_type=f"{content_type}; charset=utf-8", headers=headers)


def held(body: Iterator[bytes], transport: str, identity: Identity) -> Iterator[bytes]:
    """Give a body that holds a place while it is written.

    Raises:
        LimitExceeded: As many requests are held as may be.
    """
    places = services().places
    places.check(identity)  # now, while an error can still be answered
    return _in_place(places, body, transport, identity)


def _in_place(
    places: Places, body: Iterator[bytes], transport: str, identity: Identity
) -> Iterator[bytes]:
    with places.place(identity, transport):
        yield from body


def _write(bundle: Services, events: Iterator[Event], encode: Encoder) -> Iterator[bytes]:
    opened_at = time.time()
    if encode is sse:
        yield b"retry: %d\n\n" % random.randint(*_RETRY_MS)  # noqa: S311
    elif encode is text:
        yield b""  # sends the head, since the first line may be long in coming
    for event in events:
        if isinstance(event, Batch):
            observe_lag(bundle.metrics, event, opened_at)
        data = encode(event)
        if data:
            yield data


def observe_lag(metrics: Metrics, batch: Batch, opened_at: float) -> None:
    """Note how late a reader gets what was written after he had come; the past is no delay."""
    written_at = batch.entries[-1].timestamp_ms / 1000
    if written_at >= opened_at:
        metrics.delivery_lag.observe(max(0.0, time.time() - written_at))


def compress(chunks: Iterable[bytes], level: int = 6) -> Iterator[bytes]:
    """Compress with gzip (RFC 1952), chunk by chunk."""
    packer = zlib.compressobj(level, wbits=31)
    for chunk in chunks:
        packed = packer.compress(chunk)
        if packed:
            yield packed
    yield packer.flush()
