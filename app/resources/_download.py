"""A log as a text file: whole, compressed, or a range of its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from flask import Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from app.domain import Level
from app.resources._auth import caller
from app.resources._context import services
from app.resources._encoders import TextEncoder
from app.resources._packing import compress
from app.resources._streams import held
from app.services.logs import LogText
from app.services.turns import Turn

_CONTENT_TYPE = f"{TextEncoder.content_type}; charset=utf-8"


def download(execution_id: str, levels: Level) -> Response:
    """Answer with the log as it is now.

    Of an execution that has ended, ranges can be asked for (RFC 9110, 14), so that a download can
    go on where it was cut off.

    Raises:
        LimitExceeded: As many requests are held as may be.
    """
    log = services().logs.text(execution_id, caller(), levels)
    headers, turn = {"Vary": "Accept, Accept-Encoding"}, _turn(log)
    if log.complete:
        headers |= {"Accept-Ranges": "bytes", "ETag": f'"{log.etag}"'}
        wanted = request.range if _if_range_holds(log) else None
        if wanted is not None and wanted.units == "bytes" and len(wanted.ranges) == 1:
            return _part(log, *wanted.ranges[0], headers)
    if request.accept_encodings["gzip"] > 0:
        headers["Content-Encoding"] = "gzip"
        headers.pop("Accept-Ranges", None)
        headers.pop("ETag", None)
        body = compress(_bytes(log, 0, log.size, turn), turn)
    else:
        headers["Content-Length"] = str(log.size)
        body = _bytes(log, 0, log.size, turn)
    return Response(_held(body), content_type=_CONTENT_TYPE, headers=headers)


def _part(log: LogText, start: int, stop: int | None, headers: dict[str, str]) -> Response:
    """Answer with a range as Werkzeug parsed it: a negative start counts from the end."""
    start = max(0, log.size + start) if start < 0 else start
    stop = log.size if stop is None else min(stop, log.size)
    if start >= stop:
        raise RequestedRangeNotSatisfiable(length=log.size)
    headers |= {
        "Content-Range": f"bytes {start}-{stop - 1}/{log.size}",
        "Content-Length": str(stop - start),
    }
    body = _held(_bytes(log, start, stop, _turn(log)))
    return Response(body, status=206, content_type=_CONTENT_TYPE, headers=headers)


def _if_range_holds(log: LogText) -> bool:
    given = request.headers.get("If-Range")
    return given is None or given == f'"{log.etag}"'


def _held(body: Iterator[bytes]) -> Iterator[bytes]:
    identity = caller()
    return held(body, identity, partial(services().places.place, identity, "download"))


def _turn(log: LogText) -> Turn:
    return partial(services().turns.turn, log.owner)


def _bytes(log: LogText, start: int, stop: int, turn: Turn) -> Iterator[bytes]:
    """Write the bytes of the log from one place to another."""
    position, stretches = log.open_at(start)
    for stretch in stretches:
        with turn():
            chunk = TextEncoder.entries(stretch)
        following = position + len(chunk)
        if following > start:
            yield chunk[max(0, start - position) : stop - position]
        position = following
        if position >= stop:
            return
