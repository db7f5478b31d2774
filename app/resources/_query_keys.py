"""API keys in addresses (``?api_key=``): taken out before anything else sees the address."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote_plus

QUERY_KEYS: Final = "slipway.query_keys"
"""Where the WSGI environment holds the keys of an address, as a tuple."""
_NAME: Final = "api_key"
_ENDING: Final = "key"

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


class WithoutQueryKeys:
    """Takes the API keys out of the queries of requests.

    So they are in no log, no error and no redirect, whatever becomes of the request. Where a key in
    the address is not taken, it counts as none at all.

    Args:
        app: Gets the requests without them.
        takes_keys: Returns whether they count at an address.
    """

    def __init__(self, app: WsgiApp, takes_keys: Callable[[str], bool]) -> None:
        self._app = app
        self._takes_keys = takes_keys

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        query: str = environ.get("QUERY_STRING", "")
        if query and (_ENDING in query or "%" in query):
            parts = [(part, *_taken_apart(part)) for part in query.split("&")]
            kept = [part for part, name, _ in parts if name != _NAME]
            if len(kept) < len(parts):
                environ["QUERY_STRING"] = "&".join(kept)
                path = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
                if self._takes_keys(path):
                    keys = (value for _, name, value in parts if name == _NAME)
                    environ[QUERY_KEYS] = tuple(keys)
        return self._app(environ, start_response)


def _taken_apart(part: str) -> tuple[str, str]:
    """Return the name and the value of one part of a query, decoded."""
    name, _, value = part.partition("=")
    return unquote_plus(name), unquote_plus(value)
