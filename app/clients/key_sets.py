"""The public keys of an issuer of tokens, as it publishes them."""

from __future__ import annotations

from typing import Any, Final

from app.clients._http import HttpSession, expecting_shape, read_json
from app.clients.safe_addresses import is_safe
from app.errors import UpstreamGarbled, UpstreamRefused

TIMEOUT_SECONDS: Final = 5.0
"""Longest wait for a connection, and for an answer."""
_UPSTREAM: Final = "The issuer of the tokens"
_MOST_BYTES: Final = 256 * 1024
_METADATA: Final = "/.well-known/openid-configuration"


class KeySetClient:
    """Fetches a JWK Set (RFC 7517, 5).

    Args:
        issuer: Its metadata says where the keys are (OpenID Connect Discovery 1.0, 4); None where
            ``jwks_url`` says so.
        jwks_url: Where the keys are; found by discovery if None.
    """

    def __init__(self, issuer: str | None, jwks_url: str | None) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._session = HttpSession(
            _UPSTREAM, timeout_seconds=TIMEOUT_SECONDS, keep_alive=False,
            max_body_bytes=_MOST_BYTES,
        )  # fmt: skip

    def fetch(self) -> list[Any]:
        """Return the keys, which nobody has looked at yet.

        Raises:
            UpstreamError: They cannot be had, or the answer is no set of keys.
        """
        url = self._jwks_url or self._discover()
        with expecting_shape(_UPSTREAM):
            keys = self._get(url)["keys"]
            if not isinstance(keys, list):
                raise TypeError("'keys' is no list")
        return keys

    def _discover(self) -> str:
        issuer = self._issuer or ""
        with expecting_shape(_UPSTREAM):
            metadata = self._get(issuer.rstrip("/") + _METADATA)
            told, url = metadata["issuer"], metadata["jwks_uri"]
        if told != issuer or not isinstance(url, str) or not is_safe(url):
            detail = "its metadata name another issuer, or an address that is not safe"
            raise UpstreamGarbled(f"{_UPSTREAM} cannot be trusted.", detail=detail)
        return url

    def _get(self, url: str) -> Any:
        response = self._session.get(url, headers={"Accept": "application/json"})
        if response.status_code != 200:
            detail = f"HTTP {response.status_code}"
            raise UpstreamRefused(f"{_UPSTREAM} does not tell its keys.", detail=detail)
        return read_json(response, _UPSTREAM)
