"""Following the log entries of an execution: none lost, and none given out twice.

Alien4Cloud sorts entries by the time at which they were written, and they may arrive late, out of
order, and many in one millisecond. So each look reads again from a little before the newest entry
and leaves out the ids that it knows. Source: Alien4Cloud 3.8 REST, section 10.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.clients._http import BodyTooLarge
from app.clients.alien4cloud.api import MOST_PER_PAGE, SEARCH_WINDOW, Alien4CloudApi
from app.clients.alien4cloud.cursor import LogCursor
from app.clients.alien4cloud.model import LogPage, LogRecord
from app.errors import UpstreamTimeout

_OVERLAP_MS = 10_000
"""How late an entry may arrive, behind newer ones."""
_MOST_SEEN = 1_000
"""About so many ids a cursor holds; where more entries lie in the overlap, it gets shorter."""
_PAGES_PER_LOOK = 10
"""Then the entries are stored, and the next look goes on: other executions have their turn."""
_FEW = 20
"""Entries of a page that are asked for where a full page does not come in time."""


@dataclass(frozen=True, slots=True)
class NewLogs:
    """What a look at the log found.

    Attributes:
        entries: Those that were not given out before, oldest first.
        behind: There is more to read at once.
    """

    entries: tuple[LogRecord, ...]
    cursor: LogCursor
    behind: bool


def read_new(api: Alien4CloudApi, executions: Sequence[str], cursor: LogCursor) -> NewLogs:
    """Read the entries that are new since a cursor.

    Args:
        api: The calls.
        executions: Ids whose entries to read.
        cursor: Where the last look ended.

    Raises:
        UpstreamError: Alien4Cloud failed; nothing has moved.
    """
    pages = _Pages(api, executions, cursor.floor_ms)
    read: dict[str, LogRecord] = {}
    for _ in range(_PAGES_PER_LOOK):
        read.update((entry.id, entry) for entry in pages.next())
        if pages.complete:
            break
    seen = set(cursor.seen)
    entries = tuple(entry for id_, entry in read.items() if id_ not in seen)
    # Who is behind goes on at the last page: to go back a while each time might never catch up.
    floor = _floor(read, cursor.floor_ms) if pages.complete else pages.position_ms
    moved = LogCursor(
        floor_ms=floor,
        seen=sorted(_seen_from(floor, read, cursor)),
        count=cursor.count + len(entries),
    )
    return NewLogs(entries, moved, behind=not pages.complete)


def _floor(read: dict[str, LogRecord], before_ms: int) -> int:
    """Choose where to read from next: back a while, but not so far that ids pile up."""
    times = sorted((entry.at_ms for entry in read.values()), reverse=True)
    if not times:
        return before_ms
    crowded = times[_MOST_SEEN] if len(times) > _MOST_SEEN else 0
    return max(before_ms, times[0] - _OVERLAP_MS, crowded)


def _seen_from(floor_ms: int, read: dict[str, LogRecord], cursor: LogCursor) -> Iterator[str]:
    for id_, entry in read.items():
        if entry.at_ms >= floor_ms:
            yield id_
    if floor_ms == cursor.floor_ms:
        # Entries that purging or a fault of the search hid this time are known all the same.
        yield from (id_ for id_ in cursor.seen if id_ not in read)


def joined(cursor: LogCursor, other: NewLogs) -> LogCursor:
    """Add what was read of one more execution, from its start, to what is followed."""
    known = {entry.id for entry in other.entries if entry.at_ms >= cursor.floor_ms}
    return LogCursor(
        floor_ms=cursor.floor_ms,
        seen=sorted(known.union(cursor.seen)),
        count=cursor.count + len(other.entries),
    )


class _Pages:
    """Reads a log forwards by moving its start, since a window limits how far a page may lie."""

    def __init__(self, api: Alien4CloudApi, executions: Sequence[str], from_ms: int) -> None:
        self._api = api
        self._executions = executions
        self._skip = 0
        self._size = MOST_PER_PAGE
        self.position_ms = from_ms
        self.complete = False

    def next(self) -> Sequence[LogRecord]:
        """Read a page; entries of the one before may come again."""
        page = self._page()
        self.complete = self._skip + page.received >= page.total
        if page.last_ms > self.position_ms:
            self.position_ms, self._skip = page.last_ms, 0
        else:
            self._skip += page.received  # a page is not enough for this millisecond
        if self._skip + self._size > SEARCH_WINDOW:
            # The server can show no more of this millisecond.
            self.position_ms, self._skip = self.position_ms + 1, 0
        return page.entries

    def _page(self) -> LogPage:
        while True:
            try:
                return self._api.logs(
                    self._executions, from_ms=self.position_ms, start=self._skip, size=self._size
                )
            except BodyTooLarge:
                if self._size == 1:
                    raise
                self._size = max(1, self._size // 10)
            except UpstreamTimeout:
                if self._size <= _FEW:
                    raise
                self._size = _FEW  # the lines may be too long for the time that there is
