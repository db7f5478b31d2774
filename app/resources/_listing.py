"""What lists of executions are filtered by, as all doors read it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

from marshmallow import ValidationError

from app.execution_names import NAME_START
from app.labels import KEY_PATTERN, VALUE_PATTERN
from app.settings.schema import Keeping

PREFIX: Final = rf"^{NAME_START.pattern}\Z"
"""How an id or a name begins."""
LABEL: Final = rf"^{KEY_PATTERN}(?:={VALUE_PATTERN})?\Z"
"""A label, or the key of one alone."""
NEWEST: Final = "newest"
OLDEST: Final = "oldest"
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# A plus sign that is not percent-encoded arrives as a space.
_BARE_OFFSET: Final = re.compile(r" (?=[0-9]{2}:[0-9]{2}\Z)")


class Since(Keeping):
    """A moment as RFC 3339 has it, or how long it is past: ``2h``, ``1h30m``, ``3d``.

    What is given is a moment, or the time from it to now: whatever is read of a query is kept for
    others who ask the same.
    """

    PATTERN = rf"{_MOMENT.pattern}|{Keeping.SPAN_PATTERN}"

    def __init__(self, description: str) -> None:
        super().__init__(
            metadata={
                "description": f"{description}: a moment such as `2026-01-31T12:00:00Z` "
                "(RFC 3339), or how long ago, such as `2h`, `1h30m` or `3d`",
                "example": "2h",
            }
        )

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        written = _BARE_OFFSET.sub("+", str(value))
        try:
            if _MOMENT.fullmatch(written):
                return datetime.fromisoformat(written.upper())
            return timedelta(seconds=super()._deserialize(value, attr, data, **kwargs))
        except (ValidationError, ValueError, OverflowError, TypeError):
            text = "must be a moment such as 2026-01-31T12:00:00Z, or a duration such as 2h or 3d"
            raise ValidationError(text) from None


def label_of(text: str) -> tuple[str, str | None]:
    """Return the key and the value of a label that fits :data:`LABEL`; None for any value."""
    key, equals, value = text.partition("=")
    return key, value if equals else None
