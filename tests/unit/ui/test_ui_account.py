"""One's account: keys of programs, sessions, the password, and what one may do."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from access_kit import new_key
from service_kit import PASSWORDS, Service, open_service, users
from signing_kit import Guest, faults, said

from app.domain import Role
from app.ui._access_words import ROLES, WAYS, scope_words
from app.ui._agents import in_words

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/150.0.0.0 Safari/537.36 Edg/150.0.0.0"
)
PASSWORD = "a password of hers"


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Service]:
    made = open_service(
        tmp_path_factory.mktemp("service"),
        api__auth={**users(), "type": ["basic", "api_key"], "api_key": {"max_per_user": 30}},
    )
    yield made
    made.close()


@pytest.fixture(autouse=True)
def none(service) -> None:
    """End the keys and sessions that there are."""
    identity = service.services.authenticators
    del identity
    root = Guest(service).sign_in("root")
    for name in ("ada", "dev"):
        caller = service.services.sessions.find(
            root._client.get_cookie("slipway_session").value  # type: ignore[union-attr]
        )
        assert caller is not None
        service.services.sessions.end_all(caller, name)
        for key in service.services.api_keys.list(caller, name, None, 100)[0]:
            service.services.api_keys.revoke(key.id, caller)


@pytest.fixture
def ada(service) -> Guest:
    return Guest(service).sign_in("ada")


def once(page: str) -> str:
    found = re.search(r'name="once" value="(\w{32})"', page)
    assert found
    return found[1]


def make(guest: Guest, **fields):
    form = guest.get("/ui/account/api_keys/new").text
    given = {"name": "nightly", "days": "30", "may": "all", "once": once(form), **fields}
    return guest.send("/ui/account/api_keys", **given)


def key_in(page: str) -> str:
    found = re.search(r"slw_[0-9A-Za-z]{20,}", page)
    assert found
    return found[0]


class TestKeys:
    def test_a_key_is_shown_once_and_works(self, ada, service):
        answer = make(ada)
        assert answer.status_code == 201
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Not copied yet; it is shown this once." in answer.text
        key = key_in(answer.text)
        client = service.web.app.test_client()
        assert client.get("/executions", headers={"X-API-Key": key}).status_code == 200
        listed = ada.get("/ui/account").text
        assert "nightly" in listed
        assert key[:8] in listed
        assert key not in listed

    def test_the_same_form_makes_no_second_one(self, ada, service):
        fields = {"name": "n", "days": "1", "may": "all", "once": "a" * 32}
        first = ada.send("/ui/account/api_keys", **fields)
        second = ada.send("/ui/account/api_keys", **fields)
        assert (first.status_code, second.status_code) == (201, 409)
        assert "was sent before" in said(second.text, "alert")
        assert key_in(first.text) not in second.text
        assert len(re.findall("Revoke key", ada.get("/ui/account").text)) == 1
        # The word is of one user: that of another makes a key of its own.
        other = Guest(service).sign_in("dev")
        assert other.send("/ui/account/api_keys", **fields).status_code == 201

    def test_neither_after_it_was_revoked(self, ada):
        fields = {"name": "n", "days": "1", "may": "all", "once": "b" * 32}
        assert ada.send("/ui/account/api_keys", **fields).status_code == 201
        found = re.search(r"/ui/account/api_keys/(\w+)/revoke", ada.get("/ui/account").text)
        ada.send(f"/ui/account/api_keys/{found[1]}/revoke")
        assert ada.send("/ui/account/api_keys", **fields).status_code == 409

    def test_it_is_restricted_to_what_is_ticked(self, ada, service):
        key = key_in(make(ada, may="some", scopes=["executions:read"]).text)
        client = service.web.app.test_client()
        asked = [client.get(path, headers={"X-API-Key": key}).status_code
                 for path in ("/executions", "/workflows")]  # fmt: skip
        assert asked == [200, 403]

    @pytest.mark.parametrize(
        ("fields", "fault"),
        [({"name": ""}, "visible characters"), ({"name": "x" * 101}, "1 to 100"),
         ({"name": "a\nb"}, "visible characters"), ({"days": "3650"}, "one of those"),
         ({"days": "soon"}, "one of those"), ({"may": "some"}, "at least one"),
         ({"may": "some", "scopes": ["<b>"]}, "not <b>"), ({"roles": ["admin"]}, "not admin")],
    )  # fmt: skip
    def test_what_is_wrong_stands_beside_the_field(self, ada, fields, fault):
        answer = make(ada, **fields)
        assert answer.status_code == 422
        assert fault in faults(answer.text)
        assert "Revoke key" not in ada.get("/ui/account").text

    def test_what_was_typed_stays(self, ada):
        answer = make(ada, name="<i>mine</i>", days="7", may="some", scopes=["keys:read", "x"])
        assert 'value="&lt;i&gt;mine&lt;/i&gt;"' in answer.text
        assert '<option value="7" selected>' in answer.text
        assert re.search(r'value="keys:read" checked', answer.text)

    def test_as_many_as_there_may_be(self, ada, service):
        for _ in range(30):
            new_key(service, "ada")
        answer = make(ada)
        assert answer.status_code == 409
        assert "has 30 API keys" in said(answer.text, "alert")
        page = ada.get("/ui/account").text
        assert len(re.findall("Revoke key", page)) == 20
        older = re.search(r'href="([^"]*\?before=\d+)"', page)
        assert len(re.findall("Revoke key", ada.get(older[1]).text)) == 10

    @pytest.mark.parametrize("before", ["x", "-1", "9" * 40, "", "٣"])
    def test_a_place_that_is_none_is_the_beginning(self, ada, before):
        assert ada.get("/ui/account", query_string={"before": before}).status_code == 200

    def test_it_asks_before_it_revokes(self, ada, service):
        key, id_ = new_key(service, "ada")
        asked = ada.get(f"/ui/account/api_keys/{id_}/revoke").text
        assert re.search(r"Revoke the API key \w+", asked)
        client = service.web.app.test_client()
        assert client.get("/executions", headers={"X-API-Key": key}).status_code == 200
        answer = ada.send(f"/ui/account/api_keys/{id_}/revoke")
        assert answer.headers["Location"] == "/ui/account"
        assert "is revoked" in ada.notice()
        assert client.get("/executions", headers={"X-API-Key": key}).status_code == 401
        assert ada.send(f"/ui/account/api_keys/{id_}/revoke").status_code == 404
        assert ada.get(f"/ui/account/api_keys/{id_}/revoke").status_code == 404

    def test_that_of_somebody_else_is_none(self, ada, service):
        key, id_ = new_key(service, "dev")
        assert ada.get(f"/ui/account/api_keys/{id_}/revoke").status_code == 404
        assert ada.send(f"/ui/account/api_keys/{id_}/revoke").status_code == 404
        client = service.web.app.test_client()
        assert client.get("/executions", headers={"X-API-Key": key}).status_code == 200

    def test_names_are_texts(self, ada):
        make(ada, name="<script>alert(1)</script>")
        page = ada.get("/ui/account").text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page

    def test_the_address_of_the_form_leads_to_the_list(self, ada):
        assert ada.get("/ui/account/api_keys").headers["Location"] == "/ui/account"

    def test_where_no_keys_are_taken_there_are_none(self, tmp_path):
        service = open_service(tmp_path, api__auth=users())
        guest = Guest(service).sign_in("ada")
        assert "Make a key" not in guest.get("/ui/account").text
        assert "takes no API keys" in guest.get("/ui/account/api_keys/new").text
        assert make_anyway(guest).status_code == 409
        service.close()


def make_anyway(guest: Guest):
    return guest.send("/ui/account/api_keys", name="n", days="longest", may="all", once="c" * 32)


class TestSessions:
    def test_they_are_told_in_words(self, service):
        guest = Guest(service)
        guest._client.environ_base["HTTP_USER_AGENT"] = FIREFOX
        page = guest.sign_in("ada").get("/ui/account").text
        assert "Firefox on Linux" in page
        assert "this one" in page
        assert "Sign out everywhere else" not in page

    def test_what_browsers_call_themselves_is_text(self, service, ada):
        other = Guest(service)
        other._client.environ_base["HTTP_USER_AGENT"] = '<img src=x onerror="alert(1)">'
        other.sign_in("ada")
        page = ada.get("/ui/account").text
        assert "<img" not in page
        assert "&lt;img src=x" in page

    def test_one_is_ended_from_another(self, ada, service):
        other = Guest(service).sign_in("ada")
        ids = re.findall(r"/ui/account/sessions/(\w{16})/end", ada.get("/ui/account").text)
        assert len(ids) == 1
        ada.send(f"/ui/account/sessions/{ids[0]}/end")
        assert "Signed out there." in ada.notice()
        assert other.get("/ui/account").status_code == 303
        assert ada.send(f"/ui/account/sessions/{ids[0]}/end").status_code == 404

    def test_everywhere_else(self, ada, service):
        others = [Guest(service).sign_in("ada") for _ in range(2)]
        stranger = Guest(service).sign_in("dev")
        ada.send("/ui/account/sessions/end", which="others")
        assert "2 other sessions" in ada.notice()
        assert [each.get("/ui/account").status_code for each in others] == [303, 303]
        assert stranger.get("/ui/account").status_code == 200

    def test_everywhere(self, ada, service):
        other = Guest(service).sign_in("ada")
        assert "Sign out everywhere?" in ada.get("/ui/account/sessions/end").text
        answer = ada.send("/ui/account/sessions/end")
        assert answer.headers["Location"] == "/ui/sign-in"
        assert "everywhere" in ada.notice("/ui/sign-in")
        assert [each.get("/ui/account").status_code for each in (ada, other)] == [303, 303]

    @pytest.mark.parametrize("token", ["", "0" * 64])
    @pytest.mark.parametrize(
        "path", ["sessions/end", "password", "api_keys", "api_keys/x/revoke", "sessions/x/end"]
    )
    def test_none_of_it_without_the_token_of_the_session(self, ada, path, token):
        answer = ada.post(f"/ui/account/{path}", csrf_token=token)
        assert answer.status_code == 403
        assert ada.get("/ui/account").status_code == 200


class TestPassword:
    @pytest.fixture
    def eve(self, service) -> Iterator[Guest]:
        """Somebody whose password the service keeps."""
        service.services.users.add("eve", {Role.USER}, PASSWORD, again=True)
        guest = Guest(service)
        answer = guest.post("/ui/sign-in", username="eve", password=PASSWORD)
        assert answer.status_code == 303
        yield guest
        service.services.users.remove("eve")

    def change(self, guest, old=PASSWORD, new="another one of hers", again=None):
        fields = {
            "old_password": old,
            "new_password": new,
            "again": new if again is None else again,
        }
        return guest.send("/ui/account/password", **fields)

    def test_one_stays_signed_in_here_and_nowhere_else(self, eve, service):
        other = Guest(service)
        other.post("/ui/sign-in", username="eve", password=PASSWORD)
        answer = self.change(eve)
        assert answer.headers["Location"] == "/ui/account"
        assert "You stay signed in here" in eve.notice()
        assert other.get("/ui/account").status_code == 303
        late = Guest(service).post("/ui/sign-in", username="eve", password=PASSWORD)
        assert late.status_code == 401

    @pytest.mark.parametrize(
        ("fields", "status", "fault"),
        [({"old": "wrong"}, 403, "not your password"), ({"new": "short"}, 422, "8 to 1024"),
         ({"new": "x" * 2000}, 422, "8 to 1024"), ({"again": "another"}, 422, "not the same"),
         ({"old": ""}, 422, "not be empty"), ({"new": ""}, 422, "not be empty")],
    )  # fmt: skip
    def test_what_is_wrong_stands_beside_the_field(self, eve, fields, status, fault):
        answer = self.change(eve, **fields)
        assert answer.status_code == status
        assert fault in faults(answer.text)
        assert '<details id="password" open>' in answer.text
        assert "another one of hers" not in answer.text
        assert eve.get("/ui/account").status_code == 200

    def test_guesses_wait(self, eve):
        answers = [self.change(eve, old="wrong") for _ in range(8)]
        assert answers[-1].status_code == 429
        assert "Retry-After" in answers[-1].headers

    def test_that_of_the_settings_is_changed_there(self, ada):
        page = ada.get("/ui/account").text
        assert "stands in the settings" in page
        assert "old_password" not in page
        assert self.change(ada, old=PASSWORDS["ada"]).status_code == 409


def test_what_one_may_do_is_said(service):
    page = Guest(service).sign_in("root").get("/ui/account").text
    assert "Add, change and remove users." in page
    assert "Read who did what." not in Guest(service).sign_in("ada").get("/ui/account").text


def test_where_nobody_signs_in_there_is_nothing_of_anybody(tmp_path):
    service = open_service(tmp_path)
    page = Guest(service).get("/ui/account").text
    assert "Nobody signs in to this service" in page
    assert "Password" not in page
    assert "Where you have signed in" not in page
    service.close()


@pytest.mark.parametrize(
    ("agent", "words"),
    [(FIREFOX, "Firefox on Linux"),
     (SAFARI, "Safari on iPhone"), (EDGE, "Edge on Windows"),
     ("curl/8.5.0", "curl"), ("slipway/1.0 Linux", "The command line on Linux"),
     ("x" * 200, "x" * 60), (None, "An unknown program"), ("", "An unknown program")],
)  # fmt: skip
def test_browsers_in_words(agent, words):
    assert in_words(agent) == words


def test_there_are_words_for_all_roles_and_ways(service):
    assert {*ROLES} == {*Role}
    assert {"basic", "api_key"} <= {*WAYS}
    assert scope_words("admin") == "All that the roles allow."
