"""What clients need to know to sign in elsewhere: metadata of a protected resource (RFC 9728)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from flask import has_request_context, request

from app.identity.port import Challenge
from app.identity.scopes import SCOPES
from app.resources._context import services

PATH: Final = "/.well-known/oauth-protected-resource"
_CLIENT_ID: Final = "slipway_client_id"


def metadata() -> dict[str, Any] | None:
    """Return the metadata, as the sender of the current request sees the service.

    Returns:
        None where tokens of no issuer are taken.
    """
    issuers = services().authenticators.issuers
    if not issuers:
        return None
    client_id = services().settings.api.auth.cli_client_id
    return {
        "resource": _here(),
        "authorization_servers": list(issuers),
        "scopes_supported": list(SCOPES),
        "bearer_methods_supported": ["header"],
        "resource_name": "Slipway",
        **({} if client_id is None else {_CLIENT_ID: client_id}),
    }


def naming_metadata(challenge: Challenge) -> Challenge:
    """Return a challenge that says where the metadata are, where there are any (RFC 9728, 5.1)."""
    is_bearer = challenge.scheme == "Bearer" and has_request_context()
    if not is_bearer or not services().authenticators.issuers:
        return challenge
    named = {**challenge.params, "resource_metadata": _here() + PATH}
    return replace(challenge, params=named)


def _here() -> str:
    """Return the address of the service, as the proxies that are trusted tell it."""
    return request.host_url.rstrip("/") + request.script_root
