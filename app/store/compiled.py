"""What is known of definitions without reading them: by content, and by file."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.domain import JSON
from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import compiled_definitions, workflow_files

_KEPT: Final = timedelta(days=30)


def shown(name: str) -> str:
    """Write the name of a file such that it is Unicode, which file systems do not ask for."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


class CompiledDefinitions:
    """Keeps the outcome of checking a definition, so that each content is checked once.

    An outcome that no file is known for goes after 30 days; it can be made again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def summary(self, key: str) -> JSON:
        """Read the summary of an outcome; None if there is none."""
        query = select(compiled_definitions.c.summary).where(compiled_definitions.c.key == key)
        with self._database.read() as connection:
            return connection.execute(query).scalar()

    def details(self, key: str) -> str | None:
        """Read the details of an outcome, as text; None if there is none."""
        query = select(compiled_definitions.c.details).where(compiled_definitions.c.key == key)
        with self._database.read() as connection:
            return connection.execute(query).scalar()

    def keep(self, key: str, summary: JSON, details: str) -> None:
        """Store an outcome, once."""
        in_use = select(workflow_files.c.good).where(workflow_files.c.good.is_not(None))
        old = delete(compiled_definitions).where(
            compiled_definitions.c.made_at < now() - _KEPT,
            compiled_definitions.c.key.not_in(in_use),
        )
        new = insert(compiled_definitions).values(
            key=key, summary=summary, details=details, made_at=now()
        )
        self._database.write(lambda c: c.execute(old), durable=False, idempotent=True)
        with suppress(IntegrityError):  # somebody else was faster, with the same content
            self._database.write(lambda c: c.execute(new), idempotent=True)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What is remembered of a file.

    Attributes:
        good: Key of the last content that was a valid definition; None if there was none.
        fault: Digest of the fault that was told last; None if it has none.
    """

    good: str | None = None
    fault: str | None = None


class WorkflowFiles:
    """Remembers the last good content of each file of a folder, and the fault that was told.

    Args:
        database: The store.
        folder: Path of the folder.
    """

    def __init__(self, database: Database, folder: str) -> None:
        self._database = database
        self._folder = hashlib.sha256(folder.encode(errors="surrogateescape")).hexdigest()

    def all(self) -> dict[str, FileRecord]:
        """Read what is remembered, by file name."""
        table = workflow_files.c
        query = select(table.name, table.good, table.fault).where(table.folder == self._folder)
        with self._database.read() as connection:
            return {row.name: FileRecord(row.good, row.fault) for row in connection.execute(query)}

    def get(self, name: str) -> FileRecord:
        """Read what is remembered of a file."""
        query = select(workflow_files.c.good, workflow_files.c.fault)
        with self._database.read() as connection:
            row = connection.execute(query.where(workflow_files.c.id == self._id(name))).first()
        return FileRecord() if row is None else FileRecord(row.good, row.fault)

    def note(self, name: str, record: FileRecord) -> bool:
        """Remember something of a file.

        Returns:
            Whether that was news: of several processes that note the same, one is told so.
        """
        id_ = self._id(name)
        values = {"good": record.good, "fault": record.fault}
        other = workflow_files.c.good.is_distinct_from(
            record.good
        ) | workflow_files.c.fault.is_distinct_from(record.fault)
        change = update(workflow_files).where(workflow_files.c.id == id_, other).values(values)
        if self._database.write(lambda c: c.execute(change).rowcount):
            return True
        new = insert(workflow_files).values(id=id_, folder=self._folder, name=shown(name), **values)
        try:
            self._database.write(lambda c: c.execute(new))
        except IntegrityError:  # known like this already
            return False
        return True

    def forget(self, name: str) -> None:
        """Forget a file that was removed."""
        gone = delete(workflow_files).where(workflow_files.c.id == self._id(name))
        self._database.write(lambda c: c.execute(gone), idempotent=True)

    def _id(self, name: str) -> str:
        text = f"{self._folder}/{name}"
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
