"""Rubbish, and almost rubbish, with the credentials of everybody: no role finds what breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from kit.fixtures import SETTINGS
from kit.secrets import register
from kit.service import Service, manage
from kit.stress import scaled
from kit.tokens import SECRET, claims, sign
from schemathesis import Case
from test_fuzz import SCHEMAS, send

PEOPLE = (
    "anonymous", "user", "developer", "operator", "admin", "narrow key", "token", "session",
    "page of others",
)  # fmt: skip
CREDENTIALS = ("authorization", "x-api-key", "cookie", "x-csrf-token")
PASSWORD = "a password of the fuzz"
SOME = settings(
    max_examples=scaled(20, 1), derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks who is there."""
    folder = tmp_path_factory.mktemp("guarded")
    env = {
        **SETTINGS,
        "SLIPWAY_API__AUTH__TYPE": "[basic, api_key, jwt]",
        "SLIPWAY_API__AUTH__SECRET": SECRET,
    }
    for role in PEOPLE[1:5]:
        words = ("add", f"the-{role}", "--role", role, "--data-dir", folder / "data")
        manage("user", *words, env=env, typed=PASSWORD)
    service = Service(folder, env=env)
    service.user = ("the-admin", PASSWORD)
    try:
        yield service.start()
    finally:
        service.end()


@pytest.fixture(scope="module")
def headers(guarded: Service) -> dict[str, dict[str, str]]:
    """What each of them sends."""
    made = {"anonymous": {}}
    for role in PEOPLE[1:5]:
        client = guarded.client(f"the-{role}", PASSWORD)
        key = client.send("POST", "/api_keys", json={"name": "fuzz"}).json()["key"]
        made[role] = {"X-API-Key": key}
    wish = {"name": "narrow", "scopes": ["executions:read", "keys:read"]}
    narrow = guarded.client().send("POST", "/api_keys", json=wish).json()["key"]
    token = sign(claims(sub="jane", roles=["admin"]))
    register(token)
    return {
        **made,
        "narrow key": {"Authorization": f"Bearer {narrow}"},
        "token": {"Authorization": f"Bearer {token}"},
    }


@pytest.fixture
def session(guarded: Service) -> Callable[[str], dict[str, str]]:
    """What is sent in a session of an admin, which may end with what is tried."""

    @cache
    def begin(name: str) -> dict[str, str]:
        begun = guarded.client().send("POST", "/auth/session")
        assert begun.status_code == 201, begun.text
        cookie = {"Cookie": begun.headers["Set-Cookie"].partition(";")[0]}
        token = {"X-CSRF-Token": begun.json()["csrf_token"]}
        return cookie if name == "page of others" else cookie | token

    return begin


def fuzz(schema: Any) -> Any:
    @schema.exclude(path_regex="^/users/me").parametrize()
    @pytest.mark.parametrize("name", PEOPLE)
    @SOME
    def test(
        case: Case,
        guarded: Service,
        headers: dict[str, dict[str, str]],
        session: Callable[[str], dict[str, str]],
        name: str,
    ) -> None:
        case.headers = {
            field: value for field, value in (case.headers or {}).items()
            if field.lower() not in CREDENTIALS
        } | (headers[name] if name in headers else session(name))  # fmt: skip
        send(case, guarded.url)

    return test


for _document, _schema in SCHEMAS.items():
    globals()[f"test_no_request_to_{_document}_of_anybody_breaks_the_service"] = fuzz(_schema)
