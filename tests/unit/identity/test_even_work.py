"""Whoever is refused costs the same work, so that no clock tells what there is.

Work is counted, not timed: the hashes of passwords, and the statements of the store.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from access_kit import AUTH, new_key
from kit.clock import Clock
from kit.tokens import SECRET, claims, sign
from service_kit import Service, basic, open_service
from sqlalchemy import event

from app.domain import Role
from app.identity import basic as passwords
from app.identity import numbered
from app.identity.api_key_form import SHOWN, _checksum, make_key
from app.identity.attempts import Attempts
from app.services.users import UserChange


@dataclass
class Work:
    """What requests cost."""

    service: Service
    hashes: int = 0
    statements: int = 0

    def __post_init__(self) -> None:
        self._addresses = (f"10.1.{n >> 8}.{n & 255}" for n in itertools.count())

    def of(self, headers: Mapping[str, str]) -> tuple[int, int, int, str]:
        """Return status, hashes and statements of a request, and what it is answered."""
        hashes, statements = self.hashes, self.statements
        response = self.service.client.get(
            "/workflows", headers=headers,
            environ_overrides={"REMOTE_ADDR": next(self._addresses)},
        )  # fmt: skip
        return (
            response.status_code, self.hashes - hashes, self.statements - statements, response.text
        )  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = open_service(tmp_path_factory.mktemp("work"), api__auth=AUTH)
    users = made.services.users
    users.add("stored", {Role.USER}, "a password of the store")
    users.add("without", {Role.USER}, None)
    users.add("shut-out", {Role.USER}, "a password of the store")
    users.change("shut-out", UserChange(disabled=True))
    users.add("gone", {Role.USER}, "a password of the store")
    users.remove("gone")
    yield made
    made.close()


@pytest.fixture
def work(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    counted = Work(service)
    verify = passwords.is_password

    def hashed(*args: object) -> bool:
        counted.hashes += 1
        return verify(*args)  # type: ignore[arg-type]

    def executed(*_: object) -> None:
        counted.statements += 1

    monkeypatch.setattr(passwords, "is_password", hashed)
    # Between two requests no time passes after which one would look for changes.
    monkeypatch.setattr(numbered, "time", SimpleNamespace(monotonic=Clock()))
    event.listen(service.web.database._reader, "before_cursor_execute", executed)
    yield counted
    event.remove(service.web.database._reader, "before_cursor_execute", executed)


@pytest.fixture(params=["few", "many"], ids="{} users".format)
def crowd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the users of the service be as many as are read at once, or more."""
    if request.param == "many":
        monkeypatch.setattr("app.identity.users._FEW", 2)


NAMES = ("ada", "stored", "without", "shut-out", "gone", "nobody", "another-nobody")


@pytest.mark.usefixtures("crowd")
def test_an_unknown_user_costs_as_much_as_a_wrong_password(work: Work) -> None:
    costs = {}
    for name in NAMES:
        forget(work.service)
        work.of(basic(name, "wrong"))  # where they are many, each is looked up once
        costs[name] = work.of(basic(name, "wrong again"))
    assert len({*costs.values()}) == 1, costs
    assert costs["nobody"][:2] == (401, 1)


@pytest.mark.usefixtures("crowd")
@pytest.mark.parametrize("warm", [False, True])
def test_the_first_try_of_a_name_costs_the_same_whoever_has_it(work: Work, warm: bool) -> None:
    costs = {}
    for name in NAMES:
        forget(work.service)
        if warm:
            work.of(basic("somebody-else", "wrong"))
        costs[name] = work.of(basic(name, "wrong"))
    assert len({*costs.values()}) == 1, costs
    assert costs["nobody"][:2] == (401, 1)


def test_a_wrong_key_costs_the_same_however_much_of_it_is_right(work: Work) -> None:
    known = new_key(work.service, "ada")[0]
    costs = []
    for wrong in (make_key(), _like(known)):
        forget(work.service)
        costs.append(work.of({"X-API-Key": wrong}))
    assert costs[0] == costs[1]
    assert costs[0][:2] == (401, 0)


def _like(key: str) -> str:
    """A well-formed key of which as much is right as lists show of the other one."""
    body = key[:SHOWN] + make_key()[SHOWN:-6]
    return body + _checksum(body)


def test_a_wrong_token_costs_the_same_for_whomever_it_says_it_is(work: Work) -> None:
    costs = set()
    for name in NAMES:
        forget(work.service)
        costs.add(work.of({"Authorization": f"Bearer {sign(claims(sub=name), SECRET[::-1])}"}))
    assert len(costs) == 1, costs
    assert costs.pop()[:2] == (401, 0)


def forget(service: Service) -> None:
    """Let the process forget what it read and refused, and not look by the clock for changes."""
    checker = service.services.authenticators._checker
    checker._attempts, checker._misses = Attempts(), Attempts()
    ways = service.services.authenticators._authenticators
    keys, users = ways["api_key"]._keys, ways["basic"]._users
    for reads in (users._reads, users._few, keys._by_digest, keys._by_id):
        reads._remembered.clear()
        reads._look_at = math.inf
