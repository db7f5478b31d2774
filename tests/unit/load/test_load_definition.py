import json
from fractions import Fraction

import pytest
from definition_strategies import DEFINITIONS
from hypothesis import HealthCheck, given, settings

from app.load import definition as d


def step(id_, config=None, **fields):
    return d.Step(id_, id_, config or d.HttpConfig("http://h/"), **fields)


def one(*steps, options=None):
    return d.Definition("w", "w", steps, options or d.Options(d.Mode.CONSTANT_VUS))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(DEFINITIONS)
def test_what_is_written_as_json_is_read_as_the_same(definition):
    text = json.dumps(d.to_json(definition))
    again = d.of_json(json.loads(text))
    assert again == definition
    assert json.dumps(d.to_json(again)) == text


def test_only_what_differs_from_the_default_is_written():
    options = d.Options(d.Mode.CONSTANT_ARRIVAL_RATE, rate=Fraction(1, 3))
    assert d.to_json(one(step("a"), options=options)) == {
        "is": "Definition",
        "id": "w",
        "name": "w",
        "steps": [
            {
                "is": "Step",
                "id": "a",
                "name": "a",
                "config": {"is": "HttpConfig", "url": "http://h/"},
            }
        ],
        "options": {"is": "Options", "mode": "constant-arrival-rate", "rate": "1/3"},
    }


def changed(path, value):
    document = d.to_json(one(step("a"), options=d.Options(d.Mode.CONSTANT_VUS, rate=Fraction(1))))
    *parents, last = path
    inner = document
    for part in parents:
        inner = inner[part]
    inner[last] = value
    return document


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        "text",
        {"is": "Definition"},
        {"is": "Options", "mode": "constant-vus"},
        changed(["is"], "Step"),
        changed(["id"], 5),
        changed(["more"], 5),
        changed(["steps"], "ab"),
        changed(["steps"], {}),
        changed(["variables"], [1]),
        changed(["variables"], {1: 2}),
        changed(["options", "mode"], "sometimes"),
        changed(["options", "rate"], "1/0"),
        changed(["options", "rate"], "often"),
        changed(["options", "rate"], [1]),
        changed(["options", "vus"], True),
        changed(["options", "vus"], 1.0),
        changed(["options", "tags"], {"a": 1}),
        changed(["steps", 0, "config", "is"], "Definition"),
        changed(["steps", 0, "config"], {"is": "HttpConfig"}),
        changed(["steps", 0, "config", "headers"], [["a"]]),
        changed(["steps", 0, "config", "headers"], [["a", "b", "c"]]),
    ],
)
def test_what_is_no_definition_is_a_value_error(value):
    with pytest.raises(ValueError, match=r"."):
        d.of_json(value)


def test_ids_of_all_steps_are_listed_in_the_order_in_which_they_are_written():
    branches = (
        d.Branch("x", "", d.BranchKind.IF, "true", (step("b"), step("c"))),
        d.Branch("y", "", d.BranchKind.ELSE, "", (step("d", d.Loop("for", (step("e"),))),)),
    )
    definition = one(step("a", d.Branches(branches)), step("f"))
    assert d.step_ids(definition) == ["a", "b", "c", "d", "e", "f"]


@pytest.mark.parametrize(
    ("config", "type_"),
    [
        (d.HttpConfig("http://h/"), "http"),
        (d.ScriptConfig("1"), "script"),
        (d.Branches(()), "condition"),
        (d.Loop("for", ()), "loop"),
    ],
)
def test_the_type_of_a_step_is_that_of_its_config(config, type_):
    assert step("a", config).type == type_
