"""Which ways to sign in there are: dotted names, imported only when one is configured."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from app.concurrency import make_pool
from app.errors import ConfigError
from app.identity.authenticators import Authenticators
from app.identity.checking import HASHING_THREADS, Checker
from app.identity.port import Authenticator, Context

AUTHENTICATORS = {
    "none": "app.identity.anonymous:Anonymous",
    "basic": "app.identity.basic:Basic",
}


def create_authenticators(context: Context) -> Authenticators:
    """Build the configured authenticators, in the order of the settings."""
    auth = context.settings.api.auth
    classes = [authenticator_class(type_) for type_ in auth.types]
    made = [cls.create(auth.options[cls.name], context) for cls in classes]
    checker = Checker(auth.cache, make_pool(HASHING_THREADS, modest=True))
    return Authenticators(made, checker)


def authenticator_class(type_: str) -> type[Authenticator]:
    """Import the class of a way to sign in.

    Args:
        type_: A name from the table, or ``package.module:Class``.

    Raises:
        ConfigError: There is no such type.
    """
    module_name, _, class_name = AUTHENTICATORS.get(type_, type_).partition(":")
    try:
        found = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise _unknown(str(exc)) from exc
    if not isinstance(found, type) or not issubclass(found, Authenticator):
        raise _unknown(f"{type_} is no Authenticator")
    return found


def security_schemes() -> Mapping[str, Mapping[str, str]]:
    """Return the security schemes of OpenAPI of all types of the table, by name."""
    classes = map(authenticator_class, AUTHENTICATORS)
    return {cls.name: cls.scheme for cls in classes if cls.scheme is not None}


def _unknown(detail: str) -> ConfigError:
    known = ", ".join(AUTHENTICATORS)
    return ConfigError(f"must be one of: {known}, or package.module:Class", detail=detail)
