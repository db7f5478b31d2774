"""The shape of a definition's document, as JSON Schema of draft 2020-12.

What a schema cannot say (the graph, and what expressions refer to) is in :mod:`app.engine.checks`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from app.domain import JSON
from app.durations import parse_duration
from app.engine.faults import Fault, Path
from app.engine.literals import WORD
from app.engine.model import MAX_STEPS, Preparation, StepType, StreamFile
from app.job_resources import Resource
from app.json_schema import FormatTable, Shape

INPUT_TYPES: Final = ("string", "integer", "number", "boolean", "array", "object")
INPUT_FORMATS: Final = ("date", "email", "ipv4", "ipv6", "uuid")
HTTP_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_MAX_FILE_NAME_BYTES: Final = 255
_MAX_PATH_BYTES: Final = 2000
_MEMORY_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def violations(document: JSON) -> Iterator[Fault]:
    """Find where a document has not the shape of a definition."""
    return _SHAPE.violations(document)


def keeps_text(path: Path) -> bool:
    """Whether a command or a server gets what stands at this path of a document as text."""
    match path:
        case (
            ("steps", int(), "env", str())
            | ("steps", int(), "config", "headers", str())
            | ("steps", int(), "config", "args", int())
        ):
            return True
    return False


def parse_memory(value: int | str) -> int:
    """Read an amount of memory.

    Args:
        value: Bytes, or text such as ``512M``, whose units are powers of 1024, as Slurm's are.

    Returns:
        Bytes.

    Raises:
        ValueError: It is not an amount of memory.
    """
    match = re.fullmatch(r"([0-9]{1,18})([KMGT]?)", str(value))
    if not match or isinstance(value, bool):
        raise ValueError("must be an amount of memory such as 512M or 2G, or a number of bytes")
    return int(match[1]) * _MEMORY_UNITS[match[2]]


_FORMATS: Final = FormatTable()

_FORMATS.named(
    "step-id",
    r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}",
    "1 to 64 letters, digits, '_' and '-', with no '-' first",
)
_FORMATS.named(
    "input-name",
    r"[A-Za-z_][A-Za-z0-9_-]{0,63}",
    "1 to 64 letters, digits, '_' and '-', with a letter or '_' first",
)
_FORMATS.named(
    "item-name",
    r"(?!(?:inputs|steps|execution|index|and|else|false|if|in|is|none|not|or|true)\Z)"
    r"(?i:[a-z_][a-z0-9_]{0,63})",
    "a word of 1 to 64 letters, digits and '_' that means nothing else in expressions",
)
_FORMATS.named("variable", r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable")
_FORMATS.named("header", r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "the name of an HTTP header")
_FORMATS.named(
    "shell", r"(?a:\w[\w.+-]*|(?:/[\w.+-]+)+)", "a program's name or absolute path, without spaces"
)
_FORMATS.named(
    "batch-name",
    r"[A-Za-z0-9_][A-Za-z0-9_.,+@-]{0,99}",
    "1 to 100 letters, digits and any of '_.,+@-', with a letter, digit or '_' first",
)
_FORMATS.named(
    "constraint",
    r"[A-Za-z0-9_(\[][A-Za-z0-9_.,:=&|*!()\[\]-]{0,199}",
    "1 to 200 letters, digits and any of '_.,:=&|*!()[]-', without spaces",
)
_FORMATS.named(
    "batch-option",
    r"-(?:[A-Za-z]|-[A-Za-z][A-Za-z0-9-]{0,49})(?:=?[\x21-\x7e]{1,200})?",
    "one option of the batch system, of at most 250 characters without spaces, such as "
    "--mail-type=END",
)
_FORMATS.named(
    "module",
    r"(?!.*(?:^|/)\.)[A-Za-z0-9_](?:[A-Za-z0-9_.+@=/-]{0,198}[A-Za-z0-9_.+@=-])?",
    "a module's name such as gcc/12.2.0: 1 to 200 letters, digits and any of '_.+@=/-', with a "
    "letter, digit or '_' first, and no part that begins with '.'",
)
_FORMATS.named("url", r"(?s)(?:https?://|\$\{\{).+", "an http:// or https:// URL")
_FORMATS.named("method", f"(?i:{'|'.join(HTTP_METHODS)})", f"one of {', '.join(HTTP_METHODS)}")


@_FORMATS.format("duration")
def _check_duration(value: Any) -> None:
    if type(value) is int and value == 0:
        return
    if not isinstance(value, str):
        raise ValueError("must be a duration with its unit, such as 500ms, 90s or 1m30s")
    if parse_duration(value) < 0:
        raise ValueError("must not be negative")


@_FORMATS.format("time-limit")
def _check_time_limit(value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError("must be a duration with its unit, such as 500ms, 90s or 1m30s")
    if parse_duration(value) <= 0:
        raise ValueError("must be longer than 0s")


@_FORMATS.format("memory")
def _check_memory(value: Any) -> None:
    parse_memory(value)


@_FORMATS.format("file-path")
def _check_file_path(value: Any) -> None:
    _check_path(value, "a relative path")


@_FORMATS.format("any-path")
def _check_any_path(value: Any) -> None:
    _check_path(value.removeprefix("/") if isinstance(value, str) else value, "a path")


def _check_path(value: Any, kind: str) -> None:
    if not isinstance(value, str):
        return
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or str(path) != value or value == ".":
        raise ValueError(f"must be {kind} without '.', '..' and empty parts")
    if len(value.encode()) > _MAX_PATH_BYTES:
        raise ValueError(f"must have at most {_MAX_PATH_BYTES} bytes")
    if re.search(r"[\x00-\x1f\x7f-\x9f]", value):
        raise ValueError("must be a path without control characters")
    if any(len(part.encode()) > _MAX_FILE_NAME_BYTES for part in path.parts):
        raise ValueError(f"must have parts of at most {_MAX_FILE_NAME_BYTES} bytes")


def _object(properties: dict[str, JSON], *required: str, **more: JSON) -> dict[str, JSON]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


def _mapping(names: str, values: JSON) -> dict[str, JSON]:
    return {"type": "object", "propertyNames": {"format": names}, "additionalProperties": values}


_TEXT: Final[dict[str, JSON]] = {"type": "string"}
_NAME: Final[dict[str, JSON]] = {"type": "string", "minLength": 1, "maxLength": 200}
_LITERAL: Final[dict[str, JSON]] = {"type": "string", "format": "not-blank"}
_FLAG: Final[dict[str, JSON]] = {"type": "boolean"}
_ARGUMENT: Final[dict[str, JSON]] = {"type": ["string", "number", "boolean"]}

_CONFIG: Final[dict[StepType, JSON]] = {
    StepType.COMMAND: _object(
        {"command": _LITERAL, "args": {"type": "array", "items": _ARGUMENT}}, "command"
    ),
    StepType.SCRIPT: _object(
        {
            "shell": {"type": "string", "format": "shell"},
            "script": _LITERAL,
        },
        "script",
    ),
    StepType.HTTP: _object(
        {
            "method": {"type": "string", "format": "method"},
            "url": {"type": "string", "format": "url"},
            "headers": _mapping("header", _ARGUMENT),
            "body": True,
            "expect_status": {
                "type": "array",
                "items": {"type": "integer", "minimum": 100, "maximum": 599},
                "minItems": 1,
            },
        },
        "url",
    ),
}

_COUNT: Final[dict[str, JSON]] = {"type": "integer", "minimum": 1, "maximum": 1_000_000}
_BATCH_NAME: Final[dict[str, JSON]] = {"type": "string", "format": "batch-name"}
_RESOURCES: Final = _object(
    {
        Resource.CPUS: {"type": "integer", "minimum": 1},
        Resource.MEMORY: {"format": "memory"},
        Resource.TIME: {"format": "time-limit"},
        Resource.NODES: _COUNT,
        Resource.TASKS: _COUNT,
        Resource.TASKS_PER_NODE: _COUNT,
        Resource.GPUS: {**_COUNT, "minimum": 0},
        Resource.EXCLUSIVE: {"type": "boolean"},
        Resource.PARTITION: _BATCH_NAME,
        Resource.ACCOUNT: _BATCH_NAME,
        Resource.QOS: _BATCH_NAME,
        Resource.RESERVATION: _BATCH_NAME,
        Resource.CONSTRAINT: {"type": "string", "format": "constraint"},
        Resource.EXTRA: {
            "type": "array",
            "items": {"type": "string", "format": "batch-option"},
            "maxItems": 50,
        },
    }
)

_PATHS: Final[dict[str, JSON]] = {
    "type": "array",
    "items": {"type": "string", "format": "file-path"},
    "uniqueItems": True,
    "maxItems": 100,
}

_PATH: Final[dict[str, JSON]] = {"type": "string", "format": "any-path"}

_STEP: Final = _object(
    {
        "id": {"type": "string", "format": "step-id"},
        "type": {"enum": [str(step_type) for step_type in StepType]},
        "name": _NAME,
        "description": _TEXT,
        "needs": {"type": "array", "items": _TEXT, "uniqueItems": True},
        "config": {"type": "object"},
        "env": _mapping("variable", _ARGUMENT),
        "timeout": {"format": "time-limit"},
        "retries": {"type": "integer", "minimum": 0, "maximum": 100},
        "retry_delay": {"format": "duration"},
        "allow_failure": {"type": "boolean"},
        WORD: _FLAG,
        "working_dir": _LITERAL,
        "stage_in": _PATHS,
        "stage_out": _PATHS,
        **dict.fromkeys(map(str, StreamFile), _PATH),
        Preparation.MODULES: {
            "type": "array",
            "items": {"type": "string", "format": "module"},
            "uniqueItems": True,
            "maxItems": 50,
        },
        "resources": _RESOURCES,
        "foreach": {"type": ["array", "string"], "maxItems": MAX_STEPS},
        "max_parallel": {"type": "integer", "minimum": 1, "maximum": MAX_STEPS},
        "item": {"type": "string", "format": "item-name"},
    },
    "id",
    "type",
    "config",
    allOf=[
        {
            "if": {"properties": {"type": {"const": str(step_type)}}, "required": ["type"]},
            "then": {"properties": {"config": config}},
        }
        for step_type, config in _CONFIG.items()
    ],
)

# The words' own types are left to the meta-schema of JSON Schema; references stay outside, for
# resolving them would read files and the network.
_VALUE_WORDS: Final[dict[str, JSON]] = {
    "type": {"enum": list(INPUT_TYPES)},
    "format": {"enum": list(INPUT_FORMATS)},
    "items": {"$ref": "#/$defs/value"},
    "properties": {"additionalProperties": {"$ref": "#/$defs/value"}},
    "additionalProperties": {"type": "boolean"},
    **dict.fromkeys(
        (
            "description", "enum", "const", "minimum", "maximum", "exclusiveMinimum",
            "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "minItems",
            "maxItems", "uniqueItems", "minProperties", "maxProperties",
        ),
        True,
    ),
}  # fmt: skip

_DEFINITION: Final = _object(
    {
        "id": {"type": "string", "format": "definition-id"},
        "name": {**_NAME, "format": "definition-name"},
        "description": _TEXT,
        "inputs": _mapping("input-name", {"$ref": "#/$defs/input"}),
        "outputs": _mapping("input-name", {"$ref": "#/$defs/output"}),
        "files": _mapping("file-path", {"$ref": "#/$defs/file"}),
        WORD: _FLAG,
        "steps": {
            "type": "array",
            "items": {"$ref": "#/$defs/step"},
            "minItems": 1,
            "maxItems": MAX_STEPS,
        },
    },
    "id",
    "steps",
    **{
        "$defs": {
            "step": _STEP,
            "input": _object(
                {**_VALUE_WORDS, "default": True, "required": {"type": "boolean"}, WORD: _FLAG}
            ),
            "file": {
                "if": {"type": "object"},
                "then": _object({"text": _TEXT, WORD: _FLAG}, "text"),
                "else": _TEXT,
            },
            "value": _object({**_VALUE_WORDS, "required": True}),
            "output": {
                "type": ["string", "object"],
                "if": {"type": "object"},
                "then": _object({"value": True, "description": _TEXT}, "value"),
            },
        }
    },
)

_SHAPE: Final = Shape(_DEFINITION, _FORMATS)
