"""However a stream ends, what it reads from is let go of, and does not wait to be collected."""

import inspect
from contextlib import nullcontext

import pytest
from service_kit import basic, signed_in, users

from app.errors import StoreUnavailable
from app.resources import _streams
from app.resources._websocket import Closed, Hijacked
from app.resources.root.encoders import ENCODERS
from app.services.follow import Heartbeat


def heartbeats():
    while True:
        yield Heartbeat()


class Leaving:
    """A WebSocket whose client is gone when it is sent something."""

    def __init__(self, environ, turn):
        self.left = False

    def ping(self):
        raise self.error

    def leave(self):
        self.left = True

    def close(self, code, reason):
        self.said = code, reason


class Ended(BaseException):
    """As gevent ends the greenlet of a request whose client went away."""


@pytest.mark.parametrize("error", [Closed, Ended, OSError])
def test_a_websocket_that_ends_closes_what_it_reads(make_service, monkeypatch, error):
    service, events = make_service(api__auth=users()), heartbeats()
    monkeypatch.setattr(_streams, "WebSocket", type("Socket", (Leaving,), {"error": error}))
    encoder = type("Encoder", (), {"content_type": "websocket"})()
    with service.web.app.test_request_context("/", headers=basic("ada", "ada's pass")):
        try:
            _streams.converse(events, encoder, signed_in("ada"), nullcontext)
        except (Ended, OSError) as exc:
            kept = exc  # its traceback holds every frame
            assert kept.__traceback__ is not None
        assert inspect.getgeneratorstate(events) == inspect.GEN_CLOSED


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreUnavailable("The store does not answer."), "The store does not answer."),
        (RuntimeError("of nobody's business"), "Something went wrong on our side."),
    ],
    ids=["ours", "crash"],
)
def test_what_goes_wrong_on_a_websocket_ends_it_with_a_reason_and_is_no_answer(
    make_service, monkeypatch, error, said
):
    service, sockets = make_service(api__auth=users()), []

    class Socket(Leaving):
        def __init__(self, environ, turn):
            sockets.append(self)

    def events():
        yield Heartbeat()

    monkeypatch.setattr(_streams, "WebSocket", Socket)
    Socket.error = error
    encoder = type("Encoder", (), {"content_type": "websocket"})()
    with service.web.app.test_request_context("/", headers=basic("ada", "ada's pass")):
        answer = _streams.converse(events(), encoder, signed_in("ada"), nullcontext)
    assert isinstance(answer, Hijacked)
    assert sockets[0].said == (1011, said)


@pytest.mark.parametrize("form", ENCODERS)
def test_a_stream_that_ends_closes_what_it_reads(make_service, form):
    service, events = make_service(api__auth=users()), heartbeats()
    with service.web.app.test_request_context("/", headers=basic("ada", "ada's pass")):
        body = iter(_streams.stream(events, ENCODERS[form], signed_in("ada")).response)
        next(body)
        body.close()
        assert inspect.getgeneratorstate(events) == inspect.GEN_CLOSED
