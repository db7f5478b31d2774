"""The text of a definition in an editor: where its faults stand, and what it is sent as."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from werkzeug.exceptions import BadRequest

from app.documents import line_of
from app.domain import DefinitionSource
from app.errors import FieldError, InvalidRequest
from app.resources._api import read_json

EXAMPLE: Final = """\
id: my-workflow
name: My workflow
description: What it is good for
inputs:
  who: {type: string, default: everybody, description: Who is greeted}
steps:
  - id: prepare
    type: script
    config:
      script: echo "preparing for $INPUT_WHO"
  - id: greet
    type: script
    needs: [prepare]
    config:
      script: echo "hello $INPUT_WHO"
"""
"""What a new definition begins from."""

_END_OF_LINE: Final = re.compile(r"\r\n|\r")
_TOLD_LINE: Final = re.compile(r" \(line [0-9]+\)\Z")
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class TextFault:
    """One fault of a text.

    Attributes:
        line: Where it stands, from 1; None where that is not known.
        place: The same within the document, such as ``steps[2].needs[0]``.
    """

    line: int | None
    place: str
    message: str


def faults_of(fields: Sequence[FieldError]) -> list[TextFault]:
    """Return faults as an editor tells them, in the order of their lines."""
    found = [
        TextFault(line_of(each.message), each.path, _TOLD_LINE.sub("", each.message))
        for each in fields
    ]
    return sorted(found, key=lambda fault: fault.line or 0)


def normal_lines(text: str) -> str:
    """Return a text with the ends of lines that definitions have; forms send others."""
    return _END_OF_LINE.sub("\n", text)


def source_of(text: str) -> DefinitionSource:
    """Return a text with what it is: JSON, or else YAML."""
    if text.lstrip()[:1] == "{":
        try:
            read_json(text.encode())
        except (BadRequest, InvalidRequest, UnicodeEncodeError):
            return DefinitionSource(text)
        return DefinitionSource(text, _JSON)
    return DefinitionSource(text)
