"""Certificates of OpenSSH, of hosts and of users."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from app.clients._ssh_hosts import key_type


def host_certificate_fault(
    blob: bytes, host: str, authorities: Sequence[bytes], revoked: Sequence[bytes], now: float
) -> tuple[bytes, str | None]:
    """Return the key of a host's certificate, and what is wrong with it; None where nothing is.

    Args:
        blob: The certificate.
        host: Name of the server that shows it.
        authorities: Public keys of those who may vouch for the server.
        revoked: Public keys that are never to be trusted.
        now: Time, in seconds since the epoch.
    """
    certificate = _read(f"{key_type(blob)} {b64encode(blob).decode()}")
    if certificate is None:
        return b"", "it cannot be read"
    key, signer = _blob(certificate.public_key()), _blob(certificate.signature_key())
    names = [name.decode("utf-8", "replace").lower() for name in certificate.valid_principals]
    if key in revoked or signer in revoked:
        fault: str | None = "its key, or that of who signed it, is marked as revoked"
    elif signer not in authorities:
        fault = "who signed it is no @cert-authority for this server"
    elif not _is_signed(certificate):
        fault = "its signature is wrong"
    elif certificate.type is not SSHCertificateType.HOST:
        fault = "it is not a certificate of a host"
    elif certificate.critical_options:
        fault = "it has critical options that are not known"
    # One without names would be good for every server.
    elif not any(fnmatchcase(host.lower(), name) for name in names):
        fault = f"it is for {', '.join(names)[:200] or 'no server by name'}"
    else:
        fault = _time_fault(certificate, now)
    return key, fault


def user_certificate_fault(text: str, public_key: bytes, now: float) -> str | None:
    """Return what is wrong with the certificate of a user's key; None where nothing is.

    Which names it is for is the server's to judge, and so is who may sign it.
    """
    certificate = _read(text)
    if certificate is None:
        return "cannot be read"
    if certificate.type is not SSHCertificateType.USER:
        return "is not a certificate of a user"
    if _blob(certificate.public_key()) != public_key:
        return "is of another key"
    fault = _time_fault(certificate, now)
    return None if fault is None else fault.removeprefix("it ")


def principals(text: str) -> str:
    """Return whom a user's certificate is for, as a text; empty where it does not say."""
    certificate = _read(text)
    names = certificate.valid_principals if certificate else []
    return ", ".join(name.decode("utf-8", "replace") for name in names)[:200]


def _read(text: str) -> SSHCertificate | None:
    try:
        identity = load_ssh_public_identity(" ".join(text.split()[:2]).encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return identity if isinstance(identity, SSHCertificate) else None


def _blob(key: object) -> bytes:
    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)  # type: ignore[attr-defined]
    return b64decode(line.split()[1])


def _is_signed(certificate: SSHCertificate) -> bool:
    try:
        certificate.verify_cert_signature()
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _time_fault(certificate: SSHCertificate, now: float) -> str | None:
    if now >= certificate.valid_before:
        return f"it has expired at {_moment(certificate.valid_before)}"
    if now < certificate.valid_after:
        return f"it is not valid before {_moment(certificate.valid_after)}"
    return None


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(min(seconds, 2**35), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
