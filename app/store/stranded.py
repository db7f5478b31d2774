"""Executions that are bound to a machine which nobody serves, and the end that an operator sets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, select, update

from app.domain import (
    BEGUN,
    Execution,
    ExecutionStatus,
    Level,
    NewLogEntry,
    TaskStatus,
)
from app.store import journal
from app.store.conductors import host_of, served
from app.store.database import Database
from app.store.execution_rows import FINAL, change, now
from app.store.schema import LOG_GOES_ON, executions, nodes, tasks, to_ms

_TOLD_AT_ONCE = 200
_TOTALS = [executions.c[name] for name in ("number", *journal.COUNTERS, *journal.SIZES)]


@dataclass(frozen=True, slots=True)
class Stranded:
    """A machine that no conductor serves, although executions that have not ended belong to it.

    Attributes:
        node: Its name, with the mark of its data folder.
        executions: Number of those executions.
        since: When a conductor last served it; None when that was never noted.
    """

    node: str
    executions: int
    since: datetime | None

    def __str__(self) -> str:
        """Say it in a sentence for an operator."""
        noun = "execution belongs" if self.executions == 1 else "executions belong"
        return f"{self.executions} {noun} to {_unserved(self.node, self.since)}"


class StrandedExecutions:
    """Finds, marks and ends executions that nobody can observe.

    Args:
        database: The store.
        bound: Orchestrators whose executions stay on the machine that began them.
        lease_seconds: The conductors' lease, from which it follows when one is taken for dead.
    """

    def __init__(self, database: Database, bound: Collection[str], lease_seconds: float) -> None:
        self._database = database
        self._bound = tuple(bound)
        self._lease_seconds = lease_seconds

    def machines(self) -> list[Stranded]:
        """List the machines that nobody serves, by name."""
        statement = (
            select(executions.c.node, func.count().label("number"), nodes.c.seen_at)
            .select_from(executions.outerjoin(nodes, nodes.c.name == executions.c.node))
            .where(self._unserved())
            .group_by(executions.c.node, nodes.c.seen_at)
            .order_by(executions.c.node)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement)
            return [Stranded(row.node, row.number, row.seen_at) for row in rows]

    def ids(self, host: str) -> list[str]:
        """List the executions of a machine that nobody serves, oldest first.

        Args:
            host: The machine's name, with or without the mark of its data folder.
        """
        statement = (
            select(executions.c.id, executions.c.node)
            .where(self._unserved())
            .order_by(executions.c.number)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement)
            return [row.id for row in rows if host in (row.node, host_of(row.node))]

    def tell(self) -> int:
        """Write on each such execution why there is no news of it; return how many are new."""
        told = 0
        for machine in self.machines():
            text = _for_owners(machine.node, machine.since)
            told += self._tell(machine.node, text)
        return told

    def _tell(self, node: str, text: str) -> int:
        def work(connection: Connection) -> int:
            wanted = (
                select(executions.c.number)
                .where(
                    self._unserved(),
                    executions.c.node == node,
                    executions.c.error.is_distinct_from(text),
                )
                .limit(_TOLD_AT_ONCE)
            )
            numbers = connection.execute(wanted).scalars().all()
            for number in numbers:
                statement = update(executions).where(
                    executions.c.number == number, executions.c.status.not_in(FINAL)
                )
                change(connection, statement.values(error=text), ("changed",))
            return len(numbers)

        return self._database.write(work)

    def _unserved(self) -> ColumnElement[bool]:
        """Choose what has not ended, is bound to a machine, and is neither held nor served."""
        return and_(
            LOG_GOES_ON,
            executions.c.orchestrator.in_(self._bound) | executions.c.stays,
            executions.c.node.is_not(None),
            executions.c.lease_until.is_(None) | (executions.c.lease_until < now()),
            executions.c.node.not_in(served(self._lease_seconds)),
        )


def abandon(database: Database, execution: Execution, why: str) -> bool:
    """End an execution by decree: it has failed, whatever becomes of what it began.

    The conductor that drives it finds out when it next stores something, and lets go.

    Args:
        database: The store.
        execution: The execution.
        why: Who ended it, and what that means, for its error and its log.

    Returns:
        False when it has ended already.
    """

    def work(connection: Connection) -> bool:
        moment = now()
        statement = select(*_TOTALS).where(
            executions.c.number == execution.number, executions.c.status.not_in(FINAL)
        )
        if connection.dialect.name == "postgresql":
            statement = statement.with_for_update()
        row = connection.execute(statement).one_or_none()
        if row is None:
            return False
        entry = NewLogEntry(Level.WARN, to_ms(moment), why)
        totals = journal.append(connection, row.number, journal.Totals.of(row), [entry])
        of_it = update(tasks).where(tasks.c.execution == row.number)
        begun = tasks.c.status.in_(BEGUN)
        connection.execute(
            of_it.where(begun).values(status=TaskStatus.FAILED, error=why, finished_at=moment)
        )
        waiting = tasks.c.status == TaskStatus.PENDING
        connection.execute(of_it.where(waiting).values(status=TaskStatus.CANCELLED))
        values = totals.columns() | {
            "status": ExecutionStatus.FAILED, "error": why, "as_of": moment,
            "finished_at": moment, "log_complete": True, "lease_owner": None, "lease_until": None,
        }  # fmt: skip
        ended = update(executions).where(executions.c.number == row.number)
        return change(connection, ended.values(**values), ("changed", "wanted"))

    return database.write(work)


def abandoned_by(who: str) -> str:
    """Return who ended an execution by decree, and what that means."""
    return (
        f"Abandoned by '{who}': it counts as failed, and nobody looks at it any more. "
        "What it began may still run."
    )


def _unserved(node: str, since: datetime | None) -> str:
    """Name a machine and since when nobody serves it."""
    time = f"since {since:%Y-%m-%dT%H:%M:%SZ}" if since else "any more"
    return f"machine {host_of(node)}, which no conductor serves {time}"


def _for_owners(node: str, since: datetime | None) -> str:
    return (
        f"This execution belongs to {_unserved(node, since)}: what becomes of it there is not "
        "known, and what is asked of it, such as its end, is not done before one serves it again."
    )
