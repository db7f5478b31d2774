"""``/executions/<id>/actions`` of the root API: what can be done with an execution now."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.domain import Permission
from app.resources._api import UPSTREAM, Blueprint
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.resources.root.examples import TASK
from app.resources.root.forms import execution_parameter
from app.resources.root.one_task import LONGEST_TASK
from app.services.choices import Action, Choice

blueprint = Blueprint("choices", __name__, description="What can be done with an execution now")


class ActionsArgsSchema(ArgumentsSchema):
    """Of what."""

    task = fields.String(
        validate=validate.Length(max=LONGEST_TASK),
        metadata={"example": TASK, "description": "Of this task, and not of the execution"},
    )


class ChoiceSchema(ma.Schema):
    """Something that the caller may do."""

    action = fields.String(
        required=True, validate=validate.OneOf([str(action) for action in Action])
    )
    possible = fields.Boolean(
        required=True, metadata={"description": "It would not be refused at the moment"}
    )
    reason = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why not, in a sentence; null where it is possible"},
    )


class ChoiceListSchema(ma.Schema):
    """What the caller may do."""

    actions = fields.List(fields.Nested(ChoiceSchema), required=True)


@blueprint.route(
    "/executions/<string:execution_id>/actions", methods=["GET"], parameters=execution_parameter()
)
@blueprint.arguments(ActionsArgsSchema, location="query")
@blueprint.response(200, ChoiceListSchema)
@blueprint.errors(404, 410, *UPSTREAM)
@permission(Permission.EXECUTIONS_READ)
def list_actions(args: dict[str, Any], execution_id: str) -> Any:
    """List what the caller can do with an execution, or with one of its tasks.

    What they may not do at all, or its orchestrator is not able to, is not in the list.
    """
    identity, bundle = caller(), services()
    execution = bundle.executions.get(execution_id, identity)
    if "task" in args:
        task = bundle.executions.task(execution.id, args["task"], identity)
        return _written(bundle.choices.of_task(execution, task, identity))
    successor = bundle.choices.successor(execution, identity)
    return _written(bundle.choices.of(execution, successor, identity))


def _written(choices: tuple[Choice, ...]) -> dict[str, Any]:
    return {
        "actions": [
            {
                "action": str(choice.action),
                "possible": choice.possible,
                "reason": choice.refusal or None,
            }
            for choice in choices
        ]
    }
