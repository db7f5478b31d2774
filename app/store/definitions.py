"""Definitions as they were when executions of them were launched, by digest of their content."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress

from sqlalchemy import Connection, Text, insert, literal, select, type_coerce, update
from sqlalchemy.exc import IntegrityError

from app.domain import JSON
from app.errors import NotFound
from app.store.database import Database
from app.store.schema import definitions


def digest_of(document: JSON) -> str:
    """Return the SHA-256 digest of what a document says, however it is written."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


class DefinitionSnapshots:
    """Keeps what a running execution was made from, whatever becomes of the file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, document: JSON) -> str:
        """Store a document, once.

        Returns:
            Its SHA-256 digest, under which :meth:`get` finds it.
        """
        digest = digest_of(document)
        self.keep_text(digest, json.dumps(document, separators=(",", ":")))
        return digest

    def keep_text(self, digest: str, text: str) -> None:
        """Store the JSON of a document, once.

        Args:
            digest: What :func:`digest_of` gives for the document.
            text: The document, written as JSON.
        """
        kept = update(definitions).where(definitions.c.digest == digest).values(unused_since=None)
        new = insert(definitions).values(digest=digest, document=literal(text, Text))

        def work(connection: Connection) -> None:
            # It may be about to be removed as unused: not any more.
            if not connection.execute(kept).rowcount:
                connection.execute(new)

        with suppress(IntegrityError):  # somebody else was faster, with the same content
            self._database.write(work, idempotent=True)

    def has(self, digest: str) -> bool:
        """Return whether a document has this digest."""
        with self._database.read() as connection:
            statement = select(definitions.c.digest).where(definitions.c.digest == digest)
            return connection.execute(statement).first() is not None

    def text(self, digest: str) -> str | None:
        """Read a document as the JSON in which it is stored; None if no document has this digest.

        Whoever only passes it on spares the time of parsing it.
        """
        statement = select(type_coerce(definitions.c.document, Text)).where(
            definitions.c.digest == digest
        )
        with self._database.read() as connection:
            return connection.execute(statement).scalar_one_or_none()

    def get(self, digest: str) -> JSON:
        """Read a document.

        Raises:
            NotFound: No document has this digest.
        """
        with self._database.read() as connection:
            row = connection.execute(
                select(definitions.c.document).where(definitions.c.digest == digest)
            ).one_or_none()
        if row is None:
            raise NotFound("The definition of this execution is gone.")
        return row.document
