"""More than one credential, credentials of no kind that is taken, and what challenges say of it."""

from __future__ import annotations

import json

import pytest
from service_kit import PASSWORDS, basic, open_service, users
from toy_authenticator import digest

TOY = "toy_authenticator:StaticTokens"
ADA = basic("ada", PASSWORDS["ada"])["Authorization"]
BASIC = 'Basic realm="Slipway", charset="UTF-8"'
BEARER = 'Bearer realm="Slipway"'


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    file = tmp_path_factory.mktemp("tokens") / "tokens.json"
    entry = {"digest": digest("s"), "user": "ada", "roles": ["user"]}
    narrow = {**entry, "scopes": ["workflows:read"]}
    file.write_text(json.dumps({"one": entry, "narrow": narrow}))
    auth = {**users(), "type": ["basic", TOY], "static": {"file": str(file)}}
    made = open_service(tmp_path_factory.mktemp("service"), api__auth=auth)
    yield made
    made.close()


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", ADA), ("X-API-Key", "anything")],
        [("Authorization", "Bearer one.s"), ("X-API-Key", "anything")],
        [("Authorization", ADA), ("Authorization", "Bearer one.s")],
        [("Authorization", "Bearer one.s"), ("Authorization", "bearer one.s")],
        [("X-API-Key", "one"), ("X-API-Key", "two")],
        [("Authorization", "Digest x"), ("X-API-Key", "anything")],
    ],
)
def test_two_credentials_are_one_too_many(service, headers):
    response = service.client.get("/executions", headers=headers)
    assert (response.status_code, response.json["code"]) == (400, "several_credentials")
    assert "more than one credential" in response.json["detail"]


@pytest.mark.parametrize("cookie", ["session=abc", "api_key=abc; Authorization=x"])
def test_a_cookie_is_none(service, cookie):
    response = service.client.get(
        "/executions", headers={"Authorization": ADA, "Cookie": cookie, "X-API-Key": ""}
    )
    assert response.status_code == 200


def test_where_everybody_is_let_in_none_is_looked_at(make_service):
    client = make_service().client
    for headers in (
        [("Authorization", "Bearer anything")],
        [("Authorization", "Bearer a"), ("Authorization", "Bearer b"), ("X-API-Key", "c")],
        [("Authorization", "Basic ???")],
    ):
        assert client.get("/executions", headers=headers).status_code == 200


class TestChallenges:
    def ask(self, service, headers=None, address="10.9.9.1"):
        return service.client.get(
            "/executions", headers=headers, environ_overrides={"REMOTE_ADDR": address}
        )

    def test_without_credentials_there_is_no_error(self, service):
        for headers in (None, {"Authorization": ""}, {"X-API-Key": ""}, {"Cookie": "session=x"}):
            response = self.ask(service, headers)
            assert response.status_code == 401
            assert response.headers.getlist("WWW-Authenticate") == [BASIC, BEARER]

    @pytest.mark.parametrize("headers", [{"X-API-Key": "x"}, {"Authorization": "Digest x"}])
    def test_what_nobody_takes_is_an_invalid_token(self, service, headers):
        response = self.ask(service, headers, "10.9.9.2")
        assert response.status_code == 401
        first, second = response.headers.getlist("WWW-Authenticate")
        assert first.startswith(f'{BEARER}, error="invalid_token", error_description="')
        assert second == BASIC

    def test_what_nobody_takes_counts_by_its_address_and_shuts_nobody_out(self, service):
        codes = [
            self.ask(service, {"X-API-Key": f"guess{i}"}, "10.9.9.3").status_code for i in range(8)
        ]
        assert codes[:5] == [401] * 5
        assert codes[-1] == 429
        for headers in ({"Authorization": ADA}, {"Authorization": "Bearer one.s"}):
            assert self.ask(service, headers, "10.9.9.3").status_code == 200
        assert self.ask(service, {"X-API-Key": "guess"}, "10.9.9.4").status_code == 401

    def test_a_restricted_credential_is_told_the_scope_that_it_lacks(self, service):
        response = self.ask(service, {"Authorization": "Bearer narrow.s"})
        assert response.status_code == 403
        challenge = response.headers["WWW-Authenticate"]
        assert challenge.startswith(f'{BEARER}, error="insufficient_scope", ')
        assert challenge.endswith('scope="executions:read"')

    def test_who_lacks_a_role_is_told_of_no_scope(self, service):
        response = service.client.post("/workflows", json={}, headers={"Authorization": ADA})
        assert response.status_code == 403
        assert "WWW-Authenticate" not in response.headers
