"""Recording who did what: off the way of requests, bounded, and nothing is lost in silence."""

import threading
from dataclasses import replace

import pytest
from kit.patience import await_that

from app.domain import AuditEvent, AuditFilter, AuditResult, Credential, Identity, Role
from app.errors import InvalidRequest, StoreUnavailable
from app.services import audit as audit_module
from app.services.audit import Audit, Origin
from app.store.execution_rows import now

OK, DENIED, REFUSED = AuditResult.SUCCESS, AuditResult.DENIED, AuditResult.REFUSED


class Table:
    """In place of the store; it can be away."""

    def __init__(self):
        self.events, self.portions, self.is_away = [], [], False

    def add(self, events, *, durable):
        if self.is_away:
            raise StoreUnavailable("away")
        self.events += events
        self.portions.append((durable, {event.result for event in events}))


@pytest.fixture
def table():
    return Table()


@pytest.fixture
def audit(table, monkeypatch):
    monkeypatch.setattr(audit_module, "_PAUSE_SECONDS", 0.01)
    made = Audit(table)
    yield made
    made.close()


def denial(user="ada", address="10.0.0.1", **more):
    return AuditEvent("sign-in", DENIED, "/x", user, address=address, **more)


def test_what_is_recorded_is_written_without_further_doing(audit, table):
    audit.record(AuditEvent("keys:write", OK, "/ssh_keys"))
    await_that(lambda: table.events, "it is written")
    assert table.events[0].action == "keys:write"


def test_an_event_says_who_asks_and_from_where(table):
    identity = Identity("ada", frozenset({Role.USER}), credential=Credential("basic", "ada:1"))
    made = Audit(table, lambda: Origin(identity, "10.0.0.1", "r1")).event("x", "/y", detail="z")
    assert (made.username, made.credential) == ("ada", "basic:ada:1")
    assert (made.address, made.request_id, made.detail) == ("10.0.0.1", "r1", "z")


def test_nobody_asks_for_what_the_service_does_itself(audit):
    made = audit.event("x")
    assert (made.username, made.credential, made.address, made.request_id) == (None,) * 4


def test_refusals_that_are_repeated_are_told_twice(audit, table):
    for number in range(1000):
        audit.record(denial(request_id=str(number)))
    audit.close()
    assert [(event.times, event.request_id) for event in table.events] == [(1, "0"), (999, None)]


def test_what_succeeded_is_never_put_together(audit, table):
    for _ in range(20):
        audit.record(AuditEvent("executions:run", OK, "/executions/1", "ada"))
    audit.close()
    assert [event.times for event in table.events] == [1] * 20


DIFFERENT = {
    "user": denial("bob"),
    "address": denial(address="10.0.0.2"),
    "detail": denial(detail="other"),
    "result": AuditEvent("sign-in", REFUSED, "/x", "ada", address="10.0.0.1"),
}


@pytest.mark.parametrize("other", DIFFERENT.values(), ids=DIFFERENT)
def test_refusals_of_another_kind_are_told_apart(audit, table, other):
    audit.record(denial())
    audit.record(other)
    audit.close()
    assert len(table.events) == 2


def test_addresses_of_one_client_are_one_kind(audit, table):
    for number in range(50):
        audit.record(denial(address=f"2001:db8:1:2::{number:x}"))
    audit.close()
    assert [event.times for event in table.events] == [1, 49]
    assert table.events[1].address == "2001:db8:1:2::/64"


def test_a_flood_of_different_refusals_is_bounded_and_counted(audit, table):
    for number in range(20_000):
        audit.record(denial(address=f"10.{number % 250}.{number // 250}.1"))
    audit.close()
    assert sum(event.times for event in table.events) == 20_000
    assert len(table.events) == audit_module._MOST_KINDS + 1
    assert "not told apart" in table.events[-1].detail


@pytest.mark.parametrize(
    "hidden",
    [denial("bob"), AuditEvent("users:change", DENIED, "/users/ada", "ada", address="10.0.0.1")],
)
def test_a_flood_hides_neither_another_user_nor_another_action(audit, table, hidden):
    for number in range(1000):
        audit.record(denial(address=f"10.{number % 250}.{number // 250}.1"))
    audit.record(hidden)
    audit.close()
    assert hidden in [replace(event, at=hidden.at) for event in table.events]


def test_a_flood_under_many_names_is_bounded(audit, table):
    for number in range(20_000):
        audit.record(denial(f"user-{number}"))
    audit.close()
    assert sum(event.times for event in table.events) == 20_000
    assert len(table.events) == audit_module._MOST_KINDS_OF_ALL + 1


def test_a_new_minute_begins_anew(audit, table, monkeypatch):
    monkeypatch.setattr(audit_module, "_WINDOW_SECONDS", 0.05)
    audit.record(denial())
    audit.record(denial())
    await_that(lambda: len(table.events) == 2, "the minute is over")
    audit.record(denial())
    await_that(lambda: len(table.events) == 3, "it is told anew")
    assert [event.times for event in table.events] == [1, 1, 1]


def test_what_the_store_does_not_take_waits_for_it(audit, table, monkeypatch):
    monkeypatch.setattr(audit_module, "_RETRY_SECONDS", 0.01)
    table.is_away = True
    for number in range(700):
        audit.record(AuditEvent("x", OK, str(number)))
    audit.flush()
    table.is_away = False
    await_that(lambda: len(table.events) == 700, "the store has them")
    assert [event.target for event in table.events] == [str(number) for number in range(700)]


def test_what_is_lost_is_counted_and_said(audit, table, monkeypatch):
    monkeypatch.setattr(audit_module, "_MOST_WAITING", 10)
    table.is_away = True
    for number in range(35):
        audit.record(AuditEvent("x", OK, str(number)))
        audit.flush()
    table.is_away = False
    audit.flush()
    audit.flush()
    kept, said = table.events[:10], table.events[10:]
    assert [event.target for event in kept] == [str(number) for number in range(10)]
    assert {event.action for event in said} == {"audit"}
    assert 0 < sum(event.times for event in said) <= 35


def test_only_denials_may_be_lost_with_the_power(audit, table):
    for _ in range(3):
        audit.record(denial())
        audit.flush()
        audit.record(AuditEvent("x", OK))
        audit.flush()
    assert [durable for durable, _ in table.portions] == [
        OK in results for _, results in table.portions
    ]
    assert {durable for durable, _ in table.portions} == {False, True}


def test_threads_that_record_at_the_same_time_lose_nothing(audit, table):
    def record():
        for _ in range(200):
            audit.record(AuditEvent("x", OK))

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    audit.close()
    assert len(table.events) == 1600


def test_a_span_that_is_none_is_refused(audit):
    moment = now()
    with pytest.raises(InvalidRequest) as caught:
        audit.find(AuditFilter(since=moment, until=moment), None, 10)
    assert [fault.path for fault in caught.value.fields] == ["since"]
