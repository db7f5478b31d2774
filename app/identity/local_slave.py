"""The slave that the service starts itself: it has a key that nobody else knows.

The key is drawn when the service starts. The slave gets it by a pipe, and those who check it know
its digest only, so it stands in no file, no environment and no command line.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any, Final, Self

from app.domain import Identity, Role
from app.errors import NotAuthenticated
from app.identity.port import (
    Authenticator,
    Challenge,
    Claim,
    Context,
    RequestView,
    credential_of,
)

_BEGINNING: Final = "sll_"
_WRONG: Final = "The key is not that of the service's own slave."


def make_key() -> str:
    """Make a key."""
    return _BEGINNING + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """Return what is to be known of a key by those who check it."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


class LocalSlave(Authenticator):
    """Takes the key of the service's own slave as ``Authorization: Bearer``, and nothing else.

    Args:
        digest: Of the key.
    """

    name = "local_slave"
    needs = "the key of the service's own slave"
    unguessable = True
    offered = False

    def __init__(self, digest: str) -> None:
        self._digest = digest
        self._identity = Identity(
            self.name, frozenset({Role.SLAVE}), credential=credential_of(LocalSlave, "key")
        )

    @classmethod
    def create(cls, options: Any, context: Context) -> Self:
        """Build one; ``options`` is the digest of the key."""
        return cls(options)

    def claim(self, request: RequestView) -> Claim | None:
        """Read a key off the header; what does not begin like one is left to others."""
        scheme, _, key = (request.header("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not key.startswith(_BEGINNING):
            return None
        return Claim("", key, known=False)

    def verify(self, claim: Claim) -> Identity:
        """Return the identity of the slave.

        Raises:
            NotAuthenticated: It is another key.
        """
        if not hmac.compare_digest(digest_of(claim.secret or ""), self._digest):
            raise NotAuthenticated(_WRONG)
        return self._identity

    def recheck(self, identity: Identity) -> Identity:
        """Return the same: the key is good as long as this process is there."""
        return self._identity

    def challenge(self, refused: NotAuthenticated | None) -> Challenge | None:
        """Return none: nobody else can begin with it."""
        return None
