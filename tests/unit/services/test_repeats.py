"""Who polls beyond the end of a finished log again and again."""

from datetime import timedelta

import pytest
from service_kit import open_service

from app.domain import Identity, Role
from app.errors import UpstreamUnreachable
from app.services import repeats as module
from app.services.repeats import Repeats
from app.store.ends import EndsTold

ADA, BOB = (Identity(name, frozenset({Role.USER})) for name in ("ada", "bob"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    service = open_service(tmp_path_factory.mktemp("repeats"), start=False)
    yield service
    service.close()


@pytest.fixture
def execution(shared):
    return shared.add_execution()


@pytest.fixture
def ends(shared):
    return EndsTold(shared.web.database)


class Counted:
    """The notes of the store, and how often they were asked."""

    def __init__(self, ends):
        self._ends = ends
        self.asked = 0

    def note(self, *args):
        self.asked += 1
        return self._ends.note(*args)


class Broken:
    def note(self, *_args):
        raise UpstreamUnreachable("The store does not answer at the moment.")


def test_the_first_time_is_no_repetition_and_all_others_are(ends, execution):
    repeats = Repeats(ends)
    asked = [repeats.asks_again(execution, ADA, "::1", 60) for _ in range(5)]
    assert asked == [False, True, True, True, True]


@pytest.mark.parametrize(("identity", "address"), [(BOB, "::1"), (ADA, "::2")])
def test_each_caller_has_a_first_time(ends, execution, identity, address):
    repeats = Repeats(ends)
    assert not repeats.asks_again(execution, ADA, "::1", 60)
    assert not repeats.asks_again(execution, identity, address, 60)
    assert repeats.asks_again(execution, ADA, "::1", 60)


def test_each_execution_has_one(shared, ends, execution):
    repeats = Repeats(ends)
    assert not repeats.asks_again(execution, ADA, "::1", 60)
    assert not repeats.asks_again(shared.add_execution(), ADA, "::1", 60)


def test_it_does_not_matter_which_process_was_asked_before(ends, execution):
    assert not Repeats(ends).asks_again(execution, ADA, "::1", 60)
    for _ in range(3):
        assert Repeats(ends).asks_again(execution, ADA, "::1", 60)


def test_who_comes_back_later_is_no_loop(ends, execution, monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED_SECONDS", -1.0)
    repeats = Repeats(ends)
    for _ in range(3):
        assert not repeats.asks_again(execution, ADA, "::1", 0.5)


def test_a_loop_is_remembered_as_long_as_it_goes_on(ends, execution, monkeypatch):
    """The note outlasts each wait, also in the store, whatever a client asks for."""
    noted = []
    monkeypatch.setattr(ends, "note", lambda *args: noted.append(args[2]) or len(noted) > 1)
    repeats = Repeats(ends)
    waits = [1, 1, 300, 1, 600]
    asked = [repeats.asks_again(execution, ADA, "::1", seconds) for seconds in waits]
    assert asked == [False, True, True, True, True]
    assert len(noted) == 3
    assert noted[1] - noted[0] > timedelta(seconds=290)
    assert noted[2] - noted[1] > timedelta(seconds=290)


def test_a_client_in_a_loop_does_not_keep_the_store_busy(ends, execution):
    counted = Counted(ends)
    repeats = Repeats(counted)
    for _ in range(100):
        repeats.asks_again(execution, ADA, "::1", 0.001)
    assert counted.asked <= 2


def test_without_the_store_each_process_knows_for_itself(execution):
    repeats = Repeats(Broken())
    asked = [repeats.asks_again(execution, ADA, "::1", 60) for _ in range(3)]
    assert asked == [False, True, True]


def test_what_is_remembered_is_bounded(execution, monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED", 10)
    repeats = Repeats(Broken())
    for number in range(100):
        repeats.asks_again(execution, ADA, str(number), 60)
    assert len(repeats._known) == 10
    assert repeats.asks_again(execution, ADA, "99", 60)
