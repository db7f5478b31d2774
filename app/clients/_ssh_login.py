"""Logging in: the private key comes, signs once, and is gone."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from paramiko import ECDSAKey, Ed25519Key, PKey, RSAKey
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    SSHException,
)

from app.clients._ssh_certificates import principals, user_certificate_fault
from app.clients._ssh_hosts import fingerprint
from app.clients._ssh_terms import LoginRefused, SshCredential, SshTarget
from app.clients._ssh_wire import Wire
from app.errors import UpstreamError, UpstreamUnreachable

_MALFORMED = (
    "The private key cannot be read: it must be one of OpenSSH or PEM, without a passphrase."
)


def log_in(
    wire: Wire, target: SshTarget, credential: Callable[[], SshCredential], seconds: float
) -> None:
    """Log in to a server whose host key was checked.

    Args:
        wire: The connection.
        target: Whose account it is for.
        credential: Gives the key; called once, here.
        seconds: Longest wait for the server's answers.

    Raises:
        LoginRefused: The server refuses it, or the key is of no use.
        UpstreamUnreachable: The server goes away in the middle.
        Exception: What the callable raises.
    """
    # Raised here, where no frame of its traceback has ever had the key.
    fault = _attempt(wire, target, credential, seconds)
    wire.forget_key()
    if fault is not None:
        raise fault


def _attempt(
    wire: Wire, target: SshTarget, credential: Callable[[], SshCredential], seconds: float
) -> UpstreamError | None:
    given = credential()
    try:
        key = _load(given.private_key)
    except (ValueError, TypeError, UnsupportedAlgorithm, SSHException):
        return LoginRefused(_MALFORMED)
    shown, named = fingerprint(key.asbytes()), ""
    if given.certificate is not None:
        fault = user_certificate_fault(given.certificate, key.asbytes(), time.time())
        if fault is not None:
            return LoginRefused(f"The certificate of the key {shown} {fault}: a new one is needed.")
        key.load_certificate(given.certificate)
        named = principals(given.certificate)
    wire.auth_timeout = seconds
    return _offer(wire, target, key, shown, named)


def _offer(
    wire: Wire, target: SshTarget, key: PKey, shown: str, named: str
) -> UpstreamError | None:
    try:
        further = wire.auth_publickey(target.user, key)
    except BadAuthenticationType as exc:
        allowed = ", ".join(exc.allowed_types)[:100]
        return LoginRefused(f"{target.address} takes no keys for '{target.user}', only: {allowed}.")
    except AuthenticationException as exc:
        return _refused(wire, target, shown, named, str(exc))
    except (SSHException, EOFError, OSError) as exc:
        return _lost(target, f"{type(exc).__name__}: {exc}")
    if further:
        methods = ", ".join(further)[:100]
        return LoginRefused(
            f"{target.address} wants more than a key of '{target.user}': {methods}."
        )
    return None


def _load(text: str) -> PKey:
    data = text.strip().encode() + b"\n"
    if b"OPENSSH PRIVATE KEY" in data:
        key = load_ssh_private_key(data, password=None)
    else:
        key = load_pem_private_key(data, password=None)  # type: ignore[assignment]
    kinds: tuple[tuple[type, type[PKey]], ...] = (
        (Ed25519PrivateKey, Ed25519Key),
        (EllipticCurvePrivateKey, ECDSAKey),
        (RSAPrivateKey, RSAKey),
    )
    kind = next((ours for theirs, ours in kinds if isinstance(key, theirs)), None)
    if kind is None:
        raise ValueError("a key of another type")
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return kind.from_private_key(io.StringIO(plain.decode()))


def _refused(wire: Wire, target: SshTarget, shown: str, named: str, said: str) -> UpstreamError:
    # paramiko says the same of a connection that ends, and of no answer.
    if not wire.is_active() or "timeout" in said.lower():
        return _lost(target, said)
    if named:
        text = (
            f"{target.address} refuses the certificate of the key {shown} for the account "
            f"'{target.user}': it is for {named}; is the account among them, and does the server "
            "trust who signed it?"
        )
    else:
        text = (
            f"{target.address} refuses the key {shown} for the account '{target.user}': does the "
            "account exist, is the public key in its authorized_keys, and was it not revoked?"
        )
    return LoginRefused(text, detail=said)


def _lost(target: SshTarget, said: str) -> UpstreamError:
    return UpstreamUnreachable(
        f"{target.address} went away during the login of '{target.user}'.",
        detail=said,
        retry_after_seconds=5.0,
    )
