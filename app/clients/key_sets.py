"""The public keys of an issuer of tokens, as it publishes them."""

from __future__ import annotations

from typing import Any

from app.clients._http import expecting_shape
from app.clients.issuers import UPSTREAM, fetch_document, fetch_metadata, not_to_be_trusted
from app.clients.safe_addresses import is_safe


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

    def fetch(self) -> list[Any]:
        """Return the keys, which nobody has looked at yet.

        Raises:
            UpstreamError: They cannot be had, or the answer is no set of keys.
        """
        url = self._jwks_url or self._discover()
        with expecting_shape(UPSTREAM):
            keys = fetch_document(url)["keys"]
            if not isinstance(keys, list):
                raise TypeError("'keys' is no list")
        return keys

    def _discover(self) -> str:
        url = fetch_metadata(self._issuer or "").get("jwks_uri")
        if not isinstance(url, str) or not is_safe(url):
            raise not_to_be_trusted()
        return url
