"""The deployed topology: workflows, their steps, and the outputs of the deployment.

Source: Alien4Cloud 3.8 REST, section 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from app.clients.alien4cloud.inputs import Input, parse_input
from app.clients.alien4cloud.model import unwrap
from app.domain import JSON, Output, Step

_KINDS = {
    "CallOperationWorkflowActivity": "operation",
    "SetStateWorkflowActivity": "set-state",
    "DelegateWorkflowActivity": "delegate",
    "InlineWorkflowActivity": "inline",
}


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """One step of a workflow.

    Attributes:
        kind: ``operation``, ``set-state``, ``delegate``, ``inline``, or empty.
        node: Node that it works on.
        work: Operation, state, or workflow that it calls.
        needs: Steps before it.
    """

    name: str
    kind: str
    node: str
    work: str
    needs: tuple[str, ...]

    def does(self, node: str, operation: str) -> bool:
        """Return whether an operation, perhaps with its interface in front, is this step's."""
        return self.kind == "operation" and self.node == node and self.work == _last(operation)


@dataclass(frozen=True, slots=True)
class WorkflowRecord:
    """A workflow of the topology; steps stand behind those that they need."""

    description: str = ""
    inputs: tuple[Input, ...] = ()
    steps: tuple[WorkflowStep, ...] = ()

    def domain_steps(self) -> tuple[Step, ...]:
        """Return the steps as people see them."""
        return tuple(
            Step(s.name, s.kind, s.needs, f"{s.node}: {s.work}" if s.node else s.work)
            for s in self.steps
        )

    def step_of(self, node: str, operation: str) -> str:
        """Name the one step that runs an operation on a node; empty where that is not clear."""
        names = [step.name for step in self.steps if step.does(node, operation)]
        return names[0] if len(names) == 1 else ""


@dataclass(frozen=True, slots=True)
class DeploymentOutput:
    """An output of the deployment.

    Attributes:
        value: Of a property; None where a function computes it.
        attribute: Name of the attribute to read, for the others.
    """

    name: str
    node: str
    attribute: str | None = None
    value: JSON = None


@dataclass(frozen=True, slots=True)
class Topology:
    """What is deployed in an environment."""

    workflows: Mapping[str, WorkflowRecord] = field(default_factory=dict)
    outputs: tuple[DeploymentOutput, ...] = ()

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Topology | None:
        """Read the answer with the topology; None where nothing is deployed."""
        topology = raw.get("topology")
        if topology is None:
            return None
        workflows = {
            name: _workflow(workflow) for name, workflow in (topology["workflows"] or {}).items()
        }
        return cls(workflows, tuple(_outputs(topology)))

    def domain_outputs(self) -> tuple[Output, ...]:
        """Return the outputs as people see them."""
        text = "Output of the deployment, which all executions in it share: {} of {}."
        return tuple(
            Output(o.name, text.format("attribute" if o.attribute else "property", o.node))
            for o in self.outputs
        )

    def output_values(self, instances: Mapping[str, Any]) -> dict[str, JSON]:
        """Return the values of the outputs.

        Args:
            instances: Node to instance id to its state and attributes.

        Returns:
            Value by name; an attribute of several instances is a map by instance id.
        """
        values: dict[str, JSON] = {}
        for output in self.outputs:
            value = output.value
            if output.attribute is not None:
                value = _attribute(instances.get(output.node) or {}, output.attribute)
            if value is not None:
                values[output.name] = value
        return values


def _workflow(raw: Mapping[str, Any]) -> WorkflowRecord:
    inputs = raw.get("inputs") or {}
    return WorkflowRecord(
        description=str(raw.get("description") or ""),
        inputs=tuple(parse_input(name, definition) for name, definition in inputs.items()),
        steps=tuple(_steps(raw.get("steps") or {})),
    )


def _steps(raw: Mapping[str, Any]) -> Iterator[WorkflowStep]:
    needs: dict[str, set[str]] = {name: set() for name in sorted(raw)}
    for name, step in raw.items():
        for following in (*(step.get("onSuccess") or ()), *(step.get("onFailure") or ())):
            if following in needs:
                needs[following].add(name)
    for name in _in_order(needs):
        yield _step(name, raw[name], sorted(needs[name]))


def _in_order(needs: Mapping[str, set[str]]) -> Sequence[str]:
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError:
        return list(needs)


def _step(name: str, raw: Mapping[str, Any], needs: Sequence[str]) -> WorkflowStep:
    activity: Mapping[str, Any] = next(iter(raw.get("activities") or ()), {})
    kind = _KINDS.get(_last(str(activity.get("type") or "")), "")
    words = ("operationName", "stateName", "delegate", "inline")
    work = next((str(activity[word]) for word in words if activity.get(word)), "")
    return WorkflowStep(name, kind, str(raw.get("target") or ""), work, tuple(needs))


def _outputs(topology: Mapping[str, Any]) -> Iterator[DeploymentOutput]:
    nodes = topology.get("nodeTemplates") or {}
    attributes = topology.get("outputAttributes") or {}
    for node, names in (topology.get("outputProperties") or {}).items():
        properties = _entries((nodes.get(node) or {}).get("properties"))
        for name in names:
            if name not in (attributes.get(node) or ()):
                yield DeploymentOutput(f"{node}.{name}", node, value=unwrap(properties.get(name)))
    for node, capabilities in (topology.get("outputCapabilityProperties") or {}).items():
        known = _entries((nodes.get(node) or {}).get("capabilities"))
        for capability, names in capabilities.items():
            properties = _entries((known.get(capability) or {}).get("properties"))
            for name in names:
                value = unwrap(properties.get(name))
                yield DeploymentOutput(f"{node}.{capability}.{name}", node, value=value)
    for node, names in attributes.items():
        for name in names:
            yield DeploymentOutput(f"{node}.{name}", node, attribute=name)


def _entries(raw: Any) -> Mapping[str, Any]:
    """Read a map that the server writes as a list of ``{key, value}``."""
    if isinstance(raw, Mapping):
        return raw
    return {entry["key"]: entry.get("value") for entry in raw or ()}


def _attribute(instances: Mapping[str, Any], name: str) -> JSON:
    values = {
        instance: record["attributes"][name]
        for instance, record in instances.items()
        if (record.get("attributes") or {}).get(name) is not None
    }
    return next(iter(values.values())) if len(values) == 1 else values or None


def _last(dotted: str) -> str:
    return dotted.rpartition(".")[2]
