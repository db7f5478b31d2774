"""The outgoing session: bounded, and failing in our own words."""

from __future__ import annotations

import inspect
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from operator import attrgetter, itemgetter
from pathlib import Path

import pytest
import requests
import responses
from kit.certificates import Authority, Pair
from requests import exceptions as requests_errors
from urllib3 import exceptions as urllib3_errors

from app.clients._http import (
    ERRORS,
    BodyTooLarge,
    HttpSession,
    dropped,
    expecting_shape,
    read_json,
    translate,
    upstream_errors,
)
from app.errors import (
    ConfigError,
    UpstreamError,
    UpstreamGarbled,
    UpstreamTimeout,
    UpstreamUnreachable,
)

NAME = "The orchestrator 'hpc'"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def session(**options: object) -> HttpSession:
    return HttpSession(NAME, **{"timeout_seconds": 20, **options})  # type: ignore[arg-type]


@contextmanager
def serving(
    talk: Callable[[socket.socket], None], context: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve connections one after the other; ``talk`` gets each once a request has come.

    With a context that is done over TLS, where failed handshakes count as connections, too.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def secured(connection: socket.socket) -> socket.socket:
        return context.wrap_socket(connection, server_side=True) if context else connection

    def serve() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), accepted, secured(accepted) as connection:
                if connection.recv(65536):
                    talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    scheme = "https" if context else "http"
    yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def serving_tls(pair: Pair) -> AbstractContextManager[str]:
    """Answer every request over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    return serving(lambda connection: connection.sendall(OK), context)


def test_the_table_names_every_exception_of_requests():
    classes = {
        value
        for value in vars(requests_errors).values()
        if inspect.isclass(value) and issubclass(value, requests.RequestException)
    }
    assert classes - ERRORS.keys() == set()


def test_every_exception_of_urllib3_has_a_meaning():
    for value in vars(urllib3_errors).values():
        if inspect.isclass(value) and issubclass(value, urllib3_errors.HTTPError):
            assert any(base in ERRORS for base in value.__mro__), value


def test_whatever_the_table_says_is_one_of_the_three_answers():
    assert set(ERRORS.values()) == {UpstreamUnreachable, UpstreamTimeout, UpstreamGarbled}


def test_a_refused_connection_was_surely_not_received():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpstreamUnreachable) as caught:
        session().post(f"http://127.0.0.1:{port}/", json={})
    assert caught.value.message == f"{NAME} cannot be reached."
    assert caught.value.retry_after_seconds
    assert isinstance(caught.value.__cause__, requests.ConnectionError)


@pytest.mark.parametrize(
    "reason",
    [
        urllib3_errors.NewConnectionError(None, "refused"),  # type: ignore[arg-type]
        urllib3_errors.NameResolutionError("host", None, socket.gaierror()),  # type: ignore[arg-type]
        urllib3_errors.ConnectTimeoutError("slow"),
        urllib3_errors.ProxyError("no proxy", OSError()),
        urllib3_errors.SSLError(ssl.SSLCertVerificationError("self-signed")),
    ],
)
def test_what_fails_before_sending_is_seen_through_the_wrappers(reason):
    wrapped = requests.ConnectionError(urllib3_errors.MaxRetryError(None, "/", reason))  # type: ignore[arg-type]
    assert isinstance(translate(wrapped, NAME), UpstreamUnreachable)


def test_an_earlier_failure_in_the_context_does_not_count():
    def fail_twice():
        try:
            raise urllib3_errors.ConnectTimeoutError("an attempt before")
        except urllib3_errors.ConnectTimeoutError:
            raise requests.ConnectionError("broken off")  # noqa: B904  (the context is the point)

    with pytest.raises(UpstreamTimeout), upstream_errors(NAME):
        fail_twice()


def test_silence_after_sending_was_perhaps_received():
    with serving(lambda _: time.sleep(0.5)) as url, pytest.raises(UpstreamTimeout) as caught:
        session(timeout_seconds=0.3).post(url, json={})
    assert not dropped(caught.value)


def test_a_connection_that_ends_without_an_answer_was_perhaps_received():
    with serving(lambda _: None) as url, pytest.raises(UpstreamTimeout) as caught:
        session().post(url, json={})
    assert dropped(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
def test_an_answer_that_breaks_off_was_perhaps_received(answer):
    with serving(lambda c: c.sendall(answer)) as url, pytest.raises(UpstreamTimeout):
        session().get(url)


def test_an_answer_that_trickles_does_not_outlast_the_timeout():
    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        with suppress(OSError):
            while True:
                connection.sendall(b"x")
                time.sleep(0.05)

    with serving(trickle) as url, pytest.raises(UpstreamTimeout):
        session(timeout_seconds=0.3).get(url)


@pytest.mark.parametrize("encoding", ["", "Content-Encoding: gzip\r\n"])
def test_a_body_that_is_too_large_is_not_read_to_its_end(encoding):
    body = b"x" * 5000
    if encoding:
        import gzip  # noqa: PLC0415

        body = gzip.compress(body)
    head = f"HTTP/1.1 200 OK\r\n{encoding}Content-Length: {len(body)}\r\n\r\n".encode()
    with serving(lambda c: c.sendall(head + body)) as url, pytest.raises(BodyTooLarge):
        session(max_body_bytes=1000).get(url)


def test_compressed_rubbish_is_garbled():
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"
    with serving(lambda c: c.sendall(answer)) as url, pytest.raises(UpstreamGarbled):
        session().get(url)


def test_what_is_not_http_was_perhaps_received():
    greeting = b"SSH-2.0-OpenSSH_9.6\r\n"
    with serving(lambda c: c.sendall(greeting)) as url, pytest.raises(UpstreamTimeout):
        session().get(url)


def test_a_body_is_given_as_it_came():
    with serving(lambda c: c.sendall(OK)) as url:
        response = session().get(url)
    assert response.content == b"{}"
    assert response.json() == {}


def test_only_a_session_without_keep_alive_has_a_fresh_connection_each_time():
    connections = []

    def talk(connection: socket.socket) -> None:
        connections.append(connection)
        connection.sendall(OK)
        while connection.recv(65536):
            connection.sendall(OK)

    for keep_alive, expected in ((True, 1), (False, 2)):
        connections.clear()
        with serving(talk) as url:
            client = session(keep_alive=keep_alive)
            client.get(url)
            client.get(url)
            client.close()
        assert len(connections) == expected


def test_a_ca_file_that_is_missing_is_told_at_the_start():
    with pytest.raises(ConfigError, match="/no/such/file"):
        session(verify="/no/such/file")


def remove(file: Path) -> None:
    file.unlink()


def empty(file: Path) -> None:
    file.write_bytes(b"")


def spoil(file: Path) -> None:
    file.write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")


def dangle(file: Path) -> None:
    file.unlink()
    file.symlink_to("away.pem")


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (remove, "does not exist"),
        (dangle, "does not exist"),
        (empty, "holds no certificates"),
        (spoil, "holds no certificates"),
    ],
    ids=["removed", "dangling", "empty", "spoilt"],
)
def test_a_ca_file_that_is_away_for_a_moment_is_that_upstreams_fault(
    tmp_path, harm, why, keep_alive
):
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("localhost")
    ca_file, whole = authority.cert, authority.cert.read_bytes()
    with serving_tls(pair) as url:
        client = session(verify=str(ca_file), keep_alive=keep_alive)
        harm(ca_file)
        with pytest.raises(UpstreamUnreachable) as caught:
            client.get(url)
        assert str(ca_file) in caught.value.message
        assert why in caught.value.message
        assert caught.value.retry_after_seconds
        ca_file.unlink(missing_ok=True)
        ca_file.write_bytes(whole)
        assert client.get(url).status_code == 200
        client.close()


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1:1/", {"X-Secret": "hush\n"}),
        ("http://127.0.0.1:1/", {"X-Secret": "hush\u20ac"}),
        ("http://[hush/", {}),
        ("hush", {}),
    ],
)
def test_a_request_that_cannot_be_made_is_refused_and_not_quoted(url, headers):
    with pytest.raises(UpstreamError) as caught:
        session().get(url, headers=headers)
    assert NAME in caught.value.message
    assert "hush" not in f"{caught.value.message} {caught.value.detail}"


def test_what_the_system_refuses_is_an_error_of_our_own(monkeypatch):
    monkeypatch.setattr(
        "requests.adapters.HTTPAdapter.send",
        lambda *_, **__: (_ for _ in ()).throw(OSError(24, "x")),
    )
    with pytest.raises(UpstreamTimeout):
        session().get("http://127.0.0.1:1/")


@responses.activate
def test_timeouts_are_always_set():
    responses.get("http://a4c/", json={})
    session(timeout_seconds=30).get("http://a4c/")
    assert responses.calls[0].request.req_kwargs["timeout"] == (5.0, 30)


@responses.activate
def test_a_redirect_is_an_answer_unless_asked_otherwise():
    responses.get("http://a4c/a", status=302, headers={"Location": "http://a4c/b"})
    responses.get("http://a4c/b", json={})
    assert session().get("http://a4c/a").status_code == 302
    assert session(follow_redirects=True).get("http://a4c/a").status_code == 200


@responses.activate
def test_no_cookie_is_kept_but_each_answer_shows_its_own():
    responses.get("http://a4c/", headers={"Set-Cookie": "JSESSIONID=1"})
    client = session()
    assert client.get("http://a4c/").cookies["JSESSIONID"] == "1"
    assert not client.cookies
    client.get("http://a4c/")
    assert "Cookie" not in responses.calls[1].request.headers


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(lambda c: c.sendall(OK)) as url:
        assert session().get(url).status_code == 200


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}'])
def test_what_is_not_json_is_garbled(body):
    response = requests.Response()
    response._content, response.status_code = body, 200
    with pytest.raises(UpstreamGarbled) as caught:
        read_json(response, NAME)
    assert caught.value.message == f"{NAME} gave an answer that makes no sense."


def test_a_shape_that_was_not_expected_is_garbled():
    for take_apart in (itemgetter("id"), attrgetter("id"), int, next):
        with pytest.raises(UpstreamGarbled), expecting_shape(NAME):
            take_apart({"no": "id"})


def test_no_message_repeats_what_was_sent():
    with pytest.raises(UpstreamError) as caught, upstream_errors(NAME):
        raise requests.ConnectionError("http://user:hunter2@host/?token=hunter2")
    assert "hunter2" not in caught.value.message
