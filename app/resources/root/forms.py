"""The two forms in which the root API tells of one execution.

Two documents describe the same requests for it, and clients of both send the same header fields.
They are told apart by the name in the address: those of the one only ever hold ids, those of the
other (the AWF API) only ever hold names such as ``analyze-code-20231209-143022``.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from app.execution_names import ID_PATTERN, NAME_LENGTH, NAME_PATTERN, is_name
from app.resources._text_forms import TextForm
from app.resources.root.examples import EXECUTION_ID, EXECUTION_NAME

ID: Final = TextForm(ID_PATTERN, EXECUTION_ID)
NAME: Final = TextForm(NAME_PATTERN, EXECUTION_NAME, NAME_LENGTH)


class Form(Enum):
    """How an answer tells of an execution."""

    BY_ID = "id"
    AWF = "awf"


def form_of(reference: str) -> Form:
    """Return the form in which somebody is answered who names an execution like this."""
    return Form.AWF if is_name(reference) else Form.BY_ID


def execution_parameter(name: str = "execution_id") -> list[dict[str, Any]]:
    """Document the parameter of addresses below ``/executions/``; a new one for each of them.

    Args:
        name: What the address calls it.
    """
    by_id, by_name = ID.schema(), NAME.schema()
    text = (
        "The id that a launch answers in `Location`, the id that the orchestrator's own users "
        "know, or the name that `/run` answers, such as `analyze-code-20231209-143022`. "
        "A name is answered in the form of the AWF API."
    )
    return [
        {
            "in": "path", "name": name, "description": text,
            "schema": {"anyOf": [by_id, by_name], "example": ID.example},
        }
    ]  # fmt: skip
