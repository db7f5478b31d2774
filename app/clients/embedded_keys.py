"""The key store that needs no server: encrypted rows in the database."""

from __future__ import annotations

import json
from collections.abc import Mapping

from app.clients.key_store import KeyPair, KeyStore
from app.clients.sealing import Sealing
from app.domain import JSON
from app.store.keys import SealedKeys


class EmbeddedKeyStore(KeyStore):
    """Encrypts with AES-256-GCM; the id is authenticated, so rows cannot be swapped.

    Args:
        sealed: The encrypted rows.
        sealing: Encrypts, with a master key that is not in the database.
    """

    def __init__(self, sealed: SealedKeys, sealing: Sealing) -> None:
        self._sealed = sealed
        self._sealing = sealing

    def put(self, key_id: str, pair: KeyPair, metadata: Mapping[str, JSON]) -> None:
        """Encrypt a key pair and store it."""
        secret = {**metadata, "privateKey": pair.private_key, "publicKey": pair.public_key}
        self._sealed.put(key_id, self._sealing.seal(key_id, json.dumps(secret).encode()))

    def delete(self, key_id: str) -> None:
        """Remove a key pair."""
        self._sealed.delete(key_id)

    def health(self) -> None:
        """Do nothing: keys can be stored while the store answers, which is checked by itself."""
