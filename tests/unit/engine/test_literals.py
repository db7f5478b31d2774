"""What looks like an expression where none is evaluated, and line ends that shells trip over."""

import json
from typing import Any

import pytest

from app.engine.definition import examine, parse
from app.errors import InvalidDefinition

ALIKE = ["${inputs.n}", "{{ inputs.n }}", "$(inputs.n)", "$[[ inputs.n ]]", "{% if inputs.n %}"]
EVALUATED = "${{ inputs.n }}"


def definition(**changes: Any) -> dict[str, Any]:
    return {
        "id": "w",
        "inputs": {"n": {"type": "integer"}},
        "steps": [command()],
    } | changes


def command(*args: str, **more: Any) -> dict[str, Any]:
    return {"id": "a", "type": "command", "config": {"command": "echo", "args": [*args]}} | more


def script(text: str, shell: str | None = "bash", **more: Any) -> dict[str, Any]:
    config = {"script": text} | ({"shell": shell} if shell else {})
    return {"id": "a", "type": "script", "config": config} | more


def faults(document: dict[str, Any]) -> list[tuple[str, str]]:
    error = examine(json.dumps(document))[1]
    return [(fault.path, fault.message) for fault in error.fields] if error else []


HTTP = {"method": "POST", "url": "http://h/", "headers": {"X": "1"}, "body": {"a": ["b"]}}
EVERYWHERE = {
    "files.a.txt": lambda t: {"files": {"a.txt": f"one\n{t}"}},
    "files.b.txt.text": lambda t: {"files": {"b.txt": {"text": t}}},
    "inputs.m.default": lambda t: {"inputs": {"n": {}, "m": {"default": t}}},
    "inputs.m.default[0].k": lambda t: {
        "inputs": {"n": {}, "m": {"type": "array", "default": [{"k": t}]}}
    },
    "name": lambda t: {"name": t},
    "outputs.o": lambda t: {"outputs": {"o": t}},
    "outputs.p.value.x": lambda t: {"outputs": {"p": {"value": {"x": t}}}},
    "steps[0].name": lambda t: {"steps": [command(name=t)]},
    "steps[0].env.V": lambda t: {"steps": [command(env={"V": t})]},
    "steps[0].working_dir": lambda t: {"steps": [command(working_dir=t)]},
    "steps[0].stdout": lambda t: {"steps": [command(stdout=t)]},
    "steps[0].stage_in[0]": lambda t: {"steps": [command(stage_in=[t])]},
    "steps[0].config.args[1]": lambda t: {"steps": [command("x", f"--n={t}")]},
    "steps[0].config.command": lambda t: {
        "steps": [{"id": "a", "type": "command", "config": {"command": t}}]
    },
    "steps[0].config.script": lambda t: {"steps": [script(f"echo {t}")]},
    "steps[0].config.headers.X": lambda t: {
        "steps": [{"id": "a", "type": "http", "config": HTTP | {"headers": {"X": t}}}]
    },
    "steps[0].config.url": lambda t: {
        "steps": [{"id": "a", "type": "http", "config": HTTP | {"url": f"http://h/{t}"}}]
    },
    "steps[0].config.body.a": lambda t: {
        "steps": [{"id": "a", "type": "http", "config": HTTP | {"body": {"a": t}}}]
    },
}
NOT_EVALUATED = [
    path
    for path in EVERYWHERE
    if path.startswith(("files", "inputs", "name", "steps[0].name", "steps[0].w", "steps[0].st"))
    or path in ("steps[0].config.command", "steps[0].config.script")
]


@pytest.mark.parametrize("text", ALIKE)
@pytest.mark.parametrize("path", EVERYWHERE)
def test_a_look_alike_is_a_fault_wherever_it_stands(path, text):
    ((where, message),) = faults(definition(**EVERYWHERE[path](text)))
    assert where == path
    assert text in message
    assert "literal: true" in message or "${{ '...' }}" in message


@pytest.mark.parametrize("path", NOT_EVALUATED)
def test_an_expression_is_a_fault_where_none_is_evaluated(path):
    ((where, message),) = faults(definition(**EVERYWHERE[path](EVALUATED)))
    assert where == path
    assert "INPUT_" in message or "nothing is evaluated here" in message


@pytest.mark.parametrize("path", sorted(set(EVERYWHERE) - set(NOT_EVALUATED)))
def test_an_expression_is_evaluated_everywhere_else(path):
    assert faults(definition(**EVERYWHERE[path](EVALUATED))) == []


@pytest.mark.parametrize("text", [*ALIKE, EVALUATED])
@pytest.mark.parametrize("path", EVERYWHERE)
def test_the_whole_definition_can_say_that_it_means_what_it_writes(path, text):
    assert faults(definition(literal=True, **EVERYWHERE[path](text))) == []


@pytest.mark.parametrize("text", [*ALIKE, EVALUATED])
def test_a_file_a_step_and_an_input_can_say_so_by_themselves(text):
    files = {"a": {"text": text, "literal": True}}
    inputs = {"n": {}, "m": {"default": text, "literal": True}}
    steps = [script(f"cat <<'E'\n{text}\nE", literal=True)]
    made = parse(json.dumps(definition(files=files, inputs=inputs, steps=steps)))
    assert made.files == {"a": text}
    assert made.steps[0].config["script"] == f"cat <<'E'\n{text}\nE"
    assert made.inputs[1].default == text
    assert "literal" not in made.inputs[1].schema
    files["a"]["literal"] = False
    assert [path for path, _ in faults(definition(files=files))] == ["files.a.text"]


@pytest.mark.parametrize("text", ALIKE)
def test_an_expression_writes_a_look_alike(text):
    written = "${{ '" + text + "' }}"
    assert faults(definition(steps=[command(written, env={"V": written})])) == []


@pytest.mark.parametrize(
    "text",
    [
        "${var}",
        "${inputs[0]}",
        "${inputs[@]}",
        "$(ls)",
        "{{ n }}",
        "{{ .Values.n }}",
        "f'{inputs.n}'",
    ],
)
def test_what_shells_and_programs_write_is_theirs(text):
    changes = {"files": {"a": text}, "steps": [script(text), command(text, id="b")]}
    assert faults(definition(**changes)) == []


def test_prose_may_hold_whatever_it_likes():
    text = "as {{ inputs.n }}"
    outputs = {"o": {"value": 1, "description": text}}
    steps = [command(description=text)]
    assert faults(definition(steps=steps, outputs=outputs, description=text)) == []


def test_the_fault_says_how_to_do_it():
    ((_, in_file),) = faults(definition(files={"a.py": "x\nprint('{{ inputs.my-n }}')"}))
    assert "in its line 2" in in_file
    assert "INPUT_MY_N" in in_file
    ((_, in_args),) = faults(definition(steps=[command("{{ inputs.n }}")]))
    assert "one is written '${{ ... }}'" in in_args


class TestLineEnds:
    @pytest.mark.parametrize("shell", ["bash", "sh", "/bin/dash", "zsh", "other"])
    def test_a_script_with_cr_lf_is_a_fault(self, shell):
        ((path, message),) = faults(definition(steps=[script("a\ncat <<E\r\nx\r\nE\r\n", shell)]))
        assert path == "steps[0].config.script"
        assert "its line 2 ends with CR LF" in message

    def test_a_cr_at_its_very_end_is_one_too(self):
        assert len(faults(definition(steps=[script("true\r")]))) == 1

    @pytest.mark.parametrize("shell", ["python3", "/usr/bin/python3.11", "perl", "node"])
    def test_what_reads_them_may_have_them(self, shell):
        assert faults(definition(steps=[script("print(1)\r\n", shell)])) == []

    @pytest.mark.parametrize("program", ["/usr/bin/env python3", "/usr/bin/perl -w", "/bin/node\r"])
    def test_so_may_a_script_that_names_such_a_reader_itself(self, program):
        assert faults(definition(steps=[script(f"#!{program}\nprint(1)\r\n", None)])) == []

    @pytest.mark.parametrize(
        ("first", "program"),
        [("", "bash"), ("#!/bin/sh -u\n", "sh"), ("#!/usr/bin/env -S zsh -e\n", "zsh")],
    )
    def test_without_a_shell_its_first_line_says_what_takes_the_cr(self, first, program):
        ((_, message),) = faults(definition(steps=[script(f"{first}true\r\n", None)]))
        assert f"and {program} takes the CR" in message

    @pytest.mark.parametrize("text", ["printf 'a\\r\\n'", "a\rb\n", ""])
    def test_other_carriage_returns_are_none_of_it(self, text):
        assert faults(definition(steps=[script(f"{text}\ntrue")])) == []

    def test_it_can_be_meant(self):
        assert faults(definition(steps=[script("a\r\n", literal=True)])) == []

    @pytest.mark.parametrize(
        ("name", "text", "line"),
        [
            ("run", "#!/bin/sh\nx\r\n", 2),
            ("run", "#!/bin/bash -e\r\nx\n", 1),
            ("run", "#!/usr/bin/env python3\r\nx\n", 1),
            ("run", "#!/usr/bin/env -S bash -e\nx\r\n", 2),
            ("lib/run.sh", "true\nx\r\n", 2),
        ],
    )
    def test_a_file_that_is_run_has_none(self, name, text, line):
        ((path, message),) = faults(definition(files={name: text}))
        assert path == f"files.{name}"
        assert f"its line {line}" in message
        assert "CR LF" in message
        assert faults(definition(files={name: {"text": text, "literal": True}})) == []

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("table.csv", "a;b\r\nc;d\r\n"),
            ("run.py", "#!/usr/bin/env python3\nx\r\n"),
            ("run.bat", "echo\r\n"),
            ("empty", "#!"),
            ("env", "#!/usr/bin/env\n"),
        ],
    )
    def test_other_files_may_have_them(self, name, text):
        assert faults(definition(files={name: text})) == []

    def test_a_yaml_file_with_cr_lf_has_scripts_without(self):
        step = "  - id: a\n    type: script\n    config:\n      script: |\n        a\n        b\n"
        text = f"id: w\nsteps:\n{step}"
        made = parse(text.replace("\n", "\r\n"))
        assert made.steps[0].config["script"] == "a\nb\n"


class TestNames:
    @pytest.mark.parametrize(
        "name",
        ["a/b", "/", ".", "..", "a\nb", "a\tb", "a\x7f", "a\x85", "a\u2028b", "a\u2029b", ""],
    )
    def test_a_name_that_no_address_can_hold_is_a_fault(self, name):
        assert [path for path, _ in faults(definition(name=name))] == ["name"]

    @pytest.mark.parametrize("name", ["50 %", "why?", "a#b", "a;b=c", "...", "größe", "日本", "\\"])
    def test_any_other_is_none(self, name):
        assert faults(definition(name=name)) == []


def test_a_definition_that_never_parsed_says_no_more():
    with pytest.raises(InvalidDefinition):
        parse("[")
