"""Which executions the page of executions shows: its filters, as they stand in its address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from app.domain import (
    FINAL_STATUSES,
    OPEN_STATUSES,
    ExecutionFilter,
    ExecutionStatus,
    Identity,
    Permission,
)
from app.errors import InvalidRequest
from app.identity.permissions import is_allowed
from app.resources._arguments import read_filters
from app.resources._listing import OLDEST, label_of
from app.resources._people_filters import ALL, ENDED, OPEN, PeopleFiltersSchema
from app.ui._forms import faults_by_field

PATH: Final = "/ui/executions"
_GROUPS: Final = {OPEN: OPEN_STATUSES, ENDED: FINAL_STATUSES}
_REPEATED: Final = ("state", "label")
_LONGEST_SHOWN: Final = 200
WORDS: Final = {
    "whose": "Whose", "owner": "User", "state": "State", "workflow": "Workflow",
    "since": "Launched", "label": "Label", "q": "Name or id", "order": "Order", "page": "Page",
}  # fmt: skip
"""What the filters are called, in the order of the form."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filters of one request.

    Attributes:
        given: As they were given, by name; a filter that was left empty is not in it.
        faults: What is wrong with some, by name; then nothing is looked for.
        filter: What they ask for.
        page: Number of the page, from 1.
    """

    given: Mapping[str, Sequence[str]]
    faults: Mapping[str, Sequence[str]]
    filter: ExecutionFilter = field(default_factory=ExecutionFilter)
    page: int = 1

    @property
    def restricts(self) -> Mapping[str, str]:
        """What leaves executions out, for people: values by the words for the filters."""
        return {
            WORDS[name]: ", ".join(values)
            for name, values in self.given.items()
            if name not in ("whose", "order", "page") and name in WORDS
        }

    def value(self, name: str) -> str:
        """Return what the field of a filter shows."""
        return next(iter(self.given.get(name, ())), "")[:_LONGEST_SHOWN]

    def more(self, name: str) -> Sequence[str]:
        """Return the further values of a filter that may have several."""
        return self.given.get(name, ())[1:] if name in _REPEATED else ()

    def address(self, **changes: str | int | None) -> str:
        """Return the address of the list with some filters changed; None leaves one out."""
        given: dict[str, Any] = {name: list(values) for name, values in self.given.items()}
        given = {**given, "page": None, **changes}
        query = urlencode({k: v for k, v in given.items() if v is not None}, doseq=True)
        return f"{PATH}?{query}" if query else PATH


def sees_all(identity: Identity) -> bool:
    """Return whether somebody may choose whose executions they see."""
    return is_allowed(identity, Permission.EXECUTIONS_ALL)


def read_wanted(query: MultiDict[str, str], identity: Identity) -> Wanted:
    """Read the filters of an address; one that is empty is as good as none."""
    given: dict[str, list[str]] = {}
    for name in WORDS:
        values = [value.strip() for value in query.getlist(name) if value.strip()]
        if values:
            given[name] = values if name in _REPEATED else values[:1]
    plain = {n: values if n in _REPEATED else values[0] for n, values in given.items()}
    try:
        args = read_filters(PeopleFiltersSchema, plain)
    except InvalidRequest as exc:
        return Wanted(given, faults_by_field(exc))
    return Wanted(given, {}, _filter(args, identity), args.get("page", 1))


def still_open(identity: Identity) -> ExecutionFilter:
    """Return the filter for what somebody has that has not ended, what is oldest first."""
    mine = frozenset((identity.username,))
    return ExecutionFilter(owners=mine, states=OPEN_STATUSES, oldest_first=True)


def _filter(args: Mapping[str, Any], identity: Identity) -> ExecutionFilter:
    states: set[ExecutionStatus] = set()
    for word in args.get("state", ()):
        states |= _GROUPS.get(word) or {ExecutionStatus(word)}
    since = args.get("since")
    if isinstance(since, timedelta):
        since = datetime.now(UTC).replace(microsecond=0) - since
    return ExecutionFilter(
        owners=_owners(args, identity),
        workflow=args.get("workflow"),
        states=frozenset(states) if states else None,
        labels=tuple(sorted(map(label_of, args.get("label", ())), key=repr)),
        called=args.get("q"),
        created_since=since,
        oldest_first=args.get("order") == OLDEST,
    )


def _owners(args: Mapping[str, Any], identity: Identity) -> frozenset[str] | None:
    if sees_all(identity) and "owner" in args:
        return frozenset((args["owner"],))
    if sees_all(identity) and args.get("whose") == ALL:
        return None
    return frozenset((identity.username,))
