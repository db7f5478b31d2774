"""What may be wrong on the way to a service: each thing looked at by itself, with what mends it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

import requests
from urllib3.exceptions import HTTPError

from slipway import Client, SlipwayError, errors, faults
from slipway.attempts import Patience
from slipway.cli.certificates import judge
from slipway.cli.codes import Failure
from slipway.cli.profiles import Login
from slipway.cli.times import clock
from slipway.models import Identity, Version
from slipway.transport import Request

if TYPE_CHECKING:
    from slipway.cli.shell import Shell

PATIENCE: Final = Patience(
    busy=5.0, gateway=0.0, silence=10.0, connect=10.0, refused=0.0, lookup=0.0, cut=0.0
)
"""Somebody who looks for a fault waits for none to pass."""
_STREAM_SECONDS: Final = 20.0
"""Longest wait for the first bytes of a stream."""
_SLOW_SECONDS: Final = 2.0
"""What is streamed begins at once; later than this something holds it back."""
_PIECE_BYTES: Final = 65536
_PROXIES: Final = ("Server", "Via", "X-Cache", "CF-Ray")
"""Fields of a head that the service itself does not send."""
_SKEW_SECONDS: Final = 60.0
"""Clocks that differ by more make tokens end too early or too late."""
_EVERYDAY: Final = {
    "workflows:read": "list workflows", "executions:run": "launch", "executions:read": "follow",
    "executions:cancel": "cancel",
}  # fmt: skip
"""What everybody needs, by permission."""
_FURTHER: Final = {
    "workflows:write": "upload", "executions:all": "see everybody's executions",
    "users:manage": "manage users",
}  # fmt: skip
"""What some may, too."""


class Finding(NamedTuple):
    """What was found.

    Attributes:
        check: What was looked at.
        ok: Whether it is well; None where it could not be looked at.
        detail: In what way.
        fix: What mends it; empty where nothing is to be mended.
    """

    check: str
    ok: bool | None
    detail: str
    fix: str = ""


def examine(shell: Shell) -> Iterator[Finding]:
    """Look at everything, from the address to what is streamed."""
    try:
        target = shell.target
    except Failure as exc:
        yield Finding("login", False, exc.message, exc.hint)
        return
    with closing(_client(shell, Login())) as client:
        found = _Address(client, target.source)
        yield found.finding
        transport = client.transport
        judgement = judge(client.url, is_here=transport.is_here, ca_file=transport.ca_file)
        yield Finding("tls", *judgement)
        if found.version is None:
            for check in ("clock", "login", "allowed", "stream"):
                yield Finding(check, None, "not looked at: there is no service")
            return
        yield compare_clocks(found.date, found.moment)
    yield from _of_the_user(shell)


def _client(shell: Shell, login: Login | None = None) -> Client:
    target = shell.target if login is None else replace(shell.target, login=login)
    return shell.client_of(target, patience=PATIENCE)


class _Address:
    """Whether a service answers.

    Attributes:
        version: Of the service; None where none answers.
        date: What it says what time it is.
        moment: What time it was here then.
    """

    def __init__(self, client: Client, source: str) -> None:
        self.version: Version | None = None
        self.date = ""
        begin, began = time.monotonic(), datetime.now(UTC)
        try:
            answer = client.request("GET", "/version", told=True)
            self.version = Version.read(answer.json())
        except SlipwayError as exc:
            self.finding = Finding(
                "url", False, f"{_bare(exc)} (from {source})", _fix_of_address(exc)
            )
            return
        seconds = time.monotonic() - begin
        self.moment = began + (datetime.now(UTC) - began) / 2
        self.date = answer.headers.get("Date", "")
        text = f"{client.url} answers in {seconds * 1000:.0f} ms, version {self.version.version}"
        self.finding = Finding("url", True, text)


def _bare(exc: SlipwayError) -> str:
    return str(exc).rstrip(".")


def _fix_of_address(exc: SlipwayError) -> str:
    if isinstance(exc, errors.NotOurs):
        return "name the service itself, below its prefix if it has one: slipway login URL"
    if "ertificate" in str(exc):
        return "see tls"
    if isinstance(exc, errors.Refused):
        return "try later, or ask who runs the service"
    return "start the service, or name another one: slipway login URL"


def compare_clocks(date: str, moment: datetime) -> Finding:
    """Compare what a service says what time it is with the clock of this machine then."""
    try:
        theirs = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return Finding("clock", None, "not looked at: the service tells no time")
    behind = (theirs - moment).total_seconds() + 0.5  # it is told in whole seconds
    if abs(behind) <= _SKEW_SECONDS:
        return Finding("clock", True, "that of the service, within a minute")
    minutes = abs(behind) / 60
    far = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    where = "behind" if behind > 0 else "ahead of"
    return Finding(
        "clock", False, f"{far} {where} the service", "chronyc makestep, on the wrong side"
    )


def _of_the_user(shell: Shell) -> Iterator[Finding]:
    try:
        client = _client(shell)
    except (Failure, SlipwayError) as exc:
        hint = exc.hint if isinstance(exc, Failure) else f"slipway login {shell.url}"
        yield Finding("login", False, str(exc), hint)
        client = None
    if client is not None:
        with closing(client):
            try:
                who = client.whoami()
            except SlipwayError as exc:
                yield _no_login(shell, exc)
            else:
                yield _login(shell, who)
                yield _allowed(who)
                yield _stream(client, who)
                yield from _clusters(client, who)
                return
    for check in ("allowed", "stream"):
        yield Finding(check, None, "not looked at: nobody is signed in")


def _no_login(shell: Shell, exc: SlipwayError) -> Finding:
    again = f"slipway login {shell.url}"
    if shell.target.login.kind == "none":
        return Finding("login", False, "nobody is signed in", again)
    if shell.target.login.kind == "oidc":
        again += " --oidc"
    if shell.source in os.environ:
        again = f"set {shell.source} anew, or unset it and {again}"
    return Finding("login", False, f"{_bare(exc)} (from {shell.source})", again)


def _login(shell: Shell, who: Identity) -> Finding:
    if who.signed_in_with == "none":
        return Finding("login", True, "the service asks nobody who they are")
    until = f", until {clock(who.expires_at)}" if who.expires_at else ""
    return Finding(
        "login", True, f"{who.username} ({', '.join(who.roles)}), from {shell.source}{until}"
    )


def _allowed(who: Identity) -> Finding:
    missing = [word for permission, word in _EVERYDAY.items() if permission not in who.permissions]
    if missing:
        fix = "use a login with more scopes" if who.restricted else "ask for the role 'user'"
        return Finding("allowed", False, f"you may not {', '.join(missing)}", fix)
    further = [word for permission, word in _FURTHER.items() if permission in who.permissions]
    return Finding("allowed", True, f"you may {', '.join([*_EVERYDAY.values(), *further])}")


def _clusters(client: Client, who: Identity) -> Iterator[Finding]:
    """Have conductors look at the clusters where workflows run."""
    if not {"workflows:read", "executions:run"} <= {*who.permissions}:
        return
    try:
        names = [each.name for each in client.orchestrators() if each.elsewhere]
    except SlipwayError as exc:
        # An older service has no such address.
        if not (isinstance(exc, errors.Refused) and exc.status == HTTPStatus.NOT_FOUND):
            yield Finding("clusters", None, f"not looked at: {_bare(exc)}")
        return
    for name in names:
        try:
            found = client.check(name)
        except SlipwayError as exc:
            yield Finding(name, False, _bare(exc), "see that a conductor works, and try later")
            continue
        for each in found:
            yield Finding(f"{name}:{each.name}", each.outcome != "failed", each.text, each.fix)


def _stream(client: Client, who: Identity) -> Finding:
    """Measure how long what is streamed takes to begin; a proxy that collects it shows so."""
    if "executions:read" not in who.permissions:
        return Finding("stream", None, "not looked at: you may not follow")
    begin = time.monotonic()
    try:
        seconds = _first_byte(client, begin)
    except faults.Fault as fault:
        if time.monotonic() - begin < _STREAM_SECONDS / 2:
            return Finding("stream", False, str(fault.error), "try later")
        seconds = None
    except SlipwayError as exc:
        return Finding("stream", False, str(exc), "let the proxy pass text/event-stream on")
    except (requests.RequestException, OSError, HTTPError):
        seconds = None
    if seconds is not None and seconds <= _SLOW_SECONDS:
        return Finding("stream", True, f"first byte after {seconds * 1000:.0f} ms")
    told = f"after {seconds:.0f} s" if seconds is not None else f"not in {_STREAM_SECONDS:.0f} s"
    return Finding("stream", False, f"what is streamed comes {told}: a proxy holds it back",
                   "proxy_buffering off; (nginx), or flushpackets=on (Apache)")  # fmt: skip


def _first_byte(client: Client, begin: float) -> float:
    """Return after how many seconds the first byte came that had to be passed on by itself.

    The first piece comes with the head of the answer, and proxies that collect pass both on. What
    comes next, a sign of life at the latest, they keep: it is waited for where there is a proxy.
    """
    request = Request("GET", "/executions/events", accept="text/event-stream", patience=PATIENCE)
    with client.transport.open(request, _STREAM_SECONDS) as response:
        response.raw.read1(_PIECE_BYTES)
        seconds = time.monotonic() - begin
        if any(name in response.headers for name in _PROXIES):
            response.raw.read1(_PIECE_BYTES)
    return seconds
