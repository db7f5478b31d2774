"""Texts of a certain form, as OpenAPI documents tell them: a pattern, and an example that fits it.

The pattern is that of whoever checks such texts, or makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TextForm:
    """What a text is like.

    Attributes:
        pattern: A regular expression that the whole of it matches, by Python's grammar.
        example: One of them.
        longest: Most characters of it, where the pattern does not say.
    """

    pattern: str
    example: str
    longest: int | None = None

    def schema(self) -> dict[str, Any]:
        """Return a Schema Object (OpenAPI 3.0.3, 4.7.24)."""
        told: dict[str, Any] = {"type": "string", "pattern": whole(self.pattern)}
        if self.longest is not None:
            told["maxLength"] = self.longest
        return {**told, "example": self.example}


def whole(pattern: str) -> str:
    """Return a pattern that fits a text only as a whole, by the grammar of ECMA-262."""
    return portable(rf"^(?:{pattern})\Z" if "|" in pattern else rf"^{pattern}\Z")


def portable(pattern: str) -> str:
    r"""Write a pattern by the grammar of ECMA-262, which documents use (OpenAPI 3.0.3, 4.7.24).

    There the end of a text is ``$``, which to Python is also the place before a last line feed, so
    that patterns of code say ``\Z``.
    """
    return pattern.replace(r"\Z", "$")


def add_places(document: Mapping[str, Any], places: Mapping[str, TextForm]) -> None:
    """Add to a document what may stand at the places of addresses.

    Args:
        document: An OpenAPI document.
        places: The forms, by the names of places; or by the addresses up to them, where one name
            stands for different things.
    """
    for path, item in document["paths"].items():
        for parameter in item.get("parameters", ()):
            name = parameter["name"]
            place = f"{{{name}}}"
            form = places.get(path.partition(place)[0] + place, places.get(name))
            if parameter["in"] == "path" and form is not None:
                parameter["schema"] = form.schema()
