"""How the work of the whole service stands."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, update

from app.domain import ExecutionStatus, Task, TaskStatus
from app.store.execution_rows import now
from app.store.overview import Overview
from app.store.schema import api_keys, executions, sessions

MINUTE = timedelta(minutes=1)


@pytest.fixture
def overview(kit):
    return Overview(kit.database)


def age(kit, execution, **values):
    mine = executions.update().where(executions.c.id == execution.id)
    kit.database.write(lambda c: c.execute(mine.values(**values)))


def test_open_work_is_told_by_orchestrator_and_how_much_of_it_is_stale(kit, overview):
    old = now() - 5 * MINUTE
    for name in ("a4c", "a4c", "local"):
        running = kit.see(kit.held(orchestrator=name))
    ended = kit.held(orchestrator="local")
    kit.see(ended, ExecutionStatus.SUCCESS, log_complete=True)
    age(kit, running, as_of=old)
    found = overview.work(MINUTE).open
    assert {name: (work.executions, work.stale) for name, work in found.items()} == {
        "a4c": (2, 0), "local": (1, 1),
    }  # fmt: skip
    assert found["local"].stale_since == found["local"].last_news == old


def test_conductors_drive_what_they_hold_and_dead_ones_what_nobody_took_over(kit, overview):
    kit.held()
    kit.held()
    kit.launched()
    assert overview.work(MINUTE).driven == {"conductor-1": 2}
    kit.database.write(lambda c: c.execute(update(executions).values(lease_until=now() - MINUTE)))
    assert overview.work(MINUTE).driven == {"conductor-1": 2}
    kit.claim("conductor-2", limit=1)
    assert overview.work(MINUTE).driven == {"conductor-1": 1, "conductor-2": 1}


@pytest.mark.parametrize("at_once", [1, 2, 3, 7])
def test_each_execution_counts_once_however_many_are_counted_at_once(
    kit, overview, monkeypatch, at_once
):
    monkeypatch.setattr("app.store.overview._AT_ONCE", at_once)
    for number in range(6):
        kit.see(kit.held(orchestrator=f"o{number % 2}"))
    work = overview.work(MINUTE)
    assert {name: each.executions for name, each in work.open.items()} == {"o0": 3, "o1": 3}
    assert work.driven == {"conductor-1": 6}


def test_what_waits_is_told_with_its_reason_the_oldest_first(kit, overview):
    assert overview.queue(5) == (overview.queue(5).__class__)(0, None, ())
    first, second = kit.held(), kit.held(owner="bob")
    reason = {"kind": "queue", "reason": "the partition is full"}
    waiting = [Task("first", TaskStatus.PENDING), Task("second", TaskStatus.PENDING,
                                                       waits_for=reason)]  # fmt: skip
    kit.see(second, ExecutionStatus.PENDING, tasks=tuple(waiting))
    running = kit.held()
    kit.see(running)
    queue = overview.queue(5)
    assert (queue.executions, overview.waiting()) == (2, 2)
    assert queue.oldest == queue.first[0].since
    assert [(each.id, each.owner, each.reason) for each in queue.first] == [
        (first.id, "ada", None), (second.id, "bob", "the partition is full"),
    ]  # fmt: skip
    assert len(overview.queue(1).first) == 1


def test_of_what_waits_for_its_own_tasks_and_for_others_the_latter_is_the_reason(kit, overview):
    waits = {
        "a": {"kind": "tasks", "reason": "waits for b"},
        "b": {"kind": "memory", "reason": "too little memory is free"},
    }
    tasks = (Task(name, TaskStatus.PENDING, waits_for=each) for name, each in waits.items())
    kit.see(kit.held(), ExecutionStatus.PENDING, tasks=tuple(tasks))
    assert [each.reason for each in overview.queue(5).first] == ["too little memory is free"]


def add_session(kit, number, username, used, expires):
    values = {
        "id": f"{number:016x}", "digest": f"{number:064x}", "username": username, "epoch": "",
        "identity": "{}", "created_at": used, "last_used_at": used, "expires_at": expires,
    }  # fmt: skip
    kit.database.write(lambda c: c.execute(insert(sessions).values(**values)))


def add_key(kit, number, owner, used, **more):
    values = {
        "id": f"{number:016x}", "digest": f"{number:064x}", "prefix": "slw_1234", "owner": owner,
        "foreign_owner": False, "name": "k", "roles": [], "created_at": used, "last_used_at": used,
    }  # fmt: skip
    kit.database.write(lambda c: c.execute(insert(api_keys).values(**values, **more)))


def test_who_is_signed_in_has_a_session_or_has_used_a_key_lately(kit, overview):
    moment, later = now(), now() + 60 * MINUTE
    add_session(kit, 1, "ada", moment - 3 * MINUTE, later)
    add_session(kit, 2, "ada", moment - 2 * MINUTE, later)
    add_session(kit, 3, "idle", moment - 40 * MINUTE, later)
    add_session(kit, 4, "over", moment - 2 * MINUTE, moment - MINUTE)
    add_key(kit, 1, "bob", moment - MINUTE)
    add_key(kit, 2, "ada", moment - 4 * MINUTE)
    add_key(kit, 3, "old", moment - 90 * MINUTE)
    add_key(kit, 4, "gone", moment - MINUTE, revoked_at=moment)
    found = overview.signed_in(30 * MINUTE, 60 * MINUTE)
    assert [(who.username, who.sessions, who.api_keys) for who in found] == [
        ("bob", 0, 1), ("ada", 2, 1),
    ]  # fmt: skip
    assert found[1].last_used_at == moment - 2 * MINUTE
