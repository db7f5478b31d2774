"""The list of one's own sessions: where one has signed in, and ending that from elsewhere."""

from __future__ import annotations

from datetime import timedelta

import pytest
from access_kit import new_key
from service_kit import PASSWORDS, basic, open_service, users

from app.domain import AuditFilter, AuditResult
from app.errors import StoreUnavailable, UpstreamTimeout
from app.identity.basic import Basic
from app.store import execution_rows

ADA, ROOT = basic("ada", PASSWORDS["ada"]), basic("root", PASSWORDS["root"])


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = open_service(
        tmp_path_factory.mktemp("service"),
        api__auth={**users(), "type": ["basic", "api_key"]},
    )
    yield made
    made.close()


@pytest.fixture
def client(service):
    return service.web.app.test_client(use_cookies=False)


@pytest.fixture(autouse=True)
def none(service, client):
    """End the sessions that there are."""
    for name in PASSWORDS:
        assert client.delete(f"/sessions?user={name}", headers=ROOT).status_code == 200


def listed(client, headers, **query):
    answer = client.get("/sessions", headers=headers, query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json["sessions"]


def begin(client, headers, **more):
    """Sign in; return what a page sends, and the id of the session."""
    answer = client.post(
        "/auth/session", headers={**headers, **more}, environ_overrides={"REMOTE_ADDR": "10.1.2.3"}
    )
    assert answer.status_code == 201, answer.text
    page = {
        "Cookie": answer.headers["Set-Cookie"].partition(";")[0],
        "X-CSRF-Token": answer.json["csrf_token"],
    }
    [mine] = [each for each in listed(client, page) if each["current"]]
    return page, mine["id"]


class TestList:
    def test_it_tells_from_where_and_how_and_nothing_that_opens(self, client):
        page, id_ = begin(client, ADA, **{"User-Agent": "a browser"})
        answer = client.get("/sessions", headers=page)
        [session] = answer.json["sessions"]
        moments = [session.pop(name) for name in ("created_at", "last_used_at", "expires_at")]
        assert moments == sorted(moments)
        assert session == {
            "id": id_, "username": "ada", "begun_with": "basic", "address": "10.1.2.3",
            "user_agent": "a browser", "current": True,
        }  # fmt: skip
        key = page["Cookie"].partition("=")[2]
        assert key not in answer.text
        assert client.get("/executions", headers={"Cookie": f"slipway_session={id_}"}).status_code \
            == 401  # fmt: skip

    def test_the_newest_is_the_first_and_only_one_is_the_current(self, client, service):
        key, _ = new_key(service, "ada")
        pages = [begin(client, headers) for headers in (ADA, {"X-API-Key": key}, ADA)]
        for number, (page, id_) in enumerate(pages):
            seen = listed(client, page)
            assert [each["id"] for each in seen] == [id_ for _, id_ in reversed(pages)]
            assert [each["id"] for each in seen if each["current"]] == [id_], number
            assert [each["begun_with"] for each in seen] == ["basic", "api_key", "basic"]
        assert not any(each["current"] for each in listed(client, ADA))

    def test_who_has_never_signed_in_with_a_browser_has_none(self, client):
        assert listed(client, ADA) == []
        assert listed(client, ROOT, user="nobody-of-that-name") == []

    @pytest.mark.parametrize("name", ["ada", "root", "nobody-of-that-name"])
    def test_of_others_only_who_manages_users_sees_them(self, client, name):
        begin(client, ADA)
        assert len(listed(client, ROOT, user="ada")) == 1
        dev = basic("dev", PASSWORDS["dev"])
        answer = client.get("/sessions", headers=dev, query_string={"user": name})
        assert answer.status_code == 403

    def test_an_admin_with_a_narrow_key_sees_ones_own_only(self, client, service):
        begin(client, ADA)
        key = {"X-API-Key": new_key(service, "root", scopes=["keys:read"])[0]}
        assert listed(client, key) == []
        answer = client.get("/sessions", headers=key, query_string={"user": "ada"})
        assert answer.status_code == 403
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]

    @pytest.mark.parametrize("name", ["", "a b", "x" * 101, "a\x00b", "a:b"])
    def test_what_is_no_name_has_no_sessions(self, client, name):
        answer = client.get("/sessions", headers=ROOT, query_string={"user": name})
        assert answer.status_code == 422 or answer.json == {"sessions": []}

    def test_those_that_have_ended_by_themselves_are_not_there(self, client, monkeypatch):
        begin(client, ADA)
        later = execution_rows.now() + timedelta(hours=9)
        monkeypatch.setattr("app.identity.session_directory.now", lambda: later)
        assert listed(client, ADA) == []

    def test_those_that_have_ended_with_their_key_are_not_there(self, client, service):
        key, id_ = new_key(service, "ada")
        begin(client, {"X-API-Key": key})
        assert len(listed(client, ADA)) == 1
        assert client.delete(f"/api_keys/{id_}", headers=ADA).status_code == 204
        assert listed(client, ADA) == []

    def test_those_are_there_of_which_the_issuer_cannot_say(self, client, service, monkeypatch):
        begin(client, ADA)
        key = {"X-API-Key": new_key(service, "ada")[0]}

        def ask(*_):
            raise UpstreamTimeout("The issuer does not answer.")

        monkeypatch.setattr(Basic, "recheck", ask)
        assert len(listed(client, key)) == 1

    def test_a_store_that_cannot_say_is_503(self, client, service, monkeypatch):
        begin(client, ADA)
        key = {"X-API-Key": new_key(service, "ada")[0]}

        def ask(*_):
            raise StoreUnavailable("The store does not answer.")

        monkeypatch.setattr(Basic, "recheck", ask)
        assert client.get("/sessions", headers=key).status_code == 503


class TestEnd:
    def test_it_is_worth_nothing_any_more_and_the_others_are(self, client):
        (lost, id_), (kept, _) = begin(client, ADA), begin(client, ADA)
        assert client.delete(f"/sessions/{id_}", headers=kept).status_code == 204
        assert client.get("/executions", headers=lost).status_code == 401
        assert client.get("/executions", headers=kept).status_code == 200
        assert id_ not in [each["id"] for each in listed(client, kept)]
        assert client.delete(f"/sessions/{id_}", headers=kept).status_code == 404

    def test_ones_current_one_can_be_ended_too(self, client):
        page, id_ = begin(client, ADA)
        assert client.delete(f"/sessions/{id_}", headers=page).status_code == 204
        assert client.get("/executions", headers=page).status_code == 401

    def test_in_a_session_it_needs_the_token_of_the_page(self, client):
        page, id_ = begin(client, ADA)
        answer = client.delete(f"/sessions/{id_}", headers={"Cookie": page["Cookie"]})
        assert (answer.status_code, answer.json["code"]) == (403, "csrf_token_missing")
        assert len(listed(client, page)) == 1

    def test_it_is_in_the_audit(self, client, service):
        _, id_ = begin(client, ADA)
        client.delete(f"/sessions/{id_}", headers=ROOT)
        done = AuditFilter(action="sessions:end", username="root", result=AuditResult.SUCCESS)
        [event, *_], _ = service.services.audit.find(done, None, 50)
        assert event.event.target == f"/sessions/{id_}"
        assert event.event.detail == "of 'ada'"

    def test_one_of_somebody_else_is_as_one_that_never_was(self, client):
        page, id_ = begin(client, ADA)
        dev = basic("dev", PASSWORDS["dev"])
        answers = [client.delete(f"/sessions/{word}", headers=dev) for word in (id_, "0" * 16)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].json == answers[1].json
        assert client.get("/executions", headers=page).status_code == 200

    @pytest.mark.parametrize("word", ["x", "%00", "ü", "0" * 5000, "..", "a%2Fb"])
    def test_what_is_no_id_names_none(self, client, word):
        assert client.delete(f"/sessions/{word}", headers=ADA).status_code in {404, 405}

    def test_the_key_of_a_session_is_no_id(self, client):
        page, _ = begin(client, ADA)
        key = page["Cookie"].partition("=")[2]
        assert client.delete(f"/sessions/{key}", headers=ADA).status_code == 404


class TestEndAll:
    def test_all_are_worth_nothing_any_more_and_those_of_others_are(self, client):
        mine = [begin(client, ADA)[0] for _ in range(3)]
        other, _ = begin(client, ROOT)
        answer = client.delete("/sessions", headers=mine[0])
        assert (answer.status_code, answer.json) == (200, {"ended": 3})
        asked = [client.get("/executions", headers=each).status_code for each in (*mine, other)]
        assert asked == [401, 401, 401, 200]

    def test_the_current_one_may_go_on(self, client):
        (lost, _), (kept, id_) = begin(client, ADA), begin(client, ADA)
        answer = client.delete("/sessions?keep_current=true", headers=kept)
        assert answer.json == {"ended": 1}
        assert [each["id"] for each in listed(client, kept)] == [id_]
        assert client.get("/executions", headers=lost).status_code == 401
        assert client.delete("/sessions?keep_current=true", headers=kept).json == {"ended": 0}

    def test_without_a_session_there_is_none_to_keep(self, client):
        begin(client, ADA)
        assert client.delete("/sessions?keep_current=true", headers=ADA).json == {"ended": 1}

    def test_those_that_have_ended_by_themselves_are_not_counted(
        self, client, service, monkeypatch
    ):
        begin(client, ADA)
        later = execution_rows.now() + timedelta(hours=9)
        monkeypatch.setattr("app.store.sessions.now", lambda: later)
        assert client.delete("/sessions", headers=ADA).json == {"ended": 0}

    def test_of_others_only_who_manages_users_ends_them(self, client):
        page, _ = begin(client, ADA)
        dev = basic("dev", PASSWORDS["dev"])
        assert client.delete("/sessions?user=ada", headers=dev).status_code == 403
        assert client.get("/executions", headers=page).status_code == 200
        assert client.delete("/sessions?user=ada", headers=ROOT).json == {"ended": 1}
        assert client.get("/executions", headers=page).status_code == 401

    def test_it_needs_the_token_of_the_page(self, client):
        page, _ = begin(client, ADA)
        answer = client.delete("/sessions", headers={"Cookie": page["Cookie"]})
        assert (answer.status_code, answer.json["code"]) == (403, "csrf_token_missing")

    def test_it_is_in_the_audit_if_anything_was_ended(self, client, service):
        done = AuditFilter(action="sessions:end", username="dev", result=AuditResult.SUCCESS)
        dev = basic("dev", PASSWORDS["dev"])
        client.delete("/sessions", headers=dev)
        assert service.services.audit.find(done, None, 50)[0] == []
        begin(client, dev)
        client.delete("/sessions", headers=dev)
        [event], _ = service.services.audit.find(done, None, 50)
        assert (event.event.target, event.event.detail) == ("/sessions", "all of 'dev'")

    @pytest.mark.parametrize("query", ["keep_current=perhaps", "user="])
    def test_what_it_does_not_understand_ends_nothing(self, client, query):
        page, _ = begin(client, ADA)
        answer = client.delete(f"/sessions?{query}", headers=page)
        if answer.status_code == 200:
            assert answer.json == {"ended": 0}
        else:
            assert answer.status_code in {403, 422}
        assert client.get("/executions", headers=page).status_code == 200


def test_without_authentication_there_are_none(make_service):
    client = make_service().client
    assert listed(client, {}) == []
    assert client.delete("/sessions/0123456789abcdef").status_code == 404
