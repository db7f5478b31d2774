"""Signing in and out on the page, by all ways, as a browser without scripts does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from access_kit import new_key
from service_kit import PASSWORDS, Service, open_service, users
from signing_kit import OWN, Guest, said

from app.domain import AuditFilter, AuditResult


def opened(folder, **auth) -> Service:
    return open_service(folder, api__auth={**users(), **auth})


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Service]:
    made = opened(tmp_path_factory.mktemp("service"), type=["basic", "api_key"])
    yield made
    made.close()


@pytest.fixture
def guest(service) -> Guest:
    return Guest(service)


def test_the_form_leads_on_to_the_page_that_was_wanted(guest):
    answer = guest.get("/ui/account?x=1")
    assert answer.headers["Location"] == "/ui/sign-in?next=%2Fui%2Faccount%3Fx%3D1"
    form = guest.get(answer.headers["Location"]).text
    assert 'name="next" value="/ui/account?x=1"' in form
    fields = {"username": "ada", "password": PASSWORDS["ada"], "next": "/ui/account?x=1"}
    answer = guest.post("/ui/sign-in", **fields)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/account?x=1")
    assert guest.get("/ui/sign-in?next=/ui/keys").headers["Location"] == "/ui/keys"


@pytest.mark.parametrize(
    ("asked", "next_"),
    [
        ("/ui/users/zo%C3%AB%20%3F", "/ui/users/zo%C3%AB%20%3F"),
        ("/ui/executions?workflow=a%20b&x=", "/ui/executions?workflow=a%20b&x="),
        (f"/ui/executions?workflow={'x' * 600}", "/ui/executions"),
        ("/ui/%2F%2Fevil.test", "/ui///evil.test"),
        (f"/ui/{'x' * 600}", "/ui/"),
    ],
)
def test_it_leads_to_the_page_as_it_was_asked_for(guest, asked, next_):
    answer = guest.get(asked)
    if answer.status_code == 404:  # which nobody signs in for
        assert f'data-next="{next_}"' in answer.text
        return
    assert answer.headers["Location"] == "/ui/sign-in?" + urlencode({"next": next_})
    fields = {"username": "root", "password": PASSWORDS["root"], "next": next_}
    assert guest.post("/ui/sign-in", **fields).headers["Location"] == next_


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.test",
        "https://evil.test",
        "/\\evil.test",
        "/%5cevil.test",
        "javascript:alert(1)",
        "/ui/\t/evil.test",
        "/ui/\\evil.test",
        " /ui/",
        "/docs",
        "/ui",
        "",
        "/ui/\x00",
    ],
)
def test_it_leads_nowhere_else(guest, wanted):
    answer = guest.post("/ui/sign-in", username="ada", password=PASSWORDS["ada"], next=wanted)
    assert answer.headers["Location"] == "/ui/"


@pytest.mark.parametrize("name", ["ada", "nobody", "<b>x</b>", "a:b", "ü\x00"])
def test_what_is_wrong_is_said_without_a_password_box(guest, name):
    answer = guest.post("/ui/sign-in", username=name, password="wrong")
    assert answer.status_code == 401
    assert "WWW-Authenticate" not in answer.headers
    assert "do not belong together" in said(answer.text, "alert")
    assert "<b>x" not in answer.text
    assert 'value="wrong"' not in answer.text


def test_a_wrong_password_is_recorded_once_as_a_sign_in(guest, service):
    guest.post("/ui/sign-in", username="eve-of-the-audit", password="wrong")
    guest.post("/ui/sign-in", username="root", password="wrong")
    service.services.audit.flush()
    wanted = AuditFilter("root", result=AuditResult.DENIED)
    found, _ = service.services.audit.find(wanted, None, 10)
    assert [(each.event.action, each.event.target) for each in found] == [
        ("sign-in", "/ui/sign-in")
    ]
    everything, _ = service.services.audit.find(AuditFilter(), None, 100)
    assert not [each for each in everything if "eve-of-the-audit" in str(each)]


def test_guesses_wait_and_are_told_how_long(guest):
    answers = [guest.post("/ui/sign-in", username="bob", password="wrong") for _ in range(7)]
    last = answers[-1]
    assert last.status_code == 429
    assert int(last.headers["Retry-After"]) >= 1
    assert re.search(r"Too many wrong logins. Try again in \d+ s\.", said(last.text, "alert"))


@pytest.mark.parametrize(
    "fields",
    [{}, {"username": "ada"}, {"username": "", "password": "x"}, {"key": ""},
     {"username": "a" * 5000, "password": "x"}],
)  # fmt: skip
def test_what_is_not_filled_in_is_said_beside_it(guest, fields):
    answer = guest.post("/ui/sign-in", **fields)
    assert answer.status_code == 422
    assert 'class="faults"' in answer.text


def test_a_key_of_ones_own_signs_in_and_its_end_is_that_of_the_session(guest, service):
    key, id_ = new_key(service, "ada")
    answer = guest.post("/ui/sign-in", key=f" {key}\n", next="/ui/account")
    assert answer.headers["Location"] == "/ui/account"
    assert 'name="user" content="ada"' in guest.get("/ui/account").text
    service.services.api_keys.revoke(id_, service.services.sessions.find(_cookie(guest)))
    assert guest.get("/ui/account").status_code == 303


def _cookie(guest: Guest) -> str:
    return guest._client.get_cookie("slipway_session").value


def test_a_wrong_key_is_said(guest):
    answer = guest.post("/ui/sign-in", key="slw_nothing")
    assert answer.status_code == 401
    assert "API key" in said(answer.text, "alert")
    assert "slw_nothing" not in answer.text


def test_who_signs_in_with_the_key_that_all_share_has_no_keys_of_their_own(tmp_path):
    service = open_service(tmp_path, api__auth={"type": "api_key", "secret": "k" * 40})
    guest = Guest(service)
    form = guest.get("/ui/sign-in").text
    assert 'name="key"' in form
    assert 'name="password"' not in form
    assert guest.post("/ui/sign-in", key="k" * 40).status_code == 303
    fields = {"name": "n", "days": "longest", "may": "all", "once": "c" * 32}
    answer = guest.send("/ui/account/api_keys", **fields)
    assert answer.status_code == 409
    assert "no keys of their own" in said(answer.text, "alert")
    service.close()


def test_signing_in_anew_ends_the_session_before(guest, service):
    before = _cookie(guest.sign_in("ada"))
    guest.sign_in("dev")
    assert service.services.sessions.find(before) is None
    assert 'name="user" content="dev"' in guest.get("/ui/account").text


def test_where_nobody_signs_in_there_is_no_form_and_nothing_to_sign_out(tmp_path):
    service = open_service(tmp_path)
    guest = Guest(service)
    assert guest.get("/ui/sign-in?next=/ui/keys").headers["Location"] == "/ui/keys"
    page = guest.get("/ui/account").text
    assert "Sign out" not in page
    assert 'name="session" content=""' in page
    service.close()


def test_a_form_that_comes_too_late_is_not_done_and_that_is_said(guest):
    late = {"Referer": "http://localhost/ui/account?page=2"}
    answer = guest.post("/ui/account/sessions/end", headers=late, csrf_token="x")
    assert answer.headers["Location"] == "/ui/sign-in?next=%2Fui%2Faccount%3Fpage%3D2"
    assert "not done" in guest.notice(answer.headers["Location"])


@pytest.mark.parametrize("referer", ["", "http://evil.test/ui/account", "http://localhost/docs",
                                     "http://localhost//evil.test/ui/"])  # fmt: skip
def test_it_leads_back_to_pages_of_the_service_alone(guest, referer):
    answer = guest.post("/ui/account/sessions/end", headers={"Referer": referer})
    assert answer.headers["Location"] == "/ui/sign-in?next=%2Fui%2F"


def test_scripts_of_the_page_get_their_401_plainly(guest):
    for name, value in (("HX-Request", "true"), ("X-Requested-With", "slipway-page")):
        answer = guest.get("/ui/account", headers={name: value})
        assert (answer.status_code, answer.data) == (401, b"")
        assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("token", ["", "x", "0" * 64, "ü"])
def test_a_form_without_the_token_of_the_session_is_refused(guest, token):
    guest.sign_in("ada")
    answer = guest.post("/ui/sign-out", csrf_token=token)
    assert answer.status_code == 403
    assert "signed in anew" in answer.text
    assert guest.get("/ui/account").status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.test", "null"])
def test_pages_of_others_sign_nobody_in_or_out(guest, origin):
    guest.sign_in("ada")
    foreign = {"Origin": origin}
    token = guest.token()
    assert guest.post("/ui/sign-out", headers=foreign, csrf_token=token).status_code == 403
    fields = {"username": "dev", "password": PASSWORDS["dev"]}
    assert guest.post("/ui/sign-in", headers=foreign, **fields).status_code == 403
    assert 'name="user" content="ada"' in guest.get("/ui/account").text


def test_the_cookie_is_for_nobody_else(guest):
    answer = guest.post("/ui/sign-in", username="ada", password=PASSWORDS["ada"])
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert answer.headers["Cache-Control"] == "no-store"


def test_who_signed_out_elsewhere_too_comes_back_to_the_page(guest):
    assert guest.get("/docs?state=page").headers["Location"] == "/ui/"
    assert guest.get("/docs?state=other").status_code == 200


def test_scripts_leave_what_the_next_page_says(guest):
    guest.sign_in("ada").send("/ui/sign-out")
    script = {"X-Requested-With": "slipway-page"}
    assert "You have signed out." not in guest.get("/ui/sign-in", headers=script).text
    assert guest.notice("/ui/sign-in") == "You have signed out."
    assert guest.notice("/ui/sign-in") == ""


def test_without_a_provider_nobody_signs_out_elsewhere(guest):
    assert guest.get("/ui/signed-out").headers["Location"] == "/ui/sign-in"


def test_over_tls_no_other_host_can_have_set_the_cookie(guest):
    fields = {"username": "ada", "password": PASSWORDS["ada"]}
    over_tls = {"base_url": "https://localhost", "headers": {"Origin": "https://localhost"}}
    answer = guest._client.post("/ui/sign-in", data=fields, **over_tls)
    assert answer.status_code == 303
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-slipway_session=")
    assert "Secure" in cookie
    assert guest._client.get("/ui/account", base_url="https://localhost").status_code == 200


def test_below_a_prefix_all_stays_below_it(guest):
    below = {"environ_overrides": {"SCRIPT_NAME": "/slip"}}
    form = guest.get("/ui/sign-in?next=/ui/account", **below).text
    assert 'action="/slip/ui/sign-in"' in form
    fields = {"username": "ada", "password": PASSWORDS["ada"], "next": "/ui/account"}
    answer = guest._client.post("/ui/sign-in", data=fields, headers=OWN, **below)
    assert answer.headers["Location"] == "/slip/ui/account"
    assert "Path=/slip" in answer.headers["Set-Cookie"]
    late = {"Referer": "http://localhost/slip/ui/keys", **OWN}
    guest._client.delete_cookie("slipway_session", path="/slip")
    answer = guest._client.post("/ui/keys", headers=late, **below)
    assert answer.headers["Location"] == "/slip/ui/sign-in?next=%2Fui%2Fkeys"


@pytest.mark.parametrize("path", ["/ui/nothing", "/ui/executions/nothing", "/ui/users"])
def test_who_has_signed_in_keeps_the_way_on_where_a_page_fails(service, path):
    stranger, guest = Guest(service).get(path).text, Guest(service).sign_in("ada").get(path).text
    assert 'aria-label="Pages"' not in stranger
    assert 'aria-label="Pages"' in guest
    assert "Sign out" in guest
