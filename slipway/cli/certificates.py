"""The certificate of a service: whether it is good, and for how long."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from socket import create_connection
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies

_CONNECT_SECONDS: Final = 10.0
"""Longest wait for a connection."""
_DAY_SECONDS: Final = 86400
_FEW_DAYS: Final = 14
"""A certificate that is good for fewer is worth a warning."""


class Judgement(NamedTuple):
    """What is to be said of a certificate.

    Attributes:
        ok: Whether it is well; None where it could not be looked at.
        detail: In what way.
        fix: What mends it; empty where nothing is to be mended.
    """

    ok: bool | None
    detail: str
    fix: str = ""


def judge(url: str, *, is_here: bool, ca_file: str | None) -> Judgement:
    """Look at how a service is reached.

    Args:
        url: Its address.
        is_here: Whether it is on this machine.
        ca_file: Certificates that are trusted; None for those that come with Python.
    """
    parts = urlsplit(url)
    if parts.scheme == "http":
        if is_here:
            return Judgement(True, "not needed on this machine")
        return Judgement(
            False, "others on the way can read all that is sent",
            f"slipway login https://{parts.netloc}{parts.path}",
        )  # fmt: skip
    if not is_here and get_environ_proxies(url, None):
        return Judgement(None, "not looked at: there is a proxy")
    if ca_file and not Path(ca_file).is_file():
        return Judgement(
            False,
            f"there are no certificates in {ca_file}",
            "name another file in REQUESTS_CA_BUNDLE, or by login --ca-file",
        )
    return _looked_at(parts.hostname or "", parts.port or 443, ca_file)


def _looked_at(host: str, port: int, ca_file: str | None) -> Judgement:
    try:
        ends = _end(host, port, ca_file)
    except ssl.SSLCertVerificationError as exc:
        return Judgement(
            False, f"the certificate is not good: {exc.verify_message}", _fix(exc, ca_file)
        )
    except ssl.SSLError:
        return Judgement(False, "TLS is not spoken there", "is it http://, or another port?")
    except OSError:
        return Judgement(None, "not looked at: there is no connection")
    days = int((ends - time.time()) // _DAY_SECONDS)
    fix = "renew it, or tell who runs the service" if days < _FEW_DAYS else ""
    return Judgement(not fix, f"the certificate is good for {days} days", fix)


def _end(host: str, port: int, ca_file: str | None) -> float:
    """Return when the certificate of a server ends, in seconds since 1970."""
    context = ssl.create_default_context(cafile=ca_file or DEFAULT_CA_BUNDLE_PATH)
    with (
        create_connection((host, port), _CONNECT_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host) as encrypted,
    ):
        told = encrypted.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(told["notAfter"])))


def _fix(exc: ssl.SSLCertVerificationError, ca_file: str | None) -> str:
    if "expired" in exc.verify_message or "not yet valid" in exc.verify_message:
        return "renew it, or set the clock that is wrong"
    if "match" in exc.verify_message:
        return "name the host as the certificate does"
    used = f" ({ca_file} does not do)" if ca_file else ""
    return f"REQUESTS_CA_BUNDLE=FILE, or slipway login URL --ca-file FILE{used}"
