"""Connections with TLS under gevent, with the limits of time and the ends that plain ones have."""

from __future__ import annotations

import ssl
from contextlib import suppress

import gevent
from gevent.socket import socket as plain_socket
from gevent.ssl import SSLContext, SSLSocket

from app.cli._tls import configure
from app.settings.edge import TlsSettings


class TlsSocket(SSLSocket):  # type: ignore[misc]
    """One connection."""

    def recv(self, size: int = 1024, flags: int = 0) -> bytes:
        """Receive, within the limit of time as a whole.

        gevent's own begins to count anew with each byte of a record that is not complete yet.
        """
        try:
            return bytes(self._sslobj.read(size))  # mostly something is there
        except ssl.SSLError:
            pass
        with gevent.Timeout(self.timeout or None, TimeoutError("timed out")):
            return bytes(super().recv(size, flags))

    def take(self, most: int) -> bytes:
        """Take what is there already: a client may send many records with little in each."""
        parts = []
        with suppress(ssl.SSLError):  # nothing is there any more, or never will be
            while most > 0 and (part := self._sslobj.read(most)):
                parts.append(part)
                most -= len(part)
        return b"".join(parts)

    def recv_below(self, size: int) -> bytes:
        """Receive what nobody will look at: after the goodbye it could not be deciphered."""
        return bytes(plain_socket.recv(self, size))

    def shutdown(self, how: int) -> None:
        """End the connection below TLS; the stock one would go on in the clear."""
        plain_socket.shutdown(self, how)

    def say_goodbye(self) -> None:
        """Tell the client that nothing follows, so that it knows that nothing was cut off.

        Source: RFC 8446, 6.1 (``close_notify``).
        """
        with suppress(OSError, ValueError):
            self._sslobj.shutdown()  # it does not wait


class TlsContext(SSLContext):  # type: ignore[misc]
    """What new connections are made by."""

    sslsocket_class = TlsSocket


def tls_context(tls: TlsSettings) -> TlsContext | None:
    """Make what new connections are made by; None where TLS is off.

    Raises:
        ConfigError: With each fault of the files at its field.
    """
    if not tls.enabled:
        return None
    context = TlsContext(ssl.PROTOCOL_TLS_SERVER)
    configure(context, tls)
    return context


def tls_fields(tls: TlsSettings | None) -> list[tuple[str, str]]:
    """Return the header fields of each answer that goes over TLS (RFC 6797, 6.1)."""
    if tls is None or not tls.hsts:
        return []
    return [("Strict-Transport-Security", f"max-age={round(tls.hsts)}")]
