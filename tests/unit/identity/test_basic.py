import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY
from kit.thrift import cheap_hasher

from app.domain import Role
from app.errors import LimitExceeded, NotAuthenticated, SlipwayError
from app.identity.authenticators import Authenticators
from app.identity.basic import Basic, hash_password
from app.identity.checking import Checker
from app.identity.users import UserDirectory
from app.settings import UserSettings
from app.store.users import StoredUser


class CountingPool:
    """Runs calls where they are made, and keeps the hash and the password of each."""

    def __init__(self):
        self.calls = []

    def note(self, verify, claim):
        hashes = verify.__self__
        self.calls.append((hashes._hash_of(claim.subject) or hashes._nobody, claim.secret))

    def run(self, function, *args):
        self.note(function, *args)
        return function(*args)


class Asked:
    """A request with a user name and a password."""

    query_keys = ()

    def __init__(self, username, password, address=None):
        text = base64.b64encode(f"{username}:{password}".encode()).decode()
        self.fields = {"authorization": f"Basic {text}"}
        self.address = address

    def header(self, name):
        return self.fields.get(name.lower())


class FewUsers:
    """A store that knows no users but those who are put into it."""

    def __init__(self):
        self.known = {}
        self.number = 0

    def revision(self):
        return self.number

    def get(self, username):
        return self.known.get(username)

    def few(self, most):
        return dict(self.known)

    def put(self, username, **values):
        self.number += 1
        made = {"password_hash": None, "roles": None, "disabled": False, "removed": False}
        user = StoredUser(
            username, **{**made, "epoch": self.number, **values}, created_at=None, changed_at=None
        )
        self.known[username] = user


class Users:
    """Basic authentication and what all ways to sign in share."""

    def __init__(self, users, remember_seconds, pool):
        self.store = FewUsers()
        self.directory = UserDirectory(users, self.store)
        self.basic = Basic(self.directory, users)
        self.checker = Checker(remember_seconds, pool)
        self.all = Authenticators([self.basic], self.checker)
        self.pool = pool

    def put(self, username, **values):
        self.store.put(username, **values)
        self.directory.expire()

    def authenticate(self, *login):
        return self.all.authenticate(Asked(*login))


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
    users, pool, username, password, monkeypatch
):
    hashes, verify = [], users.basic._hasher.verify
    noting = SimpleNamespace(verify=lambda *args: hashes.append(args) or verify(*args))
    monkeypatch.setattr(users.basic, "_hasher", noting)
    with pytest.raises(NotAuthenticated):
        users.authenticate(username, password)
    [(hashed, given)] = pool.calls
    assert given == password
    assert hashes == [(hashed, given)]
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


def test_a_user_of_the_store_signs_in(users):
    users.put("eve", password_hash=cheap_hasher().hash("e"), roles=frozenset({Role.ADMIN}))
    assert users.authenticate("eve", "e").roles == {Role.ADMIN}


@pytest.mark.parametrize("username", ["ada", "eve"])
def test_who_is_disabled_is_refused_as_if_the_password_were_wrong(users, username):
    hashed = cheap_hasher().hash("a")
    users.put("eve", password_hash=hashed, roles=frozenset({Role.USER}))
    users.authenticate(username, "a")
    users.put(username, password_hash=hashed, roles=frozenset({Role.USER}), disabled=True)
    with pytest.raises(NotAuthenticated):
        users.authenticate(username, "a")
    with pytest.raises(NotAuthenticated):
        users.authenticate(username, "a\0")


def test_an_old_password_is_not_remembered_beyond_its_change(users):
    users.put("eve", password_hash=cheap_hasher().hash("old"), roles=frozenset({Role.USER}))
    identity = users.authenticate("eve", "old")
    users.put("eve", password_hash=cheap_hasher().hash("new"), roles=frozenset({Role.USER}))
    with pytest.raises(NotAuthenticated):
        users.authenticate("eve", "old")
    with pytest.raises(NotAuthenticated):
        users.all.recheck(identity)
    users.authenticate("eve", "new")


def test_a_user_without_a_password_has_none_that_is_right(users):
    users.put("sub", roles=frozenset({Role.USER}))
    for password in ("", "None", "null"):
        with pytest.raises(NotAuthenticated):
            users.authenticate("sub", password)


def test_passwords_are_not_kept_in_clear(users):
    users.authenticate("ada", "a")
    assert b"ada" not in b"".join(users.checker._verified._kept._kept)
    assert all(users.basic._hash_of(name).startswith("$argon2id$") for name in ("ada", "bob"))


def test_hashes_are_as_strong_as_the_rfc_asks(pool, monkeypatch):
    monkeypatch.setattr("app.identity.basic.PasswordHasher", PasswordHasher)
    users = Users([BOB], 60.0, pool)
    for hashed in (hash_password("a"), users.basic._hash_of("bob"), users.basic._nobody):
        assert extract_parameters(hashed) == RFC_9106_LOW_MEMORY
    assert users.authenticate("bob", "b").username == "bob"


def test_two_hashes_of_one_password_differ():
    assert hash_password("x") != hash_password("x")


class HeldPool(CountingPool):
    """Computes nothing until it is let."""

    def __init__(self):
        super().__init__()
        self.go_on = threading.Event()

    def run(self, function, *args):
        self.note(function, *args)
        assert self.go_on.wait(30)
        return function(*args)


@pytest.fixture
def held():
    pool = HeldPool()
    yield pool
    pool.go_on.set()


def waiting(users):
    return sum(len(q) for sides in users.checker._places._queues.values() for q in sides.values())


def outcome(users, *login):
    try:
        return users.authenticate(*login).username
    except NotAuthenticated:
        return "NotAuthenticated"
    except SlipwayError as exc:
        return type(exc).__name__


def begin(pool, users, logins):
    """Begin logins one after the other, and wait until each is computed, waits or is refused."""
    futures = []
    for login in logins:
        before = waiting(users), len(users.pool.calls)
        futures.append(pool.submit(outcome, users, *login))
        while not futures[-1].done() and (waiting(users), len(users.pool.calls)) == before:
            time.sleep(0.001)
    return futures


def test_guesses_keep_nobody_else_waiting(held):
    """However many names are made up, and from however many addresses, they have one turn."""
    users = Users([ADA, BOB], 60.0, held)
    guesses = [(f"eve{i}", f"guess {i}", f"10.0.0.{i % 50}") for i in range(100)]
    with ThreadPoolExecutor(120) as pool:
        guessed = begin(pool, users, guesses)
        right = begin(pool, users, [("ada", "a", "10.0.0.1")])[0]
        while len(held.calls) < 2:
            time.sleep(0.001)
        assert held.calls[1] == (ADA.password_hash, "a"), (
            "there is a place that guesses cannot hold"
        )
        held.go_on.set()
        assert right.result(30) == "ada"
        assert {future.result(30) for future in guessed} <= {
            "NotAuthenticated",
            "LimitExceeded",
            "QuotaExceeded",
        }
    assert len(held.calls) < 100


def test_who_guesses_at_a_name_keeps_its_user_elsewhere_from_nothing(held):
    users = Users([ADA, BOB], 60.0, held)
    with ThreadPoolExecutor(60) as pool:
        guessed = begin(pool, users, [("ada", f"guess {i}", "10.0.0.1") for i in range(50)])
        right = begin(pool, users, [("ada", "a", "10.0.0.2")])[0]
        held.go_on.set()
        assert right.result(30) == "ada"
        assert "LimitExceeded" in {future.result(30) for future in guessed}
    place = [password for _, password in held.calls].index("a")
    assert place <= 2, "addresses have turns within a name"


def test_a_password_that_many_send_at_once_is_computed_once(held):
    users = Users([ADA, BOB], 60.0, held)
    with ThreadPoolExecutor(50) as pool:
        first = pool.submit(outcome, users, "ada", "a")
        while not held.calls:
            time.sleep(0.001)
        others = [pool.submit(outcome, users, "ada", "a") for _ in range(49)]
        held.go_on.set()
        assert {f.result(30) for f in [first, *others]} == {"ada"}
    assert len(held.calls) == 1


def test_who_is_ended_while_they_check_leaves_the_others_their_right():
    class Ended(BaseException):
        """As gevent ends the greenlet of a request whose client went away."""

    class Leaving(HeldPool):
        def run(self, function, *args):
            right = super().run(function, *args)
            if len(self.calls) == 1:
                raise Ended
            return right

    leaving = Leaving()
    users = Users([ADA, BOB], 60.0, leaving)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(users.authenticate, "ada", "a")
        while not leaving.calls:
            time.sleep(0.001)
        others = [pool.submit(outcome, users, "ada", "a") for _ in range(5)]
        leaving.go_on.set()
        assert isinstance(first.exception(30), Ended)
        assert {future.result(30) for future in others} == {"ada"}


def test_wrong_passwords_are_slowed_down_where_they_come_from(users, pool):
    for i in range(5):
        with pytest.raises(NotAuthenticated):
            users.authenticate("ada", f"wrong {i}", "10.0.0.1")
    with pytest.raises(LimitExceeded) as caught:
        users.authenticate("ada", "a", "10.0.0.1")
    assert 0 < caught.value.retry_after_seconds <= 1
    assert len(pool.calls) == 5, "what is refused costs no hash"
    assert users.authenticate("bob", "b", "10.0.0.1").username == "bob"
    assert users.authenticate("ada", "a", "10.0.0.2").username == "ada"
    assert users.authenticate("ada", "a", "10.0.0.1").username == "ada", "it is known by now"
