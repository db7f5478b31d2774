"""Following the statuses of all executions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from slipway import faults
from slipway.errors import NotFound
from slipway.following import Lines, Stream, read_event
from slipway.models import ExecutionState, StatusChange
from slipway.transport import Request, Transport, segment

_MOST_KNOWN: Final = 10_000
"""Unfinished executions that are asked about after a cut; of more, those that are known longest."""


class Events(Stream[StatusChange]):
    """An iterator over the changes of all executions that may be seen; it has no end.

    It begins with those that have not ended. What has ended while there was no connection is told
    as well, and nothing is told twice.

    Args:
        transport: Asks the service.
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._known: dict[str, Mapping[str, Any]] = {}

    def __iter__(self) -> Iterator[StatusChange]:
        return self

    def __next__(self) -> StatusChange:
        while not self._ready:
            self._advance()
        return self._ready.popleft()

    def _read(self) -> None:
        lines = self._opened().read(self._transport.patience.quiet)
        if lines is None:
            raise faults.cut(self._transport.url, "events have no end")
        self._attempts.reached()
        self._attempts.succeeded()
        for line in lines:
            self._take(read_event(line))
        if self._ready:
            self._came_on()

    def _cut(self, fault: faults.Fault) -> None:
        self.close()
        self._attempts.failed(fault)

    def _opened(self) -> Lines:
        if self._lines is not None:
            return self._lines
        lines = self._open("/executions/events", {}, self._transport.patience.quiet)
        for id_ in list(self._known):
            self._look_at(id_)
        return lines

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
        if kind == "status":
            self._tell(event)
        elif kind == "expired":
            self._let_in_again(event)
            self.close()
        elif kind == "moved":
            self._come_back()
            self.close()

    def _tell(self, event: Mapping[str, Any]) -> None:
        change = StatusChange.read(event)
        if self._known.get(change.id) == event:
            return
        if change.state.is_final:
            self._known.pop(change.id, None)
        elif change.id in self._known or len(self._known) < _MOST_KNOWN:
            self._known[change.id] = event
        self._ready.append(change)
