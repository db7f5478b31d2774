"""Virtual users, behind the contract that every orchestrator keeps."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from app.clients.offers import Offers
from app.clients.orchestrator import Capability, Context, Keeping, Orchestrator
from app.clock import Instant
from app.domain import (
    JSON,
    DefinitionSource,
    DefinitionText,
    DefinitionVersion,
    DesiredState,
    DrivenExecution,
    ExecutionMetrics,
    ExecutionStatus,
    ExecutionSummary,
    FaultyWorkflow,
    FoundWorkflow,
    Identity,
    Launch,
    Level,
    NewLogEntry,
    Node,
    Observation,
    Parameter,
    ResolvedWorkflow,
    SeriesPoint,
    Step,
    Task,
    TaskStatus,
    Workflow,
    WorkflowDescription,
)
from app.errors import (
    CapabilityMissing,
    Conflict,
    NodesMissing,
)
from app.json_schema import normal
from app.load import judging, planning
from app.load.catalogue import TYPE, LoadCatalogue
from app.load.conducting import Facts, Look, Outcome
from app.load.definition import Definition, all_steps
from app.load.limits import check_scale, longest_us
from app.load.measures import Report
from app.load.modes import most_vus
from app.load.planning import NotEnough, Worker
from app.load.run_state import Phase, RunState
from app.settings import Allowance, Allowances
from app.store.load_definitions import SubmittedDefinition
from app.store.load_metrics import LoadMetrics
from app.store.load_tasks import LoadRun, LoadTasks, NextStep
from app.store.owners import MayEdit
from app.store.schema import from_ms
from app.store.slaves import LOCAL, Slave, Slaves
from app.store.standing import Along

_AGAIN_SECONDS: Final = 0.05
"""When to look again where something was written while this was decided."""
_MOST_ATTEMPTS: Final = 2**31 - 1
_TYPES: Final[Mapping[type, str]] = {
    bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
}  # fmt: skip


@dataclass(frozen=True)
class LoadOptions:
    """Options of an orchestrator of type ``load``: none; see the section ``load``."""


class LoadOrchestrator(Orchestrator):
    """Shares virtual users out over slaves, which run them, and sums up what they report.

    Its side of an execution are rows of the store: what each slave is to do, and what it reported.
    Whoever holds the connections of slaves passes both on. Nothing is bound to a machine.
    """

    capabilities = frozenset(
        {
            Capability.PAUSE,
            Capability.UPLOAD,
            Capability.SUBMIT,
            Capability.SCALE,
            Capability.NODES,
            Capability.DRAIN,
            Capability.METRICS,
        }
    )
    computes = True
    tells_needs = False
    Options = LoadOptions

    def __init__(self, name: str, catalogue: LoadCatalogue, context: Context) -> None:
        super().__init__(name)
        database, settings = context.database, context.settings
        self._catalogue = catalogue
        self._slaves = Slaves(database)
        self._tasks = LoadTasks(database)
        self._metrics = LoadMetrics(database)
        self._allowances = Allowances(settings)
        self._silent_seconds = settings.load.lease
        self._away_seconds = settings.load.alone + settings.load.lease

    @classmethod
    def create(cls, name: str, options: LoadOptions, context: Context) -> LoadOrchestrator:
        """Build one from the settings."""
        del options  # there are none
        allowance_of = partial(_allowance_of, Allowances(context.settings))
        most_versions = context.settings.engine.max_versions
        offers = Offers.among(context.shared)
        catalogue = LoadCatalogue(context.database, allowance_of, most_versions, offers=offers)
        offers.add(TYPE, name, catalogue.owner_of)
        return cls(name, catalogue, context)

    # Workflows.

    def workflows(self, identity: Identity) -> list[Workflow]:
        """List the definitions that were submitted; every user may launch them all."""
        return [self._workflow(submitted) for submitted in self._catalogue.all()]

    def describe(self, workflow_id: str, identity: Identity) -> WorkflowDescription:
        """Return the inputs and the steps of a definition; it has no outputs."""
        return self._description(self._catalogue.get(workflow_id))

    def look_up(
        self, reference: str, identity: Identity, *, anew: bool = False
    ) -> list[FoundWorkflow]:
        """Find definitions by id, or else by name."""
        if anew:  # nothing was kept
            return []
        found = self._catalogue.search(reference)
        return [FoundWorkflow(each.workflow_id, self.name, each) for each in found]

    def resolve(
        self, found: FoundWorkflow, identity: Identity, *, anew: bool = False
    ) -> ResolvedWorkflow:
        """Describe a definition as it was found, if there are slaves for it.

        The store holds it already, so nothing is left to ask for at the launch.

        Raises:
            InvalidDefinition: It asks for more than the user may have.
            NodesMissing: There are no slaves for it, or they cannot carry it.
        """
        submitted: SubmittedDefinition = found.origin
        definition = self._catalogue.of(submitted.digest)
        self._catalogue.require_allowed(definition, identity)
        self._require_slaves(definition)
        longest = longest_us(self._allowances.of(identity.roles))
        reference = {"definition": submitted.digest, "longest_us": longest}
        return ResolvedWorkflow(self._description(submitted), reference=reference)

    def _require_slaves(self, definition: Definition) -> None:
        options = definition.options
        workers = _workers(self._slaves.all(), self._tasks.reserved(None), self._away_seconds)
        try:
            planning.choose(options.target, planning.needs(definition), workers, most_vus(options))
        except NotEnough as exc:
            raise NodesMissing(exc.message) from exc

    def _description(self, submitted: SubmittedDefinition) -> WorkflowDescription:
        return _description(self._workflow(submitted), self._catalogue.of(submitted.digest))

    def _workflow(self, submitted: SubmittedDefinition) -> Workflow:
        return Workflow(
            id=submitted.workflow_id,
            name=submitted.name,
            application_id=self.name,
            environment_id=self.name,
            environment_name=self.name,
            orchestrator=self.name,
            description=submitted.description,
            owner=submitted.owner,
            version=submitted.version,
        )

    # Definitions.

    def submit(
        self, definition: str | Mapping[str, JSON], identity: Identity, *, may_edit: MayEdit
    ) -> FoundWorkflow:
        """Take a definition that is to be launched right away; see the contract."""
        submitted, _ = self._catalogue.add(definition, identity, may_edit=may_edit)
        return FoundWorkflow(submitted.workflow_id, self.name, submitted)

    def check(self, document: DefinitionSource, identity: Identity) -> WorkflowDescription:
        """Check a definition, and keep nothing of it; see the contract."""
        found = self._catalogue.checked(document.text, identity)
        workflow = Workflow(
            id=found.id,
            name=normal(found.name),
            application_id=self.name,
            environment_id=self.name,
            environment_name=self.name,
            orchestrator=self.name,
            description=found.description,
        )
        return _description(workflow, found)

    def upload(
        self,
        document: str | DefinitionSource,
        workflow_id: str | None,
        identity: Identity,
        *,
        may_edit: MayEdit = lambda _: True,
        keeping: Keeping | None = None,
        base: int | None = None,
    ) -> tuple[Workflow, bool]:
        """Add a definition, or put one in the place of another; see the contract."""
        if keeping is not None:
            raise CapabilityMissing("Workflows of single tasks have no virtual users.")
        submitted, new = self._catalogue.add(
            document, identity, instead_of=workflow_id, replace=workflow_id is not None,
            may_edit=may_edit, base=base,
        )  # fmt: skip
        return self._workflow(submitted), new

    def definition_digest(self, reference: JSON) -> str | None:
        """Return what names the definition that an execution was launched from."""
        return (reference or {}).get("definition")

    def definition(self, workflow_id: str, number: int | None = None) -> DefinitionText:
        """Return the text of a version of a definition; see the contract."""
        return self._catalogue.text(workflow_id, number)

    def versions(self, workflow_id: str) -> list[DefinitionVersion]:
        """List the versions of a definition; see the contract."""
        return self._catalogue.versions(workflow_id)

    def remove(self, workflow_id: str, *, may_edit: MayEdit = lambda _: True) -> None:
        """Remove a definition; see the contract."""
        self._catalogue.remove(workflow_id, may_edit)

    def withdraw(self, workflow_id: str, along: Along) -> None:
        """Offer a definition no more; see the contract. None of them stands."""
        raise CapabilityMissing("Workflows of single tasks have no virtual users.")

    def home_of(self, workflow_id: str) -> str:
        """Return the folder of a workflow that stands; see the contract. None of them does."""
        raise CapabilityMissing("Workflows of single tasks have no virtual users.")

    def faulty(self) -> list[FaultyWorkflow]:
        """Return which definitions are not offered as they are: none, faulty ones are refused."""
        return []

    def settle(self) -> bool:
        """Wait for definitions that are being read; there never are any."""
        return False

    # Executions.

    def exec_id(self, execution_id: str) -> str:
        """Return the id that the Workflow Engine's API knows an execution by.

        The first 48 bits of our own, which is made by chance.
        """
        return f"exec-{execution_id.replace('-', '')[:12]}"

    def trigger(self, launch: Launch) -> JSON:
        """Return what an execution is found by; the first observation begins the work."""
        return {"definition": self._catalogue.get(launch.workflow_id).digest, "longest_us": None}

    def find(self, launch: Launch) -> JSON:
        """Go on with a launch that was cut short: it is in our own store, so it is certain."""
        return self.trigger(launch)

    def observe(self, execution: DrivenExecution) -> Observation:
        """Decide what is wanted of the slaves next, and return what happened."""
        run = self._tasks.run_of(execution)
        state = RunState.of_json(run.state)
        if state.phase is Phase.OVER:
            return self._over(execution, state)
        definition = self._definition(execution, state)
        slaves = self._slaves.all()
        facts = Facts(
            desired=execution.desired,
            definition=definition,
            keep=partial(self._keep, execution, definition),
            run=run,
            slaves={slave.id: slave for slave in slaves},
            workers=_workers(slaves, self._tasks.reserved(execution), self._away_seconds),
            at=Instant.now(),
            away_seconds=self._away_seconds,
            longest_us=execution.reference.get("longest_us"),
            written=partial(self._written, execution),
            new_id=lambda: uuid.uuid4().hex,
        )
        out = Look(facts).decide()
        if not self._write(execution, run, out):
            return _unchanged(execution)
        for id_ in out.calls:
            self._slaves.call(id_, execution.number)
        return _observation(execution, out, all_steps(definition.steps))

    def _written(self, execution: DrivenExecution) -> tuple[Report | None, JSON]:
        """Read the figures that were written last, and their course."""
        kept = self._metrics.get(execution)
        if kept is None:
            return None, []
        return kept.document["report"], self._metrics.series(execution)

    def _definition(self, execution: DrivenExecution, state: RunState) -> Definition:
        """Return what the slaves of an execution get."""
        if state.digest:
            return self._catalogue.of(state.digest)
        definition = self._catalogue.of(execution.reference["definition"])
        given = {**definition.variables, **execution.inputs}
        return definition if given == definition.variables else replace(definition, variables=given)

    def _keep(self, execution: DrivenExecution, definition: Definition) -> str:
        """Keep what the slaves of an execution get, and return the digest that names it."""
        digest: str = execution.reference["definition"]
        if definition.variables == self._catalogue.of(digest).variables:
            return digest
        return self._catalogue.keep(definition)

    def _write(self, execution: DrivenExecution, run: LoadRun, out: Outcome) -> bool:
        """Write what was decided; False if it is to be decided again."""
        told = _told(execution)
        out.state.entries = [entry for entry in out.state.entries if entry[0] > told]
        state = out.state.to_json()
        if state == run.state and not out.tasks and out.document is None:
            return True
        step = NextStep(
            state,
            [replace(task, execution_id=execution.id) for task in out.tasks],
            out.document,
            out.series,
            over=out.state.phase is Phase.OVER,
        )
        try:
            return self._tasks.put(execution, run, step) is not None
        except Conflict:  # another execution took the room
            return False

    def _over(self, execution: DrivenExecution, state: RunState) -> Observation:
        """Return an end that was written, and perhaps not told."""
        kept = self._metrics.get(execution)
        out = Outcome(state, progress=execution.progress)
        if kept is not None:
            out.report = kept.document["report"]
        if state.status == ExecutionStatus.SUCCESS:
            out.progress = 1.0
        definition = self._definition(execution, state)
        return _observation(execution, out, all_steps(definition.steps))

    def cancel(self, execution: DrivenExecution) -> None:
        """Accept; the next observation acts on the desired state."""

    def pause(self, execution: DrivenExecution) -> None:
        """Accept; the next observation acts on the desired state."""

    def resume(self, execution: DrivenExecution) -> None:
        """Accept; the next observation acts on the desired state."""

    def scale(self, execution: DrivenExecution, target_vus: int, identity: Identity) -> None:
        """Ask for another number of virtual users; see the contract."""
        run = self._tasks.run_of(execution)
        definition = self._definition(execution, RunState.of_json(run.state))
        options = definition.options
        check_scale(options, target_vus, self._allowances.of(identity.roles))
        workers = _workers(self._slaves.all(), self._tasks.reserved(execution), self._away_seconds)
        at_it = {task.desired.slave for task in run.tasks}
        fit = planning.fitting(options.target, planning.needs(definition), workers)
        room = sum(w.room for w in fit) + sum(
            w.room for w in workers if w.id in at_it and w not in fit and w.connected
        )
        if room < target_vus:
            text = f"The slaves have room for {room} virtual users, and {target_vus} are wanted."
            raise NodesMissing(text)
        if not self._tasks.scale(execution, target_vus):
            raise Conflict("The execution has ended, or is being cancelled, meanwhile.")

    def metrics(self, execution: ExecutionSummary) -> ExecutionMetrics:
        """Return what an execution has done so far; see the contract."""
        kept = self._metrics.get(execution)
        return ExecutionMetrics() if kept is None else judging.read_document(kept.document)

    def series(self, execution: ExecutionSummary) -> Sequence[SeriesPoint]:
        """Return the course of an execution; see the contract."""
        return judging.read_series(self._metrics.series(execution))

    # Nodes.

    def nodes(self) -> list[Node]:
        """List the slaves; see the contract."""
        return [self._node(slave) for slave in self._slaves.all() if _is_shown(slave)]

    def node(self, node_id: str) -> Node:
        """Return one slave; see the contract."""
        return self._node(self._slaves.get(node_id))

    def drain(self, node_id: str) -> None:
        """Give a slave no new tasks; see the contract."""
        self._slaves.drain(node_id, draining=True)

    def undrain(self, node_id: str) -> None:
        """Let a slave have new tasks again; see the contract."""
        self._slaves.drain(node_id, draining=False)

    def _node(self, slave: Slave) -> Node:
        return Node(
            id=slave.id,
            type=slave.type,
            address=slave.address,
            capabilities=tuple(slave.capabilities),
            labels=slave.labels,
            state=slave.state(self._silent_seconds),
            load=slave.load,
            active_tasks=slave.active_tasks,
            last_seen=slave.seen_at,
        )

    def health(self) -> None:
        """Check that virtual users can be run: nothing is needed but the store."""


def _allowance_of(allowances: Allowances, identity: Identity) -> Allowance:
    return allowances.of(identity.roles)


def _is_shown(slave: Slave) -> bool:
    """Return whether a slave has ever been there: one that was only offered has not."""
    return bool(slave.incarnation)


def _workers(
    slaves: Sequence[Slave], reserved: Mapping[str, int], away_seconds: float
) -> list[Worker]:
    return [
        Worker(
            id=slave.id,
            incarnation=slave.incarnation,
            max_vus=slave.max_vus,
            reserved=reserved.get(slave.id, 0),
            load=slave.load,
            labels=slave.labels,
            capabilities=slave.capabilities,
            there=not slave.draining and (slave.is_connected(away_seconds) or slave.is_offered()),
            connected=slave.is_connected(away_seconds),
            local=slave.type == LOCAL,
        )
        for slave in slaves
    ]


def _parameter(name: str, value: JSON) -> Parameter:
    kind = _TYPES[type(value)]
    return Parameter(name, kind, required=False, default=value, schema={"type": kind})


def _told(execution: DrivenExecution) -> int:
    """Return the number of the last entry that the journal has."""
    return int((execution.cursor or {}).get("told", 0))


def _unchanged(execution: DrivenExecution) -> Observation:
    return Observation(
        execution.status,
        execution.cursor,
        error=execution.error,
        progress=execution.progress,
        started_at=execution.started_at,
        poll_after_seconds=_AGAIN_SECONDS,
    )


def _observation(execution: DrivenExecution, out: Outcome, steps: Any) -> Observation:
    state, told = out.state, _told(execution)
    over = state.phase is Phase.OVER
    began = None if state.began_ms is None else from_ms(state.began_ms)
    shown = "over" if over else "running" if began else "waiting"
    changed = shown != (execution.cursor or {}).get("steps", "waiting")
    return Observation(
        _status(state, execution.desired),
        {"told": state.told, "steps": shown},
        tasks=tuple(_task(step.id, out, began) for step in steps) if changed else (),
        entries=tuple(_entry(*entry) for entry in state.entries if entry[0] > told),
        error=state.error,
        progress=max(out.progress, execution.progress),
        started_at=began,
        finished_at=None if state.finished_ms is None else from_ms(state.finished_ms),
        poll_after_seconds=out.look_again_seconds,
        log_complete=over,
    )


def _description(workflow: Workflow, definition: Definition) -> WorkflowDescription:
    return WorkflowDescription(
        workflow=workflow,
        inputs=tuple(
            _parameter(name, value)
            for name, value in definition.variables.items()
            if value is not None
        ),
        outputs=(),
        steps=tuple(
            Step(step.id, str(step.type), title=step.name if step.name != step.id else None)
            for step in all_steps(definition.steps)
        ),
    )


def _entry(number: int, moment_ms: int, level: int, step: str, text: str) -> NewLogEntry:
    return NewLogEntry(Level(level), moment_ms, text, step, upstream_id=str(number))


def _status(state: RunState, desired: DesiredState) -> ExecutionStatus:
    if state.status is not None:
        return ExecutionStatus(state.status)
    if state.phase is not Phase.ENDING and desired is DesiredState.PAUSE:
        return ExecutionStatus.PAUSED
    waits = state.phase is Phase.WAITING
    return ExecutionStatus.PENDING if waits else ExecutionStatus.RUNNING


def _task(name: str, out: Outcome, began: datetime | None) -> Task:
    """Return the state of a step, which runs as long as its execution does."""
    state = out.state
    if state.phase is not Phase.OVER:
        return Task(name, TaskStatus.RUNNING, started_at=began)
    counts = out.report["steps"].get(name)
    ended = from_ms(state.finished_ms) if state.finished_ms else None
    if counts is None or not counts["count"]:
        cancelled = state.status == ExecutionStatus.CANCELLED
        return Task(name, TaskStatus.CANCELLED if cancelled else TaskStatus.SKIPPED)
    failed = counts["failure"]
    return Task(
        name,
        TaskStatus.FAILED if failed == counts["count"] else TaskStatus.SUCCESS,
        started_at=began,
        finished_at=ended,
        attempts=min(counts["count"], _MOST_ATTEMPTS),
        error=f"{failed} of {counts['count']} runs failed." if failed else None,
    )
