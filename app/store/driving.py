"""What a conductor does with executions: hold them by lease, and store what it sees."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import Connection, select, update

from app.domain import JSON, Execution, ExecutionStatus, Observation
from app.store import journal
from app.store.database import Database
from app.store.execution_rows import (
    change,
    held,
    now,
    observed,
    one,
    settled,
    store_task,
    to_execution,
)
from app.store.schema import executions

# A launch whose web process was killed is taken up when no live one can still be at it.
_LAUNCH_TIME = timedelta(seconds=90)
_LOCAL_LAUNCH_TIME = timedelta(seconds=5)


class DrivenExecutions:
    """The executions in the store, as conductors see them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self, owner: str, node: str, lease_seconds: float, bound: Collection[str], limit: int
    ) -> list[Execution]:
        """Take over executions that nobody drives.

        Args:
            owner: Id of the conductor.
            node: Name of its machine.
            lease_seconds: How long they are its own without a renewal.
            bound: Orchestrators of our own, whose executions stay on the machine that began them
                and whose launches take no time.
            limit: Most to take.
        """
        moment = now()

        def work(connection: Connection) -> list[Execution]:
            free = (
                select(executions.c.number)
                .where(
                    executions.c.log_complete.is_(False),
                    executions.c.reference.is_not(None)
                    | (executions.c.status == ExecutionStatus.UNKNOWN)
                    | (executions.c.created_at < moment - _LAUNCH_TIME)
                    | (
                        executions.c.orchestrator.in_(bound)
                        & (executions.c.created_at < moment - _LOCAL_LAUNCH_TIME)
                    ),
                    executions.c.lease_until.is_(None) | (executions.c.lease_until < moment),
                    executions.c.node.is_(None)
                    | (executions.c.node == node)
                    | executions.c.orchestrator.not_in(bound),
                )
                .order_by(executions.c.number)
                .limit(limit)
            )
            if connection.dialect.name == "postgresql":
                free = free.with_for_update(skip_locked=True)
            numbers = connection.execute(free).scalars().all()
            if not numbers:
                return []
            rows = connection.execute(
                update(executions)
                .where(executions.c.number.in_(numbers))
                .values(
                    lease_owner=owner,
                    lease_until=moment + timedelta(seconds=lease_seconds),
                    node=node,
                )
                .returning(executions)
            )
            return sorted((to_execution(row) for row in rows), key=lambda e: e.number)

        return self._database.write(work)

    def renew(self, owner: str, lease_seconds: float) -> None:
        """Keep all executions of a conductor for some time more."""
        until = now() + timedelta(seconds=lease_seconds)
        self._database.write(
            lambda c: c.execute(
                update(executions)
                .where(executions.c.lease_owner == owner, executions.c.log_complete.is_(False))
                .values(lease_until=until)
            )
        )

    def release(self, owner: str) -> None:
        """Let go of all executions of a conductor."""
        self._database.write(
            lambda c: c.execute(
                update(executions)
                .where(executions.c.lease_owner == owner)
                .values(lease_owner=None, lease_until=None)
            )
        )

    def settle(self, execution: Execution, owner: str, reference: JSON) -> None:
        """Note what became of a launch with unknown outcome, unless that is known meanwhile.

        Args:
            execution: The execution.
            owner: Id of the conductor that holds it.
            reference: What the orchestrator gave; None when the launch did not happen.

        Raises:
            NotHeld: Another conductor holds the execution.
        """

        def work(connection: Connection) -> None:
            row = held(connection, execution.number, owner)
            if row.reference is not None or ExecutionStatus(row.status).final:
                return
            statement = update(executions).where(executions.c.number == execution.number)
            values = settled(row, reference)
            change(connection, statement.values(**values), execution.number, ("changed",))

        self._database.write(work)

    def record(self, execution: Execution, owner: str, seen: Observation) -> Execution:
        """Store an observation: status, tasks, journal and cursor, all or nothing.

        Args:
            execution: The execution as it was before.
            owner: Id of the conductor that holds it.
            seen: What its orchestrator saw.

        Returns:
            The execution as it is now.

        Raises:
            NotHeld: Another conductor holds the execution.
        """

        def work(connection: Connection) -> Execution:
            row = held(connection, execution.number, owner)
            totals = journal.append(
                connection, execution.number, journal.Totals.of(row), seen.entries
            )
            for task in seen.tasks:
                store_task(connection, execution.number, task)
            values = observed(row, seen) | totals.columns()
            statement = update(executions).where(executions.c.number == execution.number)
            change(connection, statement.values(**values), execution.number, ("changed",))
            return one(connection, executions.c.number == execution.number)

        return self._database.write(work)

    def touch(self, execution: Execution, owner: str, cursor: JSON) -> None:
        """Note that an observation found nothing new; wakes nobody."""
        self._database.write(
            lambda c: c.execute(
                update(executions)
                .where(executions.c.number == execution.number, executions.c.lease_owner == owner)
                .values(as_of=now(), cursor=cursor)
            )
        )
