"""Who one is to the service, and what one may do, by each way to sign in."""

from __future__ import annotations

import pytest
from access_kit import AUTH, bearer, new_key, new_session
from service_kit import PASSWORDS, basic, open_service

from app.domain import Permission, Role
from app.identity.permissions import PERMISSIONS


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = open_service(tmp_path_factory.mktemp("service"), api__auth=AUTH)
    yield made
    made.close()


def identity(service, headers):
    answer = service.web.app.test_client(use_cookies=False).get("/auth/identity", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_a_password_tells_the_user_the_roles_and_what_they_give(service):
    told = identity(service, basic("dev", PASSWORDS["dev"]))
    assert told["username"] == "dev"
    assert told["roles"] == ["user", "developer"]
    assert set(told["permissions"]) == {str(each) for each in PERMISSIONS[Role.DEVELOPER]}
    assert (told["restricted"], told["signed_in_with"]) == (False, "basic")
    assert told["expires_at"] is None


def test_a_restricted_key_tells_only_what_it_lets_through(service):
    key, _ = new_key(service, "dev", scopes=("executions:read",))
    told = identity(service, bearer(key))
    assert told["restricted"]
    assert told["signed_in_with"] == "api_key"
    assert "executions:read" in told["permissions"]
    assert "workflows:write" not in told["permissions"]
    assert told["expires_at"]


def test_a_session_tells_with_what_it_is_signed_in(service):
    told = identity(service, new_session(service, basic("ada", PASSWORDS["ada"])))
    assert (told["username"], told["signed_in_with"]) == ("ada", "session")
    assert told["expires_at"]


def test_nobody_is_nobody(service):
    client = service.web.app.test_client(use_cookies=False)
    assert client.get("/auth/identity").status_code == 401
    assert client.get("/auth/identity", headers=basic("ada", "wrong")).status_code == 401


def test_where_nobody_is_asked_everybody_may_do_all(tmp_path):
    service = open_service(tmp_path)
    try:
        told = identity(service, {})
    finally:
        service.close()
    assert told["username"] == "anonymous"
    assert told["signed_in_with"] == "none"
    assert set(told["permissions"]) == {str(each) for each in Permission}
