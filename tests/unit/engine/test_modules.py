"""Modules of the environment that steps ask for."""

import pytest
from engine_kit import Bench, steps

from app.engine.definition import load
from app.engine.model import Preparation, StreamFile
from app.engine.resources import asked_for, not_given
from app.errors import InvalidDefinition

RUN = {"id": "a", "type": "command", "config": {"command": "true"}}
NAME = "a module's name such as gcc/12.2.0"


def of(modules, **step):
    return load({"id": "flow", "steps": [RUN | {"modules": modules} | step]})


@pytest.mark.parametrize(
    "name",
    ["gcc", "gcc/12.2.0", "OpenMPI/4.1.4-GCC-11.3.0", "cuda@11.8+x", "_a=b", "9", "x" * 200],
)
def test_a_step_names_modules_in_their_order(name):
    (step,) = of([name, "last"]).steps
    assert step.modules == (name, "last")


@pytest.mark.parametrize(
    ("modules", "path", "message"),
    [
        ("gcc", "", "must be an array"),
        (None, "", "must be an array"),
        ([1], "[0]", "must be a string"),
        ([""], "[0]", NAME),
        (["a", "b;reboot"], "[1]", NAME),
        (["$(reboot)"], "[0]", NAME),
        (["`reboot`"], "[0]", NAME),
        (["a b"], "[0]", NAME),
        (["a\nb"], "[0]", NAME),
        (["a\n"], "[0]", NAME),
        (["-f"], "[0]", NAME),
        (["/etc/a"], "[0]", NAME),
        (["../a"], "[0]", NAME),
        (["a/../b"], "[0]", NAME),
        (["a/"], "[0]", NAME),
        (["${{ inputs.compiler }}"], "[0]", NAME),
        (["x" * 201], "[0]", NAME),
        (["ü"], "[0]", NAME),
        (["a", "a"], "", "twice"),
        ([f"m{i}" for i in range(51)], "", "50"),
    ],
)
def test_a_fault_names_its_place(modules, path, message):
    with pytest.raises(InvalidDefinition) as caught:
        of(modules)
    (fault,) = caught.value.fields
    assert fault.path == f"steps[0].modules{path}"
    assert message in fault.message


def test_a_request_loads_none():
    with pytest.raises(InvalidDefinition) as caught:
        of(["gcc"], type="http", config={"url": "http://x/"})
    assert [fault.message for fault in caught.value.fields] == ["is not for steps of type http"]


def test_only_a_launcher_that_loads_them_is_given_the_definition():
    paths = list(asked_for(of(["gcc"]).source))
    assert paths == ["steps[0].modules"]
    (fault,) = not_given(paths, StreamFile, "local")
    text = "is not what the launcher 'local' gives; it runs the command as it stands"
    assert fault.message == text
    assert not not_given(paths, {Preparation.MODULES}, "rack")
    assert not list(asked_for(of([]).source)), "none is what anybody can give"


def test_a_job_gets_them(tmp_path):
    flow = Bench(steps({"id": "a", "modules": ["gcc/12", "openmpi"]}, "b"), tmp_path)
    flow.look()
    assert flow.launcher["a"].job.modules == ("gcc/12", "openmpi")
    assert flow.launcher["b"].job.modules == ()
