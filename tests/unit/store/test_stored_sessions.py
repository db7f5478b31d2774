"""Sessions of browsers in the store."""

from datetime import timedelta

import pytest

from app.domain import AuditEvent, AuditResult
from app.store.execution_rows import now
from app.store.sessions import USED_EVERY, NewSession, Sessions

EVENT = AuditEvent("sign-in", AuditResult.SUCCESS)
HOUR = timedelta(hours=1)


@pytest.fixture
def sessions(kit):
    return Sessions(kit.database)


@pytest.fixture
def add(sessions):
    def add(id_, username="ada", most=10, expires_in=24 * HOUR):
        new = NewSession(
            id=id_, digest=f"digest of {id_}", username=username, epoch="0-1", identity="{}",
            address="10.0.0.1", user_agent="Browser", expires_at=now() + expires_in,
        )  # fmt: skip
        sessions.add(new, most, 24 * HOUR, EVENT)
        return sessions.by_id(id_)

    return add


def known(sessions, *ids):
    return [id_ for id_ in ids if sessions.by_id(id_) is not None]


def test_those_that_have_ended_by_themselves_are_removed(sessions, add):
    begun = add("expired", expires_in=timedelta(0)).created_at
    for id_ in ("idle", "used"):
        add(id_)
    sessions.used({"used": begun + 3 * HOUR})
    assert known(sessions, "expired", "idle", "used") == ["idle", "used"], "with the next ones"
    add("short", expires_in=timedelta(microseconds=1))
    assert sessions.prune(2 * HOUR.total_seconds()) == 1
    assert sessions.prune(0.0) == 1
    assert known(sessions, "idle", "used", "short") == ["used"]


def test_of_too_many_of_a_user_the_one_that_was_not_used_for_longest_ends(sessions, add):
    first, second = add("first"), add("second")
    add("another's", "bob")
    sessions.used({"first": first.last_used_at + HOUR})
    add("third", most=2)
    assert known(sessions, "first", "second", "third", "another's") == [
        "first", "third", "another's",
    ]  # fmt: skip
    assert [each.id for each in sessions.of_user("ada")] == ["third", "first"]
    assert second.id not in [each.id for each in sessions.of_user("bob")]


def test_a_use_is_written_down_once_a_minute(sessions, add):
    first, seen = add("first").last_used_at, []
    for later in (USED_EVERY - timedelta(seconds=1), USED_EVERY):
        sessions.used({"first": first + later})
        seen.append(sessions.by_digest("digest of first").last_used_at - first)
    assert seen == [timedelta(0), USED_EVERY]


def test_every_end_is_seen_by_its_number(sessions, add):
    add("first")
    before = sessions.revision()
    assert sessions.end("first", EVENT)
    assert sessions.revision() > before
    assert not sessions.end("first", EVENT)
    assert sessions.by_digest("digest of first") is None
