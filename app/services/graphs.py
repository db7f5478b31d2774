"""Graphs of steps, laid out: of workflows, of what was launched, of definitions in the making."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from app.caching import LruCache
from app.clients.orchestrator import Orchestrator, uploader
from app.domain import (
    DefinitionSource,
    Execution,
    Identity,
    Step,
    Task,
    TaskStatus,
    WorkflowDescription,
)
from app.elements import by_step
from app.errors import InvalidDefinition, NotFound, UpstreamError
from app.isolation import Isolated, OverBudget
from app.memory import GRAPHS_BYTES
from app.services import graph_layout
from app.services.definition_texts import DefinitionTexts
from app.services.executions import ExecutionService
from app.services.graph_layout import Layout
from app.services.workflows import WorkflowService

MOST_OPENED: Final = 20
"""Boxes of several steps that are opened at the same time."""

_LAID_OUT: Final = f"{graph_layout.__name__}:laid_out"
_INLINE_BYTES: Final = 600
"""Of what is known of a graph; laying out no more takes a millisecond or two."""


_WORSE: Final = (
    TaskStatus.SUCCESS, TaskStatus.SKIPPED, TaskStatus.CANCELLED, TaskStatus.PENDING,
    TaskStatus.PAUSED, TaskStatus.RUNNING, TaskStatus.FAILED,
)  # fmt: skip


class Missing(StrEnum):
    """Why a graph has no layout."""

    UNKNOWN = "unknown"
    """Nobody knows which step waits for which."""
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class View:
    """How somebody wants to see a graph.

    Attributes:
        opened: Names of steps whose box is drawn as its steps.
        folded: Whether steps of a large graph are drawn as one where they need the same.
    """

    opened: tuple[str, ...] = ()
    folded: bool = True


PLAIN: Final = View()


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps, and where they stand.

    Attributes:
        steps: In the order of the workflow.
        layout: None where there is none.
        missing: Why; None where there is one.
        tasks: Of an execution, in the same order; none of a workflow.
        elements: How many tasks beside its own a step has that runs for each element of a list.
    """

    steps: tuple[Step, ...]
    layout: Layout | None = None
    missing: Missing | None = None
    tasks: tuple[Task, ...] = ()
    elements: Mapping[str, int] = field(default_factory=dict)


class GraphService:
    """Lays graphs out, once for all who look at the same.

    Args:
        orchestrators: The orchestrators by name.
        workflows: What can be launched.
        executions: What was launched.
        texts: From what.
        isolated: Where graphs are laid out.
    """

    def __init__(
        self,
        orchestrators: Mapping[str, Orchestrator],
        workflows: WorkflowService,
        executions: ExecutionService,
        texts: DefinitionTexts,
        isolated: Isolated,
    ) -> None:
        self._orchestrators = orchestrators
        self._workflows = workflows
        self._executions = executions
        self._texts = texts
        self._isolated = isolated
        self._kept: LruCache[bytes, bytes] = LruCache(GRAPHS_BYTES, len)

    def of_workflow(
        self,
        reference: str,
        identity: Identity,
        orchestrator: str | None = None,
        view: View = PLAIN,
    ) -> Graph:
        """Return the graph of a workflow.

        Args:
            reference: Its id or its name.
            identity: The user.
            orchestrator: Where to look only.
            view: How it is seen.

        Raises:
            NotFound, Ambiguous, UpstreamError: As :meth:`WorkflowService.describe`.
            LimitExceeded: Too many graphs of this user wait to be laid out.
        """
        described = self._workflows.describe(reference, identity, orchestrator)
        return self.of_description(described, identity, view)

    def of_description(
        self, described: WorkflowDescription, identity: Identity, view: View = PLAIN
    ) -> Graph:
        """Return the graph of a workflow that was described; see :meth:`of_workflow`."""
        known = self._tells_needs(described.workflow.orchestrator, described.steps)
        return self._graph(described.steps if known else None, described.steps, identity, view)

    def of_definition(
        self, document: DefinitionSource, identity: Identity, view: View = PLAIN
    ) -> tuple[WorkflowDescription, Graph]:
        """Check a definition, and return the workflow that it would be, and its graph.

        Raises:
            NotAllowed, InvalidDefinition, CapabilityMissing: As :meth:`WorkflowService.check`.
            LimitExceeded: Too many graphs of this user wait to be laid out.
        """
        described = self._workflows.check(document, identity)
        return described, self.of_description(described, identity, view)

    def of_execution(self, execution_id: str, identity: Identity, view: View = PLAIN) -> Graph:
        """Return the graph of what was launched, with its tasks.

        Raises:
            NotFound, Purged, UpstreamError: As :meth:`ExecutionService.get`.
            LimitExceeded: Too many graphs of this user wait to be laid out.
        """
        return self.of_launched(self._executions.get(execution_id, identity), identity, view)

    def of_launched(self, execution: Execution, identity: Identity, view: View = PLAIN) -> Graph:
        """Return the graph of an execution that somebody may see; see :meth:`of_execution`."""
        tasks, elements = _of_steps(self._executions.tasks_of(execution))
        named = {task.name for task in tasks}
        steps = self._steps(execution, identity)
        if steps is not None and not named <= {step.name for step in steps}:
            steps = None  # the workflow was another one then
        listed = steps or tuple(Step(task.name, "", title=task.title) for task in tasks)
        return replace(self._graph(steps, listed, identity, view, tasks), elements=elements)

    def _steps(self, execution: Execution, identity: Identity) -> tuple[Step, ...] | None:
        """Return the steps of what was launched, as far as that is known; None where it is not."""
        behind = self._orchestrators.get(execution.orchestrator)
        if behind is None or not behind.tells_needs:
            return None
        steps = behind.launched_steps(self._texts.reference(execution), identity.username)
        if steps is not None:
            return steps
        with suppress(NotFound, UpstreamError, InvalidDefinition):
            text = self._texts.uploaded(execution)
            if text is not None:  # who launched it sees its steps, whoever may upload such a text
                return uploader(behind).check(text, identity).steps
            if execution.workflow_version is None:
                return behind.describe(execution.workflow_id, identity).steps
        return None

    def _tells_needs(self, orchestrator: str, steps: Sequence[Step]) -> bool:
        return len(steps) == 1 or self._orchestrators[orchestrator].tells_needs

    def _graph(
        self,
        steps: tuple[Step, ...] | None,
        listed: tuple[Step, ...],
        identity: Identity,
        view: View,
        tasks: tuple[Task, ...] = (),
    ) -> Graph:
        if steps is None:
            return Graph(listed, missing=Missing.UNKNOWN, tasks=tasks)
        layout = self._layout(steps, identity, view)
        return Graph(listed, layout, None if layout else Missing.TOO_LARGE, tasks)

    def _layout(self, steps: Sequence[Step], identity: Identity, view: View) -> Layout | None:
        place = {step.name: number for number, step in enumerate(steps)}
        needs = [[place[need] for need in step.needs if need in place] for step in steps]
        opened = sorted({place[name] for name in view.opened[:MOST_OPENED] if name in place})
        work = json.dumps([needs, opened, view.folded], separators=(",", ":")).encode()
        key = hashlib.sha256(work).digest()
        reply = self._kept.get(key)
        if reply is None:
            try:
                reply = self._laid_out(work, identity)
            except OverBudget:
                return None
            self._kept.put(key, reply)
        return graph_layout.parsed(reply)

    def _laid_out(self, work: bytes, identity: Identity) -> bytes:
        if len(work) <= _INLINE_BYTES:
            return graph_layout.laid_out(work)
        return self._isolated.run(identity.username, _LAID_OUT, work)


def _of_steps(tasks: Sequence[Task]) -> tuple[tuple[Task, ...], dict[str, int]]:
    """Leave out the tasks of elements, which are drawn as their step, and count them."""
    grouped = by_step(task.name for task in tasks)
    elements = {name for names in grouped.values() for name in names}
    counts = {step: len(names) for step, names in grouped.items()}
    return tuple(task for task in tasks if task.name not in elements), counts


def worst_of(statuses: Collection[TaskStatus]) -> TaskStatus:
    """Return the worst of some statuses: of what went wrong, or else of what is not done."""
    return max(statuses, key=_WORSE.index, default=TaskStatus.PENDING)
