"""Where one request ends and the next one begins, and which requests are refused."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli._http1 import LONGEST_HEAD, HeadReader, Refused, content_of

LARGEST = 1000
POST = b"POST /workflows/w HTTP/1.1\r\nHost: slipway\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"DELETE /next HTTP/1.1\r\nHost: slipway\r\n\r\n"
Seen = tuple[str, str, bytes]


def requests_in(data: bytes, size: int = 1 << 20) -> list[Seen]:
    """Read all requests of a connection, which come in pieces of a size; until one is refused."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    seen, ahead = [], b""
    while ahead or pieces:
        reader = HeadReader()
        while (rest := reader.feed(ahead or pieces.pop(0))) is None:
            ahead = b""
        assert reader.head is not None
        content = content_of(reader.head, LARGEST)
        ahead = rest
        while (rest := content.feed(ahead)) is None:
            ahead = pieces.pop(0)
        ahead = rest
        target = reader.head.variables["PATH_INFO"]
        seen.append((reader.head.method, target, content.take()))
    return seen


def refusal_of(data: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        requests_in(data)
    return caught.value


GOOD = {
    "no content": (POST + b"\r\n", b""),
    "a length": (POST + b"Content-Length: 3\r\n\r\nabc", b"abc"),
    "a length with zeros and blanks": (POST + b"Content-Length: \t003 \r\n\r\nabc", b"abc"),
    "the length nought": (POST + b"Content-Length: 0\r\n\r\n", b""),
    "what looks like a request": (POST + b"Content-Length: %d\r\n\r\n" % len(NEXT) + NEXT, NEXT),
    "chunks": (CHUNKED + b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789"),
    "no chunk": (CHUNKED + b"0\r\n\r\n", b""),
    "chunks in any letters": (
        POST + b"transfer-encoding: CHUNKED\r\n\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789",
    ),
    "chunk extensions": (CHUNKED + b'3;a=b;c="d;\\"e"\r\nabc\r\n0;z\r\n\r\n', b"abc"),
    "trailer fields": (CHUNKED + b"3\r\nabc\r\n0\r\nHost: evil\r\nX: y\r\n\r\n", b"abc"),
    "empty lines in chunks": (CHUNKED + b"8\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n" * 4),
    "a request in a chunk": (CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(NEXT), NEXT), NEXT),
    "an offer to upgrade": (
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc", b"abc",
    ),
    "an offer to upgrade, and chunks": (
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n0\r\n\r\n", b"abc",
    ),
    "a field that only looks like a length": (POST + b"Content_Length: 3\r\n\r\n", b""),
    "other bytes in a field": (POST + b"X: \x80\xff\t!\r\n\r\n", b""),
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("name", GOOD)
def test_the_next_request_begins_where_the_content_ends(name: str, size: int) -> None:
    request, content = GOOD[name]
    assert requests_in(request + NEXT + request, size) == [
        ("POST", "/workflows/w", content),
        ("DELETE", "/next", b""),
        ("POST", "/workflows/w", content),
    ]


FRAMING = {
    "another coding": b"Transfer-Encoding: gzip, chunked",
    "another coding only": b"Transfer-Encoding: gzip",
    "a coding after the chunks": b"Transfer-Encoding: chunked, identity",
    "identity": b"Transfer-Encoding: identity",
    "a name that ends in chunked": b"Transfer-Encoding: xchunked",
    "a name that begins with chunked": b"Transfer-Encoding: chunkedx",
    "chunked twice": b"Transfer-Encoding: chunked, chunked",
    "two codings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "two different codings": b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    "no coding": b"Transfer-Encoding:",
    "a quoted coding": b'Transfer-Encoding: "chunked"',
    "a coding with a parameter": b"Transfer-Encoding: chunked;q=1",
    "a coding behind a vertical tab": b"Transfer-Encoding: \x0bchunked",
    "a coding behind a comma": b"Transfer-Encoding: ,chunked",
    "a length and a coding": b"Content-Length: 4\r\nTransfer-Encoding: chunked",
    "a coding and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 4",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 4",
    "the same length twice": b"Content-Length: 4\r\nContent-Length: 4",
    "a list of lengths": b"Content-Length: 4, 4",
    "a sign": b"Content-Length: +4",
    "a negative length": b"Content-Length: -4",
    "an underscore": b"Content-Length: 0_4",
    "hexadecimal": b"Content-Length: 0x4",
    "a fraction": b"Content-Length: 4.0",
    "digits of another script": b"Content-Length: \xd9\xa4",
    "two numbers": b"Content-Length: 4 4",
    "no length": b"Content-Length:",
    "a length beyond 64 bits": b"Content-Length: 18446744073709551620",
    "a blank before the colon": b"Content-Length : 4",
    "a tab before the colon": b"Transfer-Encoding\t: chunked",
    "a folded field": b"X: a\r\n Content-Length: 4",
    "a folded coding": b"Transfer-Encoding:\r\n chunked",
    "a blank before a field": b" Content-Length: 4",
    "a bare CR": b"X: a\rContent-Length: 4",
    "a bare LF": b"X: a\nContent-Length: 4",
    "a NUL": b"X: a\x00",
    "a NUL in a name": b"X\x00: a",
    "another control character": b"X: a\x01",
    "DEL": b"X: a\x7f",
    "no colon": b"Content-Length",
    "no name": b": 4",
    "a name that is no token": b"Content-Length(: 4",
    "two hosts": b"Host: evil",
    "two users": b"Authorization: Basic YTph\r\nAuthorization: Basic YTpi",
    "the same user twice": b"Authorization: Basic YTph\r\nauthorization: Basic YTph",
    "two keys": b"X-API-Key: a\r\nX-API-Key: b",
    "two origins": b"Origin: https://a.example\r\nOrigin: https://b.example",
    "two launches": b"Idempotency-Key: a\r\nIdempotency-Key: b",
    "two events": b"Last-Event-ID: 1\r\nLast-Event-ID: 2",
    "two tokens": b"X-CSRF-Token: a\r\nX-CSRF-Token: b",
    "two types": b"Content-Type: text/plain\r\nContent-Type: application/json",
    "an expectation that nobody meets": b"Expect: 200-ok",
}


@pytest.mark.parametrize("name", FRAMING)
def test_a_head_that_can_be_read_in_two_ways_is_refused(name: str) -> None:
    request = POST + FRAMING[name] + b"\r\n\r\n"
    for content in (b"0\r\n\r\n", b"abcd", b""):
        refused = refusal_of(request + content + NEXT)
        assert refused.status in {400, 417, 501}, refused
        assert refused.detail.endswith(".")


@pytest.mark.parametrize(
    "line",
    [
        b"GET /\r\n", b"GET\r\n", b"\x16\x03\x01\x02\x00\r\n", b"GET / \r\n", b"GET / HTTP\r\n",
        b"GET / HTTP/1.1 \r\n", b"GET  / HTTP/1.1\r\n", b"GET /  HTTP/1.1\r\n",
        b"GET\t/\tHTTP/1.1\r\n", b" GET / HTTP/1.1\r\n", b"GET / a HTTP/1.1\r\n",
        b"GET / http/1.1\r\n", b"GET / HTTP/01.1\r\n", b"GET / HTTP/1.10\r\n",
        b"GET / RTSP/1.0\r\n", b"GET / ICE/1.0\r\n", b"GET / HTTP/1.1\n", b"\nGET / HTTP/1.1\r\n",
        b"GET /\x00 HTTP/1.1\r\n", b"GET /\xc3\xa4 HTTP/1.1\r\n", b"GET /a#b HTTP/1.1\r\n",
        b"GET path HTTP/1.1\r\n", b"GET * HTTP/1.1\r\n", b"GET slipway:80 HTTP/1.1\r\n",
        b"GET ftp://slipway/ HTTP/1.1\r\n", b"GET http:///x HTTP/1.1\r\n",
        b"GET http://user@slipway/ HTTP/1.1\r\n", b"G{T / HTTP/1.1\r\n",
        b"\r\n\r\n\r\nGET / HTTP/1.1\r\n",
    ],
)  # fmt: skip
def test_a_request_line_that_is_none_is_refused(line: bytes) -> None:
    assert refusal_of(line + b"Host: slipway\r\n\r\n").status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"BREW / HTTP/1.1", 501), (b"get / HTTP/1.1", 501), (b"CONNECT a:80 HTTP/1.1", 501),
        (b"GET / HTTP/1.2", 505), (b"GET / HTTP/2.0", 505), (b"PRI * HTTP/2.0", 505),
        (b"GET /%b HTTP/1.1" % (b"a" * 9000), 414),
        (b"GET /%b HTTP/1.1" % (b"a" * LONGEST_HEAD), 414),
    ],
)  # fmt: skip
def test_what_is_not_spoken_here_is_told_by_its_name(line: bytes, status: int) -> None:
    assert refusal_of(line + b"\r\nHost: slipway\r\n\r\n").status == status


@pytest.mark.parametrize("fields", [b"X: " + b"a" * LONGEST_HEAD, b"X: a\r\n" * 101 + b"Y: b"])
def test_a_head_has_a_bound(fields: bytes) -> None:
    refused = refusal_of(POST + fields + b"\r\n\r\n")
    assert refused.status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    with pytest.raises(Refused):  # also one without an end
        HeadReader().feed(POST + fields)


@pytest.mark.parametrize(
    "host",
    [b"a b", b"a/b", b"a?", b"a#", b"user@a", b"a:b", b"a:80:80", b"[::1", b"::1", b"a\\b", b"",
     b"a:999999", b"<a>", b"[evil]"],
)  # fmt: skip
def test_a_host_that_is_none_is_refused(host: bytes) -> None:
    refused = refusal_of(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert refused.status == HTTPStatus.BAD_REQUEST


def test_only_http_1_0_may_leave_the_host_out() -> None:
    assert refusal_of(b"GET / HTTP/1.1\r\n\r\n").status == HTTPStatus.BAD_REQUEST
    assert requests_in(b"GET / HTTP/1.0\r\n\r\n") == [("GET", "/", b"")]
    chunked = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert refusal_of(chunked).status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    "chunks",
    [
        b"0x4\r\nabcd\r\n0\r\n\r\n", b"+4\r\nabcd\r\n0\r\n\r\n", b"-4\r\nabcd\r\n0\r\n\r\n",
        b"0_4\r\nabcd\r\n0\r\n\r\n", b" 4\r\nabcd\r\n0\r\n\r\n", b"4 \r\nabcd\r\n0\r\n\r\n",
        b"4\t\r\nabcd\r\n0\r\n\r\n", b"\r\nabcd\r\n0\r\n\r\n", b"g\r\nabcd\r\n0\r\n\r\n",
        b"4\nabcd\n0\n\n", b"4\r\nabcd\n0\r\n\r\n", b"4\r\nabcd0\r\n\r\n",
        b"4\r\nabcde\r\n0\r\n\r\n",
        b"4;a\nabcd\r\n0\r\n\r\n", b"4;a\rb\r\nabcd\r\n0\r\n\r\n", b"4;\x00\r\nabcd\r\n0\r\n\r\n",
        b"10000000000000000\r\nabcd\r\n0\r\n\r\n", b"fffffffffffffffff\r\nabcd\r\n0\r\n\r\n",
        b"0\r\nX : y\r\n\r\n", b"0\r\nX: y\r\n z\r\n\r\n", b"0\r\nContent-Length: 4\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\n",
    ],
)  # fmt: skip
def test_chunks_that_can_be_read_in_two_ways_are_refused(chunks: bytes) -> None:
    assert refusal_of(CHUNKED + chunks + NEXT).status == HTTPStatus.BAD_REQUEST


def test_content_has_a_bound() -> None:
    too_large = b"a" * (LARGEST + 1)
    sized = POST + b"Content-Length: %d\r\n\r\n" % len(too_large)
    assert refusal_of(sized).status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "at once"
    chunked = CHUNKED + b"%x\r\n" % len(too_large) + too_large
    assert refusal_of(chunked).status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert len(requests_in(CHUNKED + b"1\r\na\r\n" * LARGEST + b"0\r\n\r\n")[0][2]) == LARGEST
    for around in (b"1;%b\r\na\r\n" % (b"x" * 20_000), b"0\r\n" + b"X: y\r\n" * 5000):
        assert refusal_of(CHUNKED + around).status == HTTPStatus.BAD_REQUEST


def test_the_whole_address_wins_over_the_host() -> None:
    reader = HeadReader()
    reader.feed(b"GET http://one:81/a%20b//c?d=%20 HTTP/1.1\r\nHost: two\r\n\r\n")
    assert reader.head is not None
    variables = reader.head.variables
    assert variables["HTTP_HOST"] == "one:81"
    assert (variables["PATH_INFO"], variables["QUERY_STRING"]) == ("/a b//c", "d=%20")
    reader = HeadReader()
    reader.feed(b"GET http://one?d HTTP/1.1\r\nHost: one\r\n\r\n")
    assert reader.head is not None
    assert (reader.head.variables["PATH_INFO"], reader.head.variables["QUERY_STRING"]) == ("/", "d")


@pytest.mark.parametrize(
    ("target", "host", "path", "query"),
    [
        ("http://slipway:8080/version", "slipway:8080", "/version", ""),
        ("HTTP://SLIPWAY/version?", "SLIPWAY", "/version", ""),
        ("https://slipway/a%2Fb?c=%2F&d=//", "slipway", "/a/b", "c=%2F&d=//"),
        ("http://[::1]:80/%c3%a4", "[::1]:80", "/\xc3\xa4", ""),
        ("http://slipway", "slipway", "/", ""),
        ("http://slipway?a=/b", "slipway", "/", "a=/b"),
        ("http://other.example//x", "other.example", "//x", ""),
    ],
)
def test_the_whole_address_is_taken(target: str, host: str, path: str, query: str) -> None:
    for method in ("GET", "POST", "DELETE", "HEAD"):
        reader = HeadReader()
        reader.feed(f"{method} {target} HTTP/1.1\r\nHost: slipway\r\n\r\n".encode())
        assert reader.head is not None
        variables = reader.head.variables
        assert (variables["HTTP_HOST"], variables["PATH_INFO"]) == (host, path)
        assert variables["QUERY_STRING"] == query


@pytest.mark.parametrize(
    ("target", "path"),
    [("*", "*"), ("http://slipway", "*"), ("http://slipway/", "/"), ("http://slipway?a", "/")],
)
def test_options_may_be_about_the_server_as_a_whole(target: str, path: str) -> None:
    reader = HeadReader()
    reader.feed(f"OPTIONS {target} HTTP/1.1\r\nHost: slipway\r\n\r\n".encode())
    assert reader.head is not None
    assert reader.head.variables["PATH_INFO"] == path


@pytest.mark.parametrize(
    "target",
    ["GET *", "GET ftp://slipway/", "GET http:///a", "GET http://a:b@slipway/", "GET slipway/a",
     "GET http:/a", "GET http://slipway/#a", "GET http://slipway\\a", "OPTIONS **"],
)  # fmt: skip
def test_what_is_no_address_of_here_is_refused(target: str) -> None:
    assert refusal_of(f"{target} HTTP/1.1\r\nHost: slipway\r\n\r\n".encode()).status == 400


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True), (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: a, Close\r\n", False), (b"1.1", b"Connection: keep-alive\r\n", True),
        (b"1.0", b"", False), (b"1.0", b"Connection: keep-alive\r\n", False),
    ],
)  # fmt: skip
def test_what_becomes_of_the_connection(version: bytes, connection: bytes, kept: bool) -> None:
    reader = HeadReader()
    reader.feed(b"GET / HTTP/" + version + b"\r\nHost: slipway\r\n" + connection + b"\r\n")
    assert reader.head is not None
    assert reader.head.keep_alive is kept


def test_fields_of_one_name_are_joined_and_those_with_an_underscore_left_out() -> None:
    reader = HeadReader()
    reader.feed(
        b"GET / HTTP/1.1\r\nHost: slipway\r\nAccept: a\r\naccept:  b \r\nCookie: c\r\nCookie: d\r\n"
        b"X_Forwarded: e\r\nX-Empty:\r\n\r\n"
    )
    assert reader.head is not None
    given_by_fields = {k: v for k, v in reader.head.variables.items() if k.startswith("HTTP_")}
    assert given_by_fields == {
        "HTTP_HOST": "slipway", "HTTP_ACCEPT": "a,b", "HTTP_COOKIE": "c; d", "HTTP_X_EMPTY": "",
    }  # fmt: skip


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(1, 30))
def test_any_content_comes_through_in_any_pieces(parts: list[bytes], size: int) -> None:
    content = b"".join(parts)
    sized = POST + b"Content-Length: %d\r\n\r\n" % len(content) + content
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
    seen = requests_in(sized + CHUNKED + chunks + b"0\r\n\r\n" + NEXT, size)
    assert [body for _, _, body in seen] == [content, content, b""]


@given(st.binary(max_size=200))
def test_rubbish_is_refused_or_waited_for(data: bytes) -> None:
    reader = HeadReader()
    try:
        rest = reader.feed(data)
    except Refused:
        return
    assert (rest is None) == (reader.head is None)
