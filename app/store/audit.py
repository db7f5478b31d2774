"""Who did what: written once, never changed, removed when it is old or too much."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, String, delete, func, insert, or_, select

from app.domain import AuditEvent, AuditFilter, AuditResult
from app.observability import redact
from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import audit

_LONGEST: Final = {
    column.name: column.type.length or 0
    for column in audit.columns
    if isinstance(column.type, String) and column.name != audit.c.result.name
}
_FIELDS: Final = tuple(field.name for field in fields(AuditEvent))
_ADD: Final = insert(audit)
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WINDOW: Final = 5_000
"""How many rows one statement looks at, some milliseconds; filters have no indexes of their own,
which would have to be written with each event."""
_DISORDER: Final = timedelta(minutes=5)
"""How much older a row may be than one before it: processes write what they counted for a minute,
and clocks of machines differ."""
_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An event that is stored.

    Attributes:
        number: Of later ones it is higher.
    """

    number: int
    event: AuditEvent


def fit_to_keep(event: AuditEvent) -> AuditEvent:
    """Return an event as it is stored and logged.

    Texts are cut, what would begin a new line or cannot be stored is a question mark, and what
    looks like a secret is hidden: parts of it are what callers sent.
    """
    texts = {name: getattr(event, name) for name in _LONGEST}
    fitting: dict[str, Any] = {
        name: _UNPRINTABLE.sub("?", redact(text))[: _LONGEST[name]]
        for name, text in texts.items()
        if text is not None
    }
    return replace(event, **fitting)


def keep(connection: Connection, *events: AuditEvent) -> None:
    """Write events down in a transaction, such as that of the change that they are about."""
    if events:
        # Not ``asdict``, which copies every value; and the statement is made once.
        fitting = map(fit_to_keep, events)
        rows = [{name: getattr(event, name) for name in _FIELDS} for event in fitting]
        connection.execute(_ADD, rows)


class AuditLog:
    """The audited events in the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, events: Sequence[AuditEvent], *, durable: bool) -> None:
        """Write events down.

        Args:
            events: Those, in the order of time.
            durable: On return the disk has them.

        Raises:
            StoreUnavailable: The store does not take them.
        """
        self._database.write(lambda connection: keep(connection, *events), durable=durable)

    def page(
        self, wanted: AuditFilter, before: int | None, most: int
    ) -> tuple[list[AuditEntry], int | None]:
        """Read some events, newest first, and look at so many at most as take some milliseconds.

        Args:
            wanted: Which.
            before: Only those with lower numbers.
            most: How many are returned at most.

        Returns:
            The events, perhaps none although there are more, and where to go on; None at the end.
        """
        with self._database.read() as connection:
            edges = select(func.min(audit.c.number), func.max(audit.c.number))
            first, last = connection.execute(edges).one()
            if first is None:
                return [], None
            top = last + 1 if before is None else min(before, last + 1)
            bottom = max(first, top - _WINDOW)
            rows = connection.execute(_among(wanted, bottom, top).limit(most)).mappings().all()
            found = [_read(dict(row)) for row in rows]
            rest = found[-1].number if len(found) == most else bottom
            is_end = rest <= first or _is_too_old(connection, rest, wanted.since)
            return found, None if is_end else rest

    def prune(self, keep_days: int, most: int) -> int:
        """Remove what is old, and what is too much: of that, what was denied goes first.

        So who sends wrong credentials without end does not push out what others have done.

        Returns:
            The number of those that were removed.
        """
        removed = self._remove_older(now() - timedelta(days=keep_days))
        with self._database.read() as connection:
            excess = connection.execute(select(func.count()).select_from(audit)).scalar_one() - most
        for denied_only in (True, False):
            while excess > 0 and (gone := self._remove(min(excess, _AT_ONCE), denied_only)):
                excess, removed = excess - gone, removed + gone
        return removed

    def _remove_older(self, moment: datetime) -> int:
        removed, oldest = 0, select(audit.c.number, audit.c.at).order_by(audit.c.number)
        while True:
            with self._database.read() as connection:
                rows = connection.execute(oldest.limit(_AT_ONCE)).all()
            old = [row.number for row in rows if row.at < moment]
            removed += self._delete(old)
            if len(old) < _AT_ONCE:
                return removed

    def _remove(self, number: int, denied_only: bool) -> int:
        oldest = select(audit.c.number).order_by(audit.c.number).limit(number)
        if denied_only:
            oldest = oldest.where(audit.c.result == AuditResult.DENIED)
        with self._database.read() as connection:
            numbers = connection.execute(oldest).scalars().all()
        return self._delete(numbers)

    def _delete(self, numbers: Sequence[int]) -> int:
        if not numbers:
            return 0
        statement = delete(audit).where(audit.c.number.in_(numbers))
        return self._database.write(lambda c: c.execute(statement).rowcount, durable=False)


def _among(wanted: AuditFilter, bottom: int, top: int) -> Select[tuple[object, ...]]:
    statement = select(audit).where(audit.c.number >= bottom, audit.c.number < top)
    for column, value in (
        (audit.c.username, wanted.username),
        (audit.c.action, wanted.action),
        (audit.c.result, wanted.result),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.target is not None:
        below = audit.c.target.startswith(wanted.target + "/", autoescape=True)
        statement = statement.where(or_(audit.c.target == wanted.target, below))
    if wanted.since is not None:
        statement = statement.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(audit.c.at < wanted.until)
    return statement.order_by(audit.c.number.desc())


def _is_too_old(connection: Connection, before: int, since: datetime | None) -> bool:
    if since is None:
        return False
    newest = select(audit.c.at).where(audit.c.number < before).order_by(audit.c.number.desc())
    at = connection.execute(newest.limit(1)).scalar_one_or_none()
    return at is None or at + _DISORDER < since


def _read(row: dict[str, object]) -> AuditEntry:
    number = row.pop("number")
    event = AuditEvent(**{**row, "result": AuditResult(str(row["result"]))})  # type: ignore[arg-type]
    return AuditEntry(number, event)  # type: ignore[arg-type]
