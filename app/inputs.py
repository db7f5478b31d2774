"""The inputs of a launch, checked against what the workflow says it takes.

These are the checks of every orchestrator, and their texts. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from app import documents, json_schema
from app.documents import Fault, to_field_error
from app.domain import JSON, Parameter
from app.errors import MAX_FIELDS, InvalidRequest
from app.values import not_json, to_text

MAX_TEXT_BYTES: Final = 100 * 1024
"""Longest text of one input; Linux takes 128 KiB for an environment variable with its name."""

MAX_INPUTS_BYTES: Final = 1024 * 1024
"""Longest texts of all inputs together; Linux takes 2 MiB for all arguments and variables."""

_BOOLEANS: Final = {"true": True, "yes": True, "on": True} | dict.fromkeys(
    ("false", "no", "off"), False
)
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Given(NamedTuple):
    """An input that was given: what it should be, and its value."""

    parameter: Parameter
    value: JSON


def check_inputs(
    parameters: Sequence[Parameter],
    given: JSON,
    check: Callable[[list[Given]], tuple[dict[str, JSON], list[Fault]]] | None = None,
) -> dict[str, JSON]:
    """Check the inputs of a launch and add the defaults.

    The existing ``waas`` client sends every value as text. So text is read as the integer, number,
    boolean, list or object that it writes, where the input is declared to be one; what is within
    such a list or object is taken as it is.

    Args:
        parameters: What the workflow takes.
        given: What the caller sent.
        check: Does what :func:`check_values` does, somewhere else.

    Returns:
        A value for each parameter that has one, in the order of the parameters.

    Raises:
        InvalidRequest: Naming the faults, at ``inputs.<name>``; no message repeats a value.
    """
    if not isinstance(given, Mapping):
        message = f"must be an object, got {json_schema.type_name(given)}"
        raise invalid_inputs([Fault(("inputs",), message)])
    known = {parameter.name for parameter in parameters}
    stray = [name for name in given if name not in known]
    faults = [
        Fault(("inputs", str(name)), "is not an input of this workflow")
        for name in stray[:MAX_FIELDS]
    ]
    values, found = (check or check_values)(
        [Given(p, given[p.name]) for p in parameters if p.name in given]
    )
    faults += found
    for parameter in parameters:
        if parameter.name in given:
            continue
        if parameter.default is not None:
            values[parameter.name] = parameter.default
        elif parameter.required:
            faults.append(Fault(("inputs", parameter.name), "is required"))
    if faults:
        raise invalid_inputs(faults, more=len(stray[MAX_FIELDS:]))
    checked = {p.name: values[p.name] for p in parameters if p.name in values}
    if _are_too_long(checked):
        longest = max(checked, key=lambda name: len(to_text(checked[name])))
        most = f"must not be longer than {MAX_INPUTS_BYTES // 1024} KiB together, as text"
        message = f"all inputs {most}; this is the longest one"
        raise invalid_inputs([Fault(("inputs", longest), message)])
    return checked


def _are_too_long(values: Mapping[str, JSON]) -> bool:
    if len(values) * MAX_TEXT_BYTES <= MAX_INPUTS_BYTES:
        return False
    return sum(len(to_text(value).encode()) for value in values.values()) > MAX_INPUTS_BYTES


def check_values(given: Iterable[Given]) -> tuple[dict[str, JSON], list[Fault]]:
    """Read and check inputs.

    Returns:
        The value of each, and all faults.
    """
    values: dict[str, JSON] = {}
    faults: list[Fault] = []
    for parameter, written in given:
        path = ("inputs", parameter.name)
        try:
            values[parameter.name] = value = _read(parameter.type, written)
        except ValueError as exc:
            faults.append(Fault(path, str(exc)))
        else:
            faults += _value_faults(parameter, value)
    return values, faults


def refuse_astray(parameters: Sequence[Parameter], beside: Collection[str]) -> None:
    """Refuse a launch that names inputs outside of ``inputs``: it would run with their defaults.

    Raises:
        InvalidRequest: Naming each.
    """
    names = [parameter.name for parameter in parameters if parameter.name in beside]
    if names:
        message = "is an input of this workflow, and must stand in 'inputs'"
        raise invalid_inputs([Fault((name,), message) for name in names])


def _read(kind: str, value: JSON) -> JSON:
    """Take text for the value that it writes, and a float for the integer that it is."""
    if isinstance(value, str) and kind in _READERS and len(value) <= MAX_TEXT_BYTES:
        value = _READERS[kind](value)
    integral = kind == "integer" and isinstance(value, float) and value.is_integer()
    return int(value) if integral else value


def _read_integer(text: str) -> JSON:
    return documents.read_number(text) if _INTEGER.fullmatch(text) else text


def _read_number(text: str) -> JSON:
    return documents.read_number(text) if _NUMBER.fullmatch(text) else text


def _read_boolean(text: str) -> JSON:
    return _BOOLEANS.get(text.lower(), text)


def _read_list(text: str) -> JSON:
    return _read_json(text, list, "an array")


def _read_object(text: str) -> JSON:
    return _read_json(text, dict, "an object")


def _read_json(text: str, kind: type, expected: str) -> JSON:
    try:
        value = documents.read_json(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise ValueError(f"must be {expected}, got a string that is none in JSON")
    return value


_READERS: Final = {
    "integer": _read_integer,
    "number": _read_number,
    "boolean": _read_boolean,
    "array": _read_list,
    "object": _read_object,
}


def _value_faults(parameter: Parameter, value: JSON) -> Iterator[Fault]:
    path = ("inputs", parameter.name)
    faults = list(not_json(value, path))
    if faults:
        yield from faults
    elif parameter.refusal and value != parameter.default:
        yield Fault(path, f"cannot be given: {parameter.refusal}")
    elif len(to_text(value).encode()) > MAX_TEXT_BYTES:
        yield Fault(path, f"must not be longer than {MAX_TEXT_BYTES // 1024} KiB as text")
    else:
        schema = {"type": parameter.type, **parameter.schema}
        yield from json_schema.violations(schema, value, path)


def invalid_inputs(faults: Sequence[Fault], more: int = 0) -> InvalidRequest:
    """Make the error that names faults of inputs.

    Args:
        faults: The faults.
        more: Number of those that are not among them.
    """
    fields = [to_field_error(fault) for fault in faults[:MAX_FIELDS]]
    message = "The inputs are not those that the workflow takes."
    return InvalidRequest(message, fields=fields, more=more + len(faults) - len(fields))
