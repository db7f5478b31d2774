"""Tasks that are one command each, made into a definition."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from app.domain import CommandTask
from app.engine import definition
from app.engine.command import build_job, environment
from app.engine.composing import (
    MAX_ARGUMENT_BYTES,
    MAX_TASKS,
    compose,
    composed,
    needs_of,
    task_ids,
    workflow_ids,
)
from app.errors import CircularDependency, InvalidDefinition, MissingDependency


def task(name="w", command="true", **more):
    return CommandTask(name, command, **more)


def document(*tasks):
    asked = {"id": "id", "name": "A name", "tasks": [asdict(each) for each in tasks]}
    return json.loads(composed(compose(json.dumps(asked).encode())))


def argv(tmp_path, given):
    """The words with which the engine begins a task's command."""
    step = definition.load(document(given)).steps[0]
    job = build_job(
        step, execution_id="e", folder=tmp_path, work=tmp_path, env={}, values={},
        kill_grace_seconds=1,
    )  # fmt: skip
    return list(job.argv)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("echo Hello, Wattle Scheduler!", ["echo", "Hello,", "Wattle", "Scheduler!"]),
        ("a && b | c > d $X *", ["a", "&&", "b", "|", "c", ">", "d", "$X", "*"]),
        ('a \'b c\' "d \\" e" f\\ g', ["a", "b c", 'd " e', "f g"]),
        ("a '' \"\"", ["a", "", ""]),
        ("a\tb\nc", ["a", "b", "c"]),
        ("a # no comment", ["a", "#", "no", "comment"]),
        ("a ${{ inputs.x }} '${{'", ["a", "${{", "inputs.x", "}}", "${{"]),
        ("'my program' x", ["my program", "x"]),
    ],
)
def test_words_are_told_apart_as_a_shell_does_it_and_none_runs_them(tmp_path, command, words):
    assert argv(tmp_path, task(command=command)) == words


def test_arguments_follow_as_they_are(tmp_path):
    args = ["a b", "", "'q'", "${{ 1 + 1 }}", "${{", "é\n", "$(x)"]
    assert argv(tmp_path, task(command="p x", args=args)) == ["p", "x", *args]


def test_its_own_variables_win_and_hold_no_expression():
    given = task(env={"A": "${{ 6 * 7 }}", "B": "own"}, base_env={"B": "base", "C": "c"})
    step = definition.load(document(given)).steps[0]
    execution = type("E", (), {"inputs": {}, "id": "e"})()
    env = environment({}, execution, step, 1, {})
    assert {name: env[name] for name in "ABC"} == {"A": "${{ 6 * 7 }}", "B": "own", "C": "c"}


def test_each_input_is_an_edge_and_the_order_of_the_list_is_none():
    made = document(
        task("last", inputs={"x": "first/o", "y": "first/p", "z": "größe/o"}),
        task("größe", outputs={"o": "/o"}),
        task("first", outputs={"o": "/x", "p": "/y"}),
    )
    last, size, first = made["steps"]
    assert last["needs"] == [first["id"], size["id"]]
    assert (first["id"], size["name"]) == ("first", "größe")
    assert definition.load(made).steps[-1].id == "last"


def test_the_only_output_is_what_it_prints_unless_others_write_it_too():
    here = {"working_dir": "/work", "log_dir": "/work/w"}
    assert document(task(outputs={"o": "sub/../o.txt"}, **here))["steps"][0]["capture"] == (
        "/work/o.txt"
    )
    for outputs in ({}, None, {"a": "/a", "b": "/b"}, {"log": "w/stdout.log"}):
        assert "capture" not in document(task(outputs=outputs, **here))["steps"][0]
    both = document(task("a", outputs={"o": "/o"}), task("b", outputs={"p": "/x", "q": "/o"}))
    assert not any("capture" in step for step in both["steps"])


def test_logs_lie_in_the_folder_of_the_task():
    step = document(task(log_dir="/work/größe"))["steps"][0]
    assert (step["stdout"], step["stderr"]) == (
        "/work/größe/stdout.log", "/work/größe/stderr.log",
    )  # fmt: skip


def test_what_is_no_edge_is_named():
    with pytest.raises(MissingDependency) as missing:
        needs_of([task("a", inputs={"x": "b/o/p"}), task("b", outputs={"o": "/o"})])
    assert (missing.value.task, missing.value.reference) == ("a", "b/o/p")
    assert needs_of([task("a", inputs={"x": "b/o/p"}), task("b", outputs={"o/p": "/o"})])
    with pytest.raises(CircularDependency):
        needs_of([task("a", inputs={"x": "a/o"}, outputs={"o": "/o"})])


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (task(command=""), "command"),
        (task(command="''"), "command"),
        (task(command="a 'b"), "command"),
        (task(command="${{x}} a"), "command"),
        (task(args=["x" * (MAX_ARGUMENT_BYTES + 1)]), "args"),
        (task(args=["x" * MAX_ARGUMENT_BYTES] * 5), "args"),
        (task(args=["x"] * 10_001), "args"),
        (task(env={"A": "x" * MAX_ARGUMENT_BYTES}), "env"),
        (task(env={"": "x"}), "env."),
        (task(env={"1A": "x"}), "env.1A"),
        (task(working_dir="/a\nb"), "working_dir"),
        (task(outputs={"o": "a/"}), None),
        (task(outputs={"o": ".."}), "outputs.o"),
        (task(outputs={"o": "/" + "x" * 256}), "outputs.o"),
        (task(inputs={"i": "/o"}), "inputs.i"),
        (task(inputs={"i": "o/"}), "inputs.i"),
    ],
)
def test_faults_are_named(given, path):
    if path is None:
        document(given)
        return
    with pytest.raises(InvalidDefinition) as refused:
        document(task("fine"), given)
    assert f"tasks[1].{path}" in [fault.path for fault in refused.value.fields]


def test_there_are_not_more_than_so_many():
    with pytest.raises(InvalidDefinition, match="faults"):
        document(*(task(f"t{i}") for i in range(MAX_TASKS + 1)))


@pytest.mark.parametrize("name", ["a", "Größe & mehr", "数据", "-", "a.b", "x" * 200, " "])
def test_every_name_has_an_id_that_the_engine_takes(name):
    for found in workflow_ids(name):
        made = {**document(task(name)), "id": found}
        assert definition.load(made).steps[0].name == name
    assert len(set(workflow_ids(name))) >= 2


def test_ids_of_tasks_are_never_the_same():
    derived = task_ids(["a b"])[0]
    names = ["a b", "a-b", derived, "A b", "a  b", derived[:-1]]
    ids = task_ids(names)
    assert len(set(ids)) == len(names)
    assert ids[1:3] == ["a-b", derived]
    assert ids[0].startswith("a-b-")
