"""API keys: made for programs, shown once, and never able to do more than who asks for them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.domain import Identity, Permission, Role
from app.durations import format_duration
from app.errors import Ambiguous, Conflict, FieldError, InvalidRequest, NotFound
from app.identity.api_key_form import BEGINNING, SHOWN, digest_of, make_key
from app.identity.api_keys import SHARED, ApiKeyAuthenticator
from app.identity.key_directory import ApiKeyDirectory
from app.identity.permissions import is_allowed, is_within, require
from app.identity.users import UserDirectory
from app.services.audit import Audit
from app.services.narrowing import narrowed
from app.store.api_keys import ApiKey, ApiKeys, NewApiKey
from app.store.execution_rows import now

LONGEST_NAME: Final = 100
_ID_BYTES: Final = 8
ID_PATTERN: Final = rf"[0-9a-f]{{{2 * _ID_BYTES}}}"
NAMED_PATTERN: Final = rf"{ID_PATTERN}|{BEGINNING}[0-9A-Za-z]{{{SHOWN - len(BEGINNING)}}}"
"""How a key can be named: by its id, or by its first characters."""
_LEAST_SECONDS: Final = 1.0
"""The shortest life that a key may be given."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants a key to be.

    Attributes:
        name: What they call it.
        roles: What it may do; None for all that they may, with the credential that they use.
        scopes: Words that restrict it further; None for no restriction.
        lifetime_seconds: Until it ends; None for as long as may be.
        once: Of the wishes of somebody with the same word only one makes a key; empty for no word.
    """

    name: str
    roles: Collection[Role] | None = None
    scopes: Collection[str] | None = None
    lifetime_seconds: float | None = None
    once: str = ""


class ApiKeyService:
    """Makes, lists and revokes API keys.

    Args:
        store: The keys.
        directory: As this process knows them; it forgets what was changed.
        users: Who is known to the service, and who to an issuer of tokens alone.
        options: Limits of keys; None where no keys are taken.
        audit: Hears of each change, in the transaction of it.
    """

    def __init__(
        self,
        store: ApiKeys,
        directory: ApiKeyDirectory,
        users: UserDirectory,
        options: ApiKeyAuthenticator.Options | None,
        audit: Audit,
    ) -> None:
        self._store = store
        self._directory = directory
        self._users = users
        self._options = options
        self._audit = audit

    def create(self, wish: Wish, identity: Identity) -> tuple[str, ApiKey]:
        """Make a key.

        Args:
            wish: What it is to be.
            identity: Whose it will be, and with which credential they ask.

        Returns:
            The key, which nobody can be told again, and what is kept of it.

        Raises:
            InvalidRequest: It would be able to do more than who asks, or live for too long.
            Conflict: No keys are taken; they have as many as they may; or they share their name.
            MadeAlready: The same wish has made one.
        """
        options = self._require_taken()
        if identity.shared or identity.credential.origin.id == SHARED:
            raise Conflict("Who shares a name with all callers has no keys of their own.")
        roles, scopes = _roles(wish, identity), _scopes(wish, identity)
        expires_at = _end(wish, identity, options.longest_lifetime)
        user = self._users.find(identity.username)
        key, id_ = make_key(), _id(wish, identity)
        new = NewApiKey(
            id=id_,
            digest=digest_of(key),
            prefix=key[:SHOWN],
            owner=identity.username,
            foreign=user is None or not user.local,
            name=_name(wish.name),
            roles=roles,
            scopes=scopes,
            expires_at=expires_at,
        )
        said = f"of '{new.owner}', until {expires_at.isoformat(timespec='seconds')}"
        event = self._audit.event("api-keys:create", f"/api_keys/{id_}", detail=said)
        stored = self._store.add(new, options.max_per_user, event)
        self._audit.tell(event)
        return key, stored

    @property
    def limits(self) -> ApiKeyAuthenticator.Options | None:
        """How many keys one may have, and for how long; None where no keys are taken."""
        return self._options

    def list(
        self, identity: Identity, owner: str | None, before: int | None, most: int
    ) -> tuple[list[ApiKey], int | None]:
        """List keys that were not revoked, newest first.

        Args:
            identity: Who asks.
            owner: Whose; None for everybody's.
            before: Where the page before said to go on.
            most: How many at most.

        Returns:
            The keys, and where to go on; None at the end.

        Raises:
            NotAllowed: They are of others, and who asks does not manage users.
        """
        if owner != identity.username:
            require(identity, Permission.USERS_MANAGE)
        found = self._store.list(owner, before, most + 1)
        page = found[:most]
        return page, page[-1].number if len(found) > most else None

    def get(self, name: str, identity: Identity) -> ApiKey:
        """Return a key that is good by now.

        Args:
            name: Its id, or its first 8 characters.
            identity: Its owner, or who manages users.

        Raises:
            NotFound: They have no such key, and may see nobody else's.
            Ambiguous: The characters fit several.
        """
        found = self._store.named(name, identity.username)
        if not found and is_allowed(identity, Permission.USERS_MANAGE):
            found = self._store.named(name, None)
        if len(found) > 1:
            raise Ambiguous("Several keys begin like this; give the id.")
        if not found:
            raise NotFound("There is no such API key.")
        return found[0]

    def revoke(self, name: str, identity: Identity) -> ApiKey:
        """Revoke a key; it is worth nothing any more within a quarter of a second, everywhere.

        Args:
            name: Its id, or its first 8 characters.
            identity: Its owner, or who manages users.

        Raises:
            NotFound: They have no such key, and may revoke nobody else's.
            Ambiguous: The characters fit several.
        """
        key = self.get(name, identity)
        event = self._audit.event(
            "api-keys:revoke", f"/api_keys/{key.id}", detail=f"of '{key.owner}'"
        )
        if not self._store.revoke(key, event):
            raise NotFound("There is no such API key.")
        self._directory.expire()
        self._audit.tell(event)
        return key

    def _require_taken(self) -> ApiKeyAuthenticator.Options:
        if self._options is None:
            text = "This service takes no API keys: 'api.auth.type' does not name 'api_key'."
            raise Conflict(text)
        return self._options


def _id(wish: Wish, identity: Identity) -> str:
    """Return the id of a new key, which opens nothing; the same for the same wish."""
    if not wish.once:
        return secrets.token_hex(_ID_BYTES)
    about = f"{identity.username}\n{wish.once}".encode(errors="replace")
    return hashlib.sha256(about).hexdigest()[: 2 * _ID_BYTES]


def _name(name: str) -> str:
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        text = f"must be 1 to {LONGEST_NAME} visible characters"
        raise InvalidRequest("That is no name of a key.", fields=(FieldError("name", text),))
    return name


def _roles(wish: Wish, identity: Identity) -> frozenset[Role]:
    """Return the roles of a key: of its owner's, and of the credential's, none is exceeded."""
    held = identity.roles or frozenset({Role.USER})
    if wish.roles is None:
        return held
    beyond = sorted(role for role in wish.roles if not is_within(role, held))
    if beyond or not wish.roles:
        text = f"must be among what you may do yourself, not {', '.join(beyond)}"
        fault = FieldError("roles", text if beyond else "must name at least one")
        raise InvalidRequest("A key cannot do more than you.", fields=(fault,))
    return frozenset(wish.roles)


def _scopes(wish: Wish, identity: Identity) -> tuple[str, ...] | None:
    """Return the scopes of a key, which let nothing through that the credential does not."""
    if wish.scopes is not None:
        return narrowed(identity, wish.scopes, "scopes")
    if identity.scopes is None:
        return None
    fault = FieldError("scopes", "must be given, since your credential is restricted itself")
    raise InvalidRequest("Those are no scopes for it.", fields=(fault,))


def _end(wish: Wish, identity: Identity, longest_seconds: float) -> datetime:
    """Return when a key ends: one that is asked for with another key, not after that."""
    moment = now()
    last = moment + timedelta(seconds=longest_seconds)
    credential = identity.credential.origin
    if credential.authenticator == ApiKeyAuthenticator.name and credential.expires_at is not None:
        last = min(last, credential.expires_at)
    if wish.lifetime_seconds is None:
        return last
    left = (last - moment).total_seconds()
    if not _LEAST_SECONDS <= wish.lifetime_seconds <= left:
        text = f"must be from {format_duration(_LEAST_SECONDS)} to {format_duration(int(left))}"
        raise InvalidRequest("It cannot live so long.", fields=(FieldError("expires_in", text),))
    return moment + timedelta(seconds=wish.lifetime_seconds)
