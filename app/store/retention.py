"""Definitions that executions were launched from, and that nothing needs any more."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import (
    Connection,
    Delete,
    Text,
    Update,
    delete,
    literal,
    select,
    type_coerce,
    union_all,
    update,
)

from app.store.compiled import CompiledDefinitions
from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import (
    LOG_GOES_ON,
    compiled_definitions,
    definitions,
    executions,
    load_definitions,
    load_tasks,
    uploaded_definitions,
)

_GRACE: Final = timedelta(days=1)
"""How long nothing must have needed a definition: far longer than a process knows of one that is
not offered any more, and could still launch it."""
_AT_ONCE: Final = 500
_RUN: Final = (
    select(executions.c.number)
    .where(
        LOG_GOES_ON,
        type_coerce(executions.c.reference, Text).like(
            literal('{"definition":"') + definitions.c.digest + literal('"%')
        ),
    )
    .exists()
)
"""An execution that has not ended was launched from a definition."""


class UnusedDefinitions:
    """Removes the definitions that neither an execution nor a workflow needs.

    An execution needs its own until it has ended and its log is complete, a workflow the one that
    was read from its file or upload. What nothing needs is marked first, and removed when that is
    still so after a day.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._checked = CompiledDefinitions(database)

    def prune(self) -> int:
        """Mark and remove; return the number of those that were removed.

        Raises:
            StoreUnavailable: The store cannot be read or written.
        """
        self._checked.forget()
        table = definitions.c
        with self._database.read() as connection:
            rows = connection.execute(select(table.digest, table.unused_since)).all()
            needed = _needed(connection)
        marked = {row.digest for row in rows if row.unused_since is not None}
        unused = {row.digest for row in rows} - needed
        moment = now()
        old = [
            row.digest
            for row in rows
            if row.digest in unused and row.unused_since and row.unused_since < moment - _GRACE
        ]
        self._mark(marked & needed, None)
        self._mark(unused - marked, moment)
        return self._remove(old)

    def _mark(self, digests: Collection[str], moment: datetime | None) -> None:
        for some in _portions(digests):
            of_them = update(definitions).where(definitions.c.digest.in_(some))
            self._do(of_them.values(unused_since=moment))

    def _remove(self, digests: Collection[str]) -> int:
        # Asked once more: they may have been kept anew or launched in between.
        still = (definitions.c.unused_since < now() - _GRACE, ~_RUN)
        return sum(
            self._do(delete(definitions).where(definitions.c.digest.in_(some), *still))
            for some in _portions(digests)
        )

    def _do(self, statement: Update | Delete) -> int:
        return self._database.write(lambda c: c.execute(statement).rowcount, durable=False)


def _needed(connection: Connection) -> set[str]:
    """Read the digests of what offered workflows and unfinished executions are made of."""
    summaries = union_all(
        select(compiled_definitions.c.summary), select(uploaded_definitions.c.summary)
    )
    references = select(executions.c.reference).where(
        LOG_GOES_ON, executions.c.reference.is_not(None)
    )
    assigned = (row.desired["digest"] for row in connection.execute(select(load_tasks.c.desired)))
    submitted = connection.execute(select(load_definitions.c.digest)).scalars()
    offered = (row.summary.get("digest") for row in connection.execute(summaries))
    run = (
        row.reference.get("definition")
        for row in connection.execute(references)
        if isinstance(row.reference, dict)
    )
    found = (offered, run, assigned, submitted)
    return {digest for each in found for digest in each if isinstance(digest, str)}


def _portions(digests: Collection[str]) -> list[list[str]]:
    ordered = sorted(digests)
    return [ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE)]
