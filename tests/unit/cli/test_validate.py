"""What ``slipway validate`` says of definitions."""

import pytest
from click.testing import CliRunner

from app.cli.validate import command

WIDE = """
id: wide
steps:
  - {id: a, type: command, config: {command: "true"}}
  - {id: b, type: command, config: {command: "true"}, resources: {gpus: 2, time: 5m}}
"""


@pytest.fixture
def validate(tmp_path):
    def validate(text, *options):
        file = tmp_path / "flow.yaml"
        file.write_text(text)
        done = CliRunner().invoke(command, [str(file), *options])
        return done.exit_code, done.output.replace(str(file), "FILE")

    return validate


def test_a_valid_definition_is_called_so(validate):
    assert validate(WIDE) == (0, "FILE: 'wide' is valid, 2 step(s)\n")


def test_each_fault_has_its_place(validate):
    code, said = validate(WIDE.replace("gpus: 2", "gpus: two, nodes: 0"))
    assert code == 1
    assert "FILE: steps[1].resources.gpus: must be an integer" in said
    assert "FILE: steps[1].resources.nodes: must be at least 1" in said


@pytest.mark.parametrize(
    ("launcher", "given"),
    [
        ("local", "cpus, memory, time"),
        ("kit.toy_launcher:ToyLauncher", "cpus, memory, time, nodes"),
    ],
)
def test_what_a_launcher_does_not_give_is_a_fault(validate, launcher, given):
    text = f"is not what the launcher '{launcher}' gives; it gives {given}"
    assert validate(WIDE, "--launcher", launcher) == (
        1,
        f"FILE: steps[1].resources.gpus: {text}\n",
    )
    assert validate(WIDE.replace("gpus: 2", "gpus: 0"), "--launcher", launcher)[0] == 0


def test_a_launcher_that_there_is_not_is_an_error(validate):
    code, said = validate(WIDE, "--launcher", "slurn")
    assert code == 2
    assert "must be one of local, slurm, or package.module:Class" in said


def test_arguments_within_a_command_are_a_fault(validate):
    code, said = validate(WIDE.replace('command: "true"', 'command: "true --n 3"', 1))
    assert code == 1
    assert "steps[0].config.command: names a program" in said
    assert "write command: true with args: ['--n', '3']" in said
