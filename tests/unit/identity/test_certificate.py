"""Certificates of clients: whose they are, and what they are worth later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain import Role
from app.errors import NotAuthenticated
from app.identity.certificate import Certificate
from app.identity.users import User

ENDS = "Jan  5 09:34:43 2031 GMT"
SAN = (("DNS", "box.example"), ("email", "ada@example.org"), ("URI", "spiffe://x/ada"))


class Users:
    """Known users, who may be disabled."""

    def __init__(self) -> None:
        self.disabled: set[str] = set()

    def anew(self, judge):
        return judge()

    def find(self, username: str) -> User | None:
        if username not in ("ada", "a|b"):
            return None
        roles = frozenset({Role.USER})
        return User(username, None, roles, username in self.disabled, True, "1")


class Request:
    """A request over a connection with a certificate, or without."""

    address = "127.0.0.1"

    def __init__(
        self,
        certificate: Mapping[str, Any] | None,
        query_keys: tuple[str, ...] = (),
        **headers: str,
    ) -> None:
        self.certificate = certificate
        self.query_keys = query_keys
        self._headers = headers

    def header(self, name: str) -> str | None:
        return self._headers.get(name.replace("-", "_"))

    def cookie(self, name: str) -> str | None:
        return None


def shown(*names: str, san: tuple[tuple[str, str], ...] = SAN) -> dict[str, Any]:
    subject = tuple((("commonName", name),) for name in names)
    return {"subject": subject, "subjectAltName": san, "notAfter": ENDS}


def sign_in(way: Certificate, request: Request) -> Any:
    claim = way.claim(request)
    assert claim is not None
    return way.verify(claim)


def test_the_subject_is_the_user() -> None:
    for name in ("ada", "a|b"):
        identity = sign_in(Certificate(Users(), "common_name", {}), Request(shown(name)))
        assert identity.username == name
        assert identity.roles == {Role.USER}
        assert identity.credential.expires_at == datetime(2031, 1, 5, 9, 34, 43, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name_from", "text"),
    [("email", "ada@example.org"), ("dns", "box.example"), ("uri", "spiffe://x/ada")],
)
def test_an_alternative_name_can_be(name_from: str, text: str) -> None:
    way = Certificate(Users(), name_from, {text: "ada"})
    assert sign_in(way, Request(shown("root"))).username == "ada"
    with pytest.raises(NotAuthenticated):
        sign_in(Certificate(Users(), name_from, {}), Request(shown("ada")))


@pytest.mark.parametrize(
    "names", [(), ("ada", "root"), ("nobody",), ("",), ("ada\x00",), (" ada",)]
)
def test_what_names_nobody_or_several_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(NotAuthenticated):
        sign_in(Certificate(Users(), "common_name", {}), Request(shown(*names)))
    with pytest.raises(NotAuthenticated):
        sign_in(Certificate(Users(), "email", {}), Request(shown("ada", san=())))


def test_a_credential_in_so_many_words_beats_it() -> None:
    way = Certificate(Users(), "common_name", {})
    assert way.claim(Request(None)) is None
    assert way.claim(Request(shown("ada"), Authorization="Basic x")) is None
    assert way.claim(Request(shown("ada"), X_API_Key="x")) is None
    assert way.claim(Request(shown("ada"), query_keys=("x",))) is None


def test_a_user_who_is_disabled_is_refused_also_later() -> None:
    users = Users()
    way = Certificate(users, "common_name", {})
    identity = sign_in(way, Request(shown("ada")))
    assert way.recheck(identity) == identity
    users.disabled.add("ada")
    with pytest.raises(NotAuthenticated):
        way.recheck(identity)
    with pytest.raises(NotAuthenticated):
        sign_in(way, Request(shown("ada")))
