"""The slave that the service starts when it is called, as the store has it."""

import threading
from dataclasses import replace

import pytest
from kit.patience import PATIENCE_SECONDS, await_that

from app.services.local_slave import LocalSlave, local_slave_of
from app.store.launches import Intent, Launches
from app.store.slaves import LOCAL, Slaves


@pytest.fixture
def started():
    return threading.Event()


@pytest.fixture
def local(database, started):
    local = LocalSlave(database, local_slave_of("local", 7), started.set)
    local.begin()
    yield local
    local.end()


def offered(database):
    return [each for each in Slaves(database).all() if each.is_offered()]


def call(database):
    intent = Intent(
        execution_id="e1", orchestrator="load", workflow_id="w", workflow_name="W", owner="ada",
        inputs={}, steps=["s1"],
    )  # fmt: skip
    execution, _ = Launches(database).create(intent)
    Slaves(database).call("local", execution.number)


def test_it_is_offered_with_its_room_and_not_started(database, local, started):
    (found,) = await_that(lambda: offered(database))
    assert (found.id, found.type, found.max_vus) == ("local", LOCAL, 7)
    assert found.capabilities == ["http_executor", "script_executor"]
    assert not started.is_set()


def test_it_is_started_when_it_is_called(database, local, started):
    await_that(lambda: offered(database))
    call(database)
    assert started.wait(PATIENCE_SECONDS)


def test_a_call_is_followed_that_came_while_nobody_listened(database, local, started):
    await_that(lambda: offered(database))
    local.end()
    call(database)
    started.clear()
    again = LocalSlave(database, local_slave_of("local", 7), started.set)
    again.begin()
    assert started.wait(PATIENCE_SECONDS)
    again.end()


def test_one_that_died_with_the_service_is_started_again(database, started):
    Slaves(database).register(replace(local_slave_of("local", 7), connection="c1"), 5.0)
    local = LocalSlave(database, local_slave_of("local", 7), started.set)
    local.begin()
    assert started.wait(PATIENCE_SECONDS)
    local.end()


def test_it_is_offered_no_more_in_the_end(database, local):
    await_that(lambda: offered(database))
    local.end()
    assert offered(database) == []
