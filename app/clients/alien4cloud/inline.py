"""Finding the executions that an execution's inline workflows became.

Yorc runs an inline workflow as an execution of its own, and its log entries carry that other id;
nothing in the protocol leads from one to the other (Alien4Cloud 3.8 REST, section 7). So one is
taken for ours only when it can be nobody else's: then its entries are followed, too. Any other is
left alone, since its entries may be another user's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from app.clients.alien4cloud.model import Run
from app.clients.alien4cloud.topology import Topology, WorkflowStep
from app.domain import TaskStatus


def due_steps(topology: Topology, workflow: str, tasks: Mapping[str, str]) -> list[str]:
    """Name the inline steps that can have begun: all that they need has succeeded.

    Args:
        topology: What is deployed.
        workflow: Name of the workflow.
        tasks: Status of each of its tasks.
    """
    return [
        step.name
        for step in _inline_steps(topology, workflow).values()
        if all(tasks.get(name) == TaskStatus.SUCCESS for name in step.needs)
    ]


def _inline_steps(topology: Topology, workflow: str) -> Mapping[str, WorkflowStep]:
    """Return the inline steps of a workflow by the workflow that each calls, when only one does."""
    record = topology.workflows.get(workflow)
    steps = [step for step in record.steps if step.kind == "inline"] if record else []
    names = [step.work for step in steps]
    return {step.work: step for step in steps if names.count(step.work) == 1}


def children(
    own: Run,
    runs: Sequence[Run],
    topology: Topology,
    due: Mapping[str, int],
    exposed: Collection[str],
) -> dict[str, str]:
    """Find the executions that the inline steps of our own became.

    Args:
        own: Our execution.
        runs: Executions of the same deployment that may have run beside it.
        topology: What is deployed.
        due: When each inline step can have begun at the earliest, in ms since the epoch; one that
            is not there has not.
        exposed: Workflows that users may launch themselves; such an execution may be theirs.

    Returns:
        Name of the inline step by the id of its execution.
    """
    found: dict[str, str] = {}
    for name, step in _inline_steps(topology, own.workflow).items():
        if name in exposed or step.name not in due:
            continue
        begun = [
            run
            for run in runs
            if run.workflow == name and _during(run, own) and run.started_ms >= due[step.name]
        ]
        others = [run for run in runs if run.id != own.id and _calls(topology, run.workflow, name)]
        if len(begun) == 1 and not any(_during(begun[0], other) for other in others):
            found[begun[0].id] = step.name
    return found


def _calls(topology: Topology, workflow: str, inlined: str) -> bool:
    record = topology.workflows.get(workflow)
    steps: Iterable[str] = (s.work for s in record.steps if s.kind == "inline") if record else ()
    return inlined in steps


def _during(run: Run, parent: Run) -> bool:
    return parent.started_ms <= run.started_ms and (
        parent.ended_ms is None or run.started_ms <= parent.ended_ms
    )
