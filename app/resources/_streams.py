"""Streams: the events of a follower, sent through an encoder as an answer or over a WebSocket."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from flask import Response, request

from app.domain import Identity
from app.metrics import Metrics
from app.resources._access_log import AccessLog
from app.resources._context import services
from app.resources._encoders import Encoder, End, Ready, WebSocketEncoder
from app.resources._errors import of_error
from app.resources._held import Streamed
from app.resources._websocket import Closed, Hijacked, WebSocket
from app.services.follow import Batch, Event, Heartbeat
from app.services.idle import Idle
from app.services.topics import OfTopic
from app.services.turns import Turn

T = TypeVar("T")

_BROKEN: Final = 1011
"""Code of a goodbye when the server cannot go on (RFC 6455, 7.4.1)."""

_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

Place = Callable[[], AbstractContextManager[None]]
"""Takes a place among the requests that are held."""


class Writer(Protocol):
    """Writes the events of one reader, as :class:`Encoder` does."""

    @property
    def content_type(self) -> str:
        """Media type of the form."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Fields of the answer, beside those of all streams."""

    def prelude(self) -> bytes | None:
        """Return what is sent at once."""

    def encode(self, event: Any, turn: Turn) -> Iterable[bytes]:
        """Write an event."""


def stream(
    events: Generator[Event | Idle, None, None], form: type[Encoder], identity: Identity
) -> Response:
    """Answer with a stream of events.

    Args:
        events: What happens, and ``Idle`` where nothing does.
        form: How it is written.
        identity: The reader.

    Raises:
        LimitExceeded: As many streams are open as may be.
    """
    encoder = form.for_client(takes_gzip=request.accept_encodings["gzip"] > 0)
    return stream_by(encoder, events, identity)


def stream_by(
    writer: Writer, events: Generator[Any | Idle, None, None], identity: Identity
) -> Response:
    """Answer with a stream of events as :func:`stream` does.

    Args:
        writer: Writes them.
        events: What happens, and ``Idle`` where nothing does.
        identity: The reader.

    Raises:
        LimitExceeded: As many streams are open as may be.
    """
    bundle = services()
    turn = partial(bundle.turns.turn, identity.username)
    place = partial(bundle.places.stream, identity, writer.content_type)
    body = held(_write(bundle.metrics, events, writer, turn), identity, place)
    return Streamed(
        body,  # type: ignore[arg-type]  # the server takes more than bytes
        content_type=f"{writer.content_type}; charset=utf-8",
        headers={**_HEADERS, **writer.headers},
    )


def converse(
    events: Generator[Event | Ready, None, None],
    encoder: WebSocketEncoder,
    identity: Identity,
    turn: Turn,
) -> Response:
    """Send a stream of events over a WebSocket, until its end or until the client is gone.

    The stream is closed then, however it ends: an error that is kept somewhere would hold it.

    Raises:
        BadRequest: The request is no WebSocket handshake.
        LimitExceeded: As many streams are open as may be.
    """
    bundle, opened_at = services(), time.time()
    with closing(events), bundle.places.stream(identity, encoder.content_type):
        try:
            ws = WebSocket(request.environ, turn)
        except Closed:
            return Hijacked()
        AccessLog(bundle.settings.observability.access_log).opened()
        with to_its_end(ws):
            for event in events:
                if isinstance(event, Heartbeat):
                    ws.ping()
                    continue
                if isinstance(event, Batch):
                    _observe_lag(bundle.metrics, event, opened_at)
                for frames in encoder.encode(event, turn):
                    ws.send(frames)
                if isinstance(event, End):
                    ws.close(*encoder.closing(event))
    return Hijacked()


@contextmanager
def to_its_end(ws: WebSocket) -> Iterator[None]:
    """Use a WebSocket until its end, of which an error is one: nobody reads an answer any more."""
    try:
        yield
    except Closed:
        ws.leave()
    except Exception as exc:  # noqa: BLE001  (it is logged as that of any request)
        ws.close(_BROKEN, of_error(exc, request.path).detail)


def held(body: Iterator[T], identity: Identity, place: Place) -> Iterator[T]:
    """Return a body that holds a place while it is written.

    Raises:
        LimitExceeded: As many requests are held as may be.
    """
    services().places.check(identity)  # now, while an error can still be answered
    return _in_place(body, place)


def _in_place(body: Iterator[T], place: Place) -> Iterator[T]:
    with place():
        yield from body


def _write(
    metrics: Metrics,
    events: Generator[Any | Idle, None, None],
    encoder: Writer,
    turn: Turn,
) -> Iterator[bytes | Idle]:
    opened_at = time.time()
    with closing(events):
        prelude = encoder.prelude()
        if prelude is not None:
            yield prelude
        for event in events:
            if isinstance(event, Idle):
                yield event
                continue
            batch = event.event if isinstance(event, OfTopic) else event
            if isinstance(batch, Batch):
                _observe_lag(metrics, batch, opened_at)
            for data in encoder.encode(event, turn):
                if data:
                    yield data


def _observe_lag(metrics: Metrics, batch: Batch, opened_at: float) -> None:
    """Note how late readers get what was written after they had come; the past is no delay."""
    written_at = batch.entries[-1].timestamp_ms / 1000
    if written_at >= opened_at:
        metrics.count_delivery(max(0.0, time.time() - written_at))
