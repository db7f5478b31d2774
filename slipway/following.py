"""Following a log: one cursor, which no cut anywhere loses or doubles a line of.

The log comes as lines of JSON. Only a line ``end`` ends it: a clean close, an empty body and a 200
prove nothing, since a head that is cut off looks just like them. Entries are known by their index,
and after a cut it goes on behind the last one that was handed out. Where a proxy holds the lines
back, pages are waited for in their place.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, Final, Generic, Self, TypeVar

import requests

from slipway import faults
from slipway.attempts import Attempts, Repeat
from slipway.errors import NotAllowed, NotOurs, SlipwayError
from slipway.models import LogEntry, LogPage, StatusChange, read_entry
from slipway.transport import NDJSON, Request, Transport

_BLOCK_BYTES: Final = 65536
_MOST_BYTES: Final = 64 * 1024 * 1024
"""No line is longer: entries have a bound, and a line without an end must not fill the memory."""
_PAGE: Final = 1000
"""Most entries of a page."""
_POLL_SECONDS: Final = 20
"""How long a page is waited for: less than proxies wait for an answer."""
_SHORTEST_POLL_SECONDS: Final = 1
"""The same where a proxy does not wait for long."""
_FRUITLESS: Final = 3
"""Streams that end without a new line, one after the other, before pages are read."""
_GOOD_SECONDS: Final = 10.0
"""A credential that lets in for so long is good; one that ends sooner, twice, opens nothing."""

Item = TypeVar("Item")


class Lines:
    r"""The lines of a stream, split at ``\n`` alone; an unfinished last one is not handed out.

    Args:
        response: Whose body is read.
        url: Address of the service, for what is told of a fault.
    """

    def __init__(self, response: requests.Response, url: str) -> None:
        self._response, self._url = response, url
        self._rest: list[bytes] = []
        self._size = 0

    def close(self) -> None:
        """Close the connection."""
        self._response.close()

    def read(self, seconds: float) -> list[bytes] | None:
        """Return the lines that have come, without those that are empty; None at the end.

        Args:
            seconds: Longest silence.

        Raises:
            Fault: The connection was cut, or there was silence for so long.
        """
        _wait_at_most(self._response, seconds)
        try:
            block = self._response.raw.read1(_BLOCK_BYTES, decode_content=True)
        except (*faults.OF_CONNECTIONS, ValueError) as exc:
            raise faults.of(exc, self._url, seconds, None, begun=True) from None
        if not block:
            return None
        self._rest.append(block)
        self._size += len(block)
        if b"\n" not in block:
            if self._size > _MOST_BYTES:
                raise faults.cut(self._url, "a line has no end")
            return []
        *lines, rest = b"".join(self._rest).split(b"\n")
        self._rest, self._size = [rest], len(rest)
        return [line for line in lines if line.strip()]


def _wait_at_most(response: requests.Response, seconds: float) -> None:
    """Bound the silence of a connection anew.

    Where the socket cannot be found, the bound with which it was opened stays: it ends sooner, and
    is opened again.
    """
    connection = getattr(response.raw, "connection", None)
    sock = getattr(connection, "sock", None)
    if sock is None:
        buffered = getattr(getattr(response.raw, "_fp", None), "fp", None)
        sock = getattr(getattr(buffered, "raw", None), "_sock", None)
    if sock is not None:
        sock.settimeout(seconds)


def read_event(line: bytes) -> Mapping[str, Any]:
    """Read a line of a stream.

    Raises:
        NotOurs: It is none.
    """
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, Mapping):
        raise NotOurs("The service says a line that is no JSON object; is it Slipway?")
    return event


class Stream(ABC, Generic[Item]):
    """Lines of the service that are read as they come, over one connection after the other.

    A context manager closes the connection. One thread at a time may read it; after an exception it
    can be read on.

    Args:
        transport: Asks the service.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._attempts = Attempts(transport, transport.patience, Repeat.ALWAYS)
        self._ready: deque[Item] = deque()
        self._lines: Lines | None = None
        self._fruitless = 0
        self._expired_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; reading on opens one again."""
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.close()

    def _advance(self) -> None:
        """Get what comes next; whatever was got before is handed out by now."""
        try:
            self._read()
        except faults.Fault as fault:
            self._cut(fault)
        except SlipwayError:
            # What came before it is handed out first; asked again, it is said again.
            self.close()
            if not self._ready:
                raise
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _read(self) -> None:
        """Read some lines, or what stands for them."""

    @abstractmethod
    def _cut(self, fault: faults.Fault) -> None:
        """Come back after a cut."""

    def _open(self, path: str, params: Mapping[str, Any], seconds: float) -> Lines:
        """Open a connection; its silence before the first line is bounded."""
        response = self._transport.open(Request("GET", path, params, accept=NDJSON), seconds)
        self._lines = Lines(response, self._transport.url)
        return self._lines

    def _came_on(self) -> None:
        """Note that there was something new."""
        self._fruitless, self._expired_at = 0, None
        self._attempts.progressed()

    def _let_in_again(self, event: Mapping[str, Any]) -> None:
        """Come back with a credential that may be another one by now.

        Raises:
            NotAllowed: It ended soon after the last one, and nothing new came in between.
        """
        now = self._transport.clock()
        soon = self._expired_at is not None and now - self._expired_at < _GOOD_SECONDS
        if soon and not self._ready:
            why = str(event.get("reason") or "You may not read that any more.")
            raise NotAllowed(403, {"title": "Expired", "status": 403, "detail": why})
        self._expired_at = now

    def _come_back(self) -> None:
        """Come back to another process of the service, at once if this one did something.

        Raises:
            Fault: It did nothing.
        """
        self._fruitless += 1
        if self._fruitless > 1 and not self._ready:
            raise faults.cut(self._transport.url, "the service goes away")


class _Mode(Enum):
    """How entries are got."""

    STREAM = "stream"
    CATCH_UP = "catch up"
    """By pages, until there is nothing left; then by the stream again."""
    POLL = "poll"
    """By pages that are waited for, to the end."""


class Follow(Stream[LogEntry]):
    """An iterator over the entries of a log, until the execution has ended.

    Args:
        transport: Asks the service.
        path: Address of the execution.
        params: The filter: ``levels``, ``task``, ``grep``.
        after: Index behind which it begins; -1 for the start.
        tail: In its place, how many entries before the end.
        on_status: Is told each change of the status.

    Attributes:
        after: Index of the last entry that was handed out.
        status: What the service said last; None before.
        ended: Whether the execution has ended, and all was handed out.
    """

    def __init__(
        self,
        transport: Transport,
        path: str,
        params: Mapping[str, Any],
        *,
        after: int = -1,
        tail: int | None = None,
        on_status: Callable[[StatusChange], object] | None = None,
    ) -> None:
        super().__init__(transport)
        self.after = after
        self.status: StatusChange | None = None
        self.ended = False
        self._path, self._params = path, dict(params)
        self._tail, self._on_status = tail, on_status
        self._mode = _Mode.POLL if transport.buffers else _Mode.STREAM
        self._greeted = False
        self._poll_seconds = _POLL_SECONDS

    def __iter__(self) -> Iterator[LogEntry]:
        return self

    def __next__(self) -> LogEntry:
        while not self._ready:
            if self.ended:
                raise StopIteration
            self._advance()
        entry = self._ready.popleft()
        self.after = entry.index
        return entry

    def _read(self) -> None:
        if self._tail is not None:
            self._find_start(self._tail)
        elif self._mode is _Mode.STREAM:
            self._read_stream()
        else:
            self._read_page()

    def _find_start(self, tail: int) -> None:
        """Turn the number of entries into a cursor, which means the same after a cut."""
        page = self._page({"tail": max(tail, 1), "size": 1, "timeout": "0"})
        if page.entries:
            self.after = page.entries[0].index - (1 if tail else 0)
        self._tail = None

    def _read_stream(self) -> None:
        lines = self._opened().read(self._longest_silence)
        if lines is None:
            raise faults.cut(self._transport.url, "the log is not at its end")
        self._take(lines)

    @property
    def _longest_silence(self) -> float:
        patience = self._transport.patience
        return patience.quiet if self._greeted else patience.buffered

    def _opened(self) -> Lines:
        if self._lines is not None:
            return self._lines
        self._greeted = False
        params = {**self._params, "after": self.after}
        return self._open(f"{self._path}/logs", params, self._transport.patience.buffered)

    def _take(self, lines: list[bytes]) -> None:
        """Take what lines say, up to one after which nothing more comes of this stream."""
        last = self.after
        for line in lines:
            event = read_event(line)
            kind = event.get("type")
            if kind == "log":
                entry = read_entry(event)
                if entry.index > last:
                    last = entry.index
                    self._ready.append(entry)
            elif not self._greeted and kind != "status":
                raise faults.cut(self._transport.url, "it does not begin with the status")
            elif not self._goes_on(kind, event):
                break
        if last > self.after:
            self._came_on()

    def _goes_on(self, kind: Any, event: Mapping[str, Any]) -> bool:
        """Take what is no entry, and return whether the stream goes on behind it."""
        if kind in {"status", "end"}:
            self._tell(event)
            self.ended = kind == "end"
        elif kind == "dropped":
            self._mode = _Mode.CATCH_UP
        elif kind == "expired":
            self._let_in_again(event)
        elif kind == "moved":
            self._come_back()
        else:  # what a newer service says beside
            return True
        if kind == "status":
            return True
        self.close()
        return False

    def _tell(self, event: Mapping[str, Any]) -> None:
        self._greeted = True
        self._attempts.reached()
        self._attempts.succeeded()
        if self.status is None or self.status.raw != event:
            self.status = StatusChange.read(event)
            if self._on_status is not None:
                self._on_status(self.status)

    def _cut(self, fault: faults.Fault) -> None:
        """Come back after a cut, or go on in another way."""
        greeted = self._greeted
        self.close()
        self._fruitless += 1
        if self._mode is _Mode.STREAM:
            if fault.kind is faults.Kind.SILENT and self._answers():
                self._transport.buffers = self._transport.buffers or not greeted
                self._transport.trace("Something holds the log back; waiting for pages instead.")
                self._mode = _Mode.POLL
                return
            if self._fruitless >= _FRUITLESS and self._attempts.was_reached:
                self._transport.trace("The log does not come on as a stream; reading pages.")
                self._mode, self._fruitless = _Mode.CATCH_UP, 0
        elif self._mode is _Mode.CATCH_UP:
            # Where connections last for less than a page, a stream still brings some lines.
            self._mode = _Mode.STREAM
        elif fault.kind in {faults.Kind.CUT, faults.Kind.GATEWAY}:
            self._poll_seconds = max(self._poll_seconds // 2, _SHORTEST_POLL_SECONDS)
        self._attempts.failed(fault)

    def _answers(self) -> bool:
        """Whether the service answers while the stream says nothing."""
        patience = replace(self._transport.patience, silence=self._transport.patience.probe)
        try:
            self._transport.once(Request("GET", self._path, patience=patience))
        except faults.Fault:
            return False
        return True

    def _read_page(self) -> None:
        wait = self._poll_seconds if self._mode is _Mode.POLL else 0
        page = self._page({"after": self.after, "size": _PAGE, "timeout": f"{wait}s"}, wait)
        entries = [entry for entry in page.entries if entry.index > self.after]
        self._ready.extend(entries)
        self.ended = page.complete
        told = self.status.state if self.status else None
        if page.state != told:
            self._tell({"status": str(page.state.told), "state": str(page.state),
                        "type": "end" if page.complete else "status"})  # fmt: skip
        if entries:
            self._came_on()
        elif self._mode is _Mode.CATCH_UP:
            self._mode = _Mode.STREAM

    def _page(self, params: Mapping[str, Any], wait: float = 0.0) -> LogPage:
        request = Request("GET", f"{self._path}/logs", {**self._params, **params}, wait=wait)
        page = LogPage.read(self._transport.once(request).json())
        self._attempts.reached()
        self._attempts.succeeded()
        return page
