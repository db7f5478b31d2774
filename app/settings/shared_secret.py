"""What is wrong with the secrets that one setting holds for all: the shared key, and what signs."""

from __future__ import annotations

import re
from typing import Final

from app.errors import FieldError
from app.settings.sections import AuthSettings

SHARED_USER: Final = "api"
"""Who calls with the shared key."""
_SHORTEST_KEY: Final = 20
_SHORTEST_SIGNING_KEY: Final = 32
"""Bytes; as many as HS256 makes (RFC 7518, 3.2)."""
_SENDABLE: Final = re.compile(r"[!-~]*")
_THREE_PARTS: Final = re.compile(r"[^.]+\.[^.]+\.[^.]*")


def secret_checks(auth: AuthSettings) -> list[FieldError]:
    """Return what is wrong with the secrets of `api_key` and `jwt`, which can be one setting.

    Args:
        auth: The settings.
    """
    faults = [*_place_checks(auth)]
    signing, shared = auth.signing_secret, auth.shared_key
    if signing is not None and len(signing.encode()) < _SHORTEST_SIGNING_KEY:
        text = f"must be at least {_SHORTEST_SIGNING_KEY} bytes long, as HS256 needs"
        faults.append(FieldError("api.auth.secret", text))
    if shared is not None:
        faults += _key_checks(auth, shared)
    return faults


def _place_checks(auth: AuthSettings) -> list[FieldError]:
    """Make sure that no secret stands where nothing reads it, or two things do."""
    has_jwt, has_key = "jwt" in auth.types, "api_key" in auth.types
    faults = []
    if auth.secret is not None and not (has_jwt or has_key):
        text = "is for 'jwt' or 'api_key', and 'api.auth.type' names neither"
        faults.append(FieldError("api.auth.secret", text))
    if auth.api_key_secret is None:
        return faults
    if not has_key:
        text = "is for 'api_key', which 'api.auth.type' does not name"
        faults.append(FieldError("api.auth.api_key_secret", text))
    elif not has_jwt and auth.secret is not None:
        text = "says the shared key a second time; without 'jwt' that is 'api.auth.secret'"
        faults.append(FieldError("api.auth.api_key_secret", text))
    elif auth.api_key_secret == auth.secret:
        text = "must differ from 'api.auth.secret', or who has the key can sign tokens"
        faults.append(FieldError("api.auth.api_key_secret", text))
    return faults


def _key_checks(auth: AuthSettings, key: str) -> list[FieldError]:
    path = "api.auth.secret" if auth.api_key_secret is None else "api.auth.api_key_secret"
    faults = []
    if len(key) < _SHORTEST_KEY:
        text = (
            f"must be at least {_SHORTEST_KEY} characters long, such as of 'openssl rand -hex 20'"
        )
        faults.append(FieldError(path, text))
    if not _SENDABLE.fullmatch(key):
        text = "must be visible ASCII characters without spaces: a header field carries it"
        faults.append(FieldError(path, text))
    if "jwt" in auth.types and _THREE_PARTS.fullmatch(key):
        faults.append(FieldError(path, "must not look like a token, which has three parts"))
    if any(user.username == SHARED_USER for user in auth.users):
        text = f"must not hold '{SHARED_USER}': that is who calls with the shared key"
        faults.append(FieldError("api.auth.users", text))
    return faults
