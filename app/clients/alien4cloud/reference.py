"""What the gateway keeps of an execution to find Alien4Cloud's side of it again."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass

from app.domain import JSON
from app.errors import UpstreamError

_MOST_KNOWN = 20_000


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an execution runs, and its id there; ids never change."""

    application: str
    environment: str
    workflow: str
    execution: str

    @classmethod
    def load(cls, raw: JSON) -> Reference:
        """Read a reference that :meth:`dump` made.

        Raises:
            UpstreamError: There is none, since the launch is not settled.
        """
        if raw is None:
            raise UpstreamError("It is not known yet whether Alien4Cloud began this execution.")
        return cls(**raw)

    def dump(self) -> JSON:
        """Give it as JSON."""
        return asdict(self)


class KnownRuns:
    """Which of our executions an execution of Alien4Cloud belongs to, as far as was seen here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[str, str] = {}

    def claim(self, run: str, owner: str) -> bool:
        """Note that an execution of Alien4Cloud belongs to one of ours.

        The one that was not noted for longest makes room.

        Args:
            run: Its id.
            owner: Id of ours.

        Returns:
            False when it belongs to another of ours.
        """
        with self._lock:
            if self._owners.get(run, owner) != owner:
                return False
            self._owners.pop(run, None)
            self._owners[run] = owner
            if len(self._owners) > _MOST_KNOWN:
                del self._owners[next(iter(self._owners))]
        return True

    def free_for(self, run: str, owner: str) -> bool:
        """Tell whether an execution of Alien4Cloud belongs to one of ours, or to none yet."""
        return self._owners.get(run, owner) == owner
