"""Private keys under authenticated encryption, with a master key that is not in the database."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from app.errors import UpstreamGarbled

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from app.store.keys import Sealed

_NONCE_BYTES = 12


class Sealing:
    """Encrypts with AES-256-GCM (NIST SP 800-38D); names are authenticated with the content.

    Args:
        master_key: 32 bytes.
    """

    def __init__(self, master_key: bytes) -> None:
        self._master_key = master_key

    @cached_property
    def _cipher(self) -> AESGCM:
        # Large, and idle services have no keys.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        return AESGCM(self._master_key)

    def seal(self, name: str, content: bytes) -> Sealed:
        """Encrypt something; it can be opened under the same name only."""
        # The store is large, and who opens only does without it.
        from app.store.keys import Sealed  # noqa: PLC0415

        nonce = os.urandom(_NONCE_BYTES)
        return Sealed(nonce, self._cipher.encrypt(nonce, content, name.encode()))

    def open(self, name: str, sealed: Sealed) -> bytes:
        """Decrypt something.

        Raises:
            UpstreamGarbled: It was encrypted with another master key, or tampered with.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        try:
            return self._cipher.decrypt(sealed.nonce, sealed.ciphertext, name.encode())
        except InvalidTag as exc:
            raise UpstreamGarbled("The key cannot be decrypted with this master key.") from exc
