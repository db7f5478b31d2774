"""Rubbish, and almost rubbish, with the credentials of everybody: no role finds what breaks.

A case takes longer to make than to send, so each is made once and sent by everybody; in everyday
runs by a third of them, in turns. Half of the cases go to things that are there, which made
addresses never hit, other than those that would remove or change what the rest needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest
import requests
from hypothesis import HealthCheck, settings
from kit.definitions import script, workflow
from kit.fixtures import SETTINGS
from kit.fuzzing import Operation, each_operation
from kit.secrets import register
from kit.service import Service, manage
from kit.stress import SCALE, scaled
from kit.tokens import SECRET, claims, sign
from requests.structures import CaseInsensitiveDict
from schemathesis import Case
from test_fuzz import DOCUMENTS, EVERYTHING, aim, send

ROLES = ("user", "developer", "operator", "admin")
CREDENTIALS = ("authorization", "x-api-key", "cookie", "x-csrf-token")
PASSWORD = "a password of the fuzz"
SOME = settings(
    max_examples=scaled(100, 1), derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
_TURNS = 1 if SCALE else 3
_SPARED = {("DELETE", path) for item in DOCUMENTS.values() for path in item["paths"]} | {
    ("PATCH", "/users/{username}"), ("PUT", "/workflows/{reference}"),
}  # fmt: skip


class Person:
    """Somebody who sends, over a connection of their own.

    Args:
        service: Where they send to.
        headers: Their credential.
    """

    def __init__(self, service: Service, headers: dict[str, str]) -> None:
        self.headers = headers
        self._service = service
        self._connection = requests.Session()
        self._connection.trust_env = False

    def send(self, case: Case) -> None:
        """Send a case, and check the answer."""
        others = {
            field: value for field, value in (case.headers or {}).items()
            if field.lower() not in CREDENTIALS
        }  # fmt: skip
        mine = case.derive(headers=CaseInsensitiveDict(others | self.headers))
        self._connection.cookies.clear()
        answer = send(mine, self._service.url, self._connection)
        if answer.status_code == 401:
            self.sign_in()

    def sign_in(self) -> None:
        """Get another credential in place of one that has ended, if they can."""


class Visitor(Person):
    """An admin with a browser, whose session may end with what is tried.

    Args:
        service: Where they send to.
        credential: What the session is begun with.
        is_page_of_others: Whether it is a foreign page that makes the browser send.
    """

    def __init__(
        self, service: Service, credential: dict[str, str], *, is_page_of_others: bool
    ) -> None:
        super().__init__(service, {})
        self._credential = credential
        self._is_page_of_others = is_page_of_others
        self.sign_in()

    def sign_in(self) -> None:
        """Begin a session."""
        begun = requests.post(f"{self._service.url}/auth/session", headers=self._credential)
        assert begun.status_code == 201, begun.text
        self.headers = {"Cookie": begun.headers["Set-Cookie"].partition(";")[0]}
        if not self._is_page_of_others:
            self.headers["X-CSRF-Token"] = begun.json()["csrf_token"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks who is there."""
    folder = tmp_path_factory.mktemp("guarded")
    env = {
        **SETTINGS,
        "SLIPWAY_API__AUTH__TYPE": "[basic, api_key, jwt]",
        "SLIPWAY_API__AUTH__SECRET": SECRET,
    }
    for role in ROLES:
        words = ("add", f"the-{role}", "--role", role, "--data-dir", folder / "data")
        manage("user", *words, env=env, typed=PASSWORD)
    service = Service(folder, env=env)
    service.user = ("the-admin", PASSWORD)
    try:
        yield service.start()
    finally:
        service.end()


@pytest.fixture(scope="module")
def people(guarded: Service) -> dict[str, Person]:
    """Everybody who sends."""
    made: dict[str, dict[str, str]] = {"anonymous": {}}
    for role in ROLES:
        client = guarded.client(f"the-{role}", PASSWORD)
        key = client.send("POST", "/api_keys", json={"name": "fuzz"}).json()["key"]
        made[role] = {"X-API-Key": key}
    wish = {"name": "narrow", "scopes": ["executions:read", "keys:read"]}
    narrow = guarded.client().send("POST", "/api_keys", json=wish).json()["key"]
    token = sign(claims(sub="jane", roles=["admin"]))
    register(token)
    made["narrow key"] = {"Authorization": f"Bearer {narrow}"}
    made["token"] = {"Authorization": f"Bearer {token}"}
    return {
        **{name: Person(guarded, headers) for name, headers in made.items()},
        "session": Visitor(guarded, made["admin"], is_page_of_others=False),
        "page of others": Visitor(guarded, made["admin"], is_page_of_others=True),
    }


@pytest.fixture(scope="module")
def known(guarded: Service) -> dict[str, str]:
    """What is there, by the names of places in addresses."""
    definition = workflow("fuzzed", script("only", "echo hello"))
    guarded.client("the-developer", PASSWORD).upload(definition)
    user = guarded.client("the-user", PASSWORD)
    execution = user.launch("fuzzed")
    assert user.wait(execution)["status"] == "SUCCESS"
    developer = guarded.client("the-developer", PASSWORD)
    body = {"name": "fuzzed standing", "workers": [{"name": "only", "command": "true"}]}
    assert developer.send("POST", "/api/workflows", json=body).status_code == 201
    return {
        "execution_id": execution, "name": "only", "reference": "fuzzed",
        "username": "the-user", "workflow_name": body["name"], "worker_name": "only",
    }  # fmt: skip


def is_aimed(case: Case) -> bool:
    """Whether a case goes to what is there; the same case always does."""
    if "{" not in case.path or (case.method.upper(), case.path) in _SPARED:
        return False
    return number_of(case) % 2 == 0


def senders(case: Case, people: dict[str, Person]) -> list[str]:
    """Return who sends a case; the same case is always sent by the same people."""
    turn = number_of(case) // 2 % _TURNS
    return [name for place, name in enumerate(people) if place % _TURNS == turn]


def number_of(case: Case) -> int:
    return crc32(repr(case).encode("utf-8", "replace"))


def fuzz(schema: Any) -> Any:
    @each_operation(schema)
    def test(operation: Operation, people: dict[str, Person], known: dict[str, str]) -> None:
        def send_by_everybody(case: Case) -> None:
            chosen = senders(case, people)
            if is_aimed(case):
                aim(case, known)
            for name in chosen:
                try:
                    people[name].send(case)
                except Exception as exc:
                    exc.add_note(f"sent by: {name}")
                    raise

        operation.throw(send_by_everybody, SOME)

    return test


for _document, _schema in EVERYTHING.items():
    globals()[f"test_no_request_to_{_document}_of_anybody_breaks_the_service"] = fuzz(_schema)
