"""A session with Vault: requests that fail in our own words, and a token that stays alive.

Every 403 of Vault looks alike. A token is therefore renewed ahead of its end, so that a 403 nearly
always means what it says, and one that comes all the same is looked into before anything else is
tried: only a token that is dead leads to another login.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

import hvac
import requests
import structlog

from app.clients._http import HttpSession, expecting_shape, read_json
from app.clients.key_store import KEY_ID, shown
from app.errors import UpstreamError, UpstreamGarbled, UpstreamRefused, UpstreamUnreachable
from app.settings import VaultSettings

RETRY_SECONDS = 15.0
"""When a caller may come back while Vault cannot be used."""
_REFUSED_RETRY_SECONDS = 60.0
"""When a refused login is tried again: Vault locks a role after a few."""
_RENEW_AT = 2 / 3
_JITTER = 0.1
_WORTH_KEEPING = 1 / 2
_LONGEST_SLEEP_SECONDS = 3600.0
"""How often at least it is looked whether the token is to be renewed."""
_QUOTA_INTERVAL_SECONDS = 1.0  # Vault's default
_LONGEST_PAUSE_SECONDS = 300.0
"""A longer pause that Vault asks for is not believed."""

_BUSY = "Vault is busy and asks for a pause."
_NOT_NOW: Mapping[int, str] = {
    HTTPStatus.TOO_MANY_REQUESTS: _BUSY,
    HTTPStatus.NOT_IMPLEMENTED: "Vault is not initialised.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Vault is sealed, or down for maintenance.",
}

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Denied(UpstreamRefused):
    """403: the token is dead, or its policy does not allow this."""


class Absent(UpstreamRefused):
    """404: there is no such secret."""


class VaultSession(HttpSession):
    """Sends requests; whatever is not a success is an error of our own.

    The status codes: https://developer.hashicorp.com/vault/api-docs#http-status-codes.
    """

    def __init__(self, settings: VaultSettings, clock: Callable[[], float]) -> None:
        verify = settings.ca_file or True
        super().__init__("Vault", timeout_seconds=settings.timeout, verify=verify)
        self._clock = clock
        self._quiet_until = float("-inf")

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request, unless Vault asked for a pause that is not over.

        Raises:
            UpstreamRefused: Vault understood, and said no.
            UpstreamError: There is no answer, or none that helps.
        """
        pause = self._quiet_until - self._clock()
        if pause > 0:
            raise UpstreamUnreachable(_BUSY, retry_after_seconds=pause)
        try:
            response = super().send(request, **kwargs)
        except UpstreamError as exc:
            # What requests raised holds the request, and with it perhaps a private key.
            exc.__cause__ = exc.__context__ = None
            exc.detail = _without_id(exc.detail, request)
            exc.retry_after_seconds = exc.retry_after_seconds or RETRY_SECONDS
            raise
        if response.status_code in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
            return response
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self._quiet_until = self._clock() + _retry_after(response)
        raise _refusal(response)


def _without_id(detail: str | None, request: requests.PreparedRequest) -> str | None:
    """Cut the id of a key, which is as good as the key to who may read Vault, to its beginning."""
    name = request.path_url.partition("?")[0].rpartition("/")[2]
    return detail.replace(name, shown(name)) if detail and KEY_ID.fullmatch(name) else detail


def _refusal(response: requests.Response) -> UpstreamError:
    status = response.status_code
    detail = _without_id(f"HTTP {status}: {_reasons(response)}", response.request)
    if status == HTTPStatus.FORBIDDEN:
        return Denied("Vault's policy does not let the gateway do this.", detail=detail)
    if status == HTTPStatus.NOT_FOUND:
        return Absent("Vault refused the request.", detail=detail)
    if response.is_redirect:
        text = "Vault is a standby node, and sends requests elsewhere."
    elif status in _NOT_NOW or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        text = _NOT_NOW.get(status, "Vault failed.")
    else:
        return UpstreamRefused("Vault refused the request.", detail=detail)
    return UpstreamUnreachable(text, detail=detail, retry_after_seconds=_retry_after(response))


def _retry_after(response: requests.Response) -> float:
    """Return the seconds to wait; Vault names them only where the operator switched that on."""
    named = response.headers.get("Retry-After", "")
    if named.isdecimal():
        return min(float(named), _LONGEST_PAUSE_SECONDS)
    busy = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
    return _QUOTA_INTERVAL_SECONDS if busy else RETRY_SECONDS


def _reasons(response: requests.Response) -> str:
    """Return what Vault itself says; a page from anything between us and Vault is left out."""
    try:
        with expecting_shape("Vault"):
            return "; ".join(map(str, read_json(response, "Vault")["errors"]))[:500]
    except UpstreamGarbled:
        return f"{len(response.content)} bytes that are not Vault's"


def make_client(
    settings: VaultSettings, session: VaultSession, token: str, namespace: str | None
) -> hvac.Client:
    """Make a client for one token: it never changes, so threads may share it.

    An empty token keeps hvac from looking for one in the environment.
    """
    return hvac.Client(
        settings.address, token=token, session=session, namespace=namespace, timeout=None
    )


@dataclass(frozen=True, slots=True)
class Token:
    """What a login gave.

    Attributes:
        client: Sends requests with the token.
        lifetime_seconds: Lifetime at the login; 0 for one without an end.
        renewable: Whether it may be made to live longer.
    """

    client: hvac.Client = field(repr=False)
    lifetime_seconds: float
    renewable: bool


class TokenKeeper:
    """Logs in, and keeps the token alive; one login at a time, whatever the number of callers.

    Attributes:
        failure: Why the last login failed; None after one that succeeded.
    """

    def __init__(
        self,
        settings: VaultSettings,
        session: VaultSession,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self.failure: UpstreamError | None = None
        self._settings = settings
        self._session = session
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._secret_id = None if settings.is_secret_wrapped else settings.secret_id
        self._retry_at = self._renew_at = self._ends_at = float("-inf")
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    @property
    def ttl_seconds(self) -> float | None:
        """Seconds that the token has left; infinite for one without an end, None before a login."""
        return None if self._token is None else max(0.0, self._ends_at - self._clock())

    def call(self, operation: Callable[[hvac.Client], T]) -> T:
        """Run an operation, twice at most: again only when a dead token was the reason."""
        token = self.current()
        try:
            return operation(token.client)
        except Denied:
            if is_alive(token):
                raise
        return operation(self.replace(token).client)

    def current(self) -> Token:
        """Return the token; log in when there is none yet."""
        return self._token or self.replace(None)

    def replace(self, dead: Token | None) -> Token:
        """Return a token other than the one that is dead.

        Raises:
            UpstreamRefused: The credentials are refused.
            UpstreamError: Vault cannot be asked now.
        """
        asked_at = self._clock()
        with self._lock:
            if self._token is not None and self._token is not dead:
                return self._token
            if self.failure is not None and asked_at < self._retry_at:
                raise self.failure.again()
            try:
                self._token = self._log_in()
            except UpstreamError as exc:
                # Who waited meanwhile shares the failure; a refused login is not tried again soon,
                # since Vault locks a role after a few.
                pause = _REFUSED_RETRY_SECONDS if isinstance(exc, UpstreamRefused) else 0
                self.failure, self._retry_at = exc.again(), self._clock() + pause
                raise
            self.failure = None
            self._schedule(self._token.lifetime_seconds)
            self._keep_renewing()
            return self._token

    def verify(self) -> None:
        """Check that the last login succeeded; log in again if it did not.

        Raises:
            UpstreamError: It fails still.
        """
        if self.failure is not None:
            self.replace(self._token)

    def renew_when_due(self) -> float:
        """Renew the token if it is time to.

        Returns:
            Seconds until it is worth looking again.
        """
        if self._clock() >= self._renew_at:
            try:
                self._renew()
            except UpstreamError as exc:
                log.warning("vault token not renewed", error=exc.message, detail=exc.detail)
                pause = exc.retry_after_seconds or _REFUSED_RETRY_SECONDS
                self._renew_at = self._clock() + pause * (1 + self._jitter() * _JITTER)
        return min(max(0.0, self._renew_at - self._clock()), _LONGEST_SLEEP_SECONDS)

    def stop(self) -> None:
        """End the renewal; on return its thread is gone."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _renew(self) -> None:
        token = self.current()
        lifetime = 0.0
        if token.renewable:
            try:
                answer = token.client.auth.token.renew_self()
            except UpstreamRefused:
                pass  # revoked, or it has lived as long as it may
            else:
                with expecting_shape("Vault"):
                    lifetime = float(answer["auth"]["lease_duration"])
        # Near its maximum each renewal grants less than the one before; no use waiting for the end.
        if lifetime < token.lifetime_seconds * _WORTH_KEEPING:
            self.replace(token)
            return
        with self._lock:
            if self._token is token:
                self._schedule(lifetime)

    def _schedule(self, lifetime_seconds: float) -> None:
        if not lifetime_seconds:
            self._ends_at = self._renew_at = float("inf")
            return
        share = _RENEW_AT * (1 - self._jitter() * _JITTER)
        now = self._clock()
        self._ends_at = now + lifetime_seconds
        self._renew_at = now + max(1.0, lifetime_seconds * share)

    def _keep_renewing(self) -> None:
        self._wake.set()
        if self._thread is None and not self._stopped:
            self._thread = threading.Thread(target=self._run, name="vault-token", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            if not self._stopped:  # asked again, since clear() may have undone a stop's wake-up
                self._wake.wait(self.renew_when_due())

    def _log_in(self) -> Token:
        if self._settings.auth == "token":
            return self._look_up(self._settings.token or "")
        client = self._client("")
        secret_id = self._unwrapped_secret_id()
        try:
            answer = client.auth.approle.login(self._settings.role_id, secret_id, use_token=False)
        except UpstreamRefused as exc:
            text = (
                "Vault refused the gateway's AppRole login: "
                "its role id or secret id is wrong, expired or used up, or the role is locked."
            )
            raise UpstreamRefused(text, detail=exc.detail) from None
        with expecting_shape("Vault"):
            auth = answer["auth"]
            client = self._client(auth["client_token"])
            return Token(client, float(auth["lease_duration"]), bool(auth["renewable"]))

    def _look_up(self, token: str) -> Token:
        client = self._client(token)
        try:
            answer = client.auth.token.lookup_self()
        except UpstreamRefused as exc:
            text = "Vault refused the gateway's token: it is wrong, expired or revoked."
            raise UpstreamRefused(text, detail=exc.detail) from None
        with expecting_shape("Vault"):
            data = answer["data"]
            return Token(client, float(data["ttl"]), bool(data.get("renewable")))

    def _unwrapped_secret_id(self) -> str:
        """Return the secret id; a wrapping token can be used once, so what was in it is kept."""
        if self._secret_id is None:
            try:
                answer = self._client(self._settings.secret_id or "").sys.unwrap()
            except UpstreamRefused as exc:
                text = (
                    "Vault refused the wrapping token of the gateway's secret id: "
                    "it has expired, or was used before; a new one is needed at every start."
                )
                raise UpstreamRefused(text, detail=exc.detail) from None
            with expecting_shape("Vault"):
                self._secret_id = str(answer["data"]["secret_id"])
        return self._secret_id

    def _client(self, token: str) -> hvac.Client:
        return make_client(self._settings, self._session, token, self._settings.namespace)


def is_alive(token: Token) -> bool:
    """Return whether Vault knows a token: ``GET /auth/token/lookup-self`` -> 200, or 403."""
    try:
        token.client.auth.token.lookup_self()
    except UpstreamRefused:
        return False
    return True


def remove_key(client: hvac.Client, *, mount: str, path: str) -> None:
    """Remove a secret, all its versions included; idempotent.

    Upstream: ``DELETE /<mount>/metadata/<path>`` -> 204
    (https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2).

    Args:
        client: Vault, with a token.
        mount: Of the engine.
        path: Of the secret.

    Raises:
        UpstreamError: It may still be there.
    """
    client.secrets.kv.v2.delete_metadata_and_all_versions(path, mount_point=mount)
