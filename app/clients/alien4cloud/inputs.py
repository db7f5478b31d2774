"""Inputs of a workflow: what is expected, whether it was given, and how it is sent.

Pure functions. Source: Alien4Cloud 3.8 REST, sections 5 and 6.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app import json_schema
from app.clients.alien4cloud.model import unwrap
from app.documents import write_number
from app.domain import JSON, Parameter
from app.inputs import check_inputs

_TYPES: Mapping[str, str] = {
    "string": "string",
    "integer": "integer",
    "float": "number",
    "boolean": "boolean",
    "timestamp": "string",
    "version": "string",
    "range": "string",
    "list": "array",
    "map": "object",
}
"""JSON Schema's name of each TOSCA type; scalars with a unit are text, data types objects."""

_SIZES = {"string": "Length", "array": "Items", "object": "Properties"}
_INT32 = range(-(2**31), 2**31)
_INTEGER = re.compile(r"[-+]?[0-9]{1,100}")
_NUMBER = re.compile(r"[-+]?([0-9]{1,100}(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Input:
    """One input: what callers see of it, and its TOSCA type."""

    parameter: Parameter
    tosca_type: str


def parse_input(name: str, raw: Mapping[str, Any]) -> Input:
    """Read a property definition.

    Raises:
        LookupError, TypeError, AttributeError, ValueError: It has another shape.
    """
    tosca_type = str(raw["type"])
    type_ = _json_type(tosca_type)
    default = _typed(type_, unwrap(raw.get("default")))
    is_data_type = type_ == "object" and tosca_type != "map"
    required = raw.get("required") is not False
    parameter = Parameter(
        name=name,
        type=type_,
        required=required and default is None,
        default=default,
        description=str(raw.get("description") or ""),
        schema=_schema(raw),
        # Alien4Cloud 3.8 fails to launch with one (section 6).
        refusal=f"Alien4Cloud takes no {tosca_type} here" if is_data_type else "",
    )
    return Input(parameter, tosca_type)


def _json_type(tosca_type: str) -> str:
    return _TYPES.get(tosca_type) or (
        "string" if tosca_type.startswith("scalar-unit.") else "object"
    )


def _schema(raw: Mapping[str, Any]) -> dict[str, JSON]:
    tosca_type = str(raw["type"])
    type_ = _json_type(tosca_type)
    schema: dict[str, JSON] = {"type": type_}
    if tosca_type not in _TYPES:
        schema["x-tosca-type"] = tosca_type
    if raw.get("password"):
        schema["format"] = "password"
    entry = raw.get("entrySchema")
    if entry and tosca_type in ("list", "map"):
        schema["items" if tosca_type == "list" else "additionalProperties"] = _schema(entry)
    for constraint in raw.get("constraints") or ():
        for word, operand in constraint.items():
            translate = _CONSTRAINTS.get(word)
            if translate is not None and operand is not None:
                schema.update(translate(type_, operand))
    return schema


def _bound(keyword: str) -> Callable[[str, Any], dict[str, JSON]]:
    def translate(type_: str, operand: Any) -> dict[str, JSON]:
        # JSON Schema orders numbers only: a bound of "1 GB" stays Alien4Cloud's to check.
        value = _typed(type_, operand)
        return {keyword: value} if type_ in ("integer", "number") else {}

    return translate


def _range(type_: str, operand: Any) -> dict[str, JSON]:
    return {**_bound("minimum")(type_, operand[0]), **_bound("maximum")(type_, operand[1])}


def _size(*ends: str) -> Callable[[str, Any], dict[str, JSON]]:
    def translate(type_: str, operand: Any) -> dict[str, JSON]:
        return {end + _SIZES[type_]: int(operand) for end in ends if type_ in _SIZES}

    return translate


def _pattern(_: str, operand: Any) -> dict[str, JSON]:
    pattern = f"^(?:{operand})$"
    try:
        re.compile(pattern)
    except re.error:
        return {}
    # What only Java knows, or only some readers of JSON Schema, stays Alien4Cloud's to check.
    return {"pattern": pattern} if json_schema.knows_pattern(pattern) else {}


_CONSTRAINTS: Mapping[str, Callable[[str, Any], dict[str, JSON]]] = {
    "equal": lambda type_, operand: {"const": _typed(type_, operand)},
    "greaterThan": _bound("exclusiveMinimum"),
    "greaterOrEqual": _bound("minimum"),
    "lessThan": _bound("exclusiveMaximum"),
    "lessOrEqual": _bound("maximum"),
    "inRange": _range,
    "length": _size("min", "max"),
    "minLength": _size("min"),
    "maxLength": _size("max"),
    "pattern": _pattern,
    "validValues": lambda type_, operand: {"enum": [_typed(type_, item) for item in operand]},
}


def _typed(type_: str, value: JSON) -> JSON:
    """Read text as a value of a type, where it is one; Alien4Cloud writes most values as text."""
    if type_ == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str):
        return value
    if type_ == "integer" and _INTEGER.fullmatch(value):
        return int(value)
    if type_ == "number" and _NUMBER.fullmatch(value):
        return float(value)
    if type_ == "boolean":
        return {"true": True, "false": False}.get(value.lower(), value)
    return value


def encode(inputs: Sequence[Input], values: Mapping[str, JSON]) -> dict[str, JSON]:
    """Check the values for a launch as every orchestrator's are, and write them for Alien4Cloud.

    ``None`` is left out. Structured values will do for text: they become JSON.

    Raises:
        InvalidRequest: With every fault in ``fields``.
    """
    known = {item.parameter.name: item for item in inputs}
    given = {
        name: normal(known[name], value) if name in known else value
        for name, value in values.items()
        if value is not None
    }
    checked = check_inputs([item.parameter for item in inputs], given)
    return to_wire(inputs, {name: value for name, value in checked.items() if name in given})


def to_wire(inputs: Sequence[Input], values: Mapping[str, JSON]) -> dict[str, JSON]:
    """Write values that were checked in the way that Alien4Cloud accepts.

    What cannot be sent, and has its default, is left out.
    """
    return {
        item.parameter.name: _on_the_wire(values[item.parameter.name])
        for item in inputs
        if values.get(item.parameter.name) is not None and not item.parameter.refusal
    }


def normal(item: Input, value: JSON) -> JSON:
    """Read a value as the type of its input, where it is one."""
    if item.parameter.type == "string" and isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return _typed(item.parameter.type, value)


def _on_the_wire(value: JSON) -> JSON:
    """Only text, 32-bit integers, lists and maps are accepted (section 6)."""
    if isinstance(value, list):
        return [_on_the_wire(item) for item in value]
    if isinstance(value, dict):
        return {key: _on_the_wire(item) for key, item in value.items()}
    if isinstance(value, str) or (type(value) is int and value in _INT32):
        return value
    return write_number(value) if isinstance(value, float) else json.dumps(value)
