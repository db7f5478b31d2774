"""OpenID Connect: people sign in with browsers at an identity provider, programs by its tokens.

Sources: OpenID Connect Core 1.0; RFC 9207 (issuer identification); RFC 9068 (JWT access tokens).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

from app.clients.safe_addresses import is_safe
from app.domain import Credential, Identity
from app.errors import CredentialEnded, FieldError, NotAuthenticated, SignInFailed, UpstreamRefused
from app.identity import departures
from app.identity.jwt import IssuerOptions, Jwt, Trusted, claim_rules, issuers_of, unsafe_addresses
from app.identity.jwt_claims import issuer_of, parse, subject_of
from app.identity.port import Arrival, Claim, Context, RequestView
from app.identity.sessions import epoch_of
from app.identity.users import UserDirectory
from app.settings import AuthSettings
from app.settings.schema import Names, ServerUrl, Text, setting

if TYPE_CHECKING:
    from app.clients.oidc_provider import OidcProvider

CALLBACK: Final = "/auth/oidc/callback"
"""Where the provider sends browsers back to."""
SIGNED_OUT: Final = "/docs"
"""Where the provider sends browsers that have signed out."""

_NAME: Final = "oidc"
_PATH: Final = "api.auth.oidc"
_BROWSER: Final = "browser"
_BEGIN_ANEW: Final = "This is no answer to a sign-in that this browser has begun; begin anew."
_UNWELL: Final = frozenset({"server_error", "temporarily_unavailable"})
"""What a provider says that cannot sign anybody in (OpenID Connect Core 1.0, 3.1.2.6)."""
_LONGEST_TOLD: Final = 60


class Oidc(Jwt):
    """Signs people in at a provider, and takes the access tokens that it issues as JWTs.

    Who has signed in with a browser is known by the name and the roles that the provider told then,
    until the session ends.

    Args:
        trusted: The provider, with what its access tokens must say.
        users: Who is shut out.
        browser: Signs people in.
        alone: No other way takes tokens, so all of them are looked at here.
    """

    @dataclass(frozen=True)
    class Options(IssuerOptions):
        """An OpenID provider: where browsers sign in, and whose access tokens are taken.

        `issuer` is needed, and `client_id`; without `audience` an access token must be for the
        client itself.
        """

        client_id: str | None = setting(
            Text(load_default=None), "What the provider knows the service as."
        )
        client_secret: str | None = setting(
            Text(load_default=None),
            "The secret of that client; without, it is a public one, which PKCE protects.",
            secret=True,
        )
        ask_for: tuple[str, ...] = setting(
            Names(default=("openid",)),
            "Scopes that are asked for when somebody signs in with a browser; `openid` is always.",
        )
        public_url: str | None = setting(
            ServerUrl(load_default=None),
            "Where browsers reach the service, such as `https://slipway.example.org`, if it cannot "
            "tell that by itself, as behind a proxy that is not in `api.trusted_proxies`. The "
            "provider must know `/auth/oidc/callback` below it, and `/docs` for signing out.",
        )

    name = _NAME
    needs = "a token of the identity provider"
    particular = True

    def __init__(
        self, trusted: Trusted, users: UserDirectory, browser: CodeFlow, *, alone: bool
    ) -> None:
        super().__init__([trusted], users)
        self._issuer = trusted.issuer
        self._alone = alone
        self.browser = browser

    @classmethod
    def create(cls, options: Any, context: Context) -> Self:
        """Build one for the provider of the settings."""
        # What speaks HTTP must not be loaded before gevent has patched, nor where nobody needs it.
        from app.clients.key_sets import KeySetClient  # noqa: PLC0415
        from app.clients.oidc_provider import Client, OidcProvider  # noqa: PLC0415
        from app.identity.jwt_keys import FetchedKeys  # noqa: PLC0415

        algorithms = frozenset(options.algorithms)
        keys = FetchedKeys(KeySetClient(options.issuer, options.jwks_url).fetch, algorithms)
        rules = claim_rules(options)
        tokens = replace(rules, audience=rules.audience or (options.client_id,))
        identity = replace(rules, audience=(options.client_id,), scopes=False)
        asked = dict.fromkeys(("openid", *options.ask_for))
        client = Client(options.issuer, options.client_id, options.client_secret, tuple(asked))
        flow = CodeFlow(
            OidcProvider(client),
            Trusted(options.issuer, algorithms, keys, identity),
            context.users,
            client_id=options.client_id,
            public_url=options.public_url,
        )
        alone = Jwt.name not in context.settings.api.auth.types
        trusted = Trusted(options.issuer, algorithms, keys, tokens)
        return cls(trusted, context.users, flow, alone=alone)

    @classmethod
    def faults(cls, options: Any, auth: AuthSettings) -> list[FieldError]:
        """Return what is wrong between these settings and the others of who may sign in."""
        found = [
            FieldError(f"{_PATH}.{name}", f"is needed with '{_NAME}'")
            for name in ("issuer", "client_id")
            if not getattr(options, name)
        ]
        if options.issuer and not is_safe(options.issuer):
            text = "must be an address of HTTPS, or one of loopback"
            found.append(FieldError(f"{_PATH}.issuer", text))
        elif options.jwks_url:
            found += unsafe_addresses(_PATH, options)
        others = auth.options.get(Jwt.name)
        if options.issuer == auth.token_issuer:
            text = "must be another one than that of the identity provider"
            found.append(FieldError("api.auth.token_issuer", text))
        if others is not None and options.issuer in [each.issuer for each in issuers_of(others)]:
            text = f"must be another one than those of 'api.auth.{Jwt.name}'"
            found.append(FieldError(f"{_PATH}.issuer", text))
        return found

    def claim(self, request: RequestView) -> Claim | None:
        """Read a token of the provider off the header field Authorization."""
        claim = super().claim(request)
        if claim is None or self._alone or issuer_of(claim.secret or "") == self._issuer:
            return claim
        return None

    def recheck(self, identity: Identity) -> Identity:
        """Return the identity, unless its user may not sign in by now; see :meth:`Jwt.recheck`."""
        username, _, epoch = identity.credential.id.removeprefix(f"{_BROWSER}:").rpartition(":")
        if identity.credential.id.startswith(f"{_BROWSER}:") and epoch != epoch_of(
            self._users, username
        ):
            raise CredentialEnded("The user has to sign in again.")
        return super().recheck(identity)


class CodeFlow:
    """Signs people in with the code flow (OpenID Connect Core 1.0, 3.1).

    Args:
        provider: Is asked.
        trusted: The same provider, with what its id tokens must say.
        users: Who is shut out.
        client_id: What the provider knows the service as.
        public_url: Where browsers reach the service; None if as they ask for it.
    """

    def __init__(
        self,
        provider: OidcProvider,
        trusted: Trusted,
        users: UserDirectory,
        *,
        client_id: str,
        public_url: str | None,
    ) -> None:
        self._provider = provider
        self._trusted = trusted
        self._users = users
        self._client_id = client_id
        self._public_url = public_url

    def depart(self, secret: str, target: str, here: str) -> str:
        """Return the address at which the browser signs in; see :class:`BrowserSignIn`."""
        begun = departures.begin(secret, target)
        return self._provider.authorization_url(
            self._at(here, CALLBACK), state=begun.state, nonce=begun.nonce, verifier=begun.verifier
        )

    def arrive(self, secret: str | None, answer: Mapping[str, str], here: str) -> Arrival:
        """Return who has come back; see :class:`BrowserSignIn`."""
        begun = departures.found_again(secret or "", answer.get("state", ""))
        if begun is None:
            raise SignInFailed(_BEGIN_ANEW)
        self._check_sender(answer)
        if "error" in answer:
            raise _refusal(answer["error"])
        code = answer.get("code")
        if not code:
            raise SignInFailed(_BEGIN_ANEW)
        tokens = self._provider.redeem(code, self._at(here, CALLBACK), begun.verifier)
        return Arrival(self._identity(tokens, begun.nonce), begun.target)

    def has_begun(self, credential: Credential) -> bool:
        """Return whether a credential is of somebody who has signed in by this flow."""
        return credential.authenticator == _NAME and credential.id.startswith(f"{_BROWSER}:")

    def goodbye(self, here: str, state: str = "") -> str | None:
        """Return where a browser signs out at the provider; see :class:`BrowserSignIn`."""
        return self._provider.sign_out_url(self._at(here, SIGNED_OUT), state)

    def _at(self, here: str, path: str) -> str:
        return (self._public_url or here).rstrip("/") + path

    def _check_sender(self, answer: Mapping[str, str]) -> None:
        """Make sure that an answer is this provider's, and no other's (RFC 9207, 2.4)."""
        told = answer.get("iss")
        if told is None and not self._provider.names_itself():
            return
        if told != self._trusted.issuer:
            raise SignInFailed("The answer is of another identity provider; begin anew.")

    def _identity(self, tokens: Mapping[str, Any], nonce: str) -> Identity:
        """Return whom an id token is about (OpenID Connect Core 1.0, 3.1.3.7)."""
        from authlib.oidc.core import CodeIDToken  # noqa: PLC0415  (large)
        from joserfc.errors import JoseError  # noqa: PLC0415

        try:
            token = parse(str(tokens.get("id_token", "")))
            if not self._trusted.has_signed(token):
                raise SignInFailed("The id token is not signed by the identity provider.")
            subject = subject_of(token.claims, self._trusted.rules, time.time())
            claims = CodeIDToken(
                dict(token.claims),
                {"alg": token.algorithm},
                options={"iss": {"essential": True, "value": self._trusted.issuer}},
                params={
                    "nonce": nonce,
                    "client_id": self._client_id,
                    "access_token": tokens.get("access_token"),
                },
            )
            claims.validate(now=int(time.time()), leeway=self._trusted.rules.leeway_seconds)
        except NotAuthenticated as exc:
            raise SignInFailed(f"The id token does not hold. {exc.message}") from exc
        except (JoseError, ValueError, TypeError) as exc:
            raise SignInFailed("The id token does not hold.", detail=str(exc)) from exc
        if self._users.is_shut_out(subject.username):
            raise SignInFailed("The user may not sign in.")
        id_ = f"{_BROWSER}:{subject.username}:{epoch_of(self._users, subject.username)}"
        return Identity(subject.username, subject.roles, credential=Credential(_NAME, id_))


def _refusal(error: str) -> SignInFailed | UpstreamRefused:
    """Return what an error of the provider means (RFC 6749, 4.1.2.1)."""
    word = "".join(c for c in error if c.isascii() and (c.isalnum() or c == "_"))[:_LONGEST_TOLD]
    text = f"The identity provider did not sign anybody in: {word or 'no reason'}."
    return UpstreamRefused(text) if word in _UNWELL else SignInFailed(text)
