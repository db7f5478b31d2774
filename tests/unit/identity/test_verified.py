"""What is remembered of credentials that were verified: for how long, and of how many."""

import time

import pytest

from app.domain import Identity, Role
from app.identity import verified as module
from app.identity.verified import Verified

ADA = Identity("ada", frozenset({Role.USER}))


@pytest.fixture
def verified():
    return Verified()


def test_an_identity_is_known_for_so_long_and_no_longer(verified, monkeypatch):
    moment = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    verified.put(b"ada", ADA, 60.0)
    moment[0] += 59.9
    assert verified.get(b"ada") == ADA
    moment[0] += 0.1
    assert verified.get(b"ada") is None
    assert verified.get(b"bob") is None


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_what_has_no_time_left_is_not_known(verified, seconds):
    verified.put(b"ada", ADA, seconds)
    assert verified.get(b"ada") is None


def test_what_is_dropped_is_not_known(verified):
    verified.put(b"ada", ADA, 60.0)
    verified.drop(b"ada")
    verified.drop(b"bob")
    assert verified.get(b"ada") is None


def test_who_was_not_seen_for_longest_makes_room(monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES", 3 * 1024)
    verified = Verified()
    for number in range(3):
        verified.put(b"%d" % number, ADA, 60.0)
    assert verified.get(b"0") == ADA
    verified.put(b"3", ADA, 60.0)
    assert [verified.get(b"%d" % number) for number in range(4)] == [ADA, None, ADA, ADA]


def test_ten_thousand_are_remembered():
    verified = Verified()
    for number in range(10_000):
        verified.put(number.to_bytes(32, "big"), ADA, 60.0)
    assert verified.get(bytes(32)) == ADA
