"""The settings of what stands between the network and the API: pages of others, TLS."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

from marshmallow import ValidationError, fields

from app.settings.schema import Duration, setting

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[1-9][0-9]{0,4}))?"
)
_USUAL_PORTS = {"http": "80", "https": "443"}


def check_origin(text: str) -> None:
    """Check that a text is an origin as browsers write it (RFC 6454, 6.2).

    Raises:
        ValidationError: It is not, so that no ``Origin`` would ever be equal to it.
    """
    found = _ORIGIN.fullmatch(text)
    if found is None:
        raise ValidationError(
            "must be an origin as browsers write it, such as https://portal.example.org: in small "
            "letters, without a path, and neither '*' nor 'null'"
        )
    if found["port"] is not None and found["port"] == _USUAL_PORTS.get(found["scheme"]):
        raise ValidationError(f"must be written without :{found['port']}, as browsers write it")


def check_network(text: str) -> None:
    """Check that a text is a network, or one address.

    Raises:
        ValidationError: It is not.
    """
    try:
        ip_network(text)
    except ValueError as exc:
        raise ValidationError(f"must be a network such as 10.0.0.0/8: {exc}") from None


@dataclass(frozen=True)
class CorsSettings:
    """Pages of other origins that may use the API (the CORS protocol of the Fetch standard)."""

    origins: list[str] = setting(
        fields.List(fields.String(validate=check_origin), load_default=list),
        "Origins, such as `https://portal.example.org`, whose pages may call the API, read its "
        "answers and change something, with credentials that they have themselves; cookies do not "
        "count. Each is exactly one: there are no patterns.",
    )


@dataclass(frozen=True)
class TlsSettings:
    """HTTPS by the service itself; the files are read again at SIGHUP."""

    enabled: bool = setting(
        fields.Boolean(load_default=False),
        "Speak HTTPS on `api.port`, and nothing else: TLS 1.2 and 1.3. The files of this section "
        "count only then.",
    )
    cert: Path | None = setting(
        fields.String(load_default=None),
        "PEM file with the certificate, and behind it those that lead to one that clients know. "
        "The paths here are relative to the settings file.",
        convert=Path,
    )
    key: Path | None = setting(
        fields.String(load_default=None),
        "PEM file with the private key, without a password; for the service's user alone.",
        convert=Path,
    )
    client_ca: Path | None = setting(
        fields.String(load_default=None),
        "PEM file with the certificates of who may sign those of clients; a client may then show "
        "one, for `api.auth.type: certificate`.",
        convert=Path,
    )
    hsts: float = setting(
        Duration(load_default="720h", at_least=0),
        "How long browsers come by HTTPS only (`Strict-Transport-Security`), to any port of this "
        "host name; 0 leaves that to them.",
    )

    def below(self, folder: Path) -> TlsSettings:
        """Return the same with paths from a folder on."""
        paths = {name: getattr(self, name) for name in ("cert", "key", "client_ca")}
        found = {name: (folder / path).absolute() for name, path in paths.items() if path}
        return replace(self, **found)
