"""A real OpenID provider: npm's ``oidc-provider``, certified, on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
from joserfc import jwk
from kit.ports import free_port
from kit.servers.processes import ServerProcess, unavailable
from kit.tokens import key, sign

AUDIENCE = "https://slipway.test/api"
"""Of its access tokens, which must be an absolute URI (RFC 8707, 2)."""
LIFETIMES = {"AccessToken": 600, "IdToken": 600, "DeviceCode": 600, "Session": 3600}
WEB, CLI = "web", "cli"
WEB_SECRET = "of the client, for the tests only"

_PINNED = Path(__file__).parent / "oidc_provider"
_DISCOVERY = "/.well-known/openid-configuration"


def _folder() -> Path:
    """Find what ``.ci/build-oidc-provider`` made of the lock file as it is now."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(os.environ.get("SLIPWAY_TEST_CACHE") or home / "slipway-tests")
    lock = (_PINNED / "package-lock.json").read_bytes()
    folder = cache / f"oidc-provider-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (folder / "node").exists():
        unavailable("npm's oidc-provider was not found")
    return folder


class OidcProvider:
    """One provider; what it knows of sign-ins is in its memory, and gone with :meth:`stop`.

    Its clients are :data:`WEB`, with a secret and for browsers, and :data:`CLI`, which has none and
    uses the device flow (RFC 8628). Its pages take any name with any password.

    Args:
        folder: Where it keeps its settings and its log.
        claims: Claims of accounts, by name, in its id tokens and JWT access tokens; others have
            only ``sub``.
        jwts: Its access tokens are JWTs for :data:`AUDIENCE`; else opaque.
        scopes: Scopes that it gives beside ``openid`` and ``offline_access``.
        lifetimes: Seconds, by the kind of token.
        clock_offset: Seconds by which its clock is ahead.

    Attributes:
        issuer: Its URL.
        keys: Its private keys, as JWKs; it signs with the first. They and all others hold from the
            next start on.
        redirect_uris: Where it sends browsers back to.
        logout_uris: Where it sends browsers after signing out.
    """

    def __init__(
        self,
        folder: Path,
        *,
        claims: Mapping[str, Mapping[str, Any]] | None = None,
        jwts: bool = True,
        scopes: Sequence[str] = (),
        lifetimes: Mapping[str, int] | None = None,
        clock_offset: int = 0,
    ) -> None:
        self._installed = _folder()
        self._file = folder / "oidc-provider.json"
        self._log = folder / "oidc-provider.log"
        self._port = free_port()
        self._process: ServerProcess | None = None
        self.claims = {name: dict(each) for name, each in (claims or {}).items()}
        self.jwts = jwts
        self.scopes = list(scopes)
        self.lifetimes = {**LIFETIMES, **(lifetimes or {})}
        self.clock_offset = clock_offset
        self.issuer = f"http://127.0.0.1:{self._port}"
        self.keys = [_named(key("RSA"))]
        self.redirect_uris = ["http://127.0.0.1:1/callback"]
        self.logout_uris: list[str] = []

    def start(self) -> None:
        """Start it, or start it again where it was."""
        self._file.write_text(json.dumps(self._options()))
        script = str(_PINNED / "provider.mjs")
        modules = str(self._installed / "node_modules")
        self._process = ServerProcess(
            [str(self._installed / "node"), script, modules, str(self._file)],
            log=self._log, ready=self._is_ready, stop_signal=signal.SIGTERM,
        )  # fmt: skip

    def stop(self) -> None:
        """End it, also where it hangs."""
        if self._process is not None:
            self.signal(signal.SIGCONT)
            self._process.stop()
            self._process = None

    def restart(self) -> None:
        """End it and start it again, so that what was changed holds."""
        self.stop()
        self.start()

    def rotate(self, alg: str = "RS256") -> None:
        """Sign with a new key from now on; the old ones are still published."""
        new = jwk.RSAKey.generate_key(2048) if alg == "RS256" else jwk.ECKey.generate_key("P-256")
        self.keys.insert(0, _named(new, alg))
        self.restart()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP."""
        assert self._process is not None
        self._process.send(number)

    def metadata(self) -> dict[str, Any]:
        """What it says about itself (OpenID Connect Discovery 1.0, 4.2)."""
        return requests.get(self.issuer + _DISCOVERY, timeout=30).json()  # type: ignore[no-any-return]

    def sign(self, **claims: Any) -> str:
        """Sign a token with its key that it would not issue itself."""
        newest = self.keys[0]
        private = jwk.import_key(newest)
        return sign({"iss": self.issuer, **claims}, private, newest["alg"], kid=newest["kid"])

    def token(self, **form: str) -> requests.Response:
        """Ask its token endpoint (RFC 6749, 3.2)."""
        return requests.post(f"{self.issuer}/token", data=form, timeout=30)

    def _options(self) -> dict[str, Any]:
        web = {
            "client_id": WEB, "client_secret": WEB_SECRET, "redirect_uris": self.redirect_uris,
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "post_logout_redirect_uris": self.logout_uris,
        }  # fmt: skip
        cli = {
            "client_id": CLI, "token_endpoint_auth_method": "none", "redirect_uris": [],
            "response_types": [],
            "grant_types": ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
        }  # fmt: skip
        return {
            "port": self._port, "jwks": {"keys": self.keys}, "clients": [web, cli],
            "claims": self.claims, "audience": AUDIENCE if self.jwts else None,
            "scopes": self.scopes, "lifetimes": self.lifetimes, "clock_offset": self.clock_offset,
        }  # fmt: skip

    def _is_ready(self) -> bool:
        try:
            return requests.get(self.issuer + _DISCOVERY, timeout=30).ok
        except requests.ConnectionError:
            return False


def _named(key_: Any, alg: str = "RS256") -> dict[str, Any]:
    return {**key_.as_dict(private=True), "kid": uuid.uuid4().hex, "alg": alg, "use": "sig"}
