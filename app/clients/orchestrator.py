"""The contract between the gateway and whatever really runs the work.

An adapter keeps no state between calls: what it must remember of an execution it returns as a
reference (from :meth:`Orchestrator.trigger`) or a cursor (from :meth:`Orchestrator.observe`), and
gets back with the next call. What is cheap to rebuild (a login, a cache) may live in the object.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol, Self, cast

from app.clients.key_reader import KeyReader
from app.domain import (
    JSON,
    Carried,
    Checked,
    DefinitionSource,
    DefinitionText,
    DefinitionVersion,
    DesiredTaskState,
    DrivenExecution,
    ExecutionMetrics,
    ExecutionStatus,
    ExecutionSummary,
    FaultyWorkflow,
    FoundWorkflow,
    Identity,
    Launch,
    Node,
    Observation,
    Outcome,
    ResolvedWorkflow,
    SeriesPoint,
    Step,
    Workflow,
    WorkflowDescription,
)
from app.errors import CapabilityMissing, SlipwayError, UpstreamError
from app.settings import Settings
from app.store.database import Database
from app.store.owners import MayEdit
from app.store.standing import Along


class Capability(StrEnum):
    """What an orchestrator may be able to do beside the contract."""

    PAUSE = "pause"
    UPLOAD = "upload"
    ADOPT = "adopt"
    TASK_CONTROL = "control tasks"
    CONTINUE = "continue what has ended"
    SCALE = "scale"
    NODES = "tell its nodes"
    DRAIN = "drain nodes"
    METRICS = "measure"
    SUBMIT = "take submissions"


@dataclass(frozen=True, slots=True)
class Context:
    """What an orchestrator may be built with, beside its own options.

    Attributes:
        connections: Most requests that threads of this process make of it at the same time, so
            many connections are worth keeping.
        shared: What the orchestrators of this process share, by the name that those know who do.
        keys: Reads the private keys that people made here; None in processes that may not.
    """

    settings: Settings
    database: Database
    connections: int = 32
    shared: dict[str, Any] = field(default_factory=dict)
    keys: KeyReader | None = None


@dataclass(frozen=True, slots=True)
class LostLaunch(Launch):
    """A launch of which nobody knows whether it happened, and what it could be mistaken for.

    Attributes:
        rivals: Other launches of the workflow of which nobody knows either.
        under_way: Launches of the workflow that are being asked for right now.
        taken: References that other executions of the workflow hold.
    """

    rivals: tuple[Launch, ...] = ()
    under_way: tuple[Launch, ...] = ()
    taken: tuple[JSON, ...] = ()


@dataclass(frozen=True, slots=True)
class Polls:
    """What a process has asked of an upstream to watch executions.

    Attributes:
        taken: Requests so far.
        per_second: How many there may be in a second.
    """

    taken: int
    per_second: float


_METHODS: Mapping[Capability, tuple[str, ...]] = {
    Capability.PAUSE: ("pause", "resume"),
    Capability.UPLOAD: (
        "check",
        "upload",
        "remove",
        "withdraw",
        "definition",
        "versions",
        "home_of",
        "faulty",
        "settle",
    ),
    Capability.ADOPT: ("adopt", "lets_in"),
    Capability.TASK_CONTROL: ("control_task",),
    Capability.CONTINUE: ("carry_over", "hold_back"),
    Capability.SCALE: ("scale",),
    Capability.NODES: ("nodes", "node"),
    Capability.DRAIN: ("drain", "undrain"),
    Capability.METRICS: ("metrics", "series"),
    Capability.SUBMIT: ("submit",),
}


class Orchestrator(ABC):
    """Something that runs workflows.

    Attributes:
        Options: A dataclass whose fields are the settings of one orchestrator of this type; see
            :func:`app.settings.schema.setting`.
        name: Name from the configuration, unique within the service.
        capabilities: What it can do beside the contract. Each one stands for methods, which are
            checked when the class is defined: a flag without them, or they without it, is an error.
            An instance may have fewer than its class.
        bound_to_node: An execution can be observed only from the machine that began it; an instance
            may know it better than its class.
        computes: Looks at its executions compute here, rather than wait for answers of an upstream.
        keeps_files: Executions have files on disks of ours; see :meth:`remove_files`.
        tells_needs: The steps of a workflow say which others they wait for; else nothing is known
            of that.
        only_conductors: What it asks upstream, conductors must ask, but for what the contract of a
            method says of the store; an instance may know it better than its class.
        own_references: Each reference belongs to one execution only. What :meth:`find` gives is
            then checked against all others when it is stored.
    """

    Options: ClassVar[type]
    capabilities: frozenset[Capability] = frozenset()
    bound_to_node: bool = False
    computes: ClassVar[bool] = False
    own_references: ClassVar[bool] = False
    keeps_files: ClassVar[bool] = False
    tells_needs: ClassVar[bool] = True
    only_conductors: bool = False

    def __init_subclass__(cls) -> None:
        for capability, methods in _METHODS.items():
            for method in methods:
                if hasattr(cls, method) != (capability in cls.capabilities):
                    raise TypeError(f"{cls.__name__}: {capability} and {method}() go together")

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    @abstractmethod
    def create(cls, name: str, options: Any, context: Context) -> Self:
        """Build one from the settings; nothing of it runs yet, and nothing is asked for.

        Args:
            name: Its name.
            options: An instance of ``Options``, validated.
            context: What else there is.

        Raises:
            ConfigError: It cannot be built like this.
        """

    @abstractmethod
    def workflows(self, identity: Identity) -> list[Workflow]:
        """List what this user may launch.

        Raises:
            UpstreamError: The upstream failed, and nothing is known from before.
        """

    @abstractmethod
    def describe(self, workflow_id: str, identity: Identity) -> WorkflowDescription:
        """Return the inputs, outputs and steps of a workflow.

        Raises:
            NotFound: There is no such workflow for this user.
            UpstreamError: The upstream failed.
        """

    def look_up(
        self, reference: str, identity: Identity, *, anew: bool = False
    ) -> list[FoundWorkflow]:
        """Find what a user may launch by an id, or else by a name.

        By default it looks through the whole list; override it where less is enough.

        Args:
            reference: The id or name.
            identity: Who looks for it.
            anew: No orchestrator found it from memory, so look again, as far as that is bounded:
                whoever makes names up gets here each time.

        Raises:
            UpstreamError: The upstream failed, and nothing is known from before.
        """
        if anew:  # nothing was kept
            return []
        offered = self.workflows(identity)
        hits = [w for w in offered if w.id == reference]
        hits = hits or [w for w in offered if w.name == reference]
        return [FoundWorkflow(workflow.id, self.name) for workflow in hits]

    def resolve(
        self, found: FoundWorkflow, identity: Identity, *, anew: bool = False
    ) -> ResolvedWorkflow:
        """Read all that validating and launching a workflow takes.

        Args:
            found: As :meth:`look_up` gave it.
            identity: Who launches it. What this user may do is never told from memory.
            anew: Use nothing that was read before this request.

        Raises:
            NotFound: There is no such workflow for this user any more.
            UpstreamError: The upstream failed.
        """
        return ResolvedWorkflow(self.describe(found.id, identity))

    @abstractmethod
    def trigger(self, launch: Launch) -> JSON:
        """Start a workflow; on return the upstream has accepted it, not begun it.

        What starts is ``launch.workflow``, whose inputs were checked. It is not called for one that
        has its reference already; see :class:`ResolvedWorkflow`.

        Returns:
            The reference under which :meth:`observe` and :meth:`cancel` find it again.

        Raises:
            NotFound, InvalidRequest, Conflict, UpstreamRefused: It did not start, and never will.
            UpstreamUnreachable: It surely did not start; trying again is safe.
            UpstreamTimeout, UpstreamGarbled: It may have started; :meth:`find` will tell.
        """

    @abstractmethod
    def find(self, launch: LostLaunch) -> JSON:
        """Look a launch with unknown outcome up by its correlation mark.

        The conductor calls it for each such launch by itself, in any order, so the answers for
        rivals must agree with each other.

        Returns:
            Its reference, or None when it surely did not start.

        Raises:
            UpstreamError: Still unknown; ask again later.
        """

    @abstractmethod
    def observe(self, execution: DrivenExecution) -> Observation:
        """Return what changed since ``execution.cursor``, and work towards ``execution.desired``.

        The conductor calls it for one execution from one thread at a time, and stores what it
        returns before it calls again; ``poll_after_seconds`` counts from the beginning of a call.
        After a crash it may be called again with an old cursor: what it did in between must be
        found, not done twice.

        Raises:
            NotFound: The upstream has forgotten the execution.
            UpstreamError: Nothing is known now; the last status stays, and ages.
        """

    @abstractmethod
    def cancel(self, execution: DrivenExecution) -> None:
        """Ask for the end of an execution; on return the request is accepted, not carried out.

        The conductor may repeat it, so it is idempotent.

        Raises:
            Conflict: The upstream refused, with its reason.
            UpstreamError: The upstream failed.
        """

    def abandon(self, execution: DrivenExecution) -> str | None:
        """End what still runs of an execution that cannot be observed, before it is given up.

        Returns:
            What became of it, as sentences for its owner; None while it is being ended: ask again.
        """
        try:
            self.cancel(execution)
        except SlipwayError as exc:
            return f"It could not be cancelled ({exc.message.rstrip('.')}), and may still run."
        return "Its orchestrator was asked to cancel it."

    def remove_files(self, execution_id: str, seconds: float) -> bool:
        """Remove the files of an execution that has ended; it is called where they are.

        Args:
            execution_id: The execution.
            seconds: How long it may take, about.

        Returns:
            False where some are left: ask again.

        Raises:
            UpstreamError: They cannot be removed now.
        """
        return True

    @abstractmethod
    def health(self) -> None:
        """Check that the orchestrator can be used.

        Raises:
            UpstreamError: It cannot, and the message says why.
        """

    def examine(self, owner: str) -> Sequence[Checked]:
        """Look at all that the orchestrator needs, one thing after the other; it may take a minute.

        A conductor calls it for somebody who wants to know what is wrong, and how to mend it.

        Args:
            owner: Who asks: what is theirs alone, such as an account, is looked at, too.
        """
        del owner
        try:
            self.health()
        except UpstreamError as exc:
            return [Checked("service", Outcome.FAILED, exc.message)]
        return [Checked("service", Outcome.OK, "it answers")]

    def tend(self) -> None:  # noqa: B027
        """Do what is to be done now and then, whether or not there are executions.

        Conductors call it about twice a minute, each in a thread of its own.

        Raises:
            SlipwayError: It cannot be done now.
        """

    def listen(self, wake: Callable[[str], None]) -> None:  # noqa: B027
        """Offer a way to be observed sooner than the poll interval.

        The conductor calls it once. The adapter may then call ``wake(execution_id)`` from any
        thread when something happened; losing a call costs time only.
        """

    def polls(self) -> Polls | None:
        """Return how much of its upstream watching takes; None where nothing bounds that."""
        return None

    def upstream_id(self, reference: JSON) -> str | None:
        """Return the id under which an execution is known to the upstream's own users, if it is.

        Args:
            reference: As :meth:`trigger` or :meth:`find` gave it.
        """
        return None

    def exec_id(self, execution_id: str) -> str | None:
        """Return another id of ours that an execution has from its launch on; None for none.

        It stands where :meth:`upstream_id` would, and no two executions have the same.

        Args:
            execution_id: Our own id.
        """
        return None

    def definition_digest(self, reference: JSON) -> str | None:
        """Return what names the definition that an execution was launched from.

        Executions of the same workflow have the same one if, and only if, they run the same.

        Args:
            reference: As :meth:`trigger` or :meth:`find` gave it; None while there is none.

        Returns:
            Under which the store keeps definitions, see
            :class:`app.store.definitions.DefinitionSnapshots`; None for one that is kept elsewhere.
        """
        return None

    def launched_steps(self, reference: JSON, owner: str) -> tuple[Step, ...] | None:
        """Return the steps of what an execution was launched from.

        Args:
            reference: As :meth:`trigger` or :meth:`find` gave it; None while there is none.
            owner: Who wants them; where that is work, turns go round by owner.

        Returns:
            The steps; None where only the workflow as it is now is known.

        Raises:
            LimitExceeded: Too much of this owner waits for its turn.
        """
        return None

    def require(self, capability: Capability) -> None:
        """Make sure of a capability before it is used.

        Raises:
            CapabilityMissing: The orchestrator cannot do that.
        """
        if capability not in self.capabilities:
            raise CapabilityMissing(f"The orchestrator '{self.name}' cannot {capability}.")


class Pauser(Protocol):
    """What :attr:`Capability.PAUSE` adds."""

    def pause(self, execution: DrivenExecution) -> None:
        """Ask for a pause; on return the request is accepted, not carried out."""

    def resume(self, execution: DrivenExecution) -> None:
        """Ask for the end of a pause; on return the request is accepted, not carried out."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Of an upload: the definition of a workflow that stands, see :class:`StandingWorkflow`.

    Attributes:
        owner: Who keeps it; the upload is theirs, whoever sends it.
        along: What the store writes in the same transaction.
    """

    owner: str
    along: Along


class Uploader(Protocol):
    """What :attr:`Capability.UPLOAD` adds."""

    def check(self, document: DefinitionSource, identity: Identity) -> WorkflowDescription:
        """Check a definition as :meth:`upload` does, and keep nothing of it.

        Args:
            document: YAML or JSON.
            identity: Who would upload it.

        Returns:
            The workflow that it would be, if nobody has one of its id.

        Raises:
            InvalidDefinition: With all of its faults.
            LimitExceeded: Too many definitions of this user wait to be checked.
        """

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
        """Add a definition, or put one in the place of another; its text is kept as it is.

        Args:
            document: YAML or JSON; a text without its media type is YAML.
            workflow_id: The workflow that it is for; None adds a new one.
            identity: Who uploads it.
            may_edit: Whose it may take the place of.
            keeping: It is that of a workflow that stands.
            base: Number of the version that it must take the place of; None for any.

        Returns:
            The workflow, and whether it is new.

        Raises:
            InvalidDefinition: With all of its faults.
            Taken: A new one has the id of one that exists.
            NotOwner: It would take the place of one of somebody else.
            Outdated: It would take the place of another version.
            LimitExceeded: Too many definitions of this user wait to be checked.
        """

    def remove(self, workflow_id: str, *, may_edit: MayEdit = lambda _: True) -> None:
        """Remove a definition; executions of it go on.

        Args:
            workflow_id: Its id.
            may_edit: Whose it may be.

        Raises:
            NotFound: There is none with this id.
            NotOwner: It is of somebody else.
        """

    def definition(self, workflow_id: str, number: int | None = None) -> DefinitionText:
        """Return the text of a definition, exactly as it was given.

        Args:
            workflow_id: Its id.
            number: Of a version; None for what is offered now.

        Raises:
            NotFound: There is no such workflow or version, or it is not kept any more.
            Conflict: It is in a file, which holds something else by now.
        """

    def versions(self, workflow_id: str) -> list[DefinitionVersion]:
        """List the versions that are kept of a definition, the newest first.

        Returns:
            None at all for one that was not uploaded.

        Raises:
            NotFound: There is no such workflow.
        """

    def withdraw(self, workflow_id: str, along: Along) -> None:
        """Offer a definition no more, of a workflow that goes on to stand.

        Args:
            workflow_id: Its id; there need be none.
            along: What the store writes in the same transaction.
        """

    def home_of(self, workflow_id: str) -> str:
        """Return the absolute path of a folder for the files of a workflow that stands.

        It is the same for all of its executions, and made by the first that works in it.
        """

    def faulty(self) -> list[FaultyWorkflow]:
        """Return which definitions are not offered as they are, by file."""

    def settle(self) -> bool:
        """Wait for definitions that have changed and are being read.

        Returns:
            Whether there were any, or were until just now: then there may be workflows that there
            were not before.
        """


@dataclass(frozen=True, slots=True)
class Adoption:
    """An execution that was started elsewhere, and that the gateway may take over.

    Attributes:
        reference: As :meth:`Orchestrator.trigger` would have given it.
        workflow_id: Id of its workflow, which names application and environment.
    """

    reference: JSON
    workflow_id: str
    workflow_name: str
    status: ExecutionStatus
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Adopter(Protocol):
    """What :attr:`Capability.ADOPT` adds."""

    def adopt(self, upstream_id: str, identity: Identity) -> Adoption | None:
        """Look an execution up by the upstream's own id.

        Returns:
            What it is; None when there is none, or its application is not visible to the user.

        Raises:
            UpstreamError: The upstream failed.
        """

    def lets_in(self, workflow_id: str, identity: Identity) -> bool:
        """Return whether a user may see what runs of a workflow, offered at the moment or not.

        Raises:
            UpstreamError: The upstream failed, and nothing is known from before.
        """


class TaskController(Protocol):
    """What :attr:`Capability.TASK_CONTROL` adds."""

    def control_task(
        self, execution: DrivenExecution, task: str, desired: DesiredTaskState
    ) -> None:
        """Ask for a state of one task; on return the request is accepted, not carried out.

        It is what a user wants from now on, not a step, and is written down after this call: what
        was asked for last holds. :meth:`Orchestrator.observe` works towards it, also after a crash
        in between: where ``execution.task_wishes`` is another number than at the last observation,
        it reads them from :class:`app.store.task_wishes.TaskWishes`.

        Raises:
            NotFound: The execution has no such task.
            Conflict: The task can never come to that state, with the reason.
            UpstreamError: The upstream failed.
        """


class Continuer(Protocol):
    """What :attr:`Capability.CONTINUE` adds."""

    def carry_over(
        self, execution: DrivenExecution, run: Collection[str], keep: Collection[str]
    ) -> Carried:
        """Prepare an execution that goes on from one that has ended, which stays as it is.

        The new one is launched with the same reference, and observed with what this returns.

        Args:
            execution: The one that has ended.
            run: Names of the tasks that run again, each once those of them that it needs have
                succeeded.
            keep: Names of all others: they stay as they came to be, and count as given.

        Raises:
            Conflict: It cannot be continued any more.
            UpstreamError: Nothing is known of it now.
        """

    def hold_back(self, run: Collection[str], keep: Collection[str]) -> Carried:
        """Prepare an execution that begins from nothing, in which some tasks are not to run.

        Args:
            run: Names of the tasks that run, at once, whatever they wait for.
            keep: Names of all others.
        """


class Submitter(Protocol):
    """What :attr:`Capability.SUBMIT` adds."""

    def submit(
        self, definition: str | Mapping[str, JSON], identity: Identity, *, may_edit: MayEdit
    ) -> FoundWorkflow:
        """Take a definition that is to be launched right away, and offer it from now on.

        It takes the place of an earlier one of the same id; executions of that go on.

        Args:
            definition: The text of one, or the object that it says.
            identity: Who submits it.
            may_edit: Whose it may take the place of.

        Returns:
            Exactly this definition, whatever is submitted meanwhile.

        Raises:
            InvalidDefinition: With all of its faults.
            NotOwner: It would take the place of one of somebody else.
            LimitExceeded: Too many definitions of this user wait to be checked.
        """


class Scaler(Protocol):
    """What :attr:`Capability.SCALE` adds."""

    def scale(self, execution: DrivenExecution, target_vus: int, identity: Identity) -> None:
        """Ask for another number of virtual users; on return that is written down.

        Raises:
            InvalidRequest: It is more than this caller may have, or than the execution can.
            Conflict: The execution has ended, or its end was asked for.
            NodesMissing: The nodes that there are cannot carry them.
        """


class NodeKeeper(Protocol):
    """What :attr:`Capability.NODES` adds."""

    def nodes(self) -> list[Node]:
        """List the nodes, by id, those that are away among them."""

    def node(self, node_id: str) -> Node:
        """Return one.

        Raises:
            NotFound: There is none with this id.
        """


class Drainer(Protocol):
    """What :attr:`Capability.DRAIN` adds.

    Where ``only_conductors`` is set, conductors call it, for whoever asked a web process.
    """

    def drain(self, node_id: str) -> None:
        """Give a node no new work; what it has begun goes on to its end.

        Raises:
            NotFound: There is none with this id.
        """

    def undrain(self, node_id: str) -> None:
        """Let a node have new work again.

        Raises:
            NotFound: There is none with this id.
        """


class Meter(Protocol):
    """What :attr:`Capability.METRICS` adds."""

    def metrics(self, execution: ExecutionSummary) -> ExecutionMetrics:
        """Return what an execution has done so far; all zeros before it has begun."""

    def series(self, execution: ExecutionSummary) -> Sequence[SeriesPoint]:
        """Return its course; a few hundred points at most, in the order of time."""


def bound_to_node(orchestrators: Mapping[str, Orchestrator]) -> list[str]:
    """Name those whose executions stay on the machine that began them."""
    return [name for name, behind in orchestrators.items() if behind.bound_to_node]


def with_files(orchestrators: Mapping[str, Orchestrator]) -> dict[str, bool]:
    """Name those whose executions have files of ours, and whether one machine alone has them."""
    return {
        name: behind.bound_to_node for name, behind in orchestrators.items() if behind.keeps_files
    }


def pauser(orchestrator: Orchestrator) -> Pauser:
    """Return the orchestrator as one that pauses.

    Raises:
        CapabilityMissing: It cannot.
    """
    orchestrator.require(Capability.PAUSE)
    return cast(Pauser, orchestrator)


def task_controller(orchestrator: Orchestrator) -> TaskController:
    """Return the orchestrator as one whose tasks can be controlled one by one.

    Raises:
        CapabilityMissing: They cannot.
    """
    orchestrator.require(Capability.TASK_CONTROL)
    return cast(TaskController, orchestrator)


def continuer(orchestrator: Orchestrator) -> Continuer:
    """Return the orchestrator as one whose ended executions can go on in new ones.

    Raises:
        CapabilityMissing: They cannot.
    """
    orchestrator.require(Capability.CONTINUE)
    return cast(Continuer, orchestrator)


def submitter(orchestrator: Orchestrator) -> Submitter:
    """Return the orchestrator as one that takes submissions.

    Raises:
        CapabilityMissing: It does not.
    """
    orchestrator.require(Capability.SUBMIT)
    return cast(Submitter, orchestrator)


def scaler(orchestrator: Orchestrator) -> Scaler:
    """Return the orchestrator as one whose executions can be scaled.

    Raises:
        CapabilityMissing: They cannot.
    """
    orchestrator.require(Capability.SCALE)
    return cast(Scaler, orchestrator)


def node_keeper(orchestrator: Orchestrator) -> NodeKeeper:
    """Return the orchestrator as one that tells its nodes.

    Raises:
        CapabilityMissing: It does not.
    """
    orchestrator.require(Capability.NODES)
    return cast(NodeKeeper, orchestrator)


def drainer(orchestrator: Orchestrator) -> Drainer:
    """Return the orchestrator as one whose nodes can be drained.

    Raises:
        CapabilityMissing: They cannot.
    """
    orchestrator.require(Capability.DRAIN)
    return cast(Drainer, orchestrator)


def meter(orchestrator: Orchestrator) -> Meter:
    """Return the orchestrator as one that measures.

    Raises:
        CapabilityMissing: It does not.
    """
    orchestrator.require(Capability.METRICS)
    return cast(Meter, orchestrator)


def uploader(orchestrator: Orchestrator) -> Uploader:
    """Return the orchestrator as one that takes uploads.

    Raises:
        CapabilityMissing: It does not.
    """
    orchestrator.require(Capability.UPLOAD)
    return cast(Uploader, orchestrator)


def adopter(orchestrator: Orchestrator) -> Adopter:
    """Return the orchestrator as one whose executions can be adopted.

    Raises:
        CapabilityMissing: They cannot.
    """
    orchestrator.require(Capability.ADOPT)
    return cast(Adopter, orchestrator)
