"""What the emulator knows: applications, environments, deployments and executions."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .run import Run
from .script import Child, Script, simple

_ACTIVE = ("DEPLOYED", "UPDATED", "WARNING", "FAILURE", "UPDATE_FAILURE", "UNKNOWN",
           "UPDATE_IN_PROGRESS", "DEPLOYMENT_IN_PROGRESS")  # fmt: skip
_JAVA = "org.alien4cloud.tosca.model.workflow."
Steps = Mapping[str, Mapping[str, Any]]

DEFAULT_STEPS: Steps = {"run": {"node": "Job", "operation": "run"}}


@dataclass
class Workflow:
    """A workflow of a topology.

    Attributes:
        inputs: Property definition by name, as Alien4Cloud writes them; a lone type will do.
        steps: By name: ``node`` and ``operation``, ``state`` or ``inline``, and ``then``.
    """

    name: str
    inputs: Mapping[str, Any]
    steps: Steps
    script: Script

    def definitions(self) -> dict[str, dict[str, Any]]:
        """Return the inputs as property definitions."""
        common = {"required": True, "definition": True}
        return {
            name: {**common, **({"type": given} if isinstance(given, str) else given)}
            for name, given in self.inputs.items()
        }

    def as_json(self) -> dict[str, Any]:
        """Return the workflow as a topology shows it."""
        before: dict[str, list[str]] = {name: [] for name in self.steps}
        for name, step in self.steps.items():
            for following in step.get("then", ()):
                before[following].append(name)
        steps = {
            name: {
                "type": f"{_JAVA}NodeWorkflowStep",
                "name": name,
                "target": step.get("node"),
                "activities": [_activity(step)],
                "onSuccess": list(step.get("then", ())),
                "onFailure": None,
                "precedingSteps": before[name],
            }
            for name, step in self.steps.items()
        }
        return {"name": self.name, "inputs": self.definitions() or None, "steps": steps,
                "standard": False}  # fmt: skip


def _activity(step: Mapping[str, Any]) -> dict[str, Any]:
    package = f"{_JAVA}activities."
    if "inline" in step:
        return {"type": f"{package}InlineWorkflowActivity", "inline": step["inline"]}
    if "state" in step:
        return {"type": f"{package}SetStateWorkflowActivity", "stateName": step["state"]}
    return {
        "type": f"{package}CallOperationWorkflowActivity",
        "interfaceName": "tosca.interfaces.node.lifecycle.runnable",
        "operationName": step["operation"],
    }


@dataclass
class Deployment:
    """A deployment of an environment."""

    environment: Environment
    started_at: float
    version: str = "1.0"
    ended_at: float | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Environment:
    """An environment; ``workflow`` adds to its topology."""

    world: World
    application: Application
    name: str
    status: str = "DEPLOYED"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    workflows: dict[str, Workflow] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    deployment: Deployment | None = None

    def __post_init__(self) -> None:
        if self.status in _ACTIVE:
            self.deploy(self.status)

    def workflow(
        self,
        name: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        steps: Steps = DEFAULT_STEPS,
        script: Script | None = None,
    ) -> Environment:
        """Add a workflow to the topology."""
        self.workflows[name] = Workflow(name, inputs or {}, steps, script or simple())
        return self

    def attribute(self, node: str, name: str, value: str, instance: str = "0") -> Environment:
        """Set an attribute, and make it an output of the deployment."""
        names = self.outputs.setdefault("outputAttributes", {}).setdefault(node, [])
        if name not in names:
            names.append(name)
        self.attributes.setdefault(node, {}).setdefault(instance, {})[name] = value
        return self

    def deploy(self, status: str = "DEPLOYED") -> None:
        """Begin a deployment."""
        self.status = status
        self.deployment = Deployment(self, self.world.now())
        self.world.deployments[self.deployment.id] = self.deployment

    def undeploy(self) -> None:
        """End the deployment; its executions freeze as they are."""
        now = self.world.now()
        assert self.deployment is not None
        self.deployment.ended_at = now
        for run in self.world.runs_of(self.deployment.id):
            run.frozen_at = now
        self.status, self.deployment = "UNDEPLOYED", None

    def workflow_id(self, workflow: str) -> str:
        """Return the id by which the gateway knows a workflow here."""
        return f"{self.application.id}@{self.id}@{workflow}"


@dataclass
class Application:
    """An application."""

    world: World
    id: str
    tags: dict[str, str]
    description: str = ""
    environments: dict[str, Environment] = field(default_factory=dict)

    def environment(self, name: str = "Environment", status: str = "DEPLOYED") -> Environment:
        """Add an environment."""
        environment = Environment(self.world, self, name, status)
        self.environments[environment.id] = environment
        return environment


class World:
    """All of it.

    Attributes:
        start_delay: Seconds until the start event of a launch is handled.
        purge_ttl: Seconds for which the records of an ended deployment are kept.
    """

    def __init__(self, now: Any, start_delay: float) -> None:
        self.now = now
        self.start_delay = start_delay
        self.purge_ttl = 240 * 3600.0
        self.lock = threading.RLock()
        self.applications: dict[str, Application] = {}
        self.deployments: dict[str, Deployment] = {}
        self.runs: dict[str, Run] = {}
        self.last_inputs: dict[tuple[str, str], Mapping[str, Any]] = {}

    def environment(self, environment: str) -> Environment | None:
        """Find an environment by its id alone, as Alien4Cloud does."""
        for application in self.applications.values():
            if environment in application.environments:
                return application.environments[environment]
        return None

    def launch(self, environment: Environment, workflow: Workflow, inputs: Any) -> Run:
        """Begin an execution, and those that its inline workflows become."""
        assert environment.deployment is not None
        self.last_inputs[environment.id, workflow.name] = dict(inputs)
        deployment, now = environment.deployment.id, self.now()
        run = self._begin(workflow.name, deployment, inputs, workflow.script, now)
        for event in workflow.script.events:
            if isinstance(event, Child):
                self._begin(event.workflow, deployment, {}, event.script, now + event.at)
        return run

    def _begin(self, workflow: str, deployment: str, inputs: Any, script: Script, at: float) -> Run:
        run = Run(workflow, deployment, inputs, script, at, at + self.start_delay)
        self.runs[run.id] = run
        return run

    def run(self, execution: str) -> Run | None:
        """Find an execution that has not been purged."""
        run = self.runs.get(execution)
        return run if run is not None and self._kept(self.deployments[run.deployment]) else None

    def runs_of(self, deployment: str) -> Iterator[Run]:
        """Find the executions of a deployment."""
        return (run for run in list(self.runs.values()) if run.deployment == deployment)

    def visible_runs(self, deployment: str | None) -> Sequence[tuple[Run, dict[str, Any]]]:
        """Return the executions with their records, newest first."""
        now = self.now()
        pairs = [
            (run, record)
            for run in list(self.runs.values())
            if deployment in (None, run.deployment)
            and self._kept(self.deployments[run.deployment])
            and (record := run.record(now)) is not None
        ]
        return sorted(pairs, key=lambda pair: -pair[1]["startDate"])

    def find_deployment(self, deployment: str) -> Deployment | None:
        """Find a deployment that has not been purged."""
        found = self.deployments.get(deployment)
        return found if found is not None and self._kept(found) else None

    def _kept(self, deployment: Deployment) -> bool:
        return deployment.ended_at is None or self.now() < deployment.ended_at + self.purge_ttl
