"""The part of the settings that says who may sign in, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from app.errors import ConfigError, FieldError
from app.settings.schema import load_section
from app.settings.secrets import written_secrets
from app.settings.sections import ApiSettings, AuthSettings
from app.settings.shared_secret import secret_checks

_OPEN = "none"


class SignIn(Protocol):
    """A way to sign in, as far as the settings are concerned.

    Attributes:
        name: Its options stand below ``api.auth`` under this name.
        Options: Declares them.
    """

    name: str
    Options: type

    def faults(self, options: Any, auth: AuthSettings) -> list[FieldError]:
        """Return what is wrong between its options and what all share."""


SignInOf = Callable[[str], Any]
"""Returns the :class:`SignIn` of a type; raises ConfigError for an unknown type."""


def take_options(
    tree: dict[str, Any], sign_in_of: SignInOf
) -> tuple[dict[str, Any], list[FieldError]]:
    """Take the options of the configured ways to sign in out of the settings, and validate them.

    Args:
        tree: All settings, before they are validated; the options are removed from it.
        sign_in_of: Gives the way to sign in of a type.

    Returns:
        The validated options by the name of the way, and every fault.
    """
    auth = _auth_of(tree)
    options: dict[str, Any] = {}
    faults: list[FieldError] = []
    for path, type_ in _types(auth.get("type", _OPEN)):
        try:
            way: SignIn = sign_in_of(type_)
        except ConfigError as exc:
            faults.append(FieldError(path, exc.message))
            continue
        if way.name in options:
            faults.append(FieldError(path, f"'{way.name}' is used twice"))
            continue
        raw = auth.pop(way.name, {})
        if not isinstance(raw, Mapping):
            faults.append(FieldError(f"api.auth.{way.name}", "must be a mapping"))
            raw = {}
        options[way.name], more = load_section(way.Options, raw, f"api.auth.{way.name}")
        faults += more
    if _OPEN in options and len(options) > 1:
        text = f"'{_OPEN}' lets everybody in, so it cannot be combined with other ways"
        faults.append(FieldError("api.auth.type", text))
    return options, faults


def sign_in_secrets(written: Mapping[str, Any], sign_in_of: SignInOf) -> Iterator[str]:
    """Find the secrets among the options; see :func:`app.settings.secrets.written_secrets`."""
    auth = _auth_of(written)
    for _, type_ in _types(auth.get("type", _OPEN)):
        try:
            way: SignIn = sign_in_of(type_)
        except ConfigError:
            continue
        yield from written_secrets(way.Options, auth.get(way.name), f"api.auth.{way.name}.")


def option_checks(
    options: Mapping[str, Any], sign_in_of: SignInOf, auth: AuthSettings
) -> list[FieldError]:
    """Return what is wrong between the options of the ways to sign in and what all share."""
    faults: list[FieldError] = []
    for type_ in auth.types:
        with suppress(ConfigError):  # it has its fault already
            way: SignIn = sign_in_of(type_)
            chosen = options.get(way.name)
            faults += [] if chosen is None else way.faults(chosen, auth)
    return faults


def auth_checks(api: ApiSettings, is_local: bool) -> list[FieldError]:
    """Return what is wrong between the settings of who may sign in.

    Args:
        api: The settings.
        is_local: Only this machine can reach the address that is listened on.
    """
    faults = []
    types = api.auth.types
    if _OPEN in types and not api.insecure and not is_local:
        text = "without authentication only a loopback address is served, unless --insecure is set"
        faults.append(FieldError("api.host", text))
    if "certificate" in types and not (api.tls.enabled and api.tls.client_ca):
        text = "is needed with 'type: certificate', and 'api.tls.enabled: true'"
        faults.append(FieldError("api.tls.client_ca", text))
    seen: set[str] = set()
    for index, user in enumerate(api.auth.users):
        path = f"api.auth.users[{index}]"
        if (user.password is None) == (user.password_hash is None):
            faults.append(FieldError(path, "needs either 'password_hash' or 'password'"))
        if user.password_hash is not None and not user.password_hash.startswith("$argon2"):
            text = "must be an Argon2 hash, as 'slipway hash-password' prints it"
            faults.append(FieldError(f"{path}.password_hash", text))
        if user.username in seen:
            faults.append(FieldError(f"{path}.username", f"'{user.username}' is used twice"))
        seen.add(user.username)
    return faults + secret_checks(api.auth)


def _auth_of(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section ``api.auth``; an empty one where that is no mapping."""
    api = tree.get("api")
    auth = api.get("auth") if isinstance(api, dict) else None
    return auth if isinstance(auth, dict) else {}


def _types(given: Any) -> Iterator[tuple[str, str]]:
    """Return the types that are named, each with its path; what is none has its fault elsewhere."""
    if isinstance(given, str):
        yield "api.auth.type", given
    elif isinstance(given, list):
        for index, type_ in enumerate(given):
            if isinstance(type_, str):
                yield f"api.auth.type[{index}]", type_
