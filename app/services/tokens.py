"""Short-lived tokens of the service's own, for who has signed in with something else."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from app.domain import AuditEvent, Identity
from app.durations import format_duration
from app.errors import (
    ConfigError,
    Conflict,
    FieldError,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    UpstreamError,
)
from app.identity.anonymous import Anonymous
from app.identity.numbered import NumberedReads
from app.identity.own_tokens import NAME, NewToken, state_of, written
from app.identity.scopes import scopes_within
from app.identity.users import UserDirectory
from app.services.audit import Audit
from app.services.narrowing import narrowed
from app.settings import AuthSettings
from app.store.execution_rows import now
from app.store.signing_keys import SigningKeys

if TYPE_CHECKING:
    from app.clients.sealing import Sealing
    from app.identity.own_keys import OwnKeys, Signer

log = structlog.get_logger(__name__)

_LEAST_SECONDS: Final = 1.0
"""The shortest life that a token may be given."""
_SIGNER: Final = "signer"


@dataclass(frozen=True, slots=True)
class Token:
    """A new token.

    Attributes:
        text: The token itself.
        seconds: Until it ends.
        scopes: What it is good for.
    """

    text: str
    seconds: int
    scopes: tuple[str, ...]


class TokenService:
    """Signs tokens, with a key that all processes share, and replaces the key.

    Args:
        store: The keys.
        sealing: Gives what encrypts their private halves; called when it is needed.
        users: Whose tokens end when they change.
        settings: How long tokens live, and of whom they are.
        audit: Hears of each token and each key.
    """

    def __init__(
        self,
        store: SigningKeys,
        sealing: Callable[[], Sealing],
        users: UserDirectory,
        settings: AuthSettings,
        audit: Audit,
    ) -> None:
        self._store = store
        self._sealing = sealing
        self._users = users
        self._settings = settings
        self._audit = audit
        self._signers: NumberedReads[str, Signer] = NumberedReads(store.revision, self._signer)
        self._keys: OwnKeys | None = None

    def issue(
        self,
        identity: Identity,
        scopes: Collection[str] | None = None,
        lifetime_seconds: float | None = None,
    ) -> Token:
        """Make a token.

        Args:
            identity: Whom it is to stand for, and with which credential they ask.
            scopes: What it is restricted to; None for as much as the credential.
            lifetime_seconds: Until it ends; None for as long as may be. It ends with the credential
                at the latest.

        Raises:
            InvalidRequest: It would be able to do more than the credential, or live for too long.
            NotAllowed: The credential is such a token itself, which nothing makes last longer.
            Conflict: Nobody signs in to this service.
            UpstreamError: This process cannot use the key that signs.
        """
        credential = identity.credential
        if credential.authenticator == Anonymous.name:
            raise Conflict(
                "This service asks nobody who they are, so there are no tokens: 'api.auth.type' is "
                "'none'."
            )
        if credential.authenticator == NAME:
            raise NotAllowed(
                "A token cannot be got with a token; use the credential that it was got with."
            )
        words = None if identity.scopes is None else scopes_within(identity)
        if scopes is not None:
            words = narrowed(identity, scopes, "scope")
        issued_at, expires_at = self._times(identity, lifetime_seconds)
        new = NewToken(
            identity,
            words,
            issued_at,
            expires_at,
            state=state_of(self._users, identity.username),
            id=secrets.token_hex(8),
        )
        text, jti = written(new, self._settings.token_issuer, self._signers.get(_SIGNER))
        told = scopes_within(identity) if words is None else words
        detail = f"{jti}, for {expires_at - issued_at} s, {'all' if words is None else told}"
        self._audit.record(self._audit.event("tokens:create", "/auth/token", detail=detail))
        return Token(text, expires_at - issued_at, tuple(told))

    def key_set(self) -> dict[str, Any]:
        """Return the public keys of tokens that are good by now, as a JWK Set (RFC 7517, 5)."""
        if self._keys is None:
            from app.identity.own_keys import OwnKeys  # noqa: PLC0415  (large, and seldom asked)

            self._keys = OwnKeys(self._store)
        return self._keys.key_set()

    def rotate(self, *, at_once: bool = False) -> str:
        """Make another key that signs from now on.

        Tokens that the one before has signed go on until they end, an hour at the most.

        Args:
            at_once: All tokens that were signed before are worth nothing from now on.

        Returns:
            What tokens name the new key by.
        """
        from app.identity.own_keys import GOOD_FOR, make_signing_key  # noqa: PLC0415

        key = make_signing_key(self._sealing())
        good_until = now() if at_once else now() + GOOD_FOR
        event: AuditEvent = self._audit.event(
            "auth:rotate-key", "/.well-known/jwks.json",
            detail=f"'{key.kid}' signs; tokens of before are good until "
            f"{good_until.isoformat(timespec='seconds')} at most",
        )  # fmt: skip
        self._store.replace(key, good_until, event)
        self._signers.expire()
        self._audit.tell(event)
        return key.kid

    def _signer(self, _: str) -> Signer:
        from app.identity.own_keys import Signer, make_signing_key  # noqa: PLC0415

        try:
            sealing = self._sealing()
        except (ConfigError, OSError) as exc:
            log.error("tokens cannot be signed without the master key", error=str(exc))
            raise UpstreamError("No token can be signed at the moment.") from exc
        key = self._store.current() or self._store.first(lambda: make_signing_key(sealing))
        return Signer(key, sealing)

    def _times(self, identity: Identity, wished_seconds: float | None) -> tuple[int, int]:
        """Return when a token begins and ends, in whole seconds."""
        longest = self._settings.token_lifetime
        if wished_seconds is not None and not _LEAST_SECONDS <= wished_seconds <= longest:
            text = f"must be from {format_duration(_LEAST_SECONDS)} to {format_duration(longest)}"
            fault = FieldError("expires_in", text)
            raise InvalidRequest("It cannot live so long.", fields=(fault,))
        moment = int(time.time())
        ends = moment + (longest if wished_seconds is None else wished_seconds)
        expires_at = identity.credential.expires_at
        if expires_at is not None:
            ends = min(ends, expires_at.timestamp())
        if math.floor(ends) <= moment:
            raise NotAuthenticated("The credential ends at this moment.")
        return moment, math.floor(ends)
