"""What slaves are to do for executions of virtual users, and what they say of it.

A conductor writes what is wanted, whoever holds a slave's connection what the slave reports. What a
conductor decides follows from these rows alone, and each write of it is for the rows that it read:
of two that read the same, one writes, and the other one looks again. So nothing is lost or done
twice, whenever a conductor dies.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.clock import Instant
from app.domain import JSON, DesiredState, DrivenExecution, Execution
from app.errors import Conflict
from app.store.database import Database
from app.store.execution_rows import change, now, wanted
from app.store.locks import Lock, take_lock
from app.store.schema import (
    executions,
    load_metrics,
    load_reports,
    load_runs,
    load_tasks,
    slaves,
)

Stop = Literal["no", "gently", "now"]
"""``gently``: no iteration begins, and those under way may end; ``now``: they are cut."""

_APART: Final = ("id", "execution_id", "slave", "incarnation", "generation", "reserved")
"""What stands in columns of its own; the rest is one JSON value."""
_OF_RUN: Final = select(load_runs).where(load_runs.c.execution == bindparam("of_execution"))
_TASKS_OF: Final = (
    select(
        load_tasks,
        load_reports.c.report,
        load_reports.c.generation.label("told"),
        load_reports.c.ended,
        load_reports.c.at,
    )
    .join(load_reports, load_reports.c.task == load_tasks.c.id)
    .where(load_tasks.c.execution == bindparam("of_execution"))
    .order_by(load_tasks.c.id)
)
_STEP: Final = (
    update(load_runs)
    .where(
        load_runs.c.execution == bindparam("of_execution"),
        load_runs.c.generation == bindparam("before"),
    )
    .values(generation=bindparam("after"), state=bindparam("memory"))
)


@dataclass(frozen=True, slots=True)
class DesiredTask:
    """All that a slave is to do for one execution, as it is wanted now.

    Attributes:
        id: Of the task, which belongs to one process of one slave.
        execution_id: Of the execution.
        slave: Id of the slave.
        incarnation: Of its process.
        generation: Grows with each change; older ones are ignored.
        digest: Names the definition, see :class:`app.store.definitions.DefinitionSnapshots`.
        segment: Its share of the whole, as :mod:`app.load.segments` writes it.
        scaled: Virtual users of the whole execution that somebody asked for; None for what the
            definition says.
        quota: Iterations that it may begin in all; None for any number. It never falls.
        max_vus: Most virtual users that it runs at the same time.
        reserved: Virtual users that the slave keeps free for it.
        elapsed_us: Running time of the execution at ``since``, in microseconds.
        since: When the clock of the execution was started last; None while it stands.
        paused: No iteration begins.
        stop: Whether it is to end.
    """

    id: str
    execution_id: str
    slave: str
    incarnation: str
    generation: int
    digest: str
    segment: tuple[int, ...]
    scaled: int | None
    quota: int | None
    max_vus: int
    reserved: int
    elapsed_us: int
    since: Instant | None
    paused: bool
    stop: Stop

    def wire(self) -> dict[str, JSON]:
        """Return what the slave is told now, but for the definition itself.

        How long the execution has been running is told, and no moment: clocks differ.
        """
        elapsed_us = self.elapsed_us
        if self.since is not None:
            elapsed_us += round(self.since.elapsed() * 1_000_000)
        return {
            "task": self.id,
            "execution": self.execution_id,
            "generation": self.generation,
            "digest": self.digest,
            "segment": list(self.segment),
            "scaled": self.scaled,
            "quota": self.quota,
            "max_vus": self.max_vus,
            "elapsed_us": elapsed_us,
            "paused": self.paused,
            "stop": self.stop,
        }


@dataclass(frozen=True, slots=True)
class LoadTask:
    """A task, and what its slave said last.

    Attributes:
        desired: What is wanted.
        report: What was said, see :mod:`app.load.measures`; None as long as nothing was.
        generation: Of what is wanted, as the slave knew it then.
        ended: Nothing of it runs any more.
        at: When that was said; when the task was made, as long as nothing was.
    """

    desired: DesiredTask
    report: JSON
    generation: int
    ended: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class LoadRun:
    """An execution of virtual users, as its conductor left it.

    Attributes:
        generation: Grows with each write; 0 before the first.
        scaled: How many virtual users somebody asked for.
        state: What the conductor must remember; None before the first write.
        tasks: All tasks that were made for it, those that ended or were lost among them.
    """

    generation: int
    scaled: int | None
    state: JSON
    tasks: tuple[LoadTask, ...]


@dataclass(frozen=True, slots=True)
class NextStep:
    """What a conductor writes of an execution, all of it or nothing.

    Attributes:
        state: What it must remember.
        tasks: Those that are new, or wanted otherwise than before.
        document: What is shown of the metrics; None leaves it.
        series: Their course.
        over: Nothing more is wanted of any slave: the tasks and their reports are removed.
    """

    state: JSON
    tasks: Sequence[DesiredTask] = ()
    document: JSON = None
    series: JSON = None
    over: bool = False


class LoadTasks:
    """The tasks of slaves in the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_slave(self, slave_id: str, incarnation: str) -> list[DesiredTask]:
        """Return all that a process of a slave is to do, what is to end among it."""
        mine = (load_tasks.c.slave == slave_id) & (load_tasks.c.incarnation == incarnation)
        return self._desired(select(load_tasks).where(mine).order_by(load_tasks.c.id))

    def of_executions(self, ids: Collection[str]) -> list[DesiredTask]:
        """Return what all slaves are to do for some executions, such as the feed names them."""
        statement = select(load_tasks).where(load_tasks.c.execution_id.in_(ids))
        return self._desired(statement.order_by(load_tasks.c.id)) if ids else []

    def _desired(self, statement: Any) -> list[DesiredTask]:
        with self._database.read() as connection:
            return [_desired(row) for row in connection.execute(statement)]

    def run_of(self, execution: Execution) -> LoadRun:
        """Read all that a conductor decides by."""
        of_it = {"of_execution": execution.number}
        with self._database.read() as connection:
            # In this order: what is written in between is refused by the generation.
            row = connection.execute(_OF_RUN, of_it).one_or_none()
            tasks = connection.execute(_TASKS_OF, of_it).all()
        made = tuple(
            LoadTask(_desired(task), task.report, task.told, task.ended, task.at) for task in tasks
        )
        if row is None:
            return LoadRun(0, None, None, made)
        return LoadRun(row.generation, row.scaled, row.state, made)

    def reserved(self, but: Execution | None) -> dict[str, int]:
        """Return the virtual users that each slave keeps free for executions, by its id.

        Args:
            but: Those for this one do not count.
        """
        statement = (
            select(load_tasks.c.slave, func.sum(load_tasks.c.reserved))
            .where(load_tasks.c.reserved > 0)
            .group_by(load_tasks.c.slave)
        )
        if but is not None:
            statement = statement.where(load_tasks.c.execution != but.number)
        with self._database.read() as connection:
            return {slave: int(number) for slave, number in connection.execute(statement)}

    def put(self, execution: DrivenExecution, before: LoadRun, step: NextStep) -> LoadRun | None:
        """Write what a conductor decided by what it read.

        Args:
            execution: The execution, as it was read.
            before: What was read of its tasks.
            step: What was decided.

        Returns:
            What was read, one step on; None if something was written since, or something else is
            wanted of the execution: then it is to be looked at again.

        Raises:
            Conflict: A slave has less room than is to be reserved: another execution was faster.
        """
        values = {
            "of_execution": execution.number,
            "before": before.generation,
            "after": before.generation + 1,
            "memory": step.state,
        }
        assigns = bool(step.tasks) or step.over

        def work(connection: Connection) -> bool:
            if assigns and not _announce(connection, execution):
                return False
            stepped = connection.execute(_STEP, values).rowcount or (
                not before.generation and _begin(connection, execution, step.state)
            )
            if not stepped:
                return False
            if step.tasks:
                _write(connection, execution, before, step.tasks)
            if step.over:
                _clear(connection, execution)
            if step.document is not None:
                _show(connection, execution, step)
            return True

        try:
            # A step is not repeated in doubt: the second attempt would find the first one's number.
            if not self._database.write(work, durable=assigns):
                return None
        except IntegrityError:  # two began at the same time
            return None
        kept = () if step.over else before.tasks
        return LoadRun(before.generation + 1, before.scaled, step.state, kept)

    def scale(self, execution: Execution, target_vus: int) -> bool:
        """Write down how many virtual users somebody asks for.

        Returns:
            False when the execution has ended, or its end was asked for.
        """
        mine = load_runs.c.execution == execution.number

        def work(connection: Connection) -> bool:
            going = wanted(execution.number, executions.c.desired != DesiredState.CANCEL)
            if not change(connection, going.values(desired=executions.c.desired), ("wanted",)):
                return False
            set_ = update(load_runs).where(mine).values(scaled=target_vus)
            if not connection.execute(set_).rowcount:
                first = {"execution": execution.number, "generation": 0, "scaled": target_vus}
                connection.execute(insert(load_runs).values(**first))
            return True

        try:
            return self._database.write(work, idempotent=True)
        except IntegrityError:  # its conductor began at the same time
            return self._database.write(work, idempotent=True)


def _announce(connection: Connection, execution: DrivenExecution) -> bool:
    """Announce an assignment; False when something else is wanted of the execution by now."""
    same = executions.c.desired == execution.desired
    statement = wanted(execution.number, same).values(desired=executions.c.desired)
    return change(connection, statement, ("assigned",))


def _begin(connection: Connection, execution: Execution, state: JSON) -> bool:
    """Write the first step; False if there is one already."""
    of_it = {"of_execution": execution.number}
    if connection.execute(_OF_RUN, of_it).one_or_none() is not None:
        return False
    values = {"execution": execution.number, "generation": 1, "state": state}
    connection.execute(insert(load_runs).values(**values))
    return True


def _write(
    connection: Connection,
    execution: Execution,
    before: LoadRun,
    tasks: Sequence[DesiredTask],
) -> None:
    known = {task.desired.id: task.desired for task in before.tasks}
    grown = {
        task.slave
        for task in tasks
        if task.reserved > (known[task.id].reserved if task.id in known else 0)
    }
    if grown:
        take_lock(connection, Lock.RESERVE)
    moment = now()
    for task in tasks:
        values = {"generation": task.generation, "reserved": task.reserved, "desired": _rest(task)}
        if task.id in known:
            mine = update(load_tasks).where(load_tasks.c.id == task.id)
            connection.execute(mine.values(**values))
            continue
        values |= {name: getattr(task, name) for name in _APART[:4]}
        connection.execute(insert(load_tasks).values(execution=execution.number, **values))
        report = {"task": task.id, "sequence": -1, "generation": 0, "ended": False, "at": moment}
        connection.execute(insert(load_reports).values(**report))
    _require_room(connection, grown)


def _require_room(connection: Connection, ids: Collection[str]) -> None:
    """Make sure that slaves have the room that is reserved on them."""
    if not ids:
        return
    crowded = (
        select(slaves.c.id)
        .join(load_tasks, load_tasks.c.slave == slaves.c.id)
        .where(slaves.c.id.in_(ids))
        .group_by(slaves.c.id, slaves.c.max_vus)
        .having(func.sum(load_tasks.c.reserved) > slaves.c.max_vus)
    )
    if connection.execute(crowded).first() is not None:
        raise Conflict("Another execution takes the room of a slave.")


def _clear(connection: Connection, execution: Execution) -> None:
    mine = select(load_tasks.c.id).where(load_tasks.c.execution == execution.number)
    connection.execute(delete(load_reports).where(load_reports.c.task.in_(mine)))
    connection.execute(delete(load_tasks).where(load_tasks.c.execution == execution.number))


def _show(connection: Connection, execution: Execution, step: NextStep) -> None:
    values = {"document": step.document, "series": step.series, "at": now()}
    mine = update(load_metrics).where(load_metrics.c.execution == execution.number)
    if not connection.execute(mine.values(**values)).rowcount:
        connection.execute(insert(load_metrics).values(execution=execution.number, **values))


def _rest(task: DesiredTask) -> dict[str, JSON]:
    rest = {name: value for name, value in asdict(task).items() if name not in _APART}
    return {**rest, "since": None if task.since is None else task.since.dump()}


def _desired(row: Any) -> DesiredTask:
    rest = {**row.desired, "segment": tuple(row.desired["segment"])}
    since_ms = rest.pop("since_ms", None)  # as earlier versions wrote it, by the clock
    since = Instant.by_clock(since_ms / 1000) if since_ms else Instant.load(rest.get("since"))
    rest["since"] = since
    return DesiredTask(**{name: getattr(row, name) for name in _APART}, **rest)
