"""Following the statuses of all executions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

import requests

from slipway import faults
from slipway.attempts import Attempts, Repeat
from slipway.errors import NotFound
from slipway.following import Lines, expired, read_event
from slipway.models import ExecutionState, StatusChange
from slipway.transport import NDJSON, Request, Transport, segment

_MOST_KNOWN: Final = 10_000
"""Unfinished executions that are asked about after a cut; of more, those that are known longest."""


class Events:
    """An iterator over the changes of all executions that may be seen; it has no end.

    It begins with those that have not ended. What has ended while there was no connection is told
    as well, and nothing is told twice. One thread at a time may read it; after an exception it can
    be read on.

    Args:
        transport: Asks the service.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._attempts = Attempts(transport, transport.patience, Repeat.ALWAYS)
        self._ready: deque[StatusChange] = deque()
        self._response: requests.Response | None = None
        self._lines: Lines | None = None
        self._known: dict[str, Mapping[str, Any]] = {}

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
        try:
            lines = self._opened().read(self._transport.patience.quiet)
            if lines is None:
                raise faults.cut(self._transport.url, "events have no end")
            self._attempts.reached()
            self._attempts.progressed()
            for line in lines:
                self._take(read_event(line))
        except faults.Fault as fault:
            self.close()
            self._attempts.failed(fault)
        except BaseException:
            self.close()
            raise

    def _opened(self) -> Lines:
        if self._lines is None:
            request = Request("GET", "/executions/events", accept=NDJSON)
            self._response = self._transport.open(request, self._transport.patience.quiet)
            self._lines = Lines(self._response, self._transport.url)
            for id_ in list(self._known):
                self._look_at(id_)
        return self._lines

    def _look_at(self, id_: str) -> None:
        """Ask about one that had not ended before a cut: the stream tells none that has by now."""
        try:
            answer = self._transport.once(Request("GET", f"/executions/{segment(id_)}"))
        except NotFound:
            self._known.pop(id_, None)
            return
        seen = ExecutionState.read(answer.json())
        if seen.state.is_final:
            told = ("id", "status", "state", "progress", "error", "as_of", "workflow",
                    "workflow_name")  # fmt: skip
            self._take(
                {"type": "status", **{key: seen.raw[key] for key in told if key in seen.raw}}
            )

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = event.get("type")
        if kind == "expired":
            raise expired(event)
        if kind == "moved":
            self.close()
        if kind != "status":
            return
        change = StatusChange.read(event)
        if self._known.get(change.id) == event:
            return
        if change.state.is_final:
            self._known.pop(change.id, None)
        elif change.id in self._known or len(self._known) < _MOST_KNOWN:
            self._known[change.id] = event
        self._ready.append(change)
