"""``/ui/audit``: who did what, found by filters that stand in the address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, request

from app.domain import AuditResult, Permission
from app.errors import InvalidRequest
from app.resources._arguments import read_filters
from app.resources._audit_args import AuditArgsSchema, filter_of
from app.resources._context import services
from app.resources._permissions import permission
from app.ui._forms import faults_by_field
from app.ui._render import page
from app.ui._words import Word

blueprint = Blueprint("audit", __name__)

_PATH: Final = "/ui/audit"
_MOST: Final = 50
_FILTERS: Final = ("user", "action", "result", "target", "since", "until")
_LONGEST_SHOWN: Final = 200
_WITH_PAGES: Final = re.compile("/(?:executions|users)/[^/]+")
RESULTS: Final[Mapping[AuditResult, Word]] = {
    AuditResult.SUCCESS: Word("Done", "good"),
    AuditResult.REFUSED: Word("Not possible", "unsettled"),
    AuditResult.DENIED: Word("Denied", "bad"),
    AuditResult.FAILED: Word("Failed", "unknown"),
}


@blueprint.get("/audit")
@permission(Permission.AUDIT_READ)
def show() -> Response:
    """Show a page of events, the newest first."""
    given = {name: request.args.get(name, "").strip() for name in _FILTERS}
    given = {name: value for name, value in given.items() if value}
    faults: Mapping[str, Sequence[str]] = {}
    entries: Sequence[Any] = ()
    rest: int | None = None
    cursor = request.args.get("cursor", "")
    try:
        asked = {**given, **({"cursor": cursor} if cursor else {})}
        args = read_filters(AuditArgsSchema, asked)
        entries, rest = services().audit.find(filter_of(args), args.get("cursor"), _MOST)
    except InvalidRequest as exc:
        faults = faults_by_field(exc)
    return page(
        "audit.html",
        title="Audit",
        current=_PATH,
        status=422 if faults else 200,
        given={name: value[:_LONGEST_SHOWN] for name, value in given.items()},
        faults=faults,
        events=[entry.event for entry in entries],
        older=None if rest is None else _address({**given, "cursor": str(rest)}),
        newest=_address(given) if cursor else None,
        address=_address,
        page_of=_page_of,
        results=RESULTS,
    )


def _page_of(target: str) -> str | None:
    """Return the page of what an event is about; None where it has none."""
    found = _WITH_PAGES.match(target)
    return None if found is None else f"/ui{quote(found[0])}"


def _address(given: Mapping[str, str]) -> str:
    """Return the address of the page with some filters."""
    return f"{_PATH}?{urlencode(given)}" if given else _PATH
