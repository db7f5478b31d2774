"""Control of single tasks, and of executions that go on from ended ones, in the root API."""

from __future__ import annotations

from typing import Any, Final

from flask import Response

from app.domain import Execution, Permission
from app.resources._api import UPSTREAM, Blueprint, LaunchHeadersSchema, empty
from app.resources._auth import caller
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.resources.root.forms import execution_parameter, form_of
from app.resources.root.launched import answers_launched, launched
from app.resources.root.serialisers.executions import ExecutionSchema, ExecutionStatusSchema
from app.services.tasks import Asked

blueprint = Blueprint("tasks", __name__, description="Single tasks of what was launched")

_TASK: Final = "/executions/<string:execution_id>/tasks/<string:name>"
_NEW: Final = "The execution had ended, and goes on in the one that `Location` names"
_goes_on: Final = answers_launched(blueprint, _NEW, ExecutionSchema, ExecutionStatusSchema)


@blueprint.route(f"{_TASK}/start", methods=["POST"], parameters=execution_parameter())
@blueprint.arguments(LaunchHeadersSchema, location="headers")
@blueprint.response(202, description="The run was asked for")
@_goes_on
@blueprint.errors(404, 410, 409, 422, 501, *UPSTREAM)
@cost(launches=True)
@permission(Permission.TASKS_STEER, action="tasks:start")
def start_task(headers: dict[str, Any], execution_id: str, name: str) -> Response:
    """Let a task run that does not, at once, whatever it waits for."""
    key = headers.get("idempotency_key")
    return _asked(services().tasks.start(execution_id, name, caller(), key=key), execution_id)


@blueprint.route(f"{_TASK}/stop", methods=["POST"], parameters=execution_parameter())
@blueprint.response(202, description="The end was asked for")
@blueprint.errors(404, 410, 409, 501, *UPSTREAM)
@permission(Permission.TASKS_STEER, action="tasks:stop")
def stop_task(execution_id: str, name: str) -> Response:
    """End a task with all that it started; what needs it does not run. Asking twice is fine."""
    services().tasks.stop(execution_id, name, caller())
    return empty(202)


@blueprint.route(f"{_TASK}/restart", methods=["POST"], parameters=execution_parameter())
@blueprint.arguments(LaunchHeadersSchema, location="headers")
@blueprint.response(202, description="Another run was asked for")
@_goes_on
@blueprint.errors(404, 410, 409, 422, 501, *UPSTREAM)
@cost(launches=True)
@permission(Permission.TASKS_STEER, action="tasks:restart")
def restart_task(headers: dict[str, Any], execution_id: str, name: str) -> Response:
    """Let a task run once more; what runs of it is ended before."""
    key = headers.get("idempotency_key")
    return _asked(services().tasks.restart(execution_id, name, caller(), key=key), execution_id)


@blueprint.route(
    "/executions/<string:execution_id>/retry", methods=["POST"], parameters=execution_parameter()
)
@blueprint.arguments(LaunchHeadersSchema, location="headers")
@_goes_on
@blueprint.errors(404, 410, 409, 422, 501, *UPSTREAM)
@cost(launches=True)
@permission(Permission.EXECUTIONS_STEER, action="executions:retry")
def retry_execution(headers: dict[str, Any], execution_id: str) -> Response:
    """Let an ended execution go on: what succeeded is kept with its outputs, the rest runs."""
    key = headers.get("idempotency_key")
    return _created(services().tasks.retry(execution_id, caller(), key=key), execution_id)


def _asked(asked: Asked, reference: str) -> Response:
    return _created(asked.execution, reference) if asked.is_new else empty(202)


def _created(execution: Execution, reference: str) -> Response:
    """Answer with an execution, named as that was from which it goes on."""
    return launched(execution, form_of(reference))
