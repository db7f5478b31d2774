"""The envelope around every answer, and how arguments come in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import marshmallow as ma
from flask import Response
from marshmallow import fields

from app.resources import _api
from app.resources._api import JsonParser, Timestamp, iso, write_json
from app.resources._conditional import tag_of

JSON_TYPE: Final = "application/json"
SUCCESS: Final = "操作成功"

MOMENT: Final = {"example": "2024-08-30T12:34:56.789Z"}


class EnvelopeSchema(ma.Schema):
    """What every answer to a request that succeeds holds, beside ``data``."""

    success = fields.Boolean(required=True, metadata={"enum": [True]})
    message = fields.String(required=True, metadata={"example": SUCCESS})
    timestamp = Timestamp(required=True, metadata=MOMENT)


def enveloped(name: str, data: fields.Field[Any]) -> type[ma.Schema]:
    """Make the schema of an answer.

    Args:
        name: What the OpenAPI document calls it.
        data: What it holds as ``data``; required.
    """
    return type(f"{name}Schema", (EnvelopeSchema,), {"__doc__": None, "data": data})


def answer(data: Any, status: int = 200) -> Response:
    """Answer a request that succeeds."""
    body = {"success": True, "data": data, "message": SUCCESS, "timestamp": timestamp()}
    return Response(write_json(body), status, content_type=JSON_TYPE)


def shown(data: Any) -> Response:
    """Answer who reads; the moment of the answer makes it no other one."""
    response = answer(data)
    response.headers["ETag"] = tag_of(write_json(data))
    return response


def timestamp() -> str:
    """Write the present moment."""
    return iso(datetime.now(UTC))


class Blueprint(_api.Blueprint):
    """A group of endpoints of this API."""

    ARGUMENTS_PARSER = JsonParser()
