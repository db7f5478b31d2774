"""Arguments of requests: what to do with those that nobody knows.

The server that this API comes from took no notice of query parameters and fields that it did not
know, and clients may rely on that. So they are left out, unless that could do harm: one that looks
like a known one is a slip, and what it was to say would be lost without a word.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, Final

import marshmallow as ma

from app.errors import FieldError, InvalidRequest

_MOST_STRAYS: Final = 20
_LONGEST_LOOKALIKE: Final = 32
_SHORTEST_BEGINNING: Final = 3
_LIKENESS: Final = 0.75


class JsonBoolean(ma.fields.Boolean):
    """A boolean of a JSON body: ``true`` or ``false``, and no text or number that may mean one.

    In a query, which is text, a plain boolean field reads the words for it.
    """

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class ArgumentsSchema(ma.Schema):
    """Arguments of one request, from its query or its body.

    Attributes:
        keeps_strays: The names that are not known are kept as ``strays``.
    """

    keeps_strays: ClassVar[bool] = False

    class Meta:
        """What is not known is judged below."""

        unknown = ma.EXCLUDE

    def strays(self, original: Any) -> list[str]:
        """Return the names among some arguments that are not known."""
        return [str(name) for name in original if name not in self._known()]

    @ma.validates_schema(pass_original=True, skip_on_field_errors=False)
    def _judge(self, _data: Any, original: Any, **_: Any) -> None:
        if not isinstance(original, Mapping):
            return
        strays = self.strays(original)
        if len(strays) > _MOST_STRAYS:
            raise ma.ValidationError(f"must not hold more than {_MOST_STRAYS} unknown names")
        found = {name: self._fault_of(name, original) for name in strays}
        faults = {name: [fault] for name, fault in found.items() if fault}
        if faults:
            raise ma.ValidationError(faults)

    @ma.post_load(pass_original=True)
    def _keep(self, data: dict[str, Any], original: Any, **_: Any) -> dict[str, Any]:
        return {**data, "strays": self.strays(original)} if self.keeps_strays else data

    def _fault_of(self, name: str, original: Mapping[str, Any]) -> str | None:
        """Return why a name that is not known cannot be left out."""
        meant = lookalike(name, self._known())
        return f"is not known here; did you mean '{meant}'?" if meant else None

    def _known(self) -> set[str]:
        return {field.data_key or name for name, field in self.load_fields.items()}


class EndArgsSchema(ArgumentsSchema):
    """What is to become of an execution that is deleted."""

    purge = ma.fields.Boolean(
        load_default=False,
        metadata={"description": "Remove one that has ended, for good, instead"},
    )


def read_filters(schema: type[ma.Schema], given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the filters of a page, which no endpoint of an API has read.

    Raises:
        InvalidRequest: With every fault.
    """
    try:
        return dict(schema().load(given))
    except ma.ValidationError as exc:
        found = exc.normalized_messages()  # type: ignore[no-untyped-call]
        faults = [FieldError(str(n), str(text)) for n, texts in found.items() for text in texts]
        raise InvalidRequest("These filters cannot be used.", fields=tuple(faults)) from exc


def lookalike(name: str, known: Collection[str]) -> str | None:
    """Find the known name that a name was probably meant to be.

    Letters' case, ``-`` and ``_`` make no difference, and an abbreviation or a longer form counts.
    """
    written = _plain(name)
    if not written or len(written) > _LONGEST_LOOKALIKE:
        return None
    plain = {_plain(each): each for each in sorted(known)}
    near = [other for other in plain if _same_beginning(written, other)]
    near += get_close_matches(written, plain, 1, _LIKENESS)
    return plain[near[0]] if near else None


def _same_beginning(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) >= _SHORTEST_BEGINNING and long.startswith(short)


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").casefold()
