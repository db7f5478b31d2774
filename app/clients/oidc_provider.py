"""An OpenID provider, as a client of it that signs people in: the code flow with PKCE.

Sources: OpenID Connect Core 1.0, 3.1; RFC 7636 (PKCE); OpenID Connect RP-Initiated Logout 1.0.
It is imported only where such a provider is configured: Authlib is large.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

from app.clients._http import bind, upstream_errors
from app.clients.issuers import (
    MOST_BYTES,
    TIMEOUT_SECONDS,
    fetch_metadata,
    not_to_be_trusted,
)
from app.clients.safe_addresses import is_safe
from app.errors import (
    SignInFailed,
    UpstreamError,
    UpstreamGarbled,
    UpstreamRefused,
    UpstreamUnreachable,
)

UPSTREAM: Final = "The identity provider"
_FRESH_SECONDS: Final = 300.0
"""How long metadata are used before they are fetched anew."""
_FAILED_SECONDS: Final = 5.0
"""After a fetch that failed the next one begins at the earliest after so long."""
_MOST_AT_ONCE: Final = 16
"""Most requests that wait for the provider at the same time; others are refused at once."""
_BASIC: Final = "client_secret_basic"
_POST: Final = "client_secret_post"
_REFUSED_CODES: Final = frozenset({"invalid_grant", "access_denied"})


@dataclass(frozen=True, slots=True)
class Client:
    """What the provider knows this service as.

    Attributes:
        secret: None for a public client, which PKCE alone protects.
        scopes: What is asked for.
    """

    issuer: str
    client_id: str
    secret: str | None
    scopes: Collection[str]


class OidcProvider:
    """Asks a provider, for some requests at a time, each within seconds.

    Args:
        client: Who asks.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._metadata: Mapping[str, Any] | None = None
        self._due_at = 0.0
        self._failure: UpstreamError | None = None

    def authorization_url(self, callback: str, *, state: str, nonce: str, verifier: str) -> str:
        """Return where a browser signs in (OpenID Connect Core 1.0, 3.1.2.1).

        Raises:
            UpstreamError: The provider does not tell.
        """
        with self._session(callback) as session:
            url, _ = session.create_authorization_url(
                self._endpoint("authorization_endpoint"),
                state=state, nonce=nonce, code_verifier=verifier,
            )  # fmt: skip
        return str(url)

    def redeem(self, code: str, callback: str, verifier: str) -> Mapping[str, Any]:
        """Return the tokens for a code (OpenID Connect Core 1.0, 3.1.3.3), unverified.

        Raises:
            SignInFailed: The code is wrong, too old, was used, or is not for who asks.
            UpstreamError: The provider does not answer, or not as it should.
        """
        url = self._endpoint("token_endpoint")
        with self._place(), self._session(callback) as session, upstream_errors(UPSTREAM):
            try:
                return dict(
                    session.fetch_token(
                        url, grant_type="authorization_code", code=code, redirect_uri=callback,
                        code_verifier=verifier, allow_redirects=False,
                    )
                )  # fmt: skip
            except OAuthError as exc:
                if exc.error in _REFUSED_CODES:
                    text = f"{UPSTREAM} does not take the code; sign in again."
                    raise SignInFailed(text, detail=str(exc)) from exc
                text = f"{UPSTREAM} refuses this service."
                raise UpstreamRefused(text, detail=str(exc)) from exc
            except ValueError as exc:
                text = f"{UPSTREAM} gave an answer that makes no sense."
                raise UpstreamGarbled(text, detail=str(exc)) from exc

    def names_itself(self) -> bool:
        """Return whether all of its answers to browsers say who it is (RFC 9207, 3)."""
        return self._known().get("authorization_response_iss_parameter_supported") is True

    def sign_out_url(self, back: str, state: str = "") -> str | None:
        """Return where a browser signs out (RP-Initiated Logout 1.0, 2); None where it cannot.

        Args:
            back: Where it is sent afterwards, as it is registered with the provider.
            state: A word that it brings back; empty for none.
        """
        try:
            endpoint = self._known().get("end_session_endpoint")
        except UpstreamError:
            return None
        if not isinstance(endpoint, str) or not is_safe(endpoint):
            return None
        query = {"client_id": self._client.client_id, "post_logout_redirect_uri": back}
        if state:
            query["state"] = state
        parts = urlsplit(endpoint)
        asked = "&".join(filter(None, (parts.query, urlencode(query))))
        return urlunsplit(parts._replace(query=asked))

    def _session(self, callback: str) -> OAuth2Session:
        session = OAuth2Session(
            self._client.client_id, self._client.secret, self._method(),
            scope=" ".join(self._client.scopes), redirect_uri=callback,
            code_challenge_method="S256",
        )  # fmt: skip
        bind(session, UPSTREAM, TIMEOUT_SECONDS, MOST_BYTES)
        return session

    def _method(self) -> str:
        """Return how the service says to the provider who it is (OpenID Connect Core 1.0, 9)."""
        if self._client.secret is None:
            return "none"
        offered = self._known().get("token_endpoint_auth_methods_supported", [_BASIC])
        return _POST if _BASIC not in offered and _POST in offered else _BASIC

    def _endpoint(self, name: str) -> str:
        url = self._known().get(name)
        if not isinstance(url, str) or not is_safe(url):
            raise not_to_be_trusted()
        return url

    def _known(self) -> Mapping[str, Any]:
        """Return the metadata; older ones while there are no newer.

        Raises:
            UpstreamError: They were never had, and cannot be had now.
        """
        if time.monotonic() < self._due_at:
            return self._told()
        with self._place(), self._lock:
            if time.monotonic() < self._due_at:  # another one has asked meanwhile
                return self._told()
            try:
                self._metadata, self._failure = fetch_metadata(self._client.issuer), None
                self._due_at = time.monotonic() + _FRESH_SECONDS
            except UpstreamError as exc:
                self._failure = exc
                self._due_at = time.monotonic() + _FAILED_SECONDS
        return self._told()

    def _told(self) -> Mapping[str, Any]:
        if self._metadata is not None:
            return self._metadata
        assert self._failure is not None  # noqa: S101  (one of the two was set)
        raise self._failure.again()

    def _place(self) -> _Place:
        return _Place(self._places)


class _Place:
    """Holds a place among those who wait; refused at once where there is none."""

    def __init__(self, places: threading.BoundedSemaphore) -> None:
        self._places = places

    def __enter__(self) -> None:
        if not self._places.acquire(blocking=False):
            text = "Too many people are signing in at the moment."
            raise UpstreamUnreachable(text, retry_after_seconds=_FAILED_SECONDS)

    def __exit__(self, *_: object) -> None:
        self._places.release()
