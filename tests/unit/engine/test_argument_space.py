"""What is too long for the arguments and the environment of a command, and how that is said."""

from __future__ import annotations

import os

import pytest
from engine_kit import steps

from app.domain import TaskStatus
from app.engine.argument_space import MAX_TEXT_BYTES, check
from app.errors import InvalidDefinition, InvalidRequest

LONG = "z" * (128 * 1024)
LIMIT = 2 * 1024 * 1024


def fault_of(step=None, **definition):
    with pytest.raises(InvalidDefinition) as caught:
        steps({"id": "only", **(step or {})}, **definition)
    (fault,) = caught.value.fields
    return fault.path, fault.message


@pytest.mark.parametrize("default", ["z" * 150_000, "ü" * 60_000])
def test_a_default_too_long_is_refused_as_a_launch_with_it_is(default):
    path, message = fault_of(inputs={"a": {"default": default}})
    assert (path, message) == ("inputs.a.default", "must not be longer than 100 KiB as text")


def test_a_default_that_is_too_long_as_text_only_is_refused(bench):
    words = {"type": "array", "default": ["z" * 60_000, "z" * 60_000]}
    assert fault_of(inputs={"a": words})[0] == "inputs.a.default"


@pytest.mark.parametrize(
    ("step", "where"),
    [
        ({"env": {"X": LONG[:-2]}}, "steps[0].env.X"),
        ({"config": {"command": "echo", "args": ["a", LONG]}}, "steps[0].config.args[1]"),
        ({"config": {"command": LONG}}, "steps[0].config.command"),
        ({"type": "script", "config": {"script": "true"}, "env": {"X": LONG}}, "steps[0].env.X"),
    ],
)
def test_a_text_that_no_command_can_be_given_is_refused_at_the_upload(step, where):
    path, message = fault_of(step)
    assert path == where
    assert "131,071 bytes" in message


def test_a_text_that_just_fits_is_taken(bench):
    flow = bench(
        steps({
            "id": "a", "env": {"X": LONG[:-3]}, "config": {"command": "echo", "args": [LONG[:-1]]},
        })
    )  # fmt: skip
    flow.look()
    assert flow.launcher.running == {"a"}


@pytest.mark.parametrize(
    ("step", "named"),
    [
        ({"env": {"X": "${{ steps.make.outputs.v }}"}}, "environment variable X has 200,002"),
        (
            {"config": {"command": "echo", "args": ["-n", "${{ steps.make.outputs.v }}"]}},
            "args[1] has 200,000 bytes",
        ),
    ],
)
def test_what_an_earlier_step_made_too_long_fails_the_step_by_name(bench, step, named):
    flow = bench(steps("make", {"id": "use", "needs": ["make"], **step}))
    flow.look()
    flow.launcher.finish("make", outputs={"v": "z" * 200_000})
    flow.finish()
    assert flow.shown["use"] is TaskStatus.FAILED
    assert named in flow.tasks["use"].error
    assert "Write it into a file" in flow.tasks["use"].error
    assert flow.launcher.begun == ["make/1"]


def test_all_texts_together_have_a_limit_and_the_longest_are_named(monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda _name: LIMIT)
    env = {f"V{n}": "z" * 100_000 for n in range(19)} | {"INPUT_A": "z" * 110_000}
    check(["echo"], env, {"INPUT_A": "a"})
    with pytest.raises(InvalidRequest) as caught:
        check(["echo", "x" * 120_000], env, {"INPUT_A": "a"})
    message = caught.value.message
    assert (
        "The longest: args[0] (120,000), environment variable INPUT_A (input 'a') (110," in message
    )


def test_many_short_texts_count_with_their_pointers(monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda _name: LIMIT)
    check(["x"] * 150_000, {}, {})
    with pytest.raises(InvalidRequest, match="together"):
        check(["x"] * 220_000, {}, {})


def test_what_passes_is_what_the_kernel_takes(bench):
    """At the limits of this very machine."""
    argv = ["true", "x" * MAX_TEXT_BYTES]
    check(argv, {"A": "y" * (MAX_TEXT_BYTES - 2)}, {})
    pid = os.posix_spawnp("true", argv, {**os.environ, "A": "y" * (MAX_TEXT_BYTES - 2)})
    assert os.waitpid(pid, 0)[1] == 0
    with pytest.raises(OSError, match="too long"):
        os.posix_spawnp("true", ["true", "x" * (MAX_TEXT_BYTES + 1)], os.environ)
