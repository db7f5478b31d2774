"""What is known of definitions without reading them: by content, and by file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Final

from sqlalchemy import delete, insert, select, union_all, update
from sqlalchemy.exc import IntegrityError

from app.domain import JSON
from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import compiled_definitions, uploaded_definitions, workflow_files

_KEPT: Final = timedelta(days=30)


def shown(name: str) -> str:
    """Write the name of a file such that it is Unicode, which file systems do not ask for."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


class CompiledDefinitions:
    """Keeps the outcome of checking a definition, so that each content is checked once.

    An outcome that no file and no upload is known for goes after 30 days; it can be made again.
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
        self.forget()
        new = insert(compiled_definitions).values(
            key=key, summary=summary, details=details, made_at=now()
        )
        with suppress(IntegrityError):  # somebody else was faster, with the same content
            self._database.write(lambda c: c.execute(new), idempotent=True)

    def forget(self) -> None:
        """Remove the outcomes whose time is over."""
        in_use = union_all(
            select(workflow_files.c.good).where(workflow_files.c.good.is_not(None)),
            select(uploaded_definitions.c.key),
        )
        old = delete(compiled_definitions).where(
            compiled_definitions.c.made_at < now() - _KEPT,
            compiled_definitions.c.key.not_in(in_use),
        )
        self._database.write(lambda c: c.execute(old), durable=False, idempotent=True)


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
        mark: Tells the machine from others, which may have another folder of the same path.
    """

    def __init__(self, database: Database, folder: str, mark: Callable[[], str]) -> None:
        self._database = database
        self._path = folder
        self._mark = mark
        self._shared = _digest(folder)  # under which all machines kept theirs, once

    @cached_property
    def _folder(self) -> str:
        return _digest(f"{self._mark()}:{self._path}")

    def all(self) -> dict[str, FileRecord]:
        """Read what is remembered, by file name."""
        table = workflow_files.c
        query = select(table.name, table.good, table.fault)
        with self._database.read() as connection:
            rows = [
                row
                for folder in (self._shared, self._folder)
                for row in connection.execute(query.where(table.folder == folder))
            ]
        return {row.name: FileRecord(row.good, row.fault) for row in rows}

    def get(self, name: str) -> FileRecord:
        """Read what is remembered of a file."""
        table = workflow_files.c
        ids = self._id(name), _digest(f"{self._shared}/{name}")
        query = select(table.id, table.good, table.fault).where(table.id.in_(ids))
        with self._database.read() as connection:
            records = {row.id: FileRecord(row.good, row.fault) for row in connection.execute(query)}
        return next((records[id_] for id_ in ids if id_ in records), FileRecord())

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
        ids = self._id(name), _digest(f"{self._shared}/{name}")
        gone = delete(workflow_files).where(workflow_files.c.id.in_(ids))
        self._database.write(lambda c: c.execute(gone), idempotent=True)

    def _id(self, name: str) -> str:
        return _digest(f"{self._folder}/{name}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
