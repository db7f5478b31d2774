"""The inputs of a launch, checked against what the workflow says it takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from app.domain import JSON, Parameter
from app.engine import json_schema
from app.engine.document import not_json
from app.engine.expressions import to_text
from app.engine.faults import Fault, to_field_error
from app.errors import InvalidRequest

MAX_TEXT_BYTES: Final = 100 * 1024
"""Longest text of one input; Linux takes 128 KiB for an environment variable with its name."""

_WRITTEN: Final = {
    "integer": re.compile(r"-?(0|[1-9][0-9]{0,17})"),
    "number": re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?"),
    "boolean": re.compile(r"true|false"),
}


def validate_inputs(
    parameters: Sequence[Parameter], given: JSON, *, read_text: bool = False
) -> dict[str, JSON]:
    """Check the inputs of a launch and add the defaults.

    Args:
        parameters: What the workflow takes.
        given: What the caller sent.
        read_text: Take the text of a number or a boolean for the value that it writes.

    Returns:
        A value for each parameter that has one, in the order of the parameters.

    Raises:
        InvalidRequest: Naming every fault, at ``inputs.<name>``; no message repeats a value.
    """
    if not isinstance(given, Mapping):
        message = f"must be an object, got {json_schema.type_name(given)}"
        raise _invalid([Fault(("inputs",), message)])
    known = {parameter.name for parameter in parameters}
    faults = [
        Fault(("inputs", str(name)), "is not an input of this workflow")
        for name in given
        if name not in known
    ]
    values: dict[str, JSON] = {}
    for parameter in parameters:
        if parameter.name in given:
            value = _normal(parameter, given[parameter.name], read_text=read_text)
            values[parameter.name] = value
            faults += _value_faults(parameter, value)
        elif parameter.default is not None:
            values[parameter.name] = parameter.default
        elif parameter.required:
            faults.append(Fault(("inputs", parameter.name), "is required"))
    if faults:
        raise _invalid(faults)
    return values


def _normal(parameter: Parameter, value: JSON, *, read_text: bool) -> JSON:
    """Write an integer as one: JSON Schema takes 10.0 for an integer, but few commands do."""
    pattern = _WRITTEN.get(parameter.type)
    if read_text and pattern and isinstance(value, str) and pattern.fullmatch(value):
        value = json.loads(value)
    integral = isinstance(value, float) and value.is_integer()
    return int(value) if integral and parameter.type == "integer" else value


def _value_faults(parameter: Parameter, value: JSON) -> Iterator[Fault]:
    path = ("inputs", parameter.name)
    faults = list(not_json(value, path))
    if faults:
        yield from faults
        return
    yield from json_schema.violations({"type": parameter.type, **parameter.schema}, value, path)
    if len(to_text(value).encode()) > MAX_TEXT_BYTES:
        yield Fault(path, f"must not be longer than {MAX_TEXT_BYTES // 1024} KiB as text")


def _invalid(faults: Iterable[Fault]) -> InvalidRequest:
    fields = tuple(to_field_error(fault) for fault in faults)
    return InvalidRequest("The inputs are not those that the workflow takes.", fields=fields)
