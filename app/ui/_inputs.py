"""The fields of a launch form: made of what a workflow takes, and read when they come back.

A field holds text. What a workflow takes decides what it is read as, and the checks of all launches
judge it; here stands only what a form alone has: fields that are empty, or left as they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import orjson

from app.documents import read_json
from app.domain import JSON, Parameter
from app.errors import FieldError
from app.inputs import MAX_TEXT_BYTES, Given, check_values
from app.observability import is_secret_name
from app.ui._input_words import fault_in_words, json_fault, takes

MOST_RADIOS: Final = 4
"""Choices that are shown side by side; more of them are a list."""
_LONGEST_LINE: Final = 60
_INLINE: Final = 4000
"""Characters of a value that is read at once."""
_MOST_NAME: Final = 100
"""Characters of a name that the path of a fault holds; see :func:`app.documents.path_text`."""
_END_OF_LINE: Final = re.compile(r"\r\n|\r")
_UNSET, _SET = "unset", "text"


class Kind(StrEnum):
    """How a field looks."""

    TEXT = "text"
    LINES = "lines"
    NUMBER = "number"
    RADIOS = "radios"
    LIST = "list"
    JSON = "json"
    SECRET = "secret"  # noqa: S105  (no password)
    FIXED = "fixed"
    """Nothing but the default can be given."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the values that can be chosen.

    Attributes:
        text: The value as JSON, which tells texts from numbers.
        label: The value as people read it.
    """

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a field holds.

    Attributes:
        text: Its text, or of choices the chosen one.
        is_set: Whether it is given at all; an empty text can be.
    """

    text: str = ""
    is_set: bool = False


@dataclass(frozen=True, slots=True)
class InputField:
    """A field of the form.

    Attributes:
        number: Its place in the form, by which its elements are named: names of inputs may hold
            anything.
        takes: What is taken, in words.
        earlier: What the run has that the form is filled from; None where there is none, or where
            it is no more than what this input takes by itself.
        earlier_label: That for people.
        asks_empty: Whether an empty text is asked about.
        is_dropped: It was given, and is not sent back: it is secret.
    """

    parameter: Parameter
    number: int
    kind: Kind
    written: Written
    choices: tuple[Choice, ...] = ()
    takes: str = ""
    faults: tuple[str, ...] = ()
    earlier: Written | None = None
    earlier_label: str = ""
    asks_empty: bool = False
    is_dropped: bool = False

    @property
    def id(self) -> str:
        """Of the element that takes the focus."""
        return f"input-{self.number}"

    @property
    def is_changed(self) -> bool:
        """Whether it holds something else than the run that the form is filled from."""
        return self.earlier is not None and not _same(self.earlier, self.written)

    @property
    def may_be_unset(self) -> bool:
        """Whether leaving it out is a choice of its own."""
        return not self.parameter.required and self.parameter.default is None

    @property
    def is_group(self) -> bool:
        """Whether it is more than one element."""
        return self.kind is Kind.RADIOS


@dataclass(slots=True)
class Posted:
    """What came back.

    Attributes:
        values: Of the inputs that are given and could be read.
        written: What each field holds, by the name of its input.
        faults: What is wrong, by the name of the input.
        asked_empty: Names of required texts that are empty.
    """

    values: dict[str, JSON] = field(default_factory=dict)
    written: dict[str, Written] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    asked_empty: set[str] = field(default_factory=set)

    def add(
        self, parameters: Sequence[Parameter], fields: Iterable[FieldError]
    ) -> list[FieldError]:
        """Take faults that others found, each to its input.

        Returns:
            Those that are of no input.
        """
        others = []
        known = {f"inputs.{each.name[:_MOST_NAME]}": each for each in parameters}
        paths = sorted(known, key=len, reverse=True)
        for fault in fields:
            path = next((path for path in paths if _is_below(fault.path, path)), None)
            if path is None:
                others.append(fault)
            elif known[path].name not in self.faults:
                text = fault_in_words(known[path], fault.path[len(path) :], fault.message)
                self._found(known[path].name, text)
        return others

    def _found(self, name: str, text: str) -> None:
        self.faults.setdefault(name, []).append(text)


def first(parameters: Sequence[Parameter], earlier: Mapping[str, JSON] | None) -> Posted:
    """Return the fields before anybody has typed: defaults, or what a run had."""
    posted, known = Posted(), earlier or {}
    for each in parameters:
        value = known.get(each.name, each.default) if not each.refusal else each.default
        if value is None:
            posted.written[each.name] = Written()
            continue
        posted.written[each.name] = _written(each, value)
        if posted.written[each.name].is_set and not each.refusal:
            posted.values[each.name] = value
    return posted


def fields_of(
    parameters: Sequence[Parameter],
    posted: Posted,
    earlier: Mapping[str, JSON] | None = None,
) -> list[InputField]:
    """Return the fields of a form."""
    return [
        _field(number, each, posted, earlier or {}) for number, each in enumerate(parameters, 1)
    ]


def _field(
    number: int, parameter: Parameter, posted: Posted, earlier: Mapping[str, JSON]
) -> InputField:
    name, written = parameter.name, posted.written[parameter.name]
    before, label = None, ""
    if name in earlier and not is_secret(parameter):
        before = _written(parameter, earlier[name])
        label = shown(earlier[name])
    choices = _choices(parameter)
    return InputField(
        parameter, number, _kind(parameter, choices, written), written, choices,
        takes(parameter), tuple(posted.faults.get(name, ())), before, label,
        name in posted.asked_empty, name in posted.values and is_secret(parameter),
    )  # fmt: skip


def read(
    parameters: Sequence[Parameter],
    form: Mapping[str, str],
    earlier: Mapping[str, JSON] | None = None,
) -> Posted:
    """Read the fields that came back.

    Args:
        parameters: What the workflow takes.
        form: Text of each field, by its name.
        earlier: Inputs of the run that the form was filled from.
    """
    posted = Posted()
    for parameter in parameters:
        if not parameter.refusal:
            _read_one(posted, parameter, form, earlier or {})
        else:
            posted.written[parameter.name] = _default(parameter)
    return posted


def _read_one(
    posted: Posted, parameter: Parameter, form: Mapping[str, str], earlier: Mapping[str, JSON]
) -> None:
    name = parameter.name
    text = _END_OF_LINE.sub("\n", form.get(f"input:{name}", ""))
    is_text = not _choices(parameter) and parameter.type not in _BY_TEXT
    is_set = bool(text if is_text else text.strip())
    if is_text and not is_set:
        is_set = _is_empty_text(posted, parameter, form)
    if is_secret(parameter):
        # What is secret goes one way only.
        posted.written[name] = Written()
    else:
        posted.written[name] = Written(text, is_set)
    if not is_set:
        return
    base = earlier.get(name, parameter.default)
    if base is not None and _same(_written(parameter, base), Written(text, True)):
        posted.values[name] = base  # to the last bit, whatever a browser makes of its text
        return
    try:
        posted.values[name] = _value(parameter, text)
    except ValueError as exc:
        posted.faults[name] = [str(exc)]


def _is_empty_text(posted: Posted, parameter: Parameter, form: Mapping[str, str]) -> bool:
    """Return whether a text that is empty is given, or else left out."""
    name = parameter.name
    if is_secret(parameter):
        return False
    if parameter.default is not None:
        return True
    if not parameter.required:
        return form.get(f"mode:{name}") == _SET
    if form.get(f"empty:{name}"):
        return True
    if f"input:{name}" in form and not parameter.schema.get("minLength"):
        posted.asked_empty.add(name)
    return False


_BY_TEXT: Final = ("integer", "number", "boolean", "array", "object")


def _value(parameter: Parameter, text: str) -> JSON:
    """Return what a field is read as.

    Raises:
        ValueError: It is no JSON where that is wanted; the text says where and why.
    """
    if _choices(parameter):
        return _choice(text)
    if parameter.type in ("array", "object"):
        if len(text) > MAX_TEXT_BYTES:
            raise ValueError(f"Must not be longer than {MAX_TEXT_BYTES // 1024} KiB")
        return _json(text)
    if parameter.type in ("integer", "number"):
        return _number(parameter, text.strip())
    return text


def _json(text: str) -> JSON:
    """Read JSON; what is long stays text, which a launch reads where that holds up nobody.

    Raises:
        ValueError: It is none; the text says where and why.
    """
    try:
        if len(text) <= _INLINE:
            return read_json(text)
        orjson.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValueError(json_fault(exc)) from None
    return text


def _number(parameter: Parameter, text: str) -> JSON:
    """Read a number as a launch reads one that is written as text."""
    if len(text) > _INLINE:
        return text
    bare = Parameter(parameter.name, parameter.type, required=False)
    values, faults = check_values([Given(bare, text)])
    if faults:
        raise ValueError(fault_in_words(parameter, "", faults[0].message))
    return values[parameter.name]


def _choice(text: str) -> JSON:
    try:
        return read_json(text)
    except (ValueError, RecursionError):
        return text


def _written(parameter: Parameter, value: JSON) -> Written:
    if is_secret(parameter):
        return Written()
    choices = _choices(parameter)
    if choices:
        text = json.dumps(value, ensure_ascii=False)
        return Written(text, any(choice.text == text for choice in choices))
    if isinstance(value, str) and parameter.type not in ("array", "object"):
        return Written(value, True)
    return Written(_as_text(value), True)


def _as_text(value: JSON) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= _LONGEST_LINE or not isinstance(value, list | dict):
        return line
    return json.dumps(value, ensure_ascii=False, indent=2)


def _default(parameter: Parameter) -> Written:
    return Written() if parameter.default is None else _written(parameter, parameter.default)


def _choices(parameter: Parameter) -> tuple[Choice, ...]:
    if parameter.type == "boolean":
        return (Choice("true", "true"), Choice("false", "false"))
    allowed = parameter.schema.get("enum") or ()
    return tuple(Choice(json.dumps(each, ensure_ascii=False), shown(each)) for each in allowed)


def _kind(parameter: Parameter, choices: Sequence[Choice], written: Written) -> Kind:
    if parameter.refusal:
        return Kind.FIXED
    if choices:
        return Kind.RADIOS if len(choices) <= MOST_RADIOS else Kind.LIST
    if parameter.type in ("array", "object"):
        return Kind.JSON
    if parameter.type in ("integer", "number"):
        return Kind.NUMBER
    if is_secret(parameter):
        return Kind.SECRET
    return Kind.LINES if "\n" in _END_OF_LINE.sub("\n", written.text) else Kind.TEXT


def is_secret(parameter: Parameter) -> bool:
    """Return whether an input is, by its name, a secret: no page shows it."""
    return is_secret_name(parameter.name)


def shown(value: JSON) -> str:
    """Write a value as people read it: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _same(one: Written, other: Written) -> bool:
    if not one.is_set or not other.is_set:
        return one.is_set == other.is_set
    return _END_OF_LINE.sub("\n", one.text) == _END_OF_LINE.sub("\n", other.text)


def _is_below(path: str, parent: str) -> bool:
    return path.startswith(parent) and path[len(parent) :][:1] in ("", ".", "[")
