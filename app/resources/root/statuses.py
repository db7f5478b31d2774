"""The words for how an execution stands, as the root API has them.

The document that this API keeps to knows five words, and the ``waas`` command-line client takes
every status that does not end in "ing" for an end. So ``status`` is one of the five, and ``state``
beside it is the exact word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from app.domain import ExecutionStatus

_SHOWN_AS: Final[Mapping[ExecutionStatus, str]] = {
    state: {"PENDING": "RUNNING", "PAUSED": "RUNNING", "UNKNOWN": "RUNNING"}.get(state, str(state))
    for state in ExecutionStatus
}

STATUSES: Final = tuple(dict.fromkeys(_SHOWN_AS.values()))
"""What ``status`` may be: RUNNING, CANCELLING, SUCCESS, FAILED, CANCELLED."""

STATES: Final = tuple(str(state) for state in ExecutionStatus)
"""What ``state`` may be."""


def status_word(state: ExecutionStatus) -> str:
    """Return the document's word for an exact state; what has not ended never reads as ended."""
    return _SHOWN_AS[state]


def status_and_state(state: ExecutionStatus) -> dict[str, str]:
    """Return both words, as objects of the root API carry them."""
    return {"status": _SHOWN_AS[state], "state": str(state)}


def states_of(words: Iterable[str]) -> frozenset[ExecutionStatus]:
    """Return the exact states that any of some words stands for, whichever kind each is of.

    A word of the document stands for every state that is shown by it.
    """
    wanted = set(words)
    return frozenset(s for s, shown in _SHOWN_AS.items() if s in wanted or shown in wanted)


class WordsField(fields.List[str]):
    """Words in a query, of which any will do: a parameter that may be given several times.

    A fault is the parameter's, not that of one of its places.
    """

    def __init__(self, words: Iterable[str], description: str) -> None:
        one = fields.String(validate=validate.OneOf(sorted(set(words))))
        super().__init__(one, metadata={"description": f"{description}; may be repeated"})

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[str | None]:
        try:
            return super()._deserialize(value, attr, data, **kwargs)
        except ValidationError as exc:
            first: list[str] = next(iter(exc.messages_dict.values()))
            raise ValidationError(first) from exc


def status_field() -> fields.String:
    """Make the schema's field for a word of the document."""
    return fields.String(required=True, validate=validate.OneOf(STATUSES))


def state_field() -> fields.String:
    """Make the schema's field for an exact state."""
    return fields.String(
        required=True,
        validate=validate.OneOf(STATES),
        metadata={"description": "The exact word, of which `status` tells the five best known"},
    )
