"""SSH key pairs: made in memory, the private half stored away and never shown."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from app.clients.key_store import KeyPair, KeyStore, shown
from app.concurrency import Pool
from app.domain import JSON, Identity, SshKey
from app.errors import Ambiguous, FieldError, InvalidRequest, NotFound, UpstreamError
from app.store.execution_rows import now
from app.store.keys import SshKeys

RESERVED = frozenset({"privateKey", "publicKey"})
"""Metadata under these names is left out, as the API document says."""


def _rsa(bits: int) -> PrivateKeyTypes:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


ALGORITHMS: Mapping[str, Callable[[], PrivateKeyTypes]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa-2048": lambda: _rsa(2048),
    "rsa-3072": lambda: _rsa(3072),
    "rsa-4096": lambda: _rsa(4096),
    "ecdsa-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
}


class SshKeyService:
    """Makes, lists and revokes key pairs.

    Args:
        keys: Public records.
        store: Where the private halves go.
        default_algorithm: One of ``ALGORITHMS``.
        pool: Where keys are computed, since an RSA key takes most of a second.
    """

    def __init__(self, keys: SshKeys, store: KeyStore, default_algorithm: str, pool: Pool) -> None:
        self._keys = keys
        self._store = store
        self._default_algorithm = default_algorithm
        self._pool = pool

    def create(
        self, metadata: Mapping[str, JSON], identity: Identity, algorithm: str | None = None
    ) -> tuple[str, str]:
        """Make a key pair.

        The private half is stored before the key is told to anybody, so what fails half-way leaves
        no key that somebody could use.

        Args:
            metadata: The user's own words about the key; reserved names are left out.
            identity: Who will own it.
            algorithm: One of ``ALGORITHMS``.

        Returns:
            The id and the public key in ``authorized_keys`` format.

        Raises:
            InvalidRequest: There is no such algorithm.
            UpstreamError: The key could not be stored.
        """
        algorithm = algorithm or self._default_algorithm
        if algorithm not in ALGORITHMS:
            fault = FieldError("algorithm", f"must be one of {', '.join(ALGORITHMS)}")
            raise InvalidRequest("There is no such algorithm.", fields=(fault,))
        kept = {name: value for name, value in metadata.items() if name not in RESERVED}
        key_id = str(uuid.uuid4())
        pair = self._pool.run(_generate, algorithm, f"slipway-{shown(key_id)}")
        fingerprint = _fingerprint(pair.public_key)
        self._store.put(key_id, pair, kept)
        try:
            self._keys.add(SshKey(key_id, identity.username, algorithm, fingerprint, kept, now()))
        except Exception:
            with suppress(UpstreamError):
                self._store.delete(key_id)
            raise
        return key_id, pair.public_key

    def of(self, identity: Identity) -> list[SshKey]:
        """List a user's own keys, newest first, their ids cut to a prefix.

        The whole id gives access to the private key in the key store, so it is shown only once.
        """
        return [
            SshKey(shown(key.id), key.owner, key.algorithm, key.fingerprint, key.metadata,
                   key.created_at)
            for key in self._keys.of(identity.username)
        ]  # fmt: skip

    def revoke(self, key_id: str, identity: Identity) -> None:
        """Delete a key of the user's own for good.

        Args:
            key_id: The id, or the prefix of it that the list shows.
            identity: The user.

        Raises:
            NotFound: The user has no such key.
            Ambiguous: The prefix fits several.
            UpstreamError: The key store failed; the key is still there.
        """
        own = self._keys.of(identity.username)
        hits = [key for key in own if key_id in (key.id, shown(key.id))]
        if not hits:
            raise NotFound("You have no such SSH key.")
        if len(hits) > 1:
            raise Ambiguous("Several of your keys begin like this; give the whole id.")
        self._store.delete(hits[0].id)
        self._keys.remove(hits[0].id)


def _generate(algorithm: str, comment: str) -> KeyPair:
    private = ALGORITHMS[algorithm]()
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return KeyPair(private_key=pem.decode(), public_key=f"{public.decode()} {comment}")


def _fingerprint(public_key: str) -> str:
    """Give the fingerprint as ``ssh-keygen -l`` shows it."""
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
