"""What browsers call themselves (RFC 9110, 10.1.5), in words for people."""

from __future__ import annotations

from typing import Final

_BROWSERS: Final = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"), ("Chrome/", "Chrome"), ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"), ("Safari/", "Safari"), ("curl/", "curl"),
    ("python-requests/", "A Python program"), ("slipway/", "The command line"),
)  # fmt: skip
"""In this order: most browsers say, too, that they are others, which are older."""
_SYSTEMS: Final = (
    ("Windows", "Windows"), ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"),
    ("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"), ("FreeBSD", "FreeBSD"),
)  # fmt: skip
_LONGEST: Final = 60


def in_words(user_agent: str | None) -> str:
    """Return such as ``Firefox on Linux``; the beginning of what it says if that is none.

    Args:
        user_agent: What a browser called itself; None where it did not.
    """
    if not user_agent:
        return "An unknown program"
    browser = _first(_BROWSERS, user_agent)
    if browser is None:
        return user_agent[:_LONGEST]
    system = _first(_SYSTEMS, user_agent)
    # Of the others any number has made the words theirs, so this is what it says of itself.
    return browser if system is None else f"{browser} on {system}"


def _first(known: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((word for mark, word in known if mark in text), None)
