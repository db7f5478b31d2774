"""A workflow definition after validation: what the engine runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from app.domain import JSON, Parameter
from app.elements import MOST
from app.job_resources import Resource, Resources

MAX_STEPS: Final = MOST
"""Most steps of a definition, and most tasks of an execution, with those of all elements."""


class StepType(StrEnum):
    """What a step does."""

    COMMAND = "command"
    SCRIPT = "script"
    HTTP = "http"


TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    StepType.COMMAND: ("args",),
    StepType.SCRIPT: (),
    StepType.HTTP: ("url", "headers", "body"),
}
"""The fields of a step's ``config`` in which expressions are evaluated."""


def input_variable(name: str) -> str:
    """Name the environment variable that holds an input."""
    return f"INPUT_{name.upper().replace('-', '_')}"


class StreamFile(StrEnum):
    """A file that a step asks for of what its command prints, by the name of its field."""

    STDOUT = "stdout"
    STDERR = "stderr"
    CAPTURE = "capture"


class Preparation(StrEnum):
    """What a step has done before its command begins, by the name of its field."""

    MODULES = "modules"


Honoured: TypeAlias = Resource | StreamFile | Preparation
"""What a step may ask for, and not every launcher gives."""


@dataclass(frozen=True, slots=True)
class Foreach:
    """What makes of a step one task for each element of a list.

    Attributes:
        over: The list, in which expressions are evaluated once the step can begin.
        max_parallel: Most of its tasks that run at the same time; None for any number.
        item: What expressions call the element.
    """

    over: JSON
    max_parallel: int | None = None
    item: str = "item"


@dataclass(frozen=True, slots=True)
class Element:
    """What one task of such a step is for.

    Attributes:
        step: Id of the step.
        index: The place in the list, from 0.
        word: What expressions call the value.
    """

    step: str
    index: int
    word: str
    value: JSON


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """One step of a definition.

    Attributes:
        config: The fields of the step's type, validated: ``command`` and ``args``, or ``shell``
            (None: what the script's own first line names, or bash)
            and ``script``, or ``method``, ``url``, ``headers``, ``body`` and ``expect_status``
            (none: any 2xx).
        env: Environment variables; values may hold expressions.
        timeout_seconds: Longest run time of one attempt; None for no limit.
        retries: Number of attempts after the first.
        allow_failure: The execution goes on, and may succeed, when this step fails.
        working_dir: Folder of the command, relative to the execution's own unless absolute.
        stage_in, stage_out: Files, relative to the execution's folder, that the launcher moves to
            where the command runs, and back from there.
        stdout, stderr: Files for the plain bytes of the two streams, relative to the execution's
            folder unless absolute; empty for none.
        capture: File that what the command prints becomes when it has succeeded without writing
            it itself; a path as those.
        modules: Environment modules that are loaded before the command begins, in this order.
        foreach: The list for whose elements it runs; None for a step that is one task.
        element: Of one task of such a step, what it is for.
    """

    id: str
    type: StepType
    config: Mapping[str, JSON]
    needs: tuple[str, ...] = ()
    name: str = ""
    description: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float | None = None
    retries: int = 0
    retry_delay_seconds: float = 0.0
    allow_failure: bool = False
    working_dir: str = ""
    stage_in: tuple[str, ...] = ()
    stage_out: tuple[str, ...] = ()
    stdout: str = ""
    stderr: str = ""
    capture: str = ""
    modules: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)
    foreach: Foreach | None = None
    element: Element | None = None

    @property
    def limit_seconds(self) -> float | None:
        """Longest run time of one attempt: the shorter one of ``timeout`` and ``time``."""
        limits = (self.timeout_seconds, self.resources.time_seconds)
        return min((limit for limit in limits if limit is not None), default=None)


@dataclass(frozen=True, slots=True)
class OutputDefinition:
    """One result of the workflow: an expression over its inputs and steps."""

    name: str
    value: JSON
    description: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """A workflow definition.

    Attributes:
        id: Identifier within the engine, also the name of its file.
        files: Text files that are written to the execution's folder before it begins, by path.
        steps: In an order in which each step stands behind those that it needs.
        source: The document that this was made from, as JSON; validating it again gives this.
    """

    id: str
    name: str
    description: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[OutputDefinition, ...]
    steps: tuple[StepDefinition, ...]
    files: Mapping[str, str]
    source: Mapping[str, JSON]
