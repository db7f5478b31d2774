"""``/api/v1/workflows``: submit a workflow, see what became of it, stop it."""

from __future__ import annotations

from typing import Any, Final

import marshmallow as ma
from marshmallow import fields, validate

from app.domain import Permission
from app.errors import InvalidRequest, NodesMissing
from app.resources._api import LaunchHeadersSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.resources.engine_v1.behind import require_load
from app.resources.engine_v1.entities import id_of
from app.resources.engine_v1.errors import failing_as
from app.resources.engine_v1.examples import EXECUTION, SUBMISSION, WORKFLOW
from app.resources.engine_v1.requests import (
    Blueprint,
    DoneSchema,
    JsonObject,
    RequestSchema,
    done,
)
from app.resources.engine_v1.statuses import STATUSES, WORDS

blueprint = Blueprint(
    "workflows", __name__, url_prefix="/workflows", description="What virtual users do"
)
blueprint.before_request(require_load)

_WORKFLOW: Final = "/<string:workflow_id>"


class SubmissionSchema(RequestSchema):
    """A workflow, in one of two forms."""

    yaml = fields.String(
        allow_none=True, metadata={"description": "The definition as YAML, or as JSON"}
    )
    workflow = JsonObject(allow_none=True, metadata={"description": "The definition as an object"})


class SubmittedSchema(ma.Schema):
    """A workflow that was submitted, and its execution."""

    execution_id = fields.String(required=True, metadata=EXECUTION.schema())
    workflow_id = fields.String(required=True, metadata={"example": WORKFLOW.example})
    status = fields.String(required=True, metadata={"enum": ["submitted"]})


class WorkflowSchema(ma.Schema):
    """A workflow, with the status of its latest execution."""

    id = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(WORDS))


@blueprint.route("", methods=["POST"])
@blueprint.arguments(LaunchHeadersSchema, location="headers")
@blueprint.arguments(SubmissionSchema, example=SUBMISSION)
@blueprint.response(201, SubmittedSchema)
@blueprint.errors(400, 409, 413, 415, 500, 501, 503)
@cost(launches=True)
@permission(Permission.WORKFLOWS_WRITE, action="workflows:submit")
def submit_workflow(headers: dict[str, Any], body: dict[str, Any]) -> Any:
    """Submit a workflow and execute it: its definition as text (`yaml`) or object (`workflow`)."""
    key = headers.get("idempotency_key")
    with failing_as("submission_failed", NodesMissing, 500):
        execution = services().submissions.submit(_definition(body), caller(), key=key)
    return {
        "execution_id": id_of(execution),
        "workflow_id": execution.workflow_id,
        "status": "submitted",
    }


@blueprint.route(_WORKFLOW, methods=["GET"])
@blueprint.response(200, WorkflowSchema)
@blueprint.errors(404, 501, 503)
@permission(Permission.EXECUTIONS_READ)
def get_workflow(workflow_id: str) -> Any:
    """Get a workflow, with the status of its latest execution."""
    latest = services().submitted.latest(workflow_id, caller())
    return {"id": workflow_id, "status": STATUSES[latest.status]}


@blueprint.route(_WORKFLOW, methods=["DELETE"])
@blueprint.response(200, DoneSchema)
@blueprint.errors(400, 404, 501, 503)
@permission(Permission.EXECUTIONS_CANCEL, action="workflows:stop")
def stop_workflow(workflow_id: str) -> Any:
    """Stop all executions of a workflow."""
    with failing_as("stop_failed"):
        services().submitted.stop(workflow_id, caller())
    return done("Workflow stopped successfully")


def _definition(body: dict[str, Any]) -> Any:
    """Return the definition that a request holds.

    Raises:
        InvalidRequest: It holds none, or two.
    """
    text, tree = body.get("yaml") or None, body.get("workflow")
    if text is None and tree is None:
        raise InvalidRequest("Either 'workflow' or 'yaml' must be provided")
    if text is not None and tree is not None:
        raise InvalidRequest("Only one of 'workflow' and 'yaml' may be provided")
    return tree if text is None else text
