"""Attempts that failed: what happened, in words without secrets, and whether to try again."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from enum import Enum
from http.client import BadStatusLine, HTTPException
from typing import Final
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    NameResolutionError,
    ReadTimeoutError,
)

from slipway.errors import NotOurs, Refused, SlipwayError, TimedOut, Unreachable

OF_CONNECTIONS: Final = (requests.RequestException, HTTPError, HTTPException, OSError)
"""All that ``requests``, its ``raw`` and what is below them raise for a connection."""
_UNROUTABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH})


class Kind(Enum):
    """What happened to an attempt."""

    REFUSED = "refused"
    """Nothing took the connection."""
    LOOKUP = "lookup"
    """Nobody knows the host."""
    CUT = "cut"
    """The connection ended before the answer did."""
    BUSY = "busy"
    """The service says to come back: 429 or 503."""
    GATEWAY = "gateway"
    """Something before the service says that it does not answer."""
    SILENT = "silent"
    """Nothing came for the longest time."""
    FINAL = "final"
    """No other attempt will end otherwise."""


class Fault(Exception):
    """An attempt failed; it never leaves the package.

    Attributes:
        error: What the user is told if there is no other attempt.
        unsent: The service surely did nothing of it.
        retry_after: Seconds after which it wants to be asked again.
        lasted: Seconds for which nothing came.
    """

    def __init__(
        self,
        kind: Kind,
        error: SlipwayError,
        *,
        unsent: bool = False,
        retry_after: float | None = None,
        lasted: float = 0.0,
    ) -> None:
        super().__init__(str(error))
        self.kind, self.error, self.unsent = kind, error, unsent
        self.retry_after, self.lasted = retry_after, lasted

    def given_up(self, seconds: float, *, unsure: bool = False) -> SlipwayError:
        """Return what the user is told.

        Args:
            seconds: For how long it was so.
            unsure: Something was to be changed, and may have been.
        """
        sentence = str(self.error)
        if self.kind in _TOLD_HOW_LONG and seconds >= 1:
            sentence += f" So it was for {seconds:.0f} s."
        if self.retry_after is not None:
            sentence += f" It asks to come back in {self.retry_after:.0f} s."
        if unsure:
            sentence += " What was asked for may have been done."
        self.error.args = (sentence,)
        return self.error


_TOLD_HOW_LONG: Final = frozenset({Kind.BUSY, Kind.GATEWAY, Kind.SILENT})


def cut(url: str, what: str) -> Fault:
    """An answer that is none, since something of it is missing."""
    return Fault(Kind.CUT, Unreachable(f"The connection to {_host(url)} was cut: {what}."))


def silent(url: str, seconds: float) -> Fault:
    """A service that says nothing for so long."""
    sentence = f"{_host(url)} took the request and is silent."
    return Fault(Kind.SILENT, TimedOut(sentence), lasted=seconds)


def busy(refused: Refused) -> Fault:
    """The service says to come back later."""
    return Fault(Kind.BUSY, refused, unsent=True, retry_after=refused.retry_after)


def gateway(url: str, status: int, wait: float | None) -> Fault:
    """Something before the service answers, and the service does not."""
    kind = Kind.BUSY if status in {429, 503} else Kind.GATEWAY
    sentence = f"Something before {_host(url)} answers {status}; the service behind it does not."
    return Fault(kind, NotOurs(sentence), unsent=status == 429, retry_after=wait)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` says (RFC 9110, 10.2.3)."""
    said = headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def of(
    exc: BaseException, url: str, read_seconds: float, ca_file: str | None, *, begun: bool = False
) -> Fault:
    """Return what an exception of ``requests``, or of what is below it, means.

    Args:
        exc: It; its text is never shown, since it holds the whole address.
        url: Address of the service.
        read_seconds: How long it was waited for.
        ca_file: Certificates that were used.
        begun: There was the head of an answer already.
    """
    causes = list(_causes(exc))
    host = _host(url)
    if _has(causes, *_SILENCE) and not _has(causes, *_NO_CONNECTION):
        return silent(url, read_seconds)
    if _has(causes, DecodeError):
        why = f"{host} packs its answer in a way of its own; that is not Slipway."
        return Fault(Kind.FINAL, NotOurs(why))
    if begun:
        return cut(url, "its answer is not whole")
    if _has(causes, requests.exceptions.SSLError):
        return Fault(Kind.FINAL, Unreachable(_about_tls(causes, host, ca_file)), unsent=True)
    return _unsent(causes, host) or _of_the_rest(causes, host, ca_file)


_SILENCE: Final = (requests.exceptions.ReadTimeout, ReadTimeoutError, TimeoutError)
_NO_CONNECTION: Final = (requests.exceptions.ConnectTimeout, ConnectTimeoutError)


def _unsent(causes: list[BaseException], host: str) -> Fault | None:
    """Return why there is no connection; None where there was one."""
    kind, error = Kind.REFUSED, Unreachable
    if _has(causes, requests.exceptions.ProxyError):
        why = f"The proxy for {host} cannot be used; see HTTPS_PROXY, HTTP_PROXY and NO_PROXY."
    elif _has(causes, NameResolutionError, socket.gaierror):
        kind, why = Kind.LOOKUP, f"There is no host {host}."
    elif _has(causes, ConnectionRefusedError):
        why = f"Nothing listens at {host}."
    elif any(isinstance(exc, OSError) and exc.errno in _UNROUTABLE for exc in causes):
        why = f"There is no way to {host}."
    elif _has(causes, *_NO_CONNECTION):
        error, why = TimedOut, f"{host} does not take the connection."
    else:
        return None
    return Fault(kind, error(why), unsent=True)


def _of_the_rest(causes: list[BaseException], host: str, ca_file: str | None) -> Fault:
    exc = causes[0]
    said = next((str(each.args[0]) for each in causes if type(each) is BadStatusLine), "HTTP/")
    if not (said.startswith("HTTP/") or "HTTP/".startswith(said)):
        return Fault(Kind.FINAL, NotOurs(f"{host} does not speak HTTP; that is not Slipway."))
    if type(exc) is OSError:  # as requests says that there is no such file
        return Fault(
            Kind.FINAL, Unreachable(f"There are no certificates in {ca_file}."), unsent=True
        )
    if isinstance(exc, ValueError):  # such as InvalidURL, InvalidHeader
        return Fault(Kind.FINAL, Unreachable(f"{host} cannot be asked that."), unsent=True)
    return Fault(Kind.CUT, Unreachable(f"{host} ended the connection without an answer."))


def _about_tls(causes: list[BaseException], host: str, ca_file: str | None) -> str:
    texts = " ".join(str(exc) for exc in causes)
    if "CERTIFICATE_VERIFY_FAILED" not in texts:
        return f"{host} does not speak TLS as it should; is the address right?"
    used = f"those in {ca_file}" if ca_file else "those that are known here"
    if "expired" in texts:
        return f"The certificate of {host} has expired, or a clock is wrong."
    if "Hostname mismatch" in texts or "doesn't match" in texts:
        return f"The certificate is not that of {host}."
    return (
        f"The certificate of {host} is signed by none of {used}; name the file of its authority "
        "in REQUESTS_CA_BUNDLE, or as ca_file of the profile."
    )


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Return an exception, and all those behind it."""
    seen: set[int] = set()
    waiting = [exc]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [arg for arg in one.args if isinstance(arg, BaseException)]
        reason = getattr(one, "reason", None)
        waiting += [one.__cause__, one.__context__, *inner]
        waiting += [reason] if isinstance(reason, BaseException) else []


def _has(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(exc, kinds) for exc in causes)


def _host(url: str) -> str:
    return urlsplit(url).netloc[:200]
