"""From a step to a job: what reaches the command, and in which form."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from engine_kit import Bench, steps

from app.domain import ExecutionStatus
from app.engine.command import build_job
from app.errors import InvalidDefinition, InvalidRequest

EVIL = [
    "$(touch /tmp/pwned)", "`id`", "; rm -rf /", "' || true", '"; echo "', "a\nb", "--flag", "*",
    "${HOME}", "${{ inputs.other }}", "{{ 1 }}", "", " ", "ü 漢 🚢", "\\",
]  # fmt: skip


@pytest.fixture
def job_of(tmp_path):
    """Build the job of a workflow's only step."""

    def build(step, inputs=None, base_env=None):
        words = {"type": "string", "required": False}
        definition = steps(
            {"id": "only", **step},
            inputs=dict.fromkeys(inputs or {}, words),
        )
        flow = Bench(definition, tmp_path, inputs=inputs or {}, base_env=base_env or {})
        seen = flow.look()
        assert seen.status is ExecutionStatus.RUNNING, seen.error
        return flow.launcher["only"].job

    return build


@pytest.mark.parametrize("value", EVIL)
def test_an_input_is_one_argument_as_it_is(job_of, value):
    config = {"command": "echo", "args": ["${{ inputs.text }}", "--name=${{ inputs.text }}"]}
    job = job_of({"config": config}, {"text": value})
    assert job.argv == ("echo", value, f"--name={value}")


@pytest.mark.parametrize("value", EVIL)
def test_an_input_is_one_variable_as_it_is(job_of, value):
    job = job_of({"env": {"MINE": "<${{ inputs.text }}>"}}, {"text": value})
    assert job.env["INPUT_TEXT"] == value
    assert job.env["MINE"] == f"<{value}>"


@pytest.mark.parametrize("value", EVIL)
def test_no_input_stands_in_a_script(job_of, value):
    script = 'echo "$INPUT_TEXT"\n'
    step = {"type": "script", "config": {"script": script}}
    job = job_of(step, {"text": value})
    assert job.files == {"script": script}
    assert job.argv == ("bash", "-e", "-o", "pipefail", str(job.folder / "script"))


def test_an_expression_in_a_script_is_refused(job_of):
    with pytest.raises(InvalidDefinition) as caught:
        job_of({"type": "script", "config": {"script": "echo ${{ inputs.text }}"}}, {"text": "x"})
    assert [fault.path for fault in caught.value.fields] == ["steps[0].config.script"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"), (False, "false"), (None, ""), (3, "3"), (1.5, "1.5"), ("x", "x"),
        ([1, "a", None], '[1, "a", null]'), ({"k": {"n": 1}}, '{"k": {"n": 1}}'),
    ],
)  # fmt: skip
def test_inputs_of_all_types_arrive_as_text(job_of, value, text):
    assert job_of({}, {"v": value}).env["INPUT_V"] == text


def test_names_of_inputs_become_names_of_variables(job_of):
    env = job_of({}, {"my-input": "x"}).env
    assert env["INPUT_MY_INPUT"] == "x"


def test_the_command_knows_its_execution_task_and_attempt(job_of):
    env = job_of({}).env
    assert env["SLIPWAY_EXECUTION_ID"] == "e1"
    assert env["SLIPWAY_TASK"] == "only"
    assert env["SLIPWAY_ATTEMPT"] == "1"


def test_nothing_of_the_services_own_environment_is_inherited(job_of, monkeypatch):
    monkeypatch.setenv("SLIPWAY_MASTER_KEY", "secret")
    env = job_of({}, base_env={"PATH": "/bin"}).env
    assert env["PATH"] == "/bin"
    assert "secret" not in env.values()


def test_a_steps_own_variables_win(job_of):
    step = {"env": {"PATH": "/mine", "INPUT_N": "mine"}}
    env = job_of(step, {"n": "1"}, {"PATH": "/bin"}).env
    assert env["PATH"] == "/mine"
    assert env["INPUT_N"] == "mine"


def test_any_interpreter_reads_the_script_from_a_file(job_of):
    job = job_of({"type": "script", "config": {"shell": "python3", "script": "print(1)"}})
    assert job.argv == ("python3", str(job.folder / "script"))


def test_a_working_folder_lies_below_the_executions_own_unless_it_is_absolute(job_of, tmp_path):
    assert job_of({}).working_dir == tmp_path / "e1" / "work"
    assert job_of({"working_dir": "a/b"}).working_dir == tmp_path / "e1" / "work" / "a" / "b"
    assert job_of({"working_dir": "/tmp"}).working_dir == Path("/tmp")


def test_limits_and_resources_are_handed_on(job_of):
    step = {"timeout": "2m", "resources": {"cpus": 2, "memory": "1G"}}
    job = job_of(step)
    assert job.timeout_seconds == 120
    assert (job.resources.cpus, job.resources.memory_bytes) == (2, 1024**3)
    assert job.execution_id == "e1"


def test_a_request_is_in_no_file_no_variable_and_no_command_line(job_of):
    config = {
        "method": "POST", "url": "http://host/${{ inputs.text }}",
        "body": {"x": "${{ inputs.text }}"},
        "headers": {"X-Token": "${{ inputs.text }}"},
    }  # fmt: skip
    job = job_of({"type": "http", "config": config}, {"text": "s3cret"})
    assert job.argv[0] == sys.executable
    assert not any("s3cret" in element for element in job.argv)
    assert not job.files
    request = json.loads(job.stdin)
    assert request["url"] == "http://host/s3cret"
    assert request["headers"] == {"X-Token": "s3cret"}
    assert request["body"] == {"x": "s3cret"}


def test_a_body_keeps_its_types(job_of):
    config = {"url": "http://host", "body": {"n": "${{ inputs.n }}"}}
    job = job_of({"type": "http", "config": config}, {"n": [1, 2]})
    assert json.loads(job.stdin)["body"] == {"n": [1, 2]}


def test_a_value_that_is_missing_is_named(tmp_path):
    definition = steps({"id": "only", "config": {"command": "echo", "args": ["${{ 1 / 0 }}"]}})
    with pytest.raises(InvalidRequest, match="1 / 0"):
        build_job(
            definition.steps[0], execution_id="e1", folder=tmp_path, work=tmp_path, env={},
            values={"inputs": {}, "steps": {}, "execution": {"id": "e1"}}, kill_grace_seconds=1.0,
        )  # fmt: skip
