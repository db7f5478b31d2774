"""The service's own tokens: each stands for the credential that it was got with, and not longer.

A token is a JWT (RFC 9068) that the service signs. It names the credential that it was asked for
with, and that one is asked about whenever the token is: so it ends with a key that is revoked, a
password or roles that are changed, a user who is disabled.
"""

from __future__ import annotations

import hashlib
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from app.domain import Credential, Identity, Role
from app.errors import CredentialEnded, NotAuthenticated
from app.identity.jwt_claims import INVALID, looks_like_token, parse
from app.identity.port import (
    Authenticator,
    Challenge,
    Claim,
    Context,
    RequestView,
    bearer_challenge,
)
from app.identity.scopes import permissions_of
from app.identity.users import UserDirectory
from app.identity.verified import Verified
from app.store.signing_keys import SigningKeys

if TYPE_CHECKING:
    from app.identity.own_keys import OwnKeys, Signer

NAME: Final = "own_token"
_REMEMBER_SECONDS: Final = 60.0
"""How long the signature of a token that was right is not looked at again."""
_TYPE: Final = "at+jwt"
_ENDED: Final = "The credential that the token was got with does not hold any more."
_HEADS_KEPT: Final = 256
_LONGEST_HEAD: Final = 200
_STATE_DIGITS: Final = 12
_KID_BEGINNING: Final = "slipway-"


@dataclass(frozen=True, slots=True)
class NewToken:
    """What a token is to say.

    Attributes:
        identity: Whom it stands for, and the credential that it was asked for with.
        scopes: Words that restrict it; None for no restriction beyond the roles.
        issued_at: In seconds since the epoch.
        expires_at: Likewise.
        state: What :func:`state_of` says of the user.
        id: Random part of its id.
    """

    identity: Identity
    scopes: Sequence[str] | None
    issued_at: int
    expires_at: int
    state: str
    id: str


def written(token: NewToken, issuer: str, signer: Signer) -> tuple[str, str]:
    """Sign a token (RFC 7515, 7.1; claims of RFC 9068, 2.2).

    Returns:
        The token, and its id.
    """
    identity = token.identity
    jti = f"{signer.kid.removeprefix(_KID_BEGINNING)}-{token.id}-{token.state}"
    claims = {
        "iss": issuer,
        "aud": issuer,
        "sub": identity.username,
        "client_id": identity.credential.authenticator,
        "iat": token.issued_at,
        "exp": token.expires_at,
        "jti": jti,
        "roles": sorted(identity.roles),
        "by": f"{identity.credential.authenticator}:{identity.credential.id}",
    }
    if token.scopes is not None:
        claims["scope"] = " ".join(token.scopes)
    header = {"alg": "ES256", "typ": _TYPE, "kid": signer.kid}
    signed = b".".join((_part(orjson.dumps(header)), _part(orjson.dumps(claims))))
    return b".".join((signed, _part(signer.sign(signed)))).decode(), jti


def state_of(users: UserDirectory, username: str) -> str:
    """Return what is another text once a user has another epoch, or other roles."""
    user = users.find(username)
    known = "" if user is None else " ".join((user.epoch, *sorted(user.roles)))
    return hashlib.sha256(known.encode()).hexdigest()[:_STATE_DIGITS]


class OwnTokens(Authenticator):
    """Takes tokens that the service has signed, whatever ways to sign in are on.

    Args:
        keys: The keys that may have signed them.
        users: Who is shut out, or has another password by now.
        others: The ways to sign in with which tokens are got, by name.
        issuer: ``iss`` and ``aud`` of the tokens.
    """

    name = NAME
    needs = "a token of the service"
    unguessable = True
    offered = False

    def __init__(
        self,
        keys: OwnKeys,
        users: UserDirectory,
        others: Mapping[str, Authenticator],
        issuer: str,
    ) -> None:
        self._keys = keys
        self._users = users
        self._others = others
        self._issuer = issuer
        self._verified = Verified()

    @classmethod
    def create(cls, options: Any, context: Context) -> Self:
        """Build one beside the ways to sign in that are its options.

        Args:
            options: Those, by name.
            context: What all are built with.
        """
        from app.identity.own_keys import OwnKeys  # noqa: PLC0415  (large, and not for everybody)

        keys, issuer = OwnKeys(SigningKeys(context.database)), context.settings.api.auth
        return cls(keys, context.users, options, issuer.token_issuer)

    def claim(self, request: RequestView) -> Claim | None:
        """Read a token off the header field Authorization, if a key of ours is its key."""
        scheme, _, text = (request.header("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not looks_like_token(text):
            return None
        text = text.strip()
        head = text[: text.index(".")]
        if len(head) > _LONGEST_HEAD or not _is_own(head):
            return None
        return Claim(hashlib.sha256(text.encode(errors="replace")).hexdigest(), text)

    def verify(self, claim: Claim) -> Identity:
        """Return whom a token stands for.

        Raises:
            NotAuthenticated: It is wrong, or what it stands for does not hold any more.
        """
        digest = bytes.fromhex(claim.subject)
        known = self._verified.get(digest)
        if known is not None:
            return self.recheck(known)
        identity, left = self._read(claim.secret or "")
        current = self.recheck(identity)
        self._verified.put(digest, identity, min(_REMEMBER_SECONDS, left))
        return current

    def recheck(self, identity: Identity) -> Identity:
        """Return what a token is good for by now.

        Raises:
            CredentialEnded: Its key, its user or the credential that it was got with has ended, or
                has other rights by now.
        """
        return self._users.anew(partial(self._by_now, identity))

    def _by_now(self, identity: Identity) -> Identity:
        credential = identity.credential
        jti, name, id_ = (*credential.id.split(":", 2), "", "")[:3]
        kid, _, rest = jti.partition("-")
        other = self._others.get(name)
        if other is None or rest[-_STATE_DIGITS:] != state_of(self._users, identity.username):
            raise CredentialEnded(_ENDED)
        before = replace(identity, credential=Credential(name, id_, credential.expires_at))
        try:
            self._keys.with_kid(f"{_KID_BEGINNING}{kid}")
            current = other.recheck(before)
        except NotAuthenticated as exc:
            raise CredentialEnded(_ENDED) from exc
        if current.roles != identity.roles or self._users.is_shut_out(identity.username):
            raise CredentialEnded(_ENDED)
        scopes = identity.scopes
        if current.scopes is not None:
            scopes = current.scopes if scopes is None else scopes & current.scopes
        return replace(identity, scopes=scopes)

    def challenge(self, refused: NotAuthenticated | None) -> Challenge | None:
        """Return the challenge of RFC 6750, 3 to who sent a wrong token, and else nothing.

        Who has no credential yet must begin with another one.
        """
        return None if refused is None else bearer_challenge(refused)

    def _read(self, text: str) -> tuple[Identity, float]:
        """Return whom a token names whose signature is right, and for how many seconds more."""
        token = parse(text)
        key = self._keys.with_kid(token.kid or "")
        if token.algorithm not in key.algorithms or not key.verifies(
            token.algorithm, token.signed, token.signature
        ):
            raise NotAuthenticated(INVALID)
        claims = token.claims
        if claims.get("iss") != self._issuer or claims.get("aud") != self._issuer:
            raise CredentialEnded("The token is of another name of the service.")
        left = claims["exp"] - time.time()
        if left <= 0:
            raise CredentialEnded("The token has expired.")
        scope = claims.get("scope")
        credential = Credential(
            NAME, f"{claims['jti']}:{claims['by']}", datetime.fromtimestamp(claims["exp"], UTC)
        )
        identity = Identity(
            claims["sub"],
            frozenset(map(Role, claims["roles"])),
            scopes=None if scope is None else permissions_of(scope.split()),
            credential=credential,
        )
        return identity, left


@lru_cache(_HEADS_KEPT)
def _is_own(head: str) -> bool:
    """Return whether the header of a token names a key of the service's own, as it calls them."""
    try:
        kid = parse(f"{head}.e30.").kid
    except NotAuthenticated:
        return False
    return kid is not None and kid.startswith(_KID_BEGINNING)


def _part(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")
