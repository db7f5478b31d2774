"""What steps ask for, in a definition, and of whom."""

import pytest
from engine_kit import Bench, ScriptedLauncher, steps

from app.engine.definition import load
from app.engine.resources import asked_for, not_given
from app.errors import InvalidDefinition
from app.job_resources import Resource, Resources

ALL = {
    "cpus": 4,
    "memory": "16G",
    "time": "2h",
    "nodes": 2,
    "tasks": 8,
    "tasks_per_node": 4,
    "gpus": 2,
    "exclusive": True,
    "partition": "gpu,main",
    "account": "proj-7",
    "qos": "high",
    "reservation": "course_1",
    "constraint": "(skylake|haswell)&ib*2",
    "extra": ["--mail-type=END", "-H", "--licenses=foo:4"],
}


def of_steps(*each):
    """Make a document whose steps ask for something each."""
    run = {"type": "command", "config": {"command": "true"}}
    described = [{"id": f"s{i}", **run, "resources": asked} for i, asked in enumerate(each)]
    return {"id": "flow", "steps": described}


def resources(**asked):
    return load(of_steps(asked)).steps[0].resources


def fault(**asked):
    with pytest.raises(InvalidDefinition) as caught:
        resources(**asked)
    (only,) = caught.value.fields
    return only


def test_everything_that_batch_systems_know_can_be_asked_for():
    assert resources(**ALL) == Resources(
        cpus=4,
        memory_bytes=16 * 2**30,
        time_seconds=7200,
        nodes=2,
        tasks=8,
        tasks_per_node=4,
        gpus=2,
        exclusive=True,
        partition="gpu,main",
        account="proj-7",
        qos="high",
        reservation="course_1",
        constraint="(skylake|haswell)&ib*2",
        extra=("--mail-type=END", "-H", "--licenses=foo:4"),
    )
    assert ALL.keys() == set(Resource)


def test_whole_numbers_may_be_written_with_a_point():
    asked = resources(nodes=2.0, tasks=4.0, gpus=1.0)
    assert [type(n) for n in (asked.nodes, asked.tasks, asked.gpus)] == [int] * 3


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("nodes", 0, "must be at least 1"),
        ("nodes", 1.5, "must be an integer"),
        ("nodes", "2", "must be an integer"),
        ("nodes", True, "must be an integer"),
        ("nodes", 1_000_001, "must be at most 1000000"),
        ("tasks", -1, "must be at least 1"),
        ("tasks_per_node", 0, "must be at least 1"),
        ("gpus", -1, "must be at least 0"),
        ("gpus", "a100:2", "must be an integer"),
        ("exclusive", "yes", "must be a boolean"),
        ("time", "0s", "must be longer than 0s"),
        ("time", 60, "must be a duration with its unit"),
        ("time", "1:00:00", "duration"),
        ("partition", "", "1 to 100 letters"),
        ("partition", "-x", "1 to 100 letters"),
        ("partition", "a b", "1 to 100 letters"),
        ("partition", "main\n", "1 to 100 letters"),
        ("partition", "${{ inputs.p }}", "1 to 100 letters"),
        ("partition", "p" * 101, "1 to 100 letters"),
        ("account", 7, "must be a string"),
        ("qos", None, "must be a string"),
        ("reservation", "$(id)", "1 to 100 letters"),
        ("constraint", "a;b", "without spaces"),
        ("constraint", "-a", "without spaces"),
        ("extra", "--hold", "must be an array"),
        ("extra", ["hold"], "one option of the batch system"),
        ("extra", ["--comment=a b"], "one option of the batch system"),
        ("extra", ["--wrap=x\n"], "one option of the batch system"),
        ("extra", ["--" + "a" * 300], "one option of the batch system"),
        ("extra", ["-H"] * 51, "at most 50"),
        ("node", 1, "known are: account, constraint, cpus, exclusive, extra, gpus, memory, nodes"),
    ],
)
def test_a_fault_names_its_field(field, value, message):
    found = fault(**{field: value})
    assert found.path.startswith(f"steps[0].resources.{field}")
    assert message in found.message


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"nodes": 4, "tasks": 3}, "must be at least one for each of 4 nodes"),
        ({"nodes": 2, "tasks": 9, "tasks_per_node": 4}, "nodes * tasks_per_node, which is 8"),
    ],
)
def test_numbers_that_cannot_all_be_so_are_refused(asked, message):
    found = fault(**asked)
    assert found.path == "steps[0].resources.tasks"
    assert message in found.message


@pytest.mark.parametrize(
    "asked",
    [
        {"nodes": 2, "tasks": 8, "tasks_per_node": 4},
        {"nodes": 2, "tasks_per_node": 4},
        {"tasks": 9, "tasks_per_node": 4},
    ],
)
def test_numbers_that_can_be_so_are_taken(asked):
    assert resources(**asked)


@pytest.mark.parametrize(
    ("timeout", "time", "limit"),
    [(None, None, None), ("2m", None, 120), (None, "1m", 60), ("2m", "1m", 60), ("1m", "2m", 60)],
)
def test_the_shorter_limit_counts(tmp_path, timeout, time, limit):
    words = {"timeout": timeout} if timeout else {}
    words |= {"resources": {"time": time}} if time else {}
    launcher = ScriptedLauncher()
    Bench(steps({"id": "a", **words}), tmp_path, launcher=launcher).look()
    assert launcher["a"].job.timeout_seconds == limit


def test_a_job_that_took_too_long_is_told_its_limit(tmp_path):
    launcher = ScriptedLauncher()
    definition = steps({"id": "a", "timeout": "2m", "resources": {"time": "1m"}})
    flow = Bench(definition, tmp_path, launcher=launcher)
    flow.look()
    launcher.finish("a", 143, timed_out=True)
    assert "not done within 1m" in flow.finish().error


def test_a_job_says_what_its_step_asks_for(tmp_path):
    launcher = ScriptedLauncher()
    Bench(steps({"id": "a", "resources": ALL}), tmp_path, launcher=launcher).look()
    assert launcher["a"].job.resources == resources(**ALL)


# Who gives it


def asked(*each):
    return list(asked_for(load(of_steps(*each)).source))


def test_what_every_machine_has_is_asked_of_nobody():
    modest = {"nodes": 1, "tasks": 1, "tasks_per_node": 1, "gpus": 0, "extra": []}
    modest |= {"cpus": 99, "memory": "1T", "time": "1h", "exclusive": False}
    assert asked(modest, {}) == []


def test_what_is_asked_for_is_found_in_each_step():
    assert asked({"cpus": 2}, {"nodes": 2}, {"exclusive": True, "partition": "main"}) == [
        "steps[1].resources.nodes",
        "steps[2].resources.exclusive",
        "steps[2].resources.partition",
    ]
    assert len(asked(ALL)) == len(ALL) - 3


def test_what_a_launcher_does_not_give_is_named_with_what_it_gives():
    paths = asked({"nodes": 2, "partition": "main"})
    (only,) = not_given(paths, {Resource.NODES}, "rack")
    assert only.path == "steps[0].resources.partition"
    assert (
        only.message == "is not what the launcher 'rack' gives; it gives cpus, memory, time, nodes"
    )
    assert not_given(paths, set(Resource), "rack") == []
