"""What the service tells, as frozen values.

Each value keeps what it was made of in ``raw``; what this client does not know of it is in
``extra``, so that a newer service may say more. Times are aware of their zone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from typing import Any, Final, NamedTuple, Self, TypeVar

from slipway.errors import NotOurs
from slipway.words import Level, Status, TaskStatus, Word

__all__ = [
    "ApiKey", "CreatedApiKey", "CreatedSshKey", "Definition", "DefinitionVersion", "ExecutionState",
    "Identity", "Input", "Level", "LogEntry", "LogPage", "Metrics", "Node", "Output", "Ready",
    "SshKey", "Status", "StatusChange", "Step", "Task", "TaskStatus", "Version", "Waiting",
    "WorkflowDescription", "WorkflowInfo", "read_entry",
]  # fmt: skip

_NOTHING: Final[Mapping[str, Any]] = {}
_Value = TypeVar("_Value")
_Reader = Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("a whole number")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number")
    try:
        return float(value)
    except OverflowError:  # JSON has integers that are larger
        raise TypeError("a number") from None


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def _time(value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(_text(value))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise TypeError("a time with its zone")
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("an object")
    return value


def _anything(value: Any) -> Any:
    return value


def _each(read: Callable[[Any], _Value]) -> Callable[[Any], tuple[_Value, ...]]:
    def several(value: Any) -> tuple[_Value, ...]:
        if not isinstance(value, list):
            raise TypeError("a list")
        return tuple(read(each) for each in value)

    return several


def _or_none(read: Callable[[Any], _Value]) -> Callable[[Any], _Value | None]:
    return lambda value: None if value is None else read(value)


def _word(kind: type[Word]) -> Callable[[Any], Any]:
    def word(value: Any) -> Word:
        try:
            return kind(_text(value))
        except ValueError:
            raise TypeError("a word") from None

    return word


def _told(read: _Reader, key: str = "") -> Any:
    """Declare what is always told."""
    return field(metadata={"read": read, "key": key})


def _maybe(read: _Reader, default: Any = None, key: str = "") -> Any:
    """Declare what may be missing."""
    metadata = {"read": read, "key": key}
    if isinstance(default, Mapping):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


class _Field(NamedTuple):
    """What is known of a field: its name here and on the wire, and how it is read."""

    name: str
    key: str
    read: _Reader
    needed: bool


_PLANS: Final[dict[type[Any], tuple[_Field, ...]]] = {}


def _plan(kind: type[Any]) -> tuple[_Field, ...]:
    """Return the fields of a kind of value, but for ``raw``."""
    if kind not in _PLANS:
        _PLANS[kind] = tuple(
            _Field(
                f.name,
                f.metadata["key"] or f.name,
                f.metadata["read"],
                f.default is MISSING and f.default_factory is MISSING,
            )
            for f in fields(kind)
            if "read" in f.metadata
        )
    return _PLANS[kind]


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Model:
    """What all values have.

    The methods that ``dataclass`` would write for each kind are here, once for all: to write them
    took a tenth of the time of a short command.

    Attributes:
        raw: What the service said, word by word.
    """

    raw: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, **values: Any) -> None:
        declared = fields(self)
        missing = {
            f.name for f in declared if f.default is MISSING and f.default_factory is MISSING
        }
        wrong = (values.keys() - {f.name for f in declared}) or (missing - values.keys())
        if wrong:
            raise TypeError(f"{type(self).__name__}() is about {', '.join(sorted(wrong))}")
        made = {f.name: f.default_factory() for f in declared if f.default_factory is not MISSING}
        self.__dict__.update(made | values)

    def __repr__(self) -> str:
        shown = (f for f in fields(self) if f.repr and f.name != "raw")
        values = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in shown)
        return f"{type(self).__name__}({values})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()[0]))

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, each.name) for each in _plan(type(self)))

    @property
    def extra(self) -> Mapping[str, Any]:
        """What the service said that this client does not know."""
        known = {each.key for each in _plan(type(self))}
        return {key: value for key, value in self.raw.items() if key not in known}

    @classmethod
    def read(cls, raw: Any) -> Self:
        """Make it of what the service said.

        Raises:
            NotOurs: Something that is needed is missing, or is of another kind.
        """
        if not isinstance(raw, Mapping):
            raise NotOurs(f"The service does not say what a {cls.__name__} is.")
        values: dict[str, Any] = {"raw": raw}
        for each in _plan(cls):
            if each.key in raw:
                try:
                    values[each.name] = each.read(raw[each.key])
                except TypeError as exc:
                    why = f"The service says {each.key!r} where {exc} was expected."
                    raise NotOurs(why) from None
            elif each.needed:
                raise NotOurs(f"The service does not say {each.key!r} of a {cls.__name__}.")
        return cls(**values)


class LogEntry(NamedTuple):
    """One line of a log.

    Attributes:
        index: Its place in the whole log, from 0; it never changes.
        task: The step that said it; empty for the execution itself.
        extra: What else the service said of it.
    """

    index: int  # type: ignore[assignment]  # as the service calls it; nobody counts in an entry
    timestamp: datetime
    level: Level
    task: str
    content: str
    extra: Mapping[str, Any] = _NOTHING

    def __str__(self) -> str:
        return self.content


_LEVELS: Final[dict[str, Level]] = {str(level): level for level in Level}
_parse: Final = datetime.fromisoformat
_KEYS_OF_ENTRIES: Final = frozenset({"index", "timestamp", "level", "task", "content"})


def read_entry(raw: Mapping[str, Any]) -> LogEntry:
    """Make a log entry; by hand, since there are millions.

    Raises:
        NotOurs: It is none.
    """
    try:
        index, said, word = raw["index"], raw["content"], raw["level"]
        task, moment = raw["task"], _parse(raw["timestamp"])
        if type(index) is not int or not type(said) is type(task) is str or not moment.tzinfo:
            raise TypeError
        entry = LogEntry(index, moment, _LEVELS.get(word) or Level(word), task, said)
    except (KeyError, TypeError, ValueError):
        raise NotOurs("The service says something that is no log entry.") from None
    known = raw.keys() - _KEYS_OF_ENTRIES - {"type"} if len(raw) > 5 else None
    return entry._replace(extra={key: raw[key] for key in known}) if known else entry


@dataclass(frozen=True, init=False, repr=False, eq=False)
class LogPage(Model):
    """A part of a log.

    Attributes:
        complete: It ends with the last entry that can come.
        total: How many entries there are by now, of those that the filter lets through.
        state: How the execution was then.
    """

    entries: tuple[LogEntry, ...] = _told(_each(read_entry), "logs")
    complete: bool = _told(_truth)
    total: int = _maybe(_integer, 0, "total_results")
    state: Status = _maybe(_word(Status), Status.UNKNOWN, "execution_state")


@dataclass(frozen=True, init=False, repr=False, eq=False)
class WorkflowInfo(Model):
    """A workflow, as lists show it.

    Attributes:
        orchestrator: What runs it.
        stale: The orchestrator is silent; this is what it said last.
    """

    id: str = _told(_text)
    name: str = _told(_text)
    description: str = _maybe(_text, "")
    orchestrator: str = _maybe(_text, "")
    stale: bool = _maybe(_truth, False)
    owner: str | None = _maybe(_or_none(_text))
    version: int | None = _maybe(_or_none(_integer))


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Input(Model):
    """What a workflow takes.

    Attributes:
        type: ``string``, ``integer``, ``number``, ``boolean``, ``array``, ``object``, or another
            word of the orchestrator.
        default: What it is unless given; None where there is none.
        allowed_values: None where all are.
        schema: The JSON Schema of the value, where there is one.
    """

    name: str = _told(_text)
    type: str = _told(_text)
    required: bool = _told(_truth)
    description: str = _maybe(_text, "")
    default: Any = _maybe(_anything)
    allowed_values: tuple[Any, ...] | None = _maybe(_or_none(_each(_anything)))
    schema: Mapping[str, Any] = _maybe(_mapping, _NOTHING)

    @property
    def has_default(self) -> bool:
        """Whether it has a value unless one is given; null says that it has none."""
        return self.default is not None


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Output(Model):
    """What a workflow gives."""

    name: str = _told(_text)
    description: str = _maybe(_text, "")


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Step(Model):
    """A step of a workflow.

    Attributes:
        needs: Names of the steps that come before.
        title: Its name for people, where that is another one.
    """

    name: str = _told(_text)
    type: str = _maybe(_text, "")
    needs: tuple[str, ...] = _maybe(_each(_text), ())
    title: str | None = _maybe(_or_none(_text))
    description: str = _maybe(_text, "")


@dataclass(frozen=True, init=False, repr=False, eq=False)
class WorkflowDescription(WorkflowInfo):
    """A workflow with what it takes, gives and does."""

    inputs: tuple[Input, ...] = _maybe(_each(Input.read), ())
    outputs: tuple[Output, ...] = _maybe(_each(Output.read), ())
    steps: tuple[Step, ...] = _maybe(_each(Step.read), ())


class Definition(NamedTuple):
    """The definition of a workflow, as it was uploaded.

    Attributes:
        text: The text itself.
        media_type: ``application/yaml`` or ``application/json``.
    """

    text: str
    media_type: str


@dataclass(frozen=True, init=False, repr=False, eq=False)
class DefinitionVersion(Model):
    """A version of a definition that is kept."""

    version: int = _told(_integer)
    uploaded_at: datetime = _told(_time)
    uploaded_by: str = _maybe(_text, "")
    media_type: str = _maybe(_text, "")
    size_bytes: int = _maybe(_integer, 0)


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Waiting(Model):
    """What a task waits for.

    Attributes:
        kind: ``processors``, ``memory``, ``pool``, ``turn``, ``queue``, ``retry`` or ``tasks``.
        reason: The same in words.
        tasks: Some of the tasks that it needs.
        until: When the next attempt begins.
    """

    kind: str = _told(_text)
    reason: str = _maybe(_text, "")
    tasks: tuple[str, ...] = _maybe(_each(_text), ())
    until: datetime | None = _maybe(_or_none(_time))


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Task(Model):
    """A step of an execution.

    Attributes:
        run: Number of its run: 0 is the workflow's own.
        continued_from: Id of the earlier execution in which it came to this.
        ready_at: Since when its last attempt could have begun.
        cpu_seconds: Processor time of its processes.
        cpu_percent: As last measured, of one processor.
        memory_bytes: Resident memory, as last measured.
    """

    name: str = _told(_text)
    status: TaskStatus = _told(_word(TaskStatus))
    title: str | None = _maybe(_or_none(_text))
    attempts: int = _maybe(_integer, 0)
    exit_code: int | None = _maybe(_or_none(_integer))
    error: str | None = _maybe(_or_none(_text))
    node: str | None = _maybe(_or_none(_text))
    run: int = _maybe(_integer, 0)
    ready_at: datetime | None = _maybe(_or_none(_time))
    started_at: datetime | None = _maybe(_or_none(_time))
    finished_at: datetime | None = _maybe(_or_none(_time))
    waits_for: Waiting | None = _maybe(_or_none(Waiting.read))
    continued_from: str | None = _maybe(_or_none(_text))
    cpu_seconds: float | None = _maybe(_or_none(_number))
    cpu_percent: float | None = _maybe(_or_none(_number))
    memory_bytes: int | None = _maybe(_or_none(_integer))
    memory_peak_bytes: int | None = _maybe(_or_none(_integer))


@dataclass(frozen=True, init=False, repr=False, eq=False)
class ExecutionState(Model):
    """An execution as it was when the service was asked.

    Lists tell it without ``inputs``, ``outputs`` and ``tasks``, which are None then.

    Attributes:
        status: One of RUNNING, CANCELLING, SUCCESS, FAILED, CANCELLED.
        state: The exact word.
        execution_id: Its name of workflow, date and time.
        name: What its owner calls it.
        labels: What its owner wrote on it.
        progress: Share of the work that is done, 0 to 1.
        as_of: When the status was last known to be true.
        stale: The orchestrator has been silent for long.
        continues: Id of the execution that goes on in this one.
    """

    id: str = _told(_text)
    status: Status = _told(_word(Status))
    state: Status = _told(_word(Status))
    execution_id: str = _maybe(_text, "")
    workflow: str = _maybe(_text, "")
    workflow_name: str = _maybe(_text, "")
    workflow_version: int | None = _maybe(_or_none(_integer))
    orchestrator: str = _maybe(_text, "")
    owner: str = _maybe(_text, "")
    name: str | None = _maybe(_or_none(_text))
    labels: Mapping[str, str] = _maybe(_mapping, _NOTHING)
    upstream_id: str | None = _maybe(_or_none(_text))
    continues: str | None = _maybe(_or_none(_text))
    created_at: datetime | None = _maybe(_or_none(_time))
    started_at: datetime | None = _maybe(_or_none(_time))
    finished_at: datetime | None = _maybe(_or_none(_time))
    progress: float = _maybe(_number, 0.0)
    error: str | None = _maybe(_or_none(_text))
    as_of: datetime | None = _maybe(_or_none(_time))
    stale: bool = _maybe(_truth, False)
    inputs: Mapping[str, Any] | None = _maybe(_or_none(_mapping))
    outputs: Mapping[str, Any] | None = _maybe(_or_none(_mapping))
    tasks: tuple[Task, ...] | None = _maybe(_or_none(_each(Task.read)))


@dataclass(frozen=True, init=False, repr=False, eq=False)
class StatusChange(Model):
    """What a stream says of an execution.

    Attributes:
        id: Of the execution; empty in the stream of one.
        type: ``status``, or ``end`` where nothing can come any more.
    """

    status: Status = _told(_word(Status))
    state: Status = _told(_word(Status))
    id: str = _maybe(_text, "")
    type: str = _maybe(_text, "status")
    progress: float | None = _maybe(_or_none(_number))
    error: str | None = _maybe(_or_none(_text))
    as_of: datetime | None = _maybe(_or_none(_time))
    workflow: str = _maybe(_text, "")
    workflow_name: str = _maybe(_text, "")


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Metrics(Model):
    """What the virtual users of an execution have done; the whole is in ``raw``.

    Attributes:
        vus: Virtual users now.
        running_seconds: Without pauses.
        final: Nothing changes any more.
    """

    state: str = _maybe(_text, "")
    final: bool = _maybe(_truth, False)
    vus: int = _maybe(_integer, 0)
    iterations: int = _maybe(_integer, 0)
    iterations_failed: int = _maybe(_integer, 0)
    requests_failed: int = _maybe(_integer, 0)
    requests_per_second: float = _maybe(_number, 0.0)
    running_seconds: float = _maybe(_number, 0.0)


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Node(Model):
    """Where work runs.

    Attributes:
        state: ``online``, ``busy``, ``draining`` or ``offline``.
        load: From 0; 1 is full.
        orchestrator: Whose work it does.
    """

    id: str = _told(_text)
    state: str = _told(_text)
    orchestrator: str = _maybe(_text, "")
    type: str = _maybe(_text, "")
    address: str = _maybe(_text, "")
    active_tasks: int = _maybe(_integer, 0)
    capabilities: tuple[str, ...] = _maybe(_each(_text), ())
    labels: Mapping[str, str] = _maybe(_mapping, _NOTHING)
    load: float = _maybe(_number, 0.0)
    last_seen: datetime | None = _maybe(_or_none(_time))


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Orchestrator(Model):
    """What runs workflows.

    Attributes:
        can: What it can do beside what all of them can.
        elsewhere: Its commands run on other machines, such as a cluster.
    """

    name: str = _told(_text)
    can: tuple[str, ...] = _maybe(_each(_text), ())
    elsewhere: bool = _maybe(_truth, default=False)


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Check(Model):
    """One thing that was looked at.

    Attributes:
        outcome: ``ok``, ``warning`` or ``failed``.
        fix: What mends it; empty where nothing is to be mended.
    """

    name: str = _told(_text)
    outcome: str = _told(_text)
    text: str = _maybe(_text, "")
    fix: str = _maybe(_text, "")


@dataclass(frozen=True, init=False, repr=False, eq=False)
class SshKey(Model):
    """A key, as lists show it.

    Attributes:
        id: The first characters of it, which revoke it, too.
        authorized_keys: Its line for such a file; None of old keys.
        last_used_at: When it last was to log in to a cluster, to a minute.
        last_succeeded_at: When it last did.
        replaces: The key whose place it takes once it has logged in.
    """

    id: str = _told(_text)
    algorithm: str = _maybe(_text, "")
    fingerprint: str = _maybe(_text, "")
    created_at: datetime | None = _maybe(_or_none(_time))
    metadata: Mapping[str, Any] = _maybe(_mapping, _NOTHING)
    authorized_keys: str | None = _maybe(_or_none(_text))
    last_used_at: datetime | None = _maybe(_or_none(_time))
    last_succeeded_at: datetime | None = _maybe(_or_none(_time))
    replaces: str | None = _maybe(_or_none(_text))


@dataclass(frozen=True, init=False, repr=False, eq=False)
class CreatedSshKey(Model):
    """A new key; neither is shown again.

    Attributes:
        public_key: As a line for ``authorized_keys``.
    """

    id: str = _told(_text)
    public_key: str = _told(_text)

    @property
    def authorized_keys(self) -> str:
        """The same, restricted to commands (sshd(8), "AUTHORIZED_KEYS FILE FORMAT")."""
        return f"restrict {self.public_key}"


@dataclass(frozen=True, init=False, repr=False, eq=False)
class ApiKey(Model):
    """An API key without the key itself.

    Attributes:
        prefix: The first characters of the key, which revoke it, too.
        scopes: What it is restricted to; None for no restriction.
    """

    id: str = _told(_text)
    name: str = _told(_text)
    owner: str = _maybe(_text, "")
    prefix: str = _maybe(_text, "")
    roles: tuple[str, ...] = _maybe(_each(_text), ())
    scopes: tuple[str, ...] | None = _maybe(_or_none(_each(_text)))
    created_at: datetime | None = _maybe(_or_none(_time))
    expires_at: datetime | None = _maybe(_or_none(_time))
    last_used_at: datetime | None = _maybe(_or_none(_time))


@dataclass(frozen=True, init=False, repr=False, eq=False)
class CreatedApiKey(ApiKey):
    """A new API key.

    Attributes:
        key: The key itself, which is never shown again.
    """

    key: str = field(default="", repr=False, metadata={"read": _text, "key": "key"})


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Identity(Model):
    """Who one is to the service.

    Attributes:
        roles: ``user``, ``developer``, ``operator``, ``admin``, ``slave``.
        permissions: What one may do, such as ``executions:run``.
        restricted: Scopes of the credential keep one from some of what the roles allow.
        signed_in_with: How, such as ``basic`` or ``api_key``; ``none`` where nobody is asked.
        expires_at: When the credential ends.
    """

    username: str = _told(_text)
    roles: tuple[str, ...] = _maybe(_each(_text), ())
    permissions: tuple[str, ...] = _maybe(_each(_text), ())
    restricted: bool = _maybe(_truth, False)
    signed_in_with: str = _maybe(_text, "")
    expires_at: datetime | None = _maybe(_or_none(_time))


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Version(Model):
    """Which program the service is."""

    version: str = _told(_text)
    name: str = _maybe(_text, "")


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Ready(Model):
    """Whether the service can do its work.

    Attributes:
        degraded: Names of the checks that fail while the rest works.
    """

    ready: bool = _told(_truth)
    status: str = _maybe(_text, "")
    degraded: tuple[str, ...] = _maybe(_each(_text), ())
