"""The answer to whatever makes an execution: where it is, and what it is for who prefers that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import marshmallow as ma
from flask import Response
from marshmallow import fields

from app.domain import Execution, Permission
from app.identity.permissions import is_allowed
from app.resources._api import Blueprint, empty, only_document, write_json
from app.resources._auth import caller
from app.resources._context import services
from app.resources._preferences import EXAMPLE, applied, wants_representation
from app.resources.root.forms import Form
from app.resources.root.serialisers.executions import execution_json

V = TypeVar("V", bound=Callable[..., Any])

_HEADERS: Final[dict[str, Any]] = {
    "Location": {"schema": {"type": "string"}},
    "Preference-Applied": {
        "schema": {"type": "string"},
        "description": "`return=representation`, where `Prefer` asked for it: the body is the "
        "execution then, and there is none otherwise",
    },
}


class PreferHeadersSchema(ma.Schema):
    """What clients prefer of the answer."""

    prefer = fields.String(
        data_key="Prefer",
        metadata={
            "description": "`return=representation` asks for the execution as the body (RFC 7240); "
            "what is not understood is no preference",
            "example": EXAMPLE,
        },
    )


def answers_launched(
    blueprint: Blueprint, description: str, *forms: type[ma.Schema]
) -> Callable[[V], V]:
    """Document that an endpoint answers with :func:`launched`.

    Args:
        blueprint: That of the endpoint.
        description: When it does so.
        forms: The execution is told in one of them, where the client prefers a body.
    """
    first, *others = forms
    schema = {"oneOf": [*forms]} if others else first
    return only_document(
        blueprint.arguments(PreferHeadersSchema, location="headers"),
        blueprint.alt_response(201, schema=schema, description=description, headers=_HEADERS),
    )


def launched(execution: Execution, form: Form = Form.BY_ID) -> Response:
    """Answer with an execution that there is now.

    The document that this API keeps to has no body there. Whoever sends ``Prefer:
    return=representation`` (RFC 7240) gets the execution, if they may read executions.
    """
    name = execution.awf_name if form is Form.AWF else execution.id
    address = f"/executions/{name}"
    wanted = wants_representation() and is_allowed(caller(), Permission.EXECUTIONS_READ)
    if not wanted:
        return applied(empty(201, {"Location": address}), representation=False)
    known = services().executions.get(execution.id, caller())
    tasks, stale = services().executions.tasks_of(known), services().executions.is_stale(known)
    body = write_json(execution_json(known, tasks, stale=stale, form=form))
    headers = {"Location": address, "Content-Location": address}
    response = Response(body, 201, headers, content_type="application/json")
    return applied(response, representation=True)
