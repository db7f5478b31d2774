import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import app.cli
from app.domain import Parameter
from app.engine.definition import load, parse
from app.engine.model import OutputDefinition, StepType
from app.errors import InvalidDefinition
from app.job_resources import Resources

EXAMPLES = sorted((Path(app.cli.__file__).parent / "examples" / "workflows").iterdir())

DIAMOND = """\
id: diamond
name: Diamond
description: Adds two halves.
inputs:
  n: {type: integer, default: 10, minimum: 1, description: How many.}
  label: {enum: [a, b]}
  a-list: {type: array, items: {type: number}, required: false}
outputs:
  total: "${{ steps.join.outputs.total }}"
  all: {value: ["${{ inputs.n }}", 1], description: All of it.}
files:
  lib/sum.py: |
    print("sum")
steps:
  - id: join
    type: command
    needs: [left, right]
    allow_failure: true
    working_dir: lib
    resources: {cpus: 2, memory: 512M}
    config: {command: python3, args: [sum.py, "${{ steps.left.outputs.total }}", 3, true]}
  - {id: left, type: script, needs: [split], config: {script: "echo left"},
     env: {N: "${{ inputs.n }}", THREADS: 4}, timeout: 5m, retries: 2, retry_delay: 3s}
  - {id: split, name: Split it, type: script, config: {shell: /usr/bin/python3, script: "pass"}}
  - {id: right, type: http, needs: [split],
     config: {url: "https://example.org/${{ inputs.label }}", method: post, headers: {X: 1},
              body: {n: "${{ inputs.n }}"}}}
"""


WRITTEN = [
    "3.10", "0.00001", "1e3", "1E3", "12e45", "0.12345678901234567890", "True", "true", "FALSE",
    "1e400", "1e-400", "-0", "-0.0", "010", "00.10", "123456789012345678901234567890", "9" * 5000,
    "0x1F", "0o17", "0b1", "1_000", ".5", "5.", "+1", "+1.5e3", ".inf", ".NaN", "-.INF", "yes",
    "NO", "on", "y", "2:15", "190:20:30", "2024-01-31", "2024-01-31T10:00:00Z", "nul", "=", "<<",
    "1e", "e3", "--1", "1.2.3", "0.10-rc1",
]  # fmt: skip


def is_json(text):
    with suppress(ValueError):
        json.loads(text)
        return True
    return re.fullmatch("-?[1-9][0-9]*", text) is not None  # Python itself reads 4,300 digits


def minimal(**changes):
    """A definition that is valid but for the changes."""
    return {"id": "w", "steps": [step()]} | changes


def step(**changes):
    return {"id": "a", "type": "script", "config": {"script": "true"}} | changes


def faults(source):
    """The faults of a document, message by path."""
    with pytest.raises(InvalidDefinition) as caught:
        load(source)
    return {fault.path: fault.message for fault in caught.value.fields}


class TestParse:
    def test_reads_all_that_a_definition_may_say(self):
        diamond = parse(DIAMOND)
        assert (diamond.id, diamond.name) == ("diamond", "Diamond")
        assert diamond.description == "Adds two halves."
        assert diamond.files == {"lib/sum.py": 'print("sum")\n'}
        assert diamond.inputs == (
            Parameter("n", "integer", False, 10, "How many.", {"type": "integer", "minimum": 1}),
            Parameter("label", "string", True, schema={"type": "string", "enum": ["a", "b"]}),
            Parameter(
                "a-list", "array", False, schema={"type": "array", "items": {"type": "number"}}
            ),
        )
        assert diamond.outputs == (
            OutputDefinition("total", "${{ steps.join.outputs.total }}"),
            OutputDefinition("all", ["${{ inputs.n }}", 1], "All of it."),
        )

    def test_orders_the_steps(self):
        assert [step.id for step in parse(DIAMOND).steps] == ["split", "left", "right", "join"]

    def test_reads_all_that_a_step_may_say(self):
        split, left, right, join = parse(DIAMOND).steps
        assert (split.name, split.type) == ("Split it", StepType.SCRIPT)
        assert split.config == {"shell": "/usr/bin/python3", "script": "pass"}
        assert split.resources == Resources(cpus=1, memory_bytes=0)
        assert left.config == {"shell": None, "script": "echo left"}
        assert left.env == {"N": "${{ inputs.n }}", "THREADS": "4"}
        assert (left.timeout_seconds, left.retries, left.retry_delay_seconds) == (300, 2, 3)
        assert right.config == {
            "method": "POST",
            "url": "https://example.org/${{ inputs.label }}",
            "headers": {"X": "1"},
            "body": {"n": "${{ inputs.n }}"},
            "expect_status": [],
        }
        assert join.config == {
            "command": "python3",
            "args": ["sum.py", "${{ steps.left.outputs.total }}", "3", "true"],
        }
        assert join.needs == ("left", "right")
        assert (join.allow_failure, join.working_dir) == (True, "lib")
        assert join.resources == Resources(cpus=2, memory_bytes=512 * 2**20)

    def test_json_says_the_same(self):
        assert parse(json.dumps(yaml.safe_load(DIAMOND))) == parse(DIAMOND)

    @pytest.mark.parametrize("written", WRITTEN)
    def test_texts_keep_what_the_author_wrote(self, written):
        text = f"""
id: w
steps:
- id: a
  type: command
  env: {{A: {written}}}
  config: {{command: echo, args: [{written}, {written}, "{written}"]}}
- id: b
  type: http
  config: {{url: "http://host", headers: {{X-A: {written}, X-B: b}}}}
"""
        definition = parse(text)
        kept = load(json.loads(json.dumps(definition.source)))
        for known in (definition, kept):
            a, b = known.steps
            assert a.env == {"A": written}
            assert a.config["args"] == [written] * 3
            assert b.config["headers"] == {"X-A": written, "X-B": "b"}

    @pytest.mark.parametrize("written", [n for n in WRITTEN if is_json(n)])
    def test_so_do_those_of_json(self, written):
        text = f"""{{"id": "w", "steps": [{{
            "id": "a", "type": "command", "env": {{"A": {written}}},
            "config": {{"command": "echo", "args": [{written}]}}
        }}]}}"""
        only = parse(text).steps[0]
        assert (only.env, only.config["args"]) == ({"A": written}, [written])

    @pytest.mark.parametrize("written", ["null", "~", "", "[1]", "{a: 1}"])
    def test_what_is_no_text_is_refused_by_name(self, written):
        text = (
            f"id: w\nsteps: [{{id: a, type: script, env: {{A: {written}}}, config: {{script: a}}}}]"
        )
        with pytest.raises(InvalidDefinition) as caught:
            parse(text)
        assert [fault.path for fault in caught.value.fields] == ["steps[0].env.A"]

    @pytest.mark.parametrize(
        ("number", "message"),
        [
            ("12345678901234567890.5", "more digits than a 64-bit float holds"),
            ("0.12345678901234567890", "more digits than a 64-bit float holds"),
            ("1e-400", "more digits than a 64-bit float holds"),
            ("1e400", "not a finite number"),
            ("12345678901234567890", "an integer of more than 64 bits"),
            ("9" * 5000, "an integer of more than 64 bits"),
        ],
    )
    def test_a_number_is_never_another_one(self, number, message):
        yaml_text = f"""
id: w
inputs: {{n: {{type: number, default: {number}}}}}
steps: [{{id: a, type: http, config: {{url: "http://host", body: {{v: {number}}}}}}}]
"""
        json_text = f"""{{"id": "w", "inputs": {{"n": {{"type": "number", "default": {number}}}}},
            "steps": [{{"id": "a", "type": "http",
                        "config": {{"url": "http://host", "body": {{"v": {number}}}}}}}]}}"""
        for text in (yaml_text, json_text):
            with pytest.raises(InvalidDefinition) as caught:
                parse(text)
            found = {fault.path: fault.message for fault in caught.value.fields}
            assert message in found["steps[0].config.body.v"]
            assert message in found["inputs.n.default"]
            assert len(found) == 2

    def test_numbers_of_a_body_keep_their_value(self):
        text = """
id: w
steps: [{id: a, type: http, config: {url: "http://host", body: [3.10, 1e3, 0.1, 010, 5e-324]}}]
"""
        assert parse(text).steps[0].config["body"] == [3.1, 1000.0, 0.1, 10, 5e-324]

    def test_the_default_of_an_integer_is_one(self):
        text = "id: w\ninputs: {n: {type: integer, default: 1e3}}\n"
        (parameter,) = parse(text + "steps: [{id: a, type: script, config: {script: x}}]").inputs
        assert repr(parameter.default) == "1000"

    def test_the_name_is_the_id_by_default(self):
        assert load(minimal()).name == "w"

    def test_the_source_makes_it_again(self):
        diamond = parse(DIAMOND)
        assert load(diamond.source) == diamond
        assert parse(json.dumps(diamond.source)) == diamond

    def test_every_fault_tells_its_line(self):
        text = "id: w\nnmae: x\nsteps:\n  - id: a\n    type: script\n    id: b\n    needs: [c]\n"
        with pytest.raises(InvalidDefinition) as caught:
            parse(text)
        assert {
            (fault.path, fault.message.rpartition(" (")[2]) for fault in caught.value.fields
        } == {
            ("steps[0].id", "line 6)"),
            ("nmae", "line 2)"),
            ("steps[0].config", "line 4)"),
            ("steps[0].needs[0]", "line 7)"),
        }

    @pytest.mark.parametrize("text", ["3", "[]", "null", "just text"])
    def test_a_definition_is_an_object(self, text):
        with pytest.raises(InvalidDefinition, match="one fault") as caught:
            parse(text)
        assert caught.value.fields[0].message.startswith("must be an object, got ")

    @pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
    def test_the_examples_are_valid(self, path):
        assert parse(path.read_bytes()).id == path.stem

    @settings(deadline=None)
    @given(st.text() | st.binary())
    def test_any_text_is_a_definition_or_an_invalid_one(self, text):
        with pytest.raises(InvalidDefinition):
            parse(text)


class TestSchema:
    def test_all_faults_are_told_at_once(self):
        bad = step(id="b", needs=["c", "b"], timeout="soon", config={"script": "${{ inputs.n }}"})
        source = {"id": "w/w", "steps": [step(extra=1), bad], "outputs": {"o": "${{ x }}"}}
        assert set(faults(source)) == {
            "id",
            "steps[0].extra",
            "steps[1].needs[0]",
            "steps[1].needs[1]",
            "steps[1].timeout",
            "steps[1].config.script",
            "outputs.o",
        }

    @pytest.mark.parametrize("name", ["a", "A.b_c-1", "0" * 100])
    def test_good_ids(self, name):
        assert load(minimal(id=name)).id == name

    @pytest.mark.parametrize(
        "name", ["", "a@b", "a/b", "a.", ".a", "-a", "a b", "é", "a\n", "0" * 101]
    )
    def test_bad_ids(self, name):
        assert "letters, digits" in faults(minimal(id=name))["id"]

    @pytest.mark.parametrize(
        ("changes", "path", "message"),
        [
            ({"id": None}, "id", "must be a string, got null"),
            ({"name": ""}, "name", "must have at least 1 character"),
            ({"name": "x" * 201}, "name", "must have at most 200 characters"),
            ({"description": 3}, "description", "must be a string, got an integer"),
            ({"files": {"a": 3}}, "files.a", "must be a string, got an integer"),
            ({"files": {"a/b": "", "a": ""}}, "files.a/b", "lies below 'a'"),
            ({"outputs": {"o": 3}}, "outputs.o", "must be a string or an object"),
            ({"outputs": {"o": {}}}, "outputs.o.value", "is required"),
            ({"outputs": {"o": "${{ steps.b.status }}"}}, "outputs.o", "there is no step 'b'"),
            ({"steps": []}, "steps", "must have at least 1 item"),
            ({"steps": [step(id=f"s{i}") for i in range(10_001)]}, "steps", "at most 10000 items"),
            ({"description": "\0"}, "description", "holds a NUL character"),
        ],
    )
    def test_faults_of_the_whole(self, changes, path, message):
        assert message in faults(minimal(**changes))[path]

    @pytest.mark.parametrize(
        "path", ["/a", "../a", "a/../b", "a//b", "./a", "a/", "", ".", "a\tb", "a\x85", "x" * 256]
    )
    def test_bad_file_paths(self, path):
        assert "must" in faults(minimal(files={path: ""}))[f"files.{path[:100]}"]

    @pytest.mark.parametrize(
        ("changes", "place", "message"),
        [
            ({"id": "a.b"}, "id", "1 to 64 letters"),
            ({"type": "shell"}, "type", 'must be one of "command", "script", "http"'),
            ({"needs": "a"}, "needs", "must be an array, got a string"),
            ({"needs": ["b", "b"]}, "needs", "the same item twice"),
            ({"env": {"A-B": "x"}}, "env.A-B", "name of an environment variable"),
            ({"env": {"A": None}}, "env.A", "got null"),
            ({"env": {"A": "${{ inputs.x }}"}}, "env.A", "there is no input 'x'"),
            ({"timeout": 5}, "timeout", "with its unit"),
            ({"timeout": "0s"}, "timeout", "must be longer than 0s"),
            ({"timeout": "-5s"}, "timeout", "must be longer than 0s"),
            ({"retry_delay": 1}, "retry_delay", "with its unit"),
            ({"retry_delay": "-1s"}, "retry_delay", "must not be negative"),
            ({"retries": -1}, "retries", "must be at least 0"),
            ({"retries": 101}, "retries", "must be at most 100"),
            ({"retries": True}, "retries", "must be an integer, got a boolean"),
            ({"allow_failure": "yes"}, "allow_failure", "must be a boolean, got a string"),
            ({"working_dir": "${{ inputs.x }}"}, "working_dir", "must not hold expressions"),
            ({"resources": {"cpus": 0}}, "resources.cpus", "must be at least 1"),
            ({"resources": {"memory": "1X"}}, "resources.memory", "such as 512M or 2G"),
            ({"resources": {"memory": -1}}, "resources.memory", "such as 512M or 2G"),
            ({"resources": {"memory": True}}, "resources.memory", "such as 512M or 2G"),
            ({"resources": {"gpu": 1}}, "resources.gpu", "known are: account, constraint, cpus"),
        ],
    )
    def test_faults_of_a_step(self, changes, place, message):
        assert message in faults(minimal(steps=[step(**changes)]))[f"steps[0].{place}"]

    @pytest.mark.parametrize(
        ("kind", "config", "place", "message"),
        [
            ("command", {}, "command", "is required"),
            ("command", {"command": ""}, "command", "not blank"),
            ("command", {"command": "${{ inputs.n }}"}, "command", "INPUT_<NAME>"),
            ("command", {"command": "a", "args": [None]}, "args[0]", "got null"),
            ("command", {"command": "a", "args": ["${{ x }}"]}, "args[0]", "refers to 'x'"),
            ("script", {"script": " \n"}, "script", "not blank"),
            ("script", {"script": "echo ${{ inputs.n }}"}, "script", "INPUT_<NAME>"),
            ("script", {"script": "a", "shell": "bash -x"}, "shell", "a program's name"),
            ("script", {"script": "a", "shell": "bin/sh"}, "shell", "a program's name"),
            ("script", {"script": "a", "shell": "-c"}, "shell", "a program's name"),
            ("script", {"script": "a", "args": []}, "args", "known are: script, shell"),
            ("http", {}, "url", "is required"),
            ("http", {"url": "ftp://a"}, "url", "http:// or https://"),
            ("http", {"url": "http://${{ x }}"}, "url", "refers to 'x'"),
            ("http", {"url": "http://a", "method": "FETCH"}, "method", "one of GET, HEAD"),
            ("http", {"url": "http://a", "headers": {"a b": ""}}, "headers.a b", "HTTP header"),
            ("http", {"url": "http://a", "expect_status": [99]}, "expect_status[0]", "at least"),
            ("http", {"url": "http://a", "expect_status": []}, "expect_status", "at least 1 item"),
            ("http", {"url": "http://a", "body": [{"a": "${{ x }}"}]}, "body[0].a", "refers to"),
        ],
    )
    def test_faults_of_a_config(self, kind, config, place, message):
        found = faults(minimal(steps=[step(type=kind, config=config)]))
        assert message in found[f"steps[0].config.{place}"]

    @pytest.mark.parametrize(
        ("memory", "memory_bytes"),
        [(0, 0), (1000, 1000), ("1000", 1000), ("1K", 1024), ("2G", 2**31), ("1T", 2**40)],
    )
    def test_amounts_of_memory(self, memory, memory_bytes):
        definition = load(minimal(steps=[step(resources={"memory": memory})]))
        assert definition.steps[0].resources.memory_bytes == memory_bytes

    @pytest.mark.parametrize("delay", [0, "0", "0s"])
    def test_no_delay(self, delay):
        definition = load(minimal(steps=[step(retry_delay=delay)]))
        assert definition.steps[0].retry_delay_seconds == 0


class TestInputs:
    @pytest.mark.parametrize(
        ("words", "place", "message"),
        [
            ({"type": "int"}, ".type", 'must be one of "string", "integer"'),
            ({"type": ["string"]}, ".type", 'must be one of "string", "integer"'),
            ({"type": "integer", "default": "x"}, ".default", "must be an integer, got a string"),
            ({"type": "integer", "default": 0, "minimum": 1}, ".default", "must be at least 1"),
            ({"default": None}, ".default", "must be a string, got null"),
            ({"enum": ["a", 1]}, ".enum[1]", "must be a string, got an integer"),
            ({"enum": ["a"], "default": "b"}, ".default", 'must be one of "a"'),
            ({"pattern": "["}, ".pattern", "must be a valid regex"),
            ({"minLength": -1}, ".minLength", "must be at least 0"),
            ({"format": "date", "default": "soon"}, ".default", "must be a valid date"),
            ({"format": "hostname"}, ".format", "must be one of"),
            ({"required": "no"}, ".required", "must be a boolean"),
            ({"$ref": "http://example.org"}, ".$ref", "is not known here"),
            ({"type": "array", "items": {"$ref": "file:///etc"}}, ".items.$ref", "is not known"),
            ({"type": "object", "properties": {"a": {"typ": 1}}}, ".properties.a.typ", "known are"),
            (3, "", "must be an object, got an integer"),
        ],
    )
    def test_faults_of_an_input(self, words, place, message):
        assert message in faults(minimal(inputs={"n": words}))[f"inputs.n{place}"]

    @pytest.mark.parametrize("name", ["1a", "-a", "a.b", "a b", "", "a" * 65])
    def test_bad_names(self, name):
        assert "1 to 64 letters" in faults(minimal(inputs={name: {}}))[f"inputs.{name}"]

    def test_two_inputs_must_not_share_a_variable(self):
        found = faults(minimal(inputs={"a-b": {}, "A_b": {}, "c": {}}))
        assert found == {"inputs.A_b": "has the same environment variable as 'a-b': INPUT_A_B"}


class TestGraph:
    def test_ids_are_unique(self):
        found = faults(minimal(steps=[step(), step(id="b"), step()]))
        assert found == {"steps[2].id": "is the id of steps[0] too"}

    def test_a_cycle_is_named(self):
        steps = [step(id="x"), step(id="a", needs=["b", "x"]), step(id="b", needs=["a"])]
        ((path, message),) = faults(minimal(steps=steps)).items()
        assert path in {"steps[1].needs", "steps[2].needs"}
        assert message.endswith(("a -> b -> a", "b -> a -> b"))

    def test_an_expression_may_refer_to_what_was_surely_done_before(self):
        reference = {"V": "${{ steps.a.status }}"}
        steps = [step(), step(id="b", needs=["a"]), step(id="c", needs=["b"], env=reference)]
        assert load(minimal(steps=steps)).steps[2].env == reference
        steps[2]["needs"] = []
        assert "not among those" in faults(minimal(steps=steps))["steps[2].env.V"]

    def test_expressions_are_bounded_one_by_one_and_together(self):
        long = {"id": "w", "steps": [step(env={"A": "${{ " + "1 + " * 2000 + "1 }}"})]}
        assert "is too long, it may have 4,096 characters" in faults(long)["steps[0].env.A"]
        many = {f"V{i}": f"${{{{ {i} + {'1' * 4000} }}}}" for i in range(70)}
        found = faults(minimal(steps=[step(env=many)]))
        assert list(found.values()) == [
            "the expressions of a definition may have 262,144 characters together"
        ]

    def test_plain_references_count_for_little(self):
        env = {f"V{i}": "${{ inputs.a_rather_long_name_of_an_input }}" for i in range(10_000)}
        inputs = {"a_rather_long_name_of_an_input": {}}
        assert load(minimal(inputs=inputs, steps=[step(env=env)])).steps[0].env == env

    def test_an_output_may_refer_to_any_step(self):
        load(minimal(outputs={"code": "${{ steps.a.exit_code }}"}))


WORDS = """
id inputs outputs files steps needs config command args type script http url body env timeout a b n
default enum items properties required minimum pattern format array integer
"""
words = st.sampled_from(
    [*WORDS.split(), "${{ inputs.n }}", "${{ steps.a.status }}", "${{", "http://a"]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(words, children, max_size=4),
    max_leaves=15,
)
steps = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "id": words | anything,
            "type": st.sampled_from(list(StepType)) | anything,
            "needs": st.lists(words, max_size=3) | anything,
            "config": anything,
            "env": anything,
            "resources": anything,
        },
    ),
    max_size=4,
)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {"id": words, "steps": steps | anything},
        optional={"inputs": anything, "outputs": anything, "files": anything},
    )
)
def test_any_document_is_a_definition_or_an_invalid_one(source):
    with suppress(InvalidDefinition):
        definition = load(source)
        assert load(definition.source) == definition
