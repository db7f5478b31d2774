"""Following the statuses of all executions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Self

import requests

from slipway import faults
from slipway.attempts import Attempts, Repeat
from slipway.following import Lines, read_event
from slipway.models import StatusChange
from slipway.transport import NDJSON, Request, Transport


class Events:
    """An iterator over the changes of all executions that may be seen; it has no end.

    It begins with those that have not ended. One thread at a time may read it.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._attempts = Attempts(transport, transport.patience, Repeat.ALWAYS)
        self._ready: deque[StatusChange] = deque()
        self._response: requests.Response | None = None
        self._lines: Lines | None = None

    def __iter__(self) -> Iterator[StatusChange]:
        return self

    def __next__(self) -> StatusChange:
        while not self._ready:
            self._advance()
        return self._ready.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; reading on opens one again."""
        response, self._response, self._lines = self._response, None, None
        if response is not None:
            response.close()

    def _advance(self) -> None:
        patience = self._transport.patience
        try:
            if self._lines is None:
                request = Request("GET", "/executions/events", accept=NDJSON)
                self._response = self._transport.open(request, patience.quiet)
                self._lines = Lines(self._response, self._transport.url)
            lines = self._lines.read(patience.quiet)
            if lines is None:
                raise faults.cut(self._transport.url, "events have no end")
            self._attempts.succeeded()
            self._attempts.reached()
            events = [event for event in map(read_event, lines) if event.get("type") == "status"]
            self._ready.extend(map(StatusChange.read, events))
        except faults.Fault as fault:
            self.close()
            self._attempts.failed(fault)
        except BaseException:
            self.close()
            raise
