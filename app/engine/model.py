"""A workflow definition after validation: what the engine runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain import JSON, Parameter


class StepType(StrEnum):
    """What a step does."""

    COMMAND = "command"
    SCRIPT = "script"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Resources:
    """What a step takes of its machine while it runs."""

    cpus: int = 1
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """One step of a definition.

    Attributes:
        config: The fields of the step's type, validated: ``command`` and ``args``, or ``shell``
            and ``script``, or ``method``, ``url``, ``headers``, ``body`` and ``expect_status``
            (none: any 2xx).
        env: Environment variables; values may hold expressions.
        timeout_seconds: Longest run time of one attempt; None for no limit.
        retries: Number of attempts after the first.
        allow_failure: The execution goes on, and may succeed, when this step fails.
        working_dir: Folder of the command, relative to the execution's own unless absolute.
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
    resources: Resources = field(default_factory=Resources)


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
