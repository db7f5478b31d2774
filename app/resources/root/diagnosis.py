"""Why executions ended as they did, in the root API: digests, and what differs between two."""

from __future__ import annotations

from typing import Any, Final

from flask import Response

from app.domain import Execution, Permission
from app.identity.permissions import is_allowed
from app.resources._api import UPSTREAM, Blueprint, only_document, write_json
from app.resources._auth import caller
from app.resources._conditional import is_unchanged, kept_headers, not_modified, tag_of
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.resources.root.accepted import accepted
from app.resources.root.forms import execution_parameter
from app.resources.root.serialisers.comparison import ComparisonSchema, comparison_json
from app.resources.root.serialisers.digest import DigestSchema, digest_json, digest_text

blueprint = Blueprint("diagnosis", __name__, description="Why executions ended as they did")

_JSON: Final = "application/json"
_TEXT: Final = "text/plain"


@blueprint.route(
    "/executions/<string:execution_id>/digest", methods=["GET"], parameters=execution_parameter()
)
@blueprint.response(200, DigestSchema)
@only_document(
    blueprint.alt_response(200, schema={"type": "string"}, content_type=_TEXT),
    blueprint.errors(404, 406, 410, *UPSTREAM),
)
@cost(2)
@permission(Permission.EXECUTIONS_READ)
def get_digest(execution_id: str) -> Any:
    """Get what there is to know of how an execution ended, or stands.

    Of one that failed: the tasks that failed first with their exit codes, what these mean, their
    first error, their last lines, and what differs from when they last succeeded. `Accept:
    text/plain` gives it for people.
    """
    chosen = accepted((_JSON, _TEXT), "A digest")
    digest = services().digests.get(execution_id, caller())
    if chosen == _TEXT:
        text = digest_text(digest)
        return Response(text, content_type=f"{_TEXT}; charset=utf-8", headers={"Vary": "Accept"})
    stale = services().executions.is_stale(digest.execution)
    body = digest_json(digest, stale=stale)
    lasting = {**body, "execution": {**body["execution"], "as_of": None}}
    headers = {"ETag": tag_of(_JSON, write_json(lasting)), "Vary": "Accept"}
    return Response(write_json(body), content_type=_JSON, headers=headers)


@blueprint.route(
    "/executions/<string:execution_id>/diff/<string:other_id>",
    methods=["GET"],
    parameters=[*execution_parameter(), *execution_parameter("other_id")],
)
@blueprint.response(200, ComparisonSchema)
@blueprint.errors(404, 410, *UPSTREAM)
@cost(5)
@permission(Permission.EXECUTIONS_READ)
def compare_executions(execution_id: str, other_id: str) -> Any:
    """Get what is not the same in two executions: `before` is the first, `after` the other.

    Inputs, definition, tasks, durations, outputs, and of each task the first line of its log that
    differs. How the definitions differ is told to those who may read workflows.
    """
    identity, comparisons = caller(), services().comparisons
    before, after = comparisons.find(execution_id, other_id, identity)
    sees_definitions = is_allowed(identity, Permission.WORKFLOWS_READ)
    is_stale = services().executions.is_stale
    stale = is_stale(before), is_stale(after)
    told = state_of(before), state_of(after), stale, sees_definitions
    headers = kept_headers(tag_of(repr(told)))
    if is_unchanged(headers["ETag"]):  # before all the work
        return not_modified(Response(headers=headers))
    body = comparison_json(comparisons.compare(before, after, identity), stale=stale)
    return Response(write_json(body), content_type=_JSON, headers=headers)


def state_of(execution: Execution) -> tuple[Any, ...]:
    """Return what is another one once readers see anything else of an execution, or of its log."""
    return execution.id, execution.changed, execution.log_total, execution.log_purged_at
