"""What the gateway keeps of an execution to find Alien4Cloud's side of it again."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from app.domain import JSON
from app.errors import UpstreamError


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
        """Return it as JSON."""
        return asdict(self)
