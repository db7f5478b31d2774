"""What OpenAPI documents say of conditional requests; see :mod:`app.resources._conditional`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.resources._conditional import CHANGES
from app.resources._text_forms import TextForm

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e]*"'
"""An entity tag (RFC 9110, 8.8.3), of visible ASCII."""
_TAGS: Final = rf"\*|{_TAG}(?:, ?{_TAG})*"
_STREAMS: Final = frozenset({"text/event-stream", "application/x-ndjson"})
_FIELDS: Final = {
    "IfMatch": (
        "If-Match",
        "Only if what is there has one of these tags, or is there (`*`)",
    ),
    "IfNoneMatch": (
        "If-None-Match",
        "Only if what is there has none of these tags; a reader who has it gets a 304",
    ),
}
_ETAG: Final = {
    "schema": TextForm(_TAG, 'W/"4aa0e6b1d5a2c07fd1d2f9ed0a3e8a11"').schema(),
    "description": "Stands for what readers see, but not for when that was last true",
}


def add_conditions(document: dict[str, Any]) -> None:
    """Add to a document the fields and the answers of conditional requests (RFC 9110, 13).

    Whatever is read by GET and may be kept has a tag, which what changes it at the same address can
    be made to depend on.
    """
    refused = {"description": "Precondition Failed", **_error_of(document)}
    used = False
    for item in document["paths"].values():
        get = item.get("get")
        if get is None or not _is_kept(get):
            continue
        used = True
        unchanged = {"description": "It is what `If-None-Match` names"}
        get["responses"].setdefault("304", unchanged)
        get["responses"]["200"].setdefault("headers", {}).setdefault("ETag", _ETAG)
        for operation in (get, *(item[m.lower()] for m in CHANGES if m.lower() in item)):
            operation["responses"]["412"] = refused
            references = ({"$ref": f"#/components/parameters/{name}"} for name in _FIELDS)
            operation.setdefault("parameters", []).extend(references)
    if used:
        told = {name: _field(*said) for name, said in _FIELDS.items()}
        document.setdefault("components", {})["parameters"] = told


def _is_kept(get: Mapping[str, Any]) -> bool:
    """Return whether answers of an operation have tags: it is no stream, and may be kept."""
    found = get["responses"].get("200")
    if found is None or "Cache-Control" in found.get("headers", {}):
        return False
    return not found.get("content", {}).keys() <= _STREAMS


def _error_of(document: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": document["components"]["responses"]["DEFAULT_ERROR"]["content"]}


def _field(name: str, description: str) -> dict[str, Any]:
    return {
        "in": "header", "name": name, "description": description,
        "schema": TextForm(_TAGS, "*").schema(),
    }  # fmt: skip
