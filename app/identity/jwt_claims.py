"""What a token says (RFC 7519), and who it belongs to."""

from __future__ import annotations

import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from app.domain import USERNAME, Permission, Role
from app.errors import NotAuthenticated
from app.identity.scopes import permissions_of

LEEWAY_SECONDS: Final = 30
"""How far the clocks of issuers may be off."""
INVALID: Final = "The token is not valid."

_MOST_CHARACTERS: Final = 16 * 1024
_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_TYPES: Final = frozenset({"jwt", "at+jwt"})
_END_OF_TIME: Final = 253_402_214_400
"""9999-12-31, in seconds."""
_OF_OTHERS: Final = frozenset(
    {"openid", "profile", "email", "address", "phone", "offline_access", "roles", "groups"}
)
"""Scopes that say what a token tells of its user (OpenID Connect Core 1.0, 5.4 and 11)."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, taken apart; nothing of it is verified.

    Attributes:
        signed: What the signature is about.
    """

    algorithm: str
    kid: str | None
    claims: Mapping[str, Any]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def looks_like_token(text: str) -> bool:
    """Return whether a text has the form of a signed token: three parts with dots between."""
    return text.count(".") == 2


def parse(text: str) -> Token:
    """Take a token apart (RFC 7515, 7.1).

    Raises:
        NotAuthenticated: It is none, or demands what is not understood here.
    """
    if len(text) > _MOST_CHARACTERS or not _FORM.fullmatch(text):
        raise NotAuthenticated(INVALID)
    head, payload, signature = text.split(".")
    try:
        header, claims = orjson.loads(_decoded(head)), orjson.loads(_decoded(payload))
        raw = _decoded(signature)
    except ValueError:
        raise NotAuthenticated(INVALID) from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise NotAuthenticated(INVALID)
    algorithm, kid, type_ = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    understood = (
        isinstance(algorithm, str)
        and isinstance(kid, str | None)
        and isinstance(type_, str)
        and type_.lower().removeprefix("application/") in _TYPES
        and "crit" not in header
        and "b64" not in header
    )
    if not understood:
        raise NotAuthenticated(INVALID)
    return Token(str(algorithm), kid, claims, f"{head}.{payload}".encode(), raw)


def issuer_of(text: str) -> str | None:
    """Return who says to have issued a token, of which nothing is verified; None if it is none."""
    try:
        issuer = parse(text).claims.get("iss")
    except NotAuthenticated:
        return None
    return issuer if isinstance(issuer, str) else None


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """How claims are read.

    Attributes:
        audience: One of these must be in ``aud``; empty takes any.
        user: Claim that holds the user name.
        roles: Claim that holds the roles; one within another is written with dots.
        role_words: What the words of that claim stand for; empty if they are roles themselves.
        default_roles: Roles of who has no such claim.
        scopes: Whether the scopes of the token count.
        leeway_seconds: How much the clocks may differ.
    """

    audience: tuple[str, ...] = ()
    user: str = "sub"
    roles: str = "roles"
    role_words: Mapping[str, Sequence[Role]] = field(default_factory=dict)
    default_roles: frozenset[Role] = frozenset({Role.USER})
    scopes: bool = True
    leeway_seconds: int = LEEWAY_SECONDS


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a token belongs to, and until when."""

    username: str
    roles: frozenset[Role]
    scopes: frozenset[Permission] | None
    expires_at: datetime


def subject_of(claims: Mapping[str, Any], rules: ClaimRules, now: float) -> Subject:
    """Return whom a token belongs to whose signature is right.

    Raises:
        NotAuthenticated: It does not hold, or not here; the message names the claim.
    """
    expires = _moment(claims, "exp")
    if expires is None or expires + rules.leeway_seconds <= now:
        raise refused("exp")
    for name in ("nbf", "iat"):
        moment = _moment(claims, name)
        if moment is not None and moment > now + rules.leeway_seconds:
            raise refused(name)
    if rules.audience and not _is_meant_for(claims.get("aud"), rules.audience):
        raise refused("aud")
    username = claims.get(rules.user)
    if not isinstance(username, str) or not USERNAME.fullmatch(username):
        raise refused(rules.user)
    ends = min(expires + rules.leeway_seconds, _END_OF_TIME)
    return Subject(
        username,
        _roles(claims, rules),
        _scopes(claims) if rules.scopes else None,
        datetime.fromtimestamp(ends, UTC),
    )


def refused(claim: str) -> NotAuthenticated:
    """Return the error that names a claim, and not what it holds."""
    return NotAuthenticated(f"The token is not valid: its claim '{claim}' does not hold here.")


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a NumericDate (RFC 7519, 2); None where there is none."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise refused(name)
    return value


def _is_meant_for(given: Any, audience: tuple[str, ...]) -> bool:
    """Return whether an audience is among those of a token (RFC 7519, 4.1.3)."""
    many = given if isinstance(given, list) else [given]
    return all(isinstance(each, str) for each in many) and any(each in audience for each in many)


def _roles(claims: Mapping[str, Any], rules: ClaimRules) -> frozenset[Role]:
    words = _words(_claim_at(claims, rules.roles), rules.roles)
    if words is None:
        return rules.default_roles
    if rules.role_words:
        return frozenset(role for word in words for role in rules.role_words.get(word, ()))
    return frozenset(role for role in Role if role in words)


def _claim_at(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim by its name, which may hold dots, or else by its way through others."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def _words(value: Any, name: str) -> list[str] | None:
    """Return the words of a claim: a list of texts, or one text (RFC 8693, 4.2)."""
    if value is None:
        return None
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise refused(name)
    return words


def _scopes(claims: Mapping[str, Any]) -> frozenset[Permission] | None:
    """Return the permissions that the scopes of a token let through; None without any."""
    found = [_words(claims.get(name), name) for name in ("scope", "scp")]
    words = {word for each in found for word in each or ()} - _OF_OTHERS
    return permissions_of(words) if words else None
