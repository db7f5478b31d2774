"""The settings of what stands between the network and the API: pages of others, TLS."""

from __future__ import annotations

import re
from dataclasses import dataclass

from marshmallow import ValidationError, fields

from app.settings.schema import setting

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[1-9][0-9]{0,4}))?"
)
_USUAL_PORTS = {"http": "80", "https": "443"}


def check_origin(text: str) -> None:
    """Check that a text is an origin as browsers write it (RFC 6454, 6.2).

    Raises:
        ValidationError: It is not, so that no ``Origin`` would ever be equal to it.
    """
    found = _ORIGIN.fullmatch(text)
    if found is None:
        raise ValidationError(
            "must be an origin as browsers write it, such as https://portal.example.org: in small "
            "letters, without a path, and neither '*' nor 'null'"
        )
    if found["port"] is not None and found["port"] == _USUAL_PORTS.get(found["scheme"]):
        raise ValidationError(f"must be written without :{found['port']}, as browsers write it")


@dataclass(frozen=True)
class CorsSettings:
    """Pages of other origins that may use the API (the CORS protocol of the Fetch standard)."""

    origins: list[str] = setting(
        fields.List(fields.String(validate=check_origin), load_default=list),
        "Origins, such as `https://portal.example.org`, whose pages may call the API, read its "
        "answers and change something, with credentials that they have themselves; cookies do not "
        "count. Each is exactly one: there are no patterns.",
    )
