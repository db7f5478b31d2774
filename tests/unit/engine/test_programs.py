import pytest

from app.engine.programs import SpacedCommand, faults, spaced_commands


def found(command, env=None, files=None):
    step = {"id": "a", "type": "command", "config": {"command": command}, "env": env or {}}
    return list(spaced_commands({"id": "w", "steps": [step], "files": files or {}}))


@pytest.fixture
def path(tmp_path):
    for name in ("python3", "my tool", "tool"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("python3 foo.py --n 3", "'foo.py', '--n', '3'"),
        ("python3  'a b'", "'a b'"),
        ("python3\tx", "'x'"),
        ("python3 it's", "'it's'"),
        ("tool | wc", "'|', 'wc'"),
    ],
)
def test_arguments_in_the_command_are_a_fault_that_says_how(command, args, path):
    (fault,) = faults(found(command), path)
    assert fault.path == "steps[0].config.command"
    program = command.split()[0]
    assert f"write command: {program} with args: [{args}]" in fault.message


def test_so_it_is_with_an_absolute_program_and_one_of_the_files(path):
    assert len(faults(found(f"{path}/python3 foo.py"), path)) == 1
    assert len(faults(found("./run.sh 3", files={"run.sh": ""}), path)) == 1


@pytest.mark.parametrize(
    "command", ["my tool", "nothing --like it", "tool", "python3", "my.tool with blanks"]
)
def test_a_program_with_blanks_or_one_that_is_not_here_is_none(command, path):
    assert faults(found(command), path) == []


def test_a_file_with_blanks_and_a_path_of_its_own_are_left_alone(path):
    assert found("./my run.sh", files={"my run.sh": ""}) == []
    assert found("python3 x", env={"PATH": "/opt/bin"}) == []


def test_what_is_quoted_has_a_bound(path):
    (fault,) = faults([SpacedCommand("x", "tool " + "y" * 10_000, ours=False)], path)
    assert len(fault.message) < 600
