"""The topics that a request asks for, as text: ``kind[/reference][;option=value]...``, and commas.

Values of options are percent-encoded on their own, so that they may hold whatever separates here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import marshmallow as ma
from marshmallow import fields, validate

from app.resources.root.topics.kinds import KINDS, NoKind, Topic

MOST: Final = 50
"""Topics of one stream."""
LONGEST: Final = 6000
"""Characters of them all: an address holds 8 KiB, and some of these take three there."""

_CURSOR: Final = "after"


@dataclass(frozen=True, slots=True)
class Asked:
    """One topic that a request asks for, which is kept for others that ask the same.

    Attributes:
        name: By which its events name it: the text without the cursor.
        kind: What kind of topic it is.
        head: The text without options.
        reference: What it is about; empty where it is about nothing single.
        options: What is said of it.
    """

    name: str
    kind: type[Topic]
    head: str
    reference: str
    options: Mapping[str, Any]

    def begin(self) -> Topic:
        """Make a topic for one reader, which knows nothing of what others were told."""
        return self.kind(self.head, self.reference, self.options)


class TopicsField(fields.String):
    """Reads the parameter; a fault tells in which topic it is."""

    def __init__(self) -> None:
        super().__init__(
            required=True,
            validate=validate.Length(1, MOST),
            metadata={
                "minLength": 1,
                "maxLength": LONGEST,
                "example": "executions,log/6fa459ea-ee8a-4ca4-894e-db77e160355e;after=120",
                "description": f"At most {MOST} topics, with commas between them: `executions`, "
                "`execution/<id>`, `log/<id>`. Options follow behind semicolons, their values "
                "percent-encoded: `after` is the cursor, and a log also takes `levels` and `task`.",
            },
        )

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not 0 < len(text) <= LONGEST:
            raise ma.ValidationError(f"must have 1 to {LONGEST} characters")
        parts = text.split(",")
        if len(parts) > MOST:
            raise ma.ValidationError(f"must not hold more than {MOST} topics")
        asked = [_read(place, part) for place, part in enumerate(parts, start=1)]
        _refuse_twice(asked)
        return asked


def _read(place: int, text: str) -> Asked:
    head, *rest = text.split(";")
    if not head:
        raise ma.ValidationError(f"must have a topic at place {place}")
    options = dict(_options(place, rest))
    kind_name, separator, reference = head.partition("/")
    kind = KINDS.get(kind_name, NoKind)
    if kind.takes_reference != bool(separator):
        kind = NoKind
    try:
        taken: Mapping[str, Any] = kind.options().load(options)
    except ma.ValidationError as exc:
        name, messages = next(iter(exc.messages_dict.items()))
        message = messages[0] if isinstance(messages, list) else messages
        raise ma.ValidationError(f"has a fault at place {place}, '{name}': {message}") from exc
    name = ";".join([head, *(each for each in rest if not each.startswith(f"{_CURSOR}="))])
    return Asked(name, kind, head, reference, taken)


def _options(place: int, texts: list[str]) -> Iterator[tuple[str, str]]:
    seen = set()
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise ma.ValidationError(f"must have a value for '{name}' at place {place}")
        if name in seen:
            raise ma.ValidationError(f"must have '{name}' only once at place {place}")
        seen.add(name)
        yield name, unquote(value)


def _refuse_twice(asked: list[Asked]) -> None:
    seen: set[str] = set()
    for place, each in enumerate(asked, start=1):
        if each.name in seen:
            raise ma.ValidationError(f"must have each topic only once, and not at place {place}")
        seen.add(each.name)
