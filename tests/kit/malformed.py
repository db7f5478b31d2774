"""Requests that are none, or nearly one: heads and bodies that no honest client sends,
by a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote

_METHODS = (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
_BODIES = ("POST", "PUT", "PATCH")
_HOST = b"Host: localhost\r\n"
_JSON = b"Content-Type: application/json\r\n"
_TYPES = (
    b"application/json", b"application/json; charset=utf-16", b"application/json;;;", b"text/plain",
    b"application/yaml", b"application/xml", b"application/x-www-form-urlencoded", b"",
    b"multipart/form-data; boundary=x", b"multipart/form-data", b"*/*", b"\xff\xfe", b"a/b/c",
)  # fmt: skip
_WORDS = (
    "x", "%00", "%ff", "%zz", "%", "%c0%af", "..", "%2e%2e", "a" * 5000, "%F0%9F%98%80", "'\"<>",
    "00000000-0000-4000-8000-000000000000", "-1", "null", "%0d%0aX:%20y", "\xe9", ";", "~", "*",
)  # fmt: skip
_ODD_BYTES = (b"\0", b"\r", b"\n", b"\r\n", b"\t", b"\x0b", b"\x7f", b"\xff", b" ", b":", b"\xc3")


class Malformed:
    """Makes them.

    Args:
        seed: The same makes the same.
        operations: Methods and addresses of the service, such as ``("GET", "/users/{username}")``.
    """

    def __init__(self, seed: int, operations: Sequence[tuple[str, str]]) -> None:
        self._random = random.Random(seed)
        self._operations = operations
        self._with_body = [each for each in operations if each[0] in _BODIES]

    def __iter__(self) -> Iterator[bytes]:
        makers: tuple[Callable[[], bytes], ...] = (
            self._line, self._target, self._name, self._value, self._head, self._lengths,
            self._chunks, self._cut_off, self._body, self._body, self._body, self._mutated,
            self._mutated, self._no_http,
        )  # fmt: skip
        while True:
            yield self._random.choice(makers)()

    def _some(self, *choices: bytes) -> bytes:
        return self._random.choice(choices)

    def _operation(self, operations: Sequence[tuple[str, str]] = ()) -> tuple[bytes, bytes]:
        method, path = self._random.choice(operations or self._operations)
        while "{" in path:
            begin, end = path.index("{"), path.index("}") + 1
            path = path[:begin] + self._random.choice(_WORDS) + path[end:]
        return method.encode(), path.encode("latin-1")

    def _sound(self, fields: bytes = b"", body: bytes = b"") -> bytes:
        method, path = self._operation(self._with_body)
        length = b"" if b"ength" in fields or b"chunked" in fields else _length(body)
        return b"%b %b HTTP/1.1\r\n%b%b%b\r\n%b" % (method, path, _HOST, length, fields, body)

    def _line(self) -> bytes:
        method, path = self._operation()
        method = self._some(
            method, b"", b"get", b"G ET", b"G\0T", b"X" * 9000, b"\xc3\xa9", b"BREW"
        )
        gap = self._some(b" ", b"  ", b"\t", b"", b"\r")
        version = self._some(
            b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.11", b"HTTP/1",
            b"http/1.1",
            b"", b"HTTP/9" + b"9" * 100, b"ICY",
        )  # fmt: skip
        end = self._some(b"\r\n", b"\n", b"\r", b"\r\r\n", b"\0\r\n")
        return method + gap + path + gap + version + end + _HOST + b"\r\n"

    def _target(self) -> bytes:
        path = self._some(
            b"*", b"localhost:80", b"http://", b"http://[::1", b"http://other.example/health",
            b"//health", b"/health/../users", b"/%2e%2e/health", b"/" + b"a/" * 4000, b"/health#x",
            b"/executions?" + b"&" * 3000, b"/executions?page=%zz&page=", b"/health\xff",
            b"\\health",
            b"/workflows?q=" + b"%00" * 100, b"/executions?status[]=x", b"/executions?cursor=%ff",
            b"/audit?since=" + b"9" * 300, b"/audit?cursor=" + b"9" * 300, b"/users?page_size=1e9",
            b"/executions?page=" + b"9" * 5000, b"ftp://localhost/", b"/?", b"?", b"",
            quote("/h\u00e9alth" * 50).encode(),
        )  # fmt: skip
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (self._some(*_METHODS), path, _HOST)

    def _name(self) -> bytes:
        odd = self._some(*_ODD_BYTES)
        name = self._some(b"", b"X" + odd, odd + b"X", b"X" + odd + b"Y", b"(" * 9, b"X" * 70_000)
        return self._sound(name + self._some(b": ", b":", b" : ", b"") + b"v\r\n", b"{}")

    def _value(self) -> bytes:
        name = self._some(
            b"Authorization", b"X-API-Key", b"Accept", b"Content-Type", b"Range", b"Cookie",
            b"Origin",
            b"X-Request-ID", b"Idempotency-Key", b"Last-Event-ID", b"If-None-Match", b"Expect",
            b"Connection", b"Upgrade", b"Forwarded", b"X-Forwarded-For", b"Accept-Encoding",
            b"Date",
            b"Sec-WebSocket-Key", b"Access-Control-Request-Method", b"TE", b"Host",
        )  # fmt: skip
        odd = self._some(*_ODD_BYTES)
        value = self._some(
            b"", odd, b"a" + odd + b"b", b"x" * 9000, b"x" * 70_000, b"a\r\n folded",
            b"a\r\n\tfolded",
            b"Basic !!!", b"Basic " + b"A" * 9001, b"Bearer", b"Bearer a.b.c", b"Bearer slw_" + odd,
            b"bytes=-9" + b"9" * 99, b"bytes=1-0,2-", b"text/html;q=nan", b"*/*;q=1e999",
            b",,,;;;=",
            b'Digest username="x', b"100-continue", b"websocket", b"\xf0\x9f\x98\x80", b"%00",
        )  # fmt: skip
        method, path = self._operation()
        return b"%b %b HTTP/1.1\r\n%b%b: %b\r\n\r\n" % (method, path, _HOST, name, value)

    def _head(self) -> bytes:
        number = self._random.choice((50, 99, 101, 300, 3000))
        return self._some(
            self._sound(b"".join(b"X-%d: y\r\n" % n for n in range(number)), b"{}"),
            self._sound(b"X: y\r\n" * number, b"{}"),
            self._sound(_HOST, b"{}"),
            self._sound(b"\r\n\r\n", b"{}"),
            self._sound(b"X: y\n" * 3, b"{}"),
            b"\r\n" * number + b"GET /health HTTP/1.1\r\n" + _HOST + b"\r\n",
            b"GET /health HTTP/1.1\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHost: \0\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHost: a b, c\r\n\r\n",
        )

    def _lengths(self) -> bytes:
        one = self._some(b"2", b"+2", b"-2", b"0x2", b"2, 2", b"2,3", b" ", b"\xb2", b"2.0",
                         b"9" * 40,
                         b"1_0", b"\xd9\xa2", b"02", b"18446744073709551618")  # fmt: skip
        other = self._some(b"", b"Content-Length: 3\r\n", b"Content-Length: 2\r\n",
                           b"content-length: \r\n",
                           b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
                           b"Transfer-Encoding: chunked, chunked\r\n")  # fmt: skip
        return self._sound(b"Content-Length: " + one + b"\r\n" + other + _JSON, b"{}")

    def _chunks(self) -> bytes:
        size = self._some(b"2", b"", b"zz", b"-2", b"+2", b"0x2", b"2;x", b"2;" + b"x" * 9000,
                          b"f" * 17,
                          b"2 ", b" 2", b"2\t", b"\xb2", b"000000000000000000002",
                          b"1")  # fmt: skip
        end = self._some(b"\r\n", b"\n", b"\r", b"", b"\r\n\r\n")
        rest = self._some(b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"0\r\n\0\r\n\r\n", b"",
                          b"0\r\n" + b"X: y\r\n" * 5000,
                          b"0\r\n: \r\n\r\n", b"00\r\n\r\n", b"2\r\n{}")  # fmt: skip
        return self._sound(
            b"Transfer-Encoding: chunked\r\n" + _JSON, size + end + b"{}" + end + rest
        )

    def _cut_off(self) -> bytes:
        whole = self._sound(_JSON, b'{"inputs": {"n": 1}, "name": "x"}')
        return whole[: self._random.randrange(len(whole))]

    def _body(self) -> bytes:
        deep = self._random.choice((30, 500, 100_000))
        long = self._random.choice((400, 5000, 300_000))
        value = self._some(
            b"\xff", b'{"name": "\xff"}', b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"\0", b"{}\0",
            b"",
            b"[" * deep, b'{"a":' * deep, b"[" * deep + b"]" * deep,
            b'{"a":' * deep + b"1" + b"}" * deep,
            b"9" * long, b"-" + b"9" * long, b'{"inputs": {"n": %b}}' % (b"9" * long), b"1e999",
            b"-1e-999",
            b'{"inputs": {"n": 1e999}}', b"NaN", b"Infinity", b'{"inputs": {"n": NaN}}',
            b'{"name": 1, "name": 2}', b'{"inputs": {"n": 1, "n": 2}}', b'{"a": 1' * 99,
            b'"\\ud800"', b'{"name": "\\ud800"}', b'{"\\udfff": 1}', b'{"name": "\\u0000"}',
            b"{'name': 1}",
            b"null", b"true", b"[]", b'""', b"0", b"{}{}", b"{,}", b'{"":{}}', b'{"__proto__": {}}',
            b"a: &a [*a, *a]", b"!!python/object:os.system {}", b"<x/>", b"a=b&c",
            b"--x\r\n\r\n\r\n--x--",
            json.dumps({"name": "x" * long}).encode(), json.dumps({"roles": ["x"] * long}).encode(),
            json.dumps({str(n): n for n in range(500)}).encode(), b'{"username": "a/b\\u202e"}',
            b'{"expires_in": "%bh", "name": "x"}' % (b"9" * 400), b'{"disabled": "perhaps"}',
            b'{"metadata": %b}' % (b'{"a":' * 60 + b"1" + b"}" * 60), b'{"scopes": [[]]}',
        )  # fmt: skip
        packed = self._some(
            b"", b"", b"", b"Content-Encoding: gzip\r\n", b"Content-Encoding: x\r\n"
        )
        return self._sound(b"Content-Type: " + self._some(*_TYPES) + b"\r\n" + packed, value)

    def _mutated(self) -> bytes:
        made = bytearray(self._sound(_JSON, b'{"name": "x", "inputs": {"n": [1, "y"]}}'))
        for _ in range(self._random.randrange(1, 6)):
            at = self._random.randrange(len(made))
            how = self._random.randrange(4)
            if how == 0:
                made[at] = self._random.randrange(256)
            elif how == 1:
                made[at:at] = self._some(*_ODD_BYTES)
            elif how == 2:
                del made[at : at + self._random.randrange(1, 9)]
            else:
                made[at:at] = made[at : at + self._random.randrange(1, 99)]
        return bytes(made)

    def _no_http(self) -> bytes:
        return self._some(
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self._random.randbytes(500),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /health HTTP/1.1\r\n" + _HOST + b"\r\n",
            b"SSH-2.0-x\r\n", b"EHLO x\r\n", b"", b"\0" * 5000, b"*1\r\n$4\r\nPING\r\n",
            b"\r\n" * 9,
            self._random.randbytes(self._random.randrange(1, 5000)),
        )  # fmt: skip


def _length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)
