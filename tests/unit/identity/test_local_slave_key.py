"""The key of the slave that the service starts itself."""

import pytest

from app.domain import Permission, Role
from app.errors import NotAuthenticated
from app.identity.checking import Checker
from app.identity.local_slave import LocalSlave, digest_of, make_key
from app.identity.permissions import is_allowed

KEY = make_key()


class Request:
    address, certificate, query_keys = "127.0.0.1", None, ()

    def __init__(self, authorization=None):
        self._authorization = authorization

    def header(self, name):
        return self._authorization if name == "Authorization" else None

    def cookie(self, name):
        return None


@pytest.fixture
def authenticator():
    return LocalSlave(digest_of(KEY))


def test_no_two_keys_are_the_same_and_a_digest_tells_nothing_of_one():
    assert make_key() != KEY
    assert KEY not in digest_of(KEY)


def test_whoever_has_the_key_may_join_and_nothing_else(authenticator):
    claim = authenticator.claim(Request(f"Bearer {KEY}"))
    identity = Checker(0.0, None).verify(authenticator, claim, "127.0.0.1")
    assert identity.roles == {Role.SLAVE}
    assert [each for each in Permission if is_allowed(identity, each)] == [Permission.NODES_JOIN]
    assert authenticator.recheck(identity) == identity


@pytest.mark.parametrize(
    "wrong",
    ["sll_", "sll_" + "a" * 43, f"{KEY}x", "sll_\udcff"],
    ids=["nothing", "another", "longer", "no-text"],
)
def test_another_key_of_the_form_is_refused(authenticator, wrong):
    claim = authenticator.claim(Request(f"Bearer {wrong}"))
    with pytest.raises(NotAuthenticated):
        authenticator.verify(claim)


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer slw_x", "Basic c2xsXw==", f"Basic {KEY}", f"Bearer x{KEY}"],
    ids=["none", "empty", "bare", "api-key", "basic", "basic-key", "another-form"],
)
def test_what_is_of_another_form_is_left_to_others(authenticator, header):
    assert authenticator.claim(Request(header)) is None


def test_nobody_is_told_of_it(authenticator):
    assert not authenticator.offered
    assert authenticator.challenge(None) is None
