"""What virtual users do, and how many of them, after validation.

Durations are integers of microseconds. A :class:`Definition` is immutable and holds all that a
slave needs; :func:`to_json` and :func:`of_json` are its form in the store and on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Final

from app.domain import JSON
from app.load import wire

SECOND_US: Final = 1_000_000

Pairs = tuple[tuple[str, str], ...]
"""Names and values, in order; a name may stand several times."""


class StepType(StrEnum):
    """What a step does."""

    HTTP = "http"
    SCRIPT = "script"
    CONDITION = "condition"
    LOOP = "loop"


class OnError(StrEnum):
    """What follows a step that fails.

    Attributes:
        ABORT: The iteration ends, and has failed.
        CONTINUE: The next step.
        SKIP: The rest of a nested list is left out; among the steps of the workflow as CONTINUE.
        RETRY: The step is tried again, :data:`MAX_TRIES` times in all; then as ABORT.
    """

    ABORT = "abort"
    CONTINUE = "continue"
    SKIP = "skip"
    RETRY = "retry"


MAX_TRIES: Final = 3
"""How often a step with ``on_error: retry`` runs at most in one iteration."""


class BodyType(StrEnum):
    """How the body of a request is written.

    Attributes:
        VALUE: A JSON value, whose texts are templates.
    """

    NONE = "none"
    JSON = "json"
    XML = "xml"
    TEXT = "text"
    GRAPHQL = "graphql"
    URLENCODED = "x-www-form-urlencoded"
    FORM_DATA = "form-data"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request.

    Attributes:
        raw: Template of the text, where the type is one of text.
        fields: Names and templates of the values of a form.
        value: What is sent as JSON, of type VALUE.
    """

    type: BodyType
    raw: str = ""
    fields: Pairs = ()
    value: JSON = None


@dataclass(frozen=True, slots=True)
class Tls:
    """How a server is verified, and the client certificate; all in PEM, never paths."""

    verify: bool = True
    cert: str = ""
    key: str = ""
    ca: str = ""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Longest times of one request.

    Attributes:
        connect_us: Until the connection stands.
        read_us: Without a byte of the answer.
        write_us: Without a byte of the request taken.
        request_us: From its beginning to the last byte of the answer.
    """

    connect_us: int = 10 * SECOND_US
    read_us: int = 30 * SECOND_US
    write_us: int = 30 * SECOND_US
    request_us: int = 60 * SECOND_US


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """One request, of templates.

    Attributes:
        url: Absolute, or behind ``base_url``.
        params: Pairs of the query, which are encoded and added to that of ``url``.
        max_redirects: How many are followed; 0 for none.
        expected_status: Statuses of success; none: all below 400.
    """

    url: str
    method: str = "GET"
    base_url: str = ""
    headers: Pairs = ()
    params: Pairs = ()
    body: Body = field(default_factory=lambda: Body(BodyType.NONE))
    max_redirects: int = 10
    tls: Tls = field(default_factory=Tls)
    timeouts: Timeouts = field(default_factory=Timeouts)
    expected_status: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ScriptConfig:
    """JavaScript.

    Attributes:
        timeout_us: Longest time of one run; None for the default of a step.
    """

    script: str
    timeout_us: int | None = None


@dataclass(frozen=True, slots=True)
class Hook:
    """What runs before or after a step, or an iteration; no metric counts it."""

    config: HttpConfig | ScriptConfig


@dataclass(frozen=True, slots=True)
class RunScript:
    """A processor: JavaScript, which sees the answer."""

    id: str
    script: str


@dataclass(frozen=True, slots=True)
class SetVariable:
    """A processor: a variable gets a value, whose texts are templates."""

    id: str
    variable: str
    value: JSON


@dataclass(frozen=True, slots=True)
class Wait:
    """A processor: think time."""

    id: str
    duration_us: int


class Subject(StrEnum):
    """What an assertion looks at, or what is extracted."""

    STATUS = "status_code"
    BODY = "response_body"
    JSON = "jsonpath"
    HEADER = "header"
    COOKIE = "cookie"
    TIME = "response_time"


class Operator(StrEnum):
    """How an assertion compares."""

    EQ = "eq"
    NE = "ne"
    CONTAINS = "contains"
    NOT_CONTAINS = "not_contains"
    GT = "gt"
    LT = "lt"
    GTE = "gte"
    LTE = "lte"


@dataclass(frozen=True, slots=True)
class Assertion:
    """A processor: the step fails where this does not hold.

    Attributes:
        expression: A JSONPath, or the name of a header; empty for other subjects.
        expected: Template of a text, which compares as a number where both sides read as one.
    """

    id: str
    subject: Subject
    operator: Operator
    expression: str
    expected: str


@dataclass(frozen=True, slots=True)
class Extraction:
    """A processor: a variable gets a part of the answer.

    Attributes:
        expression: A JSONPath, or the name of a header or a cookie.
    """

    id: str
    subject: Subject
    expression: str
    variable: str


Processor = RunScript | SetVariable | Wait | Assertion | Extraction


class BranchKind(StrEnum):
    """When a branch is looked at."""

    IF = "if"
    ELSE_IF = "else_if"
    ELSE = "else"


@dataclass(frozen=True, slots=True)
class Branch:
    """Steps below a condition; empty expressions hold."""

    id: str
    name: str
    kind: BranchKind
    expression: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Branches:
    """Of which the first one that holds runs.

    Attributes:
        follows: It is looked at only where the condition in front of it, in the same list of steps,
            ran no branch.
    """

    branches: tuple[Branch, ...]
    follows: bool = False


class LoopMode(StrEnum):
    """What a loop runs along."""

    FOR = "for"
    FOREACH = "foreach"
    WHILE = "while"


@dataclass(frozen=True, slots=True)
class Loop:
    """Steps that run again.

    Attributes:
        count: Of FOR: a number, or a template of one.
        items: Of FOREACH: a list, whose texts are templates, or a template of one.
        condition: Of WHILE: before each turn.
        max_iterations: Turns after which another one is a failure.
        break_condition: Looked at before each turn; empty for never.
        continue_condition: Looked at before each turn, which is left out where it holds.
    """

    mode: LoopMode
    steps: tuple[Step, ...]
    count: int | str = 0
    items: JSON = None
    item_var: str = "item"
    condition: str = ""
    max_iterations: int = 1000
    break_condition: str = ""
    continue_condition: str = ""


Config = HttpConfig | ScriptConfig | Branches | Loop


@dataclass(frozen=True, slots=True)
class Step:
    """One step; its type is that of its ``config``.

    Attributes:
        id: Unique in the whole tree of the definition.
        timeout_us: Longest time; None for the default of its type.
        pre_processors, post_processors: Those that are enabled.
    """

    id: str
    name: str
    config: Config
    pre_hook: Hook | None = None
    post_hook: Hook | None = None
    pre_processors: tuple[Processor, ...] = ()
    post_processors: tuple[Processor, ...] = ()
    on_error: OnError = OnError.ABORT
    timeout_us: int | None = None
    disabled: bool = False

    @property
    def type(self) -> StepType:
        """What the step does."""
        return _TYPES[type(self.config)]


_TYPES: Final[Mapping[type, StepType]] = {
    HttpConfig: StepType.HTTP,
    ScriptConfig: StepType.SCRIPT,
    Branches: StepType.CONDITION,
    Loop: StepType.LOOP,
}


class Mode(StrEnum):
    """How many iterations run at a time."""

    CONSTANT_VUS = "constant-vus"
    PER_VU_ITERATIONS = "per-vu-iterations"
    SHARED_ITERATIONS = "shared-iterations"
    RAMPING_VUS = "ramping-vus"
    CONSTANT_ARRIVAL_RATE = "constant-arrival-rate"
    RAMPING_ARRIVAL_RATE = "ramping-arrival-rate"
    EXTERNALLY_CONTROLLED = "externally-controlled"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of a ramp.

    Attributes:
        duration_us: Time from the target before to this one, 0 for at once.
        target: VUs, or iterations in each time unit.
    """

    duration_us: int
    target: Fraction
    name: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """What must hold of a metric, such as ``p(95) < 500`` of ``http_req_duration``."""

    metric: str
    condition: str


class TargetMode(StrEnum):
    """How slaves are chosen."""

    AUTO = "auto"
    MANUAL = "manual"
    LABEL = "label"
    CAPABILITY = "capability"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class TargetSlaves:
    """Which slaves run it.

    Attributes:
        slave_ids: Of MANUAL: all of them.
        labels: Of LABEL: those that have all of these.
        capabilities: Of CAPABILITY: those that have all of these.
        min_slaves, max_slaves: How many; None for all that fit.
    """

    mode: TargetMode = TargetMode.AUTO
    slave_ids: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    min_slaves: int = 1
    max_slaves: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How much runs, and for how long.

    Attributes:
        vus: Virtual users, in the modes that have a fixed number; at the beginning, where they are
            controlled from outside.
        duration_us: When no new iteration begins any more; None for no limit but the iterations,
            the stages, or the end that somebody asks for.
        iterations: In all, of shared iterations; of each VU, of iterations per VU; None elsewhere.
        stages: Of the ramping modes. A ramp begins at 0.
        rate: Iterations in each time unit, of a constant arrival rate; None elsewhere.
        pre_allocated_vus, max_vus: Of the arrival modes: VUs at the beginning and at most. Where
            VUs are controlled from outside, ``max_vus`` is the most that can be asked for. None
            elsewhere, and where there is no such bound.
    """

    mode: Mode
    vus: int = 1
    duration_us: int | None = None
    iterations: int | None = None
    stages: tuple[Stage, ...] = ()
    rate: Fraction | None = None
    time_unit_us: int = SECOND_US
    pre_allocated_vus: int | None = None
    max_vus: int | None = None
    thresholds: tuple[Threshold, ...] = ()
    target: TargetSlaves = field(default_factory=TargetSlaves)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Definition:
    """A workflow of virtual users.

    Attributes:
        variables: What every iteration begins with.
        pre_hook, post_hook: What runs before and after the steps of each iteration.
    """

    id: str
    name: str
    steps: tuple[Step, ...]
    options: Options
    description: str = ""
    variables: Mapping[str, JSON] = field(default_factory=dict)
    pre_hook: Hook | None = None
    post_hook: Hook | None = None


def to_json(definition: Definition) -> JSON:
    """Write a definition for the store and the wire; every process of one release reads it."""
    return wire.dump(definition)


def of_json(value: JSON) -> Definition:
    """Read what :func:`to_json` has written.

    Raises:
        ValueError: It is something else.
    """
    return wire.load(Definition, value)


def all_steps(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Return steps and those that are nested in them, in the order in which they are written."""
    for step in steps:
        yield step
        if isinstance(step.config, Branches):
            for branch in step.config.branches:
                yield from all_steps(branch.steps)
        elif isinstance(step.config, Loop):
            yield from all_steps(step.config.steps)


def step_ids(definition: Definition) -> list[str]:
    """List the ids of all steps, nested ones too, in the order in which they are written."""
    return [step.id for step in all_steps(definition.steps)]
