"""The bookmark of an observed execution: what has been seen, and nothing that time alone changes.

A look that finds nothing new gives back an equal cursor, so that the store has nothing to write.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Final

from app.clients.cursors import version_of
from app.domain import JSON

_VERSION: Final = 1


@dataclass(slots=True)
class LogCursor:
    """How far the log entries have been read.

    Attributes:
        floor_ms: Timestamp from which to read next.
        seen: Ids of the entries at or after it that have been given out.
        count: Number of entries given out.
    """

    floor_ms: int = 0
    seen: list[str] = field(default_factory=list)
    count: int = 0


@dataclass(slots=True)
class Cursor:
    """The bookmark.

    Attributes:
        deployment: Id of the deployment that it runs in; empty until Alien4Cloud knows it.
        word: Alien4Cloud's own word for the status, as last seen.
        changed_at: When something last happened, in seconds since the epoch.
        checked_at: When a silent execution was last checked for a lost end, likewise.
        tasks: Status of each task that has been given out.
        inlined: Name of the step by the id of the execution that an inline workflow became.
        due: When inline steps can have begun at the earliest, in ms since the epoch, by name.
        swept: Number of entries upstream when the log was last read again from its start.
    """

    deployment: str = ""
    word: str = ""
    changed_at: float = 0.0
    checked_at: float = 0.0
    tasks: dict[str, str] = field(default_factory=dict)
    inlined: dict[str, str] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    log: LogCursor = field(default_factory=LogCursor)
    swept: int = 0

    @classmethod
    def load(cls, raw: JSON, now: float) -> Cursor:
        """Read a cursor that :meth:`dump` made; without one, begin at the moment ``now``.

        Raises:
            UpstreamError: A later version of the service made it.
        """
        if raw is None:
            return cls(changed_at=now, checked_at=now)
        version_of(raw, _VERSION)
        values = {name: value for name, value in raw.items() if name != "version"}
        return cls(**{**values, "log": LogCursor(**raw["log"])})

    def dump(self) -> JSON:
        """Return it as JSON."""
        return {"version": _VERSION, **asdict(self)}
