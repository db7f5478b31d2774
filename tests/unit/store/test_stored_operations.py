"""What users ask for that a conductor carries out: filed, held by one, finished once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from functools import partial

import pytest
from kit.patience import await_that
from sqlalchemy import update

from app.domain import OperationState
from app.errors import QuotaExceeded
from app.store.changes import open_feed
from app.store.conductors import Conductors, Node, OwnProcess
from app.store.database import Database
from app.store.execution_rows import now
from app.store.operations import Operations, Room
from app.store.schema import operations as table

LEASE = 15.0
AGAIN = Room(4, 3, {}, 60.0, repeatable=True)
ONCE = Room(4, 3, {}, 60.0, repeatable=False)


@pytest.fixture
def operations(database: Database) -> Operations:
    for name in ("one", "two"):
        Conductors(database).register(name, Node(f"box/{name}", "kernel"), OwnProcess(1))
    return Operations(database)


def file(operations, owner="ada", subject="hpc", kind="check", most=10, **arguments):
    return operations.file(kind, owner, subject, arguments, most)


def claim(operations, holder="one", **rooms):
    return operations.claim(holder, rooms or {"check": AGAIN}, LEASE)


def put(database, **values):
    database.write(lambda c: c.execute(update(table).values(**values)))


def test_what_is_asked_for_is_read_as_it_was_filed(operations):
    made = file(operations, deep=[1, {"a": None}])
    assert operations.get(made.id) == made
    assert (made.state, made.result, made.error) == (OperationState.WAITING, None, None)
    assert operations.get("op-none") is None


def test_the_same_wish_of_the_same_user_is_one_operation_until_it_has_ended(operations):
    first = file(operations)
    assert file(operations).id == first.id
    others = [
        file(operations, owner="bob"), file(operations, subject="other"),
        file(operations, kind="test"), file(operations, more=1),
    ]  # fmt: skip
    assert len({first.id, *(each.id for each in others)}) == 5
    [taken] = [each for each in claim(operations) if each.id == first.id]
    assert file(operations).id == first.id
    assert operations.finish(taken, "one", result={"ok": True})
    assert file(operations).id != first.id


def test_a_user_has_only_so_many_open(operations):
    file(operations, subject="a", most=2)
    file(operations, subject="b", most=2)
    with pytest.raises(QuotaExceeded) as refused:
        file(operations, subject="c", most=2)
    assert refused.value.policies == ("operations",)
    assert file(operations, subject="a", most=2)
    assert file(operations, owner="bob", most=2)


def test_one_conductor_has_it_and_its_result_alone_counts(operations):
    made = file(operations)
    [taken] = claim(operations)
    assert (taken.id, taken.state, taken.tries) == (made.id, OperationState.RUNNING, 1)
    assert claim(operations, "two") == []
    assert not operations.finish(taken, "two", result="wrong")
    assert operations.finish(taken, "one", result={"ok": 1})
    assert not operations.finish(taken, "one", error="late")
    found = operations.get(made.id)
    assert (found.state, found.result, found.error) == (OperationState.DONE, {"ok": 1}, None)
    assert found.finished_at is not None


def test_users_take_turns_and_none_has_all_the_room(operations):
    for number in range(5):
        file(operations, subject=str(number))
    file(operations, owner="bob")
    taken = claim(operations, check=AGAIN)
    assert [(each.owner, each.subject) for each in taken] == [
        ("ada", "0"), ("bob", "hpc"), ("ada", "1"), ("ada", "2"),
    ]  # fmt: skip
    full = Room(1, 3, {"ada": 3}, 60.0, repeatable=True)
    assert claim(operations, check=full) == []
    assert claim(operations, check=Room(0, 3, {}, 60.0, repeatable=True)) == []
    assert claim(operations, other=AGAIN) == []


@pytest.mark.parametrize("death", ["gone", "silent", "too long"])
def test_what_the_dead_had_is_begun_with_again_where_that_does_no_harm(operations, database, death):
    made = file(operations)
    claim(operations)
    if death == "gone":
        Conductors(database).remove("one")
    if death == "silent":
        put(database, holder="nobody")
    if death == "too long":
        put(database, held_until=now() - timedelta(seconds=1))
    [again] = claim(operations, "two")
    assert (again.id, again.tries) == (made.id, 2)


def test_what_must_not_be_repeated_fails_with_its_conductor(operations, database):
    made = file(operations)
    claim(operations, check=ONCE)
    Conductors(database).remove("one")
    assert claim(operations, "two", check=ONCE) == []
    found = operations.get(made.id)
    assert (found.state, found.error_code) == (OperationState.FAILED, "not_carried_out")
    assert "not known how far" in found.error


def test_what_kills_its_conductors_is_given_up_after_three(operations, database):
    made = file(operations)
    for _ in range(3):
        assert claim(operations)
        put(database, held_until=now() - timedelta(seconds=1))
    assert claim(operations) == []
    assert operations.get(made.id).state is OperationState.FAILED


def test_what_nobody_begins_with_for_long_is_not_begun_with_later(operations, database):
    made = file(operations)
    put(database, made_at=now() - timedelta(minutes=11))
    assert claim(operations) == []
    found = operations.get(made.id)
    assert (found.state, found.error_code) == (OperationState.FAILED, "not_carried_out")
    assert "ten minutes" in found.error


def test_a_conductor_that_ends_leaves_what_may_be_repeated_to_others(operations):
    again, once = file(operations), file(operations, kind="rotate")
    assert len(claim(operations, check=AGAIN, rotate=ONCE)) == 2
    operations.release("two", {"check": True, "rotate": False})
    assert operations.get(again.id).state is OperationState.RUNNING
    operations.release("one", {"check": True, "rotate": False})
    assert operations.get(again.id).state is OperationState.WAITING
    assert operations.get(once.id).state is OperationState.FAILED


def test_what_ended_long_ago_is_forgotten(operations, database):
    made = file(operations)
    [taken] = claim(operations)
    operations.finish(taken, "one", error="no", error_code="not_found")
    assert operations.prune() == 0
    put(database, finished_at=now() - timedelta(days=2))
    assert operations.prune() == 1
    assert operations.get(made.id) is None


def test_who_is_to_act_and_who_waits_are_told_by_the_feeds_of_executions(operations, database):
    told: dict[str, set[str]] = {"wanted": set(), "changed": set()}
    feeds = [
        open_feed(database, kind, partial(_note, told[kind])) for kind in ("wanted", "changed")
    ]
    made = file(operations)
    await_that(lambda: told["wanted"] == {made.id})
    [taken] = claim(operations)
    assert operations.finish(taken, "one", result=1)
    await_that(lambda: told["changed"] == {made.id})
    for feed in feeds:
        feed.close()


def _note(told: set[str], ids: Collection[str] | None) -> None:
    told.update(ids or ())
