"""What an issuer of tokens tells of itself (OpenID Connect Discovery 1.0, 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.clients._http import HttpSession, expecting_shape, read_json
from app.errors import UpstreamGarbled, UpstreamRefused

UPSTREAM: Final = "The issuer of the tokens"
TIMEOUT_SECONDS: Final = 5.0
"""Longest wait for a connection, and for an answer."""
MOST_BYTES: Final = 256 * 1024
"""Largest answer of an issuer."""
_METADATA: Final = "/.well-known/openid-configuration"


def fetch_metadata(issuer: str) -> Mapping[str, Any]:
    """Fetch the metadata of an issuer.

    Raises:
        UpstreamError: They cannot be had, or are of another issuer.
    """
    with expecting_shape(UPSTREAM):
        metadata: Mapping[str, Any] = fetch_document(issuer.rstrip("/") + _METADATA)
        told = metadata["issuer"]
    if told != issuer:
        raise not_to_be_trusted()
    return metadata


def fetch_document(url: str) -> Any:
    """Fetch a JSON document.

    Raises:
        UpstreamError: It cannot be had.
    """
    with HttpSession(
        UPSTREAM, timeout_seconds=TIMEOUT_SECONDS, keep_alive=False, max_body_bytes=MOST_BYTES
    ) as session:
        response = session.get(url, headers={"Accept": "application/json"})
    if response.status_code != 200:
        detail = f"HTTP {response.status_code}"
        raise UpstreamRefused(f"{UPSTREAM} does not tell its keys.", detail=detail)
    return read_json(response, UPSTREAM)


def not_to_be_trusted() -> UpstreamGarbled:
    """Return the error for metadata that name another issuer, or an address that is not safe."""
    detail = "its metadata name another issuer, or an address that is not safe"
    return UpstreamGarbled(f"{UPSTREAM} cannot be trusted.", detail=detail)
