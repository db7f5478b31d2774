"""Every endpoint of every dialect, by everybody, for their own, foreign and unknown things."""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, starmap
from typing import Any

import pytest
from access_kit import (
    AUTH,
    BODIES,
    PLACES,
    STRANGER,
    Endpoint,
    Things,
    Who,
    endpoints,
    ends_session,
    narrow,
    people,
)
from service_kit import Service, open_service

from app.assembly import DIALECTS

PUBLIC = {
    "/openapi.json", "/openapi.yaml", "/toy/openapi.json", "/toy/openapi.yaml",
    "/api/openapi.json", "/api/openapi.yaml", "/api/v1/openapi.json", "/api/v1/openapi.yaml",
    "/api/v1/health", "/api/v1/ready",
    "/docs", "/docs/start.js", "/docs/assets/<path:name>",
    "/", "/health", "/ready", "/version", "/metrics", "/.well-known/jwks.json",
    "/docs/session.js", "/auth/session", "/auth/oidc/login", "/auth/oidc/callback",
    "/.well-known/oauth-protected-resource",
    "/ui/assets/<string:asked>/<path:name>", "/ui/sign-in", "/ui/sign-out", "/ui/signed-out",
}  # fmt: skip
"""What everybody may call; all else asks who is there."""

OWN, FOREIGN, UNKNOWN = "own", "foreign", "unknown"
REACHED = 0
"""Whatever status an endpoint answers who may call it, for what they may see."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_REFUSALS = {401, 403, 404, 405, 429, 500}


def _text(response: Any, body: bytes) -> str:
    """What an answer tells: of an archive, its files."""
    if response.content_type != "application/zip":
        return body.decode()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return "".join(archive.read(name).decode() for name in archive.namelist())


@pytest.fixture(scope="module")
def store() -> dict[str, str]:
    """The settings of the store."""
    return {}


@dataclass(frozen=True)
class Case:
    """One request of the matrix, in words."""

    who: Who
    endpoint: Endpoint
    whose: str
    word: str

    def __str__(self) -> str:
        return f"{self.who.name}: {self.endpoint.method} {self.endpoint.fill(self.word)}"

    @property
    def status(self) -> int:
        """What must become of it."""
        needed = self.endpoint.declared.permission
        place = PLACES[self.endpoint.place] if self.endpoint.place else None
        hidden = place is not None and (self.whose == UNKNOWN or not self._is_seen())
        if needed is not None and self.who.identity is None:
            return 401
        if self.who.is_unfit(self.endpoint):
            return 403
        if needed is not None and not self.who.may(needed):
            return 404 if hidden and place.first else 403
        if not hidden or (place.shared and self.endpoint.method == "PUT"):  # which may make it
            return REACHED
        return 404

    def is_right(self, response: Any) -> bool:
        """Whether an answer is the one that it must get."""
        if self.status == REACHED:
            return response.status_code not in _REFUSALS
        challenge = response.headers.get("WWW-Authenticate", "")
        if self.endpoint.is_page:
            return not challenge and self._is_right_page(response)
        is_narrow = self.status == 403 and self.who.is_narrow_for(self.endpoint.declared)
        return (
            response.status_code == self.status
            and bool(challenge) == (self.status == 401 or is_narrow)
            and ('error="insufficient_scope"' in challenge) == is_narrow
        )

    def _is_right_page(self, response: Any) -> bool:
        """Whether a page is the right one: who must sign in first is led there."""
        if self.status != 401:
            return bool(response.status_code == self.status)
        location = response.headers.get("Location", "")
        return response.status_code == 303 and location.startswith("/ui/sign-in?")

    @property
    def owner(self) -> str:
        """Whose it is about."""
        return STRANGER if self.whose == FOREIGN else self.who.username or "ada"

    def _is_seen(self) -> bool:
        return PLACES[self.endpoint.place].is_seen(self.who, self.owner)


class Matrix:
    """A service, all of its endpoints, and everybody who may call them."""

    def __init__(self, service: Service) -> None:
        self._client = service.web.app.test_client(use_cookies=False)
        self.endpoints = sorted(endpoints(service), key=ends_session)
        self.people = [*people(service)]
        self.things = Things(service)
        self.narrow = cache(lambda declared: [*narrow(service, declared)])
        self._addresses = (f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in itertools.count())

    def without_repeats(self, wanted: Sequence[Endpoint]) -> list[tuple[Who, Endpoint]]:
        """Have everybody try endpoints, those whom nothing lets in one of each method.

        A credential is looked up in the same way for every endpoint. Who came in a session begins
        another: an earlier test may have ended it.
        """
        everybody = [who if who.anew is None else replace(who, headers=who.anew())
                     for who in self.people]  # fmt: skip
        one_of_each = {each.method: each for each in wanted if each.declared.permission}.values()
        return [
            (who, each) for each in wanted for who in everybody
            if who.identity or each in one_of_each
        ]  # fmt: skip

    def cases(self, who: Who, endpoint: Endpoint) -> Iterator[Case]:
        """Everything that somebody may try with an endpoint."""
        if endpoint.place is None:
            yield Case(who, endpoint, OWN, "")
            return
        for number, unknown in enumerate(PLACES[endpoint.place].unknown):
            # Nobody has anything of their own.
            for whose in (OWN, FOREIGN) if who.identity else (FOREIGN,):
                case = Case(who, endpoint, whose, unknown)
                words = self.things.of(endpoint.place, case.owner)
                yield replace(case, word=words[number])
            yield Case(who, endpoint, UNKNOWN, unknown)

    def ask(self, case: Case) -> tuple[Any, str]:
        """Send a request, from an address where nobody was wrong before."""
        method = case.endpoint.method
        sent = BODIES.get(case.endpoint.rule.rpartition("/")[2], {})
        body = {} if method in ("GET", "DELETE") else {"json": sent}
        response = self._client.open(
            case.endpoint.fill(case.word), method=method, headers=case.who.headers,
            environ_overrides={"REMOTE_ADDR": next(self._addresses)}, **body,
        )  # fmt: skip
        try:
            is_endless = response.content_type == "text/event-stream; charset=utf-8"
            chunks = itertools.islice(response.response, 1) if is_endless else response.response
            return response, _text(response, b"".join(chunks))
        finally:
            response.close()

    def faults(self, who: Who, endpoint: Endpoint) -> Iterator[str]:
        """Try everything, and tell what becomes of it that must not."""
        if ends_session(endpoint) and who.anew is not None:
            who = replace(who, headers=who.anew())
        hidden: dict[str, set[str]] = {FOREIGN: set(), UNKNOWN: set()}
        for case in self.cases(who, endpoint):
            looks = case.whose == FOREIGN and case.status != REACHED and endpoint.method != "GET"
            before = self.things.rows(STRANGER) if looks else []
            response, text = self.ask(case)
            hidden.get(case.whose, set()).add(_MOMENT.sub("", text.replace(case.word, "")))
            if STRANGER in text and not (who.sees_others or endpoint.tells_owners):
                yield f"{case} tells of others: {text}"
            if not case.is_right(response):
                yield f"{case} is answered {response.status}, not {case.status}: {text}"
            if looks and self.things.rows(STRANGER) != before:
                yield f"{case} changes something"
            if endpoint.place and endpoint.method != "GET" and response.status_code < 400:
                self.things.used_up(endpoint.place, case.owner)
        is_blind = endpoint.place and not PLACES[endpoint.place].is_seen(who, STRANGER)
        if is_blind and hidden[FOREIGN] != hidden[UNKNOWN]:
            yield f"{who.name}: {endpoint.method} {endpoint.rule} tells what there is: {hidden}"


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory, store: dict[str, str]) -> Iterator[Matrix]:
    dialects = [*DIALECTS, "toy_dialect:DIALECT"]
    service = open_service(
        tmp_path_factory.mktemp("matrix"), api__auth=AUTH, api__dialects=dialects, **store
    )
    yield Matrix(service)
    service.close()


def test_each_is_let_to_what_they_may_and_nothing_else(matrix: Matrix) -> None:
    # What ends sessions comes last: it may end those of somebody else among these people.
    tried = [(who, each) for each in matrix.endpoints if not each.is_page for who in matrix.people]
    assert [*chain.from_iterable(starmap(matrix.faults, tried))] == []


def test_each_is_let_to_the_pages_that_they_may_see_and_no_others(matrix: Matrix) -> None:
    pages = [each for each in matrix.endpoints if each.is_page]
    # Browsers come in sessions.
    tried = [
        (who, each) for who, each in matrix.without_repeats(pages)
        if who.anew is not None or who.identity is None
    ]  # fmt: skip
    assert [*chain.from_iterable(starmap(matrix.faults, tried))] == []


def test_restricted_credentials_of_an_admin_do_what_they_are_for(matrix: Matrix) -> None:
    tried = ((who, each) for each in matrix.endpoints for who in matrix.narrow(each.declared))
    assert [*chain.from_iterable(starmap(matrix.faults, tried))] == []


def test_what_is_public_says_so_here_as_well(matrix: Matrix) -> None:
    assert {e.rule for e in matrix.endpoints if e.declared.permission is None} == PUBLIC
