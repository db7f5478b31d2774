"""Everybody may do everything (``type: none``), which settings allow on loopback only."""

from __future__ import annotations

from typing import Any, Self

from app.domain import Credential, Identity, Role
from app.errors import NotAuthenticated
from app.identity.port import Authenticator, Challenge, Claim, Context, RequestView, basic_challenge

_NAME = "none"
_CLAIM = Claim("", None)

EVERYBODY = Identity(
    "anonymous", frozenset(Role), shared=True, credential=Credential(_NAME, "everybody")
)
"""Who calls when the service runs without authentication."""


class Anonymous(Authenticator):
    """Lets everybody in, whatever the request carries."""

    name = _NAME
    needs = "nothing"
    asks_nothing = True

    @classmethod
    def create(cls, options: Any, context: Context) -> Self:
        """Build one."""
        return cls()

    def claim(self, request: RequestView) -> Claim | None:
        """Return the same claim for every request."""
        return _CLAIM

    def verify(self, claim: Claim) -> Identity:
        """Return the identity that all share."""
        return EVERYBODY

    def recheck(self, identity: Identity) -> Identity:
        """Return the identity that all share."""
        return EVERYBODY

    def challenge(self, refused: NotAuthenticated | None) -> Challenge | None:
        """Return a scheme for the one thing that is refused here, a ticket that is no good.

        An answer 401 must name one (RFC 9110, 15.5.2).
        """
        return basic_challenge()
