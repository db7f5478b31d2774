"""Definitions of virtual users that were submitted, as every process offers them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, or_, select

from app.domain import DefinitionSource
from app.store.database import Database
from app.store.definitions import DefinitionSnapshots
from app.store.execution_rows import now
from app.store.locks import Lock, take_lock
from app.store.names import fitted
from app.store.owners import MayEdit, editable_owner
from app.store.schema import load_definitions
from app.store.versions import DefinitionVersions, require_version
from app.store.workflow_ids import require_none_of_the_engine

KIND: Final = "load"
"""Of these definitions, among those whose versions are kept."""

_TABLE: Final = load_definitions.c
_ID: Final = _TABLE.workflow_id == bindparam("of_workflow")
_ONE: Final = select(load_definitions).where(_ID)
_FOUND: Final = (
    select(load_definitions)
    .where(or_(_ID, _TABLE.name == bindparam("of_name")))
    .order_by(_TABLE.workflow_id)
)
_NAME_LENGTH: Final = 512

_owner = partial(editable_owner, load_definitions)


@dataclass(frozen=True, slots=True)
class SubmittedDefinition:
    """A definition as lists show it.

    Attributes:
        digest: Under which :class:`app.store.definitions.DefinitionSnapshots` has what it says.
        size_bytes: Of what it says, as JSON.
        submitted_by: Username of who submitted this version.
        owner: Username of who may replace and remove it; who submitted it first.
        version: Its number, from 1; the store gives it.
    """

    workflow_id: str
    name: str
    description: str
    digest: str
    size_bytes: int
    submitted_by: str
    submitted_at: datetime
    owner: str = ""
    version: int = 0


class LoadDefinitions:
    """The definitions that users submitted; of each workflow the last version.

    Args:
        database: The store.
        most_versions: How many versions of each are kept.
    """

    def __init__(self, database: Database, most_versions: int = 20) -> None:
        self._database = database
        self._most_versions = most_versions
        self.versions = DefinitionVersions(database, KIND)
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

    def search(self, workflow_id: str, name: str) -> list[SubmittedDefinition]:
        """Read those that have an id, or a name, by id: each launch asks, of any workflow."""
        with self._database.read() as connection:
            rows = connection.execute(_FOUND, {"of_workflow": workflow_id, "of_name": name})
            return [_definition(row) for row in rows]

    def put(
        self,
        new: SubmittedDefinition,
        text: str,
        most: int,
        most_bytes: int,
        *,
        source: DefinitionSource | None = None,
        may_edit: MayEdit = lambda _: True,
        base: int | None = None,
    ) -> SubmittedDefinition:
        """Store a definition in the place of any earlier one of the same id.

        The same text once more, by the same user, makes no new version. Where its submitter has
        more than they may, those that were submitted longest ago are offered no more; executions of
        them go on.

        Args:
            new: The definition.
            text: What it says, as JSON; :func:`app.store.definitions.digest_of` gives its digest.
            most: How many its submitter may have, this one among them.
            most_bytes: How large those may be together.
            source: The text as it was submitted, if not that.
            may_edit: Whose it may take the place of.
            base: Number of the version that it must take the place of; None for any.

        Returns:
            It, as it is kept.

        Raises:
            OfferedElsewhere: The engine has a workflow of this id.
            NotOwner: There is one of somebody else.
            Outdated: There is another version, or none.
        """
        written = source or DefinitionSource(text, "application/json")
        self._snapshots.keep_text(new.digest, text)
        kept = SubmittedDefinition(
            new.workflow_id, fitted(new.name, _NAME_LENGTH), new.description, new.digest,
            new.size_bytes, new.submitted_by, now(),
        )  # fmt: skip

        def work(connection: Connection) -> SubmittedDefinition:
            take_lock(connection, Lock.UPLOAD)
            owner = _owner(connection, new.workflow_id, may_edit)
            if base is not None:
                row = connection.execute(_ONE, {"of_workflow": new.workflow_id}).one_or_none()
                before = None if row is None else _definition(row)
                if before and before == replace(kept, owner=before.owner, version=before.version):
                    return before  # the answer to the first attempt was lost
                require_version(new.workflow_id, base, None if before is None else before.version)
            if owner is None:
                require_none_of_the_engine(connection, new.workflow_id)
            by = kept.submitted_by, kept.submitted_at
            number, _ = self.versions.add(
                connection, new.workflow_id, written, by, self._most_versions
            )
            placed = replace(
                kept, owner=kept.submitted_by if owner is None else owner, version=number
            )
            _delete(connection, new.workflow_id)
            connection.execute(insert(load_definitions).values(**_values(placed)))
            for workflow_id in _beyond(connection, placed, most, most_bytes):
                self._remove(connection, workflow_id)
            return placed

        return self._database.write(work, idempotent=True)

    def remove(self, workflow_id: str, may_edit: MayEdit = lambda _: True) -> bool:
        """Remove a definition with its versions; executions of it go on.

        Returns:
            False when there is none.

        Raises:
            NotOwner: It is of somebody else.
        """

        def work(connection: Connection) -> bool:
            take_lock(connection, Lock.UPLOAD)
            _owner(connection, workflow_id, may_edit)
            return self._remove(connection, workflow_id)

        return self._database.write(work)

    def _remove(self, connection: Connection, workflow_id: str) -> bool:
        self.versions.forget(connection, workflow_id)
        return _delete(connection, workflow_id)


def _beyond(
    connection: Connection, kept: SubmittedDefinition, most: int, most_bytes: int
) -> list[str]:
    """Return what the submitter of a definition has too much; the oldest goes first."""
    columns = _TABLE.workflow_id, _TABLE.size_bytes
    mine = select(*columns).where(
        _TABLE.submitted_by == kept.submitted_by, _TABLE.workflow_id != kept.workflow_id
    )
    number, size = 1, kept.size_bytes
    found: list[str] = []
    for row in connection.execute(mine.order_by(_TABLE.submitted_at.desc())).all():
        number, size = number + 1, size + row.size_bytes
        if number > most or size > most_bytes:
            found.append(row.workflow_id)
    return found


def _delete(connection: Connection, workflow_id: str) -> bool:
    gone = delete(load_definitions).where(_TABLE.workflow_id == workflow_id)
    return bool(connection.execute(gone).rowcount)


def _values(definition: SubmittedDefinition) -> dict[str, Any]:
    return {name: getattr(definition, name) for name in SubmittedDefinition.__slots__}


def _definition(row: Any) -> SubmittedDefinition:
    return SubmittedDefinition(**row._mapping)  # noqa: SLF001  (its public name)
