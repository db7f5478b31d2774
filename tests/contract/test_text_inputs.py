"""Inputs that are sent as text, on every orchestrator that there is.

The existing ``waas`` client sends every value as text. Text is read where an input is declared to
be something else, before anything is started; what is sent as JSON of some type is taken at its
word.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.alien4cloud import Alien4Cloud, script
from kit.in_process import end
from kit.patience import await_that, join
from kit.thrift import make_tables

from app.assembly import create_conductor, read_settings
from app.clients.registry import ORCHESTRATORS
from app.factory import Web, create_web
from app.settings import Settings
from app.store.definitions import DefinitionSnapshots
from app.store.load_tasks import LoadTasks
from app.store.slaves import NewSlave, Slaves

KINDS = ("integer", "number", "boolean", "array", "object", "string")
TOSCA = {"number": "float", "array": "list", "object": "map"}


@dataclass
class Rig:
    """A web process before one orchestrator, whose workflow takes an input of each kind.

    Attributes:
        workflow: Id of the workflow; each of its inputs is called as its kind and may be left out.
        received: Return what the orchestrator got for one input of the last launch.
    """

    web: Web
    workflow: str
    received: Callable[[str, str], object]

    def launch(self, kind: str, value: object) -> Any:
        body = {"inputs": {kind: value}}
        return self.web.app.test_client().post(f"/workflows/{self.workflow}", json=body)

    def launched(self, kind: str, value: object) -> str:
        """Launch, and return the id of the execution."""
        answer = self.launch(kind, value)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"].rpartition("/")[2]

    def execution(self, execution: str) -> Any:
        return self.web.app.test_client().get(f"/executions/{execution}").json


def settings_of(folder: Path, orchestrator: dict[str, object]) -> Settings:
    """Return the settings of processes that have one orchestrator, and wait long for slaves."""
    overrides = {
        "data_dir": str(folder), "load.enabled": orchestrator["type"] == "load",
        "load.alone": "1h", "orchestrators": [{"name": "behind", **orchestrator}],
    }  # fmt: skip
    return read_settings(None, overrides, {})


@contextmanager
def conducting(folder: Path, **orchestrator: object) -> Iterator[None]:
    conductor = create_conductor(settings_of(folder, orchestrator))
    thread = threading.Thread(target=conductor.run)
    thread.start()
    try:
        yield
    finally:
        conductor.stop()
        join(thread)


@contextmanager
def web_before(folder: Path, **orchestrator: object) -> Iterator[Web]:
    settings = settings_of(folder, orchestrator)
    make_tables(settings.database_url)
    web = create_web(settings)
    web.changes.start()
    try:
        yield web
    finally:
        end(web)


@contextmanager
def alien4cloud(folder: Path) -> Iterator[Rig]:
    """Before the emulator; what it got is what its own execution has."""
    inputs = {kind: {"type": TOSCA.get(kind, kind), "required": False} for kind in KINDS}
    with Alien4Cloud(start_delay=0.0) as server:
        application = server.application("covid", tags={"hpcwaas-workflows": "typed"})
        environment = application.environment("prod")
        environment.workflow("typed", inputs=inputs, script=script.simple(0.1))
        access = {"url": server.url, "user": "admin", "password": "secret"}
        with web_before(folder, type="alien4cloud", **access) as web:

            def received(_: str, kind: str) -> object:
                return server.runs[-1].inputs[kind]

            yield Rig(web, environment.workflow_id("typed"), received)


@contextmanager
def engine(folder: Path) -> Iterator[Rig]:
    """Before the engine with its conductor; what it got is what its steps hand on."""
    outputs = {kind: f"${{{{ inputs.{kind} | default('left out') }}}}" for kind in KINDS}
    definition = {
        "id": "typed",
        "inputs": {kind: {"type": kind, "required": False} for kind in KINDS},
        "outputs": outputs,
        "steps": [{"id": "a", "type": "command", "config": {"command": "true"}}],
    }
    with web_before(folder, type="engine") as web:
        answer = web.app.test_client().post("/workflows", json=definition)
        assert answer.status_code == 201, answer.text
        rig = Rig(web, "typed", lambda execution, kind: handed_on(rig, execution)[kind])
        with conducting(folder, type="engine"):
            yield rig


@contextmanager
def load(folder: Path) -> Iterator[Rig]:
    """Before virtual users with their conductor; what it got is what a slave is told."""
    defaults = {"integer": 0, "number": 0.5, "boolean": False, "array": [], "object": {}}
    definition = {
        "id": "typed",
        "variables": {**defaults, "string": "left out"},
        "options": {"vus": 1, "duration": "10m"},
        "steps": [{"id": "a", "type": "http", "config": {"url": "http://127.0.0.1:9/"}}],
    }
    slave = NewSlave(
        "slave-1", "worker", "host:1", ["http_executor"], {}, cpu_cores=1, memory_mb=1024,
        max_vus=1000, incarnation="i1", connection="c1",
    )  # fmt: skip
    with web_before(folder, type="load") as web:
        answer = web.app.test_client().post("/workflows", json=definition)
        assert answer.status_code == 201, answer.text
        Slaves(web.database).register(slave, 1.0)

        def received(execution: str, kind: str) -> object:
            told = lambda: LoadTasks(web.database).of_slave("slave-1", "i1")  # noqa: E731
            await_that(lambda: execution in {task.execution_id for task in told()}, "it is told")
            [digest] = {task.digest for task in told() if task.execution_id == execution}
            return DefinitionSnapshots(web.database).get(digest)["variables"][kind]

        with conducting(folder, type="load"):
            yield Rig(web, "typed", received)


def handed_on(rig: Rig, execution: str) -> Any:
    await_that(lambda: rig.execution(execution)["finished_at"], "the execution has ended")
    ended = rig.execution(execution)
    assert ended["status"] == "SUCCESS", ended
    return ended["outputs"]


RIGS: dict[str, Callable[[Path], Any]] = {
    "alien4cloud": alien4cloud,
    "engine": engine,
    "load": load,
}


def test_every_orchestrator_is_tried():
    assert RIGS.keys() == ORCHESTRATORS.keys()


@pytest.fixture(scope="module", params=ORCHESTRATORS)
def rig(request: pytest.FixtureRequest, tmp_path_factory) -> Iterator[Rig]:
    with RIGS[request.param](tmp_path_factory.mktemp(request.param)) as rig:
        yield rig


READ = [
    ("integer", "5", 5),
    ("integer", "-3", -3),
    ("integer", "+7", 7),
    ("integer", "010", 10),
    ("integer", str(2**40), 2**40),
    ("number", "2.5", 2.5),
    ("number", "-1e3", -1000.0),
    ("number", ".5", 0.5),
    ("number", "5", 5),
    *(("boolean", text, True) for text in ("yes", "true", "on", "True", "YES")),
    *(("boolean", text, False) for text in ("no", "false", "off", "False")),
    ("array", "[]", []),
    ("array", '[1, "two", [3]]', [1, "two", [3]]),
    ("object", "{}", {}),
    ("object", '{"a": {"b": "1"}}', {"a": {"b": "1"}}),
    *(
        ("string", text, text)
        for text in ("5", "2.5", "true", "yes", "[1]", '{"a": 1}', "", "null")
    ),
]


@pytest.mark.parametrize(("kind", "text", "value"), READ)
def test_text_is_read_as_what_the_input_is_declared_to_be(rig, kind, text, value):
    seen = rig.execution(rig.launched(kind, text))["inputs"][kind]
    assert (seen, type(seen)) == (value, type(value))


@pytest.mark.parametrize(("kind", "text", "value"), [(k, t, v) for k, t, v in READ if v != []])
def test_text_means_what_the_value_itself_would(rig, kind, text, value):
    read, typed = (rig.received(rig.launched(kind, each), kind) for each in (text, value))
    assert read == typed


NONE = [
    *(("integer", text) for text in ("many", "", " ", "1.5", "0x10", "1_000", "5 ", "1e3", "true")),
    *(("number", text) for text in ("much", "", "1,5", "nan", "Infinity", "-", "1e", "0x1p3")),
    *(("boolean", text) for text in ("maybe", "", "1", "0", "y", " true")),
    *(("array", text) for text in ("", "1, 2", '{"a": 1}', "[1", "null", "(1, 2)", '"[1]"')),
    *(("object", text) for text in ("", "a: 1", "[1]", '{"a": 1', "null", "{a: 1}", '"{}"')),
]


@pytest.mark.parametrize(("kind", "text"), NONE)
def test_text_that_is_none_is_refused_by_the_name_of_the_input(rig, kind, text):
    assert_refused(rig, kind, text)


STRICT = [
    *(("integer", value) for value in (1.5, True, [1], {"a": 1})),
    *(("number", value) for value in (True, [1.5], {"a": 1})),
    *(("boolean", value) for value in (1, 0, 1.0, [True], {"a": True})),
    *(("array", value) for value in (1, True, {"a": 1})),
    *(("object", value) for value in (1, True, [1])),
    *(("string", value) for value in (5, 2.5, True, ["a"], {"a": 1})),
]


@pytest.mark.parametrize(("kind", "value"), STRICT)
def test_what_is_sent_as_json_is_taken_at_its_word(rig, kind, value):
    assert_refused(rig, kind, value)


def test_what_stands_within_a_list_or_an_object_is_never_read(rig):
    seen = rig.execution(rig.launched("array", ["5", "true", "[1]"]))
    assert seen["inputs"]["array"] == ["5", "true", "[1]"]
    seen = rig.execution(rig.launched("object", '{"n": "5", "b": "yes"}'))
    assert seen["inputs"]["object"] == {"n": "5", "b": "yes"}


def assert_refused(rig: Rig, kind: str, value: object) -> None:
    """The answer names the input, says what was expected, and does not repeat the value."""
    client = rig.web.app.test_client()
    before = client.get("/executions?page_size=1").headers["X-Pagination"]
    answer = rig.launch(kind, value)
    assert answer.status_code == 422, answer.text
    assert answer.content_type == "application/problem+json"
    [fault] = answer.json["fields"]
    assert fault["path"] == f"inputs.{kind}"
    assert f" {kind}" in fault["message"], "it says what was expected"
    assert client.get("/executions?page_size=1").headers["X-Pagination"] == before
