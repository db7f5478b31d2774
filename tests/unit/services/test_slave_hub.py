"""Slaves at a web process: what is stored of them, what they are told, and how they are lost."""

from __future__ import annotations

import ctypes
import json
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
from kit.in_process import await_end
from kit.patience import await_that, join
from sqlalchemy import select

from app.clock import Instant
from app.domain import Identity, Permission, Role
from app.errors import CredentialEnded
from app.factory import _slave_hub
from app.load.measures import empty
from app.load.messages import DesiredTask as Told
from app.load.messages import (
    Forget,
    Heartbeat,
    HeartbeatAck,
    Leave,
    Machine,
    Register,
    RegisterAck,
    TaskReport,
)
from app.load.protocol import (
    LARGEST_TEXT,
    NOT_ALLOWED,
    PROTOCOL_ERROR,
    SERVICE_RESTART,
    TAKEN_FOR_LOST,
    from_master,
    written,
)
from app.services import slave_hub
from app.services.access import Watch
from app.services.slave_hub import SlaveHub
from app.services.slave_line import Line
from app.store.database import Database
from app.store.definitions import DefinitionSnapshots
from app.store.driving import DrivenExecutions
from app.store.launches import Intent, Launches
from app.store.load_tasks import DesiredTask, LoadTasks, NextStep
from app.store.schema import executions
from app.store.slaves import NewSlave, Slaves

DEFINITION = {"id": "flow", "steps": []}
JOINS = Identity("slaves", frozenset({Role.SLAVE}))


@dataclass
class Access:
    """Says who is there by now; ``now`` may be an error."""

    now: Identity | Exception = JOINS

    def watch(self, identity):
        return Watch(identity, self.ask, 0.0)

    def ask(self):
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


class Slave:
    """One connection of a slave: what it says is taken, what it is told is kept."""

    def __init__(self, hub, identity=JOINS):
        self.line, self.heard = Line(), []
        self._thread = threading.Thread(target=self._serve, args=(hub, identity), daemon=True)
        self._thread.start()

    def _serve(self, hub, identity):
        with suppress(Ended), closing(hub.serve(self.line, identity)) as texts:
            self.heard.extend(map(from_master, texts))

    def say(self, *messages):
        for message in messages:
            self.line.read(written(message).decode())()

    def joins(self, **more):
        self.say(register(**more))
        return await_that(lambda: self.of(RegisterAck), "an answer")[0]

    def reports(self, sequence, *tasks, state="online", **counted):
        reports = tuple(TaskReport(task, 1, empty() | counted) for task in tasks)
        self.say(Heartbeat(sequence, state, 0.25, len(tasks), reports))

    def answered(self, sequence):
        await_that(lambda: HeartbeatAck(sequence) in self.heard, "an answer")

    def of(self, type_):
        return [each for each in self.heard if isinstance(each, type_)]

    def told(self, task, generation=1):
        def found():
            return [
                each for each in self.of(Told) if (each.task, each.generation) == (task, generation)
            ]

        return await_that(found, f"{task} in generation {generation}")[0]

    def is_ended(self):
        """Have its request broken off, wherever it is."""
        ident = ctypes.c_ulong(self._thread.ident)
        assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Ended)) == 1

    def hangs_up(self):
        self.line.ended()
        join(self._thread)

    def goodbye(self):
        join(self._thread)
        return self.line.goodbye.code


def register(slave_id="slave-1", incarnation="i1", **more):
    return Register(
        slave_id, incarnation, "worker", "192.0.2.1:1", ("http_executor",), {"region": "eu"},
        Machine(2, 4096, 100), **more,
    )  # fmt: skip


@dataclass
class Store:
    database: Database
    slaves: Slaves = field(init=False)
    tasks: LoadTasks = field(init=False)

    def __post_init__(self):
        self.slaves, self.tasks = Slaves(self.database), LoadTasks(self.database)
        self.digest = DefinitionSnapshots(self.database).keep(DEFINITION)

    def execution(self, id_="e1"):
        launches = Launches(self.database)
        execution, _ = launches.create(
            Intent(
                execution_id=id_, orchestrator="load", workflow_id="flow", workflow_name="Flow",
                owner="ada", inputs={}, steps=["s1"],
            )
        )  # fmt: skip
        launches.launched(execution, {})
        return DrivenExecutions(self.database).get(id_)

    def assign(self, execution, id_="t1", slave="slave-1", **more):
        task = DesiredTask(
            id=id_, execution_id=execution.id, slave=slave,
            **{
                "incarnation": "i1", "generation": 1, "digest": self.digest,
                "segment": (0, 1, 1, 1), "scaled": None, "quota": 10, "max_vus": 5,
                "reserved": 5, "elapsed_us": 0, "since": None, "paused": False, "stop": "no",
                **more,
            },
        )  # fmt: skip
        self.step(execution, tasks=[task])

    def step(self, execution, **more):
        before = self.tasks.run_of(execution)
        assert self.tasks.put(execution, before, NextStep({}, **more)) is not None

    def report(self, execution, task="t1"):
        (found,) = (each for each in self.tasks.run_of(execution).tasks if each.desired.id == task)
        return found

    def is_connected(self, slave="slave-1"):
        return self.slaves.get(slave).connection is not None


@pytest.fixture
def store(database):
    return Store(database)


@pytest.fixture
def access():
    return Access()


@pytest.fixture
def hub(store, access):
    hub = SlaveHub(store.database, access, 5.0, 60.0)
    yield hub
    hub.close()
    await_end(hub._feed, store.database)


def test_a_slave_joins_and_is_listed_as_what_it_is(hub, store):
    slave = Slave(hub)
    answer = slave.joins()
    assert answer.accepted
    assert (answer.lease_ms, answer.alone_ms, answer.heartbeat_interval_ms) == (5000, 60_000, 1000)
    found = store.slaves.get("slave-1")
    assert (found.max_vus, found.labels, found.connection) == (100, {"region": "eu"}, slave.line.id)


def test_a_slave_is_told_what_the_settings_say(make_settings, store, access):
    settings = make_settings(
        load={
            "lease": "3s", "alone": "20s", "allowed_networks": ["10.0.0.0/8", "::1"],
            "denied_networks": [],
        }
    )  # fmt: skip
    hub = _slave_hub(settings, store.database, access)
    answer = Slave(hub).joins()
    assert (answer.lease_ms, answer.alone_ms) == (3000, 20_000)
    assert (answer.allowed_networks, answer.denied_networks) == (("10.0.0.0/8", "::1"), ())
    hub.close()


def test_a_slave_of_settings_that_say_nothing_is_denied_metadata_services(settings, store, access):
    hub = _slave_hub(settings, store.database, access)
    answer = Slave(hub).joins()
    assert (answer.allowed_networks, answer.denied_networks) == (None, None)
    hub.close()


def test_where_virtual_users_are_switched_off_nobody_holds_slaves(make_settings, store, access):
    settings = make_settings(load={"enabled": False})
    assert _slave_hub(settings, store.database, access) is None


def test_a_sign_of_life_is_answered_once_it_is_stored(hub, store):
    slave = Slave(hub)
    slave.joins()
    slave.reports(7)
    slave.answered(7)
    assert store.slaves.get("slave-1").load == 0.25


def test_a_slave_that_joins_is_told_all_that_is_wanted_of_it(hub, store):
    store.slaves.register(_entered("i1"), 5.0)
    store.assign(store.execution())
    slave = Slave(hub)
    slave.joins(tasks=("t1", "t-unknown"))
    told = slave.told("t1")
    assert (told.quota, told.definition) == (10, DEFINITION)
    await_that(lambda: Forget("t-unknown") in slave.heard)
    assert Forget("t1") not in slave.heard


def _entered(incarnation):
    return NewSlave("slave-1", "worker", "", [], {}, 1, 1, 100, incarnation, "elsewhere")


def test_what_is_wanted_later_is_told_when_it_is(hub, store):
    slave = Slave(hub)
    slave.joins()
    execution = store.execution()
    store.assign(execution)
    assert slave.told("t1").definition == DEFINITION
    store.assign(execution, generation=2, paused=True)
    told = slave.told("t1", 2)
    assert (told.paused, told.definition) == (True, None), "it has the definition"
    store.step(execution, over=True)
    await_that(lambda: Forget("t1") in slave.heard)


def test_the_running_time_is_that_of_the_moment_at_which_it_is_told(hub, store):
    slave = Slave(hub)
    slave.joins()
    store.assign(store.execution(), elapsed_us=5, since=Instant(1.0, 0.0, "elsewhere"))
    assert slave.told("t1").elapsed_us > 10**12


def test_what_a_slave_reports_is_stored(hub, store):
    slave = Slave(hub)
    slave.joins()
    execution = store.execution()
    store.assign(execution)
    slave.told("t1")
    slave.reports(1, "t1", iterations=4)
    slave.answered(1)
    assert store.report(execution).report["iterations"] == 4


def test_a_slave_reports_for_no_task_but_its_own(hub, store):
    slave, hostile = Slave(hub), Slave(hub)
    slave.joins()
    hostile.joins(slave_id="slave-2", incarnation="i2")
    execution = store.execution()
    store.assign(execution)
    slave.told("t1")
    hostile.reports(99, "t1", iterations=10**6)
    hostile.answered(99)
    assert store.report(execution).report is None
    await_that(lambda: Forget("t1") in hostile.heard)


def test_a_slave_that_hangs_up_is_lost_at_once_and_its_last_report_counts(hub, store):
    slave = Slave(hub)
    slave.joins()
    execution = store.execution()
    store.assign(execution)
    slave.told("t1")
    slave.reports(1, "t1", iterations=4)
    slave.hangs_up()
    assert not store.is_connected()
    assert store.report(execution).report["iterations"] == 4


class Ended(BaseException):
    """As gevent ends the greenlet of a request whose client went away."""


@pytest.mark.parametrize("where", ["beat", "_wake_executions_of"])
def test_what_a_lost_slave_did_is_looked_at_also_when_its_request_is_ended_meanwhile(
    hub, store, monkeypatch, where
):
    execution, slave = store.execution(), Slave(hub)
    slave.joins()
    store.assign(execution)
    slave.told("t1")
    wanted = _wanted(store)
    monkeypatch.setattr(slave_hub, "GATHER_SECONDS", 60.0)  # the last report waits
    slave.reports(1, "t1", iterations=1)
    await_that(lambda: hub._news, "the report")
    begun, goes_on, work = threading.Event(), threading.Event(), getattr(Slaves, where)

    def slowly(*arguments):
        begun.set()
        assert goes_on.wait(10)
        return work(*arguments)

    monkeypatch.setattr(Slaves, where, slowly)
    slave.line.ended()
    assert begun.wait(10)
    slave.is_ended()
    goes_on.set()
    await_that(lambda: _wanted(store) > wanted, "a look at the execution", 10)
    assert not store.is_connected()
    assert store.report(execution).report["iterations"] == 1


def test_a_slave_whose_request_is_ended_while_it_is_entered_is_lost(hub, store, monkeypatch):
    enter = Slaves.register

    def enter_and_end(*arguments):
        enter(*arguments)
        raise Ended

    monkeypatch.setattr(Slaves, "register", enter_and_end)
    slave = Slave(hub)
    slave.say(register())
    slave.hangs_up()
    assert store.slaves.get("slave-1").connection is None


def _wanted(store):
    with store.database.read() as connection:
        return connection.execute(select(executions.c.wanted)).scalar_one()


def test_a_slave_that_says_nothing_is_lost_after_a_while(hub, store, monkeypatch):
    monkeypatch.setattr(hub, "_lease_seconds", 0.3)
    monkeypatch.setattr(slave_hub, "_WAIT_SECONDS", 0.05)
    slave = Slave(hub)
    slave.joins()
    assert slave.goodbye() == TAKEN_FOR_LOST
    assert not store.is_connected()


def test_whatever_a_slave_says_ends_its_silence(hub, monkeypatch):
    noted = []

    def note(self, *, heard):
        noted.append(heard)

    monkeypatch.setattr(slave_hub._Silence, "lasts_too_long", note)
    slave = Slave(hub)
    slave.joins()
    await_that(lambda: True in noted, "its first words")
    noted.clear()
    slave.reports(1)
    slave.answered(1)
    await_that(lambda: True in noted, "its next words")
    slave.hangs_up()


def test_who_does_not_register_is_sent_away(hub, monkeypatch):
    monkeypatch.setattr(hub, "_lease_seconds", 0.3)
    monkeypatch.setattr(slave_hub, "_WAIT_SECONDS", 0.05)
    assert Slave(hub).goodbye() == PROTOCOL_ERROR


def test_a_process_that_stood_still_takes_nobody_for_lost():
    silence = slave_hub._Silence(5.0)
    for _ in range(4):
        silence._looked_at -= 3600.0
        assert not silence.lasts_too_long(heard=False)


def test_who_leaves_is_away_and_so_not_lost_again(hub, store):
    slave = Slave(hub)
    slave.joins()
    slave.say(Leave())
    assert slave.goodbye() == 1000
    assert not store.is_connected()


def test_a_slave_that_ends_itself_gets_nothing_new(hub, store):
    slave = Slave(hub)
    slave.joins()
    slave.reports(1, state="draining")
    slave.answered(1)
    assert store.slaves.get("slave-1").load == 1.0


def test_an_id_is_refused_to_another_process_as_long_as_the_first_is_there(hub, store):
    first, second = Slave(hub), Slave(hub)
    first.joins()
    answer = second.joins(incarnation="i2")
    assert not answer.accepted
    assert "slave-1" in answer.error
    assert second.goodbye() == 1000
    assert store.is_connected(), "whoever was refused takes nothing along"
    first.hangs_up()
    assert Slave(hub).joins(incarnation="i2").accepted


def test_a_new_connection_of_the_same_process_takes_the_place_of_the_old_one(hub, store):
    old = Slave(hub)
    old.joins()
    new = Slave(hub)
    assert new.joins().accepted
    assert old.goodbye() == TAKEN_FOR_LOST
    assert store.slaves.get("slave-1").connection == new.line.id


def test_a_slave_that_another_process_holds_by_now_is_let_go(store, access):
    here, there = (SlaveHub(store.database, access, 5.0, 60.0) for _ in range(2))
    old, new = Slave(here), Slave(there)
    old.joins()
    new.joins()
    old.reports(1)
    assert old.goodbye() == TAKEN_FOR_LOST
    assert store.slaves.get("slave-1").connection == new.line.id
    new.reports(2)
    new.answered(2)
    here.close()
    there.close()


def test_a_process_that_ends_does_not_take_its_slaves_for_lost(store, access):
    hub = SlaveHub(store.database, access, 5.0, 60.0)
    slave = Slave(hub)
    slave.joins()
    hub.close()
    assert slave.goodbye() == SERVICE_RESTART
    assert store.is_connected()


@pytest.mark.parametrize(
    "by_now",
    [
        CredentialEnded("The API key was revoked."),
        Identity("slaves", frozenset({Role.USER})),
        replace(JOINS, scopes=frozenset({Permission.NODES_READ})),
    ],
)
def test_who_may_not_join_any_more_is_sent_away(hub, store, access, by_now):
    slave = Slave(hub)
    slave.joins()
    access.now = by_now
    assert slave.goodbye() == NOT_ALLOWED
    assert not store.is_connected()


@pytest.mark.parametrize(
    "messages",
    [
        [Heartbeat(1, "online", 0.0, 0)],
        [Leave()],
        [register(), register()],
    ],
)
def test_a_slave_registers_once_and_first(hub, messages):
    slave = Slave(hub)
    slave.say(*messages)
    assert slave.goodbye() == PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("text", "code"),
    [("", 1007), ("{}", 1002), ('{"type": "leave"', 1007), ("x" * (LARGEST_TEXT + 1), 1009)],
)
def test_what_is_no_message_ends_the_connection_and_says_why(hub, store, text, code):
    slave = Slave(hub)
    slave.joins()
    slave.line.read(text)()
    assert slave.goodbye() == code
    assert slave.line.goodbye.reason
    assert not store.is_connected()


def test_a_slave_that_says_more_than_is_taken_is_not_read_further(store):
    line = Line()
    beats = [partial(line.read, written(Heartbeat(n, "online", 0, 0)).decode()) for n in range(5)]
    for beat in beats[:4]:
        beat()()
    waits = threading.Thread(target=beats[4](), daemon=True)
    waits.start()
    assert waits.is_alive()
    assert len(line.said(0)) == 4
    join(waits)


def test_who_waits_to_be_read_is_let_go_when_the_connection_ends():
    line = Line()
    text = written(Heartbeat(1, "online", 0, 0)).decode()
    for _ in range(4):
        line.read(text)()
    waits = threading.Thread(target=line.read(text), daemon=True)
    waits.start()
    line.end(1000, "")
    join(waits)


def test_what_was_not_read_is_told_as_it_is_by_now_and_not_as_it_was():
    line = Line()
    task = DesiredTask(
        "t1", "e1", "slave-1", "i1", 1, "d", (0, 1, 1, 1), None, 10, 5, 5, 0, None, False, "no"
    )  # fmt: skip
    for generation in range(1, 1000):
        line.want(replace(task, generation=generation))
        line.acknowledge(generation)
    texts = line.news(lambda _: DEFINITION)
    assert [json.loads(text)["type"] for text in texts] == ["heartbeat_ack", "task"]
    assert json.loads(texts[1])["data"]["generation"] == 999
    assert line.news(lambda _: DEFINITION) == []


def test_while_the_store_is_away_nothing_is_answered_and_later_it_is(hub, store, monkeypatch):
    monkeypatch.setattr(slave_hub, "_RETRY_SECONDS", 0.01)
    slave = Slave(hub)
    slave.joins()
    beat = hub._slaves.beat
    failed = threading.Event()

    def away(beats):
        failed.set()
        raise OSError("away")

    hub._slaves.beat = away
    slave.reports(1)
    assert failed.wait(60)
    hub._slaves.beat = beat
    slave.reports(2)
    slave.answered(2)
    assert HeartbeatAck(1) not in slave.heard
