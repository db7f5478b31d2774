"""How settings are declared: a dataclass whose fields carry their own validation and help."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, TypeVar

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate

from app.durations import DURATION_PATTERN, format_duration, parse_duration
from app.errors import ConfigError, FieldError

T = TypeVar("T")

Text = fields.String
Flag = fields.Boolean
Range = validate.Range
OneOf = validate.OneOf
"""What options need that are declared where marshmallow may not be imported."""

FOREVER = "forever"
_DAYS = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)d")
_DAY_SECONDS = 24 * 3600.0
"""What ``d`` stands for, which Go's durations lack."""
_MOST_DAYS = 700_000
"""So long ago there were moments by our calendar, which is what somebody asks for."""
_DECIMAL = re.compile(r"[+-]?[0-9]{1,30}")


class ServerUrl(fields.Url):
    """Where a server answers: ``http`` or ``https``, and a host that need not be a public name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(schemes={"http", "https"}, require_tld=False, **kwargs)


class Duration(fields.Field[float]):
    """A Go-style duration such as ``1m30s``, as seconds."""

    PATTERN: ClassVar[str] = DURATION_PATTERN
    """What documents say of its texts."""

    def __init__(self, *, at_least: float = 0.0, **kwargs: Any) -> None:
        default = kwargs.pop("load_default", None)
        told = {"type": "string", "pattern": rf"^(?:{self.PATTERN})\Z", "example": "1m30s"}
        metadata = {**told, **kwargs.pop("metadata", {})}
        if isinstance(default, str):
            metadata.setdefault("default_text", default)
            metadata.setdefault("default", default)
            default = parse_duration(default)
        super().__init__(load_default=default, metadata=metadata, **kwargs)
        self._at_least = at_least

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> float:
        try:
            seconds = parse_duration(str(value))
        except ValueError as exc:
            raise ValidationError(str(exc)) from None
        if seconds < self._at_least:
            raise ValidationError(f"must be at least {format_duration(self._at_least)}")
        return seconds


class Keeping(Duration):
    """How long something is kept: a duration, which may be in days (``90d``), or ``forever``."""

    SPAN_PATTERN: ClassVar[str] = rf"{_DAYS.pattern}|{DURATION_PATTERN}"
    PATTERN = rf"{FOREVER}|{SPAN_PATTERN}"

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if value == FOREVER:
            return None
        days = _DAYS.fullmatch(str(value))
        if days is None:
            return super()._deserialize(value, attr, data, **kwargs)
        if float(days[1]) > _MOST_DAYS:
            raise ValidationError(f"must be at most {_MOST_DAYS}d")
        return float(days[1]) * _DAY_SECONDS


class WholeNumber(fields.Integer):
    """An integer, or the decimal text of one: variables and queries are text.

    Python itself would take ``1_0`` and digits of any script.
    """

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise self.make_error("invalid", input=value)
        if isinstance(value, str) and not _DECIMAL.fullmatch(value):
            raise self.make_error("invalid", input=value)
        return int(super()._deserialize(value, attr, data, **kwargs))


class Word(fields.String):
    """One of a few words, in letters of whatever case, as the table writes it.

    Args:
        among: The words that there are.
        default: What holds if nothing is said.
    """

    def __init__(self, among: Collection[str], *, default: str) -> None:
        super().__init__(load_default=default, validate=OneOf(list(among)))
        self._among = {word.casefold(): word for word in among}

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        return self._among.get(str(text).casefold(), str(text))


class EnumWord(fields.Enum[Any]):
    """A member of an enumeration of lower-case words, in letters of whatever case."""

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__(enum, by_value=True)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        word = value.lower() if isinstance(value, str) else value
        return super()._deserialize(word, attr, data, **kwargs)


class TextMap(fields.Dict):
    """Texts by texts."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(keys=fields.String(), values=fields.String(), **kwargs)


def _names(value: Any) -> list[str]:
    """Return the names of a value that is a name, or a list of names."""
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValidationError("must be a name, or a list of names")
    return names


class OneOrMore(fields.Field[str | list[str]]):
    """A name, or a list of names, as it stands in the file."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str | list[str]:
        _names(value)
        return value  # type: ignore[no-any-return]


class Names(fields.Field[tuple[str, ...]]):
    """A name or several, as texts.

    Args:
        among: The names that there are; any if empty.
        default: What holds if nothing is said.
    """

    def __init__(self, *, among: Collection[str] = (), default: Collection[str] = ()) -> None:
        metadata = {"default_text": f"[{', '.join(default)}]"} if default else {}
        super().__init__(load_default=tuple(default), metadata=metadata)
        self._among = {str(name).casefold(): str(name) for name in among}

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> tuple[str, ...]:
        names = _names(value)
        if not self._among:
            return tuple(names)
        if not {name.casefold() for name in names} <= self._among.keys():
            raise ValidationError(f"must be of: {', '.join(self._among.values())}")
        return tuple(self._among[name.casefold()] for name in names)


class NamesByWord(fields.Field[Mapping[str, tuple[str, ...]]]):
    """A mapping of any words to names.

    Args:
        among: The names that there are.
    """

    def __init__(self, *, among: Collection[str]) -> None:
        super().__init__(load_default=dict)
        self._names = Names(among=among)

    def _deserialize(
        self, value: Any, attr: Any, data: Any, **kwargs: Any
    ) -> Mapping[str, tuple[str, ...]]:
        if not isinstance(value, Mapping):
            raise ValidationError("must be a mapping")
        return {str(word): self._names.deserialize(names) or () for word, names in value.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen:
    """One type of several, and its options.

    Attributes:
        type: A name from a table, or ``package.module:Class``.
        options: An instance of the options class of the type.
    """

    type: str
    options: Any


class Choice(fields.Field[Chosen]):
    """One type of several: its name, or a mapping of ``type`` and the options of that type.

    Args:
        options_of: Gives the options class of a type; raises ConfigError for an unknown one.
        types: The types that have a name, for the manual.
    """

    def __init__(
        self, options_of: Callable[[str], type], types: Collection[str], **kwargs: Any
    ) -> None:
        default = kwargs.pop("load_default")
        metadata = {"default_text": default, **kwargs.pop("metadata", {})}
        super().__init__(
            load_default=lambda: self.deserialize(default), metadata=metadata, **kwargs
        )
        self.options_of = options_of
        self.types = types

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Chosen:
        if isinstance(value, str):
            return Chosen(value, _loader(self._options(value)).load({}))
        if not isinstance(value, Mapping):
            raise ValidationError("must be a name, or a mapping of 'type' and its options")
        type_ = value.get("type")
        if not isinstance(type_, str):
            raise ValidationError({"type": ["must be a name" if "type" in value else "is missing"]})
        try:
            options = self._options(type_)
        except ValidationError as exc:
            raise ValidationError({"type": exc.messages}) from exc
        rest = {key: item for key, item in value.items() if key != "type"}
        return Chosen(type_, _loader(options).load(rest))

    def _options(self, type_: str) -> type:
        try:
            return self.options_of(type_)
        except ConfigError as exc:
            raise ValidationError(exc.message) from exc


def setting(
    field: fields.Field[Any],
    help_text: str,
    *,
    secret: bool = False,
    convert: Callable[[Any], Any] | None = None,
) -> Any:
    """Declare one setting of a dataclass.

    Args:
        field: Type, bounds and default. ``metadata["default_text"]`` names a computed default.
        help_text: Sentence for the documentation, with the unit.
        secret: The value is never shown.
        convert: Applied to the validated value, unless that is None.
    """
    field.metadata = {**field.metadata, "help": help_text, "secret": secret}
    return dataclasses.field(
        default=None, repr=not secret, metadata={"field": field, "convert": convert}
    )


def section(cls: type, **kwargs: Any) -> fields.Nested:
    """Nest a dataclass of settings; absent in the file, it holds its defaults."""
    kwargs.setdefault("load_default", lambda: _loader(cls).load({}))
    return fields.Nested(_schema(cls), metadata={"section": cls}, **kwargs)


def sections(cls: type) -> fields.List[Any]:
    """Nest any number of a dataclass of settings."""
    return fields.List(section(cls), load_default=list)


def load_section(
    cls: type[T], data: Mapping[str, Any], path: str
) -> tuple[T | None, list[FieldError]]:
    """Validate one section.

    Returns:
        The section, or None, and every fault by its path.
    """
    try:
        return _loader(cls).load(data), []
    except ValidationError as exc:
        return None, flatten(exc.messages, path)


def without_faults(
    cls: type[T], data: Mapping[str, Any], faults: Collection[FieldError]
) -> T | None:
    """Load a section without what has faults in it, so that the rest can be looked at, too.

    A list with a fault in it is left out whole, so that places are what they are in the file.
    """
    kept = copy.deepcopy(dict(data))
    for fault in faults:
        names = fault.path.partition("[")[0].split(".")
        node: Any = kept
        for name in names[:-1]:
            node = node.get(name) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.pop(names[-1], None)
    return load_section(cls, kept, "")[0]


WORDS: Mapping[str, str] = {
    "Unknown field.": "is not a setting",
    "Missing data for required field.": "is missing",
    "Field may not be null.": "must not be empty",
    "Not a valid integer.": "must be a whole number",
    "Not a valid boolean.": "must be true or false",
    "Not a valid string.": "must be text",
    "Not a valid list.": "must be a list",
    "Invalid input type.": "must be a mapping",
    "Not a valid mapping type.": "must be a mapping",
    "Not a valid URL.": "must be a URL such as https://host:port",
}
"""What marshmallow says, and how that is said of settings."""


def flatten(
    messages: Any, path: str, words: Mapping[str, str] = WORDS, root: str = "(file)"
) -> list[FieldError]:
    """Turn marshmallow's nested messages into faults with a path each.

    Args:
        messages: The messages.
        path: Where the value stands that they are about.
        words: How a message of marshmallow's is said.
        root: What the whole document is called.
    """
    if not isinstance(messages, Mapping):
        texts = messages if isinstance(messages, list) else [messages]
        return [FieldError(path or root, _plain(str(text), words)) for text in texts]
    faults = []
    for key, value in messages.items():
        if key in ("_schema", "value", "key") and not isinstance(value, Mapping):
            place = path
        elif isinstance(key, int):
            place = f"{path}[{key}]"
        else:
            place = f"{path}.{key}" if path else str(key)
        faults += flatten(value, place, words, root)
    return faults


def _plain(text: str, words: Mapping[str, str]) -> str:
    return words.get(text, text[:1].lower() + text[1:].rstrip("."))


def _build_schema(cls: Any) -> type[Schema]:
    declared = {f.name: f for f in dataclasses.fields(cls) if "field" in f.metadata}

    def build(_self: Schema, data: dict[str, Any], **_: Any) -> Any:
        for name, value in data.items():
            convert = declared[name].metadata["convert"]
            if convert is not None and value is not None:
                data[name] = convert(value)
        return cls(**data)

    members: dict[str, Any] = {name: f.metadata["field"] for name, f in declared.items()}
    members["Meta"] = type("Meta", (), {"unknown": RAISE, "register": False})
    members["build"] = post_load(build)
    return type(f"{cls.__name__}Schema", (Schema,), members)


_schema: Callable[[Any], type[Schema]] = cache(_build_schema)
_loader: Callable[[Any], Schema] = cache(lambda cls: _schema(cls)())
"""What loads a dataclass of settings; to make one takes longer than to load with it."""
