"""Addresses at which what is read can be trusted."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.settings import is_loopback


def is_safe(url: str) -> bool:
    """Return whether nobody between can change what is read there: HTTPS, or this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    )
