"""Texts that come from elsewhere, as every database keeps them."""

from __future__ import annotations

import hashlib

_DIGEST_DIGITS = 8


def storable(content: str) -> str:
    """Replace what no database keeps: NUL, and halves of surrogate pairs."""
    if content.isascii():
        return content.replace("\x00", "\ufffd") if "\x00" in content else content
    return content.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def fitted(name: str, length: int) -> str:
    """Make a name that fits into a column; SQLite heeds no length, and PostgreSQL refuses it.

    Args:
        name: Any text.
        length: Most characters of the column.

    Returns:
        The name; a longer one is cut and ends in a digest of the whole, so that it stays another
        one than those that begin alike.
    """
    if len(name) > length:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_DIGITS]
        name = f"{name[: length - _DIGEST_DIGITS - 1]}…{digest}"
    return storable(name)
