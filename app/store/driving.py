"""What a conductor does with executions: hold them by lease, and store what it sees."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    case,
    exists,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from app.domain import JSON, DrivenExecution, Execution, ExecutionStatus, Observation, Usage
from app.errors import Conflict
from app.store import execution_rows, journal, launch_times, task_attempts, task_rows
from app.store.database import Database
from app.store.execution_rows import (
    UNSETTLED,
    WantedMeanwhile,
    change,
    claims,
    held,
    now,
    of_workflow,
    settled,
)
from app.store.execution_views import DRIVEN
from app.store.schema import LOG_GOES_ON, conductors, executions
from app.store.stranded import abandon

_TO_COME_LEASES = 1.0
"""So far ahead of a conductor's clock another one's may be, where the clocks of machines differ."""
_TAKE = (
    update(executions)
    .where(executions.c.number.in_(bindparam("of_numbers", expanding=True)))
    # Whoever dies at its first look leaves a try behind.
    .values(tries=case((executions.c.tries == 0, 1), else_=executions.c.tries))
    .returning(*DRIVEN.columns)
)
"""What is set beside are the other parameters."""
_CUT_SHORT = select(executions.c.number).where(
    executions.c.number.in_(bindparam("of_numbers", expanding=True)),
    launch_times.is_cut_short("launch"),
)


@dataclass(frozen=True, slots=True)
class Siblings:
    """The other executions of a workflow that matter to a launch with unknown outcome.

    Attributes:
        doubtful: Those whose launch has an unknown outcome, too, oldest first.
        under_way: Those whose launch is being asked for right now, oldest first.
        references: What the others hold.
    """

    doubtful: tuple[Execution, ...] = ()
    under_way: tuple[Execution, ...] = ()
    references: tuple[JSON, ...] = ()

    @property
    def unsettled(self) -> frozenset[int]:
        """Numbers of those that have no reference yet."""
        return frozenset(e.number for e in (*self.doubtful, *self.under_way))


class DrivenExecutions:
    """The executions in the store, as conductors see them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, execution_id: str) -> DrivenExecution:
        """Get one execution.

        Raises:
            NotFound: There is none with this id.
        """
        with self._database.read() as connection:
            return DRIVEN.get(connection, execution_id)

    def abandon(self, execution: DrivenExecution, why: str) -> bool:
        """End an execution by decree; see :func:`app.store.stranded.abandon`."""
        return abandon(self._database, execution, why)

    def claim(
        self,
        owner: str,
        node: str,
        lease_seconds: float,
        bound: Collection[str],
        limit: int,
        *,
        heritage: Collection[str] = (),
        again: bool = False,
        left_seconds: float = 0.0,
    ) -> list[DrivenExecution]:
        """Take over executions that nobody drives.

        Args:
            owner: Id of the conductor.
            node: Name of its machine.
            lease_seconds: How long they are its own without a renewal.
            bound: Orchestrators of our own, whose executions stay on the machine that began them
                and whose launches take no time.
            limit: Most to take.
            heritage: Other names of the machine, whose executions it takes over.
            again: Take its own, too: the last call may have taken some without being told.
            left_seconds: Take only what could have been taken for so long, and was not.

        Returns:
            The executions, oldest first. Those whose ``tries`` are not 0 were claimed before, and
            no look at them was stored since.
        """
        moment = now()
        free = _free(self._database.dialect, again=again, left=bool(left_seconds))
        which = {
            "of_owner": owner,
            "of_bound": list(bound),
            "of_bound_too": list(bound),
            "of_nodes": [node, *heritage],
            "of_most": limit,
            **launch_times.times("launch", launch_times.LAUNCH_SECONDS),
            **launch_times.times("local_launch", launch_times.LOCAL_LAUNCH_SECONDS),
            "left_since": moment - timedelta(seconds=left_seconds),
            "to_come": moment + timedelta(seconds=_TO_COME_LEASES * lease_seconds),
        }
        lease = {"lease_owner": owner, "lease_until": moment + timedelta(seconds=lease_seconds)}

        def work(connection: Connection) -> list[DrivenExecution]:
            tries = {row.number: row.tries for row in connection.execute(free, which)}
            if not tries:
                return []
            values = {"of_numbers": list(tries), "node": node, **lease}
            rows = connection.execute(_TAKE, values)
            claimed = [replace(DRIVEN.of(row), tries=tries[row.number]) for row in rows]
            return sorted(claimed, key=lambda e: e.number)

        return self._database.write(work, durable=False)

    def count_try(self, execution: DrivenExecution, owner: str) -> int:
        """Count one more look, and return the number of those since one was stored.

        Raises:
            NotHeld: Another conductor holds the execution.
        """

        def work(connection: Connection) -> int:
            row = held(connection, execution.number, owner)
            tries = int(row.tries) + 1
            mine = update(executions).where(executions.c.number == execution.number)
            connection.execute(mine.values(tries=tries))
            return tries

        return self._database.write(work, durable=False)

    def clear_tries(self, execution: DrivenExecution, owner: str) -> None:
        """Note that a look came to its end, whatever it saw."""
        mine = (executions.c.number == execution.number) & (executions.c.lease_owner == owner)
        statement = update(executions).where(mine).values(tries=0)
        self._database.write(lambda c: c.execute(statement), durable=False, idempotent=True)

    def renew(self, owner: str, lease_seconds: float) -> None:
        """Keep all executions of a conductor for some time more."""
        until = now() + timedelta(seconds=lease_seconds)
        self._database.write(
            lambda c: c.execute(
                update(executions)
                .where(executions.c.lease_owner == owner, LOG_GOES_ON)
                .values(lease_until=until)
            ),
            durable=False,
            idempotent=True,
        )

    def close_log(self, execution: DrivenExecution, owner: str) -> None:
        """Note that no entry of an execution can come any more; its status stays."""
        mine = (executions.c.number == execution.number) & (executions.c.lease_owner == owner)
        statement = update(executions).where(mine).values(log_complete=True)
        self._database.write(lambda c: change(c, statement, ("changed",)))

    def release(self, owner: str, *, dead: bool = False) -> None:
        """Let go of all executions of a conductor.

        Args:
            owner: Its id.
            dead: It died, perhaps of what it did for one of them.
        """
        tries = executions.c.tries
        kept = tries if dead else case((tries == 1, 0), else_=tries)
        self._database.write(
            lambda c: c.execute(
                update(executions)
                .where(executions.c.lease_owner == owner)
                .values(lease_owner=None, lease_until=None, tries=kept)
            )
        )

    def siblings(self, execution: DrivenExecution) -> Siblings:
        """Read what a launch with unknown outcome could be mistaken for."""
        with self._database.read() as connection:
            return _siblings(connection, execution)

    def settle(
        self,
        execution: DrivenExecution,
        owner: str,
        reference: JSON,
        among: Siblings | None = None,
        *,
        upstream_id: str | None = None,
    ) -> None:
        """Note what became of a launch with unknown outcome, unless that is known meanwhile.

        Args:
            execution: The execution.
            owner: Id of the conductor that holds it.
            reference: What the orchestrator gave; None when the launch did not happen.
            among: The executions that the orchestrator was told of, where no two may hold the same
                reference; None where they may.
            upstream_id: The upstream's own id, where it has one.

        Raises:
            NotHeld: Another conductor holds the execution.
            Conflict: Another execution holds the reference, or may come to hold it.
        """

        def work(connection: Connection) -> None:
            if among is not None:
                _lock_unsettled(connection, execution)
            row = held(connection, execution.number, owner)
            if row.reference is not None or ExecutionStatus(row.status).final:
                return
            if among is not None and reference is not None:
                _require_free(reference, among, _siblings(connection, execution))
            statement = update(executions).where(executions.c.number == execution.number)
            values = settled(row, reference, upstream_id, own=among is not None)
            change(connection, statement.values(**values), ("changed",))

        try:
            self._database.write(work)
        except IntegrityError:  # it was given to another one at the same time
            raise Conflict("What was found belongs to another execution.") from None

    def record(self, execution: DrivenExecution, owner: str, seen: Observation) -> DrivenExecution:
        """Store an observation: status, tasks, journal and cursor, all or nothing.

        What a loss of power takes back of the journal is observed again from the cursor that is
        stored with it; the states of executions and tasks are on the disk when this returns.

        Args:
            execution: The execution as it was before.
            owner: Id of the conductor that holds it.
            seen: What its orchestrator saw.

        Returns:
            The execution as it is now.

        Raises:
            NotHeld: Another conductor holds the execution.
            Conflict: Another one held it since, and has stored what it saw.
            WantedMeanwhile: It would end, and something is wanted of its tasks by now.
        """

        def work(connection: Connection) -> DrivenExecution:
            row = held(connection, execution.number, owner)
            if row.cursor != execution.cursor:
                raise Conflict("Another conductor looked at this execution in between.")
            if seen.status.final and row.task_wishes != execution.task_wishes:
                raise WantedMeanwhile("Something is wanted of a task since this was seen.")
            totals = journal.append(
                connection, execution.number, journal.Totals.of(row), seen.entries
            )
            task_attempts.keep(connection, execution.number, seen.attempts)
            task_rows.store(connection, execution.number, seen.tasks, seen.task_cursors)
            task_rows.store_usage(connection, execution.number, seen.usage)
            return execution_rows.record(connection, execution, row, seen, totals)

        lasting = bool(seen.tasks) or seen.log_complete or seen.status is not execution.status
        return self._database.write(work, durable=lasting)

    def touch(
        self,
        execution: DrivenExecution,
        owner: str,
        cursor: JSON,
        usage: Mapping[str, Usage] = MappingProxyType({}),
    ) -> None:
        """Note that an observation found nothing new, but what tasks take; wakes nobody."""
        mine = (executions.c.number == execution.number) & (executions.c.lease_owner == owner)
        statement = update(executions).where(mine)
        statement = statement.values(as_of=now(), cursor=cursor, tries=0)

        def work(connection: Connection) -> None:
            if change(connection, statement, ("touched",)):
                task_rows.store_usage(connection, execution.number, usage)

        self._database.write(work, durable=False)


@cache
def _free(dialect: str, *, again: bool, left: bool) -> Select[Any]:
    """Return the statement that finds what may be claimed; see :meth:`DrivenExecutions.claim`.

    It is made once: that takes longer than to run it, and there is one for each launch.
    """
    column = executions.c
    since = bindparam("left_since", type_=column.lease_until.type)
    nobodys: ColumnElement[bool] = column.lease_until.is_(None)
    if left:
        nobodys &= column.created_at <= since
    # Nobody gives a sign of life at a moment that is still to come: the clock was set back since,
    # and a lease that was given before may be over only in hours.
    to_come = exists().where(
        conductors.c.id == column.lease_owner,
        conductors.c.beat_at > bindparam("to_come", type_=conductors.c.beat_at.type),
    )
    is_free = nobodys | (column.lease_until < since) | to_come
    if again:
        is_free |= column.lease_owner == bindparam("of_owner")
    bound: BindParameter[Any] = bindparam("of_bound", expanding=True)
    # Under one name an empty list would be written for NOT IN in both places: on PostgreSQL, true.
    unbound: BindParameter[Any] = bindparam("of_bound_too", expanding=True)
    statement = (
        select(column.number, column.tries)
        .where(
            LOG_GOES_ON,
            column.reference.is_not(None)
            | (column.status == ExecutionStatus.UNKNOWN)
            | launch_times.is_cut_short("launch")
            | (column.orchestrator.in_(bound) & launch_times.is_cut_short("local_launch")),
            is_free,
            column.node.is_(None)
            | column.node.in_(bindparam("of_nodes", expanding=True))
            | (column.orchestrator.not_in(unbound) & column.stays.is_(False)),
        )
        .order_by(column.number)
        .limit(bindparam("of_most"))
    )
    # PostgreSQL alone lets others claim at the same time.
    return statement.with_for_update(skip_locked=True) if dialect == "postgresql" else statement


def _siblings(connection: Connection, execution: DrivenExecution) -> Siblings:
    unsettled, held_ = claims(connection, execution.orchestrator, execution.workflow_id)
    unsettled = [other for other in unsettled if other.number != execution.number]
    among = {"of_numbers": [other.number for other in unsettled]}
    among.update(launch_times.times("launch", launch_times.LAUNCH_SECONDS))
    cut_short = set(connection.execute(_CUT_SHORT, among).scalars())

    def in_doubt(other: Execution) -> bool:
        return other.number in cut_short or other.status is ExecutionStatus.UNKNOWN

    return Siblings(
        doubtful=tuple(other for other in unsettled if in_doubt(other)),
        under_way=tuple(other for other in unsettled if not in_doubt(other)),
        references=tuple(held_.values()),
    )


def _lock_unsettled(connection: Connection, execution: DrivenExecution) -> None:
    """Let launches of one workflow be settled one after the other."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            select(executions.c.number)
            .where(of_workflow(execution.orchestrator, execution.workflow_id), UNSETTLED)
            .order_by(executions.c.number)
            .with_for_update()
        )


def _require_free(reference: JSON, among: Siblings, current: Siblings) -> None:
    """Make sure that a reference is no other execution's.

    What a launch began that was written down after ``among`` was read may have been found, too.
    """
    if reference in current.references:
        raise Conflict("What was found belongs to another execution.")
    if not current.unsettled <= among.unsettled:
        raise Conflict("What was found may belong to a launch that is under way.")
