"""Users over HTTP: who may change whom, what is refused, and that a change counts at once."""

import pytest
from service_kit import PASSWORDS, ROLES, basic

NEW = {"username": "eve", "password": "eve's password"}


@pytest.fixture
def root(guarded, as_user):
    """Return a function that calls as an admin of the settings."""

    def call(method, path, body=None):
        return guarded.client.open(path, method=method, json=body, headers=as_user("root"))

    return call


def sign_in(guarded, name, password):
    return guarded.client.get("/workflows", headers=basic(name, password)).status_code


@pytest.fixture
def eve(guarded, root):
    """Somebody who was added; the headers of their requests."""
    assert root("POST", "/users", NEW).status_code == 201
    return basic("eve", NEW["password"])


def test_who_is_added_signs_in_with_their_roles(guarded, root):
    made = root("POST", "/users", {**NEW, "roles": ["developer", "user"]})
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == "/users/eve"
    shown = {key: made.json[key] for key in ("username", "roles", "disabled", "configured")}
    assert shown == {
        "username": "eve", "roles": ["user", "developer"], "disabled": False, "configured": False,
    }  # fmt: skip
    assert made.json["has_password"] is True
    assert sign_in(guarded, "eve", NEW["password"]) == 200
    assert root("GET", "/users/eve").json == made.json
    assert NEW["password"] not in made.text
    assert "argon2" not in made.text


def test_roles_are_user_unless_given(root):
    assert root("POST", "/users", NEW).json["roles"] == ["user"]


def test_somebody_without_a_password_cannot_sign_in_with_one(guarded, root):
    assert root("POST", "/users", {"username": "eve"}).json["has_password"] is False
    for password in ("", "None", "eve's password"):
        assert sign_in(guarded, "eve", password) == 401


def test_the_list_holds_all_by_name_page_by_page(root):
    for name in ("carl", "Zoe", "zz"):
        assert root("POST", "/users", {**NEW, "username": name}).status_code == 201
    seen, cursor = [], ""
    while cursor is not None:
        page = root("GET", f"/users?page_size=3&cursor={cursor}").json
        seen += [user["username"] for user in page["users"]]
        cursor = page["next"]
    assert seen == sorted([*ROLES, "carl", "Zoe", "zz"])


NAMES = {
    "colon": "a:b",
    "space": "a b",
    "empty": "",
    "long": "x" * 101,
    "slash": "a/b",
    "nul": "a\x00b",
    "invisible": "a\u200bb",
    "direction": "a\u202eb",
    "dots": "..",
    "me": "me",
    "anonymous": "Anonymous",
    "number": 7,
    "none": None,
    "list": ["eve"],
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_what_cannot_be_a_name_is_refused(root, assert_problem, name):
    response = root("POST", "/users", {**NEW, "username": name})
    assert_problem(response, 422, "invalid_request", "username")


BAD_PASSWORDS = {
    "short": "seven77",
    "empty": "",
    "long": "x" * 1025,
    "line": "eight888\n",
    "nul": "eight\x00888",
    "number": 12345678,
    "name": "eve-eve-eve",
}


@pytest.mark.parametrize("password", BAD_PASSWORDS.values(), ids=BAD_PASSWORDS)
def test_what_cannot_be_a_password_is_refused_and_not_repeated(root, assert_problem, password):
    body = {"username": "eve-eve-eve", "password": password}
    response = root("POST", "/users", body)
    assert_problem(response, 422, "invalid_request", "password")
    assert not password or str(password) not in response.text or password == "eve-eve-eve"
    assert root("GET", "/users/eve-eve-eve").status_code == 404


BAD_ROLES = {
    "unknown": (["king"], "roles[0]"),
    "none": ([], "roles"),
    "text": ("admin", "roles"),
    "number": ([1], "roles[0]"),
    "null": (None, "roles"),
    "many": (["user"] * 6, "roles"),
}


@pytest.mark.parametrize(("roles", "path"), BAD_ROLES.values(), ids=BAD_ROLES)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_cannot_be_roles_is_refused(root, assert_problem, roles, path, method):
    body = {**NEW, "roles": roles} if method == "POST" else {"roles": roles}
    where = "/users" if method == "POST" else "/users/ada"
    assert_problem(root(method, where, body), 422, "invalid_request", path)


def test_a_name_is_given_once(root, eve, assert_problem):
    assert_problem(root("POST", "/users", NEW), 409, "conflict")
    assert_problem(root("POST", "/users", {**NEW, "username": "ada"}), 409, "conflict")


def test_the_name_of_who_was_removed_is_given_again_only_on_purpose(
    guarded, root, eve, assert_problem
):
    assert root("DELETE", "/users/eve").status_code == 204
    assert_problem(root("GET", "/users/eve"), 404, "not_found")
    assert_problem(root("DELETE", "/users/eve"), 404, "not_found")
    assert_problem(root("PATCH", "/users/eve", {"disabled": False}), 404, "not_found")
    assert sign_in(guarded, "eve", NEW["password"]) == 401
    assert_problem(root("POST", "/users", NEW), 409, "conflict")
    again = {**NEW, "password": "another password", "again": True}
    assert root("POST", "/users", again).status_code == 201
    assert sign_in(guarded, "eve", NEW["password"]) == 401
    assert sign_in(guarded, "eve", "another password") == 200


def test_a_change_counts_at_the_next_request_although_the_password_is_remembered(
    guarded, root, eve
):
    assert guarded.client.get("/audit", headers=eve).status_code == 403
    assert root("PATCH", "/users/eve", {"roles": ["admin"]}).json["roles"] == ["admin"]
    assert guarded.client.get("/audit", headers=eve).status_code == 200
    assert root("PATCH", "/users/eve", {"disabled": True}).json["disabled"] is True
    assert guarded.client.get("/workflows", headers=eve).status_code == 401
    assert root("PATCH", "/users/eve", {"disabled": False}).status_code == 200
    assert guarded.client.get("/workflows", headers=eve).status_code == 200
    assert root("PATCH", "/users/eve", {"password": "something else"}).status_code == 200
    assert guarded.client.get("/workflows", headers=eve).status_code == 401
    assert sign_in(guarded, "eve", "something else") == 200


def test_a_change_of_nothing_changes_nothing(root, eve):
    before = root("GET", "/users/eve").json
    assert root("PATCH", "/users/eve", {}).json == before


def test_an_unknown_user_is_404(root, assert_problem):
    for method in ("GET", "DELETE"):
        assert_problem(root(method, "/users/nobody"), 404, "not_found")
    for body in ({"roles": ["user"]}, {"password": "long enough"}, {"disabled": False}, {}):
        assert_problem(root("PATCH", "/users/nobody", body), 404, "not_found")


def test_who_is_known_to_an_identity_provider_alone_can_be_shut_out(guarded, root):
    made = root("PATCH", "/users/sub%7C1234", {"disabled": True})
    assert made.status_code == 200, made.text
    assert made.json["disabled"] is True
    assert guarded.services.users._directory.is_shut_out("sub|1234")


def test_users_of_the_settings_can_be_disabled_and_nothing_else(guarded, root, assert_problem):
    refused = root("PATCH", "/users/ada", {"password": "long enough", "roles": ["admin"]})
    assert set(assert_problem(refused, 409, "conflict", "password", "roles")) == {
        "password", "roles",
    }  # fmt: skip
    assert "settings" in refused.json["detail"]
    assert "settings" in root("DELETE", "/users/ada").json["detail"]
    assert root("PATCH", "/users/ada", {"disabled": True}).json["configured"] is True
    assert sign_in(guarded, "ada", PASSWORDS["ada"]) == 401
    assert root("PATCH", "/users/ada", {"disabled": False}).status_code == 200
    assert sign_in(guarded, "ada", PASSWORDS["ada"]) == 200


def test_the_last_admin_stays_unless_that_is_forced(guarded, root, assert_problem):
    assert_problem(root("PATCH", "/users/root", {"disabled": True}), 409, "conflict")
    admin = {**NEW, "roles": ["admin"]}
    assert root("POST", "/users", admin).status_code == 201
    assert root("PATCH", "/users/root", {"disabled": True}).status_code == 200
    eve = basic("eve", NEW["password"])
    for method, body in (("DELETE", None), ("PATCH", {"disabled": True}),
                         ("PATCH", {"roles": ["user"]})):  # fmt: skip
        response = guarded.client.open("/users/eve", method=method, json=body, headers=eve)
        assert_problem(response, 409, "conflict")
    assert guarded.client.delete("/users/eve?force=true", headers=eve).status_code == 204
    assert sign_in(guarded, "eve", NEW["password"]) == 401


def own_password(guarded, headers, old, new):
    body = {"old_password": old, "new_password": new}
    return guarded.client.put("/users/me/password", json=body, headers=headers)


def test_users_change_their_own_password_who_know_it(guarded, eve, assert_problem):
    wrong = own_password(guarded, eve, "not this one", "a new password")
    assert_problem(wrong, 403, "not_allowed", "old_password")
    assert guarded.client.get("/workflows", headers=eve).status_code == 200
    assert own_password(guarded, eve, NEW["password"], "a new password").status_code == 204
    assert guarded.client.get("/workflows", headers=eve).status_code == 401
    assert sign_in(guarded, "eve", "a new password") == 200


def test_guessing_the_old_password_is_slowed_down(guarded, eve, assert_problem):
    statuses = [
        own_password(guarded, eve, f"guess {number}", "a new password").status_code
        for number in range(8)
    ]
    assert statuses[:5] == [403] * 5
    assert statuses[-1] == 429
    assert own_password(guarded, eve, NEW["password"], "a new password").status_code == 429
    assert sign_in(guarded, "eve", NEW["password"]) == 200


@pytest.mark.parametrize("new", ["short", "x" * 1025, "eight888\x00", 7, None])
def test_a_bad_new_password_is_refused(guarded, eve, assert_problem, new):
    response = own_password(guarded, eve, NEW["password"], new)
    assert_problem(response, 422, "invalid_request", "new_password")
    assert guarded.client.get("/workflows", headers=eve).status_code == 200


def test_who_has_no_password_here_changes_none(guarded, as_user, client, assert_problem):
    mine = own_password(guarded, as_user("ada"), PASSWORDS["ada"], "a new password")
    assert_problem(mine, 409, "conflict")
    assert "settings" in mine.json["detail"]


def test_without_authentication_nobody_has_a_password_to_change(client, assert_problem):
    body = {"old_password": "x", "new_password": "a new password"}
    assert_problem(client.put("/users/me/password", json=body), 409, "conflict")


def test_every_change_is_audited_once_and_without_the_password(guarded, root, eve):
    root("PATCH", "/users/eve", {"roles": ["operator"], "password": "another-secret"})
    root("PATCH", "/users/eve", {"disabled": True})
    root("POST", "/users", NEW)
    root("DELETE", "/users/eve")
    found = root("GET", "/audit?target=/users&page_size=100")
    told = [(e["action"], e["result"], e["target"], e["user"]) for e in found.json["events"]]
    assert sorted(told) == sorted([
        ("users:remove", "success", "/users/eve", "root"),
        ("users:add", "refused", "/users", "root"),
        ("users:change", "success", "/users/eve", "root"),
        ("users:change", "success", "/users/eve", "root"),
        ("users:add", "success", "/users/eve", "root"),
    ])  # fmt: skip
    for secret in (NEW["password"], "another-secret", "argon2"):
        assert secret not in found.text


@pytest.mark.parametrize("name", ["ada", "dev", "ops"])
def test_only_admins_manage_users(guarded, as_user, assert_problem, name):
    for method, path, body in (
        ("GET", "/users", None), ("POST", "/users", NEW), ("GET", "/users/ada", None),
        ("PATCH", "/users/ada", {"roles": ["admin"]}), ("DELETE", "/users/bob", None),
    ):  # fmt: skip
        response = guarded.client.open(path, method=method, json=body, headers=as_user(name))
        assert_problem(response, 403, "not_allowed")


@pytest.mark.parametrize("disabled", ["yes", "true", "false", 1, 0])
def test_whether_somebody_is_disabled_is_a_boolean_of_json(root, assert_problem, disabled):
    root("POST", "/users", {"username": "mia", "password": "a long password"})
    refused = root("PATCH", "/users/mia", {"disabled": disabled})
    assert_problem(refused, 422, "invalid_request", "disabled")
    assert not [u for u in root("GET", "/users").json["users"] if u["disabled"]]
