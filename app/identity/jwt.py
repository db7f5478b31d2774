"""JSON Web Tokens (RFC 7519) as bearer tokens (RFC 6750): signed with a secret, or by issuers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from app.clients.safe_addresses import is_safe
from app.domain import Credential, Identity, Role
from app.errors import FieldError, NotAuthenticated
from app.identity.jwt_claims import (
    INVALID,
    ClaimRules,
    Token,
    looks_like_token,
    parse,
    refused,
    subject_of,
)
from app.identity.port import (
    Authenticator,
    Challenge,
    Claim,
    Context,
    RequestView,
    bearer_challenge,
)
from app.identity.users import UserDirectory
from app.identity.verified import Verified
from app.settings import AuthSettings
from app.settings.schema import (
    Flag,
    Names,
    NamesByWord,
    ServerUrl,
    Text,
    sections,
    setting,
)

if TYPE_CHECKING:
    from app.identity.jwt_keys import Keys, VerifyingKey

log = structlog.get_logger(__name__)

_SECRET: Final = ("HS256",)
_PUBLISHED: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    "Ed25519",
)  # fmt: skip
_REMEMBER_SECONDS: Final = 60.0
"""How long a token that was verified is not verified again, if it does not expire before."""


@dataclass(frozen=True)
class ClaimOptions:
    """What the claims of tokens mean here."""

    audience: tuple[str, ...] = setting(
        Names(), "One of these must be in the `aud` of its tokens. Without, any token of the "
        "issuer is taken, also those that are for others.",
    )  # fmt: skip
    user_claim: str = setting(Text(load_default="sub"), "Claim that holds the user name.")
    roles_claim: str = setting(
        Text(load_default="roles"),
        "Claim that holds the roles; one within another is written as `realm_access.roles`.",
    )
    roles: Mapping[str, Sequence[str]] = setting(
        NamesByWord(among=tuple(Role)),
        "What the words of that claim stand for, such as `{hpc-staff: [operator]}`; words that are "
        "not named give no role. Without, they are the roles of Slipway themselves.",
    )
    default_roles: Sequence[str] = setting(
        Names(among=tuple(Role), default=("user",)), "Roles of tokens without that claim."
    )
    scopes: bool = setting(
        Flag(load_default=True),
        "Whether `scope` or `scp` of a token narrow what it is good for. Those of OpenID Connect, "
        "such as `profile`, never do.",
    )


@dataclass(frozen=True)
class IssuerOptions(ClaimOptions):
    """An issuer of tokens whose keys are public."""

    issuer: str | None = setting(
        Text(load_default=None),
        "What its tokens hold as `iss`; without `jwks_url` its address, whose metadata tell where "
        "the keys are (`/.well-known/openid-configuration`).",
    )
    jwks_url: str | None = setting(
        ServerUrl(load_default=None), "Where its keys are. HTTPS, or loopback."
    )
    algorithms: tuple[str, ...] = setting(
        Names(among=_PUBLISHED, default=("RS256", "ES256", "EdDSA", "Ed25519")),
        "The algorithms that it signs with; others are refused.",
    )


class Jwt(Authenticator):
    """Verifies tokens.

    Which keys may have signed a token follows from its ``iss``, and each key has its algorithms; a
    token chooses neither. What was right is remembered by its digest for a minute at most, and ends
    at once when its user is disabled.

    Args:
        trusted: Who may sign.
        users: Who is shut out.
    """

    @dataclass(frozen=True)
    class Options(IssuerOptions):
        """Tokens signed with `api.auth.secret`, and those of issuers with public keys.

        The first settings are those of an issuer; with `issuers` there can be several.
        """

        issuers: Sequence[IssuerOptions] = setting(
            sections(IssuerOptions), "More issuers, each with the settings of one."
        )
        secret_issuer: str | None = setting(
            Text(load_default=None),
            "What tokens that are signed with `api.auth.secret` must hold as `iss`; any if none.",
        )

    name = "jwt"
    needs = "a token"
    unguessable = True
    scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}  # noqa: RUF012

    def __init__(self, trusted: Sequence[Trusted], users: UserDirectory) -> None:
        self._trusted = trusted
        self._users = users
        self._verified = Verified()

    @classmethod
    def create(cls, options: Any, context: Context) -> Self:
        """Build one for the secret and the issuers of the settings."""
        # What speaks HTTP must not be loaded before gevent has patched, nor where nobody needs it.
        from app.clients.key_sets import KeySetClient  # noqa: PLC0415
        from app.identity.jwt_keys import FetchedKeys, FixedKeys, secret_key  # noqa: PLC0415

        auth, issuers = context.settings.api.auth, issuers_of(options)
        trusted = [
            Trusted(
                each.issuer,
                frozenset(each.algorithms),
                FetchedKeys(KeySetClient(each.issuer, each.jwks_url).fetch, each.algorithms),
                claim_rules(each),
            )
            for each in issuers
        ]
        if auth.secret is not None:
            keys = FixedKeys(secret_key(auth.secret))
            rules = claim_rules(options)
            trusted.append(Trusted(options.secret_issuer, frozenset(_SECRET), keys, rules))
        for each in trusted:
            if not each.rules.audience:
                log.warning("tokens for any audience are taken", issuer=each.issuer)
        return cls(trusted, context.users)

    @classmethod
    def faults(cls, options: Any, auth: AuthSettings) -> list[FieldError]:
        """Return what is wrong between these settings and the others of who may sign in."""
        issuers = issuers_of(options)
        found = []
        if auth.secret is None and not issuers:
            text = (
                "is needed with 'jwt', 32 bytes at least; or else 'api.auth.jwt.issuer' or "
                "'jwks_url', for tokens that are signed by an issuer"
            )
            found.append(FieldError("api.auth.secret", text))
        names = [each.issuer for each in issuers]
        if options.secret_issuer is not None:
            names.append(options.secret_issuer)
        if len(set(names)) < len(names):
            found.append(FieldError("api.auth.jwt.issuers", "must each have another 'issuer'"))
        if auth.token_issuer in names:
            text = "must be another one than that of the tokens of others, in 'api.auth.jwt'"
            found.append(FieldError("api.auth.token_issuer", text))
        return found + [
            fault for place, each in _places(options) for fault in unsafe_addresses(place, each)
        ]

    @property
    def issuers(self) -> tuple[str, ...]:
        """Where tokens are had whose keys are public."""
        return tuple(each.issuer for each in self._trusted if each.issuer and is_safe(each.issuer))

    def claim(self, request: RequestView) -> Claim | None:
        """Read a token off the header field Authorization."""
        scheme, _, text = (request.header("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not looks_like_token(text):
            return None
        text = text.strip()
        # The digest tells tokens apart, also wrong ones, and nobody gets the token from it.
        return Claim(hashlib.sha256(text.encode(errors="replace")).hexdigest(), text)

    def verify(self, claim: Claim) -> Identity:
        """Return whom a token belongs to.

        Raises:
            NotAuthenticated: It is wrong, has ended, or its user may not sign in.
            UpstreamUnreachable: The keys of its issuer are not known.
        """
        digest = bytes.fromhex(claim.subject)
        identity = self._verified.get(digest)
        if identity is not None:
            return self.recheck(identity)
        try:
            token = parse(claim.secret or "")
        except NotAuthenticated:
            for each in self._trusted:
                each.pretend()
            raise
        trusted = self._signer(token)
        subject = subject_of(token.claims, trusted.rules, time.time())
        identity = Identity(
            subject.username,
            subject.roles,
            subject.scopes,
            credential=Credential(self.name, claim.subject[:16], subject.expires_at),
        )
        identity = self.recheck(identity)
        left = subject.expires_at.timestamp() - time.time()
        self._verified.put(digest, identity, min(_REMEMBER_SECONDS, left))
        return identity

    def recheck(self, identity: Identity) -> Identity:
        """Return the identity, unless its user may not sign in by now.

        Raises:
            NotAuthenticated: They may not.
        """
        if self._users.is_shut_out(identity.username):
            raise NotAuthenticated("The user of the token may not sign in.")
        return identity

    def challenge(self, refused: NotAuthenticated | None) -> Challenge | None:
        """Return the challenge of RFC 6750, 3."""
        return bearer_challenge(refused)

    def _signer(self, token: Token) -> Trusted:
        """Return who signed a token.

        Raises:
            NotAuthenticated: Nobody who may.
        """
        issuer = token.claims.get("iss")
        named = [each for each in self._trusted if each.issuer is not None]
        candidates = [each for each in named if each.issuer == issuer]
        candidates = candidates or [each for each in self._trusted if each.issuer is None]
        for each in candidates:
            if each.has_signed(token):
                return each
        # What is wrong with a token does not show in the time that it takes to refuse it.
        for each in self._trusted:
            if each not in candidates:
                each.pretend()
        if not candidates:
            raise refused("iss")
        raise NotAuthenticated(INVALID)


@dataclass(frozen=True, slots=True)
class Trusted:
    """Somebody who may sign tokens.

    Attributes:
        issuer: ``iss`` of their tokens; None takes every one that is not another's.
        algorithms: Those that they sign with.
    """

    issuer: str | None
    algorithms: frozenset[str]
    keys: Keys
    rules: ClaimRules = field(default_factory=ClaimRules)

    def has_signed(self, token: Token) -> bool:
        """Return whether the signature of a token is of one of their keys.

        Raises:
            UpstreamUnreachable: Their keys are not known.
        """
        if token.algorithm not in self.algorithms:
            self.pretend()
            return False
        found = self.keys.fitting(token.algorithm, token.kid)
        if _is_of_one(token, found):
            return True
        if self.keys.newer(unknown=not found):
            found = self.keys.fitting(token.algorithm, token.kid)
            if _is_of_one(token, found):
                return True
        if not found:
            self.pretend()
        return False

    def pretend(self) -> None:
        """Take as long as if a token was theirs to look at, and had a wrong signature."""
        key = self.keys.some()
        if key is not None:
            key.pretend()


def _is_of_one(token: Token, keys: Sequence[VerifyingKey]) -> bool:
    return any(key.verifies(token.algorithm, token.signed, token.signature) for key in keys)


def _places(options: Jwt.Options) -> list[tuple[str, IssuerOptions]]:
    """Return the issuers of the settings, each with where it stands."""
    many = [(f"api.auth.jwt.issuers[{n}]", each) for n, each in enumerate(options.issuers)]
    own = options.issuer is not None or options.jwks_url is not None
    return [("api.auth.jwt", options), *many] if own else many


def issuers_of(options: Jwt.Options) -> list[IssuerOptions]:
    """Return the issuers of the settings."""
    return [each for _, each in _places(options)]


def unsafe_addresses(place: str, each: IssuerOptions) -> list[FieldError]:
    """Return what is wrong with where the keys of an issuer are."""
    name, url = ("jwks_url", each.jwks_url) if each.jwks_url else ("issuer", each.issuer)
    if url is None:
        return [FieldError(place, "needs 'issuer' or 'jwks_url'")]
    if is_safe(url):
        return []
    return [FieldError(f"{place}.{name}", "must be an address of HTTPS, or one of loopback")]


def claim_rules(options: ClaimOptions) -> ClaimRules:
    """Return how the claims of an issuer are read."""
    return ClaimRules(
        audience=tuple(options.audience),
        user=options.user_claim,
        roles=options.roles_claim,
        role_words={word: tuple(map(Role, names)) for word, names in options.roles.items()},
        default_roles=frozenset(map(Role, options.default_roles)),
        scopes=options.scopes,
    )
