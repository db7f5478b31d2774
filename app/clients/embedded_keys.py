"""The key store that needs no server: encrypted rows in the database."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from app.clients.key_store import KeyPair, KeyStore
from app.clients.sealing import Sealing
from app.domain import JSON
from app.errors import ConfigError, FieldError, NotFound
from app.files import read_or_make
from app.store.keys import SealedKeys

_KEY_BYTES = 32


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

    def private_key(self, key_id: str) -> str:
        """Decrypt a private key, for whoever opens SSH connections.

        Raises:
            NotFound: There is none with this id.
            UpstreamGarbled: It was encrypted with another master key, or tampered with.
        """
        sealed = self._sealed.get(key_id)
        if sealed is None:
            raise NotFound("There is no such SSH key.")
        return str(json.loads(self._sealing.open(key_id, sealed))["privateKey"])

    def delete(self, key_id: str) -> None:
        """Remove a key pair."""
        self._sealed.delete(key_id)

    def health(self) -> None:
        """Do nothing: keys can be stored while the store answers, which is checked by itself."""


def load_master_key(
    file: Path, from_environment: str | None, in_use: Callable[[], bool] = lambda: False
) -> bytes:
    """Find the master key, or make one at the first start.

    Args:
        file: Holds 32 bytes in base64; readable by its owner only.
        from_environment: The same text, which wins over the file.
        in_use: Whether anything is encrypted already, so that another key would be of no use.

    Raises:
        ConfigError: The key is unusable or lost, or others may read the file.
        OSError: The file can be neither read nor made.
    """
    if from_environment is not None:
        return _decode(from_environment, "SLIPWAY_MASTER_KEY")
    path = "ssh_keys.master_key_file"
    with suppress(FileNotFoundError):
        if file.stat().st_mode & 0o077:
            raise _fault(path, f"{file} must be readable by its owner only (mode 0600)")
    try:
        return _decode(read_or_make(file, lambda: _make_key(file, in_use)), path)
    except UnicodeDecodeError:
        return _decode("", path)


def _make_key(file: Path, in_use: Callable[[], bool]) -> str:
    if in_use():
        text = f"{file} is missing or empty, and SSH keys are encrypted with it: restore it"
        raise _fault("ssh_keys.master_key_file", text)
    return base64.b64encode(os.urandom(_KEY_BYTES)).decode()


def _decode(text: str, path: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise _fault(path, "must be 32 bytes in base64, as 'openssl rand -base64 32' makes them")
    return key


def _fault(path: str, message: str) -> ConfigError:
    return ConfigError("The master key cannot be used.", fields=(FieldError(path, message),))
