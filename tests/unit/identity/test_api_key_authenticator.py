"""API keys over the whole of a web process: made, used, restricted, ended; and the shared key."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
import toy_dialect
from kit.clock import Clock
from service_kit import PASSWORDS, basic, open_service, settings_in, users

from app.domain import Credential, Identity, Permission, Role
from app.errors import ConfigError, InvalidRequest
from app.identity import numbered
from app.identity.api_key_form import FORM, digest_of, is_well_formed, make_key
from app.identity.last_uses import LastUses
from app.services.api_keys import Wish
from app.store.api_keys import ApiKeys
from app.store.execution_rows import now
from app.store.users import Users

SHARED = "shared-key-of-all-0123456789"
ADA, BOB, ROOT, DEV = (basic(n, PASSWORDS[n]) for n in ("ada", "bob", "root", "dev"))
V1 = replace(toy_dialect.DIALECT, name="v1", prefix="/api/v1", takes_query_keys=True)
PLAIN = replace(toy_dialect.DIALECT, name="plain", prefix="/plain")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    auth = {**users(), "type": ["basic", "api_key"], "secret": SHARED}
    dialects = ["root", f"{__name__}:V1", f"{__name__}:PLAIN"]
    made = open_service(tmp_path_factory.mktemp("service"), api__auth=auth, api__dialects=dialects)
    yield made
    made.close()


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def make(service, headers=ADA, **wish):
    response = service.client.post("/api_keys", json={"name": "ci", **wish}, headers=headers)
    assert response.status_code == 201, response.text
    return response.json


def ask(service, headers, path="/executions", **more):
    return service.client.get(path, headers=headers, **more)


def test_a_key_of_whom_another_process_added_a_moment_ago_is_good(tmp_path, monkeypatch):
    monkeypatch.setattr(numbered, "time", SimpleNamespace(monotonic=Clock()))
    auth = {**users(), "type": ["basic", "api_key"]}
    one, other = (open_service(tmp_path, api__auth=auth) for _ in range(2))
    assert ask(other, ADA).status_code == 200
    new = {"username": "eve", "password": "a long password"}
    assert one.client.post("/users", json=new, headers=ROOT).status_code == 201
    key = make(one, basic("eve", new["password"]))["key"]
    assert ask(other, bearer(key)).status_code == 200
    for each in (one, other):
        each.close()


def test_a_key_whose_owner_got_its_roles_back_a_moment_ago_is_good(tmp_path, monkeypatch):
    monkeypatch.setattr(numbered, "time", SimpleNamespace(monotonic=Clock()))
    auth = {**users(), "type": ["basic", "api_key"]}
    one, other = (open_service(tmp_path, api__auth=auth) for _ in range(2))
    new = {"username": "eve", "password": "a long password", "roles": ["operator"]}
    assert one.client.post("/users", json=new, headers=ROOT).status_code == 201
    key = make(one, basic("eve", new["password"]), roles=["operator"])["key"]
    for role, status in [("user", 401), ("operator", 200)]:
        change = {"roles": [role]}
        assert one.client.patch("/users/eve", json=change, headers=ROOT).status_code == 200
        assert ask(other, bearer(key)).status_code == status
    for each in (one, other):
        each.close()


class TestForm:
    def test_keys_have_the_published_form_and_are_checked_without_the_store(self):
        keys = {make_key() for _ in range(100)}
        assert len(keys) == 100
        for key in keys:
            assert FORM.fullmatch(key)
            assert is_well_formed(key)
            assert len(digest_of(key)) == 64
            for place in (4, 20, 43, 44, 49):
                other = "a" if key[place] != "a" else "b"
                assert not is_well_formed(key[:place] + other + key[place + 1 :])
            for wrong in (key[:-1], key + "0", key.upper(), f" {key}", key + "\n", ""):
                assert not is_well_formed(wrong)

    def test_a_misspelt_key_does_not_reach_the_store(self, service, monkeypatch):
        asked = []
        reads = service.services.api_keys._directory._by_digest
        read = reads._read
        monkeypatch.setattr(reads, "_read", lambda digest: [asked.append(digest), read(digest)])
        assert ask(service, bearer(make_key()[:-1] + "!")).status_code == 401
        assert asked == []
        assert ask(service, bearer(make_key())).status_code == 401
        assert len(asked) == 1


class TestUse:
    def test_a_key_is_shown_once_and_lets_its_owner_in_by_either_field(self, service):
        made = make(service, name="for the nightly job")
        key = made.pop("key")
        assert FORM.fullmatch(key)
        for headers in (bearer(key), {"Authorization": f"bearer  {key}"}, {"X-API-Key": key}):
            assert ask(service, headers).status_code == 200
        listed = ask(service, ADA, "/api_keys")
        assert key not in listed.text
        mine = next(k for k in listed.json["api_keys"] if k["id"] == made["id"])
        assert (mine["prefix"], mine["owner"], mine["roles"]) == (key[:8], "ada", ["user"])
        with service.web.database.read() as connection:
            rows = str(connection.exec_driver_sql("SELECT * FROM api_keys").all())
        assert key not in rows
        assert digest_of(key) in rows

    def test_it_cannot_do_more_than_its_roles_and_scopes(self, service):
        narrow = make(service, DEV, scopes=["workflows:read"])["key"]
        assert ask(service, bearer(narrow), "/workflows").status_code == 200
        refused = ask(service, bearer(narrow))
        assert refused.status_code == 403
        assert 'scope="executions:read"' in refused.headers["WWW-Authenticate"]
        lesser = make(service, DEV, roles=["user"])["key"]
        posted = service.client.post("/workflows", json={}, headers=bearer(lesser))
        assert posted.status_code == 403

    @pytest.mark.parametrize(
        ("wish", "field"),
        [
            ({"roles": ["admin"]}, "roles"),
            ({"roles": ["operator", "user"]}, "roles"),
            ({"roles": ["slave"]}, "roles"),
            ({"roles": []}, "roles"),
            ({"scopes": []}, "scopes"),
            ({"scopes": ["everything"]}, "scopes"),
            ({"expires_in": "9000h"}, "expires_in"),
            ({"expires_in": "0s"}, "expires_in"),
            ({"expires_in": "-1h"}, "expires_in"),
            ({"expires_in": "soon"}, "expires_in"),
            ({"name": ""}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"name": "a\nb"}, "name"),
        ],
    )
    def test_a_wish_that_goes_too_far_names_its_field(self, service, wish, field):
        response = service.client.post("/api_keys", json={"name": "x", **wish}, headers=DEV)
        assert response.status_code == 422, response.text
        assert [fault["path"].partition("[")[0] for fault in response.json["fields"]] == [field]

    def test_a_restricted_credential_makes_no_wider_one(self, service):
        keys = make(service, DEV, scopes=["keys:write", "workflows:read"], expires_in="1h")
        with_key = bearer(keys["key"])
        for wish in ({}, {"scopes": ["executions:run"]}, {"scopes": ["admin"]}):
            sent = service.client.post("/api_keys", json={"name": "x", **wish}, headers=with_key)
            assert sent.status_code == 422, wish
            assert sent.json["fields"][0]["path"] == "scopes"
        made = make(service, with_key, scopes=["workflows:read"])
        assert made["expires_at"] <= keys["expires_at"]
        longer = {"name": "x", "scopes": ["workflows:read"], "expires_in": "2h"}
        assert service.client.post("/api_keys", json=longer, headers=with_key).status_code == 422

    def test_what_has_expired_is_refused(self, service):
        key = make(service, expires_in="1s")["key"]
        assert ask(service, bearer(key)).status_code == 200
        time.sleep(1.1)
        refused = ask(service, bearer(key))
        assert (refused.status_code, refused.json["detail"]) == (401, "The credential has expired.")

    def test_the_number_of_good_keys_has_a_bound(self, make_service):
        auth = {**users(), "type": ["basic", "api_key"], "api_key": {"max_per_user": 2}}
        service = make_service(api__auth=auth)
        first = make(service)
        make(service)
        refused = service.client.post("/api_keys", json={"name": "x"}, headers=ADA)
        assert (refused.status_code, refused.json["code"]) == (409, "conflict")
        make(service, BOB)
        service.client.delete(f"/api_keys/{first['id']}", headers=ADA)
        make(service)

    def test_keys_are_made_only_where_they_are_taken(self, make_service):
        service = make_service(api__auth=users())
        assert service.client.post("/api_keys", json={"name": "x"}, headers=ADA).status_code == 409


class TestEnds:
    def test_it_is_revoked_at_once_by_its_owner_or_an_admin(self, service):
        for who in (ADA, ROOT):
            made = make(service)
            assert ask(service, bearer(made["key"])).status_code == 200
            path = f"/api_keys/{made['id']}"
            assert service.client.delete(path, headers=BOB).status_code == 404
            assert service.client.delete(path, headers=who).status_code == 204
            refused = ask(service, bearer(made["key"]))
            assert refused.json["detail"] == "The API key was revoked."
            assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
            assert service.client.delete(path, headers=who).status_code == 404

    def test_another_process_hears_of_it(self, service):
        made = make(service)
        assert ask(service, bearer(made["key"])).status_code == 200
        elsewhere = ApiKeys(service.web.database)
        event = service.services.audit.event("test")
        assert elsewhere.revoke(elsewhere.by_id(made["id"]), event)
        time.sleep(0.3)
        assert ask(service, bearer(made["key"])).status_code == 401

    def test_it_ends_for_good_with_its_owner(self, service):
        key = make(service, BOB)["key"]
        assert ask(service, bearer(key)).status_code == 200
        stored = Users(service.web.database)
        stored.change("bob", disabled=True)
        time.sleep(0.3)
        assert ask(service, bearer(key)).status_code == 401
        stored.change("bob", disabled=False)
        time.sleep(0.3)
        assert ask(service, BOB).status_code == 200
        assert ask(service, bearer(key)).status_code == 401

    def test_lists_of_others_are_for_admins(self, service):
        for _ in range(2):
            make(service)
        for path in ("/api_keys?owner=ada", "/api_keys?all=true"):
            assert ask(service, BOB, path).status_code == 403
            owners = {k["owner"] for k in ask(service, ROOT, path).json["api_keys"]}
            assert "ada" in owners
        first = ask(service, ROOT, "/api_keys?all=true&page_size=1").json
        second = ask(service, ROOT, f"/api_keys?all=true&cursor={first['next']}").json
        ids = [k["id"] for k in first["api_keys"] + second["api_keys"]]
        assert len(set(ids)) == len(ids)

    def test_who_only_an_issuer_knows_has_keys_until_they_are_disabled(self, service):
        eve = Identity("eve", frozenset({Role.USER}), credential=Credential("jwt", "x"))
        key, _ = service.services.api_keys.create(Wish("x"), eve)
        assert ask(service, bearer(key)).status_code == 200
        Users(service.web.database).add("eve", None, {Role.ADMIN})
        time.sleep(0.3)
        assert ask(service, bearer(key)).status_code == 401  # another one has the name now


class TestQuery:
    """Keys in the address, on a toy of an API that takes them, and elsewhere."""

    PATH = "/api/v1/tallies/executions"

    @pytest.mark.parametrize("name", ["api_key", "api%5Fkey", "%61pi_key"])
    def test_they_are_taken_below_an_api_that_has_it_so_and_nowhere_else(self, service, name):
        key = make(service)["key"]
        post = service.client.post
        assert post(f"{self.PATH}?x=1&{name}={key}", json={}).status_code == 200
        assert post(f"{self.PATH}?{name}={key}&{name}={key}", json={}).status_code == 400
        assert post(f"{self.PATH}?{name}={key}", json={}, headers=ADA).status_code == 400
        for path in (f"/plain/tallies/executions?{name}={key}", f"/api/v1x?{name}={key}"):
            assert post(path, json={}).status_code in (401, 404)
        assert ask(service, None, f"/executions?{name}={key}").status_code == 401
        assert ask(service, ADA, f"/executions?{name}={key}").status_code == 200

    def test_they_can_be_switched_off(self, make_service):
        auth = {**users(), "type": ["basic", "api_key"], "allow_query_key": False}
        service = make_service(api__auth=auth, api__dialects=["root", f"{__name__}:V1"])
        key = make(service)["key"]
        assert service.client.post(f"{self.PATH}?api_key={key}", json={}).status_code == 401
        assert service.client.post(self.PATH, json={}, headers=bearer(key)).status_code == 200

    def test_they_and_misplaced_ones_are_in_no_answer(self, service):
        key = make(service)["key"]
        client, answers = service.client, []
        for query in (f"api_key={key}", f"api%5Fkey={key}", f"size={key}&api_key={key}"):
            for path in (self.PATH, "/executions", "/nothing", "/executions/x/logs", "/workflows"):
                for method in ("GET", "POST", "PUT"):
                    for headers in (None, ADA):
                        url = f"{path}?{query}"
                        answers.append(client.open(url, method=method, headers=headers, json={}))
        for body in ({key: key}, {"name": [key]}, f'{{"name": "{key}', {"roles": [key]}):
            more = {"data": body} if isinstance(body, str) else {"json": body}
            sent = client.post(
                "/api_keys", headers={**ADA, "Content-Type": "application/json"}, **more
            )
            answers.append(sent)
        answers.append(ask(service, basic("ada", key)))
        answers.append(ask(service, basic(key, key)))
        answers.append(ask(service, ADA, f"/executions/{key}"))
        answers.append(ask(service, ADA, f"/executions?page={key}&page_size={key}"))
        service.services.audit.flush()
        audited = ask(service, ROOT, "/audit?page_size=1000")
        assert len(audited.json["events"]) > 1
        for answer in (*answers, audited):
            assert key not in answer.text
            assert key not in str(answer.headers)


class TestSharedKey:
    def test_it_lets_everybody_in_who_has_it(self, service):
        for headers in (bearer(SHARED), {"X-API-Key": SHARED}):
            assert ask(service, headers).status_code == 200
            assert service.client.post("/workflows", json={}, headers=headers).status_code != 403
            assert ask(service, headers, "/audit").status_code == 403

    def test_what_is_nearly_it_does_not(self, service):
        for wrong in (SHARED[:-1], SHARED + "x", SHARED.upper(), "x"):
            assert ask(service, {"X-API-Key": wrong}).status_code in (401, 429)

    def test_it_makes_no_keys(self, service):
        refused = service.client.post("/api_keys", json={"name": "x"}, headers=bearer(SHARED))
        assert refused.status_code == 409


@pytest.mark.parametrize(
    ("auth", "paths"),
    [
        ({"type": "api_key", "secret": ""}, {"api.auth.secret"}),
        ({"type": "api_key", "secret": None}, {"api.auth.secret"}),
        ({"type": "api_key", "secret": "x" * 19}, {"api.auth.secret"}),
        ({"type": "api_key", "secret": "x y" * 10}, {"api.auth.secret"}),
        ({"type": "api_key", "secret": "é" * 30}, {"api.auth.secret"}),
        ({"type": "none", "secret": "x" * 40}, {"api.auth.secret"}),
        ({"type": "api_key", "secret": SHARED, "api_key_secret": SHARED + "x"},
         {"api.auth.api_key_secret"}),
        ({"type": "none", "api_key_secret": SHARED}, {"api.auth.api_key_secret"}),
        ({"type": "api_key", "secret": SHARED, "roles": []}, {"api.auth.roles"}),
        ({"type": "api_key", "secret": SHARED,
          "users": [{"username": "api", "password": "x"}]}, {"api.auth.users"}),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(tmp_path, auth, paths):
    with pytest.raises(ConfigError) as caught:
        settings_in(tmp_path, api__auth=auth)
    assert {fault.path for fault in caught.value.fields} == paths


class TestLastUses:
    def test_a_use_is_written_once_a_minute_at_most(self):
        written = []
        uses = LastUses(written.append)
        uses._thread = object()  # flushed by hand here
        uses.note("a", None)
        uses.note("a", None)
        uses.note("b", now() - timedelta(seconds=30))
        uses.note("c", now() - timedelta(seconds=61))
        uses.flush()
        uses.note("a", None)
        uses.flush()
        assert [sorted(moments) for moments in written] == [["a", "c"]]

    def test_the_store_takes_one_a_minute(self, service):
        id_ = make(service)["id"]
        store, moment = ApiKeys(service.web.database), now()
        for seconds, expected in ((0, 0), (59, 0), (60, 60), (30, 60)):
            store.used({id_: moment + timedelta(seconds=seconds)})
            assert store.by_id(id_).last_used_at == moment + timedelta(seconds=expected)


def test_a_scope_that_a_role_lacks_gives_nothing(service):
    ada = Identity("ada", frozenset({Role.USER}))
    key, _ = service.services.api_keys.create(Wish("x", scopes=["admin"]), ada)
    assert ask(service, bearer(key), "/audit").status_code == 403
    held = replace(ada, scopes=frozenset({Permission.KEYS_WRITE}))
    with pytest.raises(InvalidRequest):
        service.services.api_keys.create(Wish("x", scopes=["admin"]), held)
