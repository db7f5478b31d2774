"""Definitions of virtual users that were submitted, as every process offers them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from app.store.database import Database
from app.store.definitions import DefinitionSnapshots
from app.store.execution_rows import now
from app.store.locks import Lock, take_lock
from app.store.names import fitted
from app.store.schema import load_definitions

_TABLE: Final = load_definitions.c
_ONE: Final = select(load_definitions).where(_TABLE.workflow_id == bindparam("of_workflow"))
_NAME_LENGTH: Final = 512


@dataclass(frozen=True, slots=True)
class SubmittedDefinition:
    """A definition as lists show it.

    Attributes:
        digest: Under which :class:`app.store.definitions.DefinitionSnapshots` has what it says.
        size_bytes: Of what it says, as JSON.
        submitted_by: Username of who submitted it.
    """

    workflow_id: str
    name: str
    description: str
    digest: str
    size_bytes: int
    submitted_by: str
    submitted_at: datetime


class LoadDefinitions:
    """The definitions that users submitted; of each workflow the last one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._snapshots = DefinitionSnapshots(database)

    def all(self) -> list[SubmittedDefinition]:
        """Read all, by id."""
        query = select(load_definitions).order_by(_TABLE.workflow_id)
        with self._database.read() as connection:
            return [_definition(row) for row in connection.execute(query)]

    def get(self, workflow_id: str) -> SubmittedDefinition | None:
        """Read one; None if there is none."""
        with self._database.read() as connection:
            row = connection.execute(_ONE, {"of_workflow": workflow_id}).one_or_none()
        return None if row is None else _definition(row)

    def named(self, name: str) -> list[SubmittedDefinition]:
        """Read those of a name, by id."""
        query = select(load_definitions).where(_TABLE.name == name).order_by(_TABLE.workflow_id)
        with self._database.read() as connection:
            return [_definition(row) for row in connection.execute(query)]

    def put(
        self, new: SubmittedDefinition, text: str, most: int, most_bytes: int
    ) -> SubmittedDefinition:
        """Store a definition in the place of any earlier one of the same id.

        Where its submitter has more than they may, those that were submitted longest ago are
        offered no more; executions of them go on.

        Args:
            new: The definition.
            text: What it says, as JSON; :func:`app.store.definitions.digest_of` gives its digest.
            most: How many its submitter may have, this one among them.
            most_bytes: How large those may be together.

        Returns:
            It, as it is kept.
        """
        self._snapshots.keep_text(new.digest, text)
        kept = SubmittedDefinition(
            new.workflow_id, fitted(new.name, _NAME_LENGTH), new.description, new.digest,
            new.size_bytes, new.submitted_by, now(),
        )  # fmt: skip

        def work(connection: Connection) -> None:
            take_lock(connection, Lock.UPLOAD)
            _delete(connection, new.workflow_id)
            connection.execute(insert(load_definitions).values(**_values(kept)))
            _make_room(connection, kept, most, most_bytes)

        self._database.write(work, idempotent=True)
        return kept

    def remove(self, workflow_id: str) -> bool:
        """Remove a definition; executions of it go on.

        Returns:
            False when there is none.
        """
        return self._database.write(lambda c: _delete(c, workflow_id))


def _make_room(
    connection: Connection, kept: SubmittedDefinition, most: int, most_bytes: int
) -> None:
    columns = _TABLE.workflow_id, _TABLE.size_bytes
    mine = select(*columns).where(
        _TABLE.submitted_by == kept.submitted_by, _TABLE.workflow_id != kept.workflow_id
    )
    number, size = 1, kept.size_bytes
    for row in connection.execute(mine.order_by(_TABLE.submitted_at.desc())).all():
        number, size = number + 1, size + row.size_bytes
        if number > most or size > most_bytes:
            _delete(connection, row.workflow_id)


def _delete(connection: Connection, workflow_id: str) -> bool:
    gone = delete(load_definitions).where(_TABLE.workflow_id == workflow_id)
    return bool(connection.execute(gone).rowcount)


def _values(definition: SubmittedDefinition) -> dict[str, Any]:
    return {name: getattr(definition, name) for name in SubmittedDefinition.__slots__}


def _definition(row: Any) -> SubmittedDefinition:
    return SubmittedDefinition(**row._mapping)  # noqa: SLF001  (its public name)
