"""API keys: those that users make for programs, and the one that all callers may share."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Self

from app.domain import Credential, Identity, Role
from app.errors import CredentialEnded, NotAuthenticated
from app.identity.api_key_form import BEGINNING, digest_of, is_well_formed
from app.identity.key_directory import WRONG, ApiKeyDirectory
from app.identity.last_uses import LastUses
from app.identity.permissions import is_within
from app.identity.port import (
    API_KEY_FIELD,
    Authenticator,
    Challenge,
    Claim,
    Context,
    RequestView,
    bearer_challenge,
    credential_of,
)
from app.identity.scopes import permissions_of
from app.identity.users import UserDirectory
from app.settings.schema import Duration, Range, WholeNumber, setting
from app.settings.shared_secret import SHARED_USER
from app.store.api_keys import ApiKey, ApiKeys
from app.store.execution_rows import now

SHARED: Final = "shared"
"""Id of the credential that all callers share."""


class ApiKeyAuthenticator(Authenticator):
    """Takes API keys as ``Authorization: Bearer`` or ``X-API-Key``, and the shared key likewise.

    Args:
        keys: The keys of users.
        users: Those.
        uses: Hears of each use.
        shared_key: The key that all callers may share; None for none.
        shared_roles: What those may do.
    """

    name = "api_key"
    needs = "an API key"
    unguessable = True
    scheme = {"type": "http", "scheme": "bearer"}  # noqa: RUF012  (a constant of the contract)

    @dataclass(frozen=True)
    class Options:
        """Limits of the keys that users make."""

        max_per_user: int = setting(
            WholeNumber(load_default=50, validate=Range(1, 10_000)),
            "Most keys of one user that have not ended.",
        )
        longest_lifetime: float = setting(
            Duration(load_default="8760h", at_least=60),
            "Longest time from the making of a key to its end, and that of a key for which none is "
            "said: a year.",
        )

    def __init__(
        self,
        keys: ApiKeyDirectory,
        users: UserDirectory,
        uses: LastUses,
        shared_key: str | None,
        shared_roles: frozenset[Role],
    ) -> None:
        self._keys = keys
        self._users = users
        self._uses = uses
        self._shared = None if shared_key is None else _digest(shared_key)
        self._everybody = Identity(
            SHARED_USER, shared_roles, credential=credential_of(ApiKeyAuthenticator, SHARED)
        )

    @classmethod
    def create(cls, options: Any, context: Context) -> Self:
        """Build one for the keys in the store, and the one of the settings."""
        auth = context.settings.api.auth
        uses = LastUses(ApiKeys(context.database).used)
        return cls(context.api_keys, context.users, uses, auth.shared_key, frozenset(auth.roles))

    def claim(self, request: RequestView) -> Claim | None:
        """Read a key off the header, or off the address where that is taken.

        A bearer token that is no key is left to others; what ``X-API-Key`` holds is not.
        """
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        if scheme.lower() == "bearer":
            token = token.strip()
            return self._claim(token) if token.startswith(BEGINNING) or self._is(token) else None
        key = request.header(API_KEY_FIELD)
        if key:
            return self._claim(key.strip())
        return next(map(self._claim, request.query_keys), None)

    def verify(self, claim: Claim) -> Identity:
        """Return the owner of a key, restricted to what the key may do.

        Raises:
            NotAuthenticated: There is no such key, it was revoked, or its owner may not sign in.
        """
        key = claim.secret or ""
        if self._is(key):
            return self._everybody
        if not is_well_formed(key):
            raise NotAuthenticated(WRONG)
        found = self._keys.with_digest(digest_of(key))
        identity = self._identity(found)
        if found.expires_at is None or found.expires_at > now():
            self._uses.note(found.id, found.last_used_at)
        return identity

    def recheck(self, identity: Identity) -> Identity:
        """Return what a key may do by now.

        Raises:
            NotAuthenticated: It was revoked, or its owner may not sign in any more.
        """
        if identity.credential.id == SHARED:
            if self._shared is None:
                raise NotAuthenticated("There is no shared key any more.")
            return self._everybody
        return self._identity(self._keys.with_id(identity.credential.id))

    def challenge(self, refused: NotAuthenticated | None) -> Challenge | None:
        """Return how to send a key (RFC 6750, 3)."""
        return bearer_challenge(refused)

    def _claim(self, key: str) -> Claim:
        return Claim("", key, known=False)

    def _is(self, key: str) -> bool:
        """Return whether a text is the shared key, in a time that does not tell how much is."""
        return self._shared is not None and hmac.compare_digest(_digest(key), self._shared)

    def _identity(self, key: ApiKey) -> Identity:
        roles = self._users.anew(partial(self._roles, key))
        scopes = None if key.scopes is None else permissions_of(key.scopes)
        return Identity(key.owner, roles, scopes, credential=_credential(key))

    def _roles(self, key: ApiKey) -> frozenset[Role]:
        """Return those roles of a key that its owner has by now."""
        owner = self._users.find(key.owner)
        is_local = owner is not None and owner.local
        # Who has the name by now need not be whom an issuer of tokens knew by it, or the reverse.
        if is_local == key.foreign or (owner is not None and owner.disabled):
            raise CredentialEnded("The owner of the API key may not sign in any more.")
        if owner is None or key.foreign:
            return key.roles
        held = frozenset(role for role in key.roles if is_within(role, owner.roles))
        if key.roles and not held:
            raise CredentialEnded("The owner of the API key has none of its roles any more.")
        return held


def _credential(key: ApiKey) -> Credential:
    return replace(credential_of(ApiKeyAuthenticator, key.id), expires_at=key.expires_at)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
