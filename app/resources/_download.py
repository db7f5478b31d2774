"""A log as a text file: whole, compressed, or a range of its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from flask import Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from app.resources._auth import caller
from app.resources._conditional import is_unchanged
from app.resources._context import services
from app.resources._encoders import TextEncoder
from app.resources._packing import compress
from app.resources._streams import held
from app.services.logs import LogPart, LogQuery, LogText
from app.services.stretches import Stretch
from app.services.turns import Turn

_CONTENT_TYPE = f"{TextEncoder.content_type}; charset=utf-8"


def download(execution_id: str, query: LogQuery) -> Response:
    """Answer with the log as it is now, or with the entries of it that somebody wants.

    Of the whole log of an execution that has ended, ranges can be asked for (RFC 9110, 14), so that
    a download can go on where it was cut off.

    Raises:
        LimitExceeded: As many requests are held as may be.
        ConditionFailed: The log is not as the request says.
    """
    log = services().logs.text(execution_id, caller(), query)
    packed = request.accept_encodings["gzip"] > 0
    headers = {"Vary": "Accept, Accept-Encoding"}
    if isinstance(log, LogPart):
        body = _written(log.stretches, _turn(log))
        headers["ETag"] = _weak(log.etag, packed=packed)
    else:
        wanted = _range(log)
        packed = packed and wanted is None
        headers |= _tag(log, packed=packed)
        if wanted is not None and not is_unchanged(headers["ETag"]):
            return _part(log, *wanted, headers)
        body = _bytes(log, 0, log.size, _turn(log))
        if not packed:
            headers["Content-Length"] = str(log.size)
    if packed:
        headers["Content-Encoding"] = "gzip"
        body = compress(body, _turn(log))
    return Response(_held(body), content_type=_CONTENT_TYPE, headers=headers)


def _tag(log: LogText, *, packed: bool) -> dict[str, str]:
    """Return the fields that name a text; ranges are of one that stays the same byte for byte."""
    if log.complete and not packed:
        return {"Accept-Ranges": "bytes", "ETag": f'"{log.etag}"'}
    return {"ETag": _weak(f"{log.etag}-{log.size}", packed=packed)}


def _weak(tag: str, *, packed: bool) -> str:
    return f'W/"{tag}{"-gzip" if packed else ""}"'


def _range(log: LogText) -> tuple[int, int | None] | None:
    """Return the one range that is asked for of a log that does not grow."""
    wanted = request.range if log.complete and _if_range_holds(log) else None
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        return None
    first, stop = wanted.ranges[0]
    return first, stop


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


def _turn(log: LogText | LogPart) -> Turn:
    return partial(services().turns.turn, log.owner)


def _written(stretches: Iterator[Stretch], turn: Turn) -> Iterator[bytes]:
    for stretch in stretches:
        with turn():
            chunk = TextEncoder.entries(stretch)
        yield chunk


def _bytes(log: LogText, start: int, stop: int, turn: Turn) -> Iterator[bytes]:
    """Write the bytes of the log from one place to another."""
    position, stretches = log.open_at(start)
    for chunk in _written(stretches, turn):
        following = position + len(chunk)
        if following > start:
            yield chunk[max(0, start - position) : stop - position]
        position = following
        if position >= stop:
            return
