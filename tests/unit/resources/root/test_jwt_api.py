"""Tokens over HTTP: what a request with one is answered."""

import pytest
from kit.tokens import SECRET, claims, sign
from service_kit import open_service

from app.domain import Role


@pytest.fixture
def service(tmp_path):
    auth = {"api.auth.type": "jwt", "api.auth.secret": SECRET}
    auth |= {"api.auth.jwt": {"audience": "slipway"}}
    opened = open_service(tmp_path, **auth)
    yield opened
    opened.close()


def ask(service, token, path="/workflows"):
    return service.client.get(path, headers={"Authorization": f"Bearer {token}"})


def test_a_token_lets_in(service):
    assert ask(service, sign(claims(aud="slipway"))).status_code == 200
    assert ask(service, sign(claims(aud=["x", "slipway"]))).status_code == 200


@pytest.mark.parametrize("aud", [["x"], [], 7, ["slipway", 7], None, "slipway-dev", "SLIPWAY"])
def test_a_refusal_names_the_claim_and_not_its_value(service, aud):
    answer = ask(service, sign(claims(aud=aud)))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert "'aud'" in answer.json["detail"]
    assert "slipway-dev" not in answer.text


def test_without_a_token_there_is_no_error_in_the_challenge(service):
    challenge = service.client.get("/workflows").headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    assert "error" not in challenge


def test_roles_and_scopes_count(service):
    admin = sign(claims(aud="slipway", roles=[str(Role.ADMIN)]))
    narrow = sign(claims(aud="slipway", roles=[str(Role.ADMIN)], scope="keys:read"))
    assert ask(service, admin, "/audit").status_code == 200
    assert ask(service, narrow, "/audit").status_code == 403
    assert ask(service, narrow, "/ssh_keys").status_code == 200


def test_who_is_shut_out_is_so_with_a_token_that_was_taken_before(service):
    root = sign(claims(sub="root", aud="slipway", roles=["admin"]))
    token = sign(claims(aud="slipway"))
    assert ask(service, token).status_code == 200
    headers = {"Authorization": f"Bearer {root}"}
    made = service.client.post("/users", json={"username": "ada"}, headers=headers)
    assert made.status_code == 201, made.text
    changed = service.client.patch("/users/ada", json={"disabled": True}, headers=headers)
    assert changed.status_code == 200, changed.text
    assert ask(service, token).status_code == 401


def test_a_token_that_is_too_long_is_refused(service):
    assert ask(service, sign(claims(aud="slipway", x="y" * 20_000))).status_code in (401, 431)
