"""``/ui/definitions``: definitions of workflows, written, checked and uploaded by developers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from app.domain import DefinitionText, DefinitionVersion, Permission, Workflow
from app.errors import (
    CapabilityMissing,
    Conflict,
    InvalidDefinition,
    LimitExceeded,
    NotAllowed,
    NotFound,
    Outdated,
    SlipwayError,
    Taken,
    UpstreamError,
)
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.services.access import editor
from app.services.definition_texts import TextDifference
from app.ui._addresses import of_workflow
from app.ui._definition_text import EXAMPLE, TextFault, faults_of, normal_lines, source_of
from app.ui._forms import Notice, posted, refused, see_other
from app.ui._graph import Picture, workflow_picture
from app.ui._paging import page_number
from app.ui._render import fragment, page

blueprint = Blueprint("definition", __name__)

_HOME: Final = "/ui/definitions"
_NEW: Final = "/ui/new-definition"
_WORKFLOWS: Final = "/ui/workflows"
_ROWS: Final = 100
"""Definitions on a page of the list."""
_READS: Final = "workflows:read"
"""What the audit calls checks: one is made with every pause in typing, and changes nothing."""


@dataclass(slots=True)
class _Checked:
    """What became of checking a text.

    Attributes:
        workflow: What it would be; None where it has faults.
        refusal: Why it could not be checked.
    """

    workflow: Workflow | None = None
    steps: int = 0
    picture: Picture | None = None
    faults: list[TextFault] = field(default_factory=list)
    refusal: str = ""


@dataclass(slots=True)
class _Editor:
    """The editor and what stands around it.

    Attributes:
        workflow: What is edited; None for a new one.
        text: In the editor.
        base: Number of the version that the text is made from; None where there is none.
        shown: Number of an earlier version that the text was taken from.
        read_only: Why it cannot be uploaded from here; empty where it can.
    """

    text: str
    workflow: Workflow | None = None
    base: int | None = None
    shown: int | None = None
    read_only: str = ""
    versions: Sequence[DefinitionVersion] = ()
    checked: _Checked | None = None
    error: SlipwayError | None = None
    taken: str = ""
    theirs: TextDifference | None = None
    mine: TextDifference | None = None

    @property
    def address(self) -> str:
        """Of its page."""
        return self.below()

    def below(self, what: str = "", **query: object) -> str:
        """Return the address of a page below its own, such as ``/diff``."""
        return _NEW if self.workflow is None else _address(self.workflow, what, **query)

    @property
    def launch(self) -> str:
        """Address of the form that launches it."""
        assert self.workflow is not None  # noqa: S101  (a new one is not launched)
        return of_workflow(_WORKFLOWS, self.workflow.id, _orchestrator())

    @property
    def copy(self) -> str:
        """Address of a new definition that begins from its text."""
        assert self.workflow is not None  # noqa: S101
        asked = {"from": self.workflow.id, "orchestrator": _orchestrator()}
        return f"{_NEW}?{urlencode({name: value for name, value in asked.items() if value})}"


@blueprint.get("/definitions")
@permission(Permission.WORKFLOWS_WRITE)
def show_all() -> Response:
    """List what can be edited, and what has faults."""
    query = request.args.get("q", "")
    found = services().workflows.find(caller(), query=query or None)
    has_definition = services().workflows.has_definition
    rows = [each for each in found.workflows if has_definition(each)]
    number = page_number(len(rows), _ROWS)
    begin = (number - 1) * _ROWS
    many = Counter(each.id for each in found.workflows)
    return page(
        "definitions.html",
        title="Definitions",
        current=_WORKFLOWS,
        query=query,
        number=number,
        total=len(rows),
        pages=-(-len(rows) // _ROWS),
        rows=[(each, _listed(each, many)) for each in rows[begin : begin + _ROWS]],
        faulty=found.faulty,
    )


@blueprint.get("/new-definition")
@permission(Permission.WORKFLOWS_WRITE)
def show_new() -> Response:
    """Show the editor with an example to begin from, or with a copy of another definition."""
    model = request.args.get("from", "")
    text = _text(model).text if model else EXAMPLE
    return _page(_Editor(text))


@blueprint.post("/new-definition")
@permission(Permission.WORKFLOWS_WRITE, form=True)
def send_new() -> Response:
    """Check a new definition, or upload it."""
    return _take(_Editor(normal_lines(posted("text"))))


@blueprint.get("/definitions/<string:reference>")
@permission(Permission.WORKFLOWS_WRITE)
def show(reference: str) -> Response:
    """Show the editor with what is offered, or with an earlier version."""
    number = _number(request.args.get("version", ""))
    edited = _opened(reference)
    edited.text, edited.shown = _text(reference, number).text, number
    return _page(edited)


@blueprint.post("/definitions/<string:reference>")
@permission(Permission.WORKFLOWS_WRITE, form=True)
def send(reference: str) -> Response:
    """Check the next version of a definition, or upload it."""
    edited = _opened(reference)
    edited.text, edited.base = normal_lines(posted("text")), _number(posted("base"))
    return _take(edited)


@blueprint.post("/check-definition")
@permission(Permission.WORKFLOWS_WRITE, form=True, action=_READS)
def check() -> Response:
    """Check a text as it is typed, for a script of the page."""
    return fragment("_parts/checked.html", checked=_check(normal_lines(posted("text"))))


@blueprint.get("/definitions/<string:reference>/diff")
@permission(Permission.WORKFLOWS_WRITE)
def compare(reference: str) -> Response:
    """Show what differs between two versions."""
    edited = _opened(reference)
    assert edited.workflow is not None  # noqa: S101  (one was found)
    workflows, where = services().workflows, _orchestrator()
    after = _number(request.args.get("after", "")) or edited.workflow.version
    before = _number(request.args.get("before", "")) or workflows.version_before(
        reference, caller(), after, where
    )
    difference = None
    if before is not None:
        difference = _between(reference, before, _text(reference, after), f"version {after}")
    return page(
        "definition_diff.html",
        title=f"Versions of {edited.workflow.name}",
        current=_WORKFLOWS,
        edited=edited,
        orchestrator=where,
        before=before,
        after=after,
        difference=difference,
    )


@blueprint.get("/definitions/<string:reference>/remove")
@permission(Permission.WORKFLOWS_WRITE)
def ask_to_remove(reference: str) -> Response:
    """Ask whether a definition is to be removed."""
    return _removal(_opened(reference))


@blueprint.post("/definitions/<string:reference>/remove")
@permission(Permission.WORKFLOWS_WRITE, form=True)
def remove(reference: str) -> Response:
    """Remove a definition."""
    edited = _opened(reference)
    try:
        services().workflows.remove(reference, caller(), _orchestrator())
    except (CapabilityMissing, Conflict, NotAllowed) as exc:
        return refused(exc, partial(_removal, edited, error=exc))
    name = "" if edited.workflow is None else edited.workflow.name
    return see_other(_HOME, Notice(f"{name} is removed. What runs goes on."))


def _take(edited: _Editor) -> Response:
    """Do what the button says that was pressed."""
    if posted("do") != "upload":
        edited.checked = _check(edited.text)
        return _page(edited, 422 if edited.checked.faults else 200)
    replaced = None if edited.workflow is None else edited.workflow.id
    try:
        uploaded, _ = services().workflows.upload(
            source_of(edited.text), caller(), replaced, base=edited.base
        )
    except InvalidDefinition as exc:
        edited.checked = _faulty(exc)
        return refused(exc, partial(_page, edited))
    except (Conflict, CapabilityMissing, LimitExceeded, NotAllowed, UpstreamError) as exc:
        return _refused(edited, exc)
    return _uploaded(uploaded)


def _uploaded(workflow: Workflow) -> Response:
    return see_other(_address(workflow), Notice(f"Version {workflow.version} is offered now."))


def _refused(edited: _Editor, error: SlipwayError) -> Response:
    """Show the editor with why nothing was uploaded; what was sent twice is there already."""
    edited.checked = _check(edited.text)
    known = edited.workflow or edited.checked.workflow
    if isinstance(error, Taken | Outdated) and known is not None:
        offered = _offered(known.id)
        if offered is not None:
            workflow, text = offered
            if text.text == edited.text:
                return _uploaded(workflow)
            if isinstance(error, Outdated) and edited.base is not None:
                _compare_with(edited, text)
            else:
                edited.taken = _address(workflow)
    edited.error = error
    return refused(error, partial(_page, edited))


def _offered(workflow_id: str) -> tuple[Workflow, DefinitionText] | None:
    """Return what is offered under an id by now; None if nothing is."""
    try:
        found = services().workflows.describe(workflow_id, caller(), _orchestrator()).workflow
        return found, _text(workflow_id)
    except SlipwayError:
        return None


def _compare_with(edited: _Editor, theirs: DefinitionText) -> None:
    """Show what somebody else has changed meanwhile; then one's own may take its place."""
    assert edited.workflow is not None  # noqa: S101  (a version of it was edited)
    assert edited.base is not None  # noqa: S101
    name = f"version {theirs.version}"
    try:
        edited.theirs = _between(edited.workflow.id, edited.base, theirs, name)
    except NotFound:  # it is not kept any more
        edited.theirs = None
    edited.mine = services().definition_texts.between(
        theirs, source_of(edited.text), (name, "yours"), caller()
    )
    edited.base = theirs.version


def _between(reference: str, before: int, after: DefinitionText, name: str) -> TextDifference:
    earlier = _text(reference, before)
    names = f"version {before}", name
    return services().definition_texts.between(earlier, after, names, caller())


def _check(text: str) -> _Checked:
    try:
        described, graph = services().graphs.of_definition(source_of(text), caller())
    except InvalidDefinition as exc:
        return _faulty(exc)
    except (CapabilityMissing, LimitExceeded, UpstreamError) as exc:
        return _Checked(refusal=exc.message)
    picture = workflow_picture(graph, "")
    return _Checked(described.workflow, len(described.steps), picture)


def _faulty(error: InvalidDefinition) -> _Checked:
    faults = faults_of(error.fields) or [TextFault(None, "", error.message)]
    return _Checked(faults=faults)


def _opened(reference: str) -> _Editor:
    """Return the editor of a workflow, without its text.

    Raises:
        NotFound, Ambiguous, UpstreamError, CapabilityMissing: As
            :meth:`app.services.workflows.WorkflowService.versions`.
    """
    where, workflows = _orchestrator(), services().workflows
    workflow = workflows.describe(reference, caller(), where).workflow
    versions = workflows.versions(reference, caller(), where)
    return _Editor(
        "", workflow, workflow.version, read_only=_why_read_only(workflow), versions=versions
    )


def _why_read_only(workflow: Workflow) -> str:
    if workflow.version is None:
        return "It comes from the folder of workflows, which only operators of the service change."
    if not editor(caller())(workflow.owner or ""):
        return f"It belongs to {workflow.owner}; only they or an operator may change it."
    return ""


def _text(reference: str, number: int | None = None) -> DefinitionText:
    return services().workflows.definition(reference, caller(), number, _orchestrator())[1]


def _page(edited: _Editor, status: int = 200) -> Response:
    workflow = edited.workflow
    if edited.checked is None:
        edited.checked = _check(edited.text)
    return page(
        "definition.html",
        title="New definition" if workflow is None else f"Definition of {workflow.name}",
        status=status,
        current=_WORKFLOWS,
        edited=edited,
        checked=edited.checked,
        came_back=request.method == "POST",
    )


def _removal(edited: _Editor, status: int = 200, error: SlipwayError | None = None) -> Response:
    return page(
        "definition_removal.html",
        title="Remove a definition",
        status=status,
        current=_WORKFLOWS,
        edited=edited,
        error=error,
    )


def _listed(workflow: Workflow, many: Counter[str]) -> str:
    named = workflow.orchestrator if many[workflow.id] > 1 else None
    return of_workflow(_HOME, workflow.id, named)


def _orchestrator() -> str | None:
    return request.args.get("orchestrator") or None


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    return int(text) if is_number and int(text) else None


def _address(workflow: Workflow, below: str = "", **query: object) -> str:
    named = workflow.orchestrator if _orchestrator() else None
    return of_workflow(_HOME, workflow.id, named, below, **query)
