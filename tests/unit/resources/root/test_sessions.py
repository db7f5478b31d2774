"""Sessions of browsers: begun by a password or a key, guarded against pages of others, ended."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from service_kit import PASSWORDS, basic, open_service, users

from app.domain import AuditFilter, AuditResult
from app.identity.session_directory import digest_of
from app.identity.sessions import COOKIE, csrf_token
from app.store import execution_rows

ADA, ROOT = basic("ada", PASSWORDS["ada"]), basic("root", PASSWORDS["root"])
KEY = {"name": "k"}
OWN = {"Origin": "http://localhost"}
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = open_service(
        tmp_path_factory.mktemp("service"),
        api__auth={**users(), "type": ["basic", "api_key"], "sessions": {"max_per_user": 3}},
        api__allowed_origins=["https://portal.example.org"],
    )
    yield made
    made.close()


class Browser:
    """Somebody who has signed in."""

    def __init__(self, service, headers=ADA, **environ):
        self.client = service.client
        answer = self.client.post("/auth/session", headers=headers, environ_overrides=environ)
        assert answer.status_code == 201, answer.text
        self.body, self.answer = answer.json, answer
        self.key = answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
        self.token = {"X-CSRF-Token": self.body["csrf_token"]}

    def get(self, path="/executions", **headers):
        return self.client.get(path, headers=headers)

    def make_key(self, *, method="POST", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.open("/api_keys", method=method, json=KEY, headers=headers)


@pytest.fixture
def ada(service):
    return Browser(service)


def plain(service):
    """Return a client that sends the cookies that it is told to, and keeps none."""
    return service.web.app.test_client(use_cookies=False)


def audited(service, **wanted):
    done = AuditFilter(result=AuditResult.SUCCESS, **wanted)
    found, _ = service.services.audit.find(done, None, 50)
    return found


class TestBegin:
    def test_it_is_told_who_that_is(self, service, ada):
        assert ada.body["username"] == "ada"
        assert ada.body["roles"] == ["user"]
        shown = ada.get("/auth/session")
        assert shown.json == ada.body
        assert shown.headers["Cache-Control"] == "no-store"
        assert ada.get().status_code == 200

    def test_nobody_has_signed_in(self, service):
        nobody = {
            "id": None, "username": None, "roles": [], "csrf_token": None, "expires_at": None,
            "sign_in_url": None,
        }  # fmt: skip
        assert service.client.get("/auth/session").json == nobody
        client = service.client
        client.set_cookie(COOKIE, "sls_" + "x" * 43)
        assert client.get("/auth/session").json == nobody

    def test_the_store_has_no_key(self, service, ada, tmp_path):
        folder = service.settings.data_dir
        text = b"".join(path.read_bytes() for path in folder.glob("*.db*"))
        assert ada.key.encode() not in text
        assert digest_of(ada.key).encode() in text

    @pytest.mark.parametrize("wrong", [None, basic("ada", "wrong"), {"X-API-Key": "slw_no"}])
    def test_it_needs_a_right_credential(self, service, wrong):
        answer = service.client.post("/auth/session", headers=wrong)
        assert answer.status_code == 401
        assert "Set-Cookie" not in answer.headers

    def test_a_session_begins_no_other(self, service, ada):
        answer = ada.client.post("/auth/session", headers=ada.token)
        assert answer.status_code == 409

    def test_the_least_used_of_too_many_ends(self, service):
        first = Browser(service, ROOT)
        others = [Browser(service, ROOT) for _ in range(3)]
        assert first.get().status_code == 401
        assert [other.get().status_code for other in others] == [200] * 3

    def test_it_is_audited(self, service):
        Browser(service)
        [event, *_] = audited(service, action="sign-in", username="ada")
        assert event.event.detail.startswith("session ")
        assert event.event.detail.endswith("by basic")


class TestCookie:
    def test_over_http_it_is_hidden_from_scripts_and_sites(self, ada):
        cookie = ada.answer.headers["Set-Cookie"]
        assert cookie.startswith(f"{COOKIE}=sls_")
        for part in ("HttpOnly", "SameSite=Lax", "Path=/"):
            assert part in cookie
        assert "Secure" not in cookie
        assert "Domain" not in cookie

    def test_over_https_nobody_else_can_have_set_it(self, service):
        browser = Browser(service, **{"wsgi.url_scheme": "https"})
        cookie = browser.answer.headers["Set-Cookie"]
        assert cookie.startswith(f"__Host-{COOKIE}=")
        for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert part in cookie
        for name, status in ((f"__Host-{COOKIE}", 200), (COOKIE, 401)):
            answer = plain(service).get(
                "/executions",
                headers={"Cookie": f"{name}={browser.key}"},
                environ_overrides={"wsgi.url_scheme": "https"},
            )
            assert answer.status_code == status

    def test_below_a_prefix_it_is_of_that_prefix(self, service):
        environ = {"wsgi.url_scheme": "https", "SCRIPT_NAME": "/hpc"}
        cookie = Browser(service, **environ).answer.headers["Set-Cookie"]
        assert cookie.startswith(f"__Secure-{COOKIE}=")
        assert "Path=/hpc" in cookie

    @pytest.mark.parametrize(
        "cookie", ["", "x", "sls_", "sls_" + "x" * 43, "sls_" + "x" * 5000, "ü", "a=b=c", '"'],
    )  # fmt: skip
    def test_a_wrong_one_is_401(self, service, cookie):
        answer = plain(service).get(
            "/executions", headers={"Cookie": f"{COOKIE}={cookie}"},
            environ_overrides={"REMOTE_ADDR": f"10.1.1.{len(cookie) % 200}"},
        )  # fmt: skip
        assert answer.status_code == 401


class TestWhatBeatsIt:
    @pytest.mark.parametrize("other", [ROOT, {"Authorization": ROOT["Authorization"].lower()}])
    def test_a_credential_that_is_put_there_wins(self, ada, other):
        answer = ada.client.get("/users", headers=ROOT)
        assert answer.status_code == 200
        assert ada.client.get("/users").status_code == 403

    @pytest.mark.parametrize(
        "wrong",
        [
            basic("ada", "wrong"), {"Authorization": "Bearer nothing"}, {"X-API-Key": "nothing"},
            {"Authorization": "Digest x"},
        ],
    )  # fmt: skip
    def test_a_wrong_one_is_not_made_up_for(self, ada, wrong):
        assert ada.client.get("/executions", headers=wrong).status_code == 401

    def test_two_that_are_put_there_are_one_too_many(self, ada):
        answer = ada.client.get("/executions", headers={**ADA, "X-API-Key": "x"})
        assert (answer.status_code, answer.json["code"]) == (400, "several_credentials")

    def test_with_another_credential_no_token_is_needed(self, ada):
        answer = ada.make_key(Authorization=ADA["Authorization"])
        assert answer.status_code == 201


class TestOwnPages:
    def test_a_change_needs_the_token(self, ada):
        assert ada.make_key(**ada.token).status_code == 201
        assert ada.make_key(**ada.token, **OWN).status_code == 201

    @pytest.mark.parametrize("token", [None, "", "x", "ü", "0" * 64, csrf_token("sls_other")])
    def test_without_the_right_token_nothing_changes(self, ada, token):
        headers = {} if token is None else {"X-CSRF-Token": token}
        answer = ada.make_key(**headers)
        assert (answer.status_code, answer.json["code"]) == (403, "csrf_token_missing")

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    def test_it_is_so_for_each_method(self, service, method):
        root = Browser(service, ROOT)
        path = {"PUT": "/users/me/password", "PATCH": "/users/ada", "DELETE": "/users/nobody"}
        answer = root.client.open(path[method], method=method, json={})
        assert (answer.status_code, answer.json["code"]) == (403, "csrf_token_missing")

    def test_pages_that_may_change_something_otherwise_may_not_in_a_session(self, ada):
        origin = {"Origin": "https://portal.example.org"}
        answer = ada.make_key(**ada.token, **origin)
        assert (answer.status_code, answer.json["code"]) == (403, "foreign_origin")
        assert ada.make_key(**ADA, **origin).status_code == 201

    @pytest.mark.parametrize("origin", [None, "https://portal.example.org", "null"])
    def test_a_websocket_is_opened_by_own_pages_only(self, service, ada, origin):
        execution = service.add_execution("ada")
        headers = {**UPGRADE, **({} if origin is None else {"Origin": origin})}
        answer = ada.client.get(f"/executions/{execution.id}/ws", headers=headers)
        assert (answer.status_code, answer.json["code"]) == (403, "foreign_origin")


class TestEnd:
    def test_signing_out(self, service, ada):
        stolen = {"Cookie": f"{COOKIE}={ada.key}"}
        assert plain(service).get("/executions", headers=stolen).status_code == 200
        assert ada.client.delete("/auth/session").status_code == 403
        assert ada.get().status_code == 200
        answer = ada.client.delete("/auth/session", headers=ada.token)
        assert (answer.status_code, answer.json) == (200, {"sign_out_url": None})
        assert "Max-Age=0" in answer.headers["Set-Cookie"]
        assert ada.client.get("/executions").status_code == 401
        assert plain(service).get("/executions", headers=stolen).status_code == 401
        assert ada.client.delete("/auth/session").status_code == 200
        assert audited(service, action="sign-out", username="ada")

    def test_an_idle_one_ends_and_one_that_is_used_does_not(self, service, monkeypatch):
        idle, used = Browser(service), Browser(service)
        moment = execution_rows.now()

        def at(hours):
            later = moment + timedelta(hours=hours)
            for module in ("app.identity.session_directory", "app.identity.last_uses"):
                monkeypatch.setattr(f"{module}.now", lambda: later)

        uses = service.services.authenticators._authenticators["session"]._uses
        for hours in (5, 10):
            at(hours)
            assert used.get().status_code == 200
            uses.flush()
        assert idle.get().status_code == 401

    def test_it_ends_with_its_time(self, service, monkeypatch, ada):
        later = execution_rows.now() + timedelta(hours=25)
        monkeypatch.setattr("app.identity.session_directory.now", lambda: later)
        monkeypatch.setattr("app.identity.session_directory.SessionDirectory._is_idle",
                            lambda *_: False)  # fmt: skip
        assert ada.get().status_code == 401

    @pytest.mark.parametrize("change", [{"disabled": True}, {"password": "another password"}])
    def test_it_ends_with_its_user(self, service, change):
        name = f"eve{len(change)}{time.monotonic_ns()}"
        new = {"username": name, "password": "a long password"}
        assert service.client.post("/users", json=new, headers=ROOT).status_code == 201
        eve = Browser(service, basic(name, "a long password"))
        assert service.client.patch(f"/users/{name}", json=change, headers=ROOT).status_code == 200
        assert eve.get().status_code == 401
        back = {"disabled": False}
        assert service.client.patch(f"/users/{name}", json=back, headers=ROOT).status_code == 200
        assert eve.get().status_code == 401

    def test_it_is_of_the_roles_of_now(self, service):
        name = f"dan{time.monotonic_ns()}"
        new = {"username": name, "password": "a long password"}
        service.client.post("/users", json=new, headers=ROOT)
        dan = Browser(service, basic(name, "a long password"))
        assert dan.get("/audit").status_code == 403
        roles = {"roles": ["admin"]}
        service.client.patch(f"/users/{name}", json=roles, headers=ROOT)
        assert dan.get("/audit").status_code == 200

    def test_it_ends_with_its_key_and_makes_none_that_lives_longer(self, service):
        made = service.client.post(
            "/api_keys", json={"name": "short", "expires_in": "10m"}, headers=ADA
        ).json
        browser = Browser(service, {"X-API-Key": made["key"]})
        assert browser.body["expires_at"] <= made["expires_at"]
        longer = {"name": "long", "expires_in": "1h"}
        answer = browser.client.post("/api_keys", json=longer, headers=browser.token)
        assert answer.status_code == 422
        service.client.delete(f"/api_keys/{made['id']}", headers=ADA)
        assert browser.get().status_code == 401


def test_without_authentication_there_are_none(make_service):
    client = make_service().client
    assert client.post("/auth/session").status_code == 409
    assert client.get("/auth/session").json["username"] is None
    assert client.get("/auth/oidc/login").status_code == 409
    assert client.get("/auth/oidc/callback?state=x&code=y").status_code == 409
