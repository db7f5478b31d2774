"""``/executions/<id>/digest`` of the root API: why an execution ended as it did."""

from __future__ import annotations

from typing import Any, Final

from flask import Response

from app.domain import Permission
from app.resources._api import UPSTREAM, Blueprint, only_document, write_json
from app.resources._auth import caller
from app.resources._conditional import tag_of
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.resources.root.accepted import accepted
from app.resources.root.forms import execution_parameter
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
