"""Real certificates, made for one test each."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

HERE: tuple[x509.GeneralName, ...] = (
    x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")),
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates.

    Args:
        folder: Where the files are put.
        name: Of the authority.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        builder = _builder([name], timedelta(days=30)).issuer_name(self._name)
        builder = builder.public_key(self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        self.cert = folder / f"{name}.pem"
        self.cert.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(
        self,
        *names: str,
        alternatives: tuple[x509.GeneralName, ...] = HERE,
        lasts: timedelta = timedelta(days=1),
        password: bytes | None = None,
    ) -> Pair:
        """Issue a certificate for common names, which replaces that of the first one."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(names, lasts).issuer_name(self._name).public_key(key.public_key())
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), False)
        made = Pair(self._folder / f"{names[0]}.cert.pem", self._folder / f"{names[0]}.key.pem")
        made.cert.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        made.key.touch(0o600)
        locked: Any = BestAvailableEncryption(password) if password else NoEncryption()
        made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
        return made

    def client(self, shown: Pair | None = None) -> ssl.SSLContext:
        """Make what a client trusts this authority with, and what it shows."""
        context = ssl.create_default_context(cafile=str(self.cert))
        if shown is not None:
            context.load_cert_chain(shown.cert, shown.key)
        return context


def _named(*names: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])


def _builder(names: Any, lasts: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder().subject_name(_named(*names))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2)).not_valid_after(now + lasts)
    )  # fmt: skip
