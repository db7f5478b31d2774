"""Workflows that are a definition and a run in one: the definition with its current execution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, bindparam, insert, select, update

from app.domain import (
    CommandTask,
    ExecutionSummary,
    NewStandingWorkflow,
    StandingTask,
    StandingWorkflow,
    Task,
    TaskStatus,
)
from app.errors import NameTaken, TaskOpen
from app.store.database import Database
from app.store.execution_rows import FINAL, now
from app.store.execution_views import SUMMARY
from app.store.locks import Lock, take_lock
from app.store.schema import executions, standing_tasks, standing_workflows, tasks
from app.store.task_rows import TASK_FIELDS
from app.store.workflow_ids import require_none_of_virtual_users

Along = Callable[[Connection], None]
"""What is written in the same transaction as something else; twice is as good as once."""

_WORKFLOW: Final = standing_workflows.c
_TASK: Final = standing_tasks.c
_FIELDS: Final = (
    "number", "name", "workflow_id", "orchestrator", "owner", "working_dir", "version",
    "created_at",
)  # fmt: skip
_SHOWN: Final = (
    select(*(_WORKFLOW[name].label(f"standing_{name}") for name in _FIELDS), *SUMMARY.columns)
    .outerjoin(executions, executions.c.number == _WORKFLOW.execution)
    .where(_WORKFLOW.deleted_at.is_(None))
)
_ALL: Final = _SHOWN.order_by(_WORKFLOW.number)
_OF_OWNER: Final = _ALL.where(_WORKFLOW.owner == bindparam("of_owner"))
_NAMED: Final = _SHOWN.where(_WORKFLOW.name == bindparam("of_name"))
_TASKS: Final = (
    select(
        *(
            _TASK[name].label(f"standing_{name}")
            for name in ("name", "task_id", "spec", "created_at")
        ),
        *(tasks.c[name] for name in TASK_FIELDS),
    )
    .outerjoin(
        tasks,
        and_(tasks.c.execution == bindparam("of_execution"), tasks.c.name == _TASK.task_id),
    )
    .where(_TASK.workflow == bindparam("of_workflow"), _TASK.deleted_at.is_(None))
    .order_by(_TASK.position)
)


class StandingWorkflows:
    """The workflows with a current execution, by the name that their maker gave them.

    A name, once taken, stays taken, also when its workflow is gone.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, owner: str | None) -> list[StandingWorkflow]:
        """List those of an owner, or of all; the oldest first."""
        statement = _ALL if owner is None else _OF_OWNER
        parameters = {} if owner is None else {"of_owner": owner}
        with self._database.read() as connection:
            return [_workflow(row) for row in connection.execute(statement, parameters)]

    def find(self, name: str) -> StandingWorkflow | None:
        """Find one; None if there is none, or none any more."""
        with self._database.read() as connection:
            row = connection.execute(_NAMED, {"of_name": name}).one_or_none()
        return None if row is None else _workflow(row)

    def tasks(self, workflow: StandingWorkflow) -> list[StandingTask]:
        """List the tasks that were not deleted, as they were given, with their states."""
        execution = workflow.execution
        values = {
            "of_workflow": workflow.number,
            "of_execution": None if execution is None else execution.number,
        }
        with self._database.read() as connection:
            return [_task(row) for row in connection.execute(_TASKS, values)]

    def add(self, workflow_id: str, along: Along) -> None:
        """Write down what :func:`adding` made, without a definition.

        Raises:
            NameTaken: There is, or was, one of this name.
            OfferedElsewhere: There is a definition of virtual users with this id.
        """

        def work(connection: Connection) -> None:
            take_lock(connection, Lock.UPLOAD)
            require_none_of_virtual_users(connection, workflow_id)
            along(connection)

        self._database.write(work, idempotent=True)

    def is_taken(self, name: str) -> bool:
        """Return whether a name can not be given any more."""
        with self._database.read() as connection:
            return _number_of(connection, name) is not None


def adding(new: NewStandingWorkflow, task_ids: Sequence[str]) -> Along:
    """Write down a workflow with its tasks; it goes along with the upload of its definition.

    What it does raises :class:`NameTaken` where there is, or was, one of this name.
    """
    moment = now()

    def work(connection: Connection) -> None:
        known = connection.execute(
            select(_WORKFLOW.workflow_id, _WORKFLOW.created_at).where(_WORKFLOW.name == new.name)
        ).one_or_none()
        if known is not None:
            if (known.workflow_id, known.created_at) == (new.workflow_id, moment):
                return  # the answer to the first attempt was lost
            raise NameTaken(new.name)
        values = {
            "name": new.name,
            "workflow_id": new.workflow_id,
            "orchestrator": new.orchestrator,
            "owner": new.owner,
            "working_dir": new.working_dir,
            "version": 1,
            "created_at": moment,
        }
        added = insert(standing_workflows).values(values).returning(_WORKFLOW.number)
        number = connection.execute(added).scalar_one()
        rows = [
            {
                "workflow": number, "position": position, "name": task.name, "task_id": task_id,
                "spec": asdict(task), "created_at": moment,
            }
            for position, (task, task_id) in enumerate(zip(new.tasks, task_ids, strict=True))
        ]  # fmt: skip
        if rows:
            connection.execute(insert(standing_tasks), rows)

    return work


class Outdated(Exception):
    """The workflow is another one than it was when it was read: read it again."""


def deleting(workflow: StandingWorkflow, task: StandingTask) -> Along:
    """Note that a task is deleted; it goes along with what becomes of the definition.

    What it does raises :class:`TaskOpen` where the task runs, or will, in an execution that has not
    ended, and :class:`Outdated` where the workflow was changed since it was read.
    """
    moment = now()

    def work(connection: Connection) -> None:
        changed = (
            update(standing_workflows)
            .where(_WORKFLOW.number == workflow.number, _WORKFLOW.version == workflow.version)
            .where(_WORKFLOW.deleted_at.is_(None))
            .values(version=workflow.version + 1)
            .returning(_WORKFLOW.execution)
        )
        row = connection.execute(changed).one_or_none()
        if row is None:
            raise Outdated
        if _is_open(connection, row.execution, task.task_id):
            raise TaskOpen(workflow.name, task.spec.name)
        gone = (
            update(standing_tasks)
            .where(_TASK.workflow == workflow.number, _TASK.task_id == task.task_id)
            .values(deleted_at=moment)
        )
        connection.execute(gone)

    return work


def forget(connection: Connection, workflow_id: str) -> None:
    """Note that the definition of a workflow was removed, so that the workflow is gone with it."""
    gone = (
        update(standing_workflows)
        .where(_WORKFLOW.workflow_id == workflow_id, _WORKFLOW.deleted_at.is_(None))
        .values(deleted_at=now())
    )
    connection.execute(gone)


def lead(connection: Connection, workflow_id: str, number: int, version: int | None) -> None:
    """Make an execution the current one of its workflow.

    Args:
        connection: The transaction that writes the execution down.
        workflow_id: The workflow.
        number: Number of the execution.
        version: Of the workflow, as it was read; then no other execution of it may be open.

    Raises:
        Outdated: The workflow was changed since, or another execution of it was begun.
    """
    ours = (_WORKFLOW.workflow_id == workflow_id) & _WORKFLOW.deleted_at.is_(None)
    if version is not None:
        ours &= _WORKFLOW.version == version
    values = {"execution": number, "version": _WORKFLOW.version + 1}
    changed = update(standing_workflows).where(ours).values(values).returning(_WORKFLOW.number)
    if connection.execute(changed).one_or_none() is None and version is not None:
        raise Outdated


def succeed(connection: Connection, workflow_id: str, ended: int, number: int) -> None:
    """Make what goes on from the current execution of a workflow its current one.

    Args:
        connection: The transaction that writes the execution down.
        workflow_id: The workflow.
        ended: Number of the execution that had ended.
        number: Number of the one that goes on from it.
    """
    ours = (_WORKFLOW.workflow_id == workflow_id) & (_WORKFLOW.execution == ended)
    values = {"execution": number, "version": _WORKFLOW.version + 1}
    connection.execute(update(standing_workflows).where(ours).values(values))


def _number_of(connection: Connection, name: str) -> int | None:
    found = connection.execute(select(_WORKFLOW.number).where(_WORKFLOW.name == name))
    return found.scalar()


def _is_open(connection: Connection, number: int | None, task_id: str) -> bool:
    """Return whether a task of an execution runs, or may yet begin."""
    if number is None:
        return False
    states = (
        select(executions.c.status, tasks.c.status.label("task_status"))
        .join(tasks, tasks.c.execution == executions.c.number)
        .where(executions.c.number == number, tasks.c.name == task_id)
    )
    row = connection.execute(states).one_or_none()
    if row is None or row.status in FINAL:
        return False
    return not TaskStatus(row.task_status).final


def _workflow(row: Row[Any]) -> StandingWorkflow:
    execution: ExecutionSummary | None = None if row.id is None else SUMMARY.of(row)
    return StandingWorkflow(
        **{name: getattr(row, f"standing_{name}") for name in _FIELDS}, execution=execution
    )


def _task(row: Row[Any]) -> StandingTask:
    state = None
    if row.status is not None:
        values = {name: getattr(row, name) for name in TASK_FIELDS}
        state = Task(**{**values, "status": TaskStatus(row.status)})
    return StandingTask(
        spec=CommandTask(**row.standing_spec),
        task_id=row.standing_task_id,
        created_at=row.standing_created_at,
        state=state,
    )
