"""Slaves, what they are to do, and what they say of it, as the store keeps them."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.patience import await_that as until
from sqlalchemy import update
from store_kit import let_through, together

from app.clock import Instant
from app.domain import DesiredState, ExecutionStatus, NodeState
from app.errors import Conflict, NotFound, Taken
from app.store.changes import open_feed
from app.store.execution_rows import now
from app.store.load_metrics import LoadMetrics
from app.store.load_tasks import DesiredTask, LoadTasks, NextStep
from app.store.schema import slaves as table
from app.store.slaves import LOCAL, Beat, NewSlave, Slaves, TaskReport

SILENT = 5.0
REPORT = {"claimed": 3, "iterations": 2, "ended": False}


@pytest.fixture
def slaves(database):
    return Slaves(database)


@pytest.fixture
def load_tasks(database):
    return LoadTasks(database)


def new(id_="slave-1", incarnation="i1", connection="c1", **more):
    values = {
        "type": "worker", "address": "host:1", "capabilities": ["http_executor"],
        "labels": {"region": "eu"}, "cpu_cores": 2, "memory_mb": 4096, "max_vus": 100,
    }  # fmt: skip
    return NewSlave(id=id_, incarnation=incarnation, connection=connection, **{**values, **more})


def task(execution, id_="t1", slave="slave-1", **more):
    values = {
        "incarnation": "i1", "generation": 1, "digest": "d", "segment": (0, 1, 1, 1),
        "scaled": None, "quota": 10, "max_vus": 5, "reserved": 5, "elapsed_us": 0,
        "since": None, "paused": False, "stop": "no",
    }  # fmt: skip
    return DesiredTask(id=id_, execution_id=execution.id, slave=slave, **{**values, **more})


def reported(number, task_id="t1", connection="c1", **more):
    report = TaskReport(task_id, 1, {**REPORT, **more})
    return Beat("slave-1", connection, number, 0.5, 1, [report])


def silence(database, seconds):
    seen = Instant.now().after(-seconds).dump()
    old = update(table).values(seen_at=now() - timedelta(seconds=seconds), seen=seen)
    database.write(lambda c: c.execute(old))


def put(load_tasks, execution, *tasks, **more):
    """Write one step that no other is in the way of."""
    step = NextStep({"at": 1}, tasks, **more)
    before = load_tasks.run_of(execution)
    assert load_tasks.put(execution, before, step) is not None


def test_a_slave_is_entered_and_found_as_it_registered(slaves):
    made = slaves.register(new(), SILENT)
    assert slaves.get("slave-1") == made
    assert slaves.all() == [made]
    assert made.labels == {"region": "eu"}
    assert made.capabilities == ["http_executor"]
    assert made.state(SILENT) is NodeState.ONLINE
    with pytest.raises(NotFound, match="slave-2"):
        slaves.get("slave-2")


def test_an_id_is_refused_to_another_process_while_the_first_one_is_heard(slaves, database):
    slaves.register(new(), SILENT)
    with pytest.raises(Taken, match="slave-1"):
        slaves.register(new(incarnation="i2", connection="c2"), SILENT)
    silence(database, 6)
    second = slaves.register(new(incarnation="i2", connection="c2"), SILENT)
    assert (second.incarnation, second.connection) == ("i2", "c2")


def test_an_id_is_free_at_once_when_its_connection_has_ended(slaves):
    slaves.register(new(), SILENT)
    assert slaves.lost("slave-1", "c1")
    assert slaves.get("slave-1").state(SILENT) is NodeState.OFFLINE
    assert slaves.register(new(incarnation="i2"), SILENT).state(SILENT) is NodeState.ONLINE


def test_a_process_that_connects_again_takes_the_place_of_its_own_connection(slaves):
    first = slaves.register(new(), SILENT)
    again = slaves.register(new(connection="c2"), SILENT)
    assert again.registered_at == first.registered_at
    assert not slaves.lost("slave-1", "c1")
    assert slaves.get("slave-1").connection == "c2"
    assert slaves.beat([Beat("slave-1", "c1", 1, 0.1, 0)]) == ["slave-1"]
    assert slaves.beat([Beat("slave-1", "c2", 1, 0.1, 0)]) == []


def test_of_processes_that_want_one_id_at_the_same_moment_one_gets_it(slaves):
    slaves.register(new(), SILENT)
    slaves.lost("slave-1", "c1")
    let = let_through(
        4, lambda i: slaves.register(new(incarnation=f"i{i}", connection=f"c{i}"), SILENT), Taken
    )
    assert len(let) == 1
    assert slaves.get("slave-1").incarnation == f"i{let[0]}"


def test_a_beat_says_how_a_slave_is_and_changes_nothing_that_is_wanted_of_it(slaves):
    slaves.register(new(), SILENT)
    slaves.drain("slave-1", draining=True)
    assert slaves.beat([Beat("slave-1", "c1", 1, 0.5, 2)]) == []
    slave = slaves.get("slave-1")
    assert (slave.load, slave.active_tasks) == (0.5, 2)
    assert slave.state(SILENT) is NodeState.DRAINING
    assert slaves.register(new(connection="c2"), SILENT).draining
    slaves.drain("slave-1", draining=False)
    assert slaves.get("slave-1").state(SILENT) is NodeState.ONLINE
    slaves.beat([Beat("slave-1", "c2", 2, 1.0, 2)])
    assert slaves.get("slave-1").state(SILENT) is NodeState.BUSY
    with pytest.raises(NotFound):
        slaves.drain("slave-2", draining=True)


def test_a_silent_slave_is_shown_as_away(slaves, database):
    slaves.register(new(), SILENT)
    silence(database, 6)
    assert slaves.get("slave-1").state(SILENT) is NodeState.OFFLINE
    slaves.beat([Beat("slave-1", "c1", 1, 0, 0)])
    assert slaves.get("slave-1").state(SILENT) is NodeState.ONLINE


def test_an_offered_slave_is_called_and_the_call_ends_when_it_comes(slaves, kit):
    execution = kit.held()
    offer = new("local", type=LOCAL)
    for _ in range(2):
        slaves.offer(offer, 10)
    assert slaves.get("local").is_offered()
    assert slaves.get("local").state(SILENT) is NodeState.OFFLINE
    assert slaves.called(10) == []
    slaves.call("local", execution.number)
    assert slaves.called(10) == ["local"]
    slaves.register(offer, SILENT)
    assert slaves.called(10) == []
    slaves.call("local", execution.number)  # it is there
    assert slaves.called(10) == []
    slaves.withdraw_offer("local")
    assert not slaves.get("local").is_offered()


def test_slaves_that_are_away_for_long_are_forgotten_but_not_with_work(
    slaves, load_tasks, kit, database
):
    execution = kit.held()
    for id_ in ("slave-1", "slave-2", "slave-3"):
        slaves.register(new(id_), SILENT)
    put(load_tasks, execution, task(execution))
    slaves.offer(new("slave-3"), 10)
    assert slaves.forget(60) == 0
    silence(database, 61)
    assert slaves.forget(60) == 1
    assert [slave.id for slave in slaves.all()] == ["slave-1", "slave-3"]


def test_a_task_is_found_as_it_was_written_by_slave_and_by_execution(load_tasks, kit):
    execution, other = kit.held(), kit.held()
    wanted = task(execution, segment=(1, 3, 2, 3), since=Instant(5.0, 3.5, "one"), scaled=7)
    put(load_tasks, execution, wanted)
    assert load_tasks.of_slave("slave-1", "i1") == [wanted]
    assert load_tasks.of_slave("slave-1", "i2") == []
    assert load_tasks.of_executions([execution.id, other.id]) == [wanted]
    assert load_tasks.of_executions([]) == load_tasks.of_executions([other.id]) == []
    run = load_tasks.run_of(execution)
    assert (run.generation, run.scaled, run.state) == (1, None, {"at": 1})
    [known] = run.tasks
    assert (known.desired, known.report, known.ended) == (wanted, None, False)
    assert load_tasks.run_of(other).tasks == ()


def test_the_running_time_that_a_slave_is_told_goes_on_since_the_clock_was_started(
    kit, monkeypatch
):
    since = Instant.now()
    going = task(kit.create(), elapsed_us=1_000_000, since=since)
    monkeypatch.setattr("app.clock.uptime", lambda: since.uptime + 2.0)
    for step in (0, -3600, 3600):
        monkeypatch.setattr(time, "time", lambda step=step: since.wall + 2.0 + step)
        assert going.wire()["elapsed_us"] == 3_000_000
    assert replace(going, since=None).wire()["elapsed_us"] == 1_000_000
    elsewhere = replace(going, since=Instant(since.wall, 5.0, "elsewhere"))
    monkeypatch.setattr(time, "time", lambda: since.wall + 2.0)
    assert elsewhere.wire()["elapsed_us"] == 3_000_000
    monkeypatch.setattr(time, "time", lambda: since.wall - 3600)
    assert elsewhere.wire()["elapsed_us"] == 1_000_000, "clocks differ"


@pytest.mark.parametrize("step", [-3600, 3600])
def test_a_slave_is_as_long_silent_whatever_the_clock_is_set_to(slaves, monkeypatch, step):
    slaves.register(new(), SILENT)
    slaves.beat([reported(1)])
    seen = Instant.now()
    for passed, connected in ((SILENT - 1, True), (SILENT + 1, False)):
        at = seen.after(passed)
        monkeypatch.setattr("app.clock.uptime", lambda at=at: at.uptime)
        monkeypatch.setattr(time, "time", lambda at=at: at.wall + step)
        assert slaves.get("slave-1").is_connected(SILENT) is connected


@pytest.mark.parametrize("step", [-3600, 3600])
def test_an_offer_holds_as_long_whatever_the_clock_is_set_to(slaves, monkeypatch, step):
    slaves.offer(new(), 60.0)
    made = Instant.now()
    for passed, offered in ((50.0, True), (70.0, False)):
        at = made.after(passed)
        monkeypatch.setattr("app.clock.uptime", lambda at=at: at.uptime)
        monkeypatch.setattr(time, "time", lambda at=at: at.wall + step)
        assert slaves.get("slave-1").is_offered() is offered
    slaves.withdraw_offer("slave-1")
    assert not slaves.get("slave-1").is_offered()


def test_the_last_report_counts_whatever_order_they_come_in(slaves, load_tasks, kit):
    execution = kit.held()
    slaves.register(new(), SILENT)
    put(load_tasks, execution, task(execution))
    for number, iterations in ((2, 20), (1, 10), (2, 21)):
        slaves.beat([reported(number, iterations=iterations)])
    [known] = load_tasks.run_of(execution).tasks
    assert (known.report["iterations"], known.generation, known.ended) == (20, 1, False)
    slaves.beat([reported(3, iterations=30, ended=True)])
    slaves.beat([reported(2, iterations=25)])
    [known] = load_tasks.run_of(execution).tasks
    assert (known.report["iterations"], known.ended) == (30, True)
    slaves.beat([reported(4, iterations=40)])  # it was given more
    assert not load_tasks.run_of(execution).tasks[0].ended
    slaves.beat([reported(5, "unknown")])
    assert len(load_tasks.run_of(execution).tasks) == 1


def test_what_a_slave_that_came_back_said_before_is_not_wiped_out(slaves, load_tasks, kit):
    execution = kit.held()
    slaves.register(new(), SILENT)
    put(load_tasks, execution, task(execution))
    slaves.beat([reported(7, iterations=650)])
    slaves.lost("slave-1", "c1")
    slaves.register(new(incarnation="i2", connection="c2"), SILENT)
    second = task(execution, "t2", incarnation="i2")
    put(load_tasks, execution, second)
    slaves.beat([reported(1, "t2", "c2", iterations=5)])
    done = {
        each.desired.id: each.report["iterations"] for each in load_tasks.run_of(execution).tasks
    }
    assert done == {"t1": 650, "t2": 5}
    assert load_tasks.of_slave("slave-1", "i2") == [second]


def test_of_two_conductors_that_read_the_same_one_writes(load_tasks, kit):
    execution = kit.held()
    before = load_tasks.run_of(execution)
    first = load_tasks.put(execution, before, NextStep({"by": 1}, [task(execution)]))
    assert first is not None
    assert load_tasks.put(execution, before, NextStep({"by": 2}, [task(execution, "t2")])) is None
    assert [each.desired.id for each in load_tasks.run_of(execution).tasks] == ["t1"]
    assert load_tasks.put(execution, first, NextStep({"by": 3})) is not None
    run = load_tasks.run_of(execution)
    assert (run.generation, run.state) == (2, {"by": 3})


def test_of_many_that_begin_at_the_same_moment_one_writes(load_tasks, kit):
    execution = kit.held()
    before = load_tasks.run_of(execution)
    steps = together(4, lambda i: load_tasks.put(execution, before, NextStep({"by": i})))
    assert sum(step is not None for step in steps) == 1
    assert load_tasks.run_of(execution).generation == 1


def test_nothing_is_assigned_when_something_else_is_wanted_by_now(load_tasks, kit):
    execution = kit.held()
    kit.steered.desire(execution, DesiredState.PAUSE)
    before = load_tasks.run_of(execution)
    step = NextStep({}, [task(execution)])
    assert load_tasks.put(execution, before, step) is None
    assert load_tasks.run_of(execution).tasks == ()
    seen = kit.driving.get(execution.id)
    assert load_tasks.put(seen, before, step) is not None


def test_room_is_reserved_once_whoever_is_faster(slaves, load_tasks, kit):
    slaves.register(new(max_vus=10), SILENT)
    executions = [kit.held() for _ in range(4)]

    def reserve(i):
        wanted = task(executions[i], f"t{i}", reserved=6)
        put(load_tasks, executions[i], wanted)

    [let] = let_through(4, reserve, Conflict)
    assert load_tasks.reserved(executions[let]) == {}
    assert load_tasks.reserved(executions[let - 1]) == {"slave-1": 6}
    put(load_tasks, executions[let], task(executions[let], f"t{let}", reserved=0, stop="now"))
    assert load_tasks.reserved(executions[let - 1]) == {}


def test_a_wish_for_more_users_stands_from_the_first_moment_to_the_last(load_tasks, kit):
    execution = kit.held()
    assert load_tasks.scale(execution, 7)
    assert load_tasks.run_of(execution).scaled == 7
    put(load_tasks, execution, task(execution))
    assert load_tasks.run_of(execution).scaled == 7
    assert load_tasks.scale(execution, 0)
    run = load_tasks.run_of(execution)
    assert (run.scaled, run.generation) == (0, 1)
    kit.steered.desire(execution, DesiredState.CANCEL)
    assert not load_tasks.scale(execution, 9)
    kit.see(execution, ExecutionStatus.CANCELLED, log_complete=True)
    assert not load_tasks.scale(execution, 9)
    assert load_tasks.run_of(execution).scaled == 0


def test_when_it_is_over_the_metrics_stay_and_the_tasks_go(slaves, load_tasks, kit, database):
    execution, metrics = kit.held(), LoadMetrics(database)
    assert metrics.get(execution) is None
    assert metrics.series(execution) == []
    slaves.register(new(), SILENT)
    put(load_tasks, execution, task(execution), document={"n": 1}, series=[1])
    put(load_tasks, execution, document={"n": 2}, series=[1, 2], over=True)
    kept = metrics.get(execution)
    assert kept is not None
    assert (kept.document, metrics.series(execution)) == ({"n": 2}, [1, 2])
    assert load_tasks.of_slave("slave-1", "i1") == []
    slaves.beat([reported(9)])
    assert load_tasks.run_of(execution).tasks == ()


class Heard:
    """What a feed told."""

    def __init__(self):
        self.ids = []

    def __call__(self, ids):
        self.ids += ids or ()


@pytest.mark.parametrize("kind", ["assigned", "wanted"], ids=["who-holds-slaves", "the-conductor"])
def test_those_are_told_who_must_act(kind, slaves, load_tasks, kit, database):
    executions = {name: kit.held() for name in ("assigned", "lost", "ended", "replaced", "over")}
    slaves.register(new(), SILENT)
    slaves.register(new("slave-2", connection="c2"), SILENT)
    slaves.register(new("slave-3", connection="c3"), SILENT)
    put(load_tasks, executions["lost"], task(executions["lost"], "t2", "slave-2"))
    put(load_tasks, executions["ended"], task(executions["ended"], "t3"))
    put(load_tasks, executions["replaced"], task(executions["replaced"], "t4", "slave-3"))
    heard = Heard()
    feed = open_feed(database, kind, heard)
    try:
        put(load_tasks, executions["assigned"], task(executions["assigned"]))
        slaves.lost("slave-2", "c2")
        slaves.beat([reported(1, "t3", ended=True)])
        slaves.lost("slave-3", "c3")
        slaves.register(new("slave-3", "i2", "c4"), SILENT)
        put(load_tasks, executions["over"], over=True)
        last = kit.held()
        put(load_tasks, last, task(last, "t9"))
        load_tasks.scale(last, 1)
        until(lambda: last.id in heard.ids, "the last change")
    finally:
        feed.close()
    expected = {"assigned": ("assigned", "over"), "wanted": ("lost", "ended", "replaced")}[kind]
    told = {name for name, execution in executions.items() if execution.id in heard.ids}
    assert told == set(expected)
