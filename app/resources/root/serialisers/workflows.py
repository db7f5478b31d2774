"""Workflows on the wire: as lists show them, described, and those that are not offered."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.domain import Parameter, WorkflowDescription
from app.resources._api import Timestamp
from app.resources._problem import FieldFaultSchema, fault_json
from app.resources._serialiser import Serialiser
from app.resources.root.serialisers.executions import LastRunSchema


class WorkflowFactsSchema(ma.Schema):
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


class WorkflowInfoSchema(WorkflowFactsSchema):
    """A workflow in a list."""

    last = fields.Nested(
        LastRunSchema,
        allow_none=True,
        metadata={
            "description": "Your last execution of it; null where there is none, and only where "
            "`last` asks for it"
        },
    )


class SilentOrchestratorSchema(ma.Schema):
    """An orchestrator that does not answer."""

    orchestrator = fields.String(required=True)
    since = Timestamp(
        required=True,
        metadata={
            "description": "When this was first noticed, by the process that answers",
        },
    )  # fmt: skip


class UploadedWorkflowSchema(WorkflowFactsSchema):
    """A workflow with what is known of its definition."""

    owner = fields.String(
        allow_none=True,
        metadata={
            "description": "Who uploaded its definition first, and may replace and remove it; null "
            "where it was not uploaded"
        },
    )
    version = fields.Integer(
        allow_none=True,
        metadata={"description": "Of its definition; null where it was not uploaded"},
    )


class DefinitionVersionSchema(ma.Schema):
    """One version of a definition."""

    version = fields.Integer(required=True, metadata={"minimum": 1})
    uploaded_by = fields.String(required=True)
    uploaded_at = Timestamp(required=True)
    media_type = fields.String(required=True, metadata={"description": "Of its text"})
    size_bytes = fields.Integer(required=True, metadata={"minimum": 0})


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
    title = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Name for people, where that is another one"},
    )
    type = fields.String(required=True)
    needs = fields.List(fields.String(), required=True)
    description = fields.String()


class WorkflowDescriptionSchema(UploadedWorkflowSchema):
    """A workflow with its inputs, outputs and steps."""

    inputs = fields.List(fields.Nested(ParameterSchema), required=True)
    outputs = fields.List(fields.Nested(OutputSchema), required=True)
    steps = fields.List(fields.Nested(StepSchema), required=True)


def _allowed_values(parameter: Parameter) -> Any:
    return parameter.schema.get("enum")


workflow_json = Serialiser(WorkflowFactsSchema)
_uploaded_json = Serialiser(UploadedWorkflowSchema)
version_json = Serialiser(DefinitionVersionSchema)
faulty_json = Serialiser(
    FaultyWorkflowSchema, faults=lambda faulty: [*map(fault_json, faulty.faults)]
)
_input_json = Serialiser(ParameterSchema, allowed_values=_allowed_values)
_output_json = Serialiser(OutputSchema)
_step_json = Serialiser(StepSchema)


def description_json(described: WorkflowDescription) -> dict[str, Any]:
    """Write a workflow with its inputs, outputs and steps."""
    return {
        **_uploaded_json(described.workflow),
        "inputs": [_input_json(parameter) for parameter in described.inputs],
        "outputs": [_output_json(output) for output in described.outputs],
        "steps": [_step_json(step) for step in described.steps],
    }
