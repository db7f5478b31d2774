"""Users in the store: each change is numbered, and some end what was issued before."""

import pytest

from app.domain import Role
from app.errors import Conflict, NotFound
from app.store.users import Users

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
    "password": (lambda users: users.set_password("ada", "other"), True),
    "roles": (lambda users: users.set_roles("ada", {Role.ADMIN}), False),
    "disabled": (lambda users: users.set_disabled("ada", disabled=True), True),
    "enabled": (lambda users: users.set_disabled("ada", disabled=False), False),
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
    made = users.set_disabled("sub-of-a-provider", disabled=True)
    assert (made.disabled, made.password_hash, made.roles) == (True, None, None)
    assert not users.set_disabled("sub-of-a-provider", disabled=False).disabled


@pytest.mark.parametrize("disabled", [True, False])
def test_who_was_removed_is_not_brought_back_by_enabling(users, disabled):
    users.add("ada", "hash", USER)
    users.remove("ada")
    with pytest.raises(NotFound, match="ada"):
        users.set_disabled("ada", disabled=disabled)
    assert users.get("ada").removed


def test_the_list_goes_by_name_and_leaves_out_who_was_removed(users):
    for name in ("eve", "bob", "ada", "dan"):
        users.add(name, None, USER)
    users.remove("bob")
    assert [user.username for user in users.list("", 2)] == ["ada", "dan"]
    assert [user.username for user in users.list("dan", 2)] == ["eve"]
