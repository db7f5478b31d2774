"""Slipway's own engine, behind the contract that every orchestrator keeps."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from app.caching import SharedReads
from app.clients.offers import Offers
from app.clients.orchestrator import Capability, Context, Keeping, Orchestrator
from app.cores import find_cores, machine_memory
from app.domain import (
    JSON,
    Carried,
    Checked,
    DefinitionSource,
    DefinitionText,
    DefinitionVersion,
    DesiredTaskState,
    DrivenExecution,
    FaultyWorkflow,
    FoundWorkflow,
    Identity,
    Launch,
    Node,
    Observation,
    Outcome,
    ResolvedWorkflow,
    Role,
    Step,
    Workflow,
    WorkflowDescription,
)
from app.engine import definition as definitions
from app.engine import programs
from app.engine.carrying import carry_over, hold_back
from app.engine.catalogue import TYPE, Catalogue
from app.engine.compiled import Compiled, Compiler, Details, Faulty, make_compiler
from app.engine.ending import end_all
from app.engine.folder import DefinitionFolder
from app.engine.launchers.base import (
    LauncherContext,
    NoOptions,
    Pool,
    can_pause,
    cluster_of,
    tells_nodes,
)
from app.engine.launchers.registry import LAUNCHERS, create_launcher
from app.engine.launchers.registry import options_class as launcher_options
from app.engine.launchers.run_as import Account, find_account
from app.engine.log_room import LogRoom
from app.engine.looking import look
from app.engine.plan import Plan
from app.engine.progress import first_cursor, has_elements, has_ended
from app.engine.recollection import Recollection
from app.engine.resources import Take, not_for_requests, not_given, too_much
from app.engine.run import Machine
from app.engine.slots import Slots
from app.engine.watch import JobWatch
from app.engine.wishes import Wishes
from app.errors import (
    MAX_FIELDS,
    Conflict,
    FieldError,
    InvalidDefinition,
    UnfitDefinition,
    UpstreamUnreachable,
)
from app.files import data_mark
from app.inputs import check_inputs
from app.job_resources import Resource
from app.json_schema import normal
from app.memory import PLANS_BYTES
from app.settings import Allowances
from app.settings.schema import Choice, Chosen, setting
from app.store.capacities import Capacities, Capacity
from app.store.compiled import WorkflowFiles
from app.store.conductors import node_name
from app.store.definitions import DefinitionSnapshots
from app.store.log_sizes import log_bytes_of
from app.store.owners import MayEdit
from app.store.standing import Along
from app.store.task_cursors import TaskCursors
from app.store.task_wishes import TaskWishes
from app.store.uploads import Quota, UploadedDefinitions

log = structlog.get_logger(__name__)

_HOMES = "workflows"
"""Among the folders of executions, whose names are ids."""


@dataclass(frozen=True)
class EngineOptions:
    """Options of an orchestrator of type ``engine``."""

    launcher: Chosen = setting(
        Choice(launcher_options, LAUNCHERS, load_default="local"),
        "Where commands run: `local` (on the machine of the conductor), `slurm` (as jobs of a "
        "cluster, `docs/guides/slurm.md`), or one of your own as `package.module:Class` "
        "(`docs/guides/extending.md`). Its options may also stand beside it, under its name. "
        "Change it while no execution is open.",
    )

    @staticmethod
    def arranged(written: Mapping[str, JSON]) -> tuple[Mapping[str, JSON], Mapping[str, str]]:
        """Put options of the launcher with it that stand beside it, under its name.

        Returns:
            The options as they are read, and for what was moved: where it was, by where it is.
        """
        name = written.get("launcher")
        options = written.get(name) if isinstance(name, str) else None
        if name == "launcher" or not isinstance(options, Mapping):
            return written, {}
        others = {key: value for key, value in written.items() if key != name}
        return {**others, "launcher": {**options, "type": name}}, {"launcher": str(name)}


class EngineOrchestrator(Orchestrator):
    """Runs the graph of a definition, one command at a time, through a launcher.

    Its side of an execution is a snapshot of the definition in the store, named by the reference,
    and the folders of its jobs, which the launcher keeps. What it can do, and whether an execution
    is bound to a machine, follows from the launcher.
    """

    capabilities = frozenset(
        {
            *(Capability.PAUSE, Capability.UPLOAD, Capability.TASK_CONTROL, Capability.CONTINUE),
            *(Capability.NODES, Capability.DRAIN),
        }
    )
    computes = True
    keeps_files = True
    Options = EngineOptions

    def __init__(
        self,
        name: str,
        catalogue: Catalogue,
        compiler: Compiler,
        snapshots: DefinitionSnapshots,
        *,
        recollection: Recollection,
        wishes: Wishes,
        machine: Machine,
        capacities: Capacities,
        node: Callable[[], str],
        launcher_type: str = "local",
    ) -> None:
        super().__init__(name)
        self._launcher_type = launcher_type
        self.bound_to_node = machine.launcher.bound_to_node
        if not can_pause(machine.launcher):
            self.capabilities -= {Capability.PAUSE}
        if not tells_nodes(machine.launcher):
            self.capabilities -= {Capability.NODES, Capability.DRAIN}
        elif not cluster_of(machine.launcher).drains:
            self.capabilities -= {Capability.DRAIN}
        self.only_conductors = not machine.launcher.here
        self._catalogue = catalogue
        self._compiler = compiler
        self._machine = machine
        self._capacities = capacities
        self._node = node
        self._snapshots = snapshots
        self._recollection = recollection
        self._wishes = wishes
        self._plans = SharedReads(self._plan, PLANS_BYTES)

    @classmethod
    def create(cls, name: str, options: EngineOptions, context: Context) -> EngineOrchestrator:
        """Build one from the settings."""
        settings = context.settings
        engine = settings.engine
        account = find_account(engine.run_as, engine.run_as_dir)
        executions_dir = account.executions_dir if account else settings.executions_dir
        launcher = create_launcher(
            options.launcher,
            LauncherContext(
                settings.data_dir,
                account,
                executions_dir=executions_dir,
                orchestrator=name,
                database=context.database,
                shared=context.shared,
                keys=context.keys,
            ),
        )
        machine = Machine(
            launcher=launcher,
            watch=JobWatch(launcher),
            slots=_slots(launcher.pool, context),
            executions_dir=executions_dir,
            kill_grace_seconds=engine.kill_grace,
            base_env=_environment(engine.pass_env, account) if launcher.here else {},
            log_room=LogRoom(
                settings.logs.max_bytes,
                settings.logs.max_bytes_per_user,
                partial(log_bytes_of, context.database),
            ),
            max_foreach=engine.max_foreach,
        )
        if not launcher.here:
            machine = dataclasses.replace(machine, beside=_beside(machine, account, context))
        snapshots = DefinitionSnapshots(context.database)
        compiler = make_compiler(context.database)
        folder = settings.workflows_dir.absolute()
        files = WorkflowFiles(context.database, str(folder), partial(_mark, settings.data_dir))
        offers = Offers.among(context.shared)
        catalogue = Catalogue(
            UploadedDefinitions(context.database, engine.max_versions),
            DefinitionFolder(folder, compiler, files),
            partial(_quota, Allowances(settings)),
            offers=offers,
        )
        offers.add(TYPE, name, catalogue.owner_of)
        return cls(
            name,
            catalogue,
            compiler,
            snapshots,
            recollection=Recollection(TaskCursors(context.database)),
            wishes=TaskWishes(context.database),
            machine=machine,
            capacities=Capacities(context.database, settings.conductor.lease),
            node=partial(node_name, settings.data_dir),
            launcher_type=options.launcher.type,
        )

    def workflows(self, identity: Identity) -> list[Workflow]:
        """List the definitions; every user may launch them all."""
        return [self._workflow(compiled) for compiled in self._catalogue.all()]

    def describe(self, workflow_id: str, identity: Identity) -> WorkflowDescription:
        """Return the inputs, outputs and steps of a definition."""
        return self._description(self._catalogue.get(workflow_id))

    def look_up(
        self, reference: str, identity: Identity, *, anew: bool = False
    ) -> list[FoundWorkflow]:
        """Find definitions by id, or else by name, in one look at the folder."""
        if anew and not self._catalogue.settle():
            return []
        found = self._catalogue.search(reference)
        return [FoundWorkflow(compiled.id, self.name, compiled) for compiled in found]

    def resolve(
        self, found: FoundWorkflow, identity: Identity, *, anew: bool = False
    ) -> ResolvedWorkflow:
        """Describe a definition as it was found; the digest of its content is what is launched.

        The store holds that content already, so nothing is left to ask for at the launch.
        """
        compiled: Compiled = found.origin
        self._check_resources(compiled)
        reference = {"definition": compiled.digest}
        return ResolvedWorkflow(
            self._description(compiled), reference=reference, kept_by=compiled.kept_by
        )

    def _description(self, compiled: Compiled) -> WorkflowDescription:
        details = self._compiler.details(compiled)
        return WorkflowDescription(
            workflow=self._workflow(compiled),
            inputs=details.inputs,
            outputs=details.outputs,
            steps=details.steps,
        )

    def trigger(self, launch: Launch) -> JSON:
        """Keep the definition as it is now; the first observation begins the work."""
        compiled = self._catalogue.get(launch.workflow_id)
        check_inputs(self._compiler.details(compiled).inputs, launch.inputs)
        return {"definition": compiled.digest}

    def find(self, launch: Launch) -> JSON:
        """Go on with a launch that was cut short: it is in our own store, so it is certain."""
        return {"definition": self._catalogue.get(launch.workflow_id).digest}

    def observe(self, execution: DrivenExecution) -> Observation:
        """Do what can be done now for an execution, and return what happened."""
        plan = self._plans.get(execution.reference["definition"])
        seen, progress = look(
            execution,
            self._machine,
            lambda: self._recollection.take(execution, plan),
            lambda: self._wishes.of(execution),
        )
        if not seen.log_complete:
            self._recollection.keep(execution, progress)
        return seen

    def definition_digest(self, reference: JSON) -> str | None:
        """Return what names the definition that an execution was launched from."""
        return (reference or {}).get("definition")

    def launched_steps(self, reference: JSON, owner: str) -> tuple[Step, ...] | None:
        """Return the steps of what an execution was launched from, while that is kept."""
        digest = self.definition_digest(reference)
        return None if digest is None else self._compiler.steps_of(digest, owner)

    def cancel(self, execution: DrivenExecution) -> None:
        """Accept; the next observation acts on the desired state."""
        if execution.status.final:
            text = f"The execution has ended already, with status {execution.status}."
            raise Conflict(text)

    def abandon(self, execution: DrivenExecution) -> str | None:
        """End all jobs of an execution; see the contract."""
        machine = self._machine
        tasks = self._recollection.tasks(execution)
        beside = None if machine.beside is None else machine.beside.launcher
        if not end_all(tasks, machine.executions_dir, execution.id, machine.launcher, beside):
            return None
        for each in machine.all:
            each.slots.keep_only(execution.id, ())
            each.watch.look(execution.id, (), followed=False)
        return "Nothing of it runs any more."

    def remove_files(self, execution_id: str, seconds: float) -> bool:
        """Remove the folder of an execution: its work, and the records of its jobs."""
        folder = self._machine.executions_dir / execution_id
        if folder.name != execution_id or execution_id == _HOMES:  # no id of ours
            return True
        # This machine first: another one may not answer.
        gone = [m.launcher.remove_folder(folder, seconds) for m in reversed(self._machine.all)]
        return all(gone)

    def pause(self, execution: DrivenExecution) -> None:
        """Accept; the next observation acts on the desired state."""

    def resume(self, execution: DrivenExecution) -> None:
        """Accept; the next observation acts on the desired state."""

    def control_task(
        self, execution: DrivenExecution, task: str, desired: DesiredTaskState
    ) -> None:
        """Accept; the next observation acts on what is wanted."""

    def carry_over(
        self, execution: DrivenExecution, run: Collection[str], keep: Collection[str]
    ) -> Carried:
        """Take over the tasks that are not to run, with their outputs, and the folder of files."""
        if not self._snapshots.has(execution.reference["definition"]):
            raise Conflict("The definition that the execution was launched from is not kept.")
        if has_ended(execution.cursor) and not has_elements(execution.cursor):
            return Carried(first_cursor(execution.cursor, execution.id))
        return carry_over(execution, self._recollection.tasks(execution), run, keep)

    def hold_back(self, run: Collection[str], keep: Collection[str]) -> Carried:
        """Prepare an execution in which some tasks are not to run; see the contract."""
        return hold_back(run, keep)

    def health(self) -> None:
        """Check that the folder of executions can be used.

        Raises:
            UpstreamUnreachable: It cannot.
        """
        folder = self._machine.executions_dir
        if not all(machine.launcher.may_use(folder) for machine in self._machine.all):
            raise UpstreamUnreachable("The engine cannot write to its folder.", detail=str(folder))

    def examine(self, owner: str) -> Sequence[Checked]:
        """Look at the folder of executions, and at all that the launcher needs."""
        folder = self._machine.executions_dir
        try:
            self.health()
        except UpstreamUnreachable as exc:
            fix = f"let the service write to {folder} on the machine of the conductor"
            own = Checked("folder", Outcome.FAILED, exc.message, fix)
        else:
            own = Checked("folder", Outcome.OK, f"the engine can write to {folder}")
        return [own, *self._machine.launcher.examine(owner)]

    def tend(self) -> None:
        """Have the launcher do what is to be done now and then."""
        self._machine.launcher.tend()

    def nodes(self) -> list[Node]:
        """List the nodes of the launcher's cluster, as the store has them."""
        return cluster_of(self._machine.launcher).nodes()

    def node(self, node_id: str) -> Node:
        """Return one."""
        return cluster_of(self._machine.launcher).node(node_id)

    def drain(self, node_id: str) -> None:
        """Give a node no new jobs."""
        cluster_of(self._machine.launcher).drain(node_id)

    def undrain(self, node_id: str) -> None:
        """Give a node jobs again."""
        cluster_of(self._machine.launcher).undrain(node_id)

    def listen(self, wake: Callable[[str], None]) -> None:
        """Wake an execution when a job wrote or ended, or when there is room for its tasks."""
        self._tell_of_processors()
        for machine in self._machine.all:
            machine.launcher.listen(wake)
            machine.slots.listen(wake)
            machine.watch.listen(wake)

    def _tell_of_processors(self) -> None:
        """Say, and note for all, how many processors running tasks share, and why not more."""
        slots = self._machine.of_requests.slots
        if slots.elsewhere:
            return
        self._capacities.note(self._node(), slots.cpus, slots.most_bytes)
        usable = find_cores()
        log.info(
            "running tasks share processors",
            orchestrator=self.name,
            processors=slots.cpus,
            usable=usable.number,
            because=usable.source,
        )

    def check(self, document: DefinitionSource, identity: Identity) -> WorkflowDescription:
        """Check a definition, and keep nothing of it; see the contract."""
        return self._description(self._valid(document.text.encode(), identity.username))

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
        owner = keeping.owner if keeping else identity.username
        source = DefinitionSource(document) if isinstance(document, str) else document
        compiled = self._valid(source.text.encode(), owner)
        if workflow_id is not None and normal(workflow_id) not in (
            compiled.id,
            normal(compiled.name),
        ):
            fault = FieldError("id", f"must be '{workflow_id}', which it is to replace")
            raise InvalidDefinition("The definition is for another workflow.", fields=(fault,))
        if keeping:
            compiled = dataclasses.replace(compiled, kept_by=keeping.owner)
        kept, new = self._catalogue.add(
            compiled, source, identity.username, replace=workflow_id is not None,
            roles=identity.roles, along=keeping.along if keeping else lambda _: None,
            may_edit=may_edit, owner=owner, base=base,
        )  # fmt: skip
        return self._workflow(kept), new

    def remove(self, workflow_id: str, *, may_edit: MayEdit = lambda _: True) -> None:
        """Remove a definition; see the contract."""
        self._catalogue.remove(workflow_id, may_edit)

    def definition(self, workflow_id: str, number: int | None = None) -> DefinitionText:
        """Return the text of a version of a definition; see the contract."""
        return self._catalogue.text(workflow_id, number)

    def versions(self, workflow_id: str) -> list[DefinitionVersion]:
        """List the versions of a definition; see the contract."""
        return self._catalogue.versions(workflow_id)

    def withdraw(self, workflow_id: str, along: Along) -> None:
        """Offer a definition no more; see the contract."""
        self._catalogue.withdraw(workflow_id, along)

    def home_of(self, workflow_id: str) -> str:
        """Return the folder of a workflow that stands; see the contract."""
        # No symbolic link is followed to the files that are written for commands.
        folder = os.path.realpath(self._machine.executions_dir)
        return str(Path(folder, _HOMES, workflow_id))

    def faulty(self) -> list[FaultyWorkflow]:
        """Return which files are not offered as they are; see the contract."""
        return [
            FaultyWorkflow(file.name, file.id, file.error.fields, file.offered)
            for file in self._catalogue.faults()
        ]

    def settle(self) -> bool:
        """Wait for definitions that are being read; see the contract."""
        return self._catalogue.settle()

    def _valid(self, text: bytes, owner: str) -> Compiled:
        outcome = self._compiler.compile(text, owner)
        if isinstance(outcome, Faulty):
            raise outcome.error.again()
        self._check_resources(outcome)
        self._check_programs(outcome)
        return outcome

    def _check_programs(self, compiled: Compiled) -> None:
        """Make sure that commands with blanks in them are programs, where this machine can tell.

        Raises:
            UnfitDefinition: One is none.
        """
        if not self._machine.launcher.here:
            return
        if faults := programs.faults(compiled.spaced, self._machine.base_env.get("PATH")):
            message = "The workflow definition has commands that are no programs."
            raise UnfitDefinition(message, fields=faults)

    def _check_resources(self, compiled: Compiled) -> None:
        """Make sure that the launcher, and each machine, gives what the steps ask for.

        Raises:
            UnfitDefinition: It does not.
        """
        honours = self._machine.launcher.honours
        details = self._compiler.details(compiled)
        faults = not_given(compiled.asks, honours, self._launcher_type)
        if not self._machine.launcher.here:
            faults += not_for_requests(details.by_requests)
        if faults:
            message = f"Workflow '{compiled.id}' asks for what its launcher does not give."
            raise UnfitDefinition(message, fields=faults[:MAX_FIELDS])
        asked = details.asked
        if asked and (faults := list(self._machine.launcher.faults(asked))):
            message = f"Workflow '{compiled.id}' asks for what there is not where its jobs run."
            raise UnfitDefinition(message, fields=faults[:MAX_FIELDS])
        takes = self._taken_here(details)
        if takes and (faults := too_much(takes, self._most())):
            message = f"Workflow '{compiled.id}' asks for more than there is."
            raise UnfitDefinition(message, fields=faults)

    def _taken_here(self, details: Details) -> list[Take]:
        """Return what steps take of this machine, or of others like it."""
        elsewhere = self._machine.slots.elsewhere
        if elsewhere and self._machine.beside is None:
            return []
        return [take for take in details.takes if take.by_request or not elsewhere]

    def _most(self) -> Mapping[str, tuple[float, str]]:
        """Return the most that a task can have wherever it comes to run, and where that is."""
        slots = self._machine.of_requests.slots
        known = self._capacities.all() or [
            Capacity(slots.cpus, slots.most_bytes, os.uname().nodename)
        ]
        memory = ((c.memory_bytes, c.host) for c in known if c.memory_bytes is not None)
        return {
            Resource.CPUS: min((c.processors, c.host) for c in known),
            Resource.MEMORY: min(memory, default=(math.inf, "")),
        }

    def _plan(self, digest: str) -> Plan:
        return Plan.of(definitions.build(self._snapshots.get(digest)))

    def _workflow(self, compiled: Compiled) -> Workflow:
        return Workflow(
            id=compiled.id,
            name=compiled.name,
            application_id=self.name,
            environment_id=self.name,
            environment_name=self.name,
            orchestrator=self.name,
            description=compiled.description,
            stale=compiled.stale,
            owner=compiled.owner,
            version=compiled.version,
        )


def _beside(machine: Machine, account: Account | None, context: Context) -> Machine:
    """Return where requests are made, where commands do not run on the machine of the service."""
    settings = context.settings
    launcher = create_launcher(
        Chosen("local", NoOptions()),
        LauncherContext(settings.data_dir, account, executions_dir=machine.executions_dir),
    )
    return dataclasses.replace(
        machine,
        launcher=launcher,
        watch=JobWatch(launcher),
        slots=_slots(None, context),
        base_env=_environment(settings.engine.pass_env, account),
    )


def _slots(pool: Pool | None, context: Context) -> Slots:
    """Return the slots of a pool, or of this machine, which all engines of this process share."""
    known: dict[str | None, Slots] = context.shared.setdefault("slots", {})
    name = pool.name if pool else None
    if name not in known:
        engine = context.settings.engine
        known[name] = (
            Slots(pool.most_jobs, None, by_job=True)
            if pool
            else Slots(
                engine.max_parallel_tasks, engine.max_memory_bytes, most_bytes=machine_memory()
            )
        )
    return known[name]


def _environment(names: Iterable[str], account: Account | None) -> dict[str, str]:
    """Return the variables that every command of this machine gets."""
    handed_on = {name: os.environ[name] for name in names if name in os.environ}
    return account.environment(handed_on) if account else handed_on


def _mark(data_dir: Path) -> str:
    """Return the mark of this machine, also where the data folder cannot be written to."""
    try:
        return data_mark(data_dir)
    except (OSError, UnicodeDecodeError):
        return os.uname().nodename


def _quota(allowances: Allowances, roles: frozenset[Role]) -> Quota:
    allowance = allowances.of(roles)
    return Quota(allowance.definitions, allowance.definition_bytes)
