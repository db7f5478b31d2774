"""Reading executions: one, many, their tasks, and waiting for a change of one."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from app.caching import LruCache
from app.domain import (
    Attempt,
    Brief,
    Execution,
    ExecutionFilter,
    ExecutionSummary,
    Identity,
    Task,
    Tombstone,
    Workflow,
)
from app.errors import NotFound, Purged
from app.execution_names import ID_PATTERN, is_name
from app.services.access import Access, is_theirs
from app.services.adoption import AdoptionService
from app.services.idle import Idle
from app.services.places import Places
from app.services.reads import ExecutionReads
from app.store.changes import Changes
from app.store.execution_rows import now
from app.store.executions import Executions
from app.store.last_runs import Place

# What can be an id at all; rubbish never reaches the store or an orchestrator.
_ID = re.compile(ID_PATTERN)
_NAMED_BYTES = 1024 * 1024


def require_log(execution: Execution) -> None:
    """Make sure that the entries of an execution are kept.

    Raises:
        Purged: They were removed.
    """
    if execution.log_purged_at is not None:
        moment = f"{execution.log_purged_at:%Y-%m-%dT%H:%M:%SZ}"
        raise Purged(f"The log of the execution was purged on {moment}; the execution is kept.")


class ExecutionService:
    """Reads executions of all orchestrators, for the users who may see them.

    Args:
        executions: The executions in the store.
        access: Who may know of an execution.
        adoption: Takes over what was started elsewhere.
        changes: Wakes who waits.
        reads: Reads executions once for all.
        places: Bounds how many wait.
        stale_after_seconds: Age of a status from which it may be wrong by now.
    """

    def __init__(
        self,
        executions: Executions,
        access: Access,
        adoption: AdoptionService,
        changes: Changes,
        *,
        reads: ExecutionReads,
        places: Places,
        stale_after_seconds: float,
    ) -> None:
        self._executions = executions
        self._access = access
        self._adoption = adoption
        self._changes = changes
        self._reads = reads
        self._places = places
        self._stale_after = timedelta(seconds=stale_after_seconds)
        # Neither of the two ever becomes another one.
        self._named: LruCache[str, str] = LruCache(_NAMED_BYTES, len)

    def get(
        self, execution_id: str, identity: Identity, among: Collection[str] | None = None
    ) -> Execution:
        """Get an execution, by id, by name, or by the id that the upstream's own users know.

        One that was started elsewhere is adopted when it is first asked for by its id there.

        Args:
            execution_id: One of the three.
            identity: Who asks.
            among: Names of the orchestrators behind which it may run; then none is adopted. None
                for all.

        Raises:
            NotFound: There is none that this user may know of.
            Purged: There was one of theirs.
            UpstreamError: An orchestrator would have to be asked, and does not answer.
        """
        known = self.known_as(execution_id)
        if among is not None:
            known = [execution for execution in known if execution.orchestrator in among]
        if known:
            return self._visible(known, identity)
        self._refuse_purged(execution_id, identity, among)
        if among is not None or is_name(execution_id) or not _ID.fullmatch(execution_id):
            raise NotFound("There is no such execution.")
        return self._adoption.adopt(execution_id, identity)

    def known_as(self, reference: str) -> list[Execution]:
        """List the executions in the store that a reference stands for, whoever may see them.

        Args:
            reference: An id, a name, or the id that the upstream's own users know; of the last
                kind, hardly ever, there are several.
        """
        named = is_name(reference)
        if not named and not _ID.fullmatch(reference):
            return []
        id_ = (self._id_named(reference) if named else None) or reference
        try:
            return [self._reads.get(id_)]
        except NotFound:
            return self._executions.known_upstream_as(reference)

    def ids_known_as(self, reference: str) -> list[str]:
        """List the ids that a reference stands for, those of what was purged among them."""
        known = [execution.id for execution in self.known_as(reference)]
        return known or [tombstone.id for tombstone in self._purged_as(reference)]

    def _purged_as(self, reference: str) -> list[Tombstone]:
        if not is_name(reference) and not _ID.fullmatch(reference):
            return []
        return self._executions.purged_as(reference)

    def _refuse_purged(
        self, reference: str, identity: Identity, among: Collection[str] | None
    ) -> None:
        """Say that an execution was purged, before anybody looks for it elsewhere.

        Raises:
            Purged: It was theirs to see.
            NotFound: It was not.
        """
        for tombstone in self._purged_as(reference):
            if among is not None and tombstone.orchestrator not in among:
                continue
            if is_theirs(tombstone.owner, identity):
                raise Purged(str(tombstone))
            raise NotFound("There is no such execution.")

    def _id_named(self, name: str) -> str | None:
        known = self._named.get(name)
        if known is None:
            known = self._executions.id_named(name)
            if known is not None:
                self._named.put(name, known)
        return known

    def _visible(self, known: list[Execution], identity: Identity) -> Execution:
        """Return the first of some executions that the user may see."""
        *others, last = known
        for execution in others:
            with suppress(NotFound):
                self._access.require_visible(execution, identity)
                return execution
        self._access.require_visible(last, identity)
        return last

    def wait(
        self,
        execution_id: str,
        identity: Identity,
        timeout_seconds: float,
        *,
        until_end: bool = False,
    ) -> Generator[Idle, None, Execution]:
        """Get an execution once its status changed, has become final, or the time is over.

        Args:
            execution_id: The execution.
            identity: Who asks.
            timeout_seconds: The time.
            until_end: Only a final status ends the wait.

        Yields:
            ``Idle`` until there is an answer, which is what the generator returns.

        Raises:
            NotFound: There is no such execution for this user.
            NotAuthenticated: The credential ceased to hold while the request waited.
            LimitExceeded: Too many wait already.
        """
        deadline = time.monotonic() + timeout_seconds
        execution = self.get(execution_id, identity)
        if timeout_seconds <= 0 or execution.status.final:
            return execution
        id_, before = execution.id, execution.status
        with self._places.place(identity, "wait"), self._changes.subscribe(id_) as subscription:
            # Again, since only from the subscription on nothing is missed.
            execution, watch = self._reads.get(id_), self._access.watch(identity)
            while not execution.status.final and (until_end or execution.status is before):
                left = deadline - time.monotonic()
                if left <= 0 or self._changes.closing:
                    return self._reads.get(id_)
                del execution  # all who wait must not hold a copy each
                yield (idle := Idle(subscription, min(left, watch.seconds_left())))
                if idle.is_over:
                    deadline = 0.0
                subscription.has_changed()
                if watch.check():
                    self.get(id_, watch.identity)
                execution = self._reads.latest(id_)
            return execution

    def is_stale(self, execution: ExecutionSummary) -> bool:
        """Return whether the orchestrator has been silent for longer than it should."""
        return not execution.status.final and now() - execution.as_of > self._stale_after

    def find(
        self, wanted: ExecutionFilter, identity: Identity, offset: int, limit: int
    ) -> tuple[list[ExecutionSummary], int]:
        """List executions, in the order of the filter, among those that somebody may see.

        Returns:
            The asked-for stretch of them, and the number of all.
        """
        visible = self._access.within(wanted, identity)
        return ([], 0) if visible is None else self._reads.find(visible, offset, limit)

    def briefs(self, some: Collection[ExecutionSummary]) -> Mapping[str, Brief]:
        """Return what lists say of executions that somebody may see, by id."""
        return self._executions.briefs(some)

    def last_runs(
        self, workflows: Collection[Workflow], identity: Identity
    ) -> Mapping[Place, ExecutionSummary]:
        """Return the last execution that somebody has of each of some workflows, by its place."""
        places = [(workflow.id, workflow.orchestrator) for workflow in workflows]
        return self._executions.last_runs(identity.username, places)

    def tasks(self, execution_id: str, identity: Identity) -> Sequence[Task]:
        """List the tasks of an execution, in the order of the workflow."""
        return self.tasks_of(self.get(execution_id, identity))

    def tasks_of(self, execution: ExecutionSummary) -> Sequence[Task]:
        """List the tasks of an execution that somebody may see."""
        return self._reads.tasks(execution)

    def attempts(self, execution_id: str, identity: Identity) -> list[Attempt]:
        """List the attempts of an execution's tasks; see :meth:`attempts_of`."""
        return self.attempts_of(self.get(execution_id, identity))

    def attempts_of(self, execution: ExecutionSummary) -> list[Attempt]:
        """List the attempts of the tasks of an execution that somebody may see.

        Returns:
            The last ones of each task, in the order of the workflow, and then by number. Those that
            were made in an earlier execution are with that.
        """
        earlier: dict[str, list[Attempt]] = {}
        for attempt in self._executions.attempts_of(execution.number):
            earlier.setdefault(attempt.task, []).append(attempt)
        attempts: list[Attempt] = []
        for task in self.tasks_of(execution):
            last = Attempt.last_of(task)
            before = earlier.get(task.name, ())
            # Those that are read later than the tasks may hold the last one, too.
            attempts += [each for each in before if last is None or each.number < last.number]
            attempts += [] if last is None else [last]
        return attempts

    def task(self, execution_id: str, name: str, identity: Identity) -> Task:
        """Get one task of an execution.

        Raises:
            NotFound: There is none with this name.
        """
        for task in self.tasks(execution_id, identity):
            if task.name == name:
                return task
        raise NotFound(f"This execution has no task '{name}'.")
