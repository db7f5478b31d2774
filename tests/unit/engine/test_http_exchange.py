"""Exchanges with a small server that answers each path with the bytes that a test gives it."""

import base64
import gzip
import os
import signal
import socket
import socketserver
import ssl
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from requests.adapters import HTTPAdapter

from app.engine.http_exchange import MAX_BODY_BYTES, MAX_REDIRECTS, ExchangeFailed, exchange

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        method, path, _ = self.rfile.readline().decode().split()
        headers = {}
        while line := self.rfile.readline().strip().decode():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self.server.seen.append(Seen(method, path, headers, body))
        self.wfile.write(self.server.answers.get(path.partition("?")[0], OK))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen = []
        self.answers = {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_args):
        pass  # a client that has given up


def serving():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


server = pytest.fixture(serving)
other = pytest.fixture(serving)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("NETRC", os.devnull)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


def send(url, method="GET", follow=lambda *_: None, **fields):
    return exchange({"method": method, "url": url, **fields}, follow)


def redirect(status, location):
    return f"HTTP/1.1 {status} Go\r\nLocation: {location}\r\nContent-Length: 3\r\n\r\n-->".encode()


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("method", METHODS)
    def test_the_method_and_the_body_arrive_or_are_both_left_out(self, server, status, method):
        server.answers["/old"] = redirect(status, "/new")
        headers = {"Content-Type": "text/plain", "Content-Language": "en", "X-Mark": "7"}
        response = send(f"{server.url}/old", method, body="important", headers=headers)
        assert response.status == 200
        seen = server.seen[-1]
        assert seen.path == "/new"
        assert seen.headers["x-mark"] == "7"
        becomes_get = (method == "POST" and status in (301, 302)) or (
            method != "HEAD" and status == 303
        )
        if becomes_get:
            assert (seen.method, seen.body) == ("GET", b"")
            assert not {"content-type", "content-length", "content-language"} & seen.headers.keys()
        else:
            assert (seen.method, seen.body) == (method, b"important")
            assert seen.headers["content-type"] == "text/plain"

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_one_that_is_expected_is_the_response(self, server, status):
        server.answers["/old"] = redirect(status, "/new")
        response = send(f"{server.url}/old", expect_status=[404, status])
        assert (response.status, response.body) == (status, b"-->")
        assert response.headers["location"] == "/new"
        assert [seen.path for seen in server.seen] == ["/old"]

    @pytest.mark.parametrize("status", [300, 304, 305])
    def test_other_statuses_are_none(self, server, status):
        server.answers["/old"] = redirect(status, "/new")
        assert send(f"{server.url}/old").status == status

    def test_one_without_an_address_is_the_response(self, server):
        server.answers["/old"] = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"
        assert send(f"{server.url}/old").status == 302

    @pytest.mark.parametrize(
        "location", ["/new?b=2#part", "new?b=2", "{url}/new?b=2", "//{host}/new?b=2"]
    )
    def test_an_address_may_be_relative(self, server, location):
        host = server.url.removeprefix("http://")
        server.answers["/old"] = redirect(302, location.format(url=server.url, host=host))
        told = []
        assert send(f"{server.url}/old?a=1", follow=lambda *args: told.append(args)).status == 200
        assert server.seen[-1].path == "/new?b=2"
        assert told == [(302, f"{server.url}/new?b=2")]

    def test_there_is_a_limit(self, server):
        server.answers["/round"] = redirect(302, "/round")
        with pytest.raises(ExchangeFailed, match=f"more than {MAX_REDIRECTS} times"):
            send(f"{server.url}/round")
        assert len(server.seen) == MAX_REDIRECTS + 1

    @pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "file:///etc/passwd", "javascript:1"])
    def test_none_leads_out_of_http(self, server, location):
        server.answers["/old"] = redirect(302, location)
        with pytest.raises(ExchangeFailed, match="only http and https are spoken"):
            send(f"{server.url}/old")

    def test_another_server_gets_no_credentials(self, server, other):
        server.answers["/old"] = redirect(307, f"{other.url}/new")
        url = server.url.replace("//", "//ann:s3cret@") + "/old"
        secrets = {"Cookie": "s=1", "X-Api-Key": "k", "Proxy-Authorization": "p", "Host": "here"}
        send(url, "POST", body={"n": 1}, headers=secrets | {"Accept": "text/plain"})
        assert server.seen[0].headers["authorization"].startswith("Basic ")
        assert server.seen[0].headers["x-api-key"] == "k"
        seen = other.seen[0]
        assert (seen.method, seen.body) == ("POST", b'{"n": 1}')
        assert seen.headers["accept"] == "text/plain"
        assert seen.headers["content-type"] == "application/json"
        assert not {"authorization", "cookie", "x-api-key", "proxy-authorization"} & set(
            seen.headers
        )
        assert seen.headers["host"] == other.url.removeprefix("http://")

    def test_a_token_goes_to_no_other_server_and_not_back_again(self, server, other):
        server.answers["/old"] = redirect(302, f"{other.url}/away")
        other.answers["/away"] = redirect(302, f"{server.url}/new")
        send(f"{server.url}/old", headers={"Authorization": "Bearer t"})
        assert [seen.headers.get("authorization") for seen in server.seen] == ["Bearer t", None]
        assert "authorization" not in other.seen[0].headers

    @pytest.mark.parametrize(
        ("user", "sent"),
        [
            ("ann:s3%20cret", "ann:s3 cret"),
            ("token", "token:"),
            ("é:%E2%82%AC", "é:€"),
            (":p", ":p"),
        ],
    )
    def test_the_same_server_gets_them_again(self, server, user, sent):
        server.answers["/old"] = redirect(302, "/new")
        send(server.url.replace("//", f"//{user}@") + "/old", headers={"X-Api-Key": "k"})
        basic = "Basic " + base64.b64encode(sent.encode()).decode()
        for seen in server.seen:
            assert seen.headers["authorization"] == basic
            assert seen.headers["x-api-key"] == "k"


class TestResponses:
    def respond(self, server, head, body=b""):
        server.answers["/"] = b"HTTP/1.1 " + head + b"\r\n\r\n" + body
        return send(f"{server.url}/")

    def test_names_of_fields_are_in_lower_case_and_no_cookie_is_glued(self, server):
        head = (
            b"200 OK\r\nX-Token: abc\r\nVARY: a\r\nvary: b\r\n"
            b"Set-Cookie: a=1; Expires=Thu, 01 Jan\r\nset-cookie: b=2\r\nContent-Length: 0"
        )
        assert self.respond(server, head).headers == {
            "x-token": "abc",
            "vary": "a, b",
            "set-cookie": ["a=1; Expires=Thu, 01 Jan", "b=2"],
            "content-length": "0",
        }

    def test_one_cookie_is_a_list_too(self, server):
        response = self.respond(server, b"200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0")
        assert response.headers["set-cookie"] == ["a=1"]

    @pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
    def test_informational_responses_are_passed_over(self, server, status):
        early = b"HTTP/1.1 " + status + b"\r\nLink: </a>\r\n\r\n"
        server.answers["/"] = early + early + OK
        response = send(f"{server.url}/", "POST", body="x")
        assert (response.status, response.body, "link" in response.headers) == (200, b"ok", False)

    @pytest.mark.parametrize("head", [b"204 No Content", b"304 Not Modified\r\nContent-Length: 7"])
    def test_some_have_no_body(self, server, head):
        assert self.respond(server, head).body == b""

    def test_nor_has_one_to_head(self, server):
        server.answers["/"] = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
        assert send(f"{server.url}/", "HEAD").headers["content-length"] == "7"

    def test_a_body_may_end_with_the_connection(self, server):
        assert self.respond(server, b"200 OK", b"all of it").body == b"all of it"

    def test_a_body_is_decompressed(self, server):
        packed = gzip.compress(b"x" * 5000)
        head = b"200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d" % len(packed)
        response = self.respond(server, head, packed)
        assert (response.body, response.cut) == (b"x" * 5000, False)

    @pytest.mark.parametrize(("size", "cut"), [(MAX_BODY_BYTES, False), (MAX_BODY_BYTES + 1, True)])
    def test_a_body_is_cut_at_the_limit(self, server, size, cut):
        response = self.respond(server, b"200 OK\r\nContent-Length: %d" % size, b"x" * size)
        assert (len(response.body), response.cut) == (MAX_BODY_BYTES, cut)

    def test_a_small_body_that_unpacks_to_a_huge_one_is_cut(self, server):
        packed = gzip.compress(b"x" * 50_000_000)
        head = b"200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d" % len(packed)
        response = self.respond(server, head, packed)
        assert (len(response.body), response.cut) == (MAX_BODY_BYTES, True)

    @pytest.mark.parametrize(
        ("content_type", "media_type", "charset"),
        [
            (b"Text/Plain; Charset=ISO-8859-1", "text/plain", "iso-8859-1"),
            (b'application/json; charset="UTF-8"', "application/json", "utf-8"),
            (b"application/problem+json", "application/problem+json", "utf-8"),
            (b"text/plain; charset=klingon", "text/plain", "utf-8"),
            (b"text/plain; charset=zlib", "text/plain", "utf-8"),
            (b"text/plain; charset=idna", "text/plain", "utf-8"),
            (b"text/plain; charset=", "text/plain", "utf-8"),
        ],
    )
    def test_what_the_body_is(self, server, content_type, media_type, charset):
        response = self.respond(server, b"200 OK\r\nContent-Type: " + content_type, b"x")
        assert (response.media_type, response.charset) == (media_type, charset)


class TestFailures:
    @pytest.mark.parametrize(
        ("answer", "code", "message"),
        [
            (b"", 52, "ended the connection without a response"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nonly", 56, "the response broke off"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                56,
                "the response broke off",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n",
                56,
                "the response broke off",
            ),
            (b"SSH-2.0-OpenSSH_9.2\r\n", 56, "the response is not HTTP"),
            (b"HTTP/1.1 abc OK\r\n\r\n", 56, "the response is not HTTP"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone",
                56,
                "cannot be decompressed",
            ),
        ],
    )
    def test_a_bad_response_says_what_is_wrong(self, server, answer, code, message):
        server.answers["/"] = answer
        with pytest.raises(ExchangeFailed, match=message) as caught:
            send(server.url.replace("//", "//ann:s3cret@") + "/?token=s3cret")
        assert caught.value.code == code
        assert "s3cret" not in caught.value.message

    def test_a_connection_that_is_reset(self):
        def reset(connection):
            connection.recv(65536)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        with accepting(reset) as place, pytest.raises(ExchangeFailed) as caught:
            send(f"http://{place}/")
        assert caught.value.code == 56
        assert caught.value.message.startswith("the server broke the connection off: ")

    def test_a_server_without_tls(self):
        def answer(connection):
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.recv(65536)

        with accepting(answer) as place, pytest.raises(ExchangeFailed) as caught:
            send(f"https://{place}/")
        assert caught.value.code == 35
        assert caught.value.message.startswith("no TLS connection: ")

    def test_a_certificate_that_nobody_knows(self, tmp_path):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(tmp_path))

        def shake_hands(connection):
            with suppress(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)

        with accepting(shake_hands) as place, pytest.raises(ExchangeFailed) as caught:
            send(f"https://{place}/")
        assert caught.value.code == 60
        assert caught.value.message == "its certificate is not accepted: self-signed certificate"

    @pytest.mark.parametrize(
        ("url", "headers"),
        [
            ("http://host:port/", {}),
            ("http://[::1/", {}),
            ("http://", {}),
            ("http://127.0.0.1:99999/", {}),
            ("http://127.0.0.1:1/", {"X-A": "1\r\nX-B: 2"}),
        ],
    )
    def test_what_is_no_request(self, url, headers):
        with pytest.raises(ExchangeFailed, match="not a valid request"):
            send(url, headers=headers)

    def test_no_limit_of_time_is_hidden(self, server, monkeypatch):
        limits, alarm = [], signal.getsignal(signal.SIGALRM)
        original = HTTPAdapter.send

        def spying(self, request, **kwargs):
            limits.append((kwargs.get("timeout"), signal.getsignal(signal.SIGALRM)))
            return original(self, request, **kwargs)

        monkeypatch.setattr(HTTPAdapter, "send", spying)
        send(server.url)
        assert limits == [(None, alarm)]


@contextmanager
def accepting(handle):
    """Accept one connection and close it when it was handled; gives the host and the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            connection, _ = listener.accept()
            handle(connection)
            connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def self_signed(folder):
    """Write a key and a certificate for 127.0.0.1 that no authority knows."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "server.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
