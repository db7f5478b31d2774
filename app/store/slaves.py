"""Slaves: the processes that run virtual users, by whoever holds their connections.

A web process holds the connection of a slave, and is its only writer: it enters the slave, and
stores its beats together with those of all others whose connections it has. What operators want of
a slave (``draining``) stands beside, and no beat changes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from app.clock import Instant
from app.domain import JSON, NodeState
from app.errors import NotFound, Taken
from app.store.database import Database
from app.store.execution_rows import change, now, wanted
from app.store.names import fitted
from app.store.schema import load_reports, load_tasks, slaves

LOCAL: Final = "local"
"""Type of a slave that the service itself starts when it is called."""

_ONE: Final = select(slaves).where(slaves.c.id == bindparam("of_id"))
_SEE: Final = (
    update(slaves)
    .where(slaves.c.id == bindparam("of_id"), slaves.c.connection == bindparam("of_connection"))
    .values(
        seen_at=bindparam("moment"),
        seen=bindparam("instant"),
        load=bindparam("share"),
        active_tasks=bindparam("tasks"),
    )
)
_REPORT: Final = (
    update(load_reports)
    .where(
        load_reports.c.task == bindparam("of_task"),
        load_reports.c.sequence < bindparam("number"),
    )
    .values(
        sequence=bindparam("number"),
        generation=bindparam("told"),
        report=bindparam("said"),
        ended=bindparam("over"),
        at=bindparam("moment"),
    )
)


@dataclass(frozen=True, slots=True)
class NewSlave:
    """A slave that registers.

    Attributes:
        id: As it calls itself.
        type: ``worker``, or :data:`LOCAL`.
        address: Where it runs, for people.
        capabilities: What its steps may be, such as ``http_executor``.
        labels: What it can be chosen by.
        cpu_cores: Processors of its machine.
        memory_mb: Memory of its machine, in MiB.
        max_vus: Most virtual users that it runs at the same time.
        incarnation: Another text for each process.
        connection: Another text for each connection; made by who holds it.
    """

    id: str
    type: str
    address: str
    capabilities: Sequence[str]
    labels: Mapping[str, str]
    cpu_cores: int
    memory_mb: int
    max_vus: int
    incarnation: str
    connection: str


@dataclass(frozen=True, slots=True)
class Slave(NewSlave):
    """A slave as the store knows it.

    Attributes:
        connection: The one that it speaks by; None without any.
        draining: It gets no new tasks.
        load: The larger of its share of virtual users and of processor time, 0 to 1 and above.
        active_tasks: Tasks that it runs.
        registered_at: When its process registered first.
        seen_at: When it last gave a sign of life.
        seen: The same, see :meth:`app.clock.Instant.dump`; None in the rows of earlier versions.
        offered_until: Until when somebody would start it when it is called; None for nobody.
        offer_ends: The same, as ``seen`` is.
        called_at: Since when it is wanted, and has not come.
    """

    connection: str | None  # type: ignore[assignment]
    draining: bool
    load: float
    active_tasks: int
    registered_at: datetime
    seen_at: datetime
    seen: JSON
    offered_until: datetime | None
    offer_ends: JSON
    called_at: datetime | None

    def is_connected(self, silent_seconds: float) -> bool:
        """Return whether somebody holds its connection, and it was heard within some seconds."""
        seen = _instant(self.seen, self.seen_at)
        return self.connection is not None and seen.elapsed() <= silent_seconds

    def is_offered(self) -> bool:
        """Return whether somebody would start it when it is called."""
        if self.offered_until is None:
            return False
        return _instant(self.offer_ends, self.offered_until).left(1.0) > 0.0

    def state(self, silent_seconds: float) -> NodeState:
        """Return its state as people see it.

        Args:
            silent_seconds: After such a silence it counts as away.
        """
        if not self.is_connected(silent_seconds):
            return NodeState.OFFLINE
        if self.draining:
            return NodeState.DRAINING
        return NodeState.BUSY if self.load >= 1.0 else NodeState.ONLINE


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What a slave says of one of its tasks.

    It is cumulative, so that a lost or repeated one does no harm.

    Attributes:
        task: Id of the task.
        generation: Of what is wanted, as the slave knows it.
        report: See :mod:`app.load.measures`.
    """

    task: str
    generation: int
    report: JSON

    @property
    def ended(self) -> bool:
        """Whether nothing of the task runs any more, and nothing will."""
        return bool(self.report.get("ended"))


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life.

    Attributes:
        slave_id: Whose.
        connection: By which it came.
        sequence: Number of the beat, which grows as long as the process lives, on all connections.
        load: See :class:`Slave`.
        active_tasks: See :class:`Slave`.
        reports: Of each of its tasks of which there is news.
    """

    slave_id: str
    connection: str
    sequence: int
    load: float
    active_tasks: int
    reports: Sequence[TaskReport] = ()


class Slaves:
    """The slaves in the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, new: NewSlave, silent_seconds: float) -> Slave:
        """Enter a slave that has connected; a connection that its process had before is void.

        What a drain asked for stays. Executions for which an earlier process of the same id worked
        are looked at: that process is gone.

        Args:
            new: The slave.
            silent_seconds: An earlier process that was silent for longer has lost the id.

        Raises:
            Taken: Another process has the id, and is connected.
        """

        def work(connection: Connection) -> Slave:
            moment = now()
            row = _row(connection, new.id, lock=True)
            seen = {"seen_at": moment, "seen": Instant.now().dump()}
            values = _values(new) | seen | {"called_at": None}
            if row is None:
                made = {"id": new.id, "registered_at": moment, **values}
                connection.execute(insert(slaves).values(**made))
            else:
                known = _slave(row)
                same = known.incarnation == new.incarnation
                if not same and known.is_connected(silent_seconds):
                    text = f"Another slave is connected under the id '{new.id}'."
                    raise Taken(text, retry_after_seconds=silent_seconds)
                if not same:
                    values |= {"registered_at": moment, "load": 0.0, "active_tasks": 0}
                mine = update(slaves).where(slaves.c.id == new.id)
                connection.execute(mine.values(**values))
            return _slave(_row(connection, new.id))

        slave = self._database.write(work)
        self._wake_executions_of(slave.id)
        return slave

    def beat(self, beats: Sequence[Beat]) -> list[str]:
        """Store the signs of life that came since the last call, all in one transaction.

        Reports that came over a connection which was replaced count as well; older ones than those
        that are stored do not, nor do those of tasks that are gone.

        Returns:
            Ids of the slaves whose connection is void: another one took its place, or the slave was
            taken for lost.
        """
        if not beats:
            return []
        moment, instant = now(), Instant.now().dump()
        seen = [
            {
                "of_id": beat.slave_id,
                "of_connection": beat.connection,
                "moment": moment,
                "instant": instant,
                "share": beat.load,
                "tasks": beat.active_tasks,
            }
            for beat in sorted(beats, key=lambda beat: beat.slave_id)
        ]
        reports = [
            {
                "of_task": report.task,
                "number": beat.sequence,
                "told": report.generation,
                "said": report.report,
                "over": report.ended,
                "moment": moment,
            }
            for beat in beats
            for report in beat.reports
        ]
        reports.sort(key=lambda each: each["of_task"])  # so that no two wait for each other

        def work(connection: Connection) -> list[str]:
            void = [
                str(each["of_id"]) for each in seen if not connection.execute(_SEE, each).rowcount
            ]
            if reports:
                connection.execute(_REPORT, reports)
            return void

        void = self._database.write(work, durable=False, idempotent=True)
        self._wake([each["of_task"] for each in reports if each["over"]])
        return void

    def lost(self, slave_id: str, connection_id: str) -> bool:
        """Note that a connection has ended, or was silent for too long.

        Executions for which the slave works are looked at at once.

        Returns:
            False when the slave has another connection by now.
        """
        mine = (slaves.c.id == slave_id) & (slaves.c.connection == connection_id)
        statement = update(slaves).where(mine).values(connection=None, load=0.0, active_tasks=0)
        if not self._database.write(lambda c: c.execute(statement).rowcount):
            return False
        self._wake_executions_of(slave_id)
        return True

    def all(self) -> list[Slave]:
        """Return all, by id, those away and those that nobody has called yet among them."""
        with self._database.read() as connection:
            rows = connection.execute(select(slaves).order_by(slaves.c.id)).all()
        return [_slave(row) for row in rows]

    def get(self, slave_id: str) -> Slave:
        """Return one.

        Raises:
            NotFound: There is none with this id.
        """
        with self._database.read() as connection:
            row = _row(connection, slave_id)
        if row is None:
            raise NotFound(f"There is no node '{fitted(slave_id, 100)}'.")
        return _slave(row)

    def drain(self, slave_id: str, *, draining: bool) -> None:
        """Give a slave no new tasks, or let it have some again; its tasks go on.

        Raises:
            NotFound: There is none with this id.
        """
        mine = update(slaves).where(slaves.c.id == slave_id).values(draining=draining)
        if not self._database.write(lambda c: c.execute(mine).rowcount, idempotent=True):
            raise NotFound(f"There is no node '{fitted(slave_id, 100)}'.")

    def offer(self, new: NewSlave, seconds: float) -> None:
        """Say that a slave would be started when it is called; to be repeated in time.

        Args:
            new: What it would be; its incarnation and connection do not count.
            seconds: How long that holds.
        """
        moment = now()
        until = {
            "offered_until": moment + timedelta(seconds=seconds),
            "offer_ends": Instant.now().after(seconds).dump(),
        }

        def work(connection: Connection) -> None:
            mine = update(slaves).where(slaves.c.id == new.id)
            if connection.execute(mine.values(**until)).rowcount:
                return
            values = _values(new) | {"incarnation": "", "connection": None}
            made = {"id": new.id, "registered_at": moment, "seen_at": moment, **values}
            connection.execute(insert(slaves).values(**made, **until))

        self._database.write(work, durable=False, idempotent=True)

    def withdraw_offer(self, slave_id: str) -> None:
        """Take back what :meth:`offer` said."""
        mine = (
            update(slaves)
            .where(slaves.c.id == slave_id)
            .values(offered_until=None, offer_ends=None)
        )
        self._database.write(lambda c: c.execute(mine), idempotent=True)

    def call(self, slave_id: str, execution_number: int) -> None:
        """Ask for the start of a slave that is offered; those are told who hear of assignments.

        Args:
            slave_id: Its id.
            execution_number: For which execution.
        """

        def work(connection: Connection) -> None:
            mine = update(slaves).where(slaves.c.id == slave_id, slaves.c.connection.is_(None))
            if connection.execute(mine.values(called_at=now())).rowcount:
                change(connection, wanted(execution_number), ("assigned",))

        self._database.write(work, durable=False, idempotent=True)

    def called(self, within_seconds: float) -> list[str]:
        """Return the ids of those that were called lately, and have not come."""
        oldest = now() - timedelta(seconds=within_seconds)
        statement = select(slaves.c.id).where(
            slaves.c.called_at >= oldest, slaves.c.connection.is_(None)
        )
        with self._database.read() as connection:
            return list(connection.execute(statement).scalars())

    def forget(self, away_seconds: float) -> int:
        """Remove those that have been away for long; return how many there were.

        Args:
            away_seconds: How long.
        """
        oldest = now() - timedelta(seconds=away_seconds)
        idle = slaves.c.id.not_in(select(load_tasks.c.slave))
        offered = slaves.c.offered_until.is_not(None) & (slaves.c.offered_until > now())
        gone = delete(slaves).where(slaves.c.seen_at < oldest, idle, ~offered)
        return self._database.write(lambda c: c.execute(gone).rowcount, durable=False)

    def _wake_executions_of(self, slave_id: str) -> None:
        with self._database.read() as connection:
            of_slave = select(load_tasks.c.id).where(load_tasks.c.slave == slave_id)
            tasks = list(connection.execute(of_slave).scalars())
        self._wake(tasks)

    def _wake(self, tasks: Sequence[str]) -> None:
        """Let the conductors of the executions of some tasks look at them.

        In a transaction of its own: conductors lock an execution before what belongs to it. A wake
        that is lost costs a second.
        """
        if not tasks:
            return
        numbers = select(load_tasks.c.execution).where(load_tasks.c.id.in_(tasks)).distinct()

        def work(connection: Connection) -> None:
            for number in sorted(connection.execute(numbers).scalars()):
                change(connection, wanted(number), ("wanted",))

        self._database.write(work, durable=False, idempotent=True)


def _instant(stored: JSON, at: datetime) -> Instant:
    """Return a stored instant, or what earlier versions stored, which is by the clock alone."""
    return Instant.load(stored) or Instant.by_clock(at.timestamp())


def _row(connection: Connection, slave_id: str, *, lock: bool = False) -> Any:
    statement = _ONE.with_for_update() if lock and connection.dialect.name != "sqlite" else _ONE
    return connection.execute(statement, {"of_id": slave_id}).one_or_none()


def _values(new: NewSlave) -> dict[str, Any]:
    return {
        "type": new.type,
        "address": new.address,
        "capabilities": list(new.capabilities),
        "labels": dict(new.labels),
        "cpu_cores": new.cpu_cores,
        "memory_mb": new.memory_mb,
        "max_vus": new.max_vus,
        "incarnation": new.incarnation,
        "connection": new.connection,
    }


def _slave(row: Any) -> Slave:
    return Slave(**row._mapping)  # noqa: SLF001  (its public name)
