"""Steps of type http where the commands of a launcher run elsewhere."""

import pytest
from engine_kit import GONE, ScriptedLauncher, steps

from app.domain import DesiredState, ExecutionStatus, TaskStatus
from app.engine.ending import end_all
from app.engine.launchers.base import JobPhase, Polling
from app.engine.slots import Slots
from app.engine.task_state import TaskState
from app.errors import UpstreamUnreachable

URL = "http://127.0.0.1/"


class Cluster(ScriptedLauncher):
    here = False
    polling = Polling(followed_seconds=0.0, quiet_seconds=0.0)


class Machine(ScriptedLauncher):
    """Notes which folders it was asked for."""

    def __init__(self):
        super().__init__()
        self.made = []

    def make_work_folder(self, folder, files, *, begun):
        self.made.append((folder, files))


def mixed(*, parallel=False, **of_request):
    """Make a job, a request, and a job that gets what the request brought."""
    script = {"shell": "sh", "script": "true"}
    return steps(
        {"id": "first", "type": "script", "config": script, "working_dir": "/scratch"},
        {"id": "ask", "type": "http", "config": {"url": URL},
         "needs": [] if parallel else ["first"], **of_request},
        {"id": "last", "needs": ["ask"],
         "config": {"command": "echo", "args": ["${{ steps.ask.outputs.body }}"]}},
        files={"data.txt": "of the cluster"},
    )  # fmt: skip


@pytest.fixture
def two(bench):
    def make(definition, **more):
        return bench(definition, launcher=Cluster(), beside=Machine(), **more)

    return make


def test_requests_are_made_from_the_machine_and_all_else_runs_elsewhere(two):
    it = two(mixed())
    it.launcher.on_start = it.launcher.finish
    it.beside.on_start = lambda name: it.beside.finish(name, outputs={"body": "hello"})
    assert it.finish().status is ExecutionStatus.SUCCESS
    assert it.launcher.begun == ["first/1", "last/1"]
    assert it.beside.begun == ["ask/1"]
    assert it.launcher["last"].job.argv == ("echo", "hello")
    assert it.shown == dict.fromkeys(("first", "ask", "last"), TaskStatus.SUCCESS)


def test_a_request_has_the_folder_and_the_variables_of_the_machine(two):
    it = two(mixed(parallel=True, working_dir="/scratch/of/the/cluster"))
    it.look()
    job = it.beside["ask"].job
    assert job.working_dir == it.root / "e1" / "work"
    assert job.env["PATH"] == "/of/this/machine"
    assert "PATH" not in it.launcher["first"].job.env
    assert it.beside.made == [(it.root / "e1" / "work", {})]


def test_an_execution_with_requests_stays_and_others_do_not(two):
    assert two(mixed()).look().stays
    assert not two(steps("one")).look().stays


def test_where_all_run_on_one_machine_none_says_that_it_stays(bench):
    assert not bench(mixed()).look().stays


def test_the_output_and_the_failure_of_a_request_are_told_and_it_is_tried_again(two):
    it = two(mixed(parallel=True, retries=1))
    it.look()
    it.beside.say("ask", "GET / HTTP/1.1")
    it.beside.finish("ask", 1)
    it.look()
    it.wait_for(lambda: "ask/2" in it.beside.jobs)
    assert "GET / HTTP/1.1" in it.texts("ask")
    assert not {name for _, name in it.launcher.calls if name.startswith("ask")}


def test_requests_take_processors_of_the_machine_and_no_room_elsewhere(two):
    definition = steps(
        "job", *({"id": f"ask{i}", "type": "http", "config": {"url": URL}} for i in (1, 2))
    )
    pool = Slots(1, None, by_job=True)
    it = two(definition, slots=pool, beside_slots=Slots(1, None))
    it.look()
    assert it.launcher.running == {"job"}
    assert it.beside.running == {"ask1"}
    it.beside.finish("ask1")
    it.look()
    assert it.beside.running == {"ask2"}


def test_a_request_that_asks_for_more_than_the_machine_has_fails(two):
    it = two(mixed(parallel=True, resources={"cpus": 5}), beside_slots=Slots(4, None))
    it.look()
    assert it.tasks["ask"].error.startswith("resources: it asks for 5 processors")


def test_a_job_may_ask_for_more_than_the_machine_has(two):
    large = steps({"id": "job", "resources": {"cpus": 500}})
    it = two(large, slots=Slots(1, None, by_job=True), beside_slots=Slots(4, None))
    it.look()
    assert it.launcher.running == {"job"}


def test_a_cancelled_request_ends_where_it_is(two):
    it = two(mixed(parallel=True))
    it.look()
    it.want(DesiredState.CANCEL)
    assert it.finish().status is ExecutionStatus.CANCELLED
    assert ("cancel", "ask/1") in it.beside.calls
    assert ("cancel", "first/1") in it.launcher.calls


def test_a_paused_request_gives_its_processor_back_and_goes_on(two):
    it = two(mixed(parallel=True), slots=Slots(5, None, by_job=True))
    it.look()
    it.want(DesiredState.PAUSE)
    it.look()
    it.look()
    assert it.beside["ask"].paused
    assert it.launcher["first"].paused
    it.want(DesiredState.RUN)
    it.look()
    it.look()
    assert not it.beside["ask"].paused
    assert not it.launcher["first"].paused


def test_a_request_whose_start_was_cut_short_is_begun_again_there(two):
    it = two(mixed(parallel=True))
    it.look(dies=True)
    it.look()
    it.look()
    assert it.beside.begun == ["ask/1"]
    assert it.launcher.begun == ["first/1"]


def test_where_the_cluster_does_not_answer_nothing_is_taken_for_lost(two):
    it = two(mixed(parallel=True))
    it.look()
    it.beside.finish("ask")
    it.launcher.broken = GONE
    with pytest.raises(UpstreamUnreachable):
        it.look()
    it.launcher.broken = None
    it.look()
    assert it.shown["ask"] is TaskStatus.SUCCESS
    assert it.shown["first"] is TaskStatus.RUNNING


def test_what_runs_of_both_is_ended_by_the_cursors_alone(two):
    it = two(mixed(parallel=True))
    it.look()
    tasks = {name: TaskState.load(cursor) for name, cursor in it.cursors.items()}
    assert {name: task.beside for name, task in tasks.items()} == {"first": False, "ask": True}
    assert not end_all(tasks, it.root, "e1", it.launcher, it.beside)
    assert end_all(tasks, it.root, "e1", it.launcher, it.beside)
    assert it.beside["ask"].state.phase is it.launcher["first"].state.phase is JobPhase.EXITED
