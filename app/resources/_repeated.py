"""Parameters that stand in a query several times.

Whoever takes the first of them, or the last, drops what the others were to say without a word. So a
parameter says whether it may be repeated, and any other that is known and repeated is a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import marshmallow as ma
from flask import request
from marshmallow import ValidationError, fields

from app.errors import FieldError, InvalidRequest
from app.resources._permissions import current_view

_SINGLE: Final = "slipway_single_parameters"


class Repeated(fields.List[Any]):
    """A parameter that may be given several times; a fault is its own, not that of one place."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[Any]:
        try:
            return super()._deserialize(value, attr, data, **kwargs)
        except ValidationError as exc:
            first: list[str] = next(iter(exc.messages_dict.values()))
            raise ValidationError(first) from exc


def note_single(view: Callable[..., Any], schema: ma.Schema) -> None:
    """Note which parameters of a schema must stand only once in requests that a view answers."""
    names = {
        field.data_key or name
        for name, field in schema.load_fields.items()
        if not isinstance(field, fields.List)
    }
    vars(view)[_SINGLE] = getattr(view, _SINGLE, frozenset()) | names


def refuse_repeated() -> None:
    """Refuse the current request if a parameter stands twice in it that may not.

    Raises:
        InvalidRequest: It names each of them.
    """
    view = current_view()
    if view is None or b"&" not in request.query_string:
        return
    single: frozenset[str] = getattr(view, _SINGLE, frozenset())
    twice = [name for name, values in request.args.lists() if len(values) > 1 and name in single]
    if twice:
        faults = (FieldError(name, "must stand only once") for name in twice)
        raise InvalidRequest("A query parameter is repeated.", fields=tuple(faults))
