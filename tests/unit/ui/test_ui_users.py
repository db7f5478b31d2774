"""``/ui/users``: who may sign in, and as what."""

from __future__ import annotations

import re

import pytest
from admin_kit import HOSTILE, ask, assert_led, escaped
from service_kit import PASSWORDS, Service, basic, users

from app.domain import AuditFilter, Credential, Identity
from app.services.users import UserChange

NEW = {"username": "eve", "password": "eve's password", "roles": ["user", "operator"]}


def known(service: Service, username: str):
    return service.services.users.get(username)


@pytest.fixture
def eve(guarded: Service) -> str:
    """Somebody who was added."""
    guarded.services.users.add("eve", {"user"}, NEW["password"])  # type: ignore[arg-type]
    return "eve"


@pytest.mark.parametrize("path", ["/ui/users", "/ui/users/ada"])
@pytest.mark.parametrize("name", ["ada", "dev", "ops"])
def test_it_is_for_who_manages_users(guarded, name, path):
    assert ask(guarded, name, path).status_code == 403
    assert ask(guarded, name, path, {"do": "disable"}).status_code == 403
    assert not known(guarded, "ada").disabled


def test_users_are_listed_page_by_page(guarded):
    for number in range(60):
        guarded.services.users.add(f"user-{number:02}", {"user"}, None)
    first = ask(guarded, "root", "/ui/users").text
    assert "user-00" in first
    assert "user-59" not in first
    following = "/ui/users?after=user-44"
    assert f'href="{following}"' in first
    second = ask(guarded, "root", following).text
    assert "user-45" in second
    assert "user-59" in second
    assert "From the beginning" in second


def test_a_user_is_added(guarded):
    assert_led(ask(guarded, "root", "/ui/users", NEW), "/ui/users/eve")
    account = known(guarded, "eve")
    assert (account.roles, account.has_password) == (("user", "operator"), True)


def test_one_without_a_password_is_added(guarded):
    assert_led(ask(guarded, "root", "/ui/users", {**NEW, "password": ""}), "/ui/users/eve")
    assert not known(guarded, "eve").has_password


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"username": "a b"}, "Must be 1 to 100 characters without colons and spaces"),
        ({"username": ""}, "Must be 1 to 100 characters without colons and spaces"),
        ({"password": "short"}, "Must be 8 to 1024 characters long"),
        ({"roles": []}, "At least one must be chosen"),
        ({"roles": ["king"]}, "At least one must be chosen"),
        ({"username": "ada"}, "There is a user &#39;ada&#39; already"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_the_rest_stays(guarded, wrong, told):
    answer = ask(guarded, "root", "/ui/users", {**NEW, **wrong})
    assert answer.status_code == 422
    assert told in answer.text
    assert NEW["password"] not in answer.text
    if "username" not in wrong:
        assert 'value="eve"' in answer.text
    assert '<details class="card" id="add" open>' in answer.text


def test_the_name_of_one_who_was_removed_is_given_again_if_that_is_wanted(guarded, eve):
    guarded.services.users.remove(eve)
    refused = ask(guarded, "root", "/ui/users", NEW)
    assert refused.status_code == 422
    assert 'name="again"' in refused.text
    assert_led(ask(guarded, "root", "/ui/users", {**NEW, "again": "yes"}), "/ui/users/eve")


def test_roles_are_changed(guarded, eve):
    answer = ask(guarded, "root", "/ui/users/eve", {"do": "roles", "roles": ["developer"]})
    assert_led(answer, "/ui/users/eve")
    assert known(guarded, eve).roles == ("developer",)
    answer = ask(guarded, "root", "/ui/users/eve", {"do": "roles"})
    assert answer.status_code == 422
    assert "At least one must be chosen" in answer.text


def test_a_password_is_set_and_a_wrong_one_is_not_told_again(guarded, eve):
    answer = ask(guarded, "root", "/ui/users/eve", {"do": "password", "password": "tiny-pw"})
    assert answer.status_code == 422
    assert "Must be 8 to 1024 characters long" in answer.text
    assert "tiny-pw" not in answer.text
    given = {"do": "password", "password": "another password"}
    assert_led(ask(guarded, "root", "/ui/users/eve", given), "/ui/users/eve")


def test_somebody_is_disabled_and_enabled(guarded, eve):
    assert_led(ask(guarded, "root", "/ui/users/eve", {"do": "disable"}), "/ui/users/eve")
    assert known(guarded, eve).disabled
    assert "Enable eve" in ask(guarded, "root", "/ui/users/eve").text
    assert_led(ask(guarded, "root", "/ui/users/eve", {"do": "enable"}), "/ui/users/eve")
    assert not known(guarded, eve).disabled


def test_who_is_removed_is_gone(guarded, eve):
    assert_led(ask(guarded, "root", "/ui/users/eve", {"do": "remove"}), "/ui/users")
    assert ask(guarded, "root", "/ui/users/eve").status_code == 404


def test_the_last_admin_stays_unless_somebody_insists(make_service):
    auth = users()
    auth["users"] = [each for each in auth["users"] if each["username"] != "root"]
    service = make_service(api__auth=auth)
    service.services.users.add("root", {"admin"}, "r-long-enough")

    def change(data):
        headers = basic("root", "r-long-enough")
        return service.client.post("/ui/users/root", data=data, headers=headers)

    answer = change({"do": "roles", "roles": ["user"]})
    assert answer.status_code == 422
    assert 'name="force"' in answer.text
    assert "admin" in known(service, "root").roles
    assert_led(change({"do": "roles", "roles": ["user"], "force": "yes"}), "/ui/users/root")


def test_of_users_of_the_settings_nothing_is_offered_that_the_settings_say(guarded):
    text = ask(guarded, "root", "/ui/users/ada").text
    assert "They stand in the settings" in text
    assert 'value="password"' not in text
    assert 'value="remove"' not in text
    assert 'value="disable"' in text
    answer = ask(guarded, "root", "/ui/users/ada", {"do": "remove"})
    assert answer.status_code == 422


def test_sessions_of_others_are_ended(guarded):
    begin = guarded.services.sessions.begin
    for _ in range(3):
        begin(Identity("ada", frozenset(), credential=Credential("basic", "ada")), None, HOSTILE)

    def left():
        return guarded.services.sessions._store.of_user("ada")

    answer = ask(guarded, "root", "/ui/users/ada", {"do": "end-session", "session": left()[0].id})
    assert_led(answer, "/ui/users/ada")
    assert len(left()) == 2
    assert_led(ask(guarded, "root", "/ui/users/ada", {"do": "end-sessions"}), "/ui/users/ada")
    assert left() == []
    gone = {"do": "end-session", "session": "0123456789abcdef"}
    assert_led(ask(guarded, "root", "/ui/users/ada", gone), "/ui/users/ada")


@pytest.mark.parametrize("what", ["", "make-king"])
def test_what_no_button_says_is_refused(guarded, eve, what):
    assert ask(guarded, "root", "/ui/users/eve", {"do": what}).status_code in (400, 422)


def test_hostile_names_are_text(guarded):
    name = '"><img/src=x/onerror=alert(1)>'
    guarded.services.users.change(name, UserChange(disabled=True))
    for path in ("/ui/users", f"/ui/users/{name}"):
        answer = ask(guarded, "root", path)
        assert answer.status_code == 200
        assert escaped(answer)


def test_it_is_audited_as_the_same_of_the_api_is(guarded, eve):
    for data in ({"do": "disable"}, {"do": "remove"}):
        ask(guarded, "root", "/ui/users/eve", data)
    ask(guarded, "ops", "/ui/users/ada", {"do": "disable"})
    found = guarded.client.get("/audit", headers=basic("root", PASSWORDS["root"])).json["events"]
    told = [(each["action"], each["result"], each["user"]) for each in found]
    assert ("users:change", "success", "root") in told
    assert ("users:remove", "success", "root") in told
    assert ("users:change", "denied", "ops") in told


def test_the_audit_tells_why_a_form_was_refused(guarded):
    assert ask(guarded, "root", "/ui/users", {**NEW, "username": "ada"}).status_code == 422
    guarded.services.audit.flush()
    found, _ = guarded.services.audit.find(AuditFilter(action="users:add"), None, 1)
    assert found[0].event.result == "refused"
    assert found[0].event.detail == "POST /ui/users answered 422 conflict"


def test_who_was_seen_last_is_told_without_a_look_at_anything_outside(guarded, monkeypatch):
    monkeypatch.setattr(guarded.services.system, "_health", None)
    bare = Identity("ada", frozenset(), credential=Credential("basic", "ada"))
    guarded.services.sessions.begin(bare, None, None)
    answer = ask(guarded, "root", "/ui/users")
    assert answer.status_code == 200
    assert re.search(r'data-label="Last seen"><time', answer.text)
