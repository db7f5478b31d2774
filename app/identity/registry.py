"""Which ways to sign in there are: dotted names, imported only when one is configured."""

from __future__ import annotations

from collections.abc import Mapping

from app.concurrency import make_pool
from app.identity.attempts import Attempts, Shared
from app.identity.authenticators import Authenticators
from app.identity.checking import HASHING_THREADS, Checker
from app.identity.local_slave import LocalSlave
from app.identity.port import Authenticator, Context
from app.identity.sessions import SessionAuthenticator
from app.registered import import_class

AUTHENTICATORS = {
    "none": "app.identity.anonymous:Anonymous",
    "basic": "app.identity.basic:Basic",
    "api_key": "app.identity.api_keys:ApiKeyAuthenticator",
    "jwt": "app.identity.jwt:Jwt",
    "oidc": "app.identity.oidc:Oidc",
    "introspection": "app.identity.introspection:Introspection",
    "certificate": "app.identity.certificate:Certificate",
}


def create_authenticators(
    context: Context, shared: Shared | None = None, slave_key_digest: str | None = None
) -> Authenticators:
    """Build the configured authenticators, in the order of the settings.

    Args:
        context: What they may be built with.
        shared: Where wrong credentials are counted for all processes together.
        slave_key_digest: Of the key of the slave that the service starts itself, if it does.
    """
    auth = context.settings.api.auth
    classes = [authenticator_class(type_) for type_ in auth.types]
    classes.sort(key=lambda cls: (not cls.particular, cls.takes_the_rest))
    made = [cls.create(auth.options[cls.name], context) for cls in classes]
    if not any(each.asks_nothing for each in made):
        # Large, and not for processes that serve nobody.
        from app.identity.own_tokens import OwnTokens  # noqa: PLC0415

        # First: what its keys have signed is nobody else's. Each of all may be begun with another.
        others = {each.name: each for each in made}
        for cls in (OwnTokens, SessionAuthenticator):
            others[cls.name] = cls.create(others, context)
            made.insert(0, others[cls.name])
    if slave_key_digest is not None:
        made.insert(0, LocalSlave(slave_key_digest))
    checker = Checker(
        auth.cache, make_pool(HASHING_THREADS, modest=True), attempts=Attempts(shared)
    )
    return Authenticators(made, checker)


def authenticator_class(type_: str) -> type[Authenticator]:
    """Import the class of a way to sign in.

    Args:
        type_: A name from the table, or ``package.module:Class``.

    Raises:
        ConfigError: There is no such type.
    """
    expected = f"must be one of: {', '.join(AUTHENTICATORS)}, or package.module:Class"
    found: type[Authenticator] = import_class(type_, AUTHENTICATORS, Authenticator, expected)
    return found


def security_schemes() -> Mapping[str, Mapping[str, str]]:
    """Return the security schemes of OpenAPI of all types of the table, by name."""
    classes = map(authenticator_class, AUTHENTICATORS)
    return {cls.name: cls.scheme for cls in classes if cls.scheme is not None}
