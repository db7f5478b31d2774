"""The service's own tokens over a whole web process: got, used, narrowed, and ended."""

from __future__ import annotations

import base64
import json
import time
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from ipaddress import ip_network

import pytest
from kit.tokens import SECRET, claims, key, part, public, sign
from service_kit import PASSWORDS, basic, open_service, settings_in, users

from app.assembly import make_sealing, token_service
from app.domain import AuditFilter, AuditResult
from app.errors import ConfigError
from app.identity import own_keys
from app.services.audit import Origin
from app.store.execution_rows import now
from app.store.users import Users

SHARED = "shared-key-of-all-0123456789"
ADDRESSES = ip_network("10.0.0.0/16").hosts()
ADA, DEV, ROOT = (basic(n, PASSWORDS[n]) for n in ("ada", "dev", "root"))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    auth = {**users(), "type": ["basic", "api_key", "jwt"], "secret": SECRET,
            "api_key_secret": SHARED}  # fmt: skip
    made = open_service(tmp_path_factory.mktemp("service"), api__auth=auth)
    yield made
    made.close()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def post(service, headers, **wish):
    return service.client.post("/auth/token", json=wish, headers=headers)


def token(service, headers=ADA, **wish):
    answer = post(service, headers, **wish)
    assert answer.status_code == 200, answer.text
    return answer.json["access_token"]


def ask(service, token, path="/executions"):
    # From another address each time, so that wrong tokens do not slow each other down.
    base = {"REMOTE_ADDR": str(next(ADDRESSES))}
    return service.client.get(path, headers=bearer(token), environ_base=base)


def said(token, n=1):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[n] + "=="))


def new_user(service, name="eve", roles=("developer",)):
    body = {"username": name, "password": "a long password", "roles": list(roles), "again": True}
    made = service.client.post("/users", json=body, headers=ROOT)
    assert made.status_code == 201, made.text
    return basic(name, "a long password")


@contextmanager
def keys_as_of_now(service):
    """Let the process look for other keys at once, as it does after a quarter of a second."""
    yield
    own, tokens = (
        service.services.authenticators._authenticators["own_token"],
        service.services.tokens,
    )
    for reads in (own._keys._by_kid, tokens._signers, tokens._keys and tokens._keys._all):
        if reads:
            reads.expire()


class TestGot:
    def test_the_answer_is_that_of_oauth(self, service):
        answer = post(service, ADA)
        assert answer.headers["Cache-Control"] == "no-store"
        body = answer.json
        assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
        assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
        assert "executions:run" in body["scope"].split()
        assert "admin" not in body["scope"].split()
        assert "workflows:write" not in body["scope"].split()
        header, payload = said(body["access_token"], 0), said(body["access_token"])
        assert (header["alg"], header["typ"]) == ("ES256", "at+jwt")
        assert {"iss": "slipway", "aud": "slipway", "sub": "ada", "roles": ["user"]}.items() <= (
            payload.items()
        )
        assert payload["exp"] - payload["iat"] == 900
        assert "scope" not in payload

    @pytest.mark.parametrize("way", ["basic", "api key", "shared key", "jwt"])
    def test_each_credential_gets_one_that_stands_for_it(self, service, way):
        made = service.client.post("/api_keys", json={"name": "x"}, headers=DEV).json
        headers = {
            "basic": DEV,
            "api key": {"X-API-Key": made["key"]},
            "shared key": bearer(SHARED),
            "jwt": bearer(sign(claims(sub="foreigner", roles=["developer"]))),
        }[way]
        got = token(service, headers)
        assert ask(service, got).status_code == 200
        name = {"shared key": "api", "jwt": "foreigner"}.get(way, "dev")
        assert said(got)["sub"] == name
        assert service.client.post("/workflows", json={}, headers=bearer(got)).status_code != 403

    @pytest.mark.parametrize(
        ("wish", "field"),
        [
            ({"scope": "everything"}, "scope"),
            ({"scope": "keys:read nothing"}, "scope"),
            ({"scope": ""}, "scope"),
            ({"scope": " "}, "scope"),
            ({"scope": ["keys:read"]}, "scope"),
            ({"scope": 7}, "scope"),
            ({"scope": "x" * 501}, "scope"),
            ({"scopes": ["keys:read"]}, "scopes"),
            ({"expires_in": "16m"}, "expires_in"),
            ({"expires_in": "0s"}, "expires_in"),
            ({"expires_in": "-1m"}, "expires_in"),
            ({"expires_in": "soon"}, "expires_in"),
            ({"expires_in": "1e9h"}, "expires_in"),
            ({"expires_in": {}}, "expires_in"),
        ],
    )
    def test_a_wish_that_cannot_be_is_named(self, service, wish, field):
        answer = post(service, ADA, **wish)
        assert answer.status_code == 422
        assert [fault["path"] for fault in answer.json["fields"]] == [field]

    def test_a_body_is_not_needed(self, service):
        assert service.client.post("/auth/token", headers=ADA).status_code == 200

    def test_it_ends_when_its_time_is_over_and_with_the_credential_at_the_latest(self, service):
        assert post(service, ADA, expires_in="5m").json["expires_in"] == 300
        short = bearer(sign(claims(exp=int(time.time()) + 60)))
        assert post(service, short).json["expires_in"] <= 90
        got = token(service, ADA, expires_in="1s")
        own = service.services.authenticators._authenticators["own_token"]
        identity, left = own._read(got)
        assert left <= 1
        assert identity.credential.expires_at <= now() + timedelta(seconds=1)

    def test_nothing_makes_one_last_longer(self, service):
        answer = post(service, bearer(token(service)))
        assert answer.status_code == 403
        assert "cannot be got with a token" in answer.json["detail"]

    def test_wrong_credentials_get_none(self, service):
        for headers in ({}, basic("ada", "wrong"), bearer("slw_wrong"), bearer("a.b.c")):
            answer = post(service, headers)
            assert answer.status_code == 401
            assert "access_token" not in answer.text

    def test_it_is_audited_and_no_token_is_in_the_audit(self, service):
        got = token(service, ADA, scope="keys:read")
        found, _ = service.services.audit.find(AuditFilter(action="tokens:create"), None, 1)
        event = found[0].event
        assert (event.username, event.result) == ("ada", AuditResult.SUCCESS)
        assert event.detail == f"{said(got)['jti']}, for 900 s, ('keys:read',)"
        assert got.split(".")[2] not in repr(found)

    def test_the_longest_life_is_an_hour(self, tmp_path):
        assert settings_in(tmp_path, api__auth__token_lifetime="1h")
        with pytest.raises(ConfigError) as caught:
            settings_in(tmp_path, api__auth__token_lifetime="61m")
        assert [f.path for f in caught.value.fields] == ["api.auth.token_lifetime"]

    def test_nobody_else_has_the_name_of_the_issuer(self, tmp_path):
        auth = {"type": "jwt", "secret": SECRET, "jwt": {"secret_issuer": "slipway"}}
        with pytest.raises(ConfigError) as caught:
            settings_in(tmp_path, api__auth=auth)
        assert [f.path for f in caught.value.fields] == ["api.auth.token_issuer"]


class TestNarrowed:
    def test_it_can_do_what_was_asked_for_and_no_more(self, service):
        got = token(service, DEV, scope="keys:read  executions:read keys:read")
        assert said(got)["scope"] == "keys:read executions:read"
        assert ask(service, got, "/ssh_keys").status_code == 200
        assert ask(service, got, "/executions").status_code == 200
        refused = ask(service, got, "/workflows")
        assert refused.status_code == 403
        assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]

    def test_never_more_than_the_credential(self, service):
        made = service.client.post(
            "/api_keys", json={"name": "x", "scopes": ["keys:read"]}, headers=ROOT
        ).json
        narrow = bearer(made["key"])
        for scope in ("keys:write", "admin", "keys:read keys:write"):
            assert post(service, narrow, scope=scope).status_code == 422
        answer = post(service, narrow)
        assert answer.json["scope"] == "keys:read"
        got = answer.json["access_token"]
        assert ask(service, got, "/ssh_keys").status_code == 200
        assert ask(service, got, "/users").status_code == 403

    def test_a_credential_whose_scopes_let_nothing_through_gets_none(self, service):
        nothing = bearer(sign(claims(roles=["admin"], scope="api:other")))
        assert post(service, nothing).status_code == 403

    def test_roles_decide_what_a_scope_is_worth(self, service):
        got = token(service, ADA, scope="admin")
        assert ask(service, got).status_code == 200
        assert ask(service, got, "/users").status_code == 403


class TestEnds:
    @pytest.mark.parametrize(
        "change",
        [
            {"disabled": True},
            {"password": "another password"},
            {"roles": ["user"]},
            {"roles": ["developer", "operator"]},
            None,
        ],
    )
    @pytest.mark.parametrize("way", ["basic", "api key"])
    def test_with_what_its_user_was(self, service, change, way):
        eve = new_user(service)
        if way == "api key":
            made = service.client.post("/api_keys", json={"name": "x"}, headers=eve).json
            eve = bearer(made["key"])
        got = token(service, eve)
        assert ask(service, got).status_code == 200
        if change is None:
            changed = service.client.delete("/users/eve", headers=ROOT)
        else:
            changed = service.client.patch("/users/eve", json=change, headers=ROOT)
        assert changed.status_code in (200, 204), changed.text
        assert ask(service, got).status_code == 401
        if change == {"disabled": True}:
            service.client.patch("/users/eve", json={"disabled": False}, headers=ROOT)
            assert ask(service, got).status_code == 401
        Users(service.web.database).remove("eve") if change is not None else None
        service.services.users._directory.expire()

    def test_with_the_key_that_it_was_got_with(self, service):
        made = service.client.post("/api_keys", json={"name": "x"}, headers=ADA).json
        got = token(service, bearer(made["key"]))
        assert ask(service, got).status_code == 200
        service.client.delete(f"/api_keys/{made['id']}", headers=ADA)
        refused = ask(service, got)
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]

    def test_with_a_user_of_an_issuer_who_is_shut_out(self, service):
        got = token(service, bearer(sign(claims(sub="guest"))))
        assert ask(service, got).status_code == 200
        service.client.patch("/users/guest", json={"disabled": True}, headers=ROOT)
        assert ask(service, got).status_code == 401
        service.client.patch("/users/guest", json={"disabled": False}, headers=ROOT)
        assert ask(service, got).status_code == 401, "it was issued before"

    def test_a_ticket_ends_with_the_token_that_it_was_got_with(self, service):
        made = service.client.post("/api_keys", json={"name": "x"}, headers=ADA).json
        got = token(service, bearer(made["key"]))
        tickets = [
            service.client.post("/executions/events/tickets", headers=bearer(got)).json["ticket"]
            for _ in range(2)
        ]
        assert service.services.tickets.take(tickets[0], "events").username == "ada"
        service.client.delete(f"/api_keys/{made['id']}", headers=ADA)
        refused = service.client.get(f"/executions/events?ticket={tickets[1]}")
        assert refused.status_code == 401


class TestForged:
    @pytest.fixture
    def good(self, service):
        return token(service)

    def forged(self, good, key_=None, header=None, **claims_):
        payload = {**said(good), **claims_}
        head = {**said(good, 0), **(header or {})}
        alg = head.pop("alg")
        return sign(payload, key("P-256") if key_ is None else key_, alg, **head)

    def test_each_is_refused_with_the_same_words(self, service, good):
        public_key = service.client.get("/.well-known/jwks.json").json["keys"][0]
        signed, _, signature = good.rpartition(".")
        rubbish = [
            self.forged(good),
            self.forged(good, SECRET, {"alg": "HS256"}),
            self.forged(good, json.dumps(public_key), {"alg": "HS256"}),
            self.forged(good, key("RSA"), {"alg": "RS256"}),
            self.forged(good, header={"jwk": public(key("P-256"))}),
            self.forged(good, header={"kid": "slipway-000000000000"}),
            self.forged(good, header={"kid": "slipway-"}),
            self.forged(good, header={"crit": ["x"], "x": 1}),
            f"{part({**said(good, 0), 'alg': 'none'})}.{good.split('.')[1]}.",
            f"{part({**said(good, 0), 'alg': 'none'})}.{good.split('.')[1]}.{signature}",
            f"{signed}.", f"{signed}.{signature[:-4]}",
            f"{good.split('.')[0]}.{part({**said(good), 'roles': ['admin']})}.{signature}",
        ]  # fmt: skip
        answers = {(a.status_code, a.json["detail"]) for a in map(service_ask(service), rubbish)}
        assert answers == {(401, "The token is not valid.")}

    def test_the_secret_of_others_signs_none(self, service, good):
        kid = said(good, 0)["kid"]
        payload = {**said(good), "exp": int(time.time()) + 600}
        assert ask(service, sign(payload, SECRET, kid=kid)).status_code == 401
        taken = ask(service, sign({**payload, "sub": "ada"}, SECRET))
        assert taken.status_code == 200, "it is a token of the secret then, and says so"

    def test_one_of_another_service_is_refused(self, service, tmp_path):
        other = open_service(tmp_path, api__auth=users())
        assert ask(service, token(other)).status_code == 401
        other.close()


def service_ask(service):
    return lambda token: ask(service, token)


class TestKeys:
    def test_the_public_halves_are_published(self, service):
        got = token(service)
        answer = service.client.get("/.well-known/jwks.json")
        assert answer.headers["Content-Type"] == "application/jwk-set+json"
        published = {k["kid"]: k for k in answer.json["keys"]}
        mine = published[said(got, 0)["kid"]]
        assert set(mine) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        verifying = own_keys.public_key(mine, ("ES256",))
        signed, _, signature = got.rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        assert verifying.verifies("ES256", signed.encode(), raw)

    def test_a_new_key_signs_and_the_old_one_is_good_for_an_hour(self, service, monkeypatch):
        old = token(service)
        with keys_as_of_now(service):
            kid = service.services.tokens.rotate()
        (audited, *_), _ = service.services.audit.find(
            AuditFilter(action="auth:rotate-key"), None, 1
        )
        assert audited.event.detail.startswith(f"'{kid}' signs; tokens of before are good until ")
        new = token(service)
        assert said(new, 0)["kid"] == kid != said(old, 0)["kid"]
        assert ask(service, old).status_code == ask(service, new).status_code == 200
        published = service.client.get("/.well-known/jwks.json").json["keys"]
        assert [k["kid"] for k in published][:2] == [kid, said(old, 0)["kid"]]
        with service.web.database.read() as connection:
            rows = connection.exec_driver_sql("SELECT kid, ciphertext FROM signing_keys").all()
        assert [kid_ for kid_, sealed in rows if sealed is not None] == [kid]
        later = now() + timedelta(minutes=62)
        monkeypatch.setattr(own_keys, "now", lambda: later)
        assert ask(service, old).status_code == 401
        assert [k["kid"] for k in service.client.get("/.well-known/jwks.json").json["keys"]] == [
            kid
        ]

    def test_at_once_ends_all_that_were_signed_before(self, service):
        old = token(service)
        assert ask(service, old).status_code == 200
        with keys_as_of_now(service):
            service.services.tokens.rotate(at_once=True)
        assert ask(service, old).status_code == 401
        assert ask(service, token(service)).status_code == 200
        assert len(service.client.get("/.well-known/jwks.json").json["keys"]) == 1

    def test_processes_of_one_database_share_it(self, service):
        first = token(service)
        tokens, database = token_service(service.settings, Origin())
        identity = service.services.authenticators._authenticators["own_token"]._read(first)[0]
        credential = identity.credential
        name, id_ = credential.id.split(":", 2)[1:]
        by = type(credential)(name, id_)
        second = tokens.issue(type(identity)(identity.username, identity.roles, credential=by)).text
        assert said(first, 0) == said(second, 0)
        assert ask(service, second).status_code == 200
        database.dispose()

    def test_a_process_with_another_master_key_verifies_and_does_not_sign(
        self, tmp_path, service, monkeypatch
    ):
        first = token(service)
        reads = service.services.tokens._signers
        other = tmp_path / "other.key"
        settings = settings_in(tmp_path, ssh_keys__master_key_file=str(other))
        sealing = partial(make_sealing, settings, service.web.database)
        monkeypatch.setattr(service.services.tokens, "_sealing", sealing)
        reads._remembered.clear()
        answer = post(service, ADA)
        assert answer.status_code == 503
        assert "master" not in answer.text
        assert ask(service, first).status_code == 200
        other.write_text("rubbish")
        other.chmod(0o600)
        assert post(service, ADA).status_code == 503


class TestOtherServices:
    @pytest.mark.parametrize("type_", ["basic", "api_key"])
    def test_they_are_taken_where_jwt_is_off(self, tmp_path, type_):
        auth = {**users(), "type": type_} | ({"secret": SHARED} if type_ == "api_key" else {})
        service = open_service(tmp_path, api__auth=auth)
        got = token(service, ADA if type_ == "basic" else bearer(SHARED))
        assert ask(service, got).status_code == 200
        refused = ask(service, got[:-8] + "AAAAAAAA")
        assert refused.status_code == 401
        assert 'Bearer realm="Slipway", error="invalid_token"' in str(refused.headers)
        nobody = service.client.get("/executions")
        assert "a token" not in nobody.json["detail"]
        service.close()

    def test_without_authentication_there_are_none(self, tmp_path):
        service = open_service(tmp_path)
        answer = service.client.post("/auth/token")
        assert (answer.status_code, answer.json["code"]) == (409, "conflict")
        assert "'api.auth.type' is 'none'" in answer.json["detail"]
        assert service.client.get("/.well-known/jwks.json").json == {"keys": []}
        assert ask(service, "a.b.c").status_code == 200
        service.close()
