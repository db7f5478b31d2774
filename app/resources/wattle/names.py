"""Names of workflows and workers, as this API takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import marshmallow as ma
from marshmallow import fields

from app.resources._text_forms import TextForm

LONGEST: Final = 200
"""Characters of a name."""
_MOST_BYTES: Final = 255  # a worker's name is that of a folder
_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f"
_CONTROL: Final = re.compile(rf"[{_CONTROLS}]")
WORKFLOW_NAME: Final = TextForm(rf"[^/{_CONTROLS}]{{1,{LONGEST}}}", "pipeline")
WORKER_NAME: Final = TextForm(WORKFLOW_NAME.pattern, "fetch")
PLACES: Final[Mapping[str, TextForm]] = {
    "workflow_name": WORKFLOW_NAME,
    "worker_name": WORKER_NAME,
}
"""What may stand at the places of this API's addresses."""


def check_name(name: str) -> None:
    """Refuse what can be no name.

    Raises:
        ma.ValidationError: It says why.
    """
    if not name or name in (".", ".."):
        raise ma.ValidationError("must not be empty, '.' or '..'")
    if "/" in name:
        raise ma.ValidationError("must not hold '/'")
    if _CONTROL.search(name):
        raise ma.ValidationError("must not hold control characters")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ma.ValidationError("must not hold half a character") from None
    if len(name) > LONGEST or size > _MOST_BYTES:
        text = f"must have at most {LONGEST} characters, and {_MOST_BYTES} bytes"
        raise ma.ValidationError(text)


class NameField(fields.String):
    """A name.

    Args:
        form: What it is like, for the document; what else it must not be is checked.
    """

    def __init__(self, form: TextForm, **kwargs: Any) -> None:
        metadata = {**form.schema(), **kwargs.pop("metadata", {})}
        super().__init__(validate=check_name, metadata=metadata, **kwargs)
