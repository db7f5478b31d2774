"""What goes along with a browser that signs in elsewhere, and is known again when it comes back.

A browser keeps one secret for all the sign-ins that it has begun; what belongs to each follows from
that secret and a number by chance, so nothing of it is stored here. An answer that some other
browser was given, or that somebody made up, does not fit the secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

LONGEST_TARGET: Final = 512
"""Characters of a path that is wanted after signing in."""
_SECRET: Final = re.compile(r"sls_[0-9A-Za-z_-]{43}")
_STATE: Final = re.compile(r"([0-9A-Za-z_-]{22})\.([0-9A-Za-z_-]{1,3000})\.([0-9A-Za-z_-]{43})")
# One slash, and not two, which would be another host; no backslash, which browsers take for one.
TARGET_PATTERN: Final = r"/(?:[!-.0-\[\]-~][!-\[\]-~]*)?"
_TARGET: Final = re.compile(TARGET_PATTERN)


@dataclass(frozen=True, slots=True)
class Departure:
    """A sign-in that was begun.

    Attributes:
        state: Comes back with the browser (RFC 6749, 10.12).
        nonce: Comes back within the id token (OpenID Connect Core 1.0, 15.5.2).
        verifier: Is shown when the code is redeemed (RFC 7636, 4.1).
        target: The path here that is wanted afterwards.
    """

    state: str
    nonce: str
    verifier: str
    target: str


def make_secret() -> str:
    """Make what a browser keeps: 256 bits of chance."""
    return "sls_" + secrets.token_urlsafe(32)


def is_secret(text: str) -> bool:
    """Return whether a text has the form of what a browser keeps."""
    return _SECRET.fullmatch(text) is not None


def is_target(text: str) -> bool:
    """Return whether a text is a path of this service, as browsers read it, and of no other."""
    return len(text) <= LONGEST_TARGET and _TARGET.fullmatch(text) is not None


def begin(secret: str, target: str) -> Departure:
    """Begin a sign-in.

    Args:
        secret: What the browser keeps.
        target: The path here that is wanted afterwards.
    """
    number = secrets.token_urlsafe(16)
    written = _encoded(target.encode())
    return _departure(secret, number, written, target)


def found_again(secret: str, state: str) -> Departure | None:
    """Return the sign-in that a state is of; None if this browser has begun no such one."""
    parts = _STATE.fullmatch(state)
    if parts is None or not is_secret(secret):
        return None
    try:
        target = urlsafe_b64decode(parts[2] + "=" * (-len(parts[2]) % 4)).decode()
    except ValueError:
        return None
    departure = _departure(secret, parts[1], parts[2], target)
    return departure if hmac.compare_digest(departure.state, state) else None


def _departure(secret: str, number: str, written: str, target: str) -> Departure:
    about = f"{number}.{written}"
    return Departure(
        f"{about}.{_derived(secret, 'state', about)}",
        _derived(secret, "nonce", about),
        _derived(secret, "verifier", about),
        target,
    )


def _derived(secret: str, use: str, about: str) -> str:
    return _encoded(hmac.digest(secret.encode(), f"{use} {about}".encode(), hashlib.sha256))


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
