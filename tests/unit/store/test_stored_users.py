"""Users in the store: each change is numbered, and some end what was issued before."""

import pytest
from store_kit import let_through

from app.domain import AuditEvent, AuditFilter, AuditResult, Role
from app.errors import Conflict, NotFound
from app.store.audit import AuditLog
from app.store.users import Guard, Users

USER = {Role.USER}


@pytest.fixture
def users(database):
    return Users(database)


def test_a_user_is_kept_as_they_were_added(users):
    added = users.add("ada", "$argon2id$x", {Role.DEVELOPER, Role.USER})
    assert users.get("ada") == added
    assert (added.password_hash, added.roles) == ("$argon2id$x", {Role.DEVELOPER, Role.USER})
    assert not added.disabled
    assert not added.removed
    assert users.get("Ada") is None


def test_a_name_is_given_once(users):
    users.add("ada", None, USER)
    with pytest.raises(Conflict, match="ada"):
        users.add("ada", None, USER)
    with pytest.raises(Conflict, match="ada"):
        users.add("ada", None, USER, again=True)


def test_the_name_of_a_removed_user_is_given_again_only_to_who_says_so(users):
    users.add("ada", "hash", USER)
    users.remove("ada")
    assert users.get("ada").removed
    assert users.get("ada").password_hash is None
    with pytest.raises(Conflict, match="executions and keys"):
        users.add("ada", "hash", USER)
    again = users.add("ada", "new", USER, again=True)
    assert not again.removed
    assert not again.disabled


CHANGES = {
    "password": (lambda users: users.change("ada", password_hash="other"), True),
    "roles": (lambda users: users.change("ada", roles={Role.ADMIN}), False),
    "disabled": (lambda users: users.change("ada", disabled=True), True),
    "enabled": (lambda users: users.change("ada", disabled=False), False),
    "removed": (lambda users: users.remove("ada"), True),
}


@pytest.mark.parametrize(("change", "ends"), CHANGES.values(), ids=CHANGES)
def test_every_change_is_numbered_and_some_end_what_was_issued(users, change, ends):
    before, revision = users.add("ada", "hash", USER), users.revision()
    after = change(users)
    assert users.get("ada") == after
    assert users.revision() == revision + 1
    assert (after.epoch > before.epoch) == ends


@pytest.mark.parametrize("change", ["password", "roles", "removed"])
@pytest.mark.parametrize("state", ["unknown", "removed"])
def test_nobody_is_changed_who_is_not_there(users, change, state):
    if state == "removed":
        users.add("ada", "hash", USER)
        users.remove("ada")
    revision = users.revision()
    with pytest.raises(NotFound, match="ada"):
        CHANGES[change][0](users)
    assert users.revision() == revision


def test_somebody_whom_the_store_does_not_know_can_be_disabled(users):
    made = users.change("sub-of-a-provider", disabled=True)
    assert (made.disabled, made.password_hash, made.roles) == (True, None, None)
    assert not users.change("sub-of-a-provider", disabled=False).disabled


@pytest.mark.parametrize("disabled", [True, False])
def test_who_was_removed_is_not_brought_back_by_enabling(users, disabled):
    users.add("ada", "hash", USER)
    users.remove("ada")
    with pytest.raises(NotFound, match="ada"):
        users.change("ada", disabled=disabled)
    assert users.get("ada").removed


def test_the_list_goes_by_name_and_leaves_out_who_was_removed(users):
    for name in ("eve", "bob", "ada", "dan"):
        users.add(name, None, USER)
    users.remove("bob")
    assert [user.username for user in users.list("", 2)] == ["ada", "dan"]
    assert [user.username for user in users.list("dan", 2)] == ["eve"]


def test_several_things_are_changed_at_once_or_none(users):
    users.add("ada", "hash", USER)
    revision = users.revision()
    after = users.change("ada", password_hash="other", roles={Role.OPERATOR}, disabled=True)
    assert (after.password_hash, after.roles, after.disabled) == ("other", {Role.OPERATOR}, True)
    assert users.revision() == revision + 1


def test_names_are_listed_by_their_code_points_whatever_the_language(users):
    names = ["B", "a", "_x", "Z", "é", "b", "-y", "ß"]
    for name in names:
        users.add(name, None, USER)
    assert [user.username for user in users.list("", 100)] == sorted(names)
    assert [user.username for user in users.list("Z", 3)] == ["_x", "a", "b"]


TAKES_THE_ADMIN = {
    "removed": lambda users, guard: users.remove("root", guard=guard),
    "disabled": lambda users, guard: users.change("root", disabled=True, guard=guard),
    "roles": lambda users, guard: users.change("root", roles=USER, guard=guard),
}
OTHERS = {
    "nobody": (lambda users: None, {}, False),
    "another admin": (lambda users: users.add("eve", "hash", {Role.ADMIN}), {}, True),
    "one without a password": (lambda users: users.add("eve", None, {Role.ADMIN}), {}, False),
    "one who is disabled": (
        lambda users: (
            users.add("eve", "hash", {Role.ADMIN}), users.change("eve", disabled=True),
        ),
        {}, False,
    ),
    "one who was removed": (
        lambda users: (users.add("eve", "hash", {Role.ADMIN}), users.remove("eve")), {}, False,
    ),
    "an operator": (lambda users: users.add("eve", "hash", {Role.OPERATOR}), {}, False),
    "one in the settings": (lambda users: None, {"eve": True}, True),
    "a user in the settings": (lambda users: None, {"eve": False}, False),
    "one in the settings who is disabled": (
        lambda users: users.change("eve", disabled=True), {"eve": True}, False,
    ),
    "one whom the settings take the role": (
        lambda users: users.add("eve", "hash", {Role.ADMIN}), {"eve": False}, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("take", TAKES_THE_ADMIN.values(), ids=TAKES_THE_ADMIN)
@pytest.mark.parametrize(("prepare", "configured", "enough"), OTHERS.values(), ids=OTHERS)
def test_the_last_admin_stays_unless_that_is_forced(users, take, prepare, configured, enough):
    users.add("root", "hash", {Role.ADMIN})
    prepare(users)
    before, revision = users.get("root"), users.revision()
    if enough:
        take(users, Guard(configured))
    else:
        with pytest.raises(Conflict, match="last admin"):
            take(users, Guard(configured))
        assert (users.get("root"), users.revision()) == (before, revision)
        take(users, Guard(configured, force=True))
    assert users.get("root") != before


def test_the_last_admin_of_the_settings_stays(users):
    guard = Guard({"root": True, "ada": False})
    with pytest.raises(Conflict, match="last admin"):
        users.change("root", disabled=True, guard=guard)
    assert users.change("ada", disabled=True, guard=guard).disabled


def test_where_there_is_no_admin_anyway_everybody_can_be_changed(users):
    users.add("ada", "hash", USER)
    assert users.change("ada", disabled=True, guard=Guard({})).disabled


def test_of_two_admins_who_disable_each_other_at_the_same_moment_one_stays(users):
    names = ["eve", "root"]
    for name in names:
        users.add(name, "hash", {Role.ADMIN})

    def disable(number):
        users.change(names[number], disabled=True, guard=Guard({}))

    assert len(let_through(2, disable, Conflict)) == 1
    assert sorted(users.get(name).disabled for name in names) == [False, True]


def test_a_user_of_the_settings_can_be_disabled_whose_name_was_removed_here(users):
    users.add("ada", "hash", USER)
    users.remove("ada")
    assert users.change("ada", disabled=True, guard=Guard({"ada": False})).disabled
    assert not users.get("ada").removed


def test_the_audit_hears_of_a_change_with_it_or_not_at_all(users, database):
    def told():
        return [e.event.detail for e in AuditLog(database).page(AuditFilter(), None, 9)[0]]

    def event(detail):
        return AuditEvent("users:x", AuditResult.SUCCESS, "/users/ada", detail=detail)

    users.add("ada", "hash", {Role.ADMIN}, event=event("added"))
    users.change("ada", disabled=False, event=event("changed"))
    with pytest.raises(Conflict):
        users.remove("ada", guard=Guard({}), event=event("refused"))
    with pytest.raises(Conflict):
        users.add("ada", "hash", USER, event=event("refused"))
    users.remove("ada", event=event("removed"))
    assert told() == ["removed", "changed", "added"]
