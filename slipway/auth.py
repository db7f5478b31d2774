"""Who asks: what is sent with each request.

Whatever it is, it is an ``AuthBase``, also for nobody: else ``requests`` takes what stands in
``~/.netrc`` in its place.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from requests import PreparedRequest
from requests.auth import AuthBase

from slipway.errors import Misused, NotSignedIn, Unreachable
from slipway.private_files import locked, write_private

_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_RENEW_BEFORE_SECONDS: Final = 30.0
"""A token is renewed this long before it ends, so that no request is sent with one that ends."""


class Credential(AuthBase):
    """What is sent with a request."""

    def renew(self) -> bool:
        """Get another one in the place of what was refused; return whether there is one."""
        return False


class Nobody(Credential):
    """No credential, as for a service without authentication."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add it to a request."""
        return request


class Password(Credential):
    """A user name and a password (RFC 7617, in UTF-8)."""

    def __init__(self, user: str, password: str) -> None:
        if ":" in user or not user:
            raise Misused("A user name has at least one character, and no colon.")
        self.user = user
        try:
            pair = f"{user}:{password}".encode()
        except UnicodeEncodeError:
            raise Misused("A user name and a password are texts in UTF-8.") from None
        self._value = "Basic " + b64encode(pair).decode("ascii")

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add it to a request."""
        request.headers["Authorization"] = self._value
        return request

    def __repr__(self) -> str:
        return f"Password({self.user!r}, ...)"


class Token(Credential):
    """A bearer token (RFC 6750)."""

    def __init__(self, token: str) -> None:
        self._value = "Bearer " + _visible(token, "A token")

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add it to a request."""
        request.headers["Authorization"] = self._value
        return request

    def __repr__(self) -> str:
        return "Token(...)"


class ApiKey(Credential):
    """An API key of the service, sent as ``X-API-Key``."""

    def __init__(self, key: str) -> None:
        self._key = _visible(key, "An API key")

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add it to a request."""
        request.headers["X-API-Key"] = self._key
        return request

    def __repr__(self) -> str:
        return "ApiKey(...)"


@dataclass(frozen=True)
class OidcTokens:
    """What somebody has after signing in at an issuer.

    Attributes:
        expires_at: When the access token ends, in seconds since 1970; None where nobody knows.
        token_endpoint: Where it is renewed.
    """

    token_endpoint: str
    client_id: str
    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None

    def write(self, path: Path) -> None:
        """Keep them in a file of their own (0600), which is there as a whole or not at all."""
        write_private(path, json.dumps(self.__dict__))

    @classmethod
    def read(cls, path: Path) -> OidcTokens:
        """Read what was kept.

        Raises:
            Misused: There is nothing that could be read.
        """
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                token_endpoint=_kept(kept, "token_endpoint", str),
                client_id=_kept(kept, "client_id", str),
                access_token=_visible(_kept(kept, "access_token", str), "A token"),
                refresh_token=_kept(kept, "refresh_token", str | None),
                expires_at=_kept(kept, "expires_at", int | float | None),
            )
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            raise Misused(f"{path} holds no tokens; sign in again: slipway login --oidc") from None


class StoredTokens(Credential):
    """Tokens of an OpenID Connect provider in a file, which are renewed without a word.

    All programs of a user share the file: one renews the tokens, under a lock, and the others read
    what it got.

    Args:
        path: Where :meth:`OidcTokens.write` put them.
        clock: Tells the seconds since 1970.
    """

    def __init__(
        self, path: str | os.PathLike[str], clock: Callable[[], float] = time.time
    ) -> None:
        self._path = Path(path)
        self._clock = clock
        self._tokens = OidcTokens.read(self._path)
        self._turn = threading.Lock()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add it to a request."""
        ends_at = self._tokens.expires_at
        if ends_at is not None and self._clock() > ends_at - _RENEW_BEFORE_SECONDS:
            self._renew(needed=self._clock() > ends_at)
        request.headers["Authorization"] = f"Bearer {self._tokens.access_token}"
        return request

    def __repr__(self) -> str:
        return f"StoredTokens({str(self._path)!r})"

    def renew(self) -> bool:
        """Renew the tokens because the service refused them."""
        used = self._tokens.access_token
        self._renew(needed=True)
        return self._tokens.access_token != used

    def _renew(self, *, needed: bool) -> None:
        """Get new tokens, or those that another program got; without need faults are no matter."""
        used = self._tokens.access_token
        with self._turn:
            if self._tokens.access_token != used:
                return
            try:
                with locked(self._path):
                    kept = OidcTokens.read(self._path)
                    if kept.access_token == used:
                        kept = self._ask(kept)
                        kept.write(self._path)
                    self._tokens = kept
            except (Unreachable, NotSignedIn, OSError) as exc:
                if needed:
                    raise _not_renewed(exc) if isinstance(exc, OSError) else exc from None

    def _ask(self, kept: OidcTokens) -> OidcTokens:
        from slipway import device_flow  # noqa: PLC0415  (few need it)

        if kept.refresh_token is None:
            raise _ended("The sign-in has ended.")
        try:
            given = device_flow.renew(kept.token_endpoint, kept.client_id, kept.refresh_token)
        except device_flow.IssuerUnreachable as exc:
            raise Unreachable(str(exc)) from None
        except device_flow.SignInError as exc:
            raise _ended(str(exc)) from None
        return OidcTokens(
            token_endpoint=kept.token_endpoint,
            client_id=kept.client_id,
            access_token=given.access_token,
            # An issuer that gives no other one lets this one be used on (RFC 6749, 6).
            refresh_token=given.refresh_token or kept.refresh_token,
            expires_at=None if given.expires_in is None else self._clock() + given.expires_in,
        )


def credential(auth: object) -> AuthBase:
    """Return what sends a credential, of what a client was given.

    Args:
        auth: None, a user name with a password, or an object that does it by itself.

    Raises:
        Misused: It is none of these.
    """
    if auth is None:
        return Nobody()
    if isinstance(auth, AuthBase):
        return auth
    if isinstance(auth, tuple) and len(auth) == 2 and all(isinstance(x, str) for x in auth):
        return Password(*auth)
    raise Misused("auth is None, (user, password), Token(...), ApiKey(...) or StoredTokens(...).")


def _not_renewed(exc: OSError) -> Unreachable:
    return Unreachable(f"The sign-in cannot be renewed here: {exc.strerror or exc}.")


def _ended(why: str) -> NotSignedIn:
    return NotSignedIn(401, {"title": "Not signed in", "status": 401,
                             "detail": f"{why} Sign in again: slipway login --oidc"})  # fmt: skip


def _visible(text: str, what: str) -> str:
    """Return what can be sent in a header field."""
    if not isinstance(text, str) or not _VISIBLE.fullmatch(text):
        raise Misused(f"{what} is made of visible ASCII characters, without spaces.")
    return text


def _kept(kept: Mapping[str, Any], name: str, kind: Any) -> Any:
    value = kept.get(name)
    if not isinstance(value, kind):
        raise TypeError(name)
    return value
