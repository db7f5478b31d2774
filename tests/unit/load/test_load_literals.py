"""References as other systems write them, in definitions whose own are ``${name}``."""

from typing import Any

import pytest

from app.errors import InvalidDefinition
from app.load.parsing import parse

ALIKE = ["${{ inputs.user }}", "{{ inputs.user }}", "$(inputs.user)", "${inputs.user}"]


def definition(config: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    http = {"url": "http://h/"} | (config or {})
    steps = [{"id": "a", "type": "http", "config": http}]
    return {"id": "w", "variables": {"user": "ann"}, "steps": steps} | changes


def faults(document: dict[str, Any]) -> list[tuple[str, str]]:
    try:
        parse(document)
    except InvalidDefinition as exc:
        return [(fault.path, fault.message) for fault in exc.fields]
    return []


@pytest.mark.parametrize("text", ALIKE)
@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("url", lambda t: {"url": f"http://h/?u={t}"}),
        ("headers.X", lambda t: {"headers": {"X": t}}),
        ("body.a[0]", lambda t: {"method": "POST", "body": {"a": [t]}}),
        ("params.p", lambda t: {"params": {"p": t}}),
    ],
)
def test_a_foreign_reference_is_a_fault_that_says_how(path, place, text):
    found = faults(definition(place(text)))
    assert [where for where, _ in found] == [f"steps[0].config.{path}"]
    assert "write '${user}'" in found[0][1]


@pytest.mark.parametrize("text", [*ALIKE, "${user}"])
def test_values_of_variables_prose_and_scripts_are_left_alone(text):
    script = {"id": "s", "type": "script", "config": {"script": f"let a = `{text}`"}}
    variables = {"user": "ann", "literally": text}
    document = definition(variables=variables, description=text)
    document["steps"].append(script)
    assert faults(document) == []


def test_a_variable_may_be_called_as_the_engine_calls_its_inputs():
    text = "${inputs.user}"
    assert faults(definition({"headers": {"X": text}}, variables={"inputs": {"user": "u"}})) == []
    assert faults(definition({"headers": {"X": "${inputs.other}"}})) == []


@pytest.mark.parametrize("name", ["a/b", "..", "a\nb"])
def test_a_name_that_no_address_can_hold_is_a_fault(name):
    assert [path for path, _ in faults(definition(name=name))] == ["name"]
