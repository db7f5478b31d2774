"""What is left of executions that were purged: that there were any, whose, and who purged them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, bindparam, or_, select

from app.domain import Tombstone
from app.store.schema import tombstones

_FIELDS: Final = (
    "number", "id", "name", "orchestrator", "workflow_id", "owner", "purged_at", "purged_by",
)  # fmt: skip
_SHOWN: Final = select(*(tombstones.c[name] for name in _FIELDS))
_KNOWN_AS: Final = _SHOWN.where(
    or_(*(tombstones.c[name] == bindparam("reference") for name in ("id", "name", "upstream_id")))
).order_by(tombstones.c.number)


def known_as(connection: Connection, reference: str) -> list[Tombstone]:
    """List what was purged of a reference: an id, a name, or an id of the upstream's own users."""
    found = connection.execute(_KNOWN_AS, {"reference": reference})
    return [Tombstone(**row) for row in found.mappings()]


def of_ids(connection: Connection, ids: Collection[str]) -> list[Tombstone]:
    """List what was purged among some ids."""
    found = connection.execute(_SHOWN.where(tombstones.c.id.in_(ids)))
    return [Tombstone(**row) for row in found.mappings()]
