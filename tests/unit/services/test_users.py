import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY
from thrift_kit import cheap_hasher

from app.domain import Role
from app.errors import NotAuthenticated
from app.services.users import Users, hash_password
from app.settings import UserSettings


class CountingPool:
    """Runs calls where they are made, and keeps what they got."""

    def __init__(self):
        self.calls = []

    def run(self, function, *args):
        self.calls.append(args)
        return function(*args)


ADA = UserSettings(username="ada", password_hash=cheap_hasher().hash("a"), roles=[Role.USER])
BOB = UserSettings(username="bob", password="b", roles=[Role.OPERATOR, Role.DEVELOPER])


@pytest.fixture
def pool():
    return CountingPool()


@pytest.fixture
def users(pool):
    return Users([ADA, BOB], 60.0, pool)


def test_a_right_password_gives_the_identity(users):
    ada, bob = users.authenticate("ada", "a"), users.authenticate("bob", "b")
    assert (ada.username, ada.roles) == ("ada", {Role.USER})
    assert (bob.username, bob.roles) == ("bob", {Role.OPERATOR, Role.DEVELOPER})


WRONG = [
    ("ada", "b"), ("ada", ""), ("ada", "A"), ("ada", "a "), ("bob", "a"), ("Ada", "a"),
    ("eve", "a"), ("", ""), ("ada\0", "a"), ("ada", "a\0"), ("\u00e4", "\u00f6"),
    ("ada", "x" * 100_000),
]  # fmt: skip


@pytest.mark.parametrize(("username", "password"), WRONG)
def test_anything_else_is_refused_without_saying_why(users, username, password):
    with pytest.raises(NotAuthenticated) as caught:
        users.authenticate(username, password)
    assert caught.value.message == "The user name or the password is wrong."


@pytest.mark.parametrize(("username", "password"), WRONG)
def test_whoever_is_refused_cost_exactly_one_hash_of_the_same_strength(
    users, pool, username, password
):
    with pytest.raises(NotAuthenticated):
        users.authenticate(username, password)
    [(hashed, given)] = pool.calls
    assert given == password
    assert extract_parameters(hashed) == extract_parameters(ADA.password_hash)


def test_a_verified_password_costs_one_hash_only(users, pool):
    for _ in range(5):
        users.authenticate("ada", "a")
    assert len(pool.calls) == 1


def test_a_remembered_password_opens_no_other_door(users, pool):
    users.authenticate("ada", "a")
    for username, password in [("ada", "b"), ("bob", "a"), ("ada\0a", ""), ("eve", "a")]:
        with pytest.raises(NotAuthenticated):
            users.authenticate(username, password)
    assert len(pool.calls) == 5


def test_a_wrong_password_is_not_remembered(users, pool):
    for _ in range(3):
        with pytest.raises(NotAuthenticated):
            users.authenticate("ada", "wrong")
    assert len(pool.calls) == 3


def test_a_name_with_a_nul_cannot_borrow_what_is_remembered(pool):
    users = Users([UserSettings(username="a", password="b\0c", roles=[])], 60.0, pool)
    users.authenticate("a", "b\0c")
    with pytest.raises(NotAuthenticated):
        users.authenticate("a\0b", "c")


def test_nothing_is_remembered_where_that_is_switched_off(pool):
    users = Users([UserSettings(username="a", password="x", roles=[])], 0.0, pool)
    for _ in range(3):
        users.authenticate("a", "x")
    assert len(pool.calls) == 3


def test_a_hash_of_another_kind_lets_nobody_in(pool):
    users = Users([UserSettings(username="a", password_hash="$argon2id$broken", roles=[])], 0, pool)
    with pytest.raises(NotAuthenticated):
        users.authenticate("a", "x")


def test_passwords_are_not_kept_in_clear(users):
    users.authenticate("ada", "a")
    assert b"ada" not in b"".join(users._remembered)
    assert all(hashed.startswith("$argon2id$") for hashed in users._hashes.values())


def test_hashes_are_as_strong_as_the_rfc_asks(pool, monkeypatch):
    monkeypatch.setattr("app.services.users.PasswordHasher", PasswordHasher)
    users = Users([BOB], 60.0, pool)
    for hashed in (hash_password("a"), users._hashes["bob"], users._nobody):
        assert extract_parameters(hashed) == RFC_9106_LOW_MEMORY
    assert users.authenticate("bob", "b").username == "bob"


def test_two_hashes_of_one_password_differ():
    assert hash_password("x") != hash_password("x")
