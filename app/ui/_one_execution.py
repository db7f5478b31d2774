"""What the page of one execution shows of it, gathered from the services."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from app.domain import (
    BEGUN,
    JSON,
    Execution,
    ExecutionFilter,
    ExecutionStatus,
    ExecutionSummary,
    Identity,
    Task,
    TaskStatus,
    reason_in,
)
from app.exit_codes import meaning
from app.resources._context import services
from app.services.bundle import Services
from app.services.choices import Action, Choice
from app.services.differences import MISSING, cut_entry
from app.services.digest import Digest
from app.ui._words import as_json, took

ROWS: Final = 100
"""Steps on one page of their table."""
_LOOKED_THROUGH: Final = 20
"""Newer runs that succeeded, at most, before an older one is looked for no more."""
_LONGEST_REASON: Final = 120
_LONGEST_ERROR: Final = 1000


@dataclass(frozen=True, slots=True)
class Steps:
    """One page of the table of steps.

    Attributes:
        rows: The steps on it.
        counts: How many of all have each status.
        total: How many there are under the filter.
        page: Number of the page, from 1.
        hides_done: Those that succeeded are left out.
    """

    rows: Sequence[Task]
    counts: Mapping[str, int]
    total: int
    page: int
    hides_done: bool

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self.total // ROWS))


def steps_of(tasks: Sequence[Task], *, page: int, hides_done: bool) -> Steps:
    """Choose the steps that one page of the table shows, in the order of the workflow."""
    shown = [task for task in tasks if not hides_done or task.status is not TaskStatus.SUCCESS]
    last = max(1, -(-len(shown) // ROWS))
    page = min(max(1, page), last)
    rows = shown[(page - 1) * ROWS : page * ROWS]
    return Steps(rows, counts_of(tasks), len(shown), page, hides_done)


def counts_of(tasks: Sequence[Task]) -> Mapping[str, int]:
    """Count the steps that have each status."""
    return Counter(str(task.status) for task in tasks)


def around(execution: Execution, identity: Identity) -> dict[str, Any]:
    """Return what stands above the views: state, digest, what can be done, what it belongs to."""
    bundle = services()
    tasks = bundle.executions.tasks_of(execution)
    digest = None
    if execution.status is not ExecutionStatus.SUCCESS:
        whole = bundle.digests.of(execution, identity)
        digest = whole.with_entries(partial(map, cut_entry))
    successor = bundle.choices.successor(execution, identity)
    choices = bundle.choices.of(execution, successor, identity)
    stale = bundle.executions.is_stale(execution)
    return {
        "execution": execution,
        "here": f"/ui/executions/{execution.id}",
        "stale": stale,
        "stuck": stale or execution.status is ExecutionStatus.CANCELLING,
        "digest": digest,
        "waiting": [] if execution.status.final else waiting(execution, tasks),
        "remark": remark(execution, digest),
        "choices": {choice.action: choice for choice in choices},
        "actions": Action,
        "successor": successor,
        "compared": compared_with(execution, digest, bundle, identity),
        "counts": counts_of(tasks),
        "number_of_steps": len(tasks),
        "measures": bundle.load_metrics.measures(execution),
        "key": str(uuid.uuid4()),
        "meaning": meaning,
        "reason_in": reason_in,
        "took": took,
        "side": side,
    }


def side(value: JSON) -> str:
    """Write one side of a value that differs."""
    if value is MISSING:
        return "\N{EN DASH}"
    return value if isinstance(value, str) else as_json(value)


def remark(execution: Execution, digest: Digest | None) -> str:
    """Return what stands beside the word for the state."""
    if execution.status is ExecutionStatus.RUNNING:
        return f"{int(execution.progress * 100)} %"
    if execution.status is ExecutionStatus.FAILED and digest is not None and digest.failed:
        code = digest.failed[0].task.exit_code
        return "" if code is None else f"exit {code}"
    return ""


def waiting(execution: Execution, tasks: Sequence[Task]) -> list[str]:
    """Return why an execution does not go on, in sentences; none where something of it runs."""
    if execution.status is ExecutionStatus.PAUSED:
        return ["It is paused: nothing more of it begins before it is resumed."]
    if execution.status is ExecutionStatus.UNKNOWN:
        return [reason_in(execution.error)[:_LONGEST_ERROR] or "Whether it began is not known yet."]
    if any(task.status in BEGUN for task in tasks):
        return []
    told = [*_reasons(tasks)][:3]
    if not told and execution.status is ExecutionStatus.PENDING:
        return ["It waits for its turn."]
    return told


def _reasons(tasks: Sequence[Task]) -> Iterator[str]:
    for task in tasks:
        if task.waits_for and task.waits_for["kind"] != "tasks":
            yield f"{task.name} waits for {task.waits_for['reason'][:_LONGEST_REASON]}."


def compared_with(
    execution: Execution, digest: Digest | None, bundle: Services, identity: Identity
) -> ExecutionSummary | None:
    """Return the run that went well before this one, with which it is compared."""
    if digest is not None:
        for failed in digest.failed:
            if failed.last_success is not None:
                return failed.last_success.execution
    if not execution.status.final:
        return None
    wanted = ExecutionFilter(
        owners=frozenset({execution.owner}),
        workflow_id=execution.workflow_id,
        orchestrator=execution.orchestrator,
        states=frozenset({ExecutionStatus.SUCCESS}),
    )
    found, _ = bundle.executions.find(wanted, identity, 0, _LOOKED_THROUGH)
    return next((each for each in found if each.number < execution.number), None)


def of_task(execution: Execution, task: Task, identity: Identity) -> Mapping[Action, Choice]:
    """Return what can be done with one step."""
    chosen = services().choices.of_task(execution, task, identity)
    return {choice.action: choice for choice in chosen}
