"""Stretches of logs in the form in which they are sent, written once for all who get them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from app.caching import LruCache
from app.domain import Level, LogEntry, log_line, log_timestamp
from app.services.stretches import Stretch
from app.services.turns import Turn

Write = Callable[[Stretch], bytes]

_MOST_BYTES = 16 * 1024 * 1024
_LEVEL_NAMES = {int(level): level.name for level in Level}


class Written:
    """Keeps what was written last, as much as fits into a bounded memory.

    Args:
        most_bytes: How much that is.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._kept: LruCache[tuple[Write, Stretch], bytes] = LruCache(most_bytes, len)

    def get(self, write: Write, stretch: Stretch, turn: Turn) -> bytes:
        """Give a stretch in some form.

        Args:
            write: Writes the form.
            stretch: What to write.
            turn: Taken if it has to be written.
        """
        key = write, stretch
        found = self._kept.get(key)
        if found is None:
            with turn():
                found = self._kept.get(key)  # another one may have had his turn before
                if found is None:
                    found = write(stretch)
                    self._kept.put(key, found)
        return found


written = Written().get


def entry_json(entry: LogEntry) -> dict[str, Any]:
    """Give a log entry as it stands on every wire."""
    return {
        "level": _LEVEL_NAMES[entry.level],
        "timestamp": log_timestamp(entry.timestamp_ms),
        "content": entry.content,
        "task": entry.task,
        "index": entry.sequence,
    }


def as_text(stretch: Stretch) -> bytes:
    """Write entries as lines of text."""
    lines = (log_line(e.timestamp_ms, e.level, e.task, e.content) for e in stretch.entries)
    return "".join(lines).encode()


def as_items(stretch: Stretch) -> bytes:
    """Write entries as items of a JSON array, past marshmallow, which takes eight times as long."""
    return orjson.dumps([entry_json(entry) for entry in stretch.entries])[1:-1]


def as_sse(stretch: Stretch) -> bytes:
    """Write entries as server-sent events; the id of each is the cursor."""
    return b"".join(
        b"id: %d\nevent: log\ndata: %s\n\n" % (entry.sequence, orjson.dumps(entry_json(entry)))
        for entry in stretch.entries
    )


def as_ndjson(stretch: Stretch) -> bytes:
    """Write entries as lines of JSON."""
    return b"".join(
        orjson.dumps({"type": "log", **entry_json(entry)}, option=orjson.OPT_APPEND_NEWLINE)
        for entry in stretch.entries
    )
