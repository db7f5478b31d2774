"""``/ui/executions``: what was launched, live; and cancelling several at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from app.domain import (
    FINAL_STATUSES,
    NO_BRIEF,
    AuditResult,
    Brief,
    ExecutionFilter,
    ExecutionStatus,
    ExecutionSummary,
    Permission,
)
from app.errors import NotFound, SlipwayError
from app.resources._auth import caller
from app.resources._context import services
from app.resources._limits import cost
from app.resources._people_filters import OPEN
from app.resources._permissions import permission
from app.ui._briefs import remark, says
from app.ui._forms import Notice, posted, posted_all, see_other
from app.ui._hidden import note_hidden
from app.ui._render import page
from app.ui._wanted import PATH, Wanted, read_wanted, sees_all, still_open
from app.ui._words import duration, took

blueprint = Blueprint("executions", __name__)

ON_A_PAGE: Final = 50
_CANCEL_SECONDS: Final = 20.0
"""How long a request goes on asking for ends; the rest can be asked for again."""
_LATELY: Final = timedelta(days=1)
_LONGEST_ID: Final = 200
"""Characters of what may be an id, or a name, of an execution; others lead nowhere anyway."""


@dataclass(frozen=True, slots=True)
class Row:
    """One execution of a list.

    Attributes:
        remark: What stands behind the word for its state.
        says: What it does by now, or why it failed.
    """

    execution: ExecutionSummary
    stale: bool
    remark: str
    says: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """One execution of those that are to be cancelled.

    Attributes:
        why_not: Why it cannot be, or was not; empty where nothing is in the way.
    """

    id: str
    execution: ExecutionSummary | None
    why_not: str = ""


@blueprint.get("/executions")
@permission(Permission.EXECUTIONS_READ)
def show() -> Response:
    """Show a page of executions."""
    moment = datetime.now(UTC)
    wanted = read_wanted(request.args, caller())
    found: Sequence[ExecutionSummary] = ()
    total = 0
    if not wanted.faults:
        offset = (wanted.page - 1) * ON_A_PAGE
        found, total = services().executions.find(wanted.filter, caller(), offset, ON_A_PAGE)
    first = (wanted.page - 1) * ON_A_PAGE + 1
    return page(
        "executions.html",
        title="Executions",
        current=PATH,
        status=422 if wanted.faults else 200,
        wanted=wanted,
        rows=_rows(found),
        total=total,
        first=first,
        last=first + len(found) - 1,
        has_more=first + len(found) <= total,
        everybody=sees_all(caller()),
        shows_owner=wanted.filter.owners != frozenset((caller().username,)),
        left_running=_left_running(wanted),
        ended_lately=_ended_lately() if not total and wanted.value("state") == OPEN else 0,
        live=_live(wanted, moment),
        states=tuple(ExecutionStatus),
        took=took,
    )


@blueprint.post("/executions/cancel")
@cost(5)
@permission(Permission.EXECUTIONS_CANCEL, form=True, recorded=True)
def cancel() -> Response:
    """Cancel the ticked executions, once that was confirmed; what cannot be is said before."""
    ids = list(dict.fromkeys(id_[:_LONGEST_ID] for id_ in posted_all("id")))[:ON_A_PAGE]
    back = _back(posted("back"))
    if not ids:
        return see_other(back, Notice("Nothing was ticked.", "plain"))
    if not posted("confirmed"):
        return _confirmation("executions_cancel.html", "Cancel executions", _chosen(ids), back)
    chosen = [each for each in _chosen(ids) if not each.why_not]
    done = services().steering.cancel_each([e.id for e in chosen], caller(), _CANCEL_SECONDS)
    _record(chosen, done)
    results = [
        Chosen(each.id, each.execution, _refusal(error))
        for each, error in zip(chosen, done, strict=True)
    ]
    failed = [each for each in results if each.why_not]
    if not failed:
        return see_other(back, _told(len(results)))
    return _confirmation("executions_cancelled.html", "Not all were cancelled", results, back)


def _rows(found: Sequence[ExecutionSummary]) -> list[Row]:
    briefs = services().executions.briefs(found)
    is_stale = services().executions.is_stale

    def row(each: ExecutionSummary) -> Row:
        brief: Brief = briefs.get(each.id, NO_BRIEF)
        return Row(each, is_stale(each), remark(each, brief), says(each, brief))

    return [row(each) for each in found]


def _left_running(wanted: Wanted) -> Mapping[str, Any] | None:
    """Return how many executions of the caller have not ended, and for how long the oldest."""
    mine = still_open(caller())
    if wanted.filter == mine:
        return None
    found, total = services().executions.find(mine, caller(), 0, 1)
    if not found:
        return None
    age = (datetime.now(UTC) - found[0].created_at).total_seconds()
    return {"number": total, "age": duration(age), "oldest": found[0]}


def _ended_lately() -> int:
    """Return how many executions of the caller ended within a day."""
    lately = ExecutionFilter(
        owners=frozenset((caller().username,)),
        states=FINAL_STATUSES,
        active_since=datetime.now(UTC).replace(microsecond=0) - _LATELY,
    )
    return services().executions.find(lately, caller(), 0, 1)[1]


def _live(wanted: Wanted, moment: datetime) -> str:
    """Write what a script must know to tell which events belong to the list."""
    sought = wanted.filter
    return json.dumps(
        {
            "after": int(moment.timestamp() * 1000),
            "owners": sorted(sought.owners) if sought.owners is not None else None,
            "states": sorted(sought.states) if sought.states is not None else None,
            "workflow": sought.workflow,
            "labels": sought.labels,
            "called": sought.called,
            "since": int(sought.created_since.timestamp() * 1000) if sought.created_since else None,
            "takesNew": wanted.page == 1 and not sought.oldest_first,
        }
    )


def _back(query: str) -> str:
    """Return the address of the list that a form came from, of what it says of its filters."""
    given = MultiDict[str, str](parse_qsl(query[:4000]))
    return read_wanted(given, caller()).address(page=given.get("page"))


def _chosen(ids: Sequence[str]) -> list[Chosen]:
    return [_choice(id_) for id_ in ids]


def _choice(id_: str) -> Chosen:
    try:
        execution = services().executions.get(
            id_, caller(), among=services().workflows.orchestrators
        )
    except NotFound as exc:
        note_hidden(exc, Permission.EXECUTIONS_CANCEL, id_)
        return Chosen(id_, None, "there is no such execution any more")
    if execution.status.final:
        return Chosen(id_, execution, "has ended")
    if execution.status is ExecutionStatus.CANCELLING:
        return Chosen(id_, execution, "is being cancelled already")
    return Chosen(id_, execution)


def _confirmation(template: str, title: str, chosen: Sequence[Chosen], back: str) -> Response:
    """Show what is to be cancelled, or what came of it."""
    return page(
        template,
        title=title,
        current=PATH,
        able=[each for each in chosen if not each.why_not],
        others=[each for each in chosen if each.why_not],
        back=back,
        query=back.partition("?")[2],
    )


def _record(chosen: Sequence[Chosen], done: Sequence[SlipwayError | None]) -> None:
    """Record each execution by its own address, as the API's cancelling is recorded."""
    audit = services().audit
    for each, error in zip(chosen, done, strict=True):
        result = AuditResult.SUCCESS if error is None else AuditResult.REFUSED
        detail = "on the page" if error is None else f"on the page: {error.code}"
        event = audit.event(
            str(Permission.EXECUTIONS_CANCEL),
            f"/executions/{each.id}",
            result=result,
            detail=detail,
        )
        audit.record(event)


def _refusal(error: SlipwayError | None) -> str:
    return "" if error is None else error.message


def _told(number: int) -> Notice:
    if not number:
        return Notice("None of these could be cancelled any more.", "plain")
    return Notice(f"{number} execution{' is' if number == 1 else 's are'} being cancelled.")
