"""TLS: whether its files are fit for use, and what is spoken with them.

Sources: RFC 9325 (recommendations for TLS), RFC 7301 (ALPN).
"""

from __future__ import annotations

import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from app.errors import ConfigError, FieldError
from app.settings import Settings, is_loopback
from app.settings.edge import TlsSettings

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

log = structlog.get_logger(__name__)

_LARGEST_FILE = 4 * 1024 * 1024
# Of TLS 1.2 only what has forward secrecy and authenticated encryption (RFC 9325, 4.2).
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_OPTIONS = (
    ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
)  # fmt: skip


def check_tls(tls: TlsSettings) -> None:
    """Check the files of the settings, if TLS is on.

    Raises:
        ConfigError: With each fault at its field.
    """
    if tls.enabled:
        configure(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls)


def configure(context: ssl.SSLContext, tls: TlsSettings) -> None:
    """Have a context speak as the settings say.

    Raises:
        ConfigError: With each fault at its field.
    """
    _check_files(tls)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= _OPTIONS
    context.set_alpn_protocols(["http/1.1"])
    with _fault_at("cert", "cannot be used"):
        context.load_cert_chain(str(tls.cert), str(tls.key), password=lambda: b"")
    if tls.client_ca is not None:
        with _fault_at("client_ca", "cannot be used"):
            context.load_verify_locations(str(tls.client_ca))
        context.verify_mode = ssl.CERT_OPTIONAL


def warn_of_clear_text(settings: Settings) -> None:
    """Warn where credentials would cross a network that anybody may listen to."""
    api = settings.api
    if not (api.tls.enabled or api.insecure or is_loopback(api.host)):
        log.warning(
            "credentials are sent in the clear unless a proxy in front adds TLS", host=api.host,
            remedy="api.tls, or a proxy with TLS",
        )  # fmt: skip


def _check_files(tls: TlsSettings) -> None:
    files: dict[str, Callable[[bytes], Any]] = {"cert": _read_certificates, "key": _read_key}
    if tls.client_ca is not None:
        files["client_ca"] = _read_certificates
    found: dict[str, Any] = {}
    faults: list[FieldError] = []
    for name, parse in files.items():
        try:
            found[name] = parse(_content(getattr(tls, name)))
        except ValueError as exc:
            faults.append(FieldError(f"api.tls.{name}", str(exc)))
    if not faults and found["cert"][0].public_key() != found["key"].public_key():
        text = "does not belong to the first certificate of api.tls.cert"
        faults.append(FieldError("api.tls.key", text))
    if faults:
        raise ConfigError(f"TLS cannot be spoken: {len(faults)} fault(s).", fields=tuple(faults))
    _warn_of_files(tls, found["cert"][0])


def _read_key(data: bytes) -> Any:
    # It takes some megabytes, which only a service with TLS needs.
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        return load_pem_private_key(data, None)
    except TypeError:
        raise ValueError("must not need a password") from None
    except Exception:  # noqa: BLE001  (it has errors of its own for what it does not support)
        raise ValueError("must hold a private key in PEM") from None


def _read_certificates(data: bytes) -> list[Certificate]:
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415

    try:
        return load_pem_x509_certificates(data)
    except Exception:  # noqa: BLE001
        raise ValueError("must hold a certificate in PEM") from None


def _content(path: Path | None) -> bytes:
    """Read a file of the settings.

    Raises:
        ValueError: It cannot be read; says why, as a predicate.
    """
    if path is None:
        raise ValueError("is needed with 'enabled: true'")
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_FILE:
            raise ValueError(f"must be a file in PEM, which {path} is not")
        return path.read_bytes()
    except OSError as exc:
        raise ValueError(f"cannot be read: {exc.strerror}: {path}") from None


def _warn_of_files(tls: TlsSettings, certificate: Certificate) -> None:
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        log.warning("the certificate has expired", file=str(tls.cert))
    if tls.key is not None and tls.key.stat().st_mode & stat.S_IROTH:
        log.warning("everybody on this machine can read the private key", file=str(tls.key))


@contextmanager
def _fault_at(name: str, text: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as exc:  # an SSLError is one of the former
        fault = FieldError(f"api.tls.{name}", f"{text}: {exc}")
        raise ConfigError("TLS cannot be spoken.", fields=(fault,)) from exc
