"""The words for how an execution stands, as the root API has them.

The document that this API keeps to knows five words, and the ``waas`` command-line client takes
every status that does not end in "ing" for an end. So ``status`` is one of the five, and ``state``
beside it is the exact word. Clients of the AWF API ask until they read ``completed`` or ``failed``,
so to them whatever has not ended is ``running``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from marshmallow import fields, validate

from app.domain import ExecutionStatus
from app.resources._repeated import Repeated
from app.resources.root.forms import Form

_SHOWN_AS: Final[Mapping[ExecutionStatus, str]] = {
    state: {"PENDING": "RUNNING", "PAUSED": "RUNNING", "UNKNOWN": "RUNNING"}.get(state, str(state))
    for state in ExecutionStatus
}

_AWF: Final[Mapping[ExecutionStatus, str]] = {
    state: {"SUCCESS": "completed", "FAILED": "failed", "CANCELLED": "cancelled"}.get(
        state, "running"
    )
    for state in ExecutionStatus
}
_WORDS: Final = {Form.BY_ID: _SHOWN_AS, Form.AWF: _AWF}

STATUSES: Final = tuple(dict.fromkeys(_SHOWN_AS.values()))
"""What ``status`` may be: RUNNING, CANCELLING, SUCCESS, FAILED, CANCELLED."""

AWF_STATUSES: Final = tuple(dict.fromkeys(_AWF.values()))
"""What ``status`` may be in the AWF API: running, completed, failed, cancelled."""

STATES: Final = tuple(str(state) for state in ExecutionStatus)
"""What ``state`` may be."""


def status_word(state: ExecutionStatus, form: Form = Form.BY_ID) -> str:
    """Return a form's word for an exact state; what has not ended never reads as ended."""
    return _WORDS[form][state]


def status_and_state(state: ExecutionStatus, form: Form = Form.BY_ID) -> dict[str, str]:
    """Return both words, as objects of the root API carry them."""
    return {"status": status_word(state, form), "state": str(state)}


def states_of(words: Iterable[str]) -> frozenset[ExecutionStatus]:
    """Return the exact states that any of some words stands for, whichever kind each is of.

    A word of either form stands for every state that is shown by it.
    """
    wanted = set(words)
    return frozenset(s for s in ExecutionStatus if wanted & {s, _SHOWN_AS[s], _AWF[s]})


class WordsField(Repeated):
    """Words in a query, of which any will do: a parameter that may be given several times."""

    def __init__(self, words: Iterable[str], description: str) -> None:
        one = fields.String(validate=validate.OneOf(sorted(set(words))))
        super().__init__(one, metadata={"description": f"{description}; may be repeated"})


def status_field(words: Iterable[str] = STATUSES) -> fields.String:
    """Make the schema's field for a word of a form."""
    return fields.String(required=True, validate=validate.OneOf(tuple(words)))


def state_field() -> fields.String:
    """Make the schema's field for an exact state."""
    return fields.String(
        required=True,
        validate=validate.OneOf(STATES),
        metadata={"description": "The exact word, of which `status` tells the five best known"},
    )
