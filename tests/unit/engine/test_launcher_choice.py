"""Which launcher is chosen, with which options, and what follows from it."""

from dataclasses import dataclass

import pytest
from engine_kit import Bench, ScriptedLauncher, steps
from kit.thrift import make_tables
from kit.toy_launcher import ToyLauncher

from app.assembly import read_settings
from app.clients.orchestrator import Capability, Context, bound_to_node, pauser
from app.clients.registry import create_orchestrators
from app.domain import DesiredState, Identity, Role, TaskStatus
from app.engine.launchers.base import (
    JobPhase,
    Launcher,
    LauncherCapability,
    LauncherContext,
    Pool,
)
from app.engine.launchers.local import LocalLauncher
from app.engine.launchers.registry import LAUNCHERS, create_launcher
from app.engine.launchers.run_as import Account, RunAsLauncher
from app.engine.orchestrator import EngineOptions, EngineOrchestrator
from app.errors import CapabilityMissing, ConfigError, InvalidDefinition
from app.job_resources import Resource, Resources
from app.settings.manual import manual
from app.settings.schema import Text, load_section, setting
from app.store.database import Database

TOY = "kit.toy_launcher:ToyLauncher"
HERE = f"{__name__}:"
ADA = Identity("ada", frozenset({Role.DEVELOPER}))


class Secretive(ScriptedLauncher):
    @dataclass(frozen=True)
    class Options:
        """Has a secret."""

        token: str = setting(Text(required=True), "A token.", secret=True)


class Roaming(ScriptedLauncher):
    bound_to_node = False


class Rack(ScriptedLauncher):
    honours = frozenset({Resource.NODES, Resource.PARTITION})
    pool = Pool("rack", most_jobs=3)


class Afar(ScriptedLauncher):
    here = False

    @classmethod
    def create(cls, options, context):
        made = cls()
        made.context = context
        return made


class AfarInAPool(Afar):
    honours = frozenset({Resource.NODES, Resource.PARTITION})
    pool = Pool("afar", most_jobs=500)


@pytest.fixture
def read(tmp_path):
    """Read the settings of one engine with a launcher, as they stand in the file."""

    def read(launcher):
        file = tmp_path / "slipway.yaml"
        file.write_text(f"orchestrators: [{{name: here, type: engine, launcher: {launcher}}}]")
        return read_settings(file, {"data_dir": str(tmp_path)}, {})

    return read


@pytest.fixture
def engine(read):
    def engine(launcher):
        settings = read(launcher)
        context = Context(settings, Database("sqlite://"))
        return EngineOrchestrator.create("here", settings.orchestrators[0].options, context)

    return engine


def test_without_a_word_it_is_the_local_one(tmp_path):
    options, faults = load_section(EngineOptions, {}, "")
    assert not faults
    assert options.launcher.type == "local"
    made = create_launcher(options.launcher, LauncherContext(tmp_path))
    assert type(made) is LocalLauncher


@pytest.mark.parametrize(
    ("written", "nice"), [(TOY, 0), (f"{{type: '{TOY}'}}", 0), (f"{{type: '{TOY}', nice: 7}}", 7)]
)
def test_a_launcher_has_options_of_its_own(read, tmp_path, written, nice):
    chosen = read(written).orchestrators[0].options.launcher
    assert (chosen.type, chosen.options) == (TOY, ToyLauncher.Options(nice))
    assert create_launcher(chosen, LauncherContext(tmp_path))._nice == nice


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        ("condor", "", "must be one of local, slurm, or package.module:Class"),
        ("no.such.module:Launcher", "", "must be one of local, slurm, or package.module:Class"),
        ("kit.toy_launcher", "", "must be one of local, slurm, or package.module:Class"),
        ("kit.toy_launcher:run", "", "must be one of local, slurm, or package.module:Class"),
        ("'pathlib:Path'", "", "must be one of local, slurm, or package.module:Class"),
        ("''", "", "must be one of local, slurm, or package.module:Class"),
        ("'.:'", "", "must be one of local, slurm, or package.module:Class"),
        ("7", "", "must be a name, or a mapping of 'type' and its options"),
        ("[local]", "", "must be a name, or a mapping of 'type' and its options"),
        ("true", "", "must be a name, or a mapping of 'type' and its options"),
        ("null", "", "must not be empty"),
        ("{}", ".type", "is missing"),
        ("{nice: 1}", ".type", "is missing"),
        ("{type: 3}", ".type", "must be a name"),
        (
            "{type: condor, nice: 1}",
            ".type",
            "must be one of local, slurm, or package.module:Class",
        ),
        ("{type: local, nice: 1}", ".nice", "is not a setting"),
        (f"{{type: '{TOY}', nice: high}}", ".nice", "must be a whole number"),
        (f"{{type: '{TOY}', nice: 20}}", ".nice", "must be greater than or equal to 0 and less"),
        (f"{{type: '{TOY}', niceness: 2}}", ".niceness", "is not a setting"),
        (f"'{HERE}Secretive'", ".token", "is missing"),
    ],
)
def test_what_is_wrong_with_a_launcher_is_named_by_its_path(read, written, path, message):
    with pytest.raises(ConfigError) as caught:
        read(written)
    (fault,) = caught.value.fields
    assert fault.path == f"orchestrators[0].launcher{path}"
    assert fault.message.startswith(message)


def test_several_faults_are_told_at_once(read):
    with pytest.raises(ConfigError) as caught:
        read(f"{{type: '{TOY}', nice: x, other: 1}}")
    paths = {fault.path for fault in caught.value.fields}
    assert paths == {"orchestrators[0].launcher.nice", "orchestrators[0].launcher.other"}


def test_a_secret_option_is_not_shown_and_is_missed_in_the_file(read):
    settings = read(f"{{type: '{HERE}Secretive', token: hunter2}}")
    assert "hunter2" not in repr(settings)
    assert settings.secrets_in_file == ("orchestrators[0].launcher.token",)


def test_the_manual_lists_launchers_and_their_options(monkeypatch):
    monkeypatch.setitem(LAUNCHERS, "toy", TOY)
    text = manual({"engine": EngineOptions}, {})
    assert "## `orchestrators[].launcher` of type `toy`\n\nHow commands run.\n" in text
    assert "| `orchestrators[].launcher.nice` | integer | `0` | Their niceness. |" in text


def test_only_a_launcher_that_can_runs_commands_as_another_user(read, tmp_path):
    context = LauncherContext(tmp_path, Account("nobody", tmp_path, "/"))
    local = read("local").orchestrators[0].options.launcher
    assert type(create_launcher(local, context)) is RunAsLauncher
    toy = read(TOY).orchestrators[0].options.launcher
    with pytest.raises(ConfigError) as caught:
        create_launcher(toy, context)
    assert caught.value.fields[0].path == "engine.run_as"


def test_the_user_of_the_commands_is_of_this_machine_alone(read, tmp_path):
    context = LauncherContext(tmp_path, Account("nobody", tmp_path, "/"))
    afar = read(f"'{HERE}Afar'").orchestrators[0].options.launcher
    assert create_launcher(afar, context).context.account is None


# What follows from it


@pytest.mark.parametrize(
    ("launcher", "bound"), [("local", True), (TOY, True), (f"'{HERE}Roaming'", False)]
)
def test_the_launcher_says_whether_executions_are_bound_to_a_machine(engine, launcher, bound):
    assert bound_to_node({"here": engine(launcher)}) == (["here"] if bound else [])


def test_an_engine_pauses_if_its_launcher_does(engine):
    assert pauser(engine("local"))
    cannot = engine(TOY)
    of_launchers = {Capability.PAUSE, Capability.NODES, Capability.DRAIN}
    assert cannot.capabilities == EngineOrchestrator.capabilities - of_launchers
    with pytest.raises(CapabilityMissing, match="'here' cannot pause"):
        pauser(cannot)
    assert Capability.PAUSE in EngineOrchestrator.capabilities, "of others nothing was changed"


WIDE = """
id: wide
steps:
  - {id: a, type: command, config: {command: "true"}, resources: {nodes: 2, partition: main}}
"""


def launched(engine, definition):
    """Upload a definition and resolve it, as a launch does."""
    engine.upload(definition, None, ADA)
    (found,) = engine.look_up("wide", ADA)
    return engine.resolve(found, ADA)


@pytest.fixture
def engines(tmp_path):
    """Build the engines of one process, with a launcher each."""
    databases = []

    def engines(*launchers):
        file = tmp_path / "slipway.yaml"
        lines = [f"{{name: e{i}, type: engine, launcher: {it}}}" for i, it in enumerate(launchers)]
        file.write_text(f"engine: {{max_parallel_tasks: 2}}\norchestrators: [{', '.join(lines)}]")
        settings = read_settings(file, {"data_dir": str(tmp_path), "load.enabled": False}, {})
        make_tables(settings.database_url)
        databases.append(database := Database(settings.database_url))
        made = create_orchestrators(Context(settings, database))
        return list(made.values())

    yield engines
    for database in databases:
        database.dispose()


def test_a_definition_that_its_launcher_cannot_give_is_refused_when_it_is_uploaded(engines):
    (local,) = engines("local")
    with pytest.raises(InvalidDefinition, match="'wide' asks for what its launcher") as caught:
        local.upload(WIDE, None, ADA)
    assert [fault.path for fault in caught.value.fields] == [
        "steps[0].resources.nodes",
        "steps[0].resources.partition",
    ]
    assert (
        "the launcher 'local' gives; it gives cpus, memory, time" in caught.value.fields[0].message
    )
    assert local.look_up("wide", ADA) == []


def test_a_launcher_that_gives_it_takes_the_definition_and_another_one_does_not_start_it(engines):
    local, rack = engines("local", f"'{HERE}Rack'")
    assert launched(rack, WIDE).reference
    (found,) = local.look_up("wide", ADA)
    with pytest.raises(InvalidDefinition, match="asks for what its launcher does not give"):
        local.resolve(found, ADA)
    assert local.describe("wide", ADA).steps, "it can be looked at"


def test_a_file_of_the_folder_is_refused_at_the_launch(engines, tmp_path):
    (local,) = engines("local")
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "wide.yaml").write_text(WIDE)
    (found,) = local.look_up("wide", ADA)
    with pytest.raises(InvalidDefinition):
        local.resolve(found, ADA)


def slots(engine):
    return engine._machine.slots


def test_engines_of_one_machine_share_its_processors_and_others_do_not_take_them(engines):
    here, too, toy, rack, same = engines(
        "local", f"'{HERE}Roaming'", TOY, f"'{HERE}Rack'", f"'{HERE}Rack'"
    )
    assert slots(here) is slots(too)
    assert slots(rack) is slots(same)
    assert slots(toy) not in (slots(here), slots(rack))
    many = {f"t{i}": Resources(cpus=2) for i in range(5)}
    assert len(slots(rack).take("e1", many, owner="ada")) == 3, "jobs of a pool are counted"
    assert len(slots(here).take("e2", many, owner="ada")) == 1, "both processors of the machine"
    assert slots(too).take("e3", many, owner="ada") == []


def test_a_flag_and_its_methods_go_together():
    with pytest.raises(TypeError, match=r"pause and pause\(\) go together"):

        class Boaster(ToyLauncher):
            capabilities = frozenset({LauncherCapability.PAUSE})

    with pytest.raises(TypeError, match=r"pause and pause\(\) go together"):

        class Modest(Launcher):
            def pause(self, folder):
                """Stop the command."""


def test_what_was_paused_goes_on_where_the_launcher_cannot_pause(tmp_path):
    """The settings named another launcher when the pause was asked for."""
    launcher = ScriptedLauncher()
    launcher.capabilities = frozenset()
    bench = Bench(steps("one", {"id": "two", "needs": ["one"]}), tmp_path, launcher=launcher)
    bench.look()
    bench.want(DesiredState.PAUSE)
    bench.launcher.finish("one")
    bench.look()
    assert bench.shown == {"one": TaskStatus.SUCCESS, "two": TaskStatus.RUNNING}
    assert not {call for call, _ in bench.launcher.calls} & {"pause", "resume"}
    assert bench.launcher["two"].state.phase is JobPhase.RUNNING


SPACED = """
id: wide
steps:
  - {id: a, type: command, config: {command: "true -v"}}
"""


def test_what_this_machine_has_says_nothing_of_another_one(engines):
    local, afar = engines("local", f"'{HERE}Afar'")
    assert local._machine.base_env["PATH"]
    assert afar._machine.base_env == {}
    with pytest.raises(InvalidDefinition, match="commands that are no programs"):
        local.upload(SPACED, None, ADA)
    assert launched(afar, SPACED).reference


def test_a_launcher_knows_its_orchestrator_and_what_it_shares_with_others(engines, tmp_path):
    one, other = (engine._machine.launcher.context for engine in engines(*[f"'{HERE}Afar'"] * 2))
    assert (one.orchestrator, other.orchestrator) == ("e0", "e1")
    assert one.executions_dir == tmp_path / "executions"
    assert one.shared is other.shared
    assert one.database is other.database is not None


def test_requests_are_made_from_this_machine_where_commands_run_elsewhere(engines, tmp_path):
    local, afar = engines("local", f"'{HERE}Afar'")
    assert local._machine.beside is None
    beside = afar._machine.beside
    assert type(beside.launcher) is LocalLauncher
    assert beside.base_env["PATH"]
    assert beside.slots is slots(local)
    assert beside.executions_dir == tmp_path / "executions"


LARGE_REQUEST = """
id: wide
steps:
  - {id: a, type: http, config: {url: "http://localhost/"}, resources: {cpus: 3}}
"""
LARGE_JOB = """
id: wide
steps:
  - {id: a, type: script, config: {script: "true"}, resources: {cpus: 3}}
"""


def test_only_requests_are_measured_by_this_machine_then(engines):
    (afar,) = engines(f"'{HERE}AfarInAPool'")
    assert launched(afar, LARGE_JOB).reference
    with pytest.raises(InvalidDefinition, match="asks for more than there is"):
        afar.upload(LARGE_REQUEST, None, ADA)


def test_a_request_cannot_have_what_only_the_other_place_gives(engines):
    afar, rack = engines(f"'{HERE}AfarInAPool'", f"'{HERE}Rack'")
    asked = "{cpus: 1, nodes: 2, partition: main, memory: 1K, time: 1m}"
    request = LARGE_REQUEST.replace("{cpus: 3}", asked)
    with pytest.raises(InvalidDefinition, match="its launcher does not give") as caught:
        afar.upload(request, None, ADA)
    assert {fault.path for fault in caught.value.fields} == {
        "steps[0].resources.nodes", "steps[0].resources.partition"
    }  # fmt: skip
    assert "steps of type http" in caught.value.fields[0].message
    assert launched(rack, request).reference, "there it is a job as all others"


def test_folders_are_removed_in_both_places_this_machine_first(engines, tmp_path):
    (afar,) = engines(f"'{HERE}Afar'")
    of_requests = tmp_path / "executions" / "e1"
    of_requests.mkdir(parents=True)
    asked = []
    afar._machine.launcher.remove_folder = lambda folder, _: asked.append(folder.exists())
    assert not afar.remove_files("e1", 5.0), "the other one is asked again"
    assert asked == [False]


def test_options_may_stand_beside_the_launcher_under_its_name():
    options = {"launcher": "slurm", "slurm": {"host": "login"}, "other": 1}
    assert EngineOptions.arranged(options) == (
        {"launcher": {"host": "login", "type": "slurm"}, "other": 1},
        {"launcher": "slurm"},
    )
    for as_it_is in ({}, {"launcher": "local"}, {"launcher": {"type": "slurm"}, "slurm": {}}):
        assert EngineOptions.arranged(as_it_is) == (as_it_is, {})
    assert EngineOptions.arranged({"launcher": "slurm", "slurm": 3})[0]["slurm"] == 3
