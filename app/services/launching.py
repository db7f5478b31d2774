"""Launching workflows, exactly once."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

import structlog

from app.clients.orchestrator import Orchestrator, continuer
from app.domain import (
    JSON,
    Carried,
    Execution,
    FoundWorkflow,
    Identity,
    Launch,
    ResolvedWorkflow,
    Role,
    WorkflowDescription,
)
from app.errors import (
    Conflict,
    InvalidRequest,
    SlipwayError,
    UpstreamGarbled,
    UpstreamTimeout,
)
from app.inputs import refuse_astray
from app.labels import checked
from app.services.access import is_theirs
from app.services.inputs import InputChecker
from app.services.places import Places
from app.services.workflows import WorkflowService
from app.store.changes import Changes
from app.store.launches import Intent, Launches, UsedKey

log = structlog.get_logger(__name__)

_LAUNCH_SECONDS = 30.0
"""How long the same launch is waited for, by whoever sends it again."""
_LAUNCH_LOOK_SECONDS = 0.25
"""How soon a withdrawal is seen, of which nobody is told."""


class LaunchService:
    """Launches workflows of all orchestrators.

    Args:
        workflows: Finds what is launched.
        launches: Writes down what is launched.
        changes: Wakes who waits.
        places: Bounds how many wait.
        inputs: Checks the inputs of launches.
        most_open: Most executions of a user of some roles that may not have ended.
    """

    def __init__(
        self,
        workflows: WorkflowService,
        launches: Launches,
        changes: Changes,
        *,
        places: Places,
        inputs: InputChecker,
        most_open: Callable[[frozenset[Role]], int | None] = lambda _: None,
    ) -> None:
        self._workflows = workflows
        self._launches = launches
        self._changes = changes
        self._places = places
        self._inputs = inputs
        self._most_open = most_open

    def launch(
        self,
        reference: str,
        inputs: JSON,
        identity: Identity,
        *,
        key: str | None = None,
        orchestrator: str | None = None,
        beside: Collection[str] = (),
        version: int | None = None,
        only: Collection[str] | None = None,
        name: JSON = None,
        labels: JSON = None,
    ) -> Execution:
        """Launch a workflow, once.

        The launch is written down before the orchestrator is asked. When nobody knows whether the
        orchestrator got it, the execution exists with status ``UNKNOWN`` until that is settled.

        Args:
            reference: Id or name of the workflow.
            inputs: Value of each input.
            identity: Who launches it, and will own the execution.
            key: The same key with the same request gives the same execution again.
            orchestrator: Where to look for the workflow only.
            beside: Other names that the request holds; none of them may be an input's.
            version: Of the workflow that stands, for its next execution: as it was read.
            only: Names of the steps that are to run, at once; None for all, in their order.
            name: What the caller calls the execution; see :mod:`app.labels`.
            labels: What they find it by, as an object.

        Raises:
            NotFound, Ambiguous: The workflow cannot be told.
            InvalidRequest: Every fault of the name and the labels, or of the inputs.
            Conflict: The key was used for another request, or for one that is still under way.
            LimitExceeded: Too many wait for launches with keys of theirs, or the user has as many
                executions that have not ended as they may.
            CapabilityMissing: The orchestrator cannot leave out steps.
            UpstreamError: It surely did not start.
            Outdated: The workflow has another version by now.
        """
        called = _Called(*checked(name, labels))
        used = self.used(key, identity, reference, orchestrator, inputs, *called.asked())
        # Looked for first: the workflow may have changed since, or be gone.
        earlier = self.earlier(used, identity)
        if earlier is not None:
            return earlier
        behind, found = self._workflows.look_up(reference, identity, orchestrator)
        request = _Request({} if inputs is None else inputs, beside, identity, called)
        return self._launch(behind, found, request, used, version=version, only=only)

    def check_inputs(
        self, described: WorkflowDescription, inputs: JSON, identity: Identity
    ) -> dict[str, JSON]:
        """Check inputs as a launch does, and launch nothing.

        Args:
            described: The workflow, which may have changed since.
            inputs: Value of each input.
            identity: Who would launch it.

        Returns:
            Them, with the defaults.

        Raises:
            InvalidRequest: Every fault of the inputs.
            LimitExceeded: Too many launches of this caller wait to be checked.
        """
        return self._inputs.check(described.inputs, inputs, identity.username)

    def launch_found(
        self,
        behind: Orchestrator,
        found: FoundWorkflow,
        identity: Identity,
        *,
        used: UsedKey | None = None,
    ) -> Execution:
        """Launch a workflow that was found already, with its defaults; see :meth:`launch`."""
        return self._launch(behind, found, _Request({}, (), identity), used)

    def used(
        self,
        key: str | None,
        identity: Identity,
        asked: JSON,
        orchestrator: str | None = None,
        inputs: JSON = None,
        *more: JSON,
    ) -> UsedKey | None:
        """Return the key with which somebody repeats a launch; None without one.

        Args:
            key: As they gave it.
            identity: Who they are.
            asked: What they launch; another request must not have the same key.
            orchestrator: Where they look for it only.
            inputs: Value of each input.
            more: What else is asked for, where anything is.
        """
        if key is None:
            return None
        return UsedKey(identity.username, key, _digest(asked, orchestrator, inputs, *more))

    def earlier(self, used: UsedKey | None, identity: Identity) -> Execution | None:
        """Return what was launched with a key; None if nothing was.

        Raises:
            Conflict: The key was used for another request, or for one that is still under way.
            LimitExceeded: Too many wait for launches with keys of theirs.
        """
        earlier = None if used is None else self._launches.launched_with(used)
        return earlier if earlier is not None and self._stands(earlier, identity) else None

    def _launch(
        self,
        behind: Orchestrator,
        found: FoundWorkflow,
        request: _Request,
        used: UsedKey | None,
        *,
        version: int | None = None,
        only: Collection[str] | None = None,
    ) -> Execution:
        identity = request.identity
        workflow, values = self._checked(behind, found, request)
        intent = replace(
            _intent(behind, workflow, values, identity), used=used,
            most_open=self._most_open(identity.roles),
            leads=_leads(workflow, identity), version=version,
            held_back=_held_back(behind, workflow, only),
            name=request.called.name, labels=request.called.labels,
        )  # fmt: skip
        while True:
            execution, new = self._launches.create(intent)
            if new:
                log.info(
                    "execution launched", execution=execution.id, workflow=execution.workflow_id,
                    orchestrator=behind.name, user=identity.username,
                )  # fmt: skip
                if workflow.reference is None:
                    self._ask(behind, execution, workflow, identity)
                return execution
            if self._stands(execution, identity):
                return execution

    def _checked(
        self, behind: Orchestrator, found: FoundWorkflow, request: _Request
    ) -> tuple[ResolvedWorkflow, dict[str, JSON]]:
        """Resolve a workflow and check the inputs against it.

        What was kept of it refuses nothing: it may have changed, so it is read anew before.
        """
        workflow = behind.resolve(found, request.identity)
        if workflow.kept:
            try:
                return workflow, self._values(workflow, request)
            except InvalidRequest:
                workflow = behind.resolve(found, request.identity, anew=True)
        return workflow, self._values(workflow, request)

    def _values(self, workflow: ResolvedWorkflow, request: _Request) -> dict[str, JSON]:
        parameters = workflow.description.inputs
        refuse_astray(parameters, request.beside)
        return self._inputs.check(parameters, request.inputs, request.identity.username)

    def _stands(self, execution: Execution, identity: Identity) -> bool:
        """Wait until a launch that another request makes with the same key is certain.

        Until then it may be withdrawn, and an id that was told must never vanish.

        Returns:
            False when it was withdrawn.

        Raises:
            Conflict: It is not certain for long.
            LimitExceeded: Too many wait already.
        """
        stands = self._launches.stands(execution.id)
        if stands is not None:
            return stands
        deadline = time.monotonic() + _LAUNCH_SECONDS
        with (
            self._places.place(identity, "launch"),
            self._changes.subscribe(execution.id) as subscription,
        ):
            while True:
                stands = self._launches.stands(execution.id)
                if stands is not None:
                    return stands
                if time.monotonic() > deadline or self._changes.closing:
                    text = "A launch with this idempotency key is still under way."
                    raise Conflict(text, retry_after_seconds=_LAUNCH_SECONDS)
                # Nobody is told of a withdrawal, so it is looked for now and then.
                subscription.wait(_LAUNCH_LOOK_SECONDS)

    def _ask(
        self,
        orchestrator: Orchestrator,
        execution: Execution,
        workflow: ResolvedWorkflow,
        identity: Identity,
    ) -> None:
        launch = Launch(
            execution_id=execution.id,
            workflow_id=execution.workflow_id,
            inputs=execution.inputs,
            identity=identity,
            created_at=execution.created_at,
            workflow=workflow,
        )
        try:
            reference = orchestrator.trigger(launch)
        except (UpstreamTimeout, UpstreamGarbled) as exc:
            log.warning("launch in doubt", execution=execution.id, error=exc.message)
            why = (
                "It is not known yet whether the orchestrator received the launch "
                f"({exc.message}) It is being looked up; do not launch again."
            )
            self._launches.doubt(execution, why)
        except SlipwayError:
            self._launches.withdraw(execution)
            raise
        else:
            self._note(orchestrator, execution, reference)

    def _note(self, orchestrator: Orchestrator, execution: Execution, reference: JSON) -> None:
        """Write down what an orchestrator gave for a launch that it accepted."""
        upstream_id, own = orchestrator.upstream_id(reference), orchestrator.own_references
        try:
            self._launches.launched(execution, reference, upstream_id, own=own)
        except Conflict as exc:
            # A launch in doubt was taken for what this one began: what that one began is looked for
            # in its place.
            log.warning("reference held by another", execution=execution.id, error=exc.message)
            self._launches.doubt(execution, f"{exc.message} Its own is being looked up.")


@dataclass(frozen=True, slots=True)
class _Called:
    """What people call an execution by; see :mod:`app.labels`."""

    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def asked(self) -> list[JSON]:
        """Return what of it tells a request from another; nothing where there is nothing."""
        return [self.name, dict(self.labels)] if self.name is not None or self.labels else []


@dataclass(frozen=True, slots=True)
class _Request:
    """What somebody asks a workflow to be launched with; see :meth:`LaunchService.launch`."""

    inputs: JSON
    beside: Collection[str]
    identity: Identity
    called: _Called = _Called()


def _intent(
    orchestrator: Orchestrator,
    resolved: ResolvedWorkflow,
    inputs: Mapping[str, JSON],
    identity: Identity,
) -> Intent:
    workflow = resolved.description.workflow
    execution_id = str(uuid.uuid4())
    return Intent(
        execution_id=execution_id,
        upstream_id=orchestrator.exec_id(execution_id),
        orchestrator=orchestrator.name,
        workflow_id=workflow.id,
        workflow_name=workflow.name,
        owner=identity.username,
        inputs=inputs,
        steps=[step.name for step in resolved.description.steps],
        titles={step.name: step.title for step in resolved.description.steps if step.title},
        needs={step.name: step.needs for step in resolved.description.steps if step.needs},
        reference=resolved.reference,
        workflow_version=workflow.version,
    )


def _held_back(
    orchestrator: Orchestrator, workflow: ResolvedWorkflow, only: Collection[str] | None
) -> Carried | None:
    if only is None:
        return None
    steps = (step.name for step in workflow.description.steps)
    return continuer(orchestrator).hold_back(only, [name for name in steps if name not in only])


def _leads(workflow: ResolvedWorkflow, identity: Identity) -> bool:
    """Return whether what is launched becomes the current execution of a workflow that stands."""
    return bool(workflow.kept_by) and is_theirs(workflow.kept_by, identity)


def _digest(reference: JSON, orchestrator: str | None, inputs: JSON, *more: JSON) -> str:
    """Digest what was asked, as it was asked."""
    asked = json.dumps([orchestrator, reference, inputs or {}, *more], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()
