"""All the ways to sign in of a service, as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from app.domain import Identity
from app.errors import NotAuthenticated, SeveralCredentials
from app.identity.api_keys import ApiKeyAuthenticator
from app.identity.checking import Checker
from app.identity.port import (
    API_KEY_FIELD,
    Authenticator,
    BrowserSignIn,
    Challenge,
    RequestView,
    SignInNeeded,
)

_JOINED: Final = re.compile(r",\s*(?:basic|bearer)\s", re.IGNORECASE)
"""Two fields of one name, which a server may make one of (RFC 9110, 5.3)."""
_UNTAKEN: Final = "What the request carries is no credential that is taken here."


class Authenticators:
    """Asks the authenticators in their order; the first that knows its credential decides.

    Args:
        authenticators: The ways to sign in, of different names.
        checker: Verifies what they read off requests.
    """

    def __init__(self, authenticators: Sequence[Authenticator], checker: Checker) -> None:
        self._authenticators = {each.name: each for each in authenticators}
        self._checker = checker
        self._open = any(each.asks_nothing for each in authenticators)

    def authenticate(self, request: RequestView) -> Identity:
        """Return who sends a request.

        Raises:
            SeveralCredentials: There is more than one; a cookie is not counted, since browsers
                send it by themselves.
            SignInNeeded: There is no credential, or one that does not hold.
            LimitExceeded: Too many wrong credentials came before, or too many are verified now.
        """
        explicit = False if self._open else _has_explicit(request)
        for authenticator in self._authenticators.values():
            claim = None
            try:
                claim = authenticator.claim(request)
                if claim is not None:
                    identity = self._checker.verify(authenticator, claim, request.address)
                    return _unexpired(identity)
            except NotAuthenticated as exc:
                challenges = self._challenges(authenticator, exc)
                raise SignInNeeded(exc.message, challenges, claim) from exc
        raise self._nobody(request, is_credential=explicit)

    def recheck(self, identity: Identity) -> Identity:
        """Return who somebody is by now, by the credential that they signed in with.

        Raises:
            NotAuthenticated: The credential does not hold any more.
        """
        authenticator = self._authenticators.get(identity.credential.authenticator)
        if authenticator is None:
            raise NotAuthenticated("This way to sign in is not offered any more.")
        return _unexpired(authenticator.recheck(_unexpired(identity)))

    @property
    def browser(self) -> BrowserSignIn | None:
        """How a browser signs in by being sent elsewhere; None where it cannot."""
        found = (each.browser for each in self._authenticators.values())
        return next((each for each in found if each is not None), None)

    @property
    def takes_passwords(self) -> bool:
        """Whether somebody can sign in with a user name and a password (RFC 7617)."""
        return any(challenge.scheme == "Basic" for challenge in self.challenges())

    @property
    def takes_api_keys(self) -> bool:
        """Whether somebody can sign in with an API key."""
        return ApiKeyAuthenticator.name in self._authenticators

    @property
    def asks_nothing(self) -> bool:
        """Whether everybody is let in, so that nobody signs in."""
        return self._open

    @property
    def issuers(self) -> tuple[str, ...]:
        """The issuers at which clients can get tokens that are taken here, as URLs."""
        each = (issuer for way in self._authenticators.values() for issuer in way.issuers)
        return tuple(dict.fromkeys(each))

    def challenges(self) -> tuple[Challenge, ...]:
        """Return how one can sign in, for an answer to a request without credentials."""
        return self._challenges(None, None)

    def _nobody(self, request: RequestView, *, is_credential: bool) -> SignInNeeded:
        """Return why a request is refused whose credential nobody knows, or that has none."""
        wanted = " or ".join(each.needs for each in self._authenticators.values() if each.offered)
        if not is_credential:
            return SignInNeeded(f"This needs {wanted}.", self.challenges())
        self._checker.count_wrong(request.address)
        refused = NotAuthenticated(_UNTAKEN)
        offered = ((each, each.challenge(None)) for each in self._authenticators.values())
        by_token = (each for each, made in offered if made is not None and made.scheme == "Bearer")
        return SignInNeeded(
            f"{_UNTAKEN} This needs {wanted}.", self._challenges(next(by_token, None), refused)
        )

    def _challenges(
        self, refusing: Authenticator | None, refused: NotAuthenticated | None
    ) -> tuple[Challenge, ...]:
        """Return the challenges, one of each scheme, that of the one which refused first."""
        ordered = sorted(self._authenticators.values(), key=lambda each: each is not refusing)
        made = (each.challenge(refused if each is refusing else None) for each in ordered)
        by_scheme: dict[str, Challenge] = {}
        for challenge in made:
            if challenge is not None:
                by_scheme.setdefault(challenge.scheme, challenge)
        return tuple(by_scheme.values())


def _has_explicit(request: RequestView) -> bool:
    """Return whether a request carries a credential that its sender has put there.

    Raises:
        SeveralCredentials: It carries more than one.
    """
    authorization, key = request.header("Authorization"), request.header(API_KEY_FIELD)
    number = bool(authorization) + bool(key) + len(request.query_keys)
    is_double = authorization is not None and _JOINED.search(authorization) is not None
    if number > 1 or is_double or (key is not None and "," in key):
        raise SeveralCredentials("The request carries more than one credential; send one.")
    return number > 0


def _unexpired(identity: Identity) -> Identity:
    expires_at = identity.credential.expires_at
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise NotAuthenticated("The credential has expired.")
    return identity
