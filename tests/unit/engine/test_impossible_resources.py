"""Steps that ask for more than there is: refused when they are uploaded, and when launched."""

from __future__ import annotations

import json
import os

import pytest
from engine_kit import ScriptedLauncher
from kit.thrift import make_tables
from structlog.testing import capture_logs

from app.assembly import read_settings
from app.clients.orchestrator import Context
from app.clients.registry import create_orchestrators
from app.cores import usable_cores
from app.domain import Identity, Role
from app.engine.launchers.base import Pool
from app.engine.resources import Take, taken
from app.errors import InvalidDefinition
from app.store.conductors import Conductors, Node, OwnProcess, node_name
from app.store.database import Database

ADA = Identity("ada", frozenset({Role.DEVELOPER}))
HERE = os.uname().nodename


class Pooled(ScriptedLauncher):
    pool = Pool("elsewhere", most_jobs=3)


def text(*resources):
    """Write a definition whose steps ask for something each."""
    steps = [
        {"id": f"s{n}", "type": "command", "config": {"command": "true"}, "resources": asked}
        for n, asked in enumerate(resources)
    ]
    return json.dumps({"id": "wide", "steps": steps})


@pytest.fixture
def engine(tmp_path):
    """Build the engine of a process by its settings; all of them share a store."""
    databases = []

    def make(cpus=4, memory=1000, launcher="local"):
        file = tmp_path / "slipway.yaml"
        limits = f"{{max_parallel_tasks: {cpus}, max_memory_bytes: {memory}}}"
        where = f"{{name: here, type: engine, launcher: '{launcher}'}}"
        file.write_text(f"engine: {limits}\norchestrators: [{where}]")
        settings = read_settings(file, {"data_dir": str(tmp_path), "load.enabled": False}, {})
        make_tables(settings.database_url)
        databases.append(database := Database(settings.database_url))
        made = create_orchestrators(Context(settings, database))["here"]
        made.database = database
        return made

    yield make
    for database in databases:
        database.dispose()


def faults_of(engine, *resources):
    with pytest.raises(InvalidDefinition, match="'wide' asks for more than there is") as caught:
        engine.upload(text(*resources), None, ADA)
    return {fault.path: fault.message for fault in caught.value.fields}


@pytest.mark.parametrize(
    ("resources", "path", "words"),
    [
        ({"cpus": 5}, "cpus", "asks for 5 processors, and all tasks together have 4"),
        ({"cpus": 10**9}, "cpus", "asks for 1000000000 processors"),
        ({"memory": "1K"}, "memory", "asks for 1024 bytes of memory, and all tasks together have"),
        ({"memory": "900T"}, "memory", f"asks for {900 * 2**40} bytes"),
    ],
)
def test_more_than_there_is_is_refused_at_the_upload(engine, resources, path, words):
    local = engine()
    found = faults_of(local, {}, resources)
    assert list(found) == [f"steps[1].resources.{path}"]
    assert found[f"steps[1].resources.{path}"].startswith(words)
    assert found[f"steps[1].resources.{path}"].endswith(f"on machine '{HERE}'")
    assert local.look_up("wide", ADA) == []


def test_all_faults_are_told(engine):
    found = faults_of(engine(), {"cpus": 5, "memory": 1001}, {"cpus": 4}, {"cpus": 6})
    assert set(found) == {
        "steps[0].resources.cpus",
        "steps[0].resources.memory",
        "steps[2].resources.cpus",
    }


def test_what_there_is_is_taken(engine):
    assert engine().upload(text({"cpus": 4, "memory": 1000}, {"cpus": 1}), None, ADA)


def test_without_a_limit_of_memory_that_of_the_machine_counts(engine):
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    local = engine(memory="null")
    assert local.upload(text({"memory": machine}), None, ADA)
    assert faults_of(local, {"memory": machine + 1})


def test_what_became_impossible_is_refused_at_the_launch(engine):
    engine(cpus=8).upload(text({"cpus": 8}), None, ADA)
    smaller = engine(cpus=4)
    (found,) = smaller.look_up("wide", ADA)
    with pytest.raises(InvalidDefinition, match="asks for more than there is"):
        smaller.resolve(found, ADA)
    assert engine(cpus=8).resolve(found, ADA)


def served(engine, node, processors, memory=None):
    """Let a conductor on a machine give signs of life, and say what tasks may take there."""
    database = engine.database
    Conductors(database).register(node, Node(node, "kernel"), OwnProcess(1, "1"))
    engine._capacities.note(node, processors, memory)


def test_the_machines_of_living_conductors_count_and_not_that_of_who_is_asked(engine):
    web = engine(cpus=2, memory=10)
    served(web, "large/mark", 64)
    assert web.upload(text({"cpus": 64, "memory": "900T"}), None, ADA)
    served(web, "small/mark", 8, 500)
    found = faults_of(web, {"cpus": 9, "memory": 501})
    assert [message.rpartition(" ")[2] for message in found.values()] == ["'small'", "'small'"]
    Conductors(web.database).remove("small/mark")
    assert web.upload(text({"cpus": 64}), "wide", ADA)


def test_a_conductor_tells_what_its_machine_gives(engine, tmp_path):
    local = engine(cpus=7)
    node = node_name(tmp_path)
    Conductors(local.database).register("c1", Node(node, "kernel"), OwnProcess(1, "1"))
    with capture_logs() as logs:
        local.listen(lambda _id: None)
    (told,) = [line for line in logs if line["event"] == "running tasks share processors"]
    assert told["processors"] == 7
    assert told["usable"] == usable_cores()
    assert told["because"]
    (known,) = local._capacities.all()
    assert (known.processors, known.memory_bytes, known.host) == (7, 1000, HERE)


def test_what_runs_elsewhere_is_not_measured_by_this_machine(engine):
    pooled = engine(launcher=f"{__name__}:Pooled")
    assert pooled.upload(text({"cpus": 500, "memory": "1T"}), None, ADA)


def test_of_very_many_steps_those_that_take_most_are_known():
    steps = [{"resources": {"cpus": n, "memory": n}} for n in range(1, 500)]
    found = taken({"steps": steps})
    assert len(found) <= 100
    assert found[0] == Take("steps[498].resources.cpus", "cpus", 499)


def test_all_tasks_of_a_step_count():
    (found,) = taken({"steps": [{"resources": {"tasks": 6, "cpus": 2}}, {}]})
    assert found == Take("steps[0].resources.cpus", "cpus", 12)
