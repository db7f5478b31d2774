"""The inputs of a launch, checked against what the workflow says it takes."""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from app import documents, json_schema
from app.documents import Fault, to_field_error
from app.domain import JSON, Parameter
from app.engine.document import not_json
from app.engine.expressions import to_text
from app.errors import MAX_FIELDS, InvalidRequest
from app.isolation import Isolated, OverBudget

MAX_TEXT_BYTES: Final = 100 * 1024
"""Longest text of one input; Linux takes 128 KiB for an environment variable with its name."""

SECONDS: Final = 5.0
"""Longest time that checking the inputs of one launch may take."""

_INLINE_BYTES: Final = 4096
_BOOLEANS: Final = {"true": True, "yes": True, "on": True} | dict.fromkeys(
    ("false", "no", "off"), False
)
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Given(NamedTuple):
    """An input that was given: what it should be, and its value."""

    parameter: Parameter
    value: JSON


class InputChecker:
    """Checks the inputs of launches, large ones in a process of its own.

    Args:
        isolated: Where large ones are checked; None checks all of them where they are.
    """

    def __init__(self, isolated: Isolated | None = None) -> None:
        self._isolated = isolated

    def check(
        self, parameters: Sequence[Parameter], given: JSON, owner: str = ""
    ) -> dict[str, JSON]:
        """Check the inputs of a launch and add the defaults.

        The existing ``waas`` client sends every value as text. So text is read as the integer,
        number, boolean, list or object that it writes, where the input is declared to be one; what
        is within such a list or object is taken as it is.

        Args:
            parameters: What the workflow takes.
            given: What the caller sent.
            owner: The caller.

        Returns:
            A value for each parameter that has one, in the order of the parameters.

        Raises:
            InvalidRequest: Naming the faults, at ``inputs.<name>``; no message repeats a value.
            LimitExceeded: Too many launches of this caller wait to be checked.
        """
        if not isinstance(given, Mapping):
            message = f"must be an object, got {json_schema.type_name(given)}"
            raise _invalid([Fault(("inputs",), message)])
        known = {parameter.name for parameter in parameters}
        stray = [name for name in given if name not in known]
        faults = [
            Fault(("inputs", str(name)), "is not an input of this workflow")
            for name in stray[:MAX_FIELDS]
        ]
        values, found = self._checked(
            [Given(p, given[p.name]) for p in parameters if p.name in given], owner
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
            raise _invalid(faults, more=len(stray[MAX_FIELDS:]))
        return {p.name: values[p.name] for p in parameters if p.name in values}

    def _checked(self, given: list[Given], owner: str) -> tuple[dict[str, JSON], list[Fault]]:
        # A pattern may be costly whatever its length, all else costs what its size says.
        work = pickle.dumps(given)
        small = len(work) <= _INLINE_BYTES and b"pattern" not in work
        if small or self._isolated is None:
            return check_values(given)
        try:
            reply = self._isolated.run(owner, f"{__name__}:check_pickled", work)
        except OverBudget:
            message = f"must be smaller: checking the inputs took more than {SECONDS:g} seconds"
            faults = [Fault(("inputs", parameter.name), message) for parameter, _ in given]
            raise _invalid(faults) from None
        values, faults = pickle.loads(reply)  # noqa: S301  (from a process of ours)
        return values, faults


def check_pickled(work: bytes) -> bytes:
    """Check values in a worker process; see :func:`check_values`."""
    values, faults = check_values(pickle.loads(work))  # noqa: S301  (from a process of ours)
    return pickle.dumps((values, faults))


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
        raise _invalid([Fault((name,), message) for name in names])


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
    elif len(to_text(value).encode()) > MAX_TEXT_BYTES:
        yield Fault(path, f"must not be longer than {MAX_TEXT_BYTES // 1024} KiB as text")
    else:
        schema = {"type": parameter.type, **parameter.schema}
        yield from json_schema.violations(schema, value, path)


def _invalid(faults: Sequence[Fault], more: int = 0) -> InvalidRequest:
    fields = [to_field_error(fault) for fault in faults[:MAX_FIELDS]]
    message = "The inputs are not those that the workflow takes."
    return InvalidRequest(message, fields=fields, more=more + len(faults) - len(fields))
