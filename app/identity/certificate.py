"""Certificates of clients (mutual TLS), for users whom the service knows.

The server has verified the signature and the dates by then; what is left is whose it is.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

from app.domain import Credential, Identity
from app.errors import NotAuthenticated
from app.identity.port import (
    API_KEY_FIELD,
    Authenticator,
    Challenge,
    Claim,
    Context,
    RequestView,
)
from app.identity.users import UserDirectory
from app.settings.schema import TextMap, Word, setting

_SEPARATOR = "|"
"""Between the user and the end of the certificate in the subject of a claim."""
_SAN_TYPES = {"email": "email", "dns": "DNS", "uri": "URI"}
_SUBJECT = "common_name"


class Certificate(Authenticator):
    """Takes a client for the user whom its certificate names.

    A credential that is sent in so many words beats the certificate, which a browser shows by
    itself.

    Args:
        users: Everybody who may sign in.
        name_from: Which part of a certificate names the user.
        names: User names of those whose certificates name them otherwise.
    """

    @dataclass(frozen=True)
    class Options:
        """Whose a certificate is."""

        name_from: str = setting(
            Word([_SUBJECT, *_SAN_TYPES], default=_SUBJECT),
            "What names the user: the `common_name` of the subject, or an alternative name "
            "(`email`, `dns`, `uri`). There must be exactly one in the certificate.",
        )
        names: Mapping[str, str] = setting(
            TextMap(load_default=dict),
            "User names for what stands there, such as `ada@example.org: ada`; all others are "
            "user names as they are.",
        )

    name = "certificate"
    needs = "a client certificate"

    def __init__(self, users: UserDirectory, name_from: str, names: Mapping[str, str]) -> None:
        self._users = users
        self._name_from = name_from
        self._names = names

    @classmethod
    def create(cls, options: Any, context: Context) -> Self:
        """Build one for the users of the settings and those of the store."""
        return cls(context.users, options.name_from, options.names)

    def claim(self, request: RequestView) -> Claim | None:
        """Read the name off the certificate of the connection.

        Raises:
            NotAuthenticated: It has none, or several.
        """
        certificate = request.certificate
        if certificate is None or _has_explicit(request):
            return None
        found = set(_names_in(certificate, self._name_from))
        if len(found) != 1:
            what = self._name_from.replace("_", " ")
            raise NotAuthenticated(f"The certificate must have exactly one name ({what}).")
        name = found.pop()
        user = self._names.get(name, name)
        return Claim(f"{user}{_SEPARATOR}{_ending(certificate)}", None)

    def verify(self, claim: Claim) -> Identity:
        """Return the user of that name.

        Raises:
            NotAuthenticated: There is no such user, or they may not sign in.
        """
        username, _, ends = claim.subject.rpartition(_SEPARATOR)
        return self._identity(username, datetime.fromtimestamp(int(ends), UTC))

    def recheck(self, identity: Identity) -> Identity:
        """Return what the user of that name is by now.

        Raises:
            NotAuthenticated: There is no such user any more, or they may not sign in any more.
        """
        return self._identity(identity.credential.id, identity.credential.expires_at)

    def challenge(self, refused: NotAuthenticated | None) -> Challenge | None:
        """Return nothing: it is TLS that asks for certificates."""
        return None

    def _identity(self, username: str, expires_at: datetime | None) -> Identity:
        return self._users.anew(partial(self._by_now, username, expires_at))

    def _by_now(self, username: str, expires_at: datetime | None) -> Identity:
        user = self._users.find(username)
        if user is None or user.disabled:
            raise NotAuthenticated("The certificate is of nobody who may sign in.")
        credential = Credential(self.name, user.username, expires_at)
        return Identity(user.username, user.roles, credential=credential)


def _has_explicit(request: RequestView) -> bool:
    """Return whether the sender has put a credential there, or begun to."""
    fields = (request.header("Authorization"), request.header(API_KEY_FIELD))
    return any(field is not None for field in fields) or bool(request.query_keys)


def _names_in(certificate: Mapping[str, Any], kind: str) -> Iterator[str]:
    if kind == _SUBJECT:
        for part in certificate.get("subject", ()):
            yield from (value for name, value in part if name == "commonName")
        return
    wanted = _SAN_TYPES[kind]
    yield from (value for type_, value in certificate.get("subjectAltName", ()) if type_ == wanted)


def _ending(certificate: Mapping[str, Any]) -> int:
    return int(ssl.cert_time_to_seconds(certificate["notAfter"]))
