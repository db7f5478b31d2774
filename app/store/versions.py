"""The texts of definitions that users gave, version by version, as they gave them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from app.domain import DefinitionSource, DefinitionText, DefinitionVersion
from app.errors import NotFound, Outdated
from app.store.database import Database
from app.store.schema import definition_versions

_TABLE: Final = definition_versions.c
_OF_ONE: Final = (
    _TABLE.kind == bindparam("of_kind"),
    _TABLE.workflow_id == bindparam("of_workflow"),
)
_SHOWN: Final = (
    _TABLE.number, _TABLE.media_type, _TABLE.size_bytes, _TABLE.uploaded_by, _TABLE.uploaded_at,
)  # fmt: skip
_LAST: Final = (
    select(_TABLE.number, _TABLE.text, _TABLE.media_type, _TABLE.uploaded_by)
    .where(*_OF_ONE)
    .order_by(_TABLE.number.desc())
    .limit(1)
)


def require_version(workflow_id: str, base: int | None, offered: int | None) -> None:
    """Make sure that a new version is made from the one that is offered.

    Args:
        workflow_id: The workflow.
        base: Number of the version that it is made from; None where that does not matter.
        offered: Number of the one that is offered; None where none is.

    Raises:
        Outdated: It is made from another one.
    """
    if base is not None and base != offered:
        raise Outdated(workflow_id, base, offered)


class DefinitionVersions:
    """The versions of the workflows of one kind.

    Numbers begin with 1 and are never used twice, also when a workflow is removed and one of the
    same id uploaded later: executions name the version that they run.

    Args:
        database: The store.
        kind: What sort of definitions it is: those of different sorts may have the same ids.
    """

    def __init__(self, database: Database, kind: str) -> None:
        self._database = database
        self._kind = kind

    def all(self, workflow_id: str) -> list[DefinitionVersion]:
        """List those that are kept of a workflow, the newest first."""
        query = select(*_SHOWN).where(*_OF_ONE, _TABLE.text.is_not(None))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_TABLE.number.desc()), self._of(workflow_id))
            return [DefinitionVersion(*row) for row in rows]

    def get(self, workflow_id: str, number: int) -> DefinitionText:
        """Read the text of one.

        Raises:
            NotFound: There was none of this number, or it is not kept any more.
        """
        query = select(_TABLE.text, _TABLE.media_type).where(*_OF_ONE, _TABLE.number == number)
        with self._database.read() as connection:
            row = connection.execute(query, self._of(workflow_id)).one_or_none()
        if row is None or row.text is None:
            raise NotFound(
                f"The workflow '{workflow_id}' has no version {number}, or not any more."
            )
        return DefinitionText(row.text, row.media_type, number)

    def add(
        self,
        connection: Connection,
        workflow_id: str,
        source: DefinitionSource,
        by: tuple[str, datetime],
        most: int,
    ) -> tuple[int, bool]:
        """Add a version, and forget those that are too old.

        Args:
            connection: Of the transaction that offers it.
            workflow_id: Its workflow.
            source: The text.
            by: Username of who gives it, and when.
            most: How many are kept, this one among them.

        Returns:
            Its number, and True; or that of the last one, and False, where the same user gave the
            same text.
        """
        last = connection.execute(_LAST, self._of(workflow_id)).one_or_none()
        given = (source.text, source.media_type, by[0])
        if last is not None and (last.text, last.media_type, last.uploaded_by) == given:
            return last.number, False
        number = 1 if last is None else last.number + 1
        values = {
            "kind": self._kind,
            "workflow_id": workflow_id,
            "number": number,
            "text": source.text,
            "media_type": source.media_type,
            "size_bytes": len(source.text.encode()),
            "uploaded_by": by[0],
            "uploaded_at": by[1],
        }
        connection.execute(insert(definition_versions).values(values))
        old = delete(definition_versions).where(*_OF_ONE, _TABLE.number <= number - max(most, 1))
        connection.execute(old, self._of(workflow_id))
        return number, True

    def forget(self, connection: Connection, workflow_id: str) -> None:
        """Forget the texts of a workflow that is removed; its last number stays known."""
        last = connection.execute(_LAST, self._of(workflow_id)).one_or_none()
        if last is None:
            return
        older = delete(definition_versions).where(*_OF_ONE, _TABLE.number < last.number)
        connection.execute(older, self._of(workflow_id))
        emptied = update(definition_versions).where(*_OF_ONE).values(text=None, size_bytes=0)
        connection.execute(emptied, self._of(workflow_id))

    def _of(self, workflow_id: str) -> Mapping[str, Any]:
        return {"of_kind": self._kind, "of_workflow": workflow_id}
