"""TLS in memory, beside a socket that somebody else reads and writes."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from typing import Final

from app.load.definition import Tls

_PIECE: Final = 65536


class TlsFailed(Exception):
    """Certificates or keys that cannot be used, a server that cannot be trusted, or garbage."""


class TlsStream:
    """One connection's encryption.

    Args:
        tls: How the server is verified.
        host: The server's name, or its address.
    """

    def __init__(self, tls: Tls, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._object = _context(tls).wrap_bio(
                self._incoming, self._outgoing, server_hostname=host
            )
        except (ssl.SSLError, ValueError, OSError) as exc:
            raise TlsFailed(f"the TLS settings of the step cannot be used: {_why(exc)}") from None

    def shake_hands(self, received: bytes) -> bool:
        """Go on with the handshake; what is to be sent is in :meth:`to_send`.

        Returns:
            Whether it is complete.

        Raises:
            TlsFailed: The server cannot be trusted, or the server does not want to talk.
        """
        if received:
            self._incoming.write(received)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as exc:
            raise TlsFailed(f"TLS failed: {_why(exc)}") from None
        return True

    def to_send(self) -> bytes:
        """Return what waits to be sent."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def encrypt(self, data: bytes) -> bytes:
        """Return data as it is to be sent."""
        self._object.write(data)
        return self._outgoing.read()

    def decrypt(self, received: memoryview) -> tuple[list[bytes], bool]:
        """Return what was received in plain, and whether the server has said that it is all.

        Raises:
            TlsFailed: It is garbage.
        """
        self._incoming.write(received)
        pieces: list[bytes] = []
        try:
            while piece := self._object.read(_PIECE):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return pieces, False
        except ssl.SSLZeroReturnError:
            return pieces, True
        except ssl.SSLError as exc:
            raise TlsFailed(f"TLS failed: {_why(exc)}") from None
        return pieces, True


def _why(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {exc.verify_message}"
    reason = getattr(exc, "reason", None)
    return str(reason).lower().replace("_", " ") if reason else type(exc).__name__


@lru_cache(maxsize=64)
def _context(tls: Tls) -> ssl.SSLContext:
    """Return what connections with the same settings have in common.

    Raises:
        ssl.SSLError, ValueError, OSError: A certificate or key is none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca:
        context.load_verify_locations(cadata=tls.ca)
    else:
        context.load_default_certs()
    if tls.cert:
        _load_chain(context, f"{tls.cert}\n{tls.key}")
    return context


def _load_chain(context: ssl.SSLContext, pem: str) -> None:
    """Load a certificate and its key, which OpenSSL reads from files only."""
    file = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(file, pem.encode())
        context.load_cert_chain(f"/proc/self/fd/{file}", password=_no_password)
    finally:
        os.close(file)


def _no_password() -> str:
    raise ValueError("the key is protected by a password")
