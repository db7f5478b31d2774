"""Asking an issuer whether a token is good (RFC 7662)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote_plus

from app.clients._http import HttpSession, expecting_shape, read_json
from app.clients.issuers import MOST_BYTES, UPSTREAM, fetch_metadata, not_to_be_trusted
from app.clients.safe_addresses import is_safe
from app.errors import UpstreamRefused

_ENDPOINT: Final = "introspection_endpoint"


class IntrospectionClient:
    """Asks for one service.

    Args:
        issuer: Its metadata say where to ask (RFC 8414, 2); None where ``url`` says so.
        url: Where to ask; found by the metadata if None.
        client: Id and secret by which the issuer knows the service.
        timeout_seconds: Longest wait for a connection, and for an answer.
    """

    def __init__(
        self,
        issuer: str | None,
        url: str | None,
        client: tuple[str, str],
        timeout_seconds: float,
    ) -> None:
        self._issuer = issuer
        self._url = url
        # As RFC 6749, 2.3.1 has it: both are encoded before they are joined.
        self._client = (quote_plus(client[0]), quote_plus(client[1]))
        self._session = HttpSession(
            UPSTREAM, timeout_seconds=timeout_seconds, max_body_bytes=MOST_BYTES
        )

    def ask(self, token: str) -> Mapping[str, Any]:
        """Return what the issuer says of a token (RFC 7662, 2.2).

        Raises:
            UpstreamError: It says nothing that makes sense.
        """
        url = self._url or self._discover()
        form = {"token": token, "token_type_hint": "access_token"}
        response = self._session.post(
            url, data=form, auth=self._client, headers={"Accept": "application/json"}
        )
        if response.status_code != 200:
            detail = f"HTTP {response.status_code}"
            raise UpstreamRefused(f"{UPSTREAM} does not say whether they are good.", detail=detail)
        with expecting_shape(UPSTREAM):
            answer = read_json(response, UPSTREAM)
            if not isinstance(answer, Mapping) or not isinstance(answer["active"], bool):
                raise TypeError("it does not say whether the token is active")
        return answer

    def _discover(self) -> str:
        with expecting_shape(UPSTREAM):
            url = fetch_metadata(self._issuer or "")[_ENDPOINT]
        if not isinstance(url, str) or not is_safe(url):
            raise not_to_be_trusted()
        self._url = url
        return url
