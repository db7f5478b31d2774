"""Cookies, which only browsers have, and which no script reads.

Where the browser comes by HTTPS their names begin with ``__Host-``, so that no other host of the
domain and nobody on the network can have set them (RFC 6265bis, 4.1.3.2). A service below a prefix
shares its host with others, and then ``__Secure-`` is all there is.
"""

from __future__ import annotations

from flask import Response, request


def read_cookie(name: str) -> str | None:
    """Return the value of a cookie that the service has set; None without it."""
    if "HTTP_COOKIE" not in request.environ:
        return None
    return request.cookies.get(_full(name))


def set_cookie(response: Response, name: str, value: str, seconds: int) -> None:
    """Let the browser keep something for so long."""
    response.set_cookie(
        _full(name), value, max_age=seconds, path=request.script_root or "/",
        secure=request.is_secure, httponly=True, samesite="Lax",
    )  # fmt: skip


def drop_cookie(response: Response, name: str) -> None:
    """Let the browser forget it."""
    set_cookie(response, name, "", 0)


def _full(name: str) -> str:
    if not request.is_secure:
        return name
    return f"{'__Secure' if request.script_root else '__Host'}-{name}"
