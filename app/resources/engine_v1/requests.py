"""How requests come in: JSON objects of which every name is known."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.resources import _api
from app.resources._api import JsonParser


class EngineParser(JsonParser):
    """Refuses what a schema does not allow by 400, as this API does."""

    DEFAULT_VALIDATION_STATUS = 400


class Blueprint(_api.Blueprint):
    """A group of endpoints of this API."""

    ARGUMENTS_PARSER = EngineParser()


class RequestSchema(ma.Schema):
    """The body of a request."""

    class Meta:
        """What is not known is a fault."""

        unknown = ma.RAISE


class JsonInteger(fields.Integer):
    """A number of JSON that is an integer, and no text of one."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid", input=value)
        return value


class JsonObject(fields.Dict):
    """An object of JSON, as it came."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        return value


class DoneSchema(ma.Schema):
    """What was asked for is done, or will be."""

    success = fields.Boolean(required=True, metadata={"enum": [True]})
    message = fields.String(required=True)


def done(message: str) -> dict[str, Any]:
    """Answer a request that only asks for something to be done."""
    return {"success": True, "message": message}
