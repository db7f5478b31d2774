"""``/ui/workflows``: what there is to launch, and how the last run of each went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from app.domain import ExecutionSummary, Permission, Workflow
from app.errors import UpstreamError
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.services.workflows import WorkflowList
from app.ui._addresses import of_workflow
from app.ui._paging import page_number
from app.ui._render import page
from app.ui._words import took

blueprint = Blueprint("workflows", __name__)

PATH: Final = "/ui/workflows"
ON_A_PAGE: Final = 50
_MOST_FAULTY: Final = 10
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One workflow of the list.

    Attributes:
        launch, definition: Where it is launched, and where what it is made of is read; empty where
            that is nowhere.
        last: The caller's last execution of it.
        why_old: Why this may not be what it is by now; empty where it is.
    """

    workflow: Workflow
    launch: str
    definition: str
    last: ExecutionSummary | None
    why_old: str


@blueprint.get("/workflows")
@permission(Permission.WORKFLOWS_READ)
def show() -> Response:
    """Show a page of workflows."""
    given = {name: request.args.get(name, "").strip() for name in ("q", "orchestrator", "stale")}
    given = {name: value[:_LONGEST] for name, value in given.items() if value}
    try:
        found, fault = _find(given), ""
    except UpstreamError as exc:
        found, fault = WorkflowList([], []), exc.message
    number = page_number(len(found.workflows), ON_A_PAGE)
    first = (number - 1) * ON_A_PAGE
    shown = found.workflows[first : first + ON_A_PAGE]
    total = len(found.workflows)

    def address(**changes: str | int) -> str:
        query = urlencode({name: v for name, v in {**given, **changes}.items() if v})
        return f"{PATH}?{query}" if query else PATH

    return page(
        "workflows.html",
        title="Workflows",
        current=PATH,
        given=given,
        fault=fault,
        orchestrators=[*services().workflows.orchestrators],
        rows=_rows(found, shown),
        total=total,
        offered=found.offered,
        first=first + 1,
        last=first + len(shown),
        newer=address(page=number - 1 if number > 2 else "") if number > 1 else "",
        older=address(page=number + 1) if first + len(shown) < total else "",
        silent=_silent(found),
        faulty=found.faulty[:_MOST_FAULTY],
        more_faulty=max(0, len(found.faulty) - _MOST_FAULTY),
        definition_of=_definition_of,
        took=took,
    )


def _find(given: Mapping[str, str]) -> WorkflowList:
    return services().workflows.find(
        caller(),
        query=given.get("q"),
        orchestrator=given.get("orchestrator"),
        stale="stale" in given,
    )


def _rows(found: WorkflowList, shown: Sequence[Workflow]) -> list[Row]:
    last = services().executions.last_runs(shown, caller())
    many = Counter(workflow.id for workflow in found.workflows)
    has_definition = services().workflows.has_definition
    rows = []
    for each in shown:
        named = each.orchestrator if many[each.id] > 1 else ""
        rows.append(
            Row(
                each,
                of_workflow(PATH, each.id, named),
                _definition_of(each.id, named) if has_definition(each) else "",
                last.get((each.id, each.orchestrator)),
                _why_old(each, found),
            )
        )
    return rows


def _definition_of(reference: str, orchestrator: str = "") -> str:
    return of_workflow("/ui/definitions", reference, orchestrator)


def _why_old(workflow: Workflow, found: WorkflowList) -> str:
    if not workflow.stale:
        return ""
    if workflow.orchestrator in found.silent:
        return f"{workflow.orchestrator} is silent"
    return "its definition has faults by now"


def _silent(found: WorkflowList) -> list[Mapping[str, object]]:
    return [
        {"name": name, "since": since, "is_missing": name in found.unavailable}
        for name, since in found.silent.items()
    ]
