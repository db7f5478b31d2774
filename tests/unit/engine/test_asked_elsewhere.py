"""What steps ask for of where their jobs run: refused at the upload, and at the launch."""

import json

import pytest
from engine_kit import ScriptedLauncher
from kit.thrift import make_tables

from app.assembly import read_settings
from app.clients.orchestrator import Context
from app.clients.registry import create_orchestrators
from app.domain import Identity, Role
from app.engine.launchers.base import Pool
from app.engine.resources import asked_elsewhere
from app.errors import MAX_FIELDS, FieldError, InvalidDefinition
from app.job_resources import Resource, Resources
from app.store.database import Database

ADA = Identity("ada", frozenset({Role.DEVELOPER}))
RUN = {"type": "command", "config": {"command": "true"}}
REQUEST = {"type": "http", "config": {"url": "http://localhost/"}}


class Cluster(ScriptedLauncher):
    here, pool, honours = False, Pool("cluster", most_jobs=9), frozenset(Resource)
    most_nodes = 2

    def __init__(self):
        super().__init__()
        self.asked = []

    def faults(self, asked):
        self.asked += asked
        return [
            FieldError(f"{each.path}.nodes", "are not there")
            for each in asked
            if (each.resources.nodes or 1) > self.most_nodes
        ]


@pytest.fixture
def engine(tmp_path):
    file = tmp_path / "slipway.yaml"
    file.write_text(f"orchestrators: [{{name: hpc, type: engine, launcher: '{__name__}:Cluster'}}]")
    settings = read_settings(file, {"data_dir": str(tmp_path), "load.enabled": False}, {})
    make_tables(settings.database_url)
    database = Database(settings.database_url)
    yield create_orchestrators(Context(settings, database))["hpc"]
    database.dispose()


def document(*steps):
    return {"id": "wide", "steps": [{"id": f"s{n}", **RUN, **step} for n, step in enumerate(steps)]}


def upload(engine, *steps):
    engine.upload(json.dumps(document(*steps)), None, ADA)


def test_each_demand_is_asked_about_once_with_its_first_place(engine):
    nodes = {"resources": {"nodes": 2}}
    upload(engine, {}, nodes, nodes, {"resources": {"memory": "2K", "time": "1m"}})
    assert [(each.path, each.resources) for each in engine._machine.launcher.asked] == [
        ("steps[1].resources", Resources(nodes=2)),
        ("steps[3].resources", Resources(memory_bytes=2048, time_seconds=60.0)),
    ]


def test_what_there_is_not_is_refused_at_the_upload(engine):
    with pytest.raises(InvalidDefinition, match="asks for what there is not") as caught:
        upload(engine, {}, {"resources": {"nodes": 3}})
    assert caught.value.fields == (FieldError("steps[1].resources.nodes", "are not there"),)
    assert engine.look_up("wide", ADA) == []


def test_and_again_at_the_launch(engine):
    upload(engine, {"resources": {"nodes": 2}})
    (found,) = engine.look_up("wide", ADA)
    assert engine.resolve(found, ADA)
    engine._machine.launcher.most_nodes = 1
    with pytest.raises(InvalidDefinition):
        engine.resolve(found, ADA)
    assert engine.describe("wide", ADA).steps, "it can be looked at"


def test_where_nothing_is_asked_for_nobody_is_asked(engine):
    upload(engine, {}, {**REQUEST, "resources": {"cpus": 1}}, {"resources": {}})
    assert engine._machine.launcher.asked == []


def test_of_very_many_faults_some_are_told(engine):
    many = [{"resources": {"nodes": 3 + n}} for n in range(MAX_FIELDS + 1)]
    with pytest.raises(InvalidDefinition) as caught:
        upload(engine, *many)
    assert len(caught.value.fields) <= MAX_FIELDS


def test_of_very_many_demands_the_first_are_known():
    many = document(*({"resources": {"cpus": n + 1}} for n in range(300)))
    assert len(asked_elsewhere(many)) == 200
