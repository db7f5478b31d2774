"""Signing in with a browser, wherever that is: the device flow, and what is kept of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import requests

from slipway import device_flow
from slipway.auth import OidcTokens
from slipway.cli.codes import ExitCode, Failure
from slipway.cli.output import clean
from slipway.cli.profiles import Profile, tokens_file
from slipway.errors import Misused

if TYPE_CHECKING:
    from slipway.cli.shell import Shell

_MINUTE_SECONDS = 60


def sign_in(shell: Shell, profile: Profile, client_id: str | None) -> OidcTokens:
    """Show somebody an address and a code, and wait until they have signed in there.

    Raises:
        Failure: They do not sign in, or the provider is no help.
    """
    with _session(profile) as http:
        try:
            issuer = device_flow.find_issuer(profile.url, http)
            tokens = device_flow.sign_in(
                profile.url, lambda code: _show(shell, code), client_id=client_id, issuer=issuer,
                session=http,
            )  # fmt: skip
        except device_flow.SignInError as exc:
            raise _failure(exc) from None
    return OidcTokens(
        token_endpoint=issuer.token_endpoint,
        client_id=client_id or issuer.client_id or "",
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expires_at=None if tokens.expires_in is None else time.time() + tokens.expires_in,
    )


def sign_out(profile: Profile) -> str:
    """Let the tokens of a profile be worth nothing at the provider.

    Returns:
        What people have to know; empty where it is done, or there is nothing to do.
    """
    try:
        kept = OidcTokens.read(tokens_file(profile.name))
    except Misused:
        return ""
    with _session(profile) as http:
        try:
            issuer = device_flow.find_issuer(profile.url, http)
            if issuer.token_endpoint != kept.token_endpoint:
                return (
                    "The service has another provider by now, so the tokens go on until they end."
                )
            token = kept.refresh_token or kept.access_token
            done = device_flow.revoke(issuer, kept.client_id, token, http)
        except device_flow.SignInError as exc:
            return f"The tokens go on until they end: {exc}"
    return "" if done else "The tokens go on until they end: the provider revokes none."


def _session(profile: Profile) -> requests.Session:
    session = requests.Session()
    if profile.ca:
        session.verify = profile.ca
    return session


def _show(shell: Shell, code: device_flow.DeviceCode) -> None:
    minutes = max(1, int(code.expires_in // _MINUTE_SECONDS))
    shell.say(f"Open   {clean(code.verification_uri)}")
    shell.say(f"Enter  {clean(code.user_code)}  (good for {minutes} min)")


def _failure(exc: device_flow.SignInError) -> Failure:
    if isinstance(exc, device_flow.NoIssuer):
        return Failure(str(exc), hint="slipway login URL asks for a user and a password.")
    if isinstance(exc, (device_flow.AccessDenied, device_flow.CodeExpired)):
        return Failure(str(exc), hint="Nothing was kept.", code=ExitCode.REFUSED)
    return Failure(str(exc), hint="slipway doctor looks for the reason.", code=ExitCode.UNREACHABLE)
