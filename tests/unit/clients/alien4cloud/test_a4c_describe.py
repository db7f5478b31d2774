"""What a description says, and how inputs are checked and sent."""

from __future__ import annotations

import pytest
from fakes.alien4cloud.driver import ALICE
from jsonschema import Draft202012Validator

from app.clients.alien4cloud.inputs import encode, parse_input
from app.clients.alien4cloud.topology import Topology
from app.domain import Output, Parameter, Step
from app.errors import InvalidRequest, NotFound
from app.services.inputs import InputChecker


def schema_of(type_, *constraints, **more):
    raw = {"type": type_, "constraints": list(constraints), **more}
    schema = parse_input("x", raw).parameter.schema
    Draft202012Validator.check_schema(schema)
    return schema


def given(*inputs, **values):
    return encode([parse_input(name, raw) for name, raw in inputs], values)


def faults(*inputs, **values):
    with pytest.raises(InvalidRequest) as caught:
        given(*inputs, **values)
    return {fault.path: fault.message for fault in caught.value.fields}


def test_a_workflow_is_described_from_the_deployed_topology(server, orchestrator):
    application = server.application("covid", tags={"hpcwaas-workflows": "exec_job"})
    environment = application.environment("prod")
    environment.workflow(
        "exec_job",
        inputs={"n": {"type": "integer", "default": {"definition": False, "value": "10"},
                      "description": "How many", "constraints": [{"greaterOrEqual": "1"}]}},
        steps={
            "submit": {"node": "Job", "operation": "submit", "then": ["done", "run"]},
            "run": {"node": "Job", "operation": "run", "then": ["done"]},
            "done": {"node": "Job", "state": "executed", "then": ["clean"]},
            "clean": {"inline": "cleanup"},
        },
    )  # fmt: skip
    environment.attribute("Job", "url", "http://x")
    environment.outputs["outputProperties"] = {"Job": ["queue", "url"]}
    description = orchestrator.describe(environment.workflow_id("exec_job"), ALICE)
    assert description.workflow.environment_name == "prod"
    assert description.inputs == (
        Parameter("n", "integer", required=False, default=10, description="How many",
                  schema={"type": "integer", "minimum": 1}),
    )  # fmt: skip
    assert description.steps == (
        Step("submit", "operation", (), "Job: submit"),
        Step("run", "operation", ("submit",), "Job: run"),
        Step("done", "set-state", ("run", "submit"), "Job: executed"),
        Step("clean", "inline", ("done",), "cleanup"),
    )
    assert [output.name for output in description.outputs] == ["Job.queue", "Job.url"]
    assert isinstance(description.outputs[0], Output)


def test_a_topology_is_read_once_while_the_catalogue_is_kept(
    server, make_orchestrator, environment
):
    orchestrator = make_orchestrator(cache_ttl="1m")
    for _ in range(3):
        orchestrator.describe(environment.workflow_id("exec_job"), ALICE)
    assert server.requests["runtime_topology"] == 1


def test_what_is_deployed_anew_under_the_same_version_is_described_anew(orchestrator, environment):
    environment.workflow("exec_job", inputs={"n": "string"})
    orchestrator.describe(environment.workflow_id("exec_job"), ALICE)
    environment.undeploy()
    environment.workflow("exec_job", inputs={"m": "string"})
    environment.deploy()
    described = orchestrator.describe(environment.workflow_id("exec_job"), ALICE)
    assert [parameter.name for parameter in described.inputs] == ["m"]


@pytest.mark.parametrize("status", ["UNDEPLOYED"])
def test_what_is_not_deployed_cannot_be_described(server, orchestrator, status):
    application = server.application("covid", tags={"hpcwaas-workflows": "exec_job"})
    environment = application.environment("prod", status=status).workflow("exec_job")
    with pytest.raises(NotFound):
        orchestrator.describe(environment.workflow_id("exec_job"), ALICE)
    environment.deploy()
    assert orchestrator.describe(environment.workflow_id("exec_job"), ALICE)


def test_a_workflow_that_is_exposed_but_not_deployed_is_not_found(server, orchestrator):
    application = server.application("covid", tags={"hpcwaas-workflows": "other"})
    environment = application.environment().workflow("exec_job")
    with pytest.raises(NotFound):
        orchestrator.describe(environment.workflow_id("other"), ALICE)


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("string", {"type": "string"}),
        ("integer", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("boolean", {"type": "boolean"}),
        ("timestamp", {"type": "string"}),
        ("version", {"type": "string"}),
        ("map", {"type": "object"}),
        ("scalar-unit.size", {"type": "string", "x-tosca-type": "scalar-unit.size"}),
        ("org.acme.Credential", {"type": "object", "x-tosca-type": "org.acme.Credential"}),
    ],
)
def test_each_type_has_its_json_schema(type_, expected):
    assert schema_of(type_) == expected


@pytest.mark.parametrize(
    ("type_", "constraint", "expected"),
    [
        ("integer", {"equal": "5"}, {"const": 5}),
        ("integer", {"greaterThan": "5"}, {"exclusiveMinimum": 5}),
        ("integer", {"greaterOrEqual": "5"}, {"minimum": 5}),
        ("float", {"lessThan": "0.5"}, {"exclusiveMaximum": 0.5}),
        ("float", {"lessOrEqual": "5"}, {"maximum": 5.0}),
        (
            "integer",
            {"inRange": ["1", "9"], "rangeMinValue": "1", "rangeMaxValue": "9"},
            {"minimum": 1, "maximum": 9},
        ),
        ("string", {"length": 3}, {"minLength": 3, "maxLength": 3}),
        ("string", {"minLength": "3"}, {"minLength": 3}),
        ("list", {"maxLength": 3}, {"maxItems": 3}),
        ("map", {"minLength": 1}, {"minProperties": 1}),
        ("string", {"pattern": "a|b"}, {"pattern": "^(?:a|b)$"}),
        ("string", {"pattern": "\\p{Alpha}+"}, {}),
        ("string", {"validValues": ["a", "b"]}, {"enum": ["a", "b"]}),
        ("integer", {"validValues": ["1", "2"]}, {"enum": [1, 2]}),
        ("boolean", {"equal": "true"}, {"const": True}),
        ("scalar-unit.size", {"greaterOrEqual": "1 GB"}, {}),
        ("string", {"aConstraintOfVersionFour": "x"}, {}),
    ],
)
def test_each_constraint_has_its_keyword(type_, constraint, expected):
    schema = schema_of(type_, constraint)
    assert {k: v for k, v in schema.items() if k not in ("type", "x-tosca-type")} == expected


def test_items_of_lists_and_maps_are_described():
    entry = {"type": "integer", "constraints": [{"greaterThan": "0"}]}
    items = {"type": "integer", "exclusiveMinimum": 0}
    assert schema_of("list", entrySchema=entry) == {"type": "array", "items": items}
    nested = {"type": "object", "additionalProperties": items}
    assert schema_of("map", entrySchema=entry) == nested


@pytest.mark.parametrize(
    ("raw", "required", "default"),
    [
        ({}, True, None),
        ({"required": None}, True, None),
        ({"required": False}, False, None),
        ({"required": True, "default": {"definition": False, "value": "5"}}, False, 5),
        ({"default": {"definition": False, "function": "get_input"}}, True, None),
    ],
)
def test_an_input_is_required_unless_there_is_a_value_without_it(raw, required, default):
    parameter = parse_input("n", {"type": "integer", **raw}).parameter
    assert (parameter.required, parameter.default) == (required, default)


@pytest.mark.parametrize(
    ("type_", "value", "wire"),
    [
        ("string", "text", "text"),
        ("string", "", ""),
        ("string", "5", "5"),
        ("string", {"a": [1, True]}, '{"a": [1, true]}'),
        ("string", ["\u00e9"], '["\u00e9"]'),
        ("integer", 5, 5),
        ("integer", "5", 5),
        ("integer", 5.0, 5),
        ("integer", 2**31 - 1, 2**31 - 1),
        ("integer", 2**31, "2147483648"),
        ("integer", -(2**31) - 1, "-2147483649"),
        ("float", 0.5, "0.5"),
        ("float", 1, 1),
        ("float", "1e3", "1000.0"),
        ("float", 0.00001, "0.00001"),
        ("float", "1e21", "1000000000000000000000"),
        ("boolean", True, "true"),
        ("boolean", "False", "false"),
        ("list", ["a", 1, 0.5, False], ["a", 1, "0.5", "false"]),
        ("map", {"a": {"b": 2**40}}, {"a": {"b": "1099511627776"}}),
        ("scalar-unit.size", "1 GB", "1 GB"),
    ],
)
def test_each_value_is_sent_as_it_is_accepted(type_, value, wire):
    encoded = given(("x", {"type": type_}), x=value)["x"]
    assert (encoded, type(encoded)) == (wire, type(wire))


def test_nothing_is_sent_for_none():
    assert given(("x", {"type": "string", "required": False}), x=None) == {}


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        ("integer", "five", "must be an integer, got a string"),
        ("integer", "1_000", "must be an integer, got a string"),
        ("integer", True, "must be an integer, got a boolean"),
        ("integer", 0.5, "must be an integer, got a number"),
        ("float", "nan", "must be a number, got a string"),
        ("boolean", 1, "must be a boolean, got an integer"),
        ("string", 5, "must be a string, got an integer"),
        ("list", "a", "must be an array, got a string that is none in JSON"),
        ("acme.Place", {}, "cannot be given: Alien4Cloud takes no acme.Place here"),
    ],
)
def test_a_value_of_another_type_is_a_fault(type_, value, message):
    assert faults(("x", {"type": type_}), x=value) == {"inputs.x": message}


def test_a_data_type_with_a_default_is_left_to_its_default():
    raw = {"type": "org.acme.Place", "default": {"definition": False, "value": {"a": 1}}}
    assert given(("x", raw), x={"a": 1}) == {}


def test_all_faults_are_told_at_once_and_none_repeats_a_value():
    constrained = {"type": "string", "constraints": [{"validValues": ["a", "b"]}]}
    numbers = {"type": "list", "entrySchema": {"type": "integer"}}
    found = faults(
        ("needed", {"type": "string"}),
        ("choice", constrained),
        ("numbers", numbers),
        choice="hunter2",
        numbers=[1, "x"],
        stray=1,
    )
    assert found == {
        "inputs.needed": "is required",
        "inputs.choice": 'must be one of "a", "b"',
        "inputs.numbers[1]": "must be an integer, got a string",
        "inputs.stray": "is not an input of this workflow",
    }


def test_lists_may_be_null_and_cycles_do_not_hang():
    steps = {
        "a": {"onSuccess": ["b"], "activities": None, "onFailure": None},
        "b": {"onSuccess": ["a", "gone"], "activities": []},
    }
    topology = Topology.parse({"topology": {"workflows": {"w": {"inputs": None, "steps": steps}}}})
    assert topology is not None
    assert [s.needs for s in topology.workflows["w"].steps] == [("b",), ("a",)]


def test_outputs_come_from_properties_capabilities_and_attributes():
    raw = {
        "workflows": None,
        "outputProperties": {"Job": ["queue", "computed", "missing"]},
        "outputCapabilityProperties": {"Job": {"endpoint": ["port"]}},
        "outputAttributes": {"Job": ["url", "gone"], "Many": ["ip"]},
        "nodeTemplates": {
            "Job": {
                "properties": [
                    {"key": "queue", "value": {"definition": False, "value": "debug"}},
                    {"key": "computed", "value": {"definition": False, "function": "get_input"}},
                ],
                "capabilities": [
                    {"key": "endpoint", "value": {"properties": [
                        {"key": "port", "value": {"definition": False, "value": "80"}}]}},
                ],
            }
        },
    }  # fmt: skip
    topology = Topology.parse({"topology": raw})
    assert topology is not None
    instances = {
        "Job": {"0": {"attributes": {"url": "http://x"}}},
        "Many": {"0": {"attributes": {"ip": "10.0.0.1"}}, "1": {"attributes": {"ip": "10.0.0.2"}}},
    }
    assert topology.output_values(instances) == {
        "Job.queue": "debug",
        "Job.endpoint.port": "80",
        "Job.url": "http://x",
        "Many.ip": {"0": "10.0.0.1", "1": "10.0.0.2"},
    }


@pytest.mark.parametrize(
    ("type_", "refused"),
    [("org.acme.Place", True), ("map", False), ("string", False), ("scalar-unit.size", False)],
)
def test_only_a_data_type_is_refused_whatever_its_value(type_, refused):
    assert bool(parse_input("x", {"type": type_}).parameter.refusal) is refused


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("integer", "five"), ("integer", 0.5), ("float", "nan"), ("boolean", "maybe"),
        ("string", 5), ("list", "a"), ("list", "{}"), ("map", "[1]"), ("map", [1]),
        ("string", "x" * 200_000), ("string", "nul \0"), ("list", ["\ud800"]),
    ],
)  # fmt: skip
def test_faults_are_told_as_for_every_other_orchestrator(type_, value):
    item = parse_input("x", {"type": type_})
    with pytest.raises(InvalidRequest) as ours:
        InputChecker().check([item.parameter], {"x": value})
    assert faults(("x", {"type": type_}), x=value) == {f.path: f.message for f in ours.value.fields}
