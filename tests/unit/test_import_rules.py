import pytest
from grimp import ImportGraph

from tests.import_rules import NamedContract, between, named_modules


def test_what_a_registry_names_is_found_without_importing_it():
    assert named_modules("app.engine.launchers.registry") == [
        "app.engine.launchers.local",
        "app.engine.launchers.run_as",
        "app.engine.launchers.slurm.launcher",
    ]
    assert len(named_modules("app.clients.registry")) >= 3
    assert len(named_modules("app.identity.registry")) >= 7


@pytest.mark.parametrize(
    ("importer", "imported", "broken"),
    [
        ("app.x", "app.y.part", True),
        ("app.y.part", "app.x", True),
        ("app.y", "app.y.part", False),
        ("app.x", "app.shared", False),
        ("app.shared", "app.x", False),
    ],
)
def test_one_that_is_named_knows_no_other(importer, imported, broken):
    graph = ImportGraph()
    for module in ("app", "app.x", "app.y", "app.y.part", "app.shared"):
        graph.add_module(module)
    graph.add_import(importer=importer, imported=imported)
    assert between(graph, ["app.x", "app.y"]) == ([(importer, imported)] if broken else [])


def test_the_rule_is_known_by_its_name():
    assert NamedContract.type_name == "named"
