"""The envelope around every answer, and how arguments come in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import marshmallow as ma
from flask import Request, Response
from marshmallow import fields
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from app.resources import _api
from app.resources._api import Parser, Timestamp, iso, read_body, write_json

JSON_TYPE: Final = "application/json"
SUCCESS: Final = "操作成功"

MOMENT: Final = {
    "type": "string", "format": "date-time", "example": "2024-08-30T12:34:56.789Z",
}  # fmt: skip


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


def timestamp() -> str:
    """Write the present moment."""
    return iso(datetime.now(UTC))


class WattleParser(Parser):
    """Takes bodies that say they are JSON, or say nothing; there must be one."""

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        """Read a JSON body.

        Raises:
            BadRequest: It is none, or there is none.
            UnsupportedMediaType: It is called something else.
        """
        if not read_body(req).strip():
            raise BadRequest("There is no body, and it must be a JSON object.")
        if req.mimetype not in ("", JSON_TYPE):
            raise UnsupportedMediaType(f"The body must be {JSON_TYPE}.")
        return super().load_json(req, schema)


class Blueprint(_api.Blueprint):
    """A group of endpoints of this API."""

    ARGUMENTS_PARSER = WattleParser()
