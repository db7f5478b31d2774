"""Watching an execution: its status, tasks, log and outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from app.caching import UpstreamReads
from app.clients._pace import Pace
from app.clients.alien4cloud import inline, logs, tasks, verdict
from app.clients.alien4cloud.api import Alien4CloudApi, if_known
from app.clients.alien4cloud.cancel import request
from app.clients.alien4cloud.cursor import Cursor, LogCursor
from app.clients.alien4cloud.describe import Topologies
from app.clients.alien4cloud.model import (
    CLOCK_SLACK_MS,
    Deployment,
    LogPage,
    LogRecord,
    Run,
    moment,
)
from app.clients.alien4cloud.reference import Reference
from app.clients.alien4cloud.statuses import LEVEL, execution_status
from app.clients.alien4cloud.topology import Topology, WorkflowRecord
from app.clients.alien4cloud.verdict import Verdict
from app.domain import (
    JSON,
    DesiredState,
    DrivenExecution,
    ExecutionStatus,
    Level,
    NewLogEntry,
    Observation,
    Task,
    TaskStatus,
)
from app.errors import Conflict, NotFound, UpstreamGarbled, UpstreamRefused

log = structlog.get_logger(__name__)

_LATELY_SECONDS = 5.0
"""How long after news an execution counts as busy."""
_SETTLE_SECONDS = 2.0
"""How long a log must be silent after the end to be complete; entries come late (section 10)."""
_SETTLE_PAUSE_SECONDS = 1.0
"""How often a log is read until it is complete."""
_LAST_LINES = 20
_DEPLOYMENT_TTL_SECONDS = 5.0
"""How old what is known of a deployment may be."""
_CANCELLABLE = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING)


@dataclass(slots=True)
class _Look:
    """One look at one execution, while it is taken.

    Attributes:
        news: Something has changed since the last look.
        behind: There is more of the log to read at once.
    """

    execution: DrivenExecution
    reference: Reference
    cursor: Cursor
    now: float
    progress: float
    news: bool = False
    behind: bool = False
    entries: list[NewLogEntry] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)

    @property
    def quiet_seconds(self) -> float:
        return self.now - self.cursor.changed_at

    @property
    def followed(self) -> bool:
        return self.execution.is_followed(self.now)

    @property
    def runs(self) -> list[str]:
        """Ids of the executions whose log entries are ours."""
        return [self.reference.execution, *self.cursor.inlined]

    def remark(self, name: str, content: str) -> None:
        """Add a log entry of our own, once."""
        id_ = f"{self.reference.execution}#{name}"
        at_ms = round(self.now * 1000)
        self.entries.append(NewLogEntry(Level.WARN, at_ms, content, upstream_id=id_))


class Observer:
    """Looks at executions; keeps nothing of them but the cursor that it gives back.

    Args:
        api: The calls, within the budget.
        topologies: What is deployed.
        pace: Chooses when to look again.
        grace_seconds: How late an event may be.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        *,
        api: Alien4CloudApi,
        topologies: Topologies,
        pace: Pace,
        grace_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._topologies = topologies
        self._pace = pace
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._deployments: UpstreamReads[str, Deployment | None] = UpstreamReads(
            _DEPLOYMENT_TTL_SECONDS, clock=clock
        )

    def observe(self, execution: DrivenExecution) -> Observation:
        """Return what changed; see :meth:`Orchestrator.observe`.

        Raises:
            NotFound: Alien4Cloud never began the execution, or has forgotten it.
            UpstreamError: Nothing is known now.
        """
        now = round(self._clock(), 3)
        reference = Reference.load(execution.reference)
        cursor = Cursor.load(execution.cursor, now)
        look = _Look(execution, reference, cursor, now, execution.progress)
        if execution.status.final:
            return self._after_the_end(look)
        run = if_known(self._api.run, reference.execution)
        return self._unseen(look) if run is None else self._seen(look, run)

    def _unseen(self, look: _Look) -> Observation:
        """Wait for the start event, which takes its time (section 7)."""
        if look.cursor.word:
            raise NotFound("Alien4Cloud has forgotten it.")
        # Until the first look Alien4Cloud may have held the launch back.
        silent_seconds = look.now - look.cursor.changed_at
        if min(silent_seconds, self._api.up_seconds) >= self._grace_seconds:
            raise NotFound("Alien4Cloud accepted it, but never began it.")
        self._cancel_if_wanted(look, ExecutionStatus.PENDING)
        return Observation(
            status=ExecutionStatus.PENDING,
            cursor=look.cursor.dump(),
            poll_after_seconds=self._pause(look, soon=True),
        )

    def _seen(self, look: _Look, run: Run) -> Observation:
        cursor = look.cursor
        look.news = run.status != cursor.word
        cursor.word, cursor.deployment = run.status, run.deployment
        # The log is read after the record, so that what led to a status is told with it.
        last = self._last_lines(look) if self._is_overdue(look, run) else None
        if last is None or not _is_known(last, cursor.log):
            self._read_log(look)
        state = self._state(look, run, last)
        self._cancel_if_wanted(look, state.status)
        if look.news or look.quiet_seconds < _LATELY_SECONDS or state.status.final:
            self._read_tasks(look, run, state.status)
            self._find_inlined(look, run)
        if look.news:
            cursor.changed_at = look.now
        outputs = None
        if state.status is ExecutionStatus.SUCCESS:
            look.progress = 1.0
            outputs = self._outputs(look)
            if run.has_failed_tasks:
                look.remark("failed-tasks", "The workflow succeeded, but some of its tasks failed.")
        ended = moment(run.ended_ms) or moment(round(look.now * 1000))
        return Observation(
            status=state.status,
            cursor=cursor.dump(),
            tasks=tuple(look.tasks),
            entries=tuple(look.entries),
            outputs=outputs,
            error=state.error or self._error(run, state.status, cursor),
            progress=look.progress,
            started_at=moment(run.started_ms),
            finished_at=ended if state.status.final else None,
            poll_after_seconds=self._pause(look, soon=state.status.final),
        )

    def _after_the_end(self, look: _Look) -> Observation:
        """Read the entries that come after the final status, until no more do (section 10)."""
        execution, cursor = look.execution, look.cursor
        self._read_log(look)
        complete = False
        if look.news:
            cursor.changed_at = look.now
        elif not look.behind and look.quiet_seconds >= _SETTLE_SECONDS:
            complete = not self._entries_missing(look, self._last_lines(look).total)
        if complete:
            self._pace.forget(execution.id)
        return Observation(
            status=execution.status,
            cursor=cursor.dump(),
            entries=tuple(look.entries),
            error=execution.error,
            progress=execution.progress,
            started_at=execution.started_at,
            finished_at=execution.finished_at,
            poll_after_seconds=0.0 if look.behind else _SETTLE_PAUSE_SECONDS,
            log_complete=complete,
        )

    def _pause(self, look: _Look, *, soon: bool) -> float:
        pause = self._pace.pause(
            look.execution.id, followed=look.followed or soon, quiet_seconds=look.quiet_seconds
        )
        return 0.0 if look.behind else pause

    def _cancel_if_wanted(self, look: _Look, status: ExecutionStatus) -> None:
        """Ask again for a cancel that did not get through, or came before there was an id."""
        if look.execution.desired is DesiredState.CANCEL and status in _CANCELLABLE:
            with suppress(Conflict):  # it is ending just now, and the next look will see that
                request(self._api, look.reference)

    def _is_overdue(self, look: _Look, run: Run) -> bool:
        """Return whether to check for a lost end: its record is odd, or it has been silent."""
        silent_seconds = min(
            look.quiet_seconds, look.now - look.cursor.checked_at, self._api.up_seconds
        )
        return _is_crossed(run) or (not look.news and silent_seconds >= self._grace_seconds)

    def _last_lines(self, look: _Look) -> LogPage:
        return self._api.logs(look.runs, size=_LAST_LINES, ascending=False)

    def _state(self, look: _Look, run: Run, last: LogPage | None) -> Verdict:
        """Return the status to believe: Alien4Cloud's, unless it is silent and has lost the end.

        Args:
            look: The look, whose new log entries have been read.
            run: Alien4Cloud's record.
            last: The last log entries, where the end may have been lost.
        """
        status = execution_status(run.status, run.id)
        if status.final:
            return Verdict(status)
        if last is not None and (not look.news or _is_crossed(run)):
            look.cursor.checked_at = look.now
            if not self._entries_missing(look, last.total):
                lines = [entry for entry in last.entries if entry.execution == run.id]
                alive = self._is_deployed(run)
                found = verdict.lost_end(self._api, run, look.reference, lines, alive=alive)
                if found is not None:
                    log.info("lost end found", execution=look.execution.id, status=found.status)
                    return found
        if status is ExecutionStatus.UNKNOWN:
            return Verdict(status, f"Alien4Cloud gives it the status '{run.status}'.")
        return Verdict(status)

    def _is_deployed(self, run: Run) -> bool:
        """Return whether the deployment of an execution lives; many share one, so it is kept."""
        load = partial(if_known, self._api.deployment, run.deployment)
        deployment = self._deployments.get(run.deployment, load).value
        return deployment is not None and deployment.ended_ms is None

    def _read_log(self, look: _Look) -> None:
        read = logs.read_new(self._api, look.runs, look.cursor.log)
        look.cursor.log, look.behind = read.cursor, read.behind
        self._give_out(look, read.entries)

    def _give_out(self, look: _Look, records: Sequence[LogRecord]) -> None:
        if not records:
            return
        look.news = True
        workflow = self._workflow(look)
        steps: dict[tuple[str, str], str] = {}
        for record in records:
            task = look.cursor.inlined.get(record.execution)
            if task is None:
                place = (record.node, record.operation)
                if place not in steps:
                    steps[place] = workflow.step_of(*place)
                task = steps[place]
            level = LEVEL.get(record.level, Level.INFO)
            entry = NewLogEntry(level, record.written_ms, record.content, task, record.id)
            look.entries.append(entry)

    def _entries_missing(self, look: _Look, total: int) -> bool:
        """Compare the number of entries upstream with ours, and begin again where some came late.

        Entries that were given out already come again then, with the ids that they had.
        """
        if total <= look.cursor.log.count or total == look.cursor.swept:
            return False
        look.cursor.log, look.cursor.swept = LogCursor(), total
        look.behind = True
        return True

    def _read_tasks(self, look: _Look, run: Run, status: ExecutionStatus) -> None:
        workflow = self._workflow(look)
        progress = if_known(self._api.progress, run.deployment)
        if progress is not None and progress.execution == run.id:
            steps = tasks.from_progress(progress)
        else:
            steps = tasks.from_tasks(self._api.tasks(run.id), workflow)
        before = look.cursor.tasks
        # An undeployment deletes the steps at once: what was known of them stays.
        known = {n: TaskStatus(s) for n, s in before.items() if s != TaskStatus.PENDING}
        steps = tasks.Steps({**known, **steps.statuses}, steps.tasks)
        now = tasks.tasks_of(workflow, steps, status)
        look.tasks = [task for task in now if before.get(task.name) != task.status]
        look.progress = tasks.progress_of(now)
        look.news |= bool(look.tasks)
        look.cursor.tasks = {task.name: task.status.value for task in now}

    def _find_inlined(self, look: _Look, run: Run) -> None:
        topology, known, due = self._topology(look), look.cursor.inlined, look.cursor.due
        # At the last look they could not have begun, or they would be there already.
        last_ms = round(look.execution.as_of.timestamp() * 1000)
        for step in inline.due_steps(topology, run.workflow, look.cursor.tasks):
            due.setdefault(step, last_ms - CLOCK_SLACK_MS)
        if due.keys() <= set(known.values()):
            return
        nearby = self._api.runs_since(run.deployment, run.started_ms)
        if inline.children(run, nearby, topology, due, exposed=()).keys() <= known.keys():
            return
        application = if_known(self._api.application, look.reference.application)
        exposed = application.workflows if application else ()
        if inline.children(run, nearby, topology, due, exposed).keys() <= known.keys():
            return
        # One that began before ours may call the same; there may be very many, so it comes last.
        runs = self._api.runs_since(run.deployment, 0)
        for id_, step in inline.children(run, runs, topology, due, exposed).items():
            if id_ not in known:
                known[id_] = step
                read = logs.read_new(self._api, [id_], LogCursor())
                look.cursor.log = logs.joined(look.cursor.log, read)
                self._give_out(look, read.entries)

    def _error(self, run: Run, status: ExecutionStatus, cursor: Cursor) -> str | None:
        if status is not ExecutionStatus.FAILED:
            return None
        failed = [name for name, word in cursor.tasks.items() if word == TaskStatus.FAILED]
        return verdict.failure(self._api, run, failed)

    def _outputs(self, look: _Look) -> dict[str, JSON]:
        """Read the deployment's outputs at once: the next execution will overwrite them."""
        topology = self._topology(look)
        if not topology.outputs:
            return {}
        where = (look.reference.application, look.reference.environment)
        try:
            return self._api.outputs(*where, topology)
        except (UpstreamRefused, UpstreamGarbled) as exc:
            look.remark("outputs", f"The outputs could not be read. {exc.message}")
            return {}

    def _workflow(self, look: _Look) -> WorkflowRecord:
        workflows = self._topology(look).workflows
        return workflows.get(look.reference.workflow, WorkflowRecord())

    def _topology(self, look: _Look) -> Topology:
        """Return what is deployed; nothing where that cannot be told, which costs names only."""
        reference = look.reference
        try:
            return self._topologies.get(
                reference.application, reference.environment, look.cursor.deployment
            )
        except (NotFound, UpstreamRefused, UpstreamGarbled):
            return Topology()


def _is_crossed(run: Run) -> bool:
    """Return whether a cancel has crossed the end: it is being cancelled, and has ended."""
    return run.status == "CANCELLING" and run.ended_ms is not None


def _is_known(last: LogPage, cursor: LogCursor) -> bool:
    """Return whether the last entries of a log show that all of it has been returned."""
    return last.total == cursor.count and all(e.id in cursor.seen for e in last.entries[:1])
