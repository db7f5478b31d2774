"""``/workflows`` of the root API: list, describe, launch; upload, replace and remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import marshmallow as ma
from flask import Response, request
from marshmallow import fields, validate

from app.domain import Permission, WorkflowDescription
from app.resources._api import (
    PAGINATION_HEADER,
    UPSTREAM,
    YAML_TYPES,
    Blueprint,
    Name,
    PageArgsSchema,
    cut,
    empty,
    read_json,
    text_body,
    write_json,
)
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.resources._problem import FieldFaultSchema

_JSON = "application/json"
_DEFINITION = {
    "description": "A workflow definition",
    "required": True,
    "content": {
        "application/yaml": {"schema": {"type": "string"}},
        "application/json": {"schema": {"type": "object"}},
    },
}

blueprint = Blueprint("workflows", __name__, description="What can be launched")


class WorkflowSchema(ma.Schema):
    """A workflow that can be launched."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    application_id = fields.String(required=True)
    environment_id = fields.String(required=True)
    environment_name = fields.String(required=True)
    orchestrator = fields.String(required=True)
    description = fields.String(required=True)
    stale = fields.Boolean(
        metadata={
            "description": "The orchestrator is silent, or the definition faulty by now; this is "
            "what it said last"
        }
    )


class FaultyWorkflowSchema(ma.Schema):
    """A definition that is not offered as it is."""

    file = fields.String(
        required=True, metadata={"description": "Name of its file; `.` is the folder of them all"}
    )
    id = fields.String(
        attribute="workflow_id",
        required=True,
        allow_none=True,
        metadata={"description": "The workflow that it is about, as far as that is known"},
    )
    faults = fields.List(fields.Nested(FieldFaultSchema), required=True)
    offered = fields.Boolean(
        required=True, metadata={"description": "Its last good version goes on being offered"}
    )


class WorkflowListSchema(ma.Schema):
    """Workflows."""

    workflows = fields.List(fields.Nested(WorkflowSchema), required=True)
    unavailable = fields.List(
        fields.String(), metadata={"description": "Orchestrators that could not tell theirs"}
    )
    faulty = fields.List(
        fields.Nested(FaultyWorkflowSchema),
        metadata={"description": "Definitions with faults, for developers and operators"},
    )


class WorkflowArgsSchema(PageArgsSchema):
    """Which workflows."""

    name = Name(metadata={"description": "Exactly this name"})
    q = Name(metadata={"description": "Text in the id, name or description"})


class ParameterSchema(ma.Schema):
    """One input."""

    name = fields.String(required=True)
    type = fields.String(required=True)
    required = fields.Boolean(required=True)
    default = fields.Raw(allow_none=True)
    description = fields.String()
    allowed_values = fields.List(fields.Raw(), allow_none=True)
    schema = fields.Dict(metadata={"description": "JSON Schema of the value"})


class OutputSchema(ma.Schema):
    """One result."""

    name = fields.String(required=True)
    description = fields.String()


class StepSchema(ma.Schema):
    """One step."""

    name = fields.String(required=True)
    type = fields.String(required=True)
    needs = fields.List(fields.String(), required=True)
    description = fields.String()


class WorkflowDescriptionSchema(WorkflowSchema):
    """A workflow with its inputs, outputs and steps."""

    inputs = fields.List(fields.Nested(ParameterSchema), required=True)
    outputs = fields.List(fields.Nested(OutputSchema), required=True)
    steps = fields.List(fields.Nested(StepSchema), required=True)


class OrchestratorArgsSchema(ArgumentsSchema):
    """Where to look for a workflow."""

    orchestrator = Name(metadata={"description": "Look on this orchestrator only"})


class LaunchArgsSchema(OrchestratorArgsSchema):
    """Where to look for a workflow that is launched."""

    keeps_strays = True


class LaunchSchema(ArgumentsSchema):
    """What a launch takes.

    A field that is not known is left out only where it cannot be inputs that went astray: the
    workflow would run with its defaults.
    """

    keeps_strays = True

    inputs = fields.Raw(
        allow_none=True,
        metadata={"type": "object", "description": "Value of each input; may be left out"},
    )

    def _fault_of(self, name: str, original: Mapping[str, Any]) -> str | None:
        if "inputs" not in original or isinstance(original[name], list | dict):
            return "is not known here; inputs must stand in 'inputs'"
        return super()._fault_of(name, original)


class LaunchHeadersSchema(ma.Schema):
    """Headers of a launch."""

    idempotency_key = fields.String(
        data_key="Idempotency-Key",
        validate=validate.Regexp(r"^[\x21-\x7e]{1,255}\Z", error="must be 1 to 255 visible ASCII"),
        metadata={"description": "The same key and request launch once"},
    )


@blueprint.route("/workflows", methods=["GET"])
@blueprint.arguments(WorkflowArgsSchema, location="query")
@blueprint.response(200, WorkflowListSchema, headers=PAGINATION_HEADER)
@blueprint.errors(*UPSTREAM)
@permission(Permission.WORKFLOWS_READ)
def list_workflows(args: dict[str, Any]) -> Any:
    """List the workflows that you may launch; all of them unless a page is asked for."""
    found = services().workflows.find(caller(), name=args.get("name"), query=args.get("q"))
    page, headers = cut(found.workflows, args.get("page"), args.get("page_size"))
    body: dict[str, Any] = {"workflows": page}
    if found.unavailable:
        body["unavailable"] = found.unavailable
    if found.faulty:
        body["faulty"] = found.faulty
    return body, headers


@blueprint.route("/workflows", methods=["POST"])
@blueprint.response(201, WorkflowSchema, headers={"Location": {"schema": {"type": "string"}}})
@blueprint.errors(400, 409, 413, 415, 422, 501, *UPSTREAM)
@blueprint.doc(
    requestBody=_DEFINITION,
)
@permission(Permission.WORKFLOWS_DEFINE)
def upload_workflow() -> Any:
    """Upload a workflow definition, YAML or JSON."""
    document = _definition_body()
    workflow, _ = services().workflows.upload(document, caller())
    return workflow, {"Location": f"/workflows/{workflow.id}"}


@blueprint.route("/workflows/<string:reference>", methods=["GET"])
@blueprint.arguments(OrchestratorArgsSchema, location="query")
@blueprint.response(200, WorkflowDescriptionSchema)
@blueprint.errors(404, 409, *UPSTREAM)
@permission(Permission.WORKFLOWS_READ)
def describe_workflow(args: dict[str, Any], reference: str) -> Any:
    """Tell the inputs, outputs and steps of a workflow, by id or name."""
    described = services().workflows.describe(reference, caller(), args.get("orchestrator"))
    return Response(write_json(_described(described)), content_type=_JSON)


@blueprint.route("/workflows/<string:reference>", methods=["POST"])
@blueprint.arguments(LaunchArgsSchema, location="query")
@blueprint.arguments(LaunchHeadersSchema, location="headers")
@blueprint.arguments(LaunchSchema, required=False)
@blueprint.response(
    201,
    description="Launched; `Location` names the execution",
    headers={"Location": {"schema": {"type": "string"}}},
)
@blueprint.errors(400, 404, 409, 413, 415, 422, 429, *UPSTREAM)
@permission(Permission.EXECUTIONS_LAUNCH)
def launch_workflow(
    args: dict[str, Any], headers: dict[str, Any], body: dict[str, Any], reference: str
) -> Response:
    """Launch a workflow, by id or name."""
    execution = services().launching.launch(
        reference,
        body.get("inputs"),
        caller(),
        key=headers.get("idempotency_key"),
        orchestrator=args.get("orchestrator"),
        beside=(*args["strays"], *body["strays"]),
    )
    return empty(201, {"Location": f"/executions/{execution.id}"})


@blueprint.route("/workflows/<string:reference>", methods=["PUT"])
@blueprint.response(200, WorkflowSchema)
@blueprint.alt_response(201, schema=WorkflowSchema, description="There was none before")
@blueprint.errors(400, 409, 413, 415, 422, 501, *UPSTREAM)
@blueprint.doc(
    requestBody=_DEFINITION,
)
@permission(Permission.WORKFLOWS_DEFINE)
def replace_workflow(reference: str) -> Any:
    """Upload a definition in the place of the one of this id or name."""
    document = _definition_body()
    workflow, new = services().workflows.upload(document, caller(), replace=reference)
    return workflow, 201 if new else 200


@blueprint.route("/workflows/<string:reference>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.errors(404, 409, 501, *UPSTREAM)
@permission(Permission.WORKFLOWS_DEFINE)
def remove_workflow(reference: str) -> Response:
    """Remove a definition; executions of it go on."""
    services().workflows.remove(reference, caller())
    return empty(204)


def _definition_body() -> str:
    """Read a body that holds a definition; JSON is checked as such, to be told from YAML."""
    text = text_body(_JSON, *YAML_TYPES)
    if request.mimetype == _JSON:
        read_json(text.encode())
    return text


def _described(described: WorkflowDescription) -> dict[str, Any]:
    """Give the fields of ``WorkflowDescriptionSchema``, which would take long for 10,000 steps."""
    workflow = described.workflow
    return {
        **{name: getattr(workflow, name) for name in workflow.__dataclass_fields__},
        "inputs": [
            {
                "name": parameter.name,
                "type": parameter.type,
                "required": parameter.required,
                "default": parameter.default,
                "description": parameter.description,
                "allowed_values": parameter.schema.get("enum"),
                "schema": parameter.schema,
            }
            for parameter in described.inputs
        ],
        "outputs": [{"name": o.name, "description": o.description} for o in described.outputs],
        "steps": [
            {"name": s.name, "type": s.type, "needs": s.needs, "description": s.description}
            for s in described.steps
        ],
    }
