"""``/api/workflows``: list, make, read and start workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import marshmallow as ma
from flask import Response
from marshmallow import fields

from app.domain import CommandTask, Permission
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.resources.wattle.entities import (
    WorkerEntitySchema,
    WorkflowEntitySchema,
    worker_entity,
    workflow_entity,
)
from app.resources.wattle.envelope import Blueprint, answer, enveloped, shown
from app.resources.wattle.names import WORKER_NAME, WORKFLOW_NAME, NameField

blueprint = Blueprint(
    "workflows", __name__, url_prefix="/workflows", description="Graphs of workers"
)

_BASE: Final = {"PYTHONUNBUFFERED": "1"}
"""Variables of every worker that its own win over: lines are seen when Python prints them."""
_EXAMPLE: Final[Mapping[str, Any]] = {
    "name": WORKFLOW_NAME.example,
    "workers": [
        {
            "name": WORKER_NAME.example,
            "command": "cp /etc/hostname host.txt",
            "outputs": {"host": "host.txt"},
        },
        {
            "name": "show",
            "command": "cat host.txt",
            "inputs": {"source": f"{WORKER_NAME.example}/host"},
        },
    ],
}


class WorkerArgsSchema(ArgumentsSchema):
    """A worker that is to be made."""

    name = NameField(WORKER_NAME, required=True)
    workflow_name = fields.String(
        allow_none=True, metadata={"description": "The name of the workflow, if it is given"}
    )
    command = fields.String(
        required=True,
        metadata={
            "description": "Program and arguments, split into words as a POSIX shell does; no "
            "shell runs it",
            "example": "python3 fetch.py --all",
        },
    )
    args = fields.List(
        fields.String(), allow_none=True, metadata={"description": "Further arguments, as they are"}
    )
    working_dir = fields.String(
        allow_none=True,
        metadata={"description": "Below that of the workflow unless absolute; made if missing"},
    )
    env_vars = fields.Dict(keys=fields.String(), values=fields.String(), allow_none=True)
    inputs = fields.Dict(
        keys=fields.String(), values=fields.String(), allow_none=True,
        metadata={"description": "By any name, `<worker>/<output>`: what is to be there before"},
    )  # fmt: skip
    outputs = fields.Dict(
        keys=fields.String(), values=fields.String(), allow_none=True,
        metadata={"description": "Paths of files, by name"},
    )  # fmt: skip


class WorkflowArgsSchema(ArgumentsSchema):
    """A workflow that is to be made."""

    name = NameField(WORKFLOW_NAME, required=True)
    working_dir = fields.String(allow_none=True)
    workers = fields.List(fields.Nested(WorkerArgsSchema), required=True)

    @ma.validates_schema
    def _check_workers(self, data: Mapping[str, Any], **_: Any) -> None:
        faults: dict[int, dict[str, list[str]]] = {}
        first: dict[str, int] = {}
        for index, worker in enumerate(data.get("workers", ())):
            name = worker.get("name")
            if first.setdefault(name, index) != index:
                faults[index] = {"name": [f"is the name of workers[{first[name]}] too"]}
            if worker.get("workflow_name") not in (None, data.get("name")):
                faults[index] = {"workflow_name": ["must be the name of the workflow"]}
        if faults:
            raise ma.ValidationError({"workers": faults})


def _sentence(name: str) -> type[ma.Schema]:
    return enveloped(name, fields.String(required=True))


@blueprint.route("", methods=["GET"])
@blueprint.response(
    200, enveloped("Workflows", fields.List(fields.Nested(WorkflowEntitySchema), required=True))
)
@blueprint.errors(503)
@permission(Permission.EXECUTIONS_READ)
def list_workflows() -> Response:
    """List the workflows that were made here, the oldest first: your own, or for operators all."""
    return shown([workflow_entity(each) for each in services().standing.all(caller())])


@blueprint.route("", methods=["POST"])
@blueprint.arguments(WorkflowArgsSchema, example=_EXAMPLE)
@blueprint.response(201, _sentence("WorkflowCreated"))
@blueprint.errors(400, 409, 413, 415, 422, 501, 503)
@cost(5)
@permission(Permission.WORKFLOWS_WRITE, action="workflows:create")
def create_workflow(body: dict[str, Any]) -> Response:
    """Make a workflow with its workers, all of it or nothing."""
    name = body["name"]
    workers = [_worker(name, worker) for worker in body["workers"]]
    services().standing.create(name, body.get("working_dir"), workers, caller())
    return answer(f"Workflow '{name}' created successfully", 201)


@blueprint.route("/<string:workflow_name>", methods=["GET"])
@blueprint.response(200, enveloped("Workflow", fields.Nested(WorkflowEntitySchema, required=True)))
@blueprint.errors(404, 503)
@permission(Permission.EXECUTIONS_READ)
def get_workflow(workflow_name: str) -> Response:
    """Get a workflow, with the status and the times of its current run."""
    return shown(workflow_entity(services().standing.get(workflow_name, caller())))


@blueprint.route("/<string:workflow_name>/start", methods=["POST"])
@blueprint.response(200, _sentence("WorkflowStarted"))
@blueprint.errors(404, 409, 422, 503)
@cost(launches=True)
@permission(Permission.EXECUTIONS_RUN, action="workflows:start")
def start_workflow(workflow_name: str) -> Response:
    """Start a workflow that does not run; the answer comes at once, and the work goes on."""
    services().standing.start(workflow_name, caller())
    return answer(f"Workflow '{workflow_name}' started successfully")


@blueprint.route("/<string:workflow_name>/workers", methods=["GET"])
@blueprint.response(
    200, enveloped("WorkerEntities", fields.List(fields.Nested(WorkerEntitySchema), required=True))
)
@blueprint.errors(404, 503)
@permission(Permission.EXECUTIONS_READ)
def list_worker_entities(workflow_name: str) -> Response:
    """List the workers of a workflow, with all that is known of them."""
    found = services().standing.tasks(workflow_name, caller())
    return shown([worker_entity(workflow_name, worker) for worker in found])


def _worker(workflow: str, given: Mapping[str, Any]) -> CommandTask:
    return CommandTask(
        name=given["name"],
        command=given["command"],
        args=given.get("args"),
        working_dir=given.get("working_dir"),
        env=given.get("env_vars"),
        inputs=given.get("inputs"),
        outputs=given.get("outputs"),
        base_env={
            **_BASE, "WATTLE_WORKFLOW_NAME": workflow, "WATTLE_WORKER_NAME": given["name"],
        },
    )  # fmt: skip
