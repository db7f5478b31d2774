"""All the ways to sign in of a service, as one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from app.domain import Identity
from app.errors import NotAuthenticated
from app.identity.checking import Checker
from app.identity.port import Authenticator, Challenge, RequestView, SignInNeeded


class Authenticators:
    """Asks the authenticators in their order; the first that knows its credential decides.

    Args:
        authenticators: The ways to sign in, of different names.
        checker: Verifies what they read off requests.
    """

    def __init__(self, authenticators: Sequence[Authenticator], checker: Checker) -> None:
        self._authenticators = {each.name: each for each in authenticators}
        self._checker = checker

    def authenticate(self, request: RequestView) -> Identity:
        """Return who sends a request.

        Raises:
            SignInNeeded: There is no credential, or one that does not hold.
            LimitExceeded: Too many wrong credentials came before, or too many are verified now.
        """
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
        wanted = " or ".join(each.needs for each in self._authenticators.values())
        raise SignInNeeded(f"This needs {wanted}.", self.challenges())

    def recheck(self, identity: Identity) -> Identity:
        """Return who somebody is by now, by the credential that they signed in with.

        Raises:
            NotAuthenticated: The credential does not hold any more.
        """
        authenticator = self._authenticators.get(identity.credential.authenticator)
        if authenticator is None:
            raise NotAuthenticated("This way to sign in is not offered any more.")
        return _unexpired(authenticator.recheck(_unexpired(identity)))

    def challenges(self) -> tuple[Challenge, ...]:
        """Return how one can sign in, for an answer to a request without credentials."""
        return self._challenges(None, None)

    def _challenges(
        self, refusing: Authenticator | None, refused: NotAuthenticated | None
    ) -> tuple[Challenge, ...]:
        """Return the challenges of all, that of the one which refused first."""
        ordered = sorted(self._authenticators.values(), key=lambda each: each is not refusing)
        made = (each.challenge(refused if each is refusing else None) for each in ordered)
        return tuple(challenge for challenge in made if challenge is not None)


def _unexpired(identity: Identity) -> Identity:
    expires_at = identity.credential.expires_at
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise NotAuthenticated("The credential has expired.")
    return identity
