"""Files of a step's streams: in definitions, in jobs, and in a run."""

import pytest
from engine_kit import Bench, ScriptedLauncher, steps

from app.domain import ExecutionStatus
from app.engine.definition import load
from app.engine.launchers.base import Place
from app.engine.model import StreamFile
from app.engine.resources import asked_for, not_given
from app.errors import InvalidDefinition

FIELDS = list(map(str, StreamFile))
RUN = {"id": "a", "type": "command", "config": {"command": "true"}}


def of_steps(*words):
    named = [RUN | {"id": f"s{index}"} | each for index, each in enumerate(words)]
    return load({"id": "flow", "steps": named})


def faults_of(*words):
    with pytest.raises(InvalidDefinition) as caught:
        of_steps(*words)
    return [(fault.path, fault.message) for fault in caught.value.fields]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("path", ["out.log", "logs/out.log", "/tmp/a b/ü.log", "/x", "...", "~"])
def test_a_step_names_a_file(field, path):
    (step,) = of_steps({field: path}).steps
    assert getattr(step, field) == path


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        (1, "must be a string"),
        (None, "must be a string"),
        (["a"], "must be a string"),
        ("", "must be a path"),
        ("/", "must be a path"),
        (".", "must be a path"),
        ("..", "must be a path"),
        ("../a", "must be a path"),
        ("/a/../b", "must be a path"),
        ("/a/./b", "must be a path"),
        ("/a//b", "must be a path"),
        ("//a/b", "must be a path"),
        ("a/", "must be a path"),
        ("/a/b/", "must be a path"),
        ("a\nb", "control characters"),
        ("/a\x7f", "control characters"),
        ("/" + "ü" * 128, "255 bytes"),
        ("/a" * 1001, "2000 bytes"),
        ("/tmp/${{ execution.id }}", "must not hold expressions"),
    ],
)
def test_a_fault_names_its_place(field, path, message):
    (fault,) = faults_of({field: path})
    assert fault[0] == f"steps[0].{field}"
    assert message in fault[1]


def test_a_request_has_no_streams():
    request = {"type": "http", "config": {"url": "http://x/"}}
    assert faults_of({**request, **{field: field for field in FIELDS}}) == [
        (f"steps[0].{field}", "is not for steps of type http") for field in FIELDS
    ]


def test_the_two_streams_of_a_step_may_share_a_file():
    (step,) = of_steps({"stdout": "log", "stderr": "log"}).steps
    assert (step.stdout, step.stderr) == ("log", "log")


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [
        ({"stdout": "log", "capture": "log"}, {}, ("steps[0].capture", "steps[0].stdout")),
        ({"stderr": "log", "capture": "log"}, {}, ("steps[0].capture", "steps[0].stderr")),
        ({"stdout": "log"}, {"stdout": "log"}, ("steps[1].stdout", "steps[0].stdout")),
        ({"stdout": "log"}, {"stderr": "log"}, ("steps[1].stderr", "steps[0].stdout")),
        ({"capture": "/a"}, {"capture": "/a"}, ("steps[1].capture", "steps[0].capture")),
    ],
)
def test_no_file_has_two_owners(first, second, place):
    path, other = place
    assert faults_of(first, second) == [(path, f"is the file of {other} too")]


def test_a_launcher_without_them_is_not_given_the_definition():
    definition = of_steps({"stdout": "out", "resources": {"gpus": 1}}, {"capture": "result"})
    paths = list(asked_for(definition.source))
    assert paths == ["steps[0].resources.gpus", "steps[0].stdout", "steps[1].capture"]
    gpus, stdout, capture = not_given(paths, (), "rack")
    assert gpus.message.endswith("it gives cpus, memory, time")
    assert (stdout.path, capture.path) == ("steps[0].stdout", "steps[1].capture")
    text = "is not what the launcher 'rack' gives; it gives no such file"
    assert stdout.message == text
    (left,) = not_given(paths[1:], {StreamFile.STDOUT, StreamFile.STDERR}, "rack")
    assert left.message == "is not what the launcher 'rack' gives; it gives stdout, stderr"


def test_a_job_gets_their_places(tmp_path):
    files = {"stdout": "logs/out", "stderr": "/var/tmp/err", "capture": "result"}
    flow = Bench(steps({"id": "a", **files}, "b"), tmp_path)
    flow.look()
    job = flow.launcher["a"].job
    work = job.folder.parents[2] / "work"
    assert (job.stdout, job.capture) == (Place(work, "logs/out"), Place(work, "result"))
    assert (str(job.stderr.folder), job.stderr.path) == ("/", "var/tmp/err")
    other = flow.launcher["b"].job
    assert (other.stdout, other.stderr, other.capture) == (None, None, None)


def test_a_result_that_could_not_be_laid_fails_the_task(tmp_path):
    fault = "capture: /tmp/result: No space left on device"
    flow = Bench(steps({"id": "a", "capture": "result"}), tmp_path, launcher=ScriptedLauncher())
    flow.look()
    flow.launcher.say("a", "printed")
    flow.launcher.finish("a", 0, fault=fault)
    seen = flow.finish()
    assert seen.status is ExecutionStatus.FAILED
    assert seen.error == f"Task 'a' failed: {fault}; its last lines:\nprinted"
