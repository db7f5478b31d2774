"""``/ui/workflows/<reference>``: launch a workflow by a form that is made of what it takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from flask import Blueprint, Response, request

from app.domain import (
    ExecutionFilter,
    ExecutionStatus,
    ExecutionSummary,
    Permission,
    Workflow,
    WorkflowDescription,
)
from app.errors import (
    Ambiguous,
    Conflict,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    SlipwayError,
    UpstreamError,
)
from app.observability import is_secret_name
from app.resources._auth import caller
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.resources._session_pages import CSRF_FORM_FIELD
from app.ui._addresses import of_workflow
from app.ui._forms import Notice, refused, see_other, told_when_again, why_refused
from app.ui._graph import Picture, workflow_picture
from app.ui._launch_form import LaunchForm, commands_of, sent, untouched
from app.ui._render import fragment, may, page

blueprint = Blueprint("launch", __name__)

_WORKFLOWS: Final = "/ui/workflows"
_MOST_RUNS: Final = 20
"""Earlier runs that are offered to begin from."""


@blueprint.get("/workflows/<string:reference>")
@permission(Permission.WORKFLOWS_READ)
def show(reference: str) -> Response:
    """Show the form; ``like`` names a run whose inputs it begins with."""
    orchestrator = _orchestrator()
    try:
        described = services().workflows.describe(reference, caller(), orchestrator)
    except (NotFound, Ambiguous, UpstreamError) as exc:
        return _cannot_show(reference, exc)
    return _page(untouched(reference, orchestrator, described, request.args.get("like", "")))


@blueprint.post("/workflows/<string:reference>")
@cost(launches=True)
@permission(Permission.EXECUTIONS_RUN, form=True)
def launch(reference: str) -> Response:
    """Launch what the form says, once however often it is sent."""
    orchestrator, begun = _orchestrator(), datetime.now(UTC)
    try:
        described = services().workflows.describe(reference, caller(), orchestrator)
    except (NotFound, Ambiguous) as exc:
        return _cannot_show(reference, exc)
    except UpstreamError as exc:
        return _cannot_show(reference, exc, fields=_kept_fields())
    form = sent(reference, orchestrator, described)
    form.check()
    if form.is_faulty or not form.has_key:
        return _refused(form)
    try:
        execution = services().launching.launch(
            reference, form.inputs.values, caller(), key=form.idempotency_key(),
            orchestrator=orchestrator, name=form.name or None, labels=form.read_labels,
        )  # fmt: skip
    except InvalidRequest as exc:
        form.take(exc.fields)
        return _refused(form, None if form.is_faulty else exc)
    except (Conflict, LimitExceeded, NotFound, UpstreamError) as exc:
        return _refused(form, exc)
    again = "This form launched it already; it was not launched once more."
    notice = Notice(again, "plain") if execution.created_at < begun else Notice("Launched.")
    return see_other(f"/ui/executions/{execution.id}", notice)


@blueprint.post("/workflows/<string:reference>/commands")
@permission(Permission.WORKFLOWS_READ, form=True)
def write_commands(reference: str) -> Response:
    """Write the commands that launch what the form holds by now, for a script of the page."""
    orchestrator = _orchestrator()
    described = services().workflows.describe(reference, caller(), orchestrator)
    form = sent(reference, orchestrator, described)
    form.check()
    form.judge()
    return fragment("_parts/commands.html", commands=commands_of(form), faulty=form.is_faulty)


def _orchestrator() -> str | None:
    return request.args.get("orchestrator") or None


def _refused(form: LaunchForm, error: SlipwayError | None = None) -> Response:
    """Show the form as it came back, with what is wrong."""
    if not form.has_key:
        form.renew_key()
        form.warnings.append("The form was not complete. Nothing was launched; send it again.")
    if error is None:
        return _page(form, 422)
    return refused(error, partial(_page, form, error=error))


def _page(form: LaunchForm, status: int = 200, error: SlipwayError | None = None) -> Response:
    workflow = form.described.workflow
    runs = _runs(workflow)
    done = next((run for run in runs if run.status is ExecutionStatus.SUCCESS), None)
    return page(
        "launch.html",
        title=f"Launch {workflow.name}",
        status=status,
        current=_WORKFLOWS,
        form=form,
        workflow=workflow,
        described=form.described,
        address=_address(form.reference, form.orchestrator),
        commands_address=_address(form.reference, form.orchestrator, "/commands"),
        commands=commands_of(form),
        faulty=form.is_faulty,
        runs=runs,
        last_success=done,
        has_text=may(Permission.WORKFLOWS_WRITE) and services().workflows.has_definition(workflow),
        picture=_picture(form.described),
        error=error,
    )


def _picture(described: WorkflowDescription) -> Picture | None:
    """Return the graph of the steps, where there is one to draw."""
    try:
        graph = services().graphs.of_description(described, caller())
    except LimitExceeded:  # the list tells the same
        return None
    made = workflow_picture(graph, _address(described.workflow.id, _orchestrator(), "/graph"))
    return made if made.nodes and not made.asks else None


def _runs(workflow: Workflow) -> Sequence[ExecutionSummary]:
    """Return the last runs of a workflow that are the caller's own."""
    if not may(Permission.EXECUTIONS_READ):
        return ()
    wanted = ExecutionFilter(
        owners=frozenset({caller().username}), workflow_id=workflow.id,
        orchestrator=workflow.orchestrator,
    )  # fmt: skip
    return services().executions.find(wanted, caller(), 0, _MOST_RUNS)[0]


def _cannot_show(
    reference: str, error: SlipwayError, fields: Sequence[tuple[str, str]] = ()
) -> Response:
    """Return the page that says why there is no form; what was sent can be sent again."""
    failure = why_refused(error)
    choices: list[dict[str, Any]] = []
    if isinstance(error, Ambiguous):
        found = services().workflows.find(caller()).workflows
        choices = [
            {"workflow": each, "address": _address(each.id, each.orchestrator)}
            for each in found
            if reference in (each.id, each.name)
        ]
    response = page(
        "launch_missing.html",
        title="Which workflow?" if choices else failure.status.phrase,
        status=failure.status.value,
        current=_WORKFLOWS,
        reference=reference,
        failure=failure,
        choices=choices,
        fields=fields,
        address=_address(reference, _orchestrator()),
        is_down=isinstance(error, UpstreamError),
    )
    return told_when_again(response, failure)


def _kept_fields() -> list[tuple[str, str]]:
    """Return what was sent, but for what no page may hold."""
    return [
        (name, text)
        for name, text in request.form.items()
        if name != CSRF_FORM_FIELD and not is_secret_name(name)
    ]


def _address(reference: str, orchestrator: str | None, below: str = "") -> str:
    return of_workflow(_WORKFLOWS, reference, orchestrator, below)
