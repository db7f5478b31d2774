"""The users of the settings and of the store, and how soon a change counts."""

from types import SimpleNamespace

import pytest
from kit.clock import Clock

from app.domain import Role
from app.errors import NotAuthenticated
from app.identity import numbered as module
from app.identity import users as users_module
from app.identity.basic import Basic, hash_password
from app.identity.port import Claim
from app.identity.users import UserDirectory
from app.settings import UserSettings
from app.store.users import Users

ADA = UserSettings(username="ada", password_hash="$argon2id$ada", roles=[Role.OPERATOR])


@pytest.fixture
def store(database):
    return Users(database)


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=made))
    return made


@pytest.fixture
def directory(store, clock):
    return UserDirectory([ADA], store)


def test_both_kinds_are_found(directory, store):
    store.add("bob", "$argon2id$bob", {Role.DEVELOPER})
    ada, bob = directory.find("ada"), directory.find("bob")
    assert (ada.configured, ada.password_hash) == (True, "$argon2id$ada")
    assert (bob.configured, bob.password_hash) == (False, "$argon2id$bob")
    assert (ada.roles, bob.roles) == ({Role.OPERATOR}, {Role.DEVELOPER})
    assert directory.find("eve") is None


def test_the_settings_say_what_a_user_of_theirs_may(directory, store):
    store.add("ada", "$argon2id$other", {Role.ADMIN})
    ada = directory.find("ada")
    assert (ada.password_hash, ada.roles) == ("$argon2id$ada", {Role.OPERATOR})


def test_a_user_of_the_settings_can_be_disabled_in_the_store(directory, store):
    store.change("ada", disabled=True)
    assert directory.find("ada").disabled
    assert directory.is_shut_out("ada")


def test_who_is_unknown_is_shut_out_only_when_disabled(directory, store):
    assert not directory.is_shut_out("sub-of-a-provider")
    store.change("sub-of-a-provider", disabled=True)
    directory.expire()
    assert directory.is_shut_out("sub-of-a-provider")


def test_what_another_process_changes_counts_within_a_quarter_of_a_second(directory, store, clock):
    assert not directory.find("ada").disabled
    store.change("ada", disabled=True)
    clock.now += 0.25
    assert directory.find("ada").disabled


def test_who_fails_to_sign_in_is_looked_up_as_they_are_now(directory, store, clock):
    basic = Basic(directory)

    def signs_in(name, password):
        try:
            return basic.verify(Claim(name, password, known=True)).username == name
        except NotAuthenticated:
            return False

    assert not signs_in("bob", "first")
    store.add("bob", hash_password("first"), {Role.USER})
    assert signs_in("bob", "first")
    store.change("bob", password_hash=hash_password("second"))
    assert signs_in("bob", "second")
    assert not signs_in("bob", "first")


def test_what_this_process_changes_counts_at_once(directory, store):
    assert not directory.find("ada").disabled
    store.change("ada", disabled=True)
    directory.expire()
    assert directory.find("ada").disabled


def test_nothing_is_read_twice_while_nothing_changes(directory, store, monkeypatch, clock):
    directory.find("ada")
    directory.find("eve")
    for reads in (directory._reads, directory._few):
        monkeypatch.setattr(reads, "_read", lambda key: pytest.fail(f"asked for {key}"))
    for _ in range(5):
        clock.now += 1
        assert directory.find("ada") is not None
        assert directory.find("eve") is None


@pytest.mark.parametrize(("way", "few"), [("_few", 1000), ("_reads", 0)])
def test_a_look_up_that_was_overtaken_by_a_change_is_not_remembered(
    directory, store, monkeypatch, way, few
):
    store.add("bob", "$argon2id$bob", {Role.USER})
    monkeypatch.setattr(users_module, "_FEW", few)
    reads = getattr(directory, way)
    read = reads._read

    def overtaken(key):
        found = read(key)
        monkeypatch.setattr(reads, "_read", read)
        store.change("ada", disabled=True)
        directory.expire()
        directory.find("bob")
        return found

    monkeypatch.setattr(reads, "_read", overtaken)
    directory.find("ada")
    assert directory.find("ada").disabled


@pytest.mark.parametrize("name", ["", "a" * 101, "a:b", "a b", "a\0", "a\nb", "\ud800", "a\x7f"])
def test_what_can_be_no_name_is_nobody_and_costs_nothing(directory, store, monkeypatch, name):
    for reads in (directory._reads, directory._few):
        monkeypatch.setattr(reads, "_read", lambda key: pytest.fail(f"asked for {key}"))
    assert directory.find(name) is None


def test_made_up_names_cost_no_look_at_the_store(directory, store, monkeypatch, clock):
    store.add("bob", "$argon2id$bob", {Role.USER})
    assert directory.find("eve") is None
    with monkeypatch.context() as patch:
        patch.setattr(store, "get", None)
        assert [directory.find(f"eve-{number}") for number in range(100)] == [None] * 100
    assert directory.find("bob")
    assert directory.find("ada")
    store.add("eve", "$argon2id$eve", {Role.USER})
    clock.now += 0.25
    assert directory.find("eve")


def test_with_many_users_each_name_is_looked_up(directory, store, monkeypatch):
    monkeypatch.setattr(users_module, "_FEW", 1)
    for name in ("bob", "eve"):
        store.add(name, "$argon2id$x", {Role.USER})
    assert directory.find("eve")
    assert directory.find("nobody") is None


def test_the_number_of_remembered_names_is_bounded(directory, store, monkeypatch):
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 3)
    monkeypatch.setattr(users_module, "_FEW", 0)
    store.add("bob", "$argon2id$bob", {Role.USER})
    for number in range(10):
        directory.find(f"user{number}")
    assert len(directory._reads._remembered) == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"password_hash": "$argon2id$ada"}, {"password_hash": "$argon2id$new"}),
        ({"password": "in clear"}, {"password": "another in clear"}),
        ({"password": "in clear"}, {"password_hash": "$argon2id$ada"}),
    ],
)
def test_another_password_in_the_settings_is_another_epoch(store, before, after):
    def epoch(**password):
        user = UserSettings(username="ada", roles=[], **password)
        return UserDirectory([user], store).find("ada").epoch

    assert epoch(**before) != epoch(**after)
    assert epoch(**before) == epoch(**before), "it is the same in every process"
