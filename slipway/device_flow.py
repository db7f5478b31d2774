"""Signing in from a terminal: the device authorization grant (RFC 8628).

The service says at which issuer its users sign in (RFC 9728), the issuer where a device code can be
had (RFC 8414, OpenID Connect Discovery 1.0). The user opens an address in a browser, wherever that
is, and types a code; meanwhile the issuer is asked again and again whether they have.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from slipway.auth import Nobody

CLIENT_ID_MEMBER: Final = "slipway_client_id"
"""Where the metadata of the service name the client that a command line is at the issuer."""
GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"

_REFRESH: Final = "refresh_token"

_RESOURCE_METADATA: Final = "/.well-known/oauth-protected-resource"
_ISSUER_METADATA: Final = (
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
)
_CHALLENGE: Final = re.compile(r'resource_metadata\s*=\s*"([^"\\]*)"')
_PROTECTED: Final = "/workflows"
"""Nobody reads it without a credential, so the answer says how to sign in."""
_REQUEST_SECONDS: Final = 10.0
"""Longest wait for one answer."""
_MOST_BYTES: Final = 256 * 1024
_ANSWER_SECONDS: Final = 30.0
"""Longest time for which one answer may come, however little by little."""
_INTERVAL_SECONDS: Final = 5.0
"""Time between two questions where the issuer says none, and what is added at slow_down."""
_LONGEST_INTERVAL_SECONDS: Final = 60.0
"""Questions that go unanswered come further and further apart, up to this."""
_LONGEST_CODE_SECONDS: Final = 3600.0
"""No code is waited for longer, whatever the issuer says."""


class SignInError(Exception):
    """Nobody could be signed in; the message says why."""


class NoIssuer(SignInError):
    """The service has no issuer at which a command line could sign in."""


class IssuerFault(SignInError):
    """The issuer, or the service, gives an answer that makes no sense, or cannot be trusted."""


class IssuerUnreachable(IssuerFault):
    """There is no answer of the service, or of the issuer."""


class AccessDenied(SignInError):
    """The user said no (``access_denied``)."""


class CodeExpired(SignInError):
    """The user took too long (``expired_token``)."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Where somebody signs in.

    Attributes:
        issuer: Its identifier, a URL.
        client_id: What the command line is there, where the service says so.
        revocation_endpoint: Where tokens are ended (RFC 7009); None where they cannot be.
        lasting: Whether it is asked in so many words for tokens that can be renewed without the
            user (OpenID Connect Core 1.0, 11).
    """

    issuer: str
    device_endpoint: str
    token_endpoint: str
    client_id: str | None = None
    revocation_endpoint: str | None = None
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What the user is shown, and what the issuer is asked with (RFC 8628, 3.2).

    Attributes:
        complete_uri: The address with the code in it already; None where there is none.
        expires_in: Seconds for which the code is good.
        interval: Seconds between two questions.
    """

    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    complete_uri: str | None
    expires_in: float
    interval: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the user gets (RFC 6749, 5.1).

    Attributes:
        expires_in: Seconds until the access token ends; None where the issuer does not say.
        scope: What it is good for; None for what was asked for.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: float | None
    scope: str | None


def sign_in(
    service: str,
    show: Callable[[DeviceCode], None],
    *,
    client_id: str | None = None,
    scope: str | None = None,
    issuer: Issuer | None = None,
    session: requests.Session | None = None,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Tokens:
    """Sign somebody in to a service, and return their tokens.

    Args:
        service: Address of the service.
        show: Shows them the code and where to type it.
        client_id: What the command line is at the issuer; what the service says unless given.
        scope: What is asked for, as words with spaces between; unless given, to know who they are,
            and tokens that can be renewed.
        issuer: Where they sign in, if that is known already.
        session: Makes the requests.
        sleep: Waits for some seconds.
        clock: Tells seconds.

    Raises:
        SignInError: It is one of the classes above.
    """
    http = _Http(session or requests.Session())
    issuer = issuer or _find(http, service)
    client = client_id or issuer.client_id
    if client is None:
        raise NoIssuer("The service does not say which client a command line is; give a client id.")
    scope = scope or ("openid offline_access" if issuer.lasting else "openid")
    code = _ask_for_code(http, issuer, client, scope)
    show(code)
    return _wait(http, issuer, client, code, sleep=sleep, clock=clock)


def renew(
    token_endpoint: str, client_id: str, refresh_token: str, session: requests.Session | None = None
) -> Tokens:
    """Get new tokens for a refresh token (RFC 6749, 6).

    Args:
        token_endpoint: Where the issuer gives them.
        client_id: What the command line is at the issuer.
        refresh_token: What was given with the last ones.
        session: Makes the requests.

    Raises:
        IssuerUnreachable: There is no answer; the refresh token is as good as before.
        SignInError: The issuer gives none.
    """
    http = _Http(session or requests.Session())
    form = {"grant_type": _REFRESH, "refresh_token": refresh_token, "client_id": client_id}
    answer, given = http.post(token_endpoint, form)
    if answer.status_code == 200:
        return _tokens(given)
    if answer.status_code >= 500 or answer.status_code == 429:
        raise IssuerUnreachable(f"The issuer at {_host(token_endpoint)} gives no token now.")
    raise _refusal(_error(given), answer.status_code)


def revoke(
    issuer: Issuer, client_id: str, token: str, session: requests.Session | None = None
) -> bool:
    """Let a token be worth nothing from now on, and those that were got with it (RFC 7009).

    Returns:
        Whether it is so; False where the issuer ends no tokens.

    Raises:
        IssuerUnreachable: There is no answer.
        SignInError: The issuer refuses.
    """
    if issuer.revocation_endpoint is None:
        return False
    http = _Http(session or requests.Session())
    form = {"token": token, "client_id": client_id}
    answer, given = http.post(issuer.revocation_endpoint, form)
    if answer.status_code != 200:
        raise _refusal(_error(given), answer.status_code)
    return True


def find_issuer(service: str, session: requests.Session | None = None) -> Issuer:
    """Find where users of a service sign in (RFC 9728, 5).

    Args:
        service: Address of the service, such as ``https://slipway.example.org``.
        session: Makes the requests.

    Raises:
        NoIssuer: It has none for a command line.
        IssuerFault: What it says, or the issuer, cannot be trusted or makes no sense.
    """
    return _find(_Http(session or requests.Session()), service)


class _Http:
    """Requests that are bounded in time and size, and go to where answers can be trusted."""

    def __init__(self, session: requests.Session) -> None:
        self._session = session

    def get(self, url: str) -> tuple[requests.Response, Any]:
        return self._send("GET", url)

    def post(self, url: str, form: Mapping[str, str]) -> tuple[requests.Response, Any]:
        return self._send("POST", url, data=form)

    def _send(self, method: str, url: str, **more: Any) -> tuple[requests.Response, Any]:
        """Return an answer, and its JSON; None where it is none."""
        if not _is_safe(url):
            raise IssuerFault(f"{url[:200]!r} is no address of HTTPS, nor of this machine.")
        try:
            with self._session.request(
                method, url, timeout=_REQUEST_SECONDS, allow_redirects=False, stream=True,
                headers={"Accept": "application/json"}, auth=Nobody(), **more,
            ) as response:  # fmt: skip
                body = _body(response)
        except (HTTPError, OSError) as exc:  # a RequestException is an OSError
            raise IssuerUnreachable(f"{_host(url)} cannot be reached.") from exc
        if body is None:
            raise IssuerFault(f"The answer of {_host(url)} is too large, or does not end.")
        response._content = body  # noqa: SLF001  (as it does itself when the body is read)
        try:
            return response, response.json()
        except requests.JSONDecodeError:
            return response, None


def _body(response: requests.Response) -> bytes | None:
    """Return what an answer holds; None if that is too much, or takes too long."""
    body, ends_at = bytearray(), time.monotonic() + _ANSWER_SECONDS
    while block := response.raw.read1(_MOST_BYTES + 1, decode_content=True):
        body += block
        if len(body) > _MOST_BYTES or time.monotonic() > ends_at:
            return None
    return bytes(body)


def _find(http: _Http, service: str) -> Issuer:
    service = service.rstrip("/")
    try:
        refused, _ = http.get(service + _PROTECTED)
        named = _CHALLENGE.search(refused.headers.get("WWW-Authenticate", ""))
        answer, about = http.get(named[1] if named else service + _RESOURCE_METADATA)
    except IssuerUnreachable as exc:
        raise IssuerUnreachable(f"The service at {_host(service)} cannot be reached.") from exc
    if answer.status_code == 404:
        raise NoIssuer("The service has no issuer at which a command line could sign in.")
    if answer.status_code != 200 or not isinstance(about, Mapping):
        raise IssuerFault("The service does not say where its users sign in.")
    if _text(about, "resource").rstrip("/") != service:
        # Else a service could send users of another one to an issuer of its own (RFC 9728, 3.3).
        raise IssuerFault("What the service says about itself is about another address.")
    issuers, client_id = about.get("authorization_servers"), about.get(CLIENT_ID_MEMBER)
    if not isinstance(issuers, list) or not issuers or not isinstance(issuers[0], str):
        raise NoIssuer("The service has no issuer at which a command line could sign in.")
    return _describe(http, issuers[0], client_id if isinstance(client_id, str) else None)


def _describe(http: _Http, issuer: str, client_id: str | None) -> Issuer:
    """Read what an issuer says about itself."""
    for path in _ISSUER_METADATA:
        try:
            answer, about = http.get(issuer.rstrip("/") + path)
        except IssuerUnreachable as exc:
            raise IssuerUnreachable(f"The issuer at {_host(issuer)} cannot be reached.") from exc
        if answer.status_code == 200 and isinstance(about, Mapping):
            break
    else:
        raise IssuerFault(f"The issuer at {_host(issuer)} does not say how one signs in there.")
    if about.get("issuer") != issuer:
        raise IssuerFault(f"What {_host(issuer)} says is about another issuer.")
    if "device_authorization_endpoint" not in about:
        raise NoIssuer(f"The issuer at {_host(issuer)} gives no codes to command lines.")
    revocation, scopes = about.get("revocation_endpoint"), about.get("scopes_supported")
    return Issuer(
        issuer,
        _text(about, "device_authorization_endpoint"),
        _text(about, "token_endpoint"),
        client_id,
        revocation if isinstance(revocation, str) else None,
        isinstance(scopes, list) and "offline_access" in scopes,
    )


def _ask_for_code(http: _Http, issuer: Issuer, client_id: str, scope: str) -> DeviceCode:
    form = {"client_id": client_id, "scope": scope}
    try:
        answer, given = http.post(issuer.device_endpoint, form)
    except IssuerUnreachable as exc:
        raise IssuerUnreachable(f"The issuer at {_host(issuer.issuer)} cannot be reached.") from exc
    if answer.status_code != 200 or not isinstance(given, Mapping):
        raise IssuerFault(f"The issuer gives no code: {_error(given) or answer.status_code}.")
    complete = given.get("verification_uri_complete")
    # An interval that is absent is 5 seconds (RFC 8628, 3.2).
    return DeviceCode(
        _text(given, "device_code"),
        _text(given, "user_code"),
        _text(given, "verification_uri"),
        complete if isinstance(complete, str) else None,
        min(_seconds(given, "expires_in"), _LONGEST_CODE_SECONDS),
        _seconds(given, "interval", _INTERVAL_SECONDS),
    )


def _wait(
    http: _Http,
    issuer: Issuer,
    client_id: str,
    code: DeviceCode,
    *,
    sleep: Callable[[float], object],
    clock: Callable[[], float],
) -> Tokens:
    """Ask for the tokens until the user has typed the code (RFC 8628, 3.4 and 3.5)."""
    form = {"grant_type": GRANT, "device_code": code.device_code, "client_id": client_id}
    interval, ends_at = code.interval, clock() + code.expires_in
    while clock() + interval < ends_at:
        sleep(interval)
        try:
            answer, given = http.post(issuer.token_endpoint, form)
        except IssuerUnreachable:
            interval = min(interval * 2, _LONGEST_INTERVAL_SECONDS)
            continue
        if answer.status_code == 200:
            return _tokens(given)
        error = _error(given)
        if error == "slow_down":
            interval += _INTERVAL_SECONDS
        elif error is None and answer.status_code >= 500:
            interval = min(interval * 2, _LONGEST_INTERVAL_SECONDS)
        elif error != "authorization_pending":
            raise _refusal(error, answer.status_code)
    raise CodeExpired("The code was not typed in time; begin anew.")


def _refusal(error: str | None, status: int) -> SignInError:
    if error == "access_denied":
        return AccessDenied("Signing in was refused at the issuer.")
    if error == "expired_token":
        return CodeExpired("The code was not typed in time; begin anew.")
    return IssuerFault(f"The issuer gives no token: {error or status}.")


def _tokens(given: Any) -> Tokens:
    if not isinstance(given, Mapping) or _text(given, "token_type").lower() != "bearer":
        raise IssuerFault("The issuer gives a token of a kind that is not known here.")
    refresh, scope = given.get("refresh_token"), given.get("scope")
    return Tokens(
        _text(given, "access_token"),
        refresh if isinstance(refresh, str) else None,
        _seconds(given, "expires_in") if "expires_in" in given else None,
        scope if isinstance(scope, str) else None,
    )


def _error(given: Any) -> str | None:
    """Return the error code of an answer (RFC 6749, 5.2)."""
    error = given.get("error") if isinstance(given, Mapping) else None
    return error[:100] if isinstance(error, str) and error.isprintable() else None


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise IssuerFault(f"An answer holds no {name!r}, which is needed.")
    return value


def _seconds(given: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise IssuerFault(f"An answer holds no number of seconds as {name!r}, which is needed.")
    return float(value)


def _is_safe(url: str) -> bool:
    """Return whether nobody between can change what is read there: HTTPS, or this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    try:
        return parts.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False


def _host(url: str) -> str:
    """Return the host of an address, which a server may have made up."""
    return "".join(c if c.isprintable() else " " for c in urlsplit(url).netloc[:100])
