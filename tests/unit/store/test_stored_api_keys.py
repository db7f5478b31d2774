"""API keys in the store."""

from datetime import timedelta

import pytest

from app.domain import AuditEvent, AuditResult, Role
from app.errors import Conflict
from app.store import api_keys as stored
from app.store.api_keys import USED_EVERY, ApiKeys, NewApiKey
from app.store.execution_rows import now

EVENT = AuditEvent("api-keys:create", AuditResult.SUCCESS)
HOUR = timedelta(hours=1)


@pytest.fixture
def keys(kit):
    return ApiKeys(kit.database)


def new(id_, owner="ada", expires_at=None):
    return NewApiKey(
        id=id_, digest=f"digest of {id_}", prefix=f"prefix-{id_}"[:8], owner=owner, foreign=False,
        name=f"name of {id_}", roles=frozenset({Role.USER}), scopes=("read",),
        expires_at=expires_at,
    )  # fmt: skip


@pytest.fixture
def add(keys):
    """Store keys, of which those that begin with "r" are revoked, with "e" have expired."""

    def add(*ids, owner="ada", most=10):
        for id_ in ids:
            expires_at = now() - HOUR if id_.startswith("e") else now() + HOUR
            key = keys.add(new(id_, owner, expires_at), most, EVENT)
            if id_.startswith("r"):
                assert keys.revoke(key, EVENT)

    return add


def known(keys, *ids):
    return [id_ for id_ in ids if keys.by_id(id_) is not None]


def test_of_those_that_have_ended_only_the_newest_of_an_owner_are_kept(keys, add, monkeypatch):
    monkeypatch.setattr(stored, "_MOST_ENDED", 2)
    add("r1", "g1", "e2", "r3", "g2", "e4")
    add("r5", "g3", owner="bob")
    assert known(keys, "r1", "g1", "e2", "r3", "g2", "e4") == ["g1", "e2", "r3", "g2", "e4"]
    add("g4")
    assert known(keys, "r1", "g1", "e2", "r3", "g2", "e4") == ["g1", "r3", "g2", "e4"]
    assert known(keys, "r5", "g3") == ["r5", "g3"]


def test_those_that_have_ended_do_not_count_among_those_one_may_have(keys, add):
    add("r1", "e2", "g3", "g4")
    add("g1", owner="bob")
    with pytest.raises(Conflict, match="'ada' has 2 API keys, which is the most"):
        add("g5", most=2)
    add("g5", most=3)


def test_lists_are_newest_first_and_hold_those_that_have_expired(keys, add):
    add("g1", "e2", "r3", "g4")
    add("g5", owner="bob")
    numbers = {key.id: key.number for key in keys.list(None, None, 10)}
    assert list(numbers) == ["g5", "g4", "e2", "g1"]
    assert [key.id for key in keys.list("ada", None, 2)] == ["g4", "e2"]
    assert [key.id for key in keys.list("ada", numbers["e2"], 2)] == ["g1"]


def test_a_name_is_that_of_a_good_key_by_its_id_or_its_prefix(keys, add):
    add("g1", "e2", "r3")
    add("g4", owner="bob")
    assert [key.id for key in keys.named("g1", None)] == ["g1"]
    assert [key.id for key in keys.named("g1", "ada")] == ["g1"]
    assert keys.named("g1", "bob") == keys.named("e2", None) == keys.named("r3", None) == []
    assert [key.id for key in keys.named("prefix-g", None)] == ["g1", "g4"]
    assert [key.id for key in keys.named("prefix-g", "bob")] == ["g4"]


def test_what_is_read_is_what_was_stored(keys):
    expires_at = now() + HOUR
    stored_key = keys.add(new("g1", expires_at=expires_at), 1, EVENT)
    read = keys.by_digest("digest of g1")
    assert read == stored_key == keys.by_id("g1")
    assert (read.owner, read.foreign, read.name, read.prefix) == (
        "ada", False, "name of g1", "prefix-g",
    )  # fmt: skip
    assert (read.roles, read.scopes) == (frozenset({Role.USER}), ("read",))
    assert (read.expires_at, read.last_used_at, read.revoked_at) == (expires_at, None, None)
    assert keys.by_digest("digest of g2") is None


def test_a_use_is_written_down_once_a_minute(keys, add):
    add("g1", "g2")
    first = now()
    seen = []
    for later in (timedelta(0), USED_EVERY - timedelta(seconds=1), USED_EVERY):
        keys.used({"g1": first + later})
        seen.append(keys.by_id("g1").last_used_at - first)
    assert seen == [timedelta(0), timedelta(0), USED_EVERY]
    assert keys.by_id("g2").last_used_at is None


def test_every_end_is_seen_by_its_number_and_no_use_is(keys, add):
    assert keys.revision() == 0
    add("g1")
    before = keys.revision()
    keys.used({"g1": now()})
    assert keys.revision() == before
    key = keys.by_id("g1")
    assert keys.revoke(key, EVENT)
    assert keys.revision() > before
    assert not keys.revoke(key, EVENT)
    assert keys.by_id("g1").revoked_at >= key.created_at
