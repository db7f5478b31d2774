"""Tickets: one use, a short life, one user, one subject."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from follow_kit import Log, service_in
from service_kit import gone, signed_in, users
from sqlalchemy import func, select

from app.clock import uptime
from app.domain import Role
from app.errors import NotAuthenticated, NotFound
from app.identity.anonymous import EVERYBODY
from app.identity.written import write_identity
from app.services.tickets import EVENTS, _digest
from app.store.execution_rows import now
from app.store.schema import tickets
from app.store.tickets import Tickets

ADA, BOB = signed_in("ada"), signed_in("bob")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with service_in(tmp_path_factory, api__auth=users()) as made:
        yield made


@pytest.fixture
def log(guarded):
    return Log(guarded, owner="ada")


@pytest.fixture
def desk(guarded):
    return guarded.services.tickets


def test_a_ticket_stands_for_the_user_who_asked_for_it(desk, log):
    ticket, seconds = desk.give(log.id, ADA)
    assert seconds == 60
    assert len(ticket) >= 40
    assert desk.take(ticket, log.id) == ADA


def test_the_roles_are_those_of_the_user_at_the_time_of_use(desk, log):
    impostor = replace(ADA, roles=frozenset({Role.ADMIN}))
    ticket, _ = desk.give(log.id, impostor)
    assert desk.take(ticket, log.id).roles == frozenset({Role.USER})


def test_a_ticket_can_be_used_once(desk, log):
    ticket, _ = desk.give(log.id, ADA)
    desk.take(ticket, log.id)
    with pytest.raises(NotAuthenticated):
        desk.take(ticket, log.id)


def test_of_many_who_use_it_at_the_same_time_one_succeeds(desk, log):
    ticket, _ = desk.give(log.id, ADA)
    results = []

    def use():
        try:
            results.append(desk.take(ticket, log.id))
        except NotAuthenticated:
            results.append(None)

    threads = [threading.Thread(target=use) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results, key=str) == sorted([ADA] + [None] * 15, key=str)


def test_a_ticket_is_good_for_its_own_execution_only(guarded, desk, log):
    other = Log(guarded, owner="ada")
    ticket, _ = desk.give(log.id, ADA)
    for subject in (other.id, EVENTS, "", f"{log.id} "):
        with pytest.raises(NotAuthenticated):
            desk.take(ticket, subject)
    assert desk.take(ticket, log.id) == ADA


def test_a_ticket_for_events_opens_no_execution(desk, log):
    ticket, _ = desk.give(EVENTS, ADA)
    with pytest.raises(NotAuthenticated):
        desk.take(ticket, log.id)
    assert desk.take(ticket, EVENTS) == ADA


def test_nobody_gets_a_ticket_for_what_he_may_not_see(guarded, desk, log):
    for subject in (log.id, "00000000-0000-4000-8000-00000000ffff", "nonsense"):
        with pytest.raises(NotFound):
            desk.give(subject, BOB)


def test_a_ticket_that_is_too_old_is_worth_nothing(guarded, desk, log):
    store = Tickets(guarded.web.database)
    store.add(_digest("late"), "ada", log.id, now() - timedelta(milliseconds=2), "{}")
    store.add(_digest("early"), "ada", log.id, now() + timedelta(minutes=1), write_identity(ADA))
    with pytest.raises(NotAuthenticated):
        desk.take("late", log.id)
    assert desk.take("early", log.id) == ADA


def test_old_tickets_are_thrown_away(guarded, desk, log):
    store = Tickets(guarded.web.database)
    for i in range(50):
        store.add(_digest(str(i)), "ada", log.id, now() - timedelta(days=1, milliseconds=2), "{}")
    desk.give(log.id, ADA)
    with guarded.web.database.read() as connection:
        left = (
            select(func.count())
            .select_from(tickets)
            .where(tickets.c.expires_at < now() - timedelta(days=1))
        )
        assert connection.execute(left).scalar_one() == 0


@pytest.mark.parametrize("rubbish", ["", "x", "\x00", "\ufffd", "a" * 100_000])
def test_rubbish_is_no_ticket(desk, log, rubbish):
    desk.give(log.id, ADA)
    with pytest.raises(NotAuthenticated):
        desk.take(rubbish, log.id)


def test_the_ticket_of_a_user_who_is_gone_is_worth_nothing(guarded, desk, log):
    ticket, _ = desk.give(log.id, ADA)
    with gone(guarded, "ada"), pytest.raises(NotAuthenticated):
        desk.take(ticket, log.id)


def test_the_store_does_not_hold_what_could_be_used(guarded, desk, log):
    given = [desk.give(log.id, ADA)[0] for _ in range(20)]
    assert len(set(given)) == 20
    with guarded.web.database.read() as connection:
        kept = str(connection.execute(select(tickets)).all())
    assert kept.count("ada") >= 20
    assert not any(ticket in kept for ticket in given)


def test_without_authentication_a_ticket_stands_for_everybody(service):
    log = Log(service)
    ticket, _ = service.services.tickets.give(log.id, EVERYBODY)
    assert service.services.tickets.take(ticket, log.id) == EVERYBODY


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_clock_that_is_set_costs_no_ticket_and_prolongs_none(desk, log, monkeypatch, step):
    ticket, late = (desk.give(log.id, ADA)[0] for _ in range(2))
    monkeypatch.setattr("app.store.tickets.now", lambda: now() + step)
    desk.give(log.id, ADA)  # which forgets those that are too old
    assert desk.take(ticket, log.id) == ADA
    moment = uptime()
    monkeypatch.setattr("app.services.tickets.uptime", lambda: moment + 62)
    with pytest.raises(NotAuthenticated):
        desk.take(late, log.id)


def test_on_another_machine_the_clock_says_how_old_a_ticket_is(desk, log, monkeypatch):
    ticket, late = (desk.give(log.id, ADA)[0] for _ in range(2))
    monkeypatch.setattr("app.services.tickets.boot_id", lambda: "f" * 36)
    assert desk.take(ticket, log.id) == ADA
    monkeypatch.setattr("app.store.tickets.now", lambda: now() + timedelta(seconds=62))
    with pytest.raises(NotAuthenticated):
        desk.take(late, log.id)
