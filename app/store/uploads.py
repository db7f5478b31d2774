"""Definitions that users uploaded, as every machine offers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as changed
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from app.domain import JSON, DefinitionSource
from app.errors import Conflict, NotOwner, Taken
from app.store.database import Database
from app.store.locks import Lock, take_lock
from app.store.owners import MayEdit, editable_owner
from app.store.schema import uploaded_definitions
from app.store.standing import Along, forget
from app.store.versions import DefinitionVersions, require_version
from app.store.workflow_ids import require_none_of_virtual_users

MAX_UPLOADS: Final = 1000
"""Most uploaded definitions of all users together; each list shows them all."""

KIND: Final = "engine"
"""Of these definitions, among those whose versions are kept."""

_TABLE: Final = uploaded_definitions.c
_SHOWN: Final = (
    _TABLE.workflow_id, _TABLE.key, _TABLE.summary, _TABLE.uploaded_by, _TABLE.uploaded_at,
    _TABLE.owner, _TABLE.version,
)  # fmt: skip
_ONE: Final = select(*_SHOWN).where(_TABLE.workflow_id == bindparam("of_workflow"))


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded definition without its text.

    Attributes:
        key: Names the outcome of checking the text; see :class:`app.store.compiled`.
        summary: What a list needs of that outcome.
        uploaded_by: Username of who uploaded this version.
        owner: Username of who may replace and remove it; who uploaded it first.
        version: Its number, from 1; the store gives it.
    """

    workflow_id: str
    key: str
    summary: Mapping[str, JSON]
    uploaded_by: str
    uploaded_at: datetime
    owner: str = field(default="", compare=False)
    version: int = field(default=0, compare=False)

    @property
    def kept_by(self) -> str:
        """Username of who keeps it as a workflow that stands; empty where nobody does."""
        return str(self.summary.get("kept_by", ""))


@dataclass(frozen=True, slots=True)
class Quota:
    """How much one user may have uploaded.

    Attributes:
        number: Most definitions.
        size_bytes: Most bytes of their texts together.
    """

    number: int
    size_bytes: int


class UploadedDefinitions:
    """The definitions that users uploaded; of each workflow the last version.

    Args:
        database: The store.
        most_versions: How many versions of each are kept.
    """

    def __init__(self, database: Database, most_versions: int = 20) -> None:
        self._database = database
        self._most_versions = most_versions
        self.versions = DefinitionVersions(database, KIND)

    def all(self) -> tuple[Upload, ...]:
        """Read all, by id."""
        query = select(*_SHOWN).order_by(_TABLE.workflow_id)
        with self._database.read() as connection:
            return tuple(_upload(row) for row in connection.execute(query))

    def exist(self) -> bool:
        """Return whether there are any."""
        query = select(_TABLE.workflow_id).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def get(self, workflow_id: str) -> Upload | None:
        """Read one; None if there is none."""
        with self._database.read() as connection:
            row = connection.execute(_ONE, {"of_workflow": workflow_id}).first()
        return None if row is None else _upload(row)

    def text(self, workflow_id: str) -> str | None:
        """Read the text of one, as it was uploaded; None if there is none."""
        upload = self.get(workflow_id)
        return None if upload is None else self.versions.get(workflow_id, upload.version).text

    def put(
        self,
        upload: Upload,
        document: str | DefinitionSource,
        quota: Quota | None,
        *,
        replace: bool = True,
        along: Along = lambda _: None,
        may_edit: MayEdit = lambda _: True,
        base: int | None = None,
    ) -> Upload:
        """Store a definition, all of it or nothing; on return the disk has it.

        The same text once more, by the same user, makes no new version.

        Args:
            upload: The definition; who uploads one that is new owns it, unless it says who does.
            document: Its text.
            quota: How much its uploader may have in the end; None for no bound.
            replace: Take the place of one of the same id.
            along: What is written in the same transaction, before it.
            may_edit: Whose it may take the place of.
            base: Number of the version that it must take the place of; None for any.

        Returns:
            It, as it is kept.

        Raises:
            Taken: There is one, and it is not to be replaced.
            OfferedElsewhere: There is one of virtual users.
            NotOwner: There is one of somebody else.
            Outdated: There is another version, or none.
            Conflict: There are too many, or its uploader has too many or too much; or the one that
                it is to replace belongs to a workflow that stands.
        """
        source = DefinitionSource(document) if isinstance(document, str) else document
        size = len(source.text.encode())

        def work(connection: Connection) -> Upload:
            take_lock(connection, Lock.UPLOAD)
            along(connection)
            row = connection.execute(_ONE, {"of_workflow": upload.workflow_id}).first()
            before = None if row is None else _upload(row)
            if base is not None and before == upload:
                return before  # the answer to the first attempt was lost
            require_version(upload.workflow_id, base, None if before is None else before.version)
            if before is None:
                require_none_of_virtual_users(connection, upload.workflow_id)
            else:
                if not replace and before == upload:
                    return before  # the answer to the first attempt was lost
                _require_replaceable(before, upload, replace=replace, may_edit=may_edit)
            owner = before.owner if before is not None else upload.owner or upload.uploaded_by
            _require_room(connection, upload, size, quota)
            number, new = self.versions.add(
                connection, upload.workflow_id, source,
                (upload.uploaded_by, upload.uploaded_at), self._most_versions,
            )  # fmt: skip
            kept = changed(upload, owner=owner, version=number)
            if before is not None and not new:
                kept = changed(kept, uploaded_by=before.uploaded_by, uploaded_at=before.uploaded_at)
            _delete(connection, upload.workflow_id)
            connection.execute(insert(uploaded_definitions).values(_values(kept, size)))
            return kept

        return self._database.write(work, idempotent=True)

    def remove(self, workflow_id: str, may_edit: MayEdit = lambda _: True) -> bool:
        """Remove a definition with its versions; a workflow that stands on it is gone with it.

        Returns:
            False when there is none.

        Raises:
            NotOwner: It is of somebody else.
        """

        def work(connection: Connection) -> bool:
            take_lock(connection, Lock.UPLOAD)
            editable_owner(uploaded_definitions, connection, workflow_id, may_edit)
            forget(connection, workflow_id)
            self.versions.forget(connection, workflow_id)
            return _delete(connection, workflow_id)

        return self._database.write(work)

    def withdraw(self, workflow_id: str, along: Along) -> None:
        """Offer a definition no more, of a workflow that goes on to stand.

        Args:
            workflow_id: Its id.
            along: What is written in the same transaction, before it.
        """

        def work(connection: Connection) -> None:
            take_lock(connection, Lock.UPLOAD)
            along(connection)
            _delete(connection, workflow_id)

        self._database.write(work)


def _upload(row: Any) -> Upload:
    return Upload(*row)


def _values(upload: Upload, size: int) -> dict[str, Any]:
    names = [column.name for column in _SHOWN]
    return {name: getattr(upload, name) for name in names} | {
        "summary": dict(upload.summary),
        "size_bytes": size,
    }


def _require_replaceable(
    before: Upload, upload: Upload, *, replace: bool, may_edit: MayEdit
) -> None:
    if not replace:
        raise Taken(f"There is a workflow '{upload.workflow_id}' already.")
    if not may_edit(before.owner):
        raise NotOwner(upload.workflow_id, before.owner)
    if before.kept_by and not upload.kept_by:
        raise Conflict(
            f"The workflow '{upload.workflow_id}' was made of single tasks, and changes with them; "
            "remove it first."
        )


def _delete(connection: Connection, workflow_id: str) -> bool:
    gone = delete(uploaded_definitions).where(_TABLE.workflow_id == workflow_id)
    return bool(connection.execute(gone).rowcount)


def _require_room(connection: Connection, upload: Upload, size: int, quota: Quota | None) -> None:
    others = select(func.count(), func.coalesce(func.sum(_TABLE.size_bytes), 0)).where(
        _TABLE.workflow_id != upload.workflow_id
    )
    number, _ = connection.execute(others).one()
    if number >= MAX_UPLOADS:
        raise Conflict(f"There are {MAX_UPLOADS} uploaded workflows already; remove one first.")
    if quota is None:
        return
    own = others.where(_TABLE.uploaded_by == upload.uploaded_by)
    number, total = connection.execute(own).one()
    if number >= quota.number:
        raise Conflict(
            f"You have uploaded {number} workflows, and {quota.number} is the most; "
            "remove one first."
        )
    if (total := int(total) + size) > quota.size_bytes:
        raise Conflict(
            f"Your uploaded workflows would take {total} bytes together, and "
            f"{quota.size_bytes} is the most; remove one first, or make this one smaller."
        )
