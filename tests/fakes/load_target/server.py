"""The process of a target; it imports nothing but Python's own library, so that it starts fast.

python server.py FD    FD: a socket over which it is told what to do; it ends when that is closed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import ssl
import sys
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from math import log
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, unquote

_JSON = [("Content-Type", "application/json")]
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_NOTHING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_TELLING = {"get", "post", "put", "patch", "delete", "anything"}
_PIECE = 1024
_PLAIN = {"delay": 0.0, "chunked": False, "then": "keep", "mute": False}

# A row of what is remembered; see ``Seen``.
_END, _CUT, _STATUS = 1, 2, 3


class Memory:
    """What was seen, and what is answered."""

    def __init__(self) -> None:
        self.heads = True
        self.rows: list[list[Any]] = []
        self.paths: list[str] = []
        self.open = self.most = self.cut = self.accepted = 0
        self.connections: set[Exchange] = set()
        self.rules: dict[str, list[dict[str, Any]]] = {}

    def begun(self, path: str, connection: int, head: bytes, body: bytes) -> list[Any]:
        kept = (head, body) if self.heads else (b"", b"")
        row = [monotonic(), None, False, 0, connection, *kept]
        self.rows.append(row)
        self.paths.append(path)
        self.open += 1
        self.most = max(self.most, self.open)
        return row

    def ended(self, row: list[Any], status: int, *, cut: bool = False) -> None:
        row[_END], row[_CUT], row[_STATUS] = monotonic(), cut, status
        self.open -= 1
        self.cut += cut

    def rule(self, path: str) -> dict[str, Any] | None:
        rules = self.rules.get(path)
        if rules is None:
            return None
        return rules.pop(0) if len(rules) > 1 else rules[0]


class Exchange(asyncio.Protocol):
    """One connection: its requests are answered one after the other."""

    def __init__(self, memory: Memory, loop: asyncio.AbstractEventLoop) -> None:
        self._memory, self._loop = memory, loop
        self._buffer = b""
        self._row: list[Any] | None = None
        self._later: asyncio.TimerHandle | None = None
        self._closes = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._memory.accepted += 1
        self._number = self._memory.accepted
        self._memory.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._memory.connections.discard(self)
        if self._later is not None:
            self._later.cancel()
        if self._row is not None:
            self._memory.ended(self._row, 0, cut=True)
            self._row = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._go_on()

    def _go_on(self) -> None:
        while self._row is None and self._buffer and not self.transport.is_closing():
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end]
            framed = _body_of(head, self._buffer, end + 4)
            if framed is None:
                return
            body, self._buffer = framed
            self._handle(head, body)

    def _handle(self, head: bytes, body: bytes) -> None:
        target = head[: head.find(b"\r\n")].split(b" ")[1].decode("latin-1")
        path, _, query = target.partition("?")
        if "%" in path:
            path = unquote(path)
        row = self._row = self._memory.begun(path, self._number, head, body)
        self._closes = b"connection: close" in head.lower()
        rule = self._memory.rule(path)
        if rule is None and (rule := _like_httpbin(path, query, head, body)) is None:
            self._write(row, 200, _NOTHING)
            return
        seconds = _seconds(rule["delay"])
        if seconds > 0:
            self._later = self._loop.call_later(seconds, self._answer, row, rule, head)
        else:
            self._answer(row, rule, head)

    def _answer(self, row: list[Any], rule: dict[str, Any], head: bytes) -> None:
        self._later = None
        if rule["mute"]:
            self._row = None
            self._memory.ended(row, 0)
            self.transport.close()
            return
        self._closes = self._closes or rule["then"] == "close"
        data = _written(rule, closes=self._closes, bare=head.startswith(b"HEAD "))
        self._write(row, rule["status"], data, drop=rule["then"] == "drop")

    def _write(self, row: list[Any], status: int, data: bytes, *, drop: bool = False) -> None:
        self._row = None
        self._memory.ended(row, status)  # before anybody can send another one because of it
        self.transport.write(data)
        if drop or self._closes:
            self.transport.close()
        elif self._buffer:
            self._loop.call_soon(self._go_on)


def _body_of(head: bytes, buffer: bytes, begin: int) -> tuple[bytes, bytes] | None:
    """Return the body of a request and what follows it; None if it has not all come."""
    lower = head.lower()
    if b"\r\ntransfer-encoding: chunked" in lower:
        return _chunks(buffer, begin)
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        return b"", buffer[begin:]
    length = int(lower[at + 17 :].split(b"\r\n", 1)[0])
    if len(buffer) < begin + length:
        return None
    return buffer[begin : begin + length], buffer[begin + length :]


def _chunks(buffer: bytes, begin: int) -> tuple[bytes, bytes] | None:
    body = b""
    while (end := buffer.find(b"\r\n", begin)) >= 0:
        size = int(buffer[begin:end].split(b";")[0], 16)
        begin = end + 2
        if len(buffer) < begin + size + 2:
            return None
        body += buffer[begin : begin + size]
        begin += size + 2
        if size == 0:
            return body, buffer[begin:]
    return None


def _seconds(delay: Any) -> float:
    if isinstance(delay, dict):
        return random.lognormvariate(log(delay["median"]), delay["sigma"])
    return float(delay)


def _written(rule: dict[str, Any], *, closes: bool, bare: bool) -> bytes:
    status, body = rule["status"], rule["body"].encode()
    fields = [*rule["headers"]]
    if status in {204, 304} or status < 200:
        bare = True
    elif rule["chunked"]:
        fields.append(("Transfer-Encoding", "chunked"))
        pieces = [body[at : at + _PIECE] for at in range(0, len(body), _PIECE)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
    else:
        fields.append(("Content-Length", str(len(body))))
    if closes:
        fields.append(("Connection", "close"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    head = f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}\r\n{lines}\r\n".encode("latin-1")
    return head if bare else head + body


def _like_httpbin(path: str, query: str, head: bytes, body: bytes) -> dict[str, Any] | None:
    _, first, *rest = f"{path}/".split("/")
    try:
        match first, rest[0] if rest else "":
            case "status", code:
                return _rule(status=int(code), body="")
            case "delay", seconds:
                return _rule(delay=float(seconds), body=_told(path, query, head, body))
            case "redirect", number:
                left = int(number) - 1
                to = f"/redirect/{left}" if left > 0 else "/get"
                return _rule(status=302, headers=[("Location", to)], body="")
            case word, _ if word in _TELLING:
                return _rule(body=_told(path, query, head, body))
    except ValueError:
        return _rule(status=400, body="")
    return None


def _rule(**more: Any) -> dict[str, Any]:
    return {"status": 200, "headers": _JSON, **_PLAIN, **more}


def _told(path: str, query: str, head: bytes, body: bytes) -> str:
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name: value.strip() for name, _, value in (each.partition(":") for each in lines)}
    text = body.decode(errors="replace")
    told: dict[str, Any] = {
        "args": dict(parse_qsl(query, keep_blank_values=True)),
        "headers": headers,
        "origin": "127.0.0.1",
        "url": f"http://{headers.get('Host', '')}{path}" + (f"?{query}" if query else ""),
    }
    if line.startswith("GET ") and not body:
        return json.dumps(told)
    told.update(method=line.split(" ")[0], data=text, json=None, form={})
    if "x-www-form-urlencoded" in headers.get("Content-Type", ""):
        told.update(data="", form=dict(parse_qsl(text, keep_blank_values=True)))
    else:
        with suppress(ValueError):
            told["json"] = json.loads(text)
    return json.dumps(told)


class Control:
    """Does what the owner asks; each method is one question."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection, self._loop = connection, loop
        self._memory = Memory()
        self._server: asyncio.Server | None = None
        self._address: tuple[str, int] = ("", 0)
        self._tls: ssl.SSLContext | None = None

    def on_question(self) -> None:
        try:
            what, arguments = self._connection.recv()
        except (EOFError, OSError):
            self._loop.stop()
            return
        self._loop.create_task(self._reply(what, arguments))

    async def _reply(self, what: str, arguments: Any) -> None:
        try:
            said = getattr(self, what)(*arguments)
            if asyncio.iscoroutine(said):
                said = await said
        except Exception as exc:  # noqa: BLE001  (whatever it is, the owner is told)
            self._connection.send((True, repr(exc)))
        else:
            self._connection.send((False, said))

    async def listen(self, host: str, port: int, heads: bool, tls: list[str] | None) -> int:
        self._memory.heads = heads
        if tls is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*tls)
        self._address = (host, port)
        await self.accept()
        assert self._server is not None
        found: int = self._server.sockets[0].getsockname()[1]
        self._address = (host, found)
        return found

    async def accept(self) -> None:
        host, port = self._address
        self._server = await self._loop.create_server(
            lambda: Exchange(self._memory, self._loop), host, port, ssl=self._tls, backlog=4096,
            reuse_address=True,
        )  # fmt: skip

    def refuse(self) -> None:
        assert self._server is not None
        self._server.close()
        self.drop_connections()

    def drop_connections(self) -> None:
        for each in list(self._memory.connections):
            each.transport.abort()

    def answer(self, path: str, rules: list[dict[str, Any]]) -> None:
        if rules:
            self._memory.rules[path] = rules
        else:
            self._memory.rules.pop(path, None)

    def now(self) -> tuple[int, ...]:
        memory = self._memory
        return (len(memory.rows), memory.open, memory.most, memory.cut, len(memory.connections),
                memory.accepted)  # fmt: skip

    def counts(self) -> dict[str, int]:
        return Counter(self._memory.paths)

    def requests(self, path: str | None) -> list[tuple[Any, ...]]:
        both = zip(self._memory.paths, self._memory.rows, strict=True)
        return [tuple(row) for at, row in both if path is None or at == path]

    def forget(self) -> None:
        self._memory.rows, self._memory.paths = [], []
        self._memory.most, self._memory.cut = self._memory.open, 0


def main() -> None:
    """Answer until the owner is gone."""
    gc.disable()  # nothing here is a cycle, and what is remembered would be looked through for ever
    loop = asyncio.new_event_loop()
    connection = Connection(int(sys.argv[1]))
    loop.add_reader(connection.fileno(), Control(connection, loop).on_question)
    loop.run_forever()


if __name__ == "__main__":
    main()
