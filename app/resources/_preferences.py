"""What clients prefer of an answer: the field ``Prefer`` (RFC 7240)."""

from __future__ import annotations

from typing import Final

from flask import Response, request
from werkzeug.http import parse_list_header

_RETURN: Final = "return"
_REPRESENTATION: Final = "representation"
EXAMPLE: Final = f"{_RETURN}={_REPRESENTATION}"


def wants_representation() -> bool:
    """Return whether the client would rather have what it made than an empty answer.

    Of a preference that is given twice the first counts (RFC 7240, 2), and what cannot be read is
    no preference.
    """
    for field in request.headers.getlist("Prefer"):
        for text in parse_list_header(field):
            name, value = _preference(text)
            if name == _RETURN:
                return value == _REPRESENTATION
    return False


def applied(response: Response, *, representation: bool) -> Response:
    """Return an answer that says whether it is as preferred, and that it depends on that."""
    response.vary.add("Prefer")
    if representation:
        response.headers["Preference-Applied"] = f"{_RETURN}={_REPRESENTATION}"
    return response


def _preference(text: str) -> tuple[str, str]:
    """Return the name and the value of one preference, without its parameters."""
    name, _, value = text.partition(";")[0].partition("=")
    return name.strip().lower(), value.strip().strip('"')
