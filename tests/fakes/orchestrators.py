"""Orchestrators named by how they behave; a configuration reaches them as ``type: fakes...:Class``.

Each offers one workflow, ``remote``, with one optional input, and keeps what it was asked for.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import ClassVar, Self

from app.clients.orchestrator import Capability, Context, Orchestrator
from app.domain import (
    JSON,
    DrivenExecution,
    ExecutionStatus,
    Identity,
    Launch,
    Observation,
    Output,
    Parameter,
    Step,
    Workflow,
    WorkflowDescription,
)
from app.errors import (
    Conflict,
    NotFound,
    UpstreamGarbled,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)

SECRET = "/etc/secret/path: hvs.CAESIJ_not_for_callers"


@dataclass(frozen=True)
class NoOptions:
    """These orchestrators take no options."""


class ObedientOrchestrator(Orchestrator):
    """Accepts every launch, and says that it succeeded as soon as it is looked at.

    Attributes:
        launched: The launches that were accepted.
        cancelled: Ids of the executions whose end was asked for.
        workflow_ids: The workflows that it offers.
    """

    Options = NoOptions

    def __init__(self, name: str = "remote", workflow_ids: tuple[str, ...] = ("remote",)) -> None:
        super().__init__(name)
        self.workflow_ids = workflow_ids
        self.launched: list[Launch] = []
        self.cancelled: list[str] = []

    @classmethod
    def create(cls, name: str, options: NoOptions, context: Context) -> Self:
        return cls(name)

    def workflows(self, identity: Identity) -> list[Workflow]:
        return [
            Workflow(
                id=id_,
                name="Remote",
                application_id=f"app-{id_}",
                environment_id=f"env-{id_}",
                environment_name="Environment",
                orchestrator=self.name,
                description="Runs elsewhere",
            )
            for id_ in self.workflow_ids
        ]

    def describe(self, workflow_id: str, identity: Identity) -> WorkflowDescription:
        workflow = next((w for w in self.workflows(identity) if w.id == workflow_id), None)
        if workflow is None:
            raise NotFound(f"There is no workflow '{workflow_id}'.")
        colour = Parameter(
            "colour", "string", required=False, default="red", schema={"enum": ["red", "blue"]}
        )
        return WorkflowDescription(workflow, (colour,), (Output("answer"),), (Step("only", "job"),))

    def trigger(self, launch: Launch) -> JSON:
        self.launched.append(launch)
        return {"job": launch.execution_id}

    def find(self, launch: Launch) -> JSON:
        known = any(launch.execution_id == other.execution_id for other in self.launched)
        return {"job": launch.execution_id} if known else None

    def observe(self, execution: DrivenExecution) -> Observation:
        status = ExecutionStatus.SUCCESS
        return Observation(status, cursor=1, outputs={"answer": 42}, log_complete=True)

    def cancel(self, execution: DrivenExecution) -> None:
        self.cancelled.append(execution.id)

    def health(self) -> None:
        pass


class KnownOrchestrator(ObedientOrchestrator):
    """Has ids of its own, by which its users know what it runs."""

    def upstream_id(self, reference: JSON) -> str:
        return f"up-{reference['job']}"


class EndlessOrchestrator(ObedientOrchestrator):
    """Runs what it accepted until it is cancelled."""

    def observe(self, execution: DrivenExecution) -> Observation:
        ended = execution.id in self.cancelled
        status = ExecutionStatus.CANCELLED if ended else ExecutionStatus.RUNNING
        return Observation(status, cursor=1, poll_after_seconds=0.05, log_complete=ended)


class RefusingOrchestrator(ObedientOrchestrator):
    """Understands every launch and every end asked for, and refuses it."""

    def trigger(self, launch: Launch) -> JSON:
        raise UpstreamRefused("The upstream refused the launch.", detail=SECRET)

    def cancel(self, execution: DrivenExecution) -> None:
        raise Conflict("The upstream refused to cancel.")


class UnreachableOrchestrator(ObedientOrchestrator):
    """Nothing ever arrives there."""

    def workflows(self, identity: Identity) -> list[Workflow]:
        raise UpstreamUnreachable("No connection.", detail=SECRET, retry_after_seconds=30)

    def trigger(self, launch: Launch) -> JSON:
        raise UpstreamUnreachable("No connection.", detail=SECRET, retry_after_seconds=30)

    def health(self) -> None:
        raise UpstreamUnreachable("No connection.", detail=SECRET)


class UnreachableAtLaunchOrchestrator(ObedientOrchestrator):
    """Lists its workflows, but no launch arrives; ``unreachable`` can be switched off."""

    def __init__(self, name: str = "remote", workflow_ids: tuple[str, ...] = ("remote",)) -> None:
        super().__init__(name, workflow_ids)
        self.unreachable = True

    def trigger(self, launch: Launch) -> JSON:
        if self.unreachable:
            raise UpstreamUnreachable("No connection.", detail=SECRET)
        return super().trigger(launch)


class SilentOrchestrator(ObedientOrchestrator):
    """Takes requests and never answers in time."""

    def workflows(self, identity: Identity) -> list[Workflow]:
        raise UpstreamTimeout("No answer in time.", detail=SECRET)


class GarblingOrchestrator(ObedientOrchestrator):
    """Answers what makes no sense."""

    def workflows(self, identity: Identity) -> list[Workflow]:
        raise UpstreamGarbled("The answer makes no sense.", detail=SECRET)


class TimingOutOrchestrator(ObedientOrchestrator):
    """Receives a launch and does it, but its answer is lost; looked up, the launch is found."""

    def trigger(self, launch: Launch) -> JSON:
        super().trigger(launch)
        raise UpstreamTimeout("No answer in time.", detail=SECRET)


class ForgetfulOrchestrator(ObedientOrchestrator):
    """Loses a launch on the way, and forgets what it runs."""

    def trigger(self, launch: Launch) -> JSON:
        raise UpstreamTimeout("No answer in time.", detail=SECRET)

    def observe(self, execution: DrivenExecution) -> Observation:
        raise NotFound("It is not among the jobs.")


class SlowOrchestrator(ObedientOrchestrator):
    """Answers a launch only once it is allowed to.

    Attributes:
        asked: Set when a launch came in.
        answer: Set by whoever lets it answer.
        fails: The launch does not arrive in the end.
    """

    def __init__(self, name: str = "remote", *, fails: bool = False) -> None:
        super().__init__(name)
        self.asked = threading.Event()
        self.answer = threading.Event()
        self.fails = fails

    def trigger(self, launch: Launch) -> JSON:
        self.asked.set()
        assert self.answer.wait(30)
        if self.fails:
            raise UpstreamUnreachable("No connection.")
        return super().trigger(launch)


class CrashingOrchestrator(ObedientOrchestrator):
    """Has a fault of its own, whose text must not reach a caller."""

    def workflows(self, identity: Identity) -> list[Workflow]:
        raise KeyError(SECRET)


class PausingOrchestrator(EndlessOrchestrator):
    """Endless, and can pause."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.PAUSE})

    def pause(self, execution: DrivenExecution) -> None:
        pass

    def resume(self, execution: DrivenExecution) -> None:
        pass
