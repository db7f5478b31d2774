"""SSH key pairs, made in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from app.clients.key_store import KeyPair


def _rsa(bits: int) -> PrivateKeyTypes:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


_GENERATORS: Mapping[str, Callable[[], PrivateKeyTypes]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa-2048": lambda: _rsa(2048),
    "rsa-3072": lambda: _rsa(3072),
    "rsa-4096": lambda: _rsa(4096),
    "ecdsa-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
}


def generate(algorithm: str, comment: str) -> KeyPair:
    """Make a key pair.

    Args:
        algorithm: One of ``app.services.ssh_keys.ALGORITHMS``.
        comment: What stands behind the public key.
    """
    private = _GENERATORS[algorithm]()
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return KeyPair(private_key=pem.decode(), public_key=f"{public.decode()} {comment}")
