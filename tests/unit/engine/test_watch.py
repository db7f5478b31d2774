"""Many jobs, few questions: what one process asks a launcher for all of its executions."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from engine_kit import Bench, ScriptedLauncher, steps
from kit.clock import Clock
from kit.patience import await_that

from app.domain import DesiredState, TaskStatus
from app.engine.ending import end_all
from app.engine.launchers.base import JobPhase, JobState, Launcher, Polling, Watched
from app.engine.task_state import TaskState
from app.engine.watch import JobWatch, ask
from app.errors import UpstreamUnreachable


class Cluster(ScriptedLauncher):
    """Answers for many jobs at once, as a batch system does.

    Attributes:
        rounds: The folders of each question.
        unknown: Jobs of which nothing is known for now.
        told: States that it tells instead of what is scripted.
    """

    bound_to_node = False

    def __init__(self, polling: Polling | None = None) -> None:
        super().__init__()
        self.polling = polling or Polling()
        self.rounds: list[list[Watched]] = []
        self.unknown: set[str] = set()
        self.told: dict[str, JobState] = {}

    def states(self, jobs: Sequence[Watched]) -> Mapping[Path, JobState]:
        if self.broken is not None:
            raise self.broken
        self.rounds.append(list(jobs))
        names = [("/".join(job.folder.parts[-2:]), job) for job in jobs]
        return {
            job.folder: self.told.get(name) or self.state(job.folder, job.process)
            for name, job in names
            if name not in self.unknown
        }


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def watch(cluster, clock):
    return JobWatch(cluster, clock)


@pytest.fixture
def flows(cluster, clock, watch, tmp_path):
    """Executions of one process, each of the same steps."""

    def flows(count, *of, **more):
        made = [
            Bench(steps(*of, **more), tmp_path, launcher=cluster, watch=watch, id=f"e{i}")
            for i in range(count)
        ]
        for flow in made:
            flow.look()
        return made

    return flows


def running(folder, **more):
    return Watched(Path(folder), **more)


def state(phase=JobPhase.RUNNING, **more):
    return JobState(phase, **more)


# The watch


class Answers(Cluster):
    """Says of every job what a test set, and counts the questions."""

    def __init__(self, polling=None):
        super().__init__(polling)
        self.answers: dict[str, JobState] = {}

    def states(self, jobs):
        if self.broken is not None:
            raise self.broken
        self.rounds.append(list(jobs))
        known = ((job.folder, self.answers.get(job.folder.name)) for job in jobs)
        return {folder: answer for folder, answer in known if answer is not None}


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
def many(answers, clock):
    return JobWatch(answers, clock)


def test_one_question_is_for_the_jobs_of_all_executions(answers, many, clock):
    answers.answers = dict.fromkeys("abc", state())
    many.look("e1", [running("a")], followed=True)
    many.look("e2", [running("b"), running("c")], followed=True)
    assert len(answers.rounds) == 1, "the floor between two rounds holds for new jobs too"
    clock.now += 1.0
    seen = many.look("e1", [running("a")], followed=True)
    assert [job.folder.name for job in answers.rounds[1]] == ["b", "c", "a"]
    assert seen.states == {Path("a"): state()}
    assert many.look("e2", [running("b"), running("c")], followed=True).states.keys() == {
        Path("b"),
        Path("c"),
    }
    assert len(answers.rounds) == 2


def test_a_question_names_at_most_as_many_jobs_as_the_launcher_says(clock):
    answers = Answers(Polling(most_jobs=3))
    answers.answers = {str(i): state() for i in range(8)}
    jobs = [running(str(i)) for i in range(8)]
    assert JobWatch(answers, clock).look("e1", jobs, followed=False).states.keys() == {
        job.folder for job in jobs
    }
    assert [len(asked) for asked in answers.rounds] == [3, 3, 2]


def test_what_nobody_follows_is_asked_for_ever_more_seldom(answers, many, clock):
    answers.answers = {"a": state()}
    pauses = []
    for _ in range(12):
        rounds = len(answers.rounds)
        pauses.append(many.look("e1", [running("a")], followed=False).again_seconds)
        assert len(answers.rounds) == rounds + 1
        clock.now += pauses[-1] / 2
        many.look("e1", [running("a")], followed=False)
        assert len(answers.rounds) == rounds + 1
        clock.now += pauses[-1] / 2
    assert pauses[:3] == [1.0, 1.0, 1.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 3.0


def test_no_pause_is_longer_than_the_quiet_one(answers, many, clock):
    answers.answers = {"a": state()}
    many.look("e1", [running("a")], followed=False)
    clock.now += 3600.0
    assert many.look("e1", [running("a")], followed=False).again_seconds == 30.0
    answers.answers = {"a": state(node="n1")}
    clock.now += 30.0
    assert many.look("e1", [running("a")], followed=False).again_seconds == 1.0, "there was news"


def test_it_is_asked_for_often_while_one_execution_is_followed(answers, many, clock):
    answers.answers = dict.fromkeys("ab", state())
    many.look("e1", [running("a")], followed=False)
    many.look("e2", [running("b")], followed=True)
    clock.now += 1.0
    assert many.look("e1", [running("a")], followed=False).again_seconds == 1.0
    assert len(answers.rounds) == 2


def test_what_was_acted_upon_does_not_wait_for_long_and_is_not_told_from_before(
    answers, many, clock
):
    answers.answers = {"a": state(JobPhase.PREPARED)}
    many.look("e1", [running("a")], followed=False)
    many.touched("e1", Path("a"))
    seen = many.look("e1", [running("a")], followed=False)
    assert (seen.states, seen.again_seconds) == ({}, 1.0)
    clock.now += 1.0
    assert many.look("e1", [running("a")], followed=False).states
    assert len(answers.rounds) == 2


def test_a_question_that_was_under_way_says_nothing_of_what_was_done_meanwhile(answers, clock):
    many = JobWatch(answers, clock)
    answers.answers = {"a": state()}
    ask_as_before = answers.states

    def slowly(jobs):
        found = ask_as_before(jobs)
        clock.now += 0.5
        many.touched("e1", Path("a"))
        return found

    answers.states = slowly
    assert many.look("e1", [running("a")], followed=True).states == {}


def test_what_is_not_known_now_is_left_out_and_asked_for_again(answers, many, clock):
    answers.answers = {"a": state()}
    jobs = [running("a"), running("b")]
    seen = many.look("e1", jobs, followed=False)
    assert seen.states.keys() == {Path("a")}
    assert seen.again_seconds == 1.0
    clock.now += 1.0
    answers.answers = {"b": state(JobPhase.QUEUED)}
    seen = many.look("e1", jobs, followed=False)
    assert seen.states == {Path("a"): state(), Path("b"): state(JobPhase.QUEUED)}


def test_a_round_that_failed_failed_for_all_until_the_next(answers, many, clock):
    answers.answers = dict.fromkeys("ab", state())
    many.look("e1", [running("a")], followed=True)
    many.look("e2", [running("b")], followed=True)
    clock.now += 1.0
    answers.broken = UpstreamUnreachable("The cluster is away.")
    for execution, folder in (("e1", "a"), ("e2", "b"), ("e1", "a")):
        with pytest.raises(UpstreamUnreachable, match="The cluster is away"):
            many.look(execution, [running(folder)], followed=True)
    answers.broken = None
    with pytest.raises(UpstreamUnreachable):
        many.look("e1", [running("a")], followed=True)
    assert many.look("e3", (), followed=True).states == {}, "it has no jobs there"
    clock.now += 1.0
    assert many.look("e1", [running("a")], followed=True).states
    assert many.look("e2", [running("b")], followed=True).states


def test_those_of_whom_there_is_news_are_woken_and_no_others(answers, many, clock):
    woken = []
    many.listen(woken.append)
    answers.answers = dict.fromkeys("abc", state())
    for execution, folder in (("e1", "a"), ("e2", "b"), ("e3", "c")):
        many.look(execution, [running(folder)], followed=True)
    clock.now += 1.0
    many.look("e1", [running("a")], followed=True)
    assert sorted(woken) == ["e2", "e3"], "the first answer is news"
    clock.now += 1.0
    answers.answers["b"] = state(JobPhase.EXITED, exit_code=0)
    answers.answers["a"] = state(JobPhase.EXITED, exit_code=0)
    many.look("e1", [running("a")], followed=True)
    assert woken[2:] == ["e2"], "who asked knows it already"


@pytest.mark.parametrize(
    "leave",
    [
        lambda many, _clock: many.forget("e2", Path("b")),
        lambda many, _clock: many.look("e2", (), followed=False),
        lambda _many, clock: setattr(clock, "now", clock.now + 151.0),
    ],
    ids=["its job ended", "it has none", "it moved elsewhere"],
)
def test_nobody_asks_for_what_is_over(answers, many, clock, leave):
    answers.answers = dict.fromkeys("ab", state())
    many.look("e1", [running("a")], followed=False)
    many.look("e2", [running("b")], followed=False)
    leave(many, clock)
    clock.now += 30.0
    many.look("e1", [running("a")], followed=False)
    assert [job.folder.name for job in answers.rounds[-1]] == ["a"]


def test_who_has_no_job_any_more_does_not_hurry_the_questions_about_others(answers, many, clock):
    answers.answers = dict.fromkeys("ab", state())
    many.look("e1", [running("a")], followed=False)
    many.look("e2", [running("b")], followed=True)
    clock.now += 1.0
    many.look("e2", [running("b")], followed=True)
    clock.now += 120.0
    many.look("e2", [running("b")], followed=True)
    many.forget("e2", Path("b"))
    assert many.look("e1", [running("a")], followed=False).again_seconds == 30.0


def test_a_launcher_that_answers_slowly_has_its_rest(answers, clock):
    many = JobWatch(answers, clock)
    answers.answers = {"a": state()}
    ask_as_before = answers.states

    def slowly(jobs):
        clock.now += 9.0
        return ask_as_before(jobs)

    answers.states = slowly
    assert many.look("e1", [running("a")], followed=True).again_seconds == 1.0
    many.look("e1", [running("a")], followed=True)
    assert len(answers.rounds) == 1


def test_threads_that_come_at_once_ask_once(answers, clock):
    many = JobWatch(answers, clock)
    asked, let_go = threading.Event(), threading.Event()
    answers.answers = {f"j{i}": state() for i in range(8)}
    ask_as_before = answers.states

    def slowly(jobs):
        asked.set()
        let_go.wait()
        return ask_as_before(jobs)

    answers.states = slowly
    looks = [
        threading.Thread(
            target=many.look, args=(f"e{i}", [running(f"j{i}")]), kwargs={"followed": False}
        )
        for i in range(8)
    ]
    for look in looks:
        look.start()
    asked.wait()
    await_that(lambda: len(many._rounds._parts) == 8)
    let_go.set()
    for look in looks:
        look.join()
    assert len(answers.rounds) == 1


def test_without_polling_each_look_asks_for_its_own_jobs(clock):
    launcher = ScriptedLauncher()
    watch = JobWatch(launcher, clock)
    for _ in range(2):
        seen = watch.look("e1", [running("flow/a/1")], followed=False)
        assert seen.states == {Path("flow/a/1"): JobState(JobPhase.ABSENT)}
        assert seen.again_seconds is None
    assert launcher.calls == [("state", "a/1")] * 2


# The contract


def test_a_launcher_looks_at_one_job_or_at_many():
    with pytest.raises(TypeError, match=r"Blind: it needs state\(\), or states\(\)"):

        class Blind(Launcher):
            pass


def test_who_looks_at_many_looks_at_one(answers):
    answers.answers = {"a": state()}
    answers.state = Launcher.state.__get__(answers)
    assert answers.state(Path("a")) == state()
    with pytest.raises(UpstreamUnreachable, match="Nothing is known of the job now"):
        answers.state(Path("b"))


def test_states_are_asked_for_in_as_many_calls_as_needed(answers):
    answers.polling = Polling(most_jobs=2)
    assert ask(answers, []) == {}
    ask(answers, [running(str(i)) for i in range(5)])
    assert [len(asked) for asked in answers.rounds] == [2, 2, 1]


# The engine


def test_20_executions_of_25_jobs_are_looked_at_by_one_question(flows, cluster, clock):
    made = flows(20, *(f"s{i}" for i in range(25)))
    for flow in made:
        flow.look()
    clock.now += 1.0
    cluster.rounds.clear()
    for flow in made:
        flow.look()
    assert [len(asked) for asked in cluster.rounds] == [500]
    clock.now += 30.0
    cluster.finish("s3")
    for flow in made:
        flow.look()
    assert len(cluster.rounds) == 2
    assert [flow.shown["s3"] for flow in made] == [TaskStatus.SUCCESS] * 20


def test_a_question_says_how_far_the_output_was_read(flows, cluster, clock):
    (flow,) = flows(1, "a")
    flow.look()
    cluster.say("a", "one", "two")
    clock.now += 1.0
    flow.look()
    clock.now += 30.0
    flow.look()
    assert [(job.process, job.offset) for job in cluster.rounds[-1]] == [({"pid": 1}, 2)]


def test_output_is_read_where_there_is_some(flows, cluster, clock):
    (flow,) = flows(1, "a")
    cluster.say("a", "one")
    for end, reads in ((0, 0), (1, 1), (1, 1)):
        cluster.told["a/1"] = state(output_end=end)
        clock.now += 30.0
        flow.look()
        assert cluster.calls.count(("read", "a/1")) == reads
    assert "one" in flow.texts("a")


def test_a_job_of_which_nothing_is_known_stays_as_it_is(flows, cluster, clock):
    (flow,) = flows(1, "a", "b")
    cluster.unknown = {"a/1"}
    cluster.finish("b")
    clock.now += 1.0
    flow.look()
    assert flow.shown == {"a": TaskStatus.RUNNING, "b": TaskStatus.SUCCESS}
    cluster.unknown = set()
    cluster.finish("a")
    clock.now += 1.0
    assert flow.finish(most=2).log_complete


def test_a_job_in_a_queue_waits_and_says_why(flows, cluster, clock):
    (flow,) = flows(1, "a")
    for reason in ("Priority", "Priority", "Resources"):
        cluster.told["a/1"] = state(JobPhase.QUEUED, reason=reason)
        clock.now += 30.0
        flow.look()
        assert flow.shown["a"] is TaskStatus.PENDING
        assert flow.tasks["a"].started_at is None
    waits = [text for text in flow.texts("a") if "waits in the queue" in text]
    assert waits == [
        "Task 'a' waits in the queue: Priority",
        "Task 'a' waits in the queue: Resources",
    ]
    del cluster.told["a/1"]
    clock.now += 30.0
    flow.look()
    assert flow.shown["a"] is TaskStatus.RUNNING
    assert flow.tasks["a"].started_at is not None
    assert cluster.starts("a/1") == 1


def test_a_job_in_a_queue_can_be_held_and_cancelled(flows, cluster, clock):
    (flow,) = flows(1, "a")
    cluster.told["a/1"] = state(JobPhase.QUEUED, reason="Priority")
    flow.want(DesiredState.PAUSE)
    clock.now += 1.0
    flow.look()
    assert flow.shown["a"] is TaskStatus.PAUSED
    assert ("pause", "a/1") in cluster.calls
    flow.want(DesiredState.CANCEL)
    cluster.told.clear()
    clock.now += 1.0
    flow.look()
    assert ("cancel", "a/1") in cluster.calls


def test_cancelling_is_not_repeated_once_it_arrived(flows, cluster, clock):
    (flow,) = flows(1, "a")
    cluster.deaf = True
    flow.want(DesiredState.CANCEL)
    for asked, times in ((False, 1), (False, 2), (True, 2), (True, 2)):
        cluster.told["a/1"] = state(cancel_asked=asked)
        clock.now += 1.0
        flow.look()
        assert cluster.calls.count(("cancel", "a/1")) == times


def test_the_next_look_is_when_the_next_round_is_due(flows, cluster, clock):
    (flow,) = flows(1, "a")
    assert flow.seen.poll_after_seconds == 1.0, "a job was begun"
    clock.now += 1.0
    flow.look()
    clock.now += 3600.0
    assert flow.look().poll_after_seconds == 30.0
    flow.execution = replace(flow.execution, followed_until=datetime.now(UTC) + timedelta(hours=1))
    clock.now += 5.0
    assert flow.look().poll_after_seconds == 1.0
    flow.want(DesiredState.PAUSE)
    assert flow.look().poll_after_seconds == 1.0


def test_a_start_that_got_lost_is_repeated_once_a_round(flows, cluster, clock):
    (flow,) = flows(1, "a")
    cluster.forget("a/1")
    cluster.told["a/1"] = state(JobPhase.PREPARED)
    clock.now += 1.0
    for _ in range(4):
        flow.look()
    assert cluster.starts("a/1") == 2
    clock.now += 1.0
    flow.look()
    assert cluster.starts("a/1") == 3


def test_giving_up_asks_for_all_jobs_at_once(cluster, tmp_path):
    begun = {name: TaskState(TaskStatus.RUNNING, attempt=1) for name in "abc"}
    ended = {"d": TaskState(TaskStatus.SUCCESS, attempt=1)}
    cluster.told = {"a/1": state(JobPhase.QUEUED), "b/1": state(), "c/1": state(cancel_asked=True)}
    assert not end_all({**begun, **ended}, tmp_path, "e1", cluster)
    assert [len(asked) for asked in cluster.rounds] == [3]
    assert sorted(cluster.calls) == [("cancel", "a/1"), ("cancel", "b/1")]
    cluster.told = dict.fromkeys(cluster.told, state(JobPhase.EXITED))
    cluster.unknown = {"c/1"}
    assert not end_all(begun, tmp_path, "e1", cluster), "of one nothing is known"
    cluster.unknown = set()
    assert end_all(begun, tmp_path, "e1", cluster)
