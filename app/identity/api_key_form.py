"""What an API key looks like: ``slw_``, 40 characters by chance, and 6 that check the others.

Whoever looks for lost keys in texts finds them by :data:`FORM`, and drops what only looks like one
by the checksum, without asking the service.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final

BEGINNING: Final = "slw_"
FORM: Final = re.compile(r"slw_[0-9A-Za-z]{46}")
SHOWN: Final = 8
"""So many of its first characters tell a key from others in lists."""

_ALPHABET: Final = digits + ascii_uppercase + ascii_lowercase
_BY_CHANCE: Final = 40
_CHECK: Final = 6


def make_key() -> str:
    """Make a key that nobody can guess: 238 bits of chance."""
    body = BEGINNING + "".join(secrets.choice(_ALPHABET) for _ in range(_BY_CHANCE))
    return body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """Return whether a text is a key, made here or elsewhere: its form and its checksum."""
    return FORM.fullmatch(key) is not None and key[-_CHECK:] == _checksum(key[:-_CHECK])


def digest_of(key: str) -> str:
    """Return what the store holds of a key: SHA-256, in hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def _checksum(body: str) -> str:
    """Return CRC-32 of all that comes before, to the base 62."""
    number, found = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        number, rest = divmod(number, len(_ALPHABET))
        found = _ALPHABET[rest] + found
    return found
