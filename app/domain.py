"""The vocabulary of the gateway: value objects and enums, no input or output."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, IntFlag, StrEnum
from functools import lru_cache
from typing import Any, Final

from app.errors import FieldError

JSON = Any
"""A value that ``json`` can write: None, bool, int, float, str, list or dict of such."""


class ExecutionStatus(StrEnum):
    """State of an execution; the final ones never change again."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    UNKNOWN = "UNKNOWN"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether an execution stays in this state for ever."""
        return self in FINAL_STATUSES


FINAL_STATUSES = frozenset(
    {ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}
)
OPEN_STATUSES = frozenset(ExecutionStatus) - FINAL_STATUSES


class TaskStatus(StrEnum):
    """State of one task of an execution."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether the task has ended, or never will begin."""
        return self is not TaskStatus.PENDING and self not in BEGUN


BEGUN: Final = (TaskStatus.RUNNING, TaskStatus.PAUSED)
"""Statuses of tasks that have begun and not ended."""


class NodeState(StrEnum):
    """State of a machine, or of a process on one, that works for the service."""

    ONLINE = "online"
    BUSY = "busy"
    """It has no room for more, or no processor time."""
    DRAINING = "draining"
    OFFLINE = "offline"


class DesiredState(StrEnum):
    """What the user wants of an execution; the conductor makes it so."""

    RUN = "RUN"
    PAUSE = "PAUSE"
    CANCEL = "CANCEL"


class DesiredTaskState(StrEnum):
    """What the user wants of one task from now on; the conductor makes it so."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class LogStream(IntEnum):
    """Where the command of a task wrote a line; the store keeps the numbers."""

    NONE = 0
    """No command wrote it, or nobody knows where."""
    STDOUT = 1
    STDERR = 2


class Level(IntFlag):
    """Level of a log entry; the bits combine to a filter."""

    DEBUG = 1
    INFO = 2
    WARN = 4
    ERROR = 8


LEVEL_NAMES: Final = {int(level): str(level.name) for level in Level}
ALL_LEVELS = Level.DEBUG | Level.INFO | Level.WARN | Level.ERROR
DEFAULT_LEVELS = Level.INFO | Level.WARN | Level.ERROR


USERNAME: Final = re.compile(r"[^:\s\x00-\x1f\x7f\ud800-\udfff]{1,100}")
"""What a user may be called: no colon (RFC 7617, 2), no spaces, nothing that no store keeps."""


class Role(StrEnum):
    """What somebody is to the service; `app.identity.permissions` says what each role may do."""

    USER = "user"
    DEVELOPER = "developer"
    OPERATOR = "operator"
    ADMIN = "admin"
    SLAVE = "slave"


class Permission(StrEnum):
    """One thing that the service can be asked for; each endpoint declares which."""

    WORKFLOWS_READ = "workflows:read"
    WORKFLOWS_WRITE = "workflows:write"
    WORKFLOWS_ALL = "workflows:all"
    WORKFLOWS_FAULTS = "workflows:faults"
    EXECUTIONS_RUN = "executions:run"
    EXECUTIONS_READ = "executions:read"
    EXECUTIONS_CANCEL = "executions:cancel"
    EXECUTIONS_STEER = "executions:steer"
    EXECUTIONS_PURGE = "executions:purge"
    TASKS_STEER = "tasks:steer"
    EXECUTIONS_ABANDON = "executions:abandon"
    EXECUTIONS_SHARED = "executions:shared"
    EXECUTIONS_ALL = "executions:all"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    NODES_READ = "nodes:read"
    NODES_WRITE = "nodes:write"
    NODES_JOIN = "nodes:join"
    SYSTEM_READ = "system:read"
    AUDIT_READ = "audit:read"
    USERS_MANAGE = "users:manage"
    IDENTITY_READ = "identity:read"
    PASSWORD_WRITE = "password:write"  # noqa: S105  (no password)
    TOKENS_WRITE = "tokens:write"


@dataclass(frozen=True, slots=True)
class Credential:
    """What somebody signed in with; never the secret itself.

    Attributes:
        authenticator: Name of the authenticator that verified it, and can do so again.
        id: What the authenticator knows it by, such as the user name or the id of a key.
        expires_at: When it ends by itself; None where it does not.
        begun_with: What it was got with and stands for, as a session does; None for what stands for
            itself.
    """

    authenticator: str
    id: str
    expires_at: datetime | None = None
    begun_with: Credential | None = None

    @property
    def origin(self) -> Credential:
        """What it was got with, or else it itself."""
        return self.begun_with or self


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking, and with what.

    Attributes:
        scopes: The permissions that the credential is restricted to; None where the roles alone
            decide. A scope never adds a permission that the roles do not give.
        shared: Everybody who calls has this identity, so limits of one user do not apply to it.
        credential: What to ask about when a request lasts. It does not count when two identities
            are compared: a user with the same rights is the same, whatever they sign in with.
    """

    username: str
    roles: frozenset[Role]
    scopes: frozenset[Permission] | None = None
    shared: bool = False
    credential: Credential = field(default=Credential("", ""), compare=False)


class AuditResult(StrEnum):
    """What became of something that is audited."""

    SUCCESS = "success"
    REFUSED = "refused"
    """Allowed, but not possible: the request or the thing was at fault."""
    DENIED = "denied"
    """Not allowed, or nobody knows who asked."""
    FAILED = "failed"
    """The service, or something behind it, was at fault."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who did what, or tried to; no secret is in it.

    Attributes:
        action: Stable word, such as ``executions:cancel`` or ``sign-in``.
        result: What became of it.
        target: What it was about: an address of the API, such as ``/users/ada``.
        username: Who it was. Of a sign-in that failed, whom the credential claimed to be, if there
            is such a user; None where nobody knows.
        credential: Way to sign in, and what it knows the credential by, such as ``basic:ada``.
        address: Where the request came from.
        request_id: Under which the service's log has more.
        detail: Words for people.
        times: How often, of events of one minute that differ in time and request only.
        at: When, or when first.
    """

    action: str
    result: AuditResult
    target: str = ""
    username: str | None = None
    credential: str | None = None
    address: str | None = None
    request_id: str | None = None
    detail: str = ""
    times: int = 1
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which audited events are wanted; what is None does not restrict them.

    Attributes:
        target: What the target is, or begins with up to a ``/``.
        since: The first moment that counts.
        until: The first moment that does not count any more.
    """

    username: str | None = None
    action: str | None = None
    result: AuditResult | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Workflow:
    """One workflow that can be launched, as lists show it.

    Attributes:
        id: Unique within its orchestrator.
        stale: True when the upstream did not answer, or the definition is faulty by now, and this
            is what it said last.
        owner: Username of who uploaded its definition first, and may replace and remove it; None
            where it was not uploaded.
        version: Number of its definition among those that were uploaded; None as ``owner``.
    """

    id: str
    name: str
    application_id: str
    environment_id: str
    environment_name: str
    orchestrator: str
    description: str = ""
    stale: bool = False
    owner: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class DefinitionSource:
    """The text of a definition as a user gives it.

    Attributes:
        media_type: Of the text, as RFC 9512 and RFC 8259 name them.
    """

    text: str
    media_type: str = "application/yaml"


@dataclass(frozen=True, slots=True)
class DefinitionText(DefinitionSource):
    """The text of a definition that is kept, exactly as it was given.

    Attributes:
        version: Its number; None where it was not uploaded, but stands in a file.
    """

    version: int | None = None


@dataclass(frozen=True, slots=True)
class DefinitionVersion:
    """One version of a definition, without its text.

    Attributes:
        size_bytes: Of its text in UTF-8.
        uploaded_by: Username of who uploaded it.
    """

    version: int
    media_type: str
    size_bytes: int
    uploaded_by: str
    uploaded_at: datetime


@dataclass(frozen=True, slots=True)
class FaultyWorkflow:
    """A definition that is not offered as it is.

    Attributes:
        file: Name of its file; ``.`` is the folder of them all.
        workflow_id: The workflow that it is about, as far as that is known.
        faults: What is wrong with it.
        offered: Whether its last good version goes on being offered.
    """

    file: str
    workflow_id: str | None
    faults: tuple[FieldError, ...]
    offered: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """One input of a workflow.

    Attributes:
        type: JSON Schema's name of the type.
        schema: JSON Schema of the value, with bounds and allowed values.
        refusal: Why no value but the default can be given; empty where one can.
    """

    name: str
    type: str
    required: bool
    default: JSON = None
    description: str = ""
    schema: Mapping[str, JSON] = field(default_factory=dict)
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """One named result of a workflow."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a workflow and the steps that it waits for.

    Attributes:
        title: Its name for people, where that is another one.
    """

    name: str
    type: str
    needs: tuple[str, ...] = ()
    description: str = ""
    title: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowDescription:
    """What somebody must know to launch a workflow."""

    workflow: Workflow
    inputs: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class FoundWorkflow:
    """A workflow that a user named.

    Attributes:
        id: Unique within its orchestrator.
        orchestrator: Name of the orchestrator that offers it.
        origin: What the orchestrator read to find it; only the orchestrator looks inside.
    """

    id: str
    orchestrator: str
    origin: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ResolvedWorkflow:
    """A workflow as it is validated and launched: both use this, so nothing changes in between.

    Attributes:
        origin: What the orchestrator needs to launch exactly this; only the orchestrator looks
            inside.
        reference: Under which the orchestrator finds each execution of it, where that is known
            before the launch. Then writing the launch down is all that it takes, and nobody asks
            the orchestrator to trigger it.
        kept: The orchestrator may have read part of it before this request, so it may have changed.
        kept_by: Username of who keeps it as a workflow that stands; empty where nobody does.
    """

    description: WorkflowDescription
    origin: Any = field(default=None, compare=False, repr=False)
    reference: JSON = None
    kept: bool = False
    kept_by: str = ""


@dataclass(frozen=True, slots=True)
class NewLogEntry:
    """A log entry that is not in the journal yet.

    Attributes:
        timestamp_ms: Milliseconds since the epoch, UTC.
        task: Name of the task that wrote it; empty for the execution itself.
        upstream_id: The upstream's own id of the line, for de-duplication.
        stream: Where the command of the task wrote it.
    """

    level: Level
    timestamp_ms: int
    content: str
    task: str = ""
    upstream_id: str | None = None
    stream: LogStream = LogStream.NONE


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of the journal.

    Attributes:
        sequence: Its place in the journal, from 0; never changes.
        level: One of the bits of :class:`Level`.
        stream: One of :class:`LogStream`.
    """

    sequence: int
    level: int
    timestamp_ms: int
    task: str
    content: str
    stream: int = 0


def log_timestamp(timestamp_ms: int) -> str:
    """Write the moment of a log entry, such as ``2022-10-20T12:32:29.774Z``."""
    seconds, rest = divmod(timestamp_ms, 1000)
    return f"{_iso_second(seconds)}.{rest:03d}Z"


@lru_cache(4096)
def _iso_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a task takes of its machine: the tree of its processes; None where nobody can know.

    Attributes:
        cpu_seconds: Processor time so far, of all of its processes, in seconds.
        cpu_percent: Processor time between the last two measurements, in percent of one processor.
        memory_bytes: Resident memory at the last measurement. What processes share counts for each.
        memory_peak_bytes: The most of it that was measured, or that one process had.
    """

    cpu_seconds: float | None = None
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None


LAST_LINES: Final = "; its last lines:\n"
"""What stands in the error of a task between why it failed and what it wrote last."""


def reason_in(error: str | None) -> str:
    """Return what an error says without the last lines of a task that it may repeat."""
    return (error or "").partition(LAST_LINES)[0]


@dataclass(frozen=True, slots=True)
class Task:
    """State of one task (one step of an execution).

    Attributes:
        exit_code: Exit code of the last attempt; ``128 + n`` when signal ``n`` killed it.
        attempts: Number of attempts begun, of all its runs.
        node: Machine that ran it, where known.
        title: Its name for people, where that is another one; it stays as the launch wrote it.
        run: Number of its run: 0 is the one that the workflow has of it, and each that was asked
            for by name has one more.
        continued_from: Id of the execution in which it came to this, where that is an earlier one.
        ready_at: Since when its last attempt could have begun, where that is known: what the task
            needs had ended, or the attempt before.
        waits_for: What it waits for, where that is known: ``kind`` (``processors``, ``memory``,
            ``pool``, ``turn``, ``queue``, ``launcher``, ``retry`` or ``tasks``), ``reason`` in
            words, and of a retry ``until`` (RFC 3339), of other tasks ``tasks`` (some of their
            names).
        cpu_seconds, cpu_percent, memory_bytes, memory_peak_bytes: As in :class:`Usage`, of the last
            attempt; orchestrators tell them by :attr:`Observation.usage`.
    """

    name: str
    status: TaskStatus
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    attempts: int = 0
    node: str | None = None
    error: str | None = None
    title: str | None = None
    run: int = 0
    continued_from: str | None = None
    ready_at: datetime | None = None
    waits_for: JSON = None
    cpu_seconds: float | None = None
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None

    def __post_init__(self) -> None:
        """Let what has ended wait for nothing, however it came to that end."""
        if self.waits_for is not None and self.status.final:
            object.__setattr__(self, "waits_for", None)


MOST_ATTEMPTS: Final = 20
"""Attempts of a task that are kept beside its last one."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a task.

    Attributes:
        task: Name of the task.
        number: From 1, of all runs of the task.
        status: How it ended, or how it is.
        ready_at, started_at, finished_at, exit_code, node, run: As in :class:`Task`.
    """

    task: str
    number: int
    status: TaskStatus
    ready_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    node: str | None = None
    run: int = 0

    @classmethod
    def last_of(cls, task: Task) -> Attempt | None:
        """Return the last attempt of a task; None where it has not begun, or did so elsewhere."""
        if task.continued_from is not None or (task.started_at is None and not task.attempts):
            return None
        tried_again = task.finished_at is not None and not task.status.final
        return cls(
            task=task.name,
            number=max(task.attempts, 1),
            status=TaskStatus.FAILED if tried_again else task.status,
            ready_at=task.ready_at,
            started_at=task.started_at,
            finished_at=task.finished_at,
            exit_code=task.exit_code,
            node=task.node,
            run=task.run,
        )


@dataclass(frozen=True, slots=True)
class TaskWish:
    """What the user wants of one task, beside what the workflow says of it.

    Attributes:
        desired: ``RUNNING`` means that the run with this number goes on, or came to its end by
            itself; ``STOPPED`` that nothing of the task runs, and nothing of it begins.
        generation: How many runs of it were asked for by name; 0 is the run that the workflow has
            of it. A higher number than that of the last run means another one: what runs of the
            task is ended before it begins.
    """

    desired: DesiredTaskState
    generation: int


@dataclass(frozen=True, slots=True)
class ControlledTask:
    """One task as it stands when somebody wants something of it.

    Attributes:
        status: As its conductor saw it last.
        run: Number of its last run, see :class:`Task`.
        wish: What is wanted of it already; None if nothing is.
    """

    status: TaskStatus
    run: int
    wish: TaskWish | None

    @property
    def is_awaited(self) -> bool:
        """Whether a run of it was asked for that has not begun to be made."""
        wish = self.wish
        return (
            wish is not None
            and wish.desired is DesiredTaskState.RUNNING
            and wish.generation > self.run
        )

    @property
    def is_stopped(self) -> bool:
        """Whether it is wanted that nothing of it runs."""
        return self.wish is not None and self.wish.desired is DesiredTaskState.STOPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSummary:
    """One run of a workflow, as lists and streams of events show it; nothing of it is large.

    Attributes:
        number: Key within the store; never shown to callers.
        awf_name: Its other name, see :mod:`app.execution_names`.
        as_of: When the status was last known to be true.
        progress: Share of the work that is done, 0 to 1.
        upstream_id: Id under which the upstream's own users know it; None where there is none.
        continues: Id of the execution that had ended, and goes on in this one.
        changed: Number of its last change that readers can see, its tasks' among them.
        workflow_version: Version of the definition that it runs; None where it was not uploaded.
        name: What its owner calls it, see :mod:`app.labels`; None where they did not say.
        labels: What they find it by, see there.
    """

    number: int
    id: str
    awf_name: str
    orchestrator: str
    workflow_id: str
    workflow_name: str
    owner: str
    status: ExecutionStatus
    created_at: datetime
    as_of: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    progress: float = 0.0
    upstream_id: str | None = None
    continues: str | None = None
    changed: int = 0
    workflow_version: int | None = None
    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Brief:
    """What a list says of an execution beside its state.

    Attributes:
        tasks: What runs or is paused of one that goes on, as people call it: the first ones.
        active: How many do.
        waits_for: What it waits for, in words, where nothing of it runs; None where nobody says.
        failed_task: What failed of one that failed, as people call it.
        exit_code: Of that.
        reason: Why it failed: one line; None where nobody says.
    """

    tasks: tuple[str, ...] = ()
    active: int = 0
    waits_for: str | None = None
    failed_task: str | None = None
    exit_code: int | None = None
    reason: str | None = None


NO_BRIEF: Final = Brief()
"""Nothing is to be said."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An execution that was purged.

    Attributes:
        number: Its key within the store.
        name: Its other name, see :mod:`app.execution_names`.
        purged_by: Who asked for it, or what.
    """

    number: int
    id: str
    name: str
    orchestrator: str
    workflow_id: str
    owner: str
    purged_at: datetime
    purged_by: str

    def __str__(self) -> str:
        """Say it in a sentence for those who may know."""
        moment = f"{self.purged_at:%Y-%m-%dT%H:%M:%SZ}"
        return f"The execution was purged on {moment} by {self.purged_by}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution(ExecutionSummary):
    """One run of a workflow, as those see it who read it and its log.

    Attributes:
        log_counts: Number of log entries by level, DEBUG to ERROR.
        log_bytes: Size of those entries as text, by level; see :func:`app.log_lines.log_line`.
        log_complete: No entry can come any more.
        log_purged_at: Since when the entries are gone, although they still count.
    """

    inputs: Mapping[str, JSON]
    outputs: Mapping[str, JSON] = field(default_factory=dict)
    log_counts: tuple[int, int, int, int] = (0, 0, 0, 0)
    log_bytes: tuple[int, int, int, int] = (0, 0, 0, 0)
    log_complete: bool = False
    log_purged_at: datetime | None = None

    @property
    def log_total(self) -> int:
        """Number of entries in the journal, of all levels."""
        return sum(self.log_counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrivenExecution(Execution):
    """One run of a workflow, as its conductor and its orchestrator know it.

    Attributes:
        desired: What its user wants of it.
        task_wishes: How often its user wanted something of single tasks. Whoever knows of fewer
            reads the wishes again, see :class:`app.store.task_wishes.TaskWishes`.
        reference: What the orchestrator needs to find its side again; None until it accepted.
        cursor: The adapter's own bookmark, given back to it at each observation.
        followed_until: Until when somebody waits for news of it, as far as is known.
        tries: Looks at it that began, and of which none was stored since.
    """

    desired: DesiredState
    task_wishes: int = 0
    reference: JSON = None
    cursor: JSON = None
    followed_until: datetime | None = None
    tries: int = field(default=0, compare=False)

    def is_followed(self, at_seconds: float) -> bool:
        """Return whether somebody waits for news of it at a moment, in seconds since the epoch."""
        return self.followed_until is not None and self.followed_until.timestamp() > at_seconds


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions a list shows; None shows all.

    Attributes:
        owners: Names of the users of whom any may own them.
        workflow: Id or name of their workflow.
        workflow_id: Its id, and no name.
        orchestrator: Name of the one behind which they run.
        name: What their owner calls them.
        labels: Keys of labels that they have, each with its value; None for any value.
        prefix: How their id begins, their other name, or their ``exec-`` id.
        called: The same, or what their owner calls them.
        created_since: When they were launched at the earliest.
        active_since: They have not ended, or did so at this moment at the earliest.
        oldest_first: The order of the list; without it the newest come first.
    """

    owners: frozenset[str] | None = None
    workflow: str | None = None
    states: frozenset[ExecutionStatus] | None = None
    continues: str | None = None
    workflow_id: str | None = None
    orchestrator: str | None = None
    name: str | None = None
    labels: tuple[tuple[str, str | None], ...] = ()
    prefix: str | None = None
    called: str | None = None
    created_since: datetime | None = None
    active_since: datetime | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class CommandTask:
    """A task as its maker gave it: one command, and what it needs of others.

    Attributes:
        command: Program and arguments as one text, split into words as a POSIX shell does it.
        args: Further arguments, each as it is; None where none were given.
        working_dir: Folder of the command; None for that of the execution.
        env: Variables; None where none were given.
        inputs: By any name, ``<task>/<output>``: an output of another task.
        outputs: Paths of files, by name.
        base_env: Variables that those of ``env`` win over.
        log_dir: Folder for what the command writes to its two streams; None for none.
    """

    name: str
    command: str
    args: Sequence[str] | None = None
    working_dir: str | None = None
    env: Mapping[str, str] | None = None
    inputs: Mapping[str, str] | None = None
    outputs: Mapping[str, str] | None = None
    base_env: Mapping[str, str] = field(default_factory=dict)
    log_dir: str | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """All of its own variables."""
        return {**self.base_env, **(self.env or {})}


@dataclass(frozen=True, slots=True)
class NewStandingWorkflow:
    """A workflow that is made to stand; see :class:`StandingWorkflow`."""

    name: str
    workflow_id: str
    orchestrator: str
    owner: str
    working_dir: str
    tasks: Sequence[CommandTask]


@dataclass(frozen=True, slots=True)
class StandingWorkflow:
    """A workflow that is a definition and a run in one.

    Attributes:
        number: Key within the store; never shown to callers.
        name: As its maker gave it; it is never given again.
        workflow_id: Under which its orchestrator offers the definition.
        owner: Who made it.
        working_dir: Folder of what its tasks do.
        version: Another number after each change, and each execution.
        execution: The current one, which its owner or an operator began; None before the first.
    """

    number: int
    name: str
    workflow_id: str
    orchestrator: str
    owner: str
    working_dir: str
    version: int
    created_at: datetime
    execution: ExecutionSummary | None = None


@dataclass(frozen=True, slots=True)
class StandingTask:
    """One task of a workflow that stands.

    Attributes:
        spec: As its maker gave it.
        task_id: Its name in executions.
        state: In the current execution; None before the first.
    """

    spec: CommandTask
    task_id: str
    created_at: datetime
    state: Task | None = None


LAUNCH_REACH_SECONDS = 3600.0
"""What began later than this after a launch was written down is not what it began."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch that the gateway has written down and now asks an orchestrator for.

    Attributes:
        execution_id: Our own id, the correlation mark for the upstream.
        workflow: What the inputs were checked against; None for a launch that was taken up again.
    """

    execution_id: str
    workflow_id: str
    inputs: Mapping[str, JSON]
    identity: Identity
    created_at: datetime
    workflow: ResolvedWorkflow | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Observation:
    """What an orchestrator knows of an execution now.

    Attributes:
        tasks: The tasks that changed since the last observation.
        task_cursors: Bookmarks of tasks, by name, where they changed since the last observation:
            what the cursor would hold of each. An orchestrator whose executions have thousands of
            tasks reads them again from the store, see :class:`app.store.task_cursors.TaskCursors`.
        attempts: Attempts that ended before others of the same tasks began; the last one of each is
            told by its task. Of an orchestrator that tells none, what was stored of a task is kept
            as one when it has more attempts than that.
        usage: What tasks take, by name, where that was measured anew. It wakes no reader, and may
            be left out of an observation: so not each measurement is to be told.
        entries: The log entries that are new since the last observation, in order.
        cursor: Bookmark that the next observation gets.
        poll_after_seconds: When looking again makes sense.
        log_complete: The status is final and no entry can come any more.
        stays: From now on it can be observed from this machine alone, although its orchestrator
            binds executions to none.
        once_stored: What must happen only after this observation was stored, by the one driver
            that could store it, while the user still wants the same. It may be left out or
            fail: the next observation finds what was not done.
    """

    status: ExecutionStatus
    cursor: JSON
    tasks: tuple[Task, ...] = ()
    task_cursors: Mapping[str, JSON] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    usage: Mapping[str, Usage] = field(default_factory=dict)
    entries: tuple[NewLogEntry, ...] = ()
    outputs: Mapping[str, JSON] | None = None
    error: str | None = None
    progress: float = 0.0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    poll_after_seconds: float = 1.0
    log_complete: bool = False
    stays: bool = False
    once_stored: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Carried:
    """What an orchestrator makes of an ended execution for one that goes on from it.

    Each task that is not to run again is taken over as it is, with its bookmark.

    Attributes:
        cursor: Bookmark that the first observation gets.
        tasks: The tasks that are not taken over like this, as readers see them.
        task_cursors: Bookmarks of those, by name; see :class:`Observation`.
    """

    cursor: JSON
    tasks: tuple[Task, ...] = ()
    task_cursors: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SshKey:
    """A key pair's public record; the private half is elsewhere.

    Attributes:
        fingerprint: ``SHA256:`` and the digest of the public key, as OpenSSH shows it.
        public_key: One line; None of keys that were made before it was kept.
        last_used_at: When a conductor last read it to log in with it, to a minute.
        last_succeeded_at: When it last logged in, to a minute.
        replaces: Id of the key whose place it takes once it has logged in; None of any other.
    """

    id: str
    owner: str
    algorithm: str
    fingerprint: str
    metadata: Mapping[str, JSON]
    created_at: datetime
    public_key: str | None = None
    last_used_at: datetime | None = None
    last_succeeded_at: datetime | None = None
    replaces: str | None = None

    @property
    def authorized_keys(self) -> str | None:
        """The line for ``authorized_keys``: commands and nothing else (sshd(8))."""
        return None if self.public_key is None else authorized_line(self.public_key)


def authorized_line(public_key: str) -> str:
    """Return the line of a file ``authorized_keys`` that lets a key run commands and no more."""
    return f"restrict {public_key}"


class OperationState(StrEnum):
    """How far an operation is."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return self in (OperationState.DONE, OperationState.FAILED)


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that a user asked for and a conductor carries out.

    Attributes:
        id: ``op-`` and chance; no execution has such an id.
        kind: What is to be done, such as ``ssh_keys.test``.
        subject: What it is about, such as the name of an orchestrator.
        arguments: No secrets among them.
        result: What came out, once it is ``DONE``.
        error: Sentence for the owner, once it is ``FAILED``.
        error_code: The error's, as :class:`app.errors.SlipwayError` has it.
        tries: How often a conductor has begun with it.
    """

    id: str
    kind: str
    owner: str
    subject: str
    arguments: Mapping[str, JSON]
    state: OperationState
    made_at: datetime
    result: JSON = None
    error: str | None = None
    error_code: str | None = None
    finished_at: datetime | None = None
    tries: int = 0


QUANTILES: Final = (50, 90, 95, 99)
"""The percentiles that a :class:`Timing` holds."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things of one kind took, in microseconds; all 0 where there were none.

    Attributes:
        count: How many there were.
        quantiles_us: At 50, 90, 95 and 99 percent, by the percent.
    """

    count: int = 0
    min_us: int = 0
    max_us: int = 0
    avg_us: float = 0.0
    quantiles_us: Mapping[int, int] = field(default_factory=lambda: dict.fromkeys(QUANTILES, 0))


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """How often one step ran, and how long that took."""

    step_id: str
    success: int
    failure: int
    duration: Timing

    @property
    def count(self) -> int:
        """How often it came to its end, either way."""
        return self.success + self.failure


@dataclass(frozen=True, slots=True)
class ThresholdState:
    """Whether a threshold holds at the moment, or at the end.

    Attributes:
        value: What was compared; 0 where nothing was measured.
    """

    metric: str
    condition: str
    passed: bool
    value: float


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """Errors of one kind in an execution.

    Attributes:
        step_id: Where they happened; empty for the execution itself.
        at: When the first one happened.
        count: How many there were.
    """

    code: str
    message: str
    step_id: str
    at: datetime
    count: int = 1


@dataclass(frozen=True, slots=True)
class NodeShare:
    """What one node does for an execution.

    Attributes:
        node_id: The node.
        status: As of the execution on this node; it has no share of the rest once that is final.
        completed_vus: Virtual users that have come to their end.
        completed_iterations: Iterations that came to their end here.
        segment: Where its share of the whole begins and ends, 0 to 1. The current ones of all
            nodes cover the whole.
    """

    node_id: str
    status: ExecutionStatus
    completed_vus: int
    completed_iterations: int
    segment: tuple[float, float]


@dataclass(frozen=True, slots=True)
class ExecutionMetrics:
    """What an execution of virtual users has done so far.

    Attributes:
        vus: Virtual users at the moment; at the end the last number of them that was wanted.
        iterations: Those that came to their end.
        failed: How many of these failed.
        interrupted: Iterations that were cut, which count in no other way.
        dropped: Iterations that were due, and found no free virtual user.
        running_us: Running time in microseconds, without pauses.
        requests: HTTP requests.
        requests_failed: How many of them failed.
        iteration: Whole iterations.
        steps: Each step that ran, nested ones too, in the order of the workflow.
        thresholds: In the order of the workflow.
        nodes: The shares that there are or were, by node.
        errors: By their kinds, the first ones first.
        final: Nothing of this changes any more.
    """

    vus: int = 0
    iterations: int = 0
    failed: int = 0
    interrupted: int = 0
    dropped: int = 0
    running_us: int = 0
    requests: Timing = field(default_factory=Timing)
    requests_failed: int = 0
    iteration: Timing = field(default_factory=Timing)
    steps: tuple[StepMetrics, ...] = ()
    thresholds: tuple[ThresholdState, ...] = ()
    nodes: tuple[NodeShare, ...] = ()
    errors: tuple[ErrorKind, ...] = ()
    final: bool = False

    @property
    def request_rate(self) -> float:
        """HTTP requests per second of running time."""
        return self.requests.count * 1e6 / self.running_us if self.running_us else 0.0


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """How an execution of virtual users stood at one moment of its course.

    Attributes:
        at: The moment.
        running_us: Running time until then in microseconds, without pauses.
        vus: Virtual users then.
        iterations: Until then.
        requests: Until then.
        requests_failed: Until then.
        avg_us: Mean duration of the requests of the second before, in microseconds; 0 without any.
        p95_us: The duration below which 95 % of them were.
    """

    at: datetime
    running_us: int
    vus: int
    iterations: int
    requests: int
    requests_failed: int
    avg_us: float
    p95_us: float


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that works for the service, as it joined.

    Attributes:
        type: What it is to the service, such as ``worker``.
        address: Where it runs, for people.
        capabilities: What it can do, such as ``http_executor``.
        labels: What it can be chosen by.
        state: Its state: ``online``, ``busy``, ``draining`` or ``offline``.
        load: The larger of its share of virtual users and of processor time; from 0, 1 is full.
        active_tasks: How many executions it works for.
        last_seen: When it last gave a sign of life.
        orchestrator: Name of the orchestrator whose work it does; empty where that does not say so.
    """

    id: str
    type: str
    address: str
    capabilities: tuple[str, ...]
    labels: Mapping[str, str]
    state: str
    load: float
    active_tasks: int
    last_seen: datetime
    orchestrator: str = ""


class Outcome(StrEnum):
    """What a look at one thing came to."""

    OK = "ok"
    WARNING = "warning"
    """It works, and somebody should look at it."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was looked at.

    Attributes:
        name: What it was.
        outcome: Whether it is well.
        text: In what way.
        fix: What mends it; empty where nothing is to be mended.
    """

    name: str
    outcome: Outcome
    text: str
    fix: str = ""
