"""The shape of a document that defines what virtual users do, as JSON Schema of draft 2020-12.

It is one for YAML and for objects. What a schema cannot say is in :mod:`app.load.checks`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlsplit

from app.documents import Fault, Path
from app.domain import JSON
from app.durations import parse_go_duration
from app.json_schema import FormatTable, Shape
from app.load.conditions import compile_condition
from app.load.definition import (
    BranchKind,
    LoopMode,
    Mode,
    OnError,
    Operator,
    StepType,
    TargetMode,
)
from app.load.jsonpath import parse_path

HTTP_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
FORM_FIELDS: Final = {"x-www-form-urlencoded": "urlencoded", "form-data": "formData"}
BODY_TYPES: Final = ("none", "json", "xml", "text", "graphql", *FORM_FIELDS)
"""Words of ``type`` in a body; an object without one of them is sent as it is."""
ASSERTED: Final = ("status_code", "response_body", "jsonpath", "header", "response_time")
EXTRACTED: Final = ("jsonpath", "header", "cookie")

MAX_SCRIPT_LENGTH: Final = 64 * 1024
"""Longest script, in characters."""
MAX_STEPS: Final = 1000
"""Most steps of one list, and of a definition."""

_MAX_TEXT: Final = 256 * 1024
_MAX_NUMBER: Final = 10**12
_MAX_VUS: Final = 1_000_000
_LONGEST_US: Final = 366 * 24 * 3600 * 1_000_000
_WRITTEN_BY_US: Final = ("content-length", "transfer-encoding", "connection", "te", "upgrade")
_TEMPLATE: Final = "${"


def violations(document: JSON) -> Iterator[Fault]:
    """Find where a document has not the shape of a definition."""
    return _SHAPE.violations(document)


def keeps_text(path: Path) -> bool:
    """Whether what stands at this path of a document is text, however it reads in YAML."""
    if _is_json(path):
        return False
    match path:
        case (*_, "id" | "name" | "expected" | "url" | "key" | "expression" | "condition"):
            return True
        case (*_, holder, int(), "value") | (*_, str(holder), str()):
            return holder in _OF_TEXTS
    return False


_OF_TEXTS: Final = frozenset(
    {"headers", "params", "query", "formData", "urlencoded", "labels", "tags"}
)


def _is_json(path: Path) -> bool:
    """Return whether it is within what may be any JSON, whose numbers stay numbers."""
    if path[:1] == ("variables",):
        return True
    for at, (holder, field) in enumerate(pairwise(path), 2):
        if (holder, field) in {("loop", "items"), ("config", "value")}:
            return True
        if (holder, field) == ("config", "body"):
            return path[at : at + 1] not in {("formData",), ("urlencoded",)}
    return False


_FORMATS: Final = FormatTable()

_FORMATS.named(
    "step-id",
    r"\w[\w.-]{0,99}",
    "1 to 100 letters, digits, '_', '-' and '.', with no '-' or '.' first",
)
_FORMATS.named(
    "variable",
    r"[^\s${}](?:[^${}\r\n]{0,98}[^\s${}])?",
    "1 to 100 characters without '$', '{' and '}'",
)
_FORMATS.named("header", r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}", "the name of an HTTP header")
_FORMATS.named("one-line", r"[^\x00-\x08\x0a-\x1f\x7f]*", "text of one line")
_FORMATS.named("method", f"(?i:{'|'.join(HTTP_METHODS)})", f"one of {', '.join(HTTP_METHODS)}")
_FORMATS.named("javascript", r"(?i:javascript|js)", "javascript, the one language that there is")
_FORMATS.named(
    "pem", r"(?s)\s*-----BEGIN [A-Z ]+-----.*", "text in PEM; files of slaves are not read"
)


@_FORMATS.format("duration")
def _check_duration(value: Any) -> None:
    if type(value) is int and value == 0:
        return
    if not isinstance(value, str):
        raise ValueError("must be a duration with its unit, such as 500ms, 90s or 1m30s")
    microseconds = parse_go_duration(value)
    if microseconds < 0:
        raise ValueError("must not be negative")
    if microseconds > _LONGEST_US:
        raise ValueError("must be at most a year")


@_FORMATS.format("time-limit")
def _check_time_limit(value: Any) -> None:
    _check_duration(value)
    if value == 0 or parse_go_duration(value) <= 0:
        raise ValueError("must be longer than 0s")


@_FORMATS.format("script-limit")
def _check_script_limit(value: Any) -> None:
    if isinstance(value, str):
        _check_time_limit(value)
    elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3600:
        raise ValueError("must be a number of seconds up to 3600, or a duration such as 500ms")


@_FORMATS.format("wait")
def _check_wait(value: Any) -> None:
    if isinstance(value, str):
        _check_duration(value)
    elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3.6e6:
        raise ValueError("must be a number of milliseconds, or a duration such as 500ms")


@_FORMATS.format("condition")
def _check_condition(value: Any) -> None:
    if isinstance(value, str):
        compile_condition(value)


@_FORMATS.format("header-name")
def _check_header_name(value: Any) -> None:
    _FORMATS["header"](value)
    if isinstance(value, str) and value.lower() in _WRITTEN_BY_US:
        raise ValueError("is written by the client itself")


@_FORMATS.format("base-url")
def _check_base_url(value: Any) -> None:
    if isinstance(value, str):
        _FORMATS["one-line"](value)
        check_url(value)


def check_url(url: str) -> None:
    """Check what a URL begins with.

    Raises:
        ValueError: It is surely no http URL, whatever its variables are.
    """
    if url.startswith(_TEMPLATE):
        return
    if not re.match(r"(?i:https?)://[^/?#]", url):
        raise ValueError("must be an http:// or https:// URL")
    if _TEMPLATE in url:
        return
    try:
        parts = urlsplit(url)
        known = bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or re.search(r"[\s\\]", parts.netloc):
        raise ValueError("must be a URL with a host, and a port from 1 to 65535 if it has one")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user; that is for the header Authorization")


def check_path(text: str) -> None:
    """Check a JSONPath.

    Raises:
        ValueError: It is none.
    """
    parse_path(text)


def _object(properties: dict[str, JSON], *required: str, **more: JSON) -> dict[str, JSON]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


def _enum(words: Any) -> dict[str, JSON]:
    return {"enum": [str(word) for word in words]}


def _many(items: JSON, most: int) -> dict[str, JSON]:
    return {"type": "array", "items": items, "maxItems": most}


_TEXT: Final[dict[str, JSON]] = {"type": "string", "maxLength": _MAX_TEXT}
_NAME: Final[dict[str, JSON]] = {"type": "string", "maxLength": 200}
_LINE: Final[dict[str, JSON]] = {"type": "string", "maxLength": 8192, "format": "one-line"}
_SCALAR: Final[dict[str, JSON]] = {"type": ["string", "number", "boolean"], "maxLength": _MAX_TEXT}
_BOOLEAN: Final[dict[str, JSON]] = {"type": "boolean"}
_VARIABLE: Final[dict[str, JSON]] = {"type": "string", "format": "variable"}
_SCRIPT: Final[dict[str, JSON]] = {
    "type": "string",
    "maxLength": MAX_SCRIPT_LENGTH,
    "format": "not-blank",
}
_CONDITION: Final[dict[str, JSON]] = {"type": "string", "format": "condition"}
_DURATION: Final[dict[str, JSON]] = {"format": "duration"}
_TIME_LIMIT: Final[dict[str, JSON]] = {"format": "time-limit"}
_STEPS: Final[dict[str, JSON]] = {
    "type": "array",
    "items": {"$ref": "#/$defs/step"},
    "minItems": 1,
    "maxItems": MAX_STEPS,
}
_NESTED_STEPS: Final = _STEPS | {"minItems": 0}
_PEM: Final[dict[str, JSON]] = {"type": "string", "maxLength": 64 * 1024, "format": "pem"}


def _pairs(names: dict[str, JSON], values: dict[str, JSON]) -> dict[str, JSON]:
    """Return the schema of names and values: an object, or a list of them that can be switched."""
    item = _object(
        {"key": {"type": "string", **names}, "value": values, "enabled": _BOOLEAN}, "key"
    )
    return {
        "type": ["object", "array"],
        "maxItems": 200,
        "maxProperties": 200,
        "propertyNames": names,
        "additionalProperties": values,
        "items": item,
    }


_FIELDS: Final = _pairs({"minLength": 1, "maxLength": 1000}, _SCALAR)
_HEADERS: Final = _pairs(
    {"format": "header-name"}, _SCALAR | {"maxLength": 8192, "format": "one-line"}
)
_BODY: Final[dict[str, JSON]] = {
    "maxLength": _MAX_TEXT,
    "if": {
        "type": "object",
        "properties": {"type": _enum(BODY_TYPES)},
        "required": ["type"],
    },
    "then": _object(
        {
            "type": _enum(BODY_TYPES),
            "raw": {"maxLength": _MAX_TEXT},
            "formData": _FIELDS,
            "urlencoded": _FIELDS,
        }
    ),
}
_HTTP: Final = _object(
    {
        "method": {"type": "string", "format": "method"},
        "url": _LINE | {"allOf": [{"format": "not-blank"}]},
        "domain_base_url": {"type": "string", "maxLength": 8192, "format": "base-url"},
        "headers": _HEADERS,
        "params": _FIELDS,
        "query": _FIELDS,
        "body": _BODY,
        "redirect": _object(
            {
                "follow": _BOOLEAN,
                "max_redirects": {"type": "integer", "minimum": 0, "maximum": 50},
            }
        ),
        "ssl": _object({"verify": _BOOLEAN, "cert": _PEM, "key": _PEM, "ca": _PEM}),
        "timeout": _object(dict.fromkeys(("connect", "read", "write", "request"), _TIME_LIMIT)),
        "expected_status": {
            "type": ["integer", "array"],
            "minimum": 100,
            "maximum": 599,
            "items": {"type": "integer", "minimum": 100, "maximum": 599},
            "minItems": 1,
            "maxItems": 500,
        },
    },
    "url",
)
_SCRIPT_CONFIG: Final = _object(
    {
        "language": {"type": "string", "format": "javascript"},
        "script": _SCRIPT,
        "timeout": {"format": "script-limit"},
    },
    "script",
)


def _by_type(field: str, shapes: dict[str, JSON], inner: str) -> list[JSON]:
    """Return what another field must look like, by the word in one."""
    return [
        {
            "if": {"properties": {field: {"const": word}}, "required": [field]},
            "then": {"properties": {inner: shape}},
        }
        for word, shape in shapes.items()
    ]


_HOOK: Final = _object(
    {"type": _enum(("script", "http")), "config": {"type": "object"}},
    "type",
    "config",
    allOf=_by_type("type", {"http": _HTTP, "script": _SCRIPT_CONFIG}, "config"),
)
_SCOPE: Final = _enum(("temp", "env"))
_PROCESSORS: Final[dict[str, JSON]] = {
    "js_script": _object({"script": _SCRIPT}, "script"),
    "set_variable": _object(
        {"variableName": _VARIABLE, "value": True, "scope": _SCOPE}, "variableName", "value"
    ),
    "wait": _object({"duration": {"format": "wait"}}),
    "assertion": _object(
        {
            "assertType": _enum(ASSERTED),
            "operator": _enum(Operator),
            "expression": {"type": "string", "maxLength": 500},
            "expected": _SCALAR,
        },
        "assertType",
    ),
    "extract_param": _object(
        {
            "extractType": _enum(EXTRACTED),
            "expression": {"type": "string", "maxLength": 500, "format": "not-blank"},
            "variableName": _VARIABLE,
            "scope": _SCOPE,
        },
        "extractType",
        "expression",
        "variableName",
    ),
}
_PROCESSOR: Final = _object(
    {
        "id": {"type": "string", "format": "step-id"},
        "type": _enum(_PROCESSORS),
        "enabled": _BOOLEAN,
        "name": _NAME,
        "config": {"type": "object"},
    },
    "type",
    allOf=_by_type("type", _PROCESSORS, "config"),
)
_BRANCH: Final = _object(
    {
        "id": {"type": "string", "format": "step-id"},
        "name": _NAME,
        "kind": _enum(BranchKind),
        "expression": {"type": "string"},
        "steps": _NESTED_STEPS,
    },
    "kind",
    "steps",
)
_LOOP: Final = _object(
    {
        "mode": _enum(LoopMode),
        "count": {"type": ["integer", "string"], "minimum": 0, "maximum": 10**6, "maxLength": 300},
        "items": {"type": ["array", "string"], "maxItems": 10_000, "maxLength": _MAX_TEXT},
        "item_var": _VARIABLE,
        "condition": _CONDITION,
        "max_iterations": {"type": "integer", "minimum": 1, "maximum": 10**6},
        "break_condition": _CONDITION,
        "continue_condition": _CONDITION,
        "steps": _STEPS,
    },
    "mode",
    "steps",
)
_OLD_CONDITION: Final = _object({"type": _enum(BranchKind), "expression": {"type": "string"}})
_STEP: Final = _object(
    {
        "id": {"type": "string", "format": "step-id"},
        "name": _NAME,
        "type": _enum(StepType),
        "config": {"type": "object"},
        "pre_hook": _HOOK,
        "post_hook": _HOOK,
        "preProcessors": _many(_PROCESSOR, 100),
        "postProcessors": _many(_PROCESSOR, 100),
        "branches": _many(_BRANCH, 100) | {"minItems": 1},
        "children": _STEPS,
        "loop": _LOOP,
        "on_error": _enum(OnError),
        "timeout": _TIME_LIMIT,
        "disabled": _BOOLEAN,
    },
    "id",
    "type",
    allOf=_by_type(
        "type",
        {
            "http": _HTTP,
            "script": _SCRIPT_CONFIG,
            "condition": _OLD_CONDITION,
            "loop": _object({}),
        },
        "config",
    ),
)

_COUNT: Final[dict[str, JSON]] = {"type": "integer", "minimum": 1, "maximum": _MAX_NUMBER}
_VUS: Final[dict[str, JSON]] = {"type": "integer", "minimum": 1, "maximum": _MAX_VUS}
_OPTIONS: Final = _object(
    {
        "vus": _VUS,
        "duration": _TIME_LIMIT,
        "iterations": _COUNT,
        "mode": _enum(Mode),
        "stages": _many(
            _object(
                {
                    "duration": _DURATION,
                    "target": {"type": "number", "minimum": 0, "maximum": _MAX_VUS},
                    "name": _NAME,
                },
                "duration",
                "target",
            ),
            1000,
        )
        | {"minItems": 1},
        "rate": {"type": "number", "exclusiveMinimum": 0, "maximum": _MAX_VUS},
        "time_unit": _TIME_LIMIT,
        "pre_allocated_vus": _VUS,
        "max_vus": _VUS,
        "thresholds": _many(
            _object(
                {
                    "metric": {"type": "string", "maxLength": 300},
                    "condition": {"type": "string", "maxLength": 300},
                },
                "metric",
                "condition",
            ),
            100,
        ),
        "target_slaves": _object(
            {
                "mode": _enum(TargetMode),
                "slave_ids": _many({"type": "string", "minLength": 1, "maxLength": 200}, 1000)
                | {"minItems": 1, "uniqueItems": True},
                "labels": {
                    "type": "object",
                    "additionalProperties": _SCALAR | {"maxLength": 200},
                    "minProperties": 1,
                    "maxProperties": 100,
                },
                "capabilities": _many({"type": "string", "minLength": 1, "maxLength": 200}, 100)
                | {"minItems": 1},
                "min_slaves": {"type": "integer", "minimum": 1, "maximum": 10_000},
                "max_slaves": {"type": "integer", "minimum": 1, "maximum": 10_000},
            }
        ),
        "tags": {
            "type": "object",
            "additionalProperties": _SCALAR | {"maxLength": 200},
            "maxProperties": 100,
        },
    }
)

_DEFINITION: Final = _object(
    {
        "id": {"type": "string", "format": "definition-id"},
        "name": {**_NAME, "format": "definition-name"},
        "description": _TEXT,
        "variables": {
            "type": "object",
            "propertyNames": {"format": "variable"},
            "additionalProperties": True,
            "maxProperties": 1000,
        },
        "pre_hook": _HOOK,
        "post_hook": _HOOK,
        "steps": _STEPS,
        "options": _OPTIONS,
    },
    "id",
    "steps",
    **{"$defs": {"step": _STEP}},
)

_SHAPE: Final = Shape(_DEFINITION, _FORMATS)
