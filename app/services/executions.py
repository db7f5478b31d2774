"""Executions: launching exactly once, watching, and steering them."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

import structlog

from app.clients.orchestrator import Adoption, Capability, Orchestrator, adopter, pauser
from app.domain import (
    JSON,
    DesiredState,
    Execution,
    ExecutionFilter,
    ExecutionStatus,
    Identity,
    Launch,
    Role,
    Task,
    WorkflowDescription,
)
from app.errors import (
    Conflict,
    NotFound,
    SlipwayError,
    UpstreamError,
    UpstreamGarbled,
    UpstreamTimeout,
)
from app.services.access import NOBODY, Access, require_role, sees_everything
from app.services.inputs import InputChecker, refuse_astray
from app.services.places import Places
from app.services.readers import Readers
from app.services.unknown import UnknownIds
from app.services.workflows import WorkflowService
from app.store.changes import Changes
from app.store.execution_rows import now
from app.store.executions import Executions, Intent
from app.store.stranded import abandoned_by

log = structlog.get_logger(__name__)

# What can be an id at all; rubbish never reaches the store or an orchestrator.
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LAUNCH_SECONDS = 30.0
_LAUNCH_LOOK_SECONDS = 0.25
_ADOPT_AGAIN_SECONDS = 2.0
_STEERABLE = {ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED}


class ExecutionService:
    """Executions of all orchestrators.

    Args:
        orchestrators: The orchestrators by name.
        workflows: Finds what is launched.
        executions: The executions in the store.
        changes: Wakes who waits.
        readers: What the readers of an execution share.
        places: Bounds how many wait.
        inputs: Checks the inputs of launches.
        stale_after_seconds: Age of a status from which it may be wrong by now.
    """

    def __init__(
        self,
        orchestrators: Mapping[str, Orchestrator],
        workflows: WorkflowService,
        executions: Executions,
        changes: Changes,
        *,
        readers: Readers,
        places: Places,
        inputs: InputChecker,
        stale_after_seconds: float,
    ) -> None:
        self._inputs = inputs
        self._stale_after = timedelta(seconds=stale_after_seconds)
        self._orchestrators = orchestrators
        self._adopters = [o for o in orchestrators.values() if Capability.ADOPT in o.capabilities]
        self._access = Access(orchestrators)
        self._workflows = workflows
        self._executions = executions
        self._readers = readers
        self._unknown: UnknownIds[Execution] = UnknownIds()
        self._changes = changes
        self._places = places

    def launch(
        self,
        reference: str,
        inputs: JSON,
        identity: Identity,
        *,
        key: str | None = None,
        orchestrator: str | None = None,
        beside: Collection[str] = (),
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

        Raises:
            NotFound, Ambiguous: The workflow cannot be told.
            InvalidRequest: Every fault of the inputs.
            Conflict: The key was used for another request, or for one that is still under way.
            LimitExceeded: Too many wait for launches with keys of theirs.
            UpstreamError: It surely did not start.
        """
        digest = "" if key is None else _digest(reference, orchestrator, inputs)
        if key is not None:
            # Looked for first: the workflow may have changed since, or be gone.
            earlier = self._executions.launched_with(identity.username, key, digest)
            if earlier is not None and self._stands(earlier, identity):
                return earlier
        behind, workflow = self._workflows.resolve(reference, identity, orchestrator)
        description = behind.describe(workflow.id, identity)
        refuse_astray(description.inputs, beside)
        values = self._inputs.check(
            description.inputs, {} if inputs is None else inputs, identity.username
        )
        intent = replace(
            _intent(behind, description, values, identity), key=key, request_digest=digest
        )
        while True:
            execution, new = self._executions.create(intent)
            if new:
                self._ask(behind, execution, identity)
                return execution
            if self._stands(execution, identity):
                return execution

    def _stands(self, execution: Execution, identity: Identity) -> bool:
        """Wait until a launch that another request makes with the same key is certain.

        Until then it may be withdrawn, and an id that was told must never vanish.

        Returns:
            False when it was withdrawn.

        Raises:
            Conflict: It is not certain for long.
            LimitExceeded: Too many wait already.
        """
        stands = self._is_certain(execution.id)
        if stands is not None:
            return stands
        deadline = time.monotonic() + _LAUNCH_SECONDS
        with (
            self._places.place(identity, "launch"),
            self._changes.subscribe(execution.id) as subscription,
        ):
            while True:
                stands = self._is_certain(execution.id)
                if stands is not None:
                    return stands
                if time.monotonic() > deadline or self._changes.closing:
                    text = "A launch with this Idempotency-Key is still under way."
                    raise Conflict(text, retry_after_seconds=_LAUNCH_SECONDS)
                # Nobody is told of a withdrawal, so it is looked for now and then.
                subscription.wait(_LAUNCH_LOOK_SECONDS)

    def _is_certain(self, execution_id: str) -> bool | None:
        """Tell whether a launch stands; None as long as nobody knows."""
        try:
            current = self._executions.get(execution_id)
        except NotFound:
            return False
        unknown = current.status is ExecutionStatus.UNKNOWN
        return True if current.reference is not None or unknown or current.status.final else None

    def _ask(self, orchestrator: Orchestrator, execution: Execution, identity: Identity) -> None:
        launch = Launch(
            execution_id=execution.id,
            workflow_id=execution.workflow_id,
            inputs=execution.inputs,
            identity=identity,
            created_at=execution.created_at,
        )
        try:
            reference = orchestrator.trigger(launch)
        except (UpstreamTimeout, UpstreamGarbled) as exc:
            log.warning("launch in doubt", execution=execution.id, error=exc.message)
            why = (
                "It is not known yet whether the orchestrator received the launch "
                f"({exc.message}) It is being looked up; do not launch again."
            )
            self._executions.doubt(execution, why)
        except SlipwayError:
            self._executions.withdraw(execution)
            raise
        else:
            self._executions.launched(execution, reference, orchestrator.upstream_id(reference))

    def get(self, execution_id: str, identity: Identity) -> Execution:
        """Get an execution, by our id or by the one that the upstream's own users know.

        One that was started elsewhere is adopted when it is first asked for.

        Raises:
            NotFound: There is none that this user may know of.
            UpstreamError: An orchestrator would have to be asked, and does not answer.
        """
        if not _ID.fullmatch(execution_id):
            raise NotFound("There is no such execution.")
        try:
            known = [self._executions.get(execution_id)]
        except NotFound:
            known = self._executions.known_upstream_as(execution_id)
        if known:
            return self._visible(known, identity)
        if not self._adopters:
            raise NotFound("There is no such execution.")
        find = partial(self._adopt, execution_id, identity)
        return self._unknown.look(identity.username, execution_id, find)

    def _visible(self, known: list[Execution], identity: Identity) -> Execution:
        """Give the first of some executions that somebody may know of."""
        *others, last = known
        for execution in others:
            with suppress(NotFound):
                self._access.require_visible(execution, identity)
                return execution
        self._access.require_visible(last, identity)
        return last

    def _adopt(self, execution_id: str, identity: Identity) -> Execution:
        """Take over an execution that an orchestrator knows by this id."""
        failure: UpstreamError | None = None
        for orchestrator in self._adopters:
            try:
                found = adopter(orchestrator).adopt(execution_id, identity)
            except UpstreamError as exc:
                failure = exc  # another one may know it
                continue
            if found is not None:
                return self._take_over(orchestrator, execution_id, found, identity)
        if failure is not None:
            raise failure
        raise NotFound("There is no such execution.")

    def _take_over(
        self, orchestrator: Orchestrator, execution_id: str, found: Adoption, identity: Identity
    ) -> Execution:
        """Write down what an orchestrator knows, unless it was launched here.

        Such a one has an owner, and an id of its own.
        """
        intent = Intent(
            execution_id=execution_id,
            orchestrator=orchestrator.name,
            workflow_id=found.workflow_id,
            workflow_name=found.workflow_name,
            owner=NOBODY,
            inputs={},
        )
        try:
            execution = self._executions.adopt(
                intent, found.reference, found.status, found.started_at
            )
        except Conflict as exc:
            text = (
                "This execution may have been begun by a launch of which it is not known yet "
                "whether the orchestrator received it. Ask again soon."
            )
            raise UpstreamError(text, retry_after_seconds=_ADOPT_AGAIN_SECONDS) from exc
        if execution.id != execution_id:
            self._access.require_visible(execution, identity)
        return execution

    def wait(self, execution_id: str, identity: Identity, timeout_seconds: float) -> Execution:
        """Get an execution once its status changed, has become final, or the time is over.

        Raises:
            NotFound: There is no such execution for this user.
            LimitExceeded: Too many wait already.
        """
        deadline = time.monotonic() + timeout_seconds
        first = self.get(execution_id, identity)
        if timeout_seconds <= 0 or first.status.final:
            return first
        with (
            self._places.place(identity, "wait"),
            self._changes.subscribe(first.id) as subscription,
        ):
            # Again, since only from the subscription on nothing is missed.
            execution = self._executions.get(first.id)
            while execution.status is first.status and not execution.status.final:
                left = deadline - time.monotonic()
                if left <= 0 or not subscription.wait(left):
                    return self._executions.get(first.id)  # the time is over, or the process stops
                execution = self._readers.latest(first.id, subscription.seen)
            return execution

    def is_stale(self, execution: Execution) -> bool:
        """Tell whether the orchestrator has been silent for longer than it should."""
        return not execution.status.final and now() - execution.as_of > self._stale_after

    def find(
        self, wanted: ExecutionFilter, identity: Identity, offset: int, limit: int
    ) -> tuple[list[Execution], int]:
        """List executions, newest first; users without the role see their own only.

        Returns:
            The asked-for stretch of them, and the number of all.
        """
        if not sees_everything(identity):
            if wanted.owner not in (None, identity.username):
                return [], 0
            wanted = replace(wanted, owner=identity.username)
        return self._executions.find(wanted, offset, limit)

    def tasks(self, execution_id: str, identity: Identity) -> list[Task]:
        """List the tasks of an execution, in the order of the workflow."""
        return self.tasks_of(self.get(execution_id, identity))

    def tasks_of(self, execution: Execution) -> list[Task]:
        """List the tasks of an execution that somebody may see."""
        return self._readers.tasks(execution)

    def task(self, execution_id: str, name: str, identity: Identity) -> Task:
        """Get one task of an execution.

        Raises:
            NotFound: There is none with this name.
        """
        for task in self.tasks(execution_id, identity):
            if task.name == name:
                return task
        raise NotFound(f"This execution has no task '{name}'.")

    def cancel(self, execution_id: str, identity: Identity) -> None:
        """Ask for the end of an execution; asking twice is fine.

        Raises:
            Conflict: It has ended already, or the orchestrator refused.
        """
        execution = self.get(execution_id, identity)
        if execution.status is ExecutionStatus.CANCELLED:
            return
        if execution.status.final:
            raise Conflict(f"The execution has ended already, with status {execution.status}.")
        if execution.reference is not None:
            self._ask_to_cancel(execution)
        if not self._executions.desire(execution, DesiredState.CANCEL, ExecutionStatus.CANCELLING):
            self.cancel(execution_id, identity)  # it has ended meanwhile, one way or the other

    def _ask_to_cancel(self, execution: Execution) -> None:
        """Pass the wish on at once, to hear of a refusal; a silent upstream hears of it later."""
        try:
            self._orchestrator(execution).cancel(execution)
        except UpstreamError as exc:
            log.warning("cancel is put off", execution=execution.id, error=exc.message)

    def pause(self, execution_id: str, identity: Identity) -> None:
        """Stop an execution for a while; asking twice is fine.

        Raises:
            Conflict: It has ended, or is being cancelled.
            CapabilityMissing: Its orchestrator cannot pause.
        """
        execution = self._steerable(execution_id, identity, "paused")
        pauser(self._orchestrator(execution)).pause(execution)
        self._desire(execution, DesiredState.PAUSE, ExecutionStatus.PAUSED)

    def resume(self, execution_id: str, identity: Identity) -> None:
        """Let a paused execution go on.

        Raises:
            Conflict: It is not paused.
            CapabilityMissing: Its orchestrator cannot pause.
        """
        execution = self._steerable(execution_id, identity, "resumed")
        behind = pauser(self._orchestrator(execution))
        if execution.desired is not DesiredState.PAUSE:
            raise Conflict("The execution is not paused.")
        behind.resume(execution)
        self._desire(execution, DesiredState.RUN, ExecutionStatus.RUNNING)

    def abandon(self, execution_id: str, identity: Identity) -> None:
        """End an execution by decree: it has failed, whatever becomes of what it began.

        For executions whose machine is gone for good, or that nothing else ends. Nothing is asked
        of the orchestrator, so what still runs goes on, unobserved: cancel first.

        Raises:
            NotAllowed: The caller is no operator.
            Conflict: It has ended already.
        """
        execution = self.get(execution_id, identity)
        require_role(identity, Role.OPERATOR)
        if not self._executions.abandon(execution, abandoned_by(identity.username)):
            raise Conflict("The execution has ended already.")
        log.warning("execution abandoned", execution=execution.id, by=identity.username)

    def _steerable(self, execution_id: str, identity: Identity, verb: str) -> Execution:
        execution = self.get(execution_id, identity)
        if execution.status not in _STEERABLE:
            raise Conflict(f"An execution in state {execution.status} cannot be {verb}.")
        return execution

    def _desire(self, execution: Execution, desired: DesiredState, shown: ExecutionStatus) -> None:
        if not self._executions.desire(execution, desired, shown):
            raise Conflict("The execution has ended, or is being cancelled, meanwhile.")

    def _orchestrator(self, execution: Execution) -> Orchestrator:
        try:
            return self._orchestrators[execution.orchestrator]
        except KeyError:
            text = f"The orchestrator '{execution.orchestrator}' is not configured any more."
            raise Conflict(text) from None


def _intent(
    orchestrator: Orchestrator,
    description: WorkflowDescription,
    inputs: Mapping[str, JSON],
    identity: Identity,
) -> Intent:
    workflow = description.workflow
    return Intent(
        execution_id=str(uuid.uuid4()),
        orchestrator=orchestrator.name,
        workflow_id=workflow.id,
        workflow_name=workflow.name,
        owner=identity.username,
        inputs=inputs,
        steps=[step.name for step in description.steps],
    )


def _digest(reference: str, orchestrator: str | None, inputs: JSON) -> str:
    """Digest what was asked, as it was asked."""
    asked = json.dumps([orchestrator, reference, inputs or {}], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()
