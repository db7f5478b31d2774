"""The server's end of a WebSocket, where a client's goodbye meets what is being sent."""

import base64
import os
import socket
import threading
from contextlib import contextmanager

import pytest
from kit.patience import PATIENCE_SECONDS

from app.resources._websocket import Closed, WebSocket, text_frame

GOODBYE = b"\x88\x82" + bytes(4) + b"\x03\xe8"
"""A client's frame that closes with code 1000, masked with zeros (RFC 6455, 5.5.1)."""
ANSWER = b"\x88\x02\x03\xe8"


@pytest.fixture
def ends():
    server, client = socket.socketpair()
    client.settimeout(PATIENCE_SECONDS)
    with server, client:
        yield server, client


def environ_of(server):
    return {
        "PATH_INFO": "/ws",
        "HTTP_HOST": "localhost",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_UPGRADE": "websocket",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": base64.b64encode(os.urandom(16)).decode(),
        "slipway.socket": server,
    }


@pytest.mark.parametrize("say", [lambda ws: ws.send(text_frame(b"{}")), lambda ws: ws.ping()])
def test_a_goodbye_is_answered_although_more_was_to_be_sent(ends, say):
    server, client = ends
    seen, refused = threading.Event(), threading.Event()

    @contextmanager
    def turn():
        yield
        seen.set()
        assert refused.wait(PATIENCE_SECONDS)

    ws = WebSocket(environ_of(server), turn)
    client.sendall(GOODBYE)
    assert seen.wait(PATIENCE_SECONDS)
    with pytest.raises(Closed):
        say(ws)
    threading.Timer(0.05, refused.set).start()
    ws.leave()
    server.close()  # as the web server does once the view has returned
    received = b""
    while data := client.recv(4096):
        received += data
    assert received.endswith(ANSWER)
