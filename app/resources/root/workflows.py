"""``/workflows`` of the root API: list, describe, launch; upload, replace and remove."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import marshmallow as ma
from flask import Response, request
from marshmallow import fields, validate

from app.domain import DefinitionSource, Execution, Permission
from app.execution_names import start_of
from app.labels import (
    KEY_RULE,
    LONGEST_TEXT,
    MOST_LABEL_BYTES,
    MOST_LABELS,
    NAME_PATTERN,
)
from app.resources._api import (
    PAGINATION_HEADER,
    UPSTREAM,
    YAML_TYPES,
    Blueprint,
    LaunchHeadersSchema,
    Name,
    PageArgsSchema,
    cut,
    empty,
    iso,
    read_json,
    text_body,
    write_json,
)
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.resources._text_forms import whole
from app.resources.root.examples import DEFINITION, INPUTS, LABELS
from app.resources.root.forms import NAME
from app.resources.root.launched import answers_launched, launched
from app.resources.root.serialisers.executions import ExecutionSchema, last_run_json
from app.resources.root.serialisers.graph import GraphSchema, graph_json
from app.resources.root.serialisers.workflows import (
    DefinitionVersionSchema,
    FaultyWorkflowSchema,
    SilentOrchestratorSchema,
    UploadedWorkflowSchema,
    WorkflowDescriptionSchema,
    WorkflowFactsSchema,
    WorkflowInfoSchema,
    description_json,
    faulty_json,
    version_json,
    workflow_json,
)
from app.services.text_difference import LONGEST_LINE, MOST_LINES

_JSON = "application/json"
_DEFINITION = {
    "description": "A workflow definition",
    "required": True,
    "content": {
        "application/yaml": {"schema": {"type": "object"}, "example": DEFINITION},
        "application/json": {"schema": {"type": "object"}, "example": DEFINITION},
    },
}

_TEXT = {
    "description": "The text, as it was uploaded",
    "content": {
        "application/yaml": {"schema": {"type": "object"}},
        "application/json": {"schema": {"type": "object"}},
    },
}

blueprint = Blueprint("workflows", __name__, description="What can be launched")


class WorkflowListSchema(ma.Schema):
    """Workflows."""

    workflows = fields.List(fields.Nested(WorkflowInfoSchema), required=True)
    unavailable = fields.List(
        fields.String(), metadata={"description": "Orchestrators that could not tell theirs"}
    )
    faulty = fields.List(
        fields.Nested(FaultyWorkflowSchema),
        metadata={"description": "Definitions with faults, for developers and operators"},
    )
    silent = fields.List(
        fields.Nested(SilentOrchestratorSchema),
        metadata={
            "description": "Orchestrators that do not answer, so that their workflows are missing "
            "or as they were known last"
        },
    )


class DefinitionVersionListSchema(ma.Schema):
    """Versions of a definition."""

    versions = fields.List(fields.Nested(DefinitionVersionSchema), required=True)


class WorkflowArgsSchema(PageArgsSchema):
    """Which workflows."""

    name = Name(metadata={"description": "Exactly this name", "example": DEFINITION["name"]})
    q = Name(metadata={"description": "Text in the id, name or description", "example": "greet"})
    orchestrator = Name(metadata={"description": "Of this orchestrator only", "example": "local"})
    stale = fields.Boolean(
        load_default=False,
        metadata={"description": "Only those that may have changed, or be gone"},
    )
    last = fields.Boolean(
        load_default=False,
        metadata={"description": "Also tell of each how your last execution of it stands"},
    )


class OrchestratorArgsSchema(ArgumentsSchema):
    """Where to look for a workflow."""

    orchestrator = Name(
        metadata={"description": "Look on this orchestrator only", "example": "local"}
    )


class DefinitionArgsSchema(OrchestratorArgsSchema):
    """Which version of a definition."""

    version = fields.Integer(
        validate=validate.Range(min=1, max=2**31 - 1),
        metadata={"description": "Number of a version; what is offered now without it"},
    )


class ReplaceArgsSchema(ArgumentsSchema):
    """What a definition may take the place of."""

    based_on = fields.Integer(
        validate=validate.Range(min=1, max=2**31 - 1),
        metadata={
            "description": "Number of the version that yours is made from; where another one is "
            "offered by now, a 409 says so, and nothing is changed"
        },
    )


class DifferenceArgsSchema(OrchestratorArgsSchema):
    """Which versions of a definition are compared."""

    before = fields.Integer(
        validate=validate.Range(min=1, max=2**31 - 1),
        metadata={"description": "Number of the one; the last one kept before `after` without it"},
    )
    after = fields.Integer(
        validate=validate.Range(min=1, max=2**31 - 1),
        metadata={"description": "Number of the other; what is offered now without it"},
    )


class DefinitionTextDifferenceSchema(ma.Schema):
    """How two versions of a definition differ."""

    before = fields.Integer(
        required=True, allow_none=True, metadata={"description": "null: what a file holds"}
    )
    after = fields.Integer(required=True, allow_none=True, metadata={"description": "As `before`"})
    diff = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "Lines as `diff -u` writes them, of the texts as they were uploaded; at "
            f"most {MOST_LINES:,} of {LONGEST_LINE} characters"
        },
    )
    cut = fields.Boolean(required=True, metadata={"description": "There is more in `diff`"})
    missing = fields.String(
        required=True, allow_none=True, metadata={"description": "Why there is no `diff`"}
    )


class CheckArgsSchema(ArgumentsSchema):
    """What to tell of a definition that is checked."""

    graph = fields.Boolean(
        load_default=False, metadata={"description": "Lay its graph out, too, for a preview"}
    )


class CheckedDefinitionSchema(WorkflowFactsSchema):
    """The workflow that a definition would be."""

    graph = fields.Nested(GraphSchema, metadata={"description": "Where that was asked for"})


class LaunchArgsSchema(OrchestratorArgsSchema):
    """Where to look for a workflow that is launched."""

    keeps_strays = True


class RunRequestSchema(ArgumentsSchema):
    """What a launch takes.

    A field that is not known is left out only where it cannot be inputs that went astray: the
    workflow would run with its defaults.
    """

    keeps_strays = True

    inputs = fields.Raw(
        allow_none=True,
        metadata={
            "type": "object",
            "description": "Value of each input; may be left out",
            "example": INPUTS,
        },
    )

    name = fields.Raw(
        allow_none=True,
        metadata={
            "type": "string",
            "maxLength": LONGEST_TEXT,
            "pattern": whole(NAME_PATTERN),
            "description": "What you call the execution; shown to all who see it, so no secret",
            "example": "night 4",
        },
    )
    labels = fields.Raw(
        allow_none=True,
        metadata={
            "type": "object",
            "maxProperties": MOST_LABELS,
            "additionalProperties": {"type": "string", "maxLength": LONGEST_TEXT},
            "description": f"What you find the execution by: at most {MOST_LABELS} keys, each with "
            f"a text of at most {LONGEST_TEXT} characters, {MOST_LABEL_BYTES} bytes together. A "
            f"key {KEY_RULE}. Shown to all who see the execution, so no secret",
            "example": LABELS,
        },
    )

    def strays(self, original: Any) -> list[str]:
        """Return the names that may be those of inputs: without ``inputs``, all of them."""
        if "inputs" in original:
            return super().strays(original)
        return [str(name) for name in original]

    def _fault_of(self, name: str, original: Mapping[str, Any]) -> str | None:
        if name in self._known():
            return None
        fault = super()._fault_of(name, original)
        if fault is None and ("inputs" not in original or isinstance(original[name], list | dict)):
            return "is not known here; inputs must stand in 'inputs'"
        return fault


class RunResponseSchema(ma.Schema):
    """What the AWF API tells of a launch; it knows no queue, so whatever is launched runs."""

    execution_id = fields.String(
        required=True,
        metadata={**NAME.schema(), "description": "Name of the execution: workflow, date, time"},
    )
    status = fields.String(required=True, validate=validate.OneOf(["running"]))
    started_at = fields.String(
        required=True, metadata={"format": "date-time", "description": "In whole seconds"}
    )


STALE_FIELD = "X-Slipway-Stale"
_STALE_HEADER = {
    STALE_FIELD: {
        "description": "Orchestrators that do not answer, so that their workflows are missing or "
        "as they were known last",
        "schema": {"type": "string"},
    }
}


@blueprint.route("/workflows", methods=["GET"])
@blueprint.arguments(WorkflowArgsSchema, location="query")
@blueprint.response(200, WorkflowListSchema, headers={**PAGINATION_HEADER, **_STALE_HEADER})
@blueprint.errors(*UPSTREAM)
@permission(Permission.WORKFLOWS_READ)
def list_workflows(args: dict[str, Any]) -> Any:
    """List the workflows that you may launch; all of them unless a page is asked for."""
    found = services().workflows.find(
        caller(),
        name=args.get("name"),
        query=args.get("q"),
        orchestrator=args.get("orchestrator"),
        stale=args["stale"],
    )
    page, headers = cut(found.workflows, args.get("page"), args.get("page_size"))
    body: dict[str, Any] = {"workflows": [workflow_json(workflow) for workflow in page]}
    if args["last"]:
        last = services().executions.last_runs(page, caller())
        for told, workflow in zip(body["workflows"], page, strict=True):
            execution = last.get((workflow.id, workflow.orchestrator))
            told["last"] = None if execution is None else last_run_json(execution)
    if found.unavailable:
        body["unavailable"] = found.unavailable
    if found.stale:
        headers = {**(headers or {}), STALE_FIELD: ", ".join(found.stale)}
    if found.faulty:
        body["faulty"] = [faulty_json(faulty) for faulty in found.faulty]
    if found.silent:
        body["silent"] = [
            {"orchestrator": name, "since": iso(since)} for name, since in found.silent.items()
        ]
    return Response(write_json(body), content_type=_JSON, headers=headers)


@blueprint.route("/workflows", methods=["POST"])
@blueprint.response(
    201, UploadedWorkflowSchema, headers={"Location": {"schema": {"type": "string"}}}
)
@blueprint.errors(400, 409, 413, 415, 422, 501, *UPSTREAM)
@blueprint.doc(
    requestBody=_DEFINITION,
)
@cost(5)
@permission(Permission.WORKFLOWS_WRITE)
def upload_workflow() -> Any:
    """Upload a workflow definition, YAML or JSON."""
    document = _definition_body()
    workflow, _ = services().workflows.upload(document, caller())
    return workflow, {"Location": f"/workflows/{workflow.id}"}


@blueprint.route("/definitions/check", methods=["POST"])
@blueprint.arguments(CheckArgsSchema, location="query")
@blueprint.response(200, CheckedDefinitionSchema)
@blueprint.errors(400, 413, 415, 422, 501, *UPSTREAM)
@blueprint.doc(requestBody=_DEFINITION)
@cost(5)
@permission(Permission.WORKFLOWS_WRITE)
def check_definition(args: dict[str, Any]) -> Response:
    """Check a workflow definition as an upload does, and keep nothing of it.

    Whether the id is taken is not looked at.
    """
    document = _definition_body()
    if not args["graph"]:
        told = workflow_json(services().workflows.check(document, caller()).workflow)
        return Response(write_json(told), content_type=_JSON)
    described, graph = services().graphs.of_definition(document, caller())
    with services().turns.turn(caller().username):
        drawn = graph_json(graph)
        body = write_json({**workflow_json(described.workflow), "graph": drawn})
    return Response(body, content_type=_JSON)


@blueprint.route("/workflows/<string:reference>", methods=["GET"])
@blueprint.arguments(OrchestratorArgsSchema, location="query")
@blueprint.response(200, WorkflowDescriptionSchema)
@blueprint.errors(404, 409, *UPSTREAM)
@permission(Permission.WORKFLOWS_READ)
def describe_workflow(args: dict[str, Any], reference: str) -> Any:
    """Return the inputs, outputs and steps of a workflow, by id or name."""
    described = services().workflows.describe(reference, caller(), args.get("orchestrator"))
    return Response(write_json(description_json(described)), content_type=_JSON)


@blueprint.route("/workflows/<string:reference>/definition", methods=["GET"])
@blueprint.arguments(DefinitionArgsSchema, location="query")
@blueprint.response(200, description="The text, as it was uploaded")
@blueprint.errors(404, 409, 501, *UPSTREAM)
@blueprint.doc(responses={"200": _TEXT})
@permission(Permission.WORKFLOWS_READ)
def get_definition(args: dict[str, Any], reference: str) -> Response:
    """Return the definition of a workflow, exactly as it was uploaded or as its file holds it."""
    found, text = services().workflows.definition(
        reference, caller(), args.get("version"), args.get("orchestrator")
    )
    content = text.text.encode()
    response = Response(content, content_type=text.media_type)
    if text.version is not None:
        own = f"/workflows/{quote(found.id, safe='')}/definition?version={text.version}"
        response.headers["Content-Location"] = own
    # RFC 9110, section 8.8.3: the text alone makes it, so it is a strong one.
    response.set_etag(hashlib.sha256(content).hexdigest())
    return response


@blueprint.route("/workflows/<string:reference>/versions", methods=["GET"])
@blueprint.arguments(OrchestratorArgsSchema, location="query")
@blueprint.response(200, DefinitionVersionListSchema)
@blueprint.errors(404, 409, 501, *UPSTREAM)
@permission(Permission.WORKFLOWS_READ)
def list_versions(args: dict[str, Any], reference: str) -> Any:
    """List the versions of a definition that are kept, the newest first."""
    found = services().workflows.versions(reference, caller(), args.get("orchestrator"))
    return Response(
        write_json({"versions": [version_json(each) for each in found]}), content_type=_JSON
    )


@blueprint.route("/workflows/<string:reference>/definition/diff", methods=["GET"])
@blueprint.arguments(DifferenceArgsSchema, location="query")
@blueprint.response(200, DefinitionTextDifferenceSchema)
@blueprint.errors(404, 409, 501, *UPSTREAM)
@cost(5)
@permission(Permission.WORKFLOWS_READ)
def compare_versions(args: dict[str, Any], reference: str) -> Response:
    """Get what differs between two versions of a definition."""
    where, workflows = args.get("orchestrator"), services().workflows
    last = args.get("after")
    first = args.get("before") or workflows.version_before(reference, caller(), last, where)
    (found, before), (_, after) = (
        workflows.definition(reference, caller(), number, where) for number in (first, last)
    )
    names = [f"{found.id} {text.version or ''}".strip() for text in (before, after)]
    told = services().definition_texts.between(before, after, names, caller())
    body = {
        "before": before.version, "after": after.version, "diff": list(told.lines),
        "cut": told.cut, "missing": told.missing or None,
    }  # fmt: skip
    return Response(write_json(body), content_type=_JSON)


@blueprint.route("/workflows/<string:reference>", methods=["POST"])
@blueprint.arguments(LaunchArgsSchema, location="query")
@blueprint.arguments(LaunchHeadersSchema, location="headers")
@blueprint.arguments(RunRequestSchema, required=False)
@answers_launched(blueprint, "Launched; `Location` names the execution", ExecutionSchema)
@blueprint.errors(400, 404, 409, 413, 415, 422, *UPSTREAM)
@cost(launches=True)
@permission(Permission.EXECUTIONS_RUN)
def launch_workflow(
    args: dict[str, Any], headers: dict[str, Any], body: dict[str, Any], reference: str
) -> Response:
    """Launch a workflow, by id or name.

    The answer has no body, unless the request says `Prefer: return=representation`.
    """
    return launched(_launch(reference, args, headers, body))


@blueprint.route("/workflows/<string:reference>/run", methods=["POST"])
@blueprint.arguments(LaunchArgsSchema, location="query")
@blueprint.arguments(LaunchHeadersSchema, location="headers")
@blueprint.arguments(RunRequestSchema, required=False)
@blueprint.response(201, RunResponseSchema, headers={"Location": {"schema": {"type": "string"}}})
@blueprint.errors(400, 404, 409, 413, 415, 422, *UPSTREAM)
@cost(launches=True)
@permission(Permission.EXECUTIONS_RUN)
def run_workflow(
    args: dict[str, Any], headers: dict[str, Any], body: dict[str, Any], reference: str
) -> Any:
    """Launch a workflow, by id or name, and get the name of the execution.

    It is the same launch as that without `/run`, also for an `Idempotency-Key`.
    """
    name = _launch(reference, args, headers, body).awf_name
    answer = {"execution_id": name, "status": "running", "started_at": start_of(name)}
    return answer, {"Location": f"/executions/{name}"}


def _launch(
    reference: str, args: dict[str, Any], headers: dict[str, Any], body: dict[str, Any]
) -> Execution:
    return services().launching.launch(
        reference,
        body.get("inputs"),
        caller(),
        key=headers.get("idempotency_key"),
        orchestrator=args.get("orchestrator"),
        beside=(*args["strays"], *body["strays"]),
        name=body.get("name"),
        labels=body.get("labels"),
    )


@blueprint.route("/workflows/<string:reference>", methods=["PUT"])
@blueprint.arguments(ReplaceArgsSchema, location="query")
@blueprint.response(200, UploadedWorkflowSchema)
@blueprint.alt_response(201, schema=UploadedWorkflowSchema, description="There was none before")
@blueprint.errors(400, 409, 413, 415, 422, 501, *UPSTREAM)
@blueprint.doc(
    requestBody=_DEFINITION,
)
@cost(5)
@permission(Permission.WORKFLOWS_WRITE)
def replace_workflow(args: dict[str, Any], reference: str) -> Any:
    """Upload a definition in the place of the one of this id or name."""
    document = _definition_body()
    workflow, new = services().workflows.upload(
        document, caller(), replace=reference, base=args.get("based_on")
    )
    return workflow, 201 if new else 200


@blueprint.route("/workflows/<string:reference>", methods=["DELETE"])
@blueprint.arguments(OrchestratorArgsSchema, location="query")
@blueprint.response(204)
@blueprint.errors(404, 409, 501, *UPSTREAM)
@permission(Permission.WORKFLOWS_WRITE)
def remove_workflow(args: dict[str, Any], reference: str) -> Response:
    """Remove a definition; executions of it go on."""
    services().workflows.remove(reference, caller(), args.get("orchestrator"))
    return empty(204)


def _definition_body() -> DefinitionSource:
    """Read a body that holds a definition; JSON is checked as such, to be told from YAML."""
    text = text_body(_JSON, *YAML_TYPES)
    if request.mimetype == _JSON:
        read_json(text.encode())
        return DefinitionSource(text, _JSON)
    return DefinitionSource(text)
