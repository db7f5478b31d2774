"""Status changes of all executions, before they are written on any wire."""

from dataclasses import replace

import pytest
from follow_kit import Log, await_that, until

from app.domain import (
    ExecutionStatus,
    ExecutionSummary,
    Identity,
    Level,
    NewLogEntry,
    Role,
    Task,
    TaskStatus,
)
from app.errors import NotAuthenticated
from app.identity.anonymous import EVERYBODY
from app.services.events import Briefed
from app.services.follow import Expired, Heartbeat, Moved, StatusChanged
from app.services.idle import waited
from app.store.execution_rows import now

PENDING, RUNNING, PAUSED, SUCCESS, FAILED = (
    ExecutionStatus[name] for name in ("PENDING", "RUNNING", "PAUSED", "SUCCESS", "FAILED")
)
ADA = Identity("ada", frozenset({Role.USER}))
OPS = Identity("ops", frozenset({Role.OPERATOR}))


@pytest.fixture
def service(make_service):
    return make_service(streams__heartbeat="100ms", api__auth__recheck="100ms")


def watch(service, identity=EVERYBODY):
    return waited(service.services.events.steps(lambda: identity))


def statuses(events):
    return [(e.execution.id, e.execution.status) for e in events if isinstance(e, StatusChanged)]


def settled(service, identity=EVERYBODY):
    """A reader who has got what there was at the beginning."""
    events = watch(service, identity)
    return events, until(events, Heartbeat)


def test_it_begins_with_what_has_not_ended(make_service):
    service = make_service(start=False, streams__heartbeat="100ms")
    pending, running, ended = (Log(service) for _ in range(3))
    running.see(RUNNING)
    ended.end()
    _, seen = settled(service)
    assert statuses(seen) == [(pending.id, PENDING), (running.id, RUNNING)]


def test_however_many_have_not_ended_all_are_told_and_nothing_large_is_kept_of_them(make_service):
    service = make_service(start=False, streams__heartbeat="100ms")
    many = [service.add_execution(inputs={"text": "x" * 1000}).id for _ in range(120)]
    _, seen = settled(service)
    assert [id_ for id_, _ in statuses(seen)] == many
    assert {type(e.execution) for e in seen if isinstance(e, StatusChanged)} == {ExecutionSummary}


def test_each_change_is_told_in_its_order(service):
    one, two = Log(service), Log(service)
    events, _ = settled(service)
    one.see(RUNNING)
    assert statuses(until(events, StatusChanged))[-1] == (one.id, RUNNING)
    two.see(RUNNING)
    assert statuses(until(events, StatusChanged))[-1] == (two.id, RUNNING)
    one.end(FAILED)
    assert statuses(until(events, StatusChanged))[-1] == (one.id, FAILED)


def test_a_launch_is_told(service):
    events, seen = settled(service)
    assert statuses(seen) == []
    new = Log(service)
    assert statuses(until(events, StatusChanged)) == [(new.id, PENDING)]


def test_what_is_written_into_a_log_is_no_news(service):
    log = Log(service).see(RUNNING)
    events, _ = settled(service)
    log.write(1)
    until(events, Heartbeat)  # the first change of all may repeat the status
    for _ in range(5):
        log.write(3)
    log.see(PAUSED)
    assert statuses(until(events, StatusChanged)) == [(log.id, PAUSED)]


def test_a_user_hears_of_his_own_only(service):
    others, own = Log(service, owner="bob"), Log(service, owner="ada")
    events, seen = settled(service, ADA)
    assert set(statuses(seen)) == {(own.id, PENDING)}
    others.see(RUNNING)
    others.end()
    own.end(FAILED)
    assert statuses(until(events, StatusChanged)) == [(own.id, FAILED)]


def test_an_operator_hears_of_all(service):
    logs = [Log(service, owner=name) for name in ("ada", "bob", "")]
    _, seen = settled(service, OPS)
    assert {id_ for id_, _ in statuses(seen)} == {log.id for log in logs}


def test_readers_do_not_take_from_each_other(service):
    log = Log(service)
    readers = [settled(service)[0] for _ in range(5)]
    log.see(RUNNING)
    for events in readers:
        assert statuses(until(events, StatusChanged)) == [(log.id, RUNNING)]


def test_heartbeats_come_although_things_happen_to_others(service):
    other = Log(service, owner="bob")
    events, _ = settled(service, ADA)
    for status in [RUNNING, PAUSED] * 3:
        other.see(status)
    assert [type(next(events)) for _ in range(3)] == [Heartbeat] * 3


def test_nothing_is_looked_at_while_nobody_reads(service):
    log = Log(service)
    events, _ = settled(service)
    events.close()
    log.see(RUNNING).see(PAUSED)
    _, seen = settled(service)
    assert statuses(seen)[0] == (log.id, PAUSED)
    assert service.web.changes.waiting == 1


def test_a_process_that_stops_sends_its_readers_elsewhere(service):
    events, _ = settled(service)
    service.web.changes.close()
    assert until(events, Moved) == [Moved(0)]
    assert list(events) == []
    assert service.web.changes.waiting == 0


def test_who_may_have_missed_a_change_begins_again(service):
    events, _ = settled(service)
    service.web.changes._changed(None)
    assert until(events, Moved) == [Moved(0)]


def test_who_is_slower_than_all_that_is_remembered_begins_again(service):
    log = Log(service)
    slow, _ = settled(service)
    at_the_edge, _ = settled(service)
    feed = service.services.events
    execution = service.store.get(log.id)
    flips = [replace(execution, status=s) for s in (RUNNING, PAUSED)]
    for i in range(10_000):
        feed._tell([flips[i % 2]])
    told = [next(at_the_edge).execution.status for _ in range(10_000)]
    assert told == [RUNNING, PAUSED] * 5000
    feed._tell([flips[0]])
    assert until(slow, Moved) == [Moved(0)]
    assert next(at_the_edge).execution.status is RUNNING


def test_a_user_who_is_gone_reads_no_more(service):
    here = [True]

    def caller():
        if not here:
            raise NotAuthenticated("There is no such user any more.")
        return ADA

    events = waited(service.services.events.steps(caller))
    until(events, Heartbeat)
    here.clear()
    assert until(events, Expired) == [Expired("There is no such user any more.")]
    assert list(events) == []


def test_a_role_that_is_lost_counts_from_the_next_check_on(service):
    who = [OPS]
    events = waited(service.services.events.steps(lambda: who[0]))
    until(events, Heartbeat)
    who[0] = ADA
    until(events, Heartbeat)
    until(events, Heartbeat)
    others, own = Log(service, owner="bob"), Log(service, owner="ada")
    others.see(RUNNING)
    await_that(lambda: service.services.events._known.get(others.id) is RUNNING)
    own.see(RUNNING)
    assert {id_ for id_, _ in statuses(until(events, StatusChanged))} == {own.id}


def brief_reader(service, since=None):
    return waited(service.services.events.brief_steps(lambda: EVERYBODY, since))


def briefs_until(events, **last):
    """What is told of executions until something is said of one; what comes twice only once."""
    told = []
    while not told or any(told[-1].get(name) != value for name, value in last.items()):
        event = until(events, Briefed)[-1]
        execution, brief = event.execution, event.brief
        each = {
            "state": execution.status, "tasks": brief.tasks, "reason": brief.reason,
            "progress": execution.progress,
        }  # fmt: skip
        told += [] if each in told else [each]
    return told


def test_who_wants_briefs_is_told_what_runs_and_why_it_failed(service):
    log = Log(service)
    log.see(RUNNING, tasks=(Task("first", TaskStatus.RUNNING),))
    events = brief_reader(service)
    briefs_until(events, tasks=("first",))
    log.see(RUNNING, tasks=(Task("first", TaskStatus.SUCCESS), Task("second", TaskStatus.RUNNING)))
    briefs_until(events, tasks=("second",))
    log.see(RUNNING, progress=0.5)
    briefs_until(events, progress=0.5)
    log.see(RUNNING, progress=0.501, entries=(NewLogEntry(Level.INFO, 1, "a line"),))
    log.see(FAILED, error="it broke\nfor good")
    (told,) = briefs_until(events, state=FAILED)  # a list shows nothing of what came before
    assert told["reason"] == "it broke"


def test_what_ended_meanwhile_comes_with_its_brief(service):
    log = Log(service)
    log.see(FAILED, error="it broke", log_complete=True, finished_at=now())
    events = brief_reader(service, service.store.get(log.id).as_of)
    (told,) = briefs_until(events, state=FAILED)
    assert told["reason"] == "it broke"


def test_who_does_not_want_briefs_hears_of_states_alone(service):
    log = Log(service)
    plain, _ = settled(service)
    brief = brief_reader(service)
    for names in (("first",), ("first", "second")):
        log.see(RUNNING, tasks=tuple(Task(name, TaskStatus.RUNNING) for name in names))
        briefs_until(brief, tasks=names)
    log.see(PAUSED)
    told = until(plain, StatusChanged) + until(plain, StatusChanged)
    assert statuses(told) == [(log.id, RUNNING), (log.id, PAUSED)]
    assert not any(isinstance(each, Briefed) for each in told)
    brief.close()
    assert service.services.events._briefs_wanted == 0
