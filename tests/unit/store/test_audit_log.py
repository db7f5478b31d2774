"""The audited events in the store: read in pages, removed when they are old or too many."""

from datetime import timedelta

import pytest

from app.domain import AuditEvent, AuditFilter, AuditResult
from app.store import audit as store_audit
from app.store.audit import AuditLog
from app.store.execution_rows import now

OK, DENIED = AuditResult.SUCCESS, AuditResult.DENIED


@pytest.fixture
def log(database):
    return AuditLog(database)


def add(log, number, result=OK, *, days_ago=0, **more):
    at = now() - timedelta(days=days_ago)
    events = [
        AuditEvent("keys:write", result, f"/ssh_keys/{n}", "ada", at=at, **more)
        for n in range(number)
    ]
    log.add(events, durable=True)


def read_all(log, wanted=AuditFilter(), most=1000):  # noqa: B008  (it is frozen)
    found, before = [], None
    for _ in range(1000):
        more, before = log.page(wanted, before, most)
        found += more
        if before is None:
            return [entry.event for entry in found]
    raise AssertionError("no end")


def test_an_event_is_kept_as_it_was(log):
    event = AuditEvent(
        "sign-in", DENIED, "/executions", "ada", "basic:ada", "10.0.0.1", "r1", "wrong", 7, now()
    )
    log.add([event], durable=False)
    assert read_all(log) == [event]


HOSTILE = {
    "nul": "a\x00b",
    "lines": "a\nb\r\u2028c",
    "surrogate": "a\udc80b",
    "long": "x" * 5000,
    "escape": "\x1b[31mred",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_whatever_callers_sent_can_be_stored_and_begins_no_line(log, text):
    event = AuditEvent(text, OK, text, text, text, text, text, text)
    log.add([event], durable=False)
    (kept,) = read_all(log)
    for value in (kept.action, kept.target, kept.username, kept.credential, kept.detail):
        assert value
        assert value.isprintable()
        assert len(value) <= 500


def test_what_looks_like_a_secret_is_hidden(log):
    token = "hvs." + "A" * 30
    log.add([AuditEvent("x", OK, f"/x/{token}", detail=token, credential=token)], durable=False)
    assert token not in repr(read_all(log))


FILTERS = {
    "user": (AuditFilter(username="bob"), {"b"}),
    "action": (AuditFilter(action="sign-in"), {"c"}),
    "result": (AuditFilter(result=DENIED), {"c"}),
    "target": (AuditFilter(target="/executions/1"), {"a", "d"}),
    "target that is a pattern": (AuditFilter(target="/executions/%"), set()),
    "since": (AuditFilter(since=now() - timedelta(days=2)), {"b", "c", "d"}),
    "until": (AuditFilter(until=now() - timedelta(days=2)), {"a"}),
    "both": (AuditFilter(username="ada", target="/executions/1"), {"a"}),
}


@pytest.mark.parametrize(("wanted", "expected"), FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("window", [1, 3, 20_000])
def test_events_are_found_by_what_is_asked_for(log, wanted, expected, window, monkeypatch):
    monkeypatch.setattr(store_audit, "_WINDOW", window)
    moment = now()
    events = [
        AuditEvent("x", OK, "/executions/1", "ada", detail="a", at=moment - timedelta(days=3)),
        AuditEvent("x", OK, "/executions/12", "bob", detail="b", at=moment),
        AuditEvent("sign-in", DENIED, "/workflows", None, detail="c", at=moment),
        AuditEvent("x", OK, "/executions/1/pause", None, detail="d", at=moment),
    ]
    log.add(events, durable=False)
    for most in (1, 2, 100):
        assert {event.detail for event in read_all(log, wanted, most)} == expected


def test_pages_hold_each_event_once_newest_first(log):
    add(log, 25)
    targets = [event.target for event in read_all(log, most=10)]
    assert targets == [f"/ssh_keys/{n}" for n in reversed(range(25))]


def test_events_that_come_meanwhile_do_not_disturb_who_reads(log):
    add(log, 4)
    first, before = log.page(AuditFilter(), None, 2)
    add(log, 3)
    second, before = log.page(AuditFilter(), before, 2)
    assert [entry.event.target for entry in (*first, *second)] == [
        f"/ssh_keys/{n}" for n in (3, 2, 1, 0)
    ]
    assert before is None


def test_an_empty_table_has_one_empty_page(log):
    assert log.page(AuditFilter(), None, 10) == ([], None)
    assert log.page(AuditFilter(), 2**63 - 1, 10) == ([], None)


def test_what_is_old_is_removed(log, monkeypatch):
    monkeypatch.setattr(store_audit, "_AT_ONCE", 2)
    add(log, 5, days_ago=31)
    add(log, 3, days_ago=29)
    assert log.prune(30, 1000) == 5
    assert len(read_all(log)) == 3
    assert log.prune(30, 1000) == 0


def test_of_too_many_those_of_denied_access_go_first(log, monkeypatch):
    monkeypatch.setattr(store_audit, "_AT_ONCE", 3)
    add(log, 4)
    add(log, 20, DENIED)
    add(log, 4)
    assert log.prune(30, 10) == 18
    assert [event.result for event in read_all(log)] == [OK] * 4 + [DENIED] * 2 + [OK] * 4
    assert log.prune(30, 5) == 5
    assert [event.result for event in read_all(log)] == [OK] * 5
