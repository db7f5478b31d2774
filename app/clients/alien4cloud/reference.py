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
    """Executions of Alien4Cloud that this process has seen to belong to one of ours."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: dict[str, None] = {}

    def add(self, execution: str) -> None:
        """Note one; the one that was not noted for longest makes room."""
        with self._lock:
            self._ids.pop(execution, None)
            self._ids[execution] = None
            if len(self._ids) > _MOST_KNOWN:
                del self._ids[next(iter(self._ids))]

    def __contains__(self, execution: str) -> bool:
        return execution in self._ids
