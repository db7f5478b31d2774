"""The conductor, in threads over a store of the test's own, with scripted orchestrators."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from threading import Barrier
from typing import Any, ClassVar

import pytest
from fakes.orchestrators import EndlessOrchestrator, ForgetfulOrchestrator, ObedientOrchestrator
from kit.patience import PATIENCE_SECONDS
from kit.patience import await_that as wait_until
from sqlalchemy import update
from structlog.testing import capture_logs

import app.assembly
from app.backoff import Backoff
from app.clients.orchestrator import Capability, Orchestrator
from app.conductor import Conductor, this_node
from app.domain import (
    ALL_LEVELS,
    DesiredState,
    DesiredTaskState,
    DrivenExecution,
    ExecutionStatus,
    Launch,
    Level,
    LogEntry,
    NewLogEntry,
    Observation,
    Task,
    TaskStatus,
)
from app.engine.launchers.shim.records import start_ticks
from app.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    StoreUnavailable,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.giving_up import MOST_TRIES
from app.settings import ConductorSettings
from app.store import migrate
from app.store.conductors import Conductors, Node, OwnProcess
from app.store.database import Database
from app.store.definitions import DefinitionSnapshots
from app.store.driving import DrivenExecutions
from app.store.execution_rows import now
from app.store.executions import Executions
from app.store.journal import Journal
from app.store.launches import Intent, Launches
from app.store.retention import UnusedDefinitions
from app.store.schema import executions as table
from app.store.steering import SteeredExecutions
from app.store.stranded import StrandedExecutions
from app.store.task_wishes import TaskWishes

FAR = now() + timedelta(hours=1)
NODE = Node("box-a/mark", "kernel-1")
RENAMED_NODE = Node("box-b/mark", "kernel-1")
OTHER_NODE = Node("box-c/another", "kernel-2")
LONG = 3600.0
FIRST_PAUSE_SECONDS = 0.1
"""The pause after a first failure, much shorter than it is; it varies by a fifth."""


class CountingOrchestrator(ObedientOrchestrator):
    """Counts one entry up with each look, until it has come to the number to end at.

    Attributes:
        looks: Moments of all looks, by execution.
        desired: What was wanted at each look.
        most_at_once: Most looks that were under way at the same time, by execution.
    """

    poll_after = 0.01

    def __init__(self, name: str = "remote", end_at: int = 10**9) -> None:
        super().__init__(name)
        self.end_at = end_at
        self.looks: dict[str, list[float]] = {}
        self.desired: list[DesiredState] = []
        self.most_at_once: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()

    def observe(self, execution: DrivenExecution) -> Observation:
        id_ = execution.id
        self.looks.setdefault(id_, []).append(time.monotonic())
        self.desired.append(execution.desired)
        self._under_way[id_] += 1
        self.most_at_once[id_] = max(self.most_at_once[id_], self._under_way[id_])
        try:
            return self.look(execution)
        finally:
            self._under_way[id_] -= 1

    def look(self, execution: DrivenExecution) -> Observation:
        number = execution.cursor or 0
        ended = number + 1 >= self.end_at
        return Observation(
            ExecutionStatus.SUCCESS if ended else ExecutionStatus.RUNNING,
            cursor=number + 1,
            entries=(NewLogEntry(Level.INFO, 1000 + number, f"entry {number}"),),
            poll_after_seconds=self.poll_after,
            log_complete=ended,
        )


class FailingOrchestrator(CountingOrchestrator):
    """Fails in some way for a number of looks, and then goes on.

    Attributes:
        failures: The errors to come, the last one first.
    """

    def __init__(self, *failures: BaseException) -> None:
        super().__init__()
        self.failures = list(failures)

    def look(self, execution: DrivenExecution) -> Observation:
        if self.failures:
            raise self.failures.pop()
        return super().look(execution)


class RingingOrchestrator(CountingOrchestrator):
    """Asks to be looked at in an hour, and can ring before."""

    poll_after = LONG

    def listen(self, wake: Callable[[str], None]) -> None:
        self.wake = wake


class BoundOrchestrator(CountingOrchestrator):
    """Can observe an execution only where it began."""

    bound_to_node: ClassVar[bool] = True


class BlockingOrchestrator(CountingOrchestrator):
    """Answers only when it is allowed to."""

    def __init__(self) -> None:
        super().__init__("slow")
        self.allowed = threading.Event()

    def look(self, execution: DrivenExecution) -> Observation:
        assert self.allowed.wait(PATIENCE_SECONDS)
        return super().look(execution)


class DoubtfulOrchestrator(EndlessOrchestrator):
    """Cannot say at first what became of a launch.

    Attributes:
        answers: What ``find`` gives or raises, the last one first.
        asked: The launches that were looked up.
    """

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[Launch] = []

    def find(self, launch: Launch) -> Any:
        self.asked.append(launch)
        answer = self.answers.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def observe(self, execution: DrivenExecution) -> Observation:
        if execution.desired is DesiredState.CANCEL:
            self.cancelled.append(execution.id)
        return super().observe(execution)


class ExclusiveOrchestrator(DoubtfulOrchestrator):
    """Gives each reference to one execution only."""

    own_references: ClassVar[bool] = True


class DistantOrchestrator(CountingOrchestrator):
    """Cannot be reached while it is away.

    Attributes:
        away: Whether it is.
        reached: Moment of the first look that got through, by execution.
    """

    def __init__(self) -> None:
        super().__init__()
        self.away = True
        self.reached: dict[str, float] = {}

    def look(self, execution: DrivenExecution) -> Observation:
        if self.away:
            raise UpstreamUnreachable("No connection.")
        self.reached.setdefault(execution.id, time.monotonic())
        return super().look(execution)


class LaboriousOrchestrator(CountingOrchestrator):
    """Takes its time for each look."""

    def __init__(self, look_seconds: float, poll_after: float) -> None:
        super().__init__()
        self.look_seconds = look_seconds
        self.poll_after = poll_after

    def look(self, execution: DrivenExecution) -> Observation:
        time.sleep(self.look_seconds)
        return super().look(execution)


class Stage:
    """A store, and the conductors that a test lets work on it."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'slipway.db'}")
        migrate.upgrade(self.database)
        self.store = Executions(self.database)
        self.launches = Launches(self.database)
        self.driving = DrivenExecutions(self.database)
        self.steered = SteeredExecutions(self.database)
        self.conductors = Conductors(self.database)
        self.stranded = StrandedExecutions(self.database, ["bound"], 0.3)
        self._number = 0
        self._working: dict[Conductor, threading.Thread] = {}

    def launch(
        self,
        orchestrator: str = "remote",
        *,
        accepted: bool = True,
        workflow: str = "flow",
        owner: str = "ada",
    ) -> str:
        """Write a launch down, as its orchestrator accepted it or before that."""
        self._number += 1
        execution, _ = self.launches.create(
            Intent(
                execution_id=f"execution-{self._number}", orchestrator=orchestrator,
                workflow_id=workflow, workflow_name="Flow", owner=owner, inputs={"n": 1},
                steps=["only"],
            )
        )  # fmt: skip
        if accepted:
            self.launches.launched(execution, {"job": self._number})
        return execution.id

    def conduct(
        self,
        *orchestrators: Orchestrator,
        node: Node = NODE,
        threads: int = 4,
        lease: float = 15.0,
        look_timeout: float = 600.0,
        capacity: int = 500,
    ) -> Conductor:
        """Let a conductor work until the end of the test."""
        settings = ConductorSettings(
            threads=threads, lease=lease, stale_after=60.0, look_timeout=look_timeout,
            capacity=capacity,
        )  # fmt: skip
        conductor = Conductor(self.database, {o.name: o for o in orchestrators}, settings, node)
        self._working[conductor] = threading.Thread(target=conductor.run)
        self._working[conductor].start()
        return conductor

    def stop(self, conductor: Conductor) -> float:
        """Stop a conductor, and return the seconds that it took."""
        began = time.monotonic()
        conductor.stop()
        self._working[conductor].join(PATIENCE_SECONDS)
        assert not self._working[conductor].is_alive()
        return time.monotonic() - began

    def end(self) -> None:
        for conductor in self._working:
            conductor.stop()
        for conductor in self._working:
            self.stop(conductor)
        self.database.dispose()

    def get(self, execution: str) -> DrivenExecution:
        return self.driving.get(execution)

    def status(self, execution: str) -> ExecutionStatus:
        return self.get(execution).status

    def ended(self, execution: str) -> DrivenExecution:
        wait_until(lambda: self.get(execution).log_complete)
        return self.get(execution)

    def log(self, execution: str) -> list[LogEntry]:
        row = self.get(execution)
        journal = Journal(self.database)
        return journal.page(row.number, row.log_counts, ALL_LEVELS, 0, 100_000)

    def put(self, execution: str, **values: Any) -> None:
        """Write into the row of an execution, as another process or another time would."""
        statement = update(table).where(table.c.id == execution).values(**values)
        self.database.write(lambda c: c.execute(statement))

    def lease(self, execution: str) -> Mapping[str, Any]:
        """Who holds an execution, and until when."""
        columns = table.c.lease_owner, table.c.lease_until
        statement = table.select().with_only_columns(*columns).where(table.c.id == execution)
        with self.database.read() as connection:
            return connection.execute(statement).mappings().one()


def pause_after_failures(monkeypatch, first, longest):
    """Choose when a look that failed is repeated, whether somebody follows or not."""
    for name in ("_AFTER_FAILURES", "_AFTER_FAILURES_FOLLOWED"):
        monkeypatch.setattr(f"app.conductor.{name}", Backoff(first, longest, jitter=0.2))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    pause_after_failures(monkeypatch, FIRST_PAUSE_SECONDS, 15.0)
    made = Stage(tmp_path)
    yield made
    made.end()


def assert_counted(entries: list[LogEntry], at_least: int) -> None:
    """Each look was stored exactly once, in order."""
    assert [entry.content for entry in entries] == [f"entry {i}" for i in range(len(entries))]
    assert len(entries) >= at_least


# What is done once it is stored


class ActingOrchestrator(CountingOrchestrator):
    """Has something to do once each look is stored.

    Attributes:
        done: The looks after which it was done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.done: list[int] = []
        self.before_stored: Callable[[DrivenExecution], None] = lambda execution: None

    def look(self, execution: DrivenExecution) -> Observation:
        seen = super().look(execution)
        self.before_stored(execution)
        return replace(seen, once_stored=lambda: self.done.append(seen.cursor))


def test_what_is_to_be_done_is_done_after_it_was_stored(stage):
    orchestrator = ActingOrchestrator()
    orchestrator.end_at = 3
    execution = stage.launch()
    orchestrator.done = DoneWhenStored(stage, execution)
    stage.conduct(orchestrator)
    stage.ended(execution)
    wait_until(lambda: orchestrator.done == [1, 2, 3])


class DoneWhenStored(list):
    """Takes only what the store knows of."""

    def __init__(self, stage: Stage, execution: str) -> None:
        super().__init__()
        self._known = lambda: stage.get(execution).cursor

    def append(self, cursor: int) -> None:
        assert self._known() == cursor
        super().append(cursor)


def test_nothing_is_done_for_an_execution_that_another_took_over(stage):
    orchestrator = ActingOrchestrator()
    orchestrator.before_stored = lambda e: stage.put(e.id, lease_owner="another", lease_until=FAR)
    execution = stage.launch()
    stage.conduct(orchestrator)
    wait_until(lambda: orchestrator.looks.get(execution))
    time.sleep(0.1)
    assert (orchestrator.done, stage.get(execution).cursor) == ([], None)


def test_nothing_is_done_that_is_not_wanted_any_more(stage):
    orchestrator = ActingOrchestrator()

    def cancel(execution):
        if execution.cursor is None:
            stage.steered.desire(execution, DesiredState.CANCEL)

    orchestrator.before_stored = cancel
    orchestrator.end_at = 2
    execution = stage.launch()
    stage.conduct(orchestrator)
    stage.ended(execution)
    assert orchestrator.desired == [DesiredState.RUN, DesiredState.CANCEL]
    wait_until(lambda: orchestrator.done == [2])


def test_definitions_that_nothing_needs_are_removed_and_a_failure_of_that_stops_nothing(
    stage, monkeypatch
):
    monkeypatch.setattr("app.store.retention._GRACE", timedelta(0))
    monkeypatch.setattr("app.conductor._FORGET_SECONDS", 0.0)
    snapshots, prune = DefinitionSnapshots(stage.database), UnusedDefinitions.prune
    digest, failures = snapshots.keep({"steps": 1}), [RuntimeError("of the test")]

    def fail_first(self):
        if failures:
            raise failures.pop()
        return prune(self)

    def is_gone():
        try:
            snapshots.get(digest)
        except NotFound:
            return True
        return False

    monkeypatch.setattr(UnusedDefinitions, "prune", fail_first)
    stage.conduct(CountingOrchestrator(), lease=0.3)
    wait_until(is_gone)
    execution = stage.launch()
    wait_until(lambda: stage.log(execution))


class RestartingOrchestrator(CountingOrchestrator):
    """Begins runs of the one task as they are wanted, once that is stored.

    Attributes:
        begun: Numbers of the runs.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.TASK_CONTROL})

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.begun: list[int] = []
        self.before_stored: Callable[[DrivenExecution], None] = lambda execution: None
        self._wishes = TaskWishes(stage.database)

    def control_task(
        self, execution: DrivenExecution, task: str, desired: DesiredTaskState
    ) -> None:
        pass

    def look(self, execution: DrivenExecution) -> Observation:
        known, run = execution.cursor or (0, 0)
        if execution.task_wishes != known:
            run = self._wishes.of(execution)["only"].generation
        self.before_stored(execution)
        return Observation(
            ExecutionStatus.RUNNING,
            cursor=[execution.task_wishes, run],
            poll_after_seconds=LONG,
            once_stored=None if run in self.begun else lambda: self.begun.append(run),
        )


def test_what_is_wanted_of_a_task_is_acted_on_at_once_and_by_the_next_conductor_too(stage):
    orchestrator = RestartingOrchestrator(stage)
    execution = stage.launch()

    def restart():
        stage.steered.desire_task(stage.get(execution), "only", DesiredTaskState.RUNNING, anew=True)

    conductor = stage.conduct(orchestrator)
    wait_until(lambda: orchestrator.begun == [0])
    restart()
    wait_until(lambda: orchestrator.begun == [0, 1])
    stage.stop(conductor)
    restart()
    stage.conduct(orchestrator)
    wait_until(lambda: orchestrator.begun == [0, 1, 2])


def test_nothing_is_begun_of_a_task_of_which_something_else_is_wanted_by_now(stage):
    orchestrator = RestartingOrchestrator(stage)

    def restart(execution):
        if execution.cursor is None:
            stage.steered.desire_task(execution, "only", DesiredTaskState.RUNNING, anew=True)

    orchestrator.before_stored = restart
    stage.launch()
    stage.conduct(orchestrator)
    wait_until(lambda: orchestrator.begun)
    assert orchestrator.begun == [1]


class EndingOrchestrator(RestartingOrchestrator):
    """Has ended as long as no other run of its task is wanted."""

    def look(self, execution: DrivenExecution) -> Observation:
        seen = super().look(execution)
        if execution.task_wishes:
            return seen
        return replace(seen, status=ExecutionStatus.SUCCESS, log_complete=True, once_stored=None)


def test_an_end_that_crosses_a_wish_is_not_stored(stage):
    orchestrator = EndingOrchestrator(stage)

    def restart(execution):
        if not execution.task_wishes:
            stage.steered.desire_task(execution, "only", DesiredTaskState.RUNNING, anew=True)

    orchestrator.before_stored = restart
    execution = stage.launch()
    stage.conduct(orchestrator)
    wait_until(lambda: orchestrator.begun == [1])
    assert stage.get(execution).status is ExecutionStatus.RUNNING


def test_nothing_is_done_while_the_lease_is_in_doubt(stage, monkeypatch):
    """As when the process stands still between a look and what is done about it."""
    lease = 0.3
    orchestrator = ActingOrchestrator()
    orchestrator.before_stored = lambda e: e.cursor == 2 and time.sleep(2 * lease)
    orchestrator.end_at = 5
    renewed = threading.Event()

    def once_renewed(original):
        def work(self, *args, **more):
            assert renewed.is_set() or not orchestrator.looks, "the store is too slow"
            return original(self, *args, **more)

        return work

    for name in ("renew", "claim"):
        monkeypatch.setattr(DrivenExecutions, name, once_renewed(getattr(DrivenExecutions, name)))
    execution = stage.launch()
    stage.conduct(orchestrator, lease=lease)
    wait_until(lambda: (stage.get(execution).cursor or 0) >= 3)
    renewed.set()
    stage.ended(execution)
    assert 3 not in orchestrator.done


# What nobody foresaw


@pytest.fixture
def impatient(monkeypatch):
    """Failures in a row are not paid for with ever longer pauses, nor with tracebacks."""
    pause_after_failures(monkeypatch, 0.05, 0.05)
    with capture_logs():
        yield


class AbandonedOrchestrator(FailingOrchestrator):
    """Ends what runs when it is asked to for the second time.

    Attributes:
        abandoned: The executions whose end was asked for.
    """

    def __init__(self, *failures: BaseException) -> None:
        super().__init__(*failures)
        self.abandoned: list[str] = []

    def abandon(self, execution: DrivenExecution) -> str | None:
        self.abandoned.append(execution.id)
        return "Nothing of it runs any more." if len(self.abandoned) > 1 else None


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (RuntimeError("It broke.\nBadly."), "RuntimeError: It broke"),
        (MemoryError(), "MemoryError"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (SystemExit(3), "SystemExit: 3"),
        (InvalidRequest("The definition is damaged."), "InvalidRequest: The definition is damaged"),
    ],
)
def test_what_nobody_foresaw_ends_after_a_few_tries(stage, impatient, failure, cause):
    orchestrator = AbandonedOrchestrator(*[failure] * 50)
    execution = stage.launch()
    stage.conduct(orchestrator)
    ended = stage.ended(execution)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error == (
        f"The service cannot go on with this execution: {cause}. Nothing of it runs any more."
    )
    assert 1 < len(orchestrator.looks[execution]) <= MOST_TRIES
    assert len(orchestrator.abandoned) == 2
    assert [entry.content for entry in stage.log(execution)] == [ended.error]


def test_what_the_database_refuses_ends_after_a_few_tries(stage, impatient):
    class Refused(CountingOrchestrator):
        def look(self, execution):
            return replace(super().look(execution), cursor=object())

    orchestrator = Refused()
    execution = stage.launch()
    stage.conduct(orchestrator)
    ended = stage.ended(execution)
    assert "TypeError: Object of type object is not JSON serializable" in ended.error
    assert orchestrator.cancelled == [execution]
    assert "Its orchestrator was asked to cancel it." in ended.error


def test_an_end_that_fails_itself_is_an_end(stage, impatient):
    class Hopeless(FailingOrchestrator):
        def abandon(self, execution):
            raise RuntimeError("This, too.")

    execution = stage.launch()
    stage.conduct(Hopeless(*[ValueError("x")] * 50))
    assert "could not be ended and may still run" in stage.ended(execution).error


def test_a_success_in_between_clears_the_count(stage, impatient):
    orchestrator = FailingOrchestrator()
    broken = [ValueError("x")] * (MOST_TRIES - 2)
    orchestrator.failures = [*broken]
    orchestrator.end_at = 2
    look = orchestrator.look

    def look_and_break(execution):
        seen = look(execution)
        orchestrator.failures = [*broken]
        return seen

    orchestrator.look = look_and_break
    execution = stage.launch()
    stage.conduct(orchestrator)
    assert stage.ended(execution).status is ExecutionStatus.SUCCESS
    assert len(orchestrator.looks[execution]) == 2 * len(broken) + 2


def test_what_an_upstream_says_is_no_reason_to_give_up(stage, impatient):
    orchestrator = FailingOrchestrator(*[UpstreamUnreachable("Away.")] * (2 * MOST_TRIES))
    orchestrator.end_at = 1
    execution = stage.launch()
    stage.conduct(orchestrator)
    wait_until(lambda: stage.put(execution, followed_until=FAR) or not orchestrator.failures)
    assert stage.ended(execution).status is ExecutionStatus.SUCCESS


def test_the_count_survives_conductors_that_die_of_a_look(stage, impatient):
    """What dying conductors leave is what they wrote before the look."""
    poison, innocent = stage.launch(), stage.launch()
    for number in range(MOST_TRIES + 2):
        claimed = stage.driving.claim(f"dead-{number}", NODE.name, 60, [], 10)
        assert [execution.id for execution in claimed] == [poison, innocent]
        if number > 0:
            stage.driving.count_try(claimed[0], f"dead-{number}")
        stage.driving.release(f"dead-{number}", dead=True)
    orchestrator = CountingOrchestrator()
    orchestrator.end_at = 1
    stage.conduct(orchestrator)
    ended = stage.ended(poison)
    assert "each process that looked at it ended before it was done" in ended.error
    assert poison not in orchestrator.looks
    assert stage.ended(innocent).status is ExecutionStatus.SUCCESS
    assert stage.get(innocent).tries == 0


def test_suspects_are_looked_at_one_at_a_time(stage, impatient):
    class Watching(CountingOrchestrator):
        at_once = most = 0

        def look(self, execution):
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            time.sleep(0.03)
            self.at_once -= 1
            return super().look(execution)

    suspects = [stage.launch() for _ in range(5)]
    for id_ in suspects:
        stage.put(id_, tries=1)
    orchestrator = Watching()
    orchestrator.end_at = 1
    stage.conduct(orchestrator)
    for id_ in suspects:
        assert stage.ended(id_).status is ExecutionStatus.SUCCESS
    assert orchestrator.most == 1


def test_a_conductor_that_is_stopped_leaves_no_suspects(stage, impatient):
    execution = stage.launch()
    orchestrator = FailingOrchestrator(*[UpstreamUnreachable("Away.")] * 50)
    conductor = stage.conduct(orchestrator)
    wait_until(lambda: orchestrator.looks)
    stage.stop(conductor)
    assert stage.get(execution).tries == 0


def test_a_log_that_cannot_be_read_to_its_end_is_closed(stage, impatient):
    execution = stage.launch()
    stage.put(execution, status=ExecutionStatus.SUCCESS)
    stage.conduct(FailingOrchestrator(*[ValueError("x")] * 50))
    assert stage.ended(execution).status is ExecutionStatus.SUCCESS


# Driving


def test_what_an_orchestrator_sees_is_stored(stage):
    class Seeing(ObedientOrchestrator):
        def observe(self, execution):
            return Observation(
                ExecutionStatus.FAILED, cursor={"at": 1}, error="It broke.", progress=0.5,
                tasks=(Task("only", TaskStatus.FAILED, exit_code=3),),
                entries=(NewLogEntry(Level.WARN, 5, "hello", "only"),),
                started_at=now(), finished_at=now(), log_complete=True,
            )  # fmt: skip

    execution = stage.launch()
    stage.conduct(Seeing())
    seen = stage.ended(execution)
    assert (seen.status, seen.error, seen.progress) == (ExecutionStatus.FAILED, "It broke.", 0.5)
    assert seen.cursor == {"at": 1}
    assert [(task.name, task.exit_code) for task in stage.store.tasks(seen)] == [("only", 3)]
    assert [(entry.task, entry.content) for entry in stage.log(execution)] == [("only", "hello")]


def test_an_execution_is_looked_at_until_it_ended_and_never_again(stage):
    remote = CountingOrchestrator()
    remote.end_at = 20
    execution = stage.launch()
    stage.conduct(remote)
    assert stage.ended(execution).status is ExecutionStatus.SUCCESS
    stage.ended(stage.launch())
    assert len(remote.looks[execution]) == 20
    assert_counted(stage.log(execution), 20)


def test_a_launch_is_noticed_by_a_conductor_that_waits(stage):
    stage.conduct(ObedientOrchestrator(), lease=LONG)
    for _ in range(3):
        assert stage.ended(stage.launch()).status is ExecutionStatus.SUCCESS


def test_a_wish_is_passed_on_long_before_the_next_look_is_due(stage):
    remote = RingingOrchestrator()
    execution = stage.launch()
    stage.conduct(remote)
    wait_until(lambda: remote.looks)
    assert stage.steered.desire(stage.get(execution), DesiredState.CANCEL)
    wait_until(lambda: DesiredState.CANCEL in remote.desired)


def test_an_orchestrator_that_rings_is_looked_at_at_once(stage):
    remote = RingingOrchestrator()
    execution = stage.launch()
    stage.conduct(remote)
    for looks in range(1, 6):
        wait_until(lambda looks=looks: len(remote.looks.get(execution, ())) >= looks)
        remote.wake("no-such-execution")
        remote.wake(execution)
    wait_until(lambda: len(remote.looks[execution]) >= 6)
    assert_counted(stage.log(execution), 5)


def test_two_looks_at_one_execution_never_overlap(stage):
    remote = CountingOrchestrator()
    remote.poll_after = 0.0
    executions = [stage.launch() for _ in range(5)]
    conductor = stage.conduct(remote, threads=8)
    for i in range(200):
        stage.steered.follow(stage.get(executions[i % 5]), now())
    wait_until(lambda: all(len(remote.looks.get(e, ())) > 20 for e in executions))
    stage.stop(conductor)
    assert max(remote.most_at_once.values()) == 1
    for execution in executions:
        assert_counted(stage.log(execution), 20)


def test_a_slow_execution_does_not_hold_up_the_others(stage):
    slow = BlockingOrchestrator()
    held = stage.launch("slow")
    stage.conduct(slow, ObedientOrchestrator(), threads=2)
    wait_until(lambda: slow.looks)
    for _ in range(5):
        stage.ended(stage.launch())
    assert stage.status(held) is ExecutionStatus.PENDING
    slow.allowed.set()
    wait_until(lambda: stage.status(held) is ExecutionStatus.RUNNING)


def test_many_executions_share_a_few_threads(stage):
    remote = CountingOrchestrator()
    remote.end_at = 5
    executions = [stage.launch() for _ in range(40)]
    stage.conduct(remote, threads=2)
    for execution in executions:
        assert stage.ended(execution).status is ExecutionStatus.SUCCESS
        assert_counted(stage.log(execution), 5)


def test_what_a_look_takes_is_part_of_the_pause_before_the_next(stage):
    remote = LaboriousOrchestrator(look_seconds=0.4, poll_after=0.5)
    execution = stage.launch()
    stage.conduct(remote)
    wait_until(lambda: len(remote.looks.get(execution, ())) > 4)
    gaps = [after - before for before, after in pairwise(remote.looks[execution])]
    assert 0.49 < median(gaps) < 0.89


def test_those_that_are_followed_go_first_and_the_others_have_their_turn(stage):
    """One thread, and more to look at than it can."""
    remote = LaboriousOrchestrator(look_seconds=0.002, poll_after=0.0)
    followed, *others = [stage.launch() for _ in range(11)]
    stage.steered.follow(stage.get(followed), now() + timedelta(hours=1))
    conductor = stage.conduct(remote, threads=1)
    wait_until(lambda: all(len(remote.looks.get(e, ())) > 5 for e in others))
    stage.stop(conductor)
    looks = [len(remote.looks[e]) for e in others]
    assert len(remote.looks[followed]) > 2 * sum(looks)
    assert max(looks) - min(looks) <= 1


@pytest.mark.parametrize(("computes", "share"), [(True, 1), (False, 3)])
def test_looks_that_take_long_leave_threads_for_those_of_other_owners(stage, computes, share):
    remote = BlockingOrchestrator()
    if computes:
        remote.computes = True  # type: ignore[misc]
    for _ in range(8):
        stage.launch("slow", owner="mallory")
    stage.launch("slow", owner="ada")
    stage.conduct(remote, threads=4)
    wait_until(lambda: len(remote.looks) == share + 1)
    time.sleep(0.05)  # for one more, which must not come
    owners = Counter(stage.get(execution).owner for execution in remote.looks)
    assert owners == {"mallory": share, "ada": 1}
    remote.allowed.set()


def test_each_owner_has_one_look_in_turn(stage):
    """One thread, and one user's executions in great number before the other's."""
    remote = LaboriousOrchestrator(look_seconds=0.002, poll_after=0.0)
    many = [stage.launch() for _ in range(200)]
    few = [stage.launch(owner="bob") for _ in range(2)]
    conductor = stage.conduct(remote, threads=1)
    wait_until(lambda: len(remote.looks) > 40)
    stage.stop(conductor)
    assert set(few) <= set(list(remote.looks)[:10])
    looks = [len(remote.looks.get(e, ())) for e in few]
    assert sum(looks) >= sum(len(remote.looks.get(e, ())) for e in many) - 2


def test_one_that_somebody_begins_to_follow_goes_first_at_once(stage):
    remote = LaboriousOrchestrator(look_seconds=0.05, poll_after=LONG)
    executions = [stage.launch() for _ in range(100)]
    stage.conduct(remote, threads=1)
    wait_until(lambda: len(remote.looks) > 2)
    last = next(e for e in reversed(executions) if e not in remote.looks)
    stage.steered.follow(stage.get(last), now() + timedelta(hours=1))
    wait_until(lambda: last in remote.looks)
    assert len(remote.looks) < 50


def test_a_status_without_news_does_not_grow_old(stage):
    execution = stage.launch()
    stage.conduct(EndlessOrchestrator())
    wait_until(lambda: stage.status(execution) is ExecutionStatus.RUNNING)
    stage.put(execution, as_of=now() - timedelta(hours=1))
    stage.steered.desire(stage.get(execution), DesiredState.RUN)  # has the row read again
    wait_until(lambda: now() - stage.get(execution).as_of < timedelta(minutes=1))


# Failures


@pytest.mark.parametrize(
    "error",
    [
        UpstreamUnreachable("No connection."), UpstreamTimeout("Slow."), Conflict("Not now."),
        KeyError("a bug"),
    ],
    ids=["unreachable", "slow", "conflict", "bug"],
)  # fmt: skip
def test_a_failed_look_changes_nothing_and_is_repeated_after_a_pause(stage, error):
    remote = FailingOrchestrator(error)
    execution = stage.launch()
    stage.put(execution, status=ExecutionStatus.RUNNING, progress=0.5)
    before = stage.get(execution)
    stage.conduct(remote)
    wait_until(lambda: remote.looks)
    assert stage.get(execution) == before, "the status stays, and ages"
    wait_until(lambda: len(remote.looks[execution]) > 1)
    first, second = remote.looks[execution][:2]
    assert second - first > 0.8 * FIRST_PAUSE_SECONDS
    wait_until(lambda: stage.log(execution))
    assert stage.status(execution) is ExecutionStatus.RUNNING


def test_pauses_grow_while_failures_go_on(stage):
    remote = FailingOrchestrator(*[UpstreamUnreachable("No connection.")] * 3)
    execution = stage.launch()
    stage.conduct(remote)
    wait_until(lambda: len(remote.looks.get(execution, ())) >= 3)
    first, second, third = remote.looks[execution][:3]
    assert second - first > 0.8 * FIRST_PAUSE_SECONDS
    assert third - second > 1.6 * FIRST_PAUSE_SECONDS


def test_when_one_gets_through_again_the_others_do_not_wait_any_longer(stage, monkeypatch):
    pause_after_failures(monkeypatch, LONG, LONG)
    remote = DistantOrchestrator()
    executions = [stage.launch() for _ in range(20)]
    stage.conduct(remote)
    wait_until(lambda: all(remote.looks.get(e) for e in executions))
    remote.away = False
    stage.steered.desire(stage.get(executions[0]), DesiredState.PAUSE)  # has it looked at
    wait_until(lambda: len(remote.reached) == len(executions))


def test_pauses_grow_less_where_somebody_follows(stage, monkeypatch):
    pause_after_failures(monkeypatch, LONG, LONG)
    monkeypatch.setattr("app.conductor._AFTER_FAILURES_FOLLOWED", Backoff(0.05, 0.05))
    remote = DistantOrchestrator()
    followed, other = stage.launch(), stage.launch()
    stage.steered.follow(stage.get(followed), now() + timedelta(hours=1))
    stage.conduct(remote)
    wait_until(lambda: len(remote.looks.get(followed, ())) >= 6)
    assert len(remote.looks[other]) == 1


def test_an_upstream_that_says_when_to_come_back_is_obeyed(stage):
    remote = FailingOrchestrator(UpstreamError("Busy.", retry_after_seconds=LONG))
    execution = stage.launch()
    stage.conduct(remote)
    wait_until(lambda: remote.looks)
    time.sleep(4 * FIRST_PAUSE_SECONDS)  # longer than the pause that it would take by itself
    assert len(remote.looks[execution]) == 1


def test_a_wish_is_tried_at_once_although_looks_failed(stage):
    remote = FailingOrchestrator(UpstreamError("Busy.", retry_after_seconds=LONG))
    execution = stage.launch()
    stage.conduct(remote)
    wait_until(lambda: remote.looks)
    stage.steered.desire(stage.get(execution), DesiredState.CANCEL)
    wait_until(lambda: DesiredState.CANCEL in remote.desired)


def test_an_execution_that_the_orchestrator_forgot_ends_with_the_reason(stage):
    execution = stage.launch()
    stage.conduct(ForgetfulOrchestrator())
    seen = stage.ended(execution)
    assert seen.status is ExecutionStatus.FAILED
    assert "It is not among the jobs." in seen.error
    assert seen.finished_at is not None


def test_executions_of_an_orchestrator_that_is_not_configured_wait_for_it(stage):
    orphan, other = stage.launch("gone"), stage.launch()
    before = stage.get(orphan)
    conductor = stage.conduct(ObedientOrchestrator())
    stage.ended(other)
    wait_until(lambda: stage.lease(orphan)["lease_owner"])
    assert stage.get(orphan) == before
    stage.stop(conductor)
    stage.conduct(ObedientOrchestrator("gone"))
    assert stage.ended(orphan).status is ExecutionStatus.SUCCESS


# Launches with unknown outcome


@pytest.fixture
def doubtful(stage):
    """An execution of which nobody knows whether it was launched."""
    execution = stage.launch(accepted=False)
    stage.launches.doubt(stage.get(execution), "No answer in time.")
    return execution


def test_a_launch_that_is_found_goes_on(stage, doubtful):
    remote = DoubtfulOrchestrator({"job": 7})
    stage.conduct(remote)
    wait_until(lambda: stage.status(doubtful) is ExecutionStatus.RUNNING)
    seen = stage.get(doubtful)
    assert seen.reference == {"job": 7}
    assert seen.error is None
    (asked,) = remote.asked
    assert (asked.execution_id, asked.workflow_id, asked.inputs) == (doubtful, "flow", {"n": 1})
    assert asked.identity.username == "ada"
    assert asked.created_at == seen.created_at


def test_a_launch_that_surely_did_not_happen_fails_and_may_be_repeated(stage, doubtful):
    stage.conduct(DoubtfulOrchestrator(None))
    seen = stage.ended(doubtful)
    assert seen.status is ExecutionStatus.FAILED
    assert "safe to launch again" in seen.error


def test_a_launch_stays_unknown_until_the_upstream_can_tell(stage, doubtful):
    remote = DoubtfulOrchestrator({"job": 7}, UpstreamTimeout("Still nothing."))
    stage.conduct(remote)
    wait_until(lambda: remote.asked)
    assert stage.status(doubtful) is ExecutionStatus.UNKNOWN
    wait_until(lambda: stage.status(doubtful) is ExecutionStatus.RUNNING)
    assert len(remote.asked) == 2


def test_a_launch_that_was_cancelled_in_doubt_is_cancelled_when_it_is_found(stage, doubtful):
    stage.steered.desire(stage.get(doubtful), DesiredState.CANCEL, ExecutionStatus.CANCELLING)
    stage.conduct(DoubtfulOrchestrator({"job": 7}))
    assert stage.ended(doubtful).status is ExecutionStatus.CANCELLED


def test_a_launch_under_way_is_left_alone_and_one_that_was_cut_short_is_looked_up(stage):
    under_way, cut_short = (stage.launch(accepted=False) for _ in range(2))
    stage.put(cut_short, asked_up_ms=table.c.asked_up_ms - 3_600_000)
    remote = DoubtfulOrchestrator({"job": 7})
    stage.conduct(remote)
    wait_until(lambda: stage.status(cut_short) is ExecutionStatus.RUNNING)
    assert stage.lease(under_way)["lease_owner"] is None
    assert [launch.execution_id for launch in remote.asked] == [cut_short]


def test_what_a_lost_launch_could_be_mistaken_for_is_told(stage, doubtful):
    stage.launch(accepted=False, workflow="another")
    stage.launch("elsewhere")
    ended, long_ended = stage.launch(), stage.launch()
    stage.put(ended, status=ExecutionStatus.SUCCESS, finished_at=now(), log_complete=True)
    stage.put(long_ended, status=ExecutionStatus.SUCCESS, log_complete=True,
              finished_at=now() - timedelta(hours=2))  # fmt: skip
    settled = stage.launch(accepted=False)
    stage.put(settled, status=ExecutionStatus.FAILED, log_complete=True)
    under_way, rival, cut_short = (stage.launch(accepted=False) for _ in range(3))
    stage.launches.doubt(stage.get(rival), "No answer in time.")
    stage.put(cut_short, asked_up_ms=table.c.asked_up_ms - 3_600_000)
    remote = DoubtfulOrchestrator(*[UpstreamTimeout("Still nothing.")] * 9)
    stage.conduct(remote)
    wait_until(lambda: doubtful in [launch.execution_id for launch in remote.asked])
    asked = next(launch for launch in remote.asked if launch.execution_id == doubtful)
    assert [launch.execution_id for launch in asked.rivals] == [rival, cut_short]
    assert [launch.execution_id for launch in asked.under_way] == [under_way]
    assert asked.taken == (stage.get(ended).reference, stage.get(long_ended).reference)


def test_what_belongs_to_another_execution_settles_nothing(stage, doubtful):
    other = stage.launch()
    taken = stage.get(other).reference
    remote = ExclusiveOrchestrator({"job": 7}, taken)
    stage.conduct(remote)
    wait_until(lambda: stage.status(doubtful) is ExecutionStatus.RUNNING)
    assert stage.get(doubtful).reference == {"job": 7}
    assert [launch.execution_id for launch in remote.asked] == [doubtful] * 2


def test_what_a_launch_may_have_begun_that_came_meanwhile_settles_nothing(stage, doubtful):
    class Busy(ExclusiveOrchestrator):
        def find(self, launch):
            if not self.asked:
                stage.launch(accepted=False)
            return super().find(launch)

    remote = Busy({"job": 7}, {"job": 6})
    stage.conduct(remote)
    wait_until(lambda: stage.status(doubtful) is ExecutionStatus.RUNNING)
    assert stage.get(doubtful).reference == {"job": 7}


def test_two_launches_that_find_the_same_do_not_both_get_it(stage, doubtful):
    other = stage.launch(accepted=False)
    stage.launches.doubt(stage.get(other), "No answer in time.")
    both = Barrier(2)

    class Mistaken(ExclusiveOrchestrator):
        def find(self, launch):
            self.asked.append(launch)
            if len(self.asked) <= 2:
                both.wait(PATIENCE_SECONDS)
                return {"job": 7}
            return {"job": 8}

    stage.conduct(Mistaken())
    ids = [doubtful, other]
    wait_until(lambda: all(stage.status(e) is ExecutionStatus.RUNNING for e in ids))
    assert sorted(stage.get(e).reference["job"] for e in ids) == [7, 8]


def test_where_executions_share_references_a_launch_is_settled_all_the_same(stage, doubtful):
    """As those of our own engine do: its reference is the definition."""
    shared = stage.get(stage.launch()).reference
    stage.conduct(DoubtfulOrchestrator(shared))
    wait_until(lambda: stage.status(doubtful) is ExecutionStatus.RUNNING)
    assert stage.get(doubtful).reference == shared


# Several conductors


def test_another_conductor_goes_on_where_one_stopped(stage):
    remote = CountingOrchestrator()
    execution = stage.launch()
    first = stage.conduct(remote)
    wait_until(lambda: len(stage.log(execution)) > 5)
    stage.stop(first)
    assert stage.lease(execution)["lease_owner"] is None
    assert stage.conductors.all() == []
    stopped_at = len(stage.log(execution))
    remote.end_at = stopped_at + 10
    stage.conduct(remote)
    stage.ended(execution)
    assert_counted(stage.log(execution), stopped_at + 10)


def test_two_conductors_share_the_executions_and_none_is_driven_twice(stage):
    remote = CountingOrchestrator()
    remote.end_at = 10
    stage.conduct(remote)
    stage.conduct(remote, node=OTHER_NODE)
    for execution in [stage.launch() for _ in range(20)]:
        stage.ended(execution)
        assert len(remote.looks[execution]) == 10
        assert_counted(stage.log(execution), 10)


def held_by(stage, executions):
    return Counter(stage.lease(execution)["lease_owner"] for execution in executions)


def test_a_conductor_with_enough_executions_leaves_the_rest_to_others(stage):
    remote = EndlessOrchestrator()
    stage.conduct(remote, capacity=3, lease=LONG)
    stage.conduct(remote, node=OTHER_NODE, capacity=1000, lease=LONG)
    wait_until(lambda: len(stage.conductors.all()) == 2)
    executions = [stage.launch() for _ in range(20)]
    wait_until(lambda: held_by(stage, executions)[None] == 0)
    assert all(number <= 3 or number >= 17 for number in held_by(stage, executions).values())


def test_what_nobody_takes_is_taken_by_one_that_has_enough(stage):
    """The other one is alive, and full or unable to take more."""
    stage.conductors.register("other", OTHER_NODE, OwnProcess(1))
    executions = [stage.launch() for _ in range(5)]
    stage.conduct(EndlessOrchestrator(), capacity=2, lease=1.0)
    wait_until(lambda: held_by(stage, executions)[None] == 0)


def test_a_conductor_without_company_takes_all_at_once(stage):
    executions = [stage.launch() for _ in range(5)]
    stage.conduct(EndlessOrchestrator(), capacity=2, lease=LONG)
    wait_until(lambda: held_by(stage, executions)[None] == 0)


def test_there_is_a_connection_for_every_thread(monkeypatch, tmp_path):
    opened = []
    database = app.assembly.Database
    monkeypatch.setattr(
        app.assembly, "Database", lambda url, size, *rest: (opened.append(size), database(url))[1]
    )
    type_ = "fakes.orchestrators:ObedientOrchestrator"
    overrides = {
        "data_dir": str(tmp_path), "conductor.threads": 40,
        "orchestrators": [{"name": name, "type": type_} for name in ("a", "b", "c")],
    }  # fmt: skip
    app.assembly.create_conductor(app.assembly.read_settings(None, overrides, {}))
    assert opened[0] >= 3 * 40 + 2


def test_the_execution_of_a_conductor_that_fell_silent_is_taken_over_when_its_lease_ends(stage):
    execution = stage.launch()
    assert stage.driving.claim("silent", OTHER_NODE.name, LONG, [], 10)
    stage.conduct(ObedientOrchestrator(), lease=0.3)
    stage.ended(stage.launch())
    assert stage.status(execution) is ExecutionStatus.PENDING, "it has a lease"
    stage.put(execution, lease_until=now())
    assert stage.ended(execution).status is ExecutionStatus.SUCCESS


def test_a_conductor_that_works_keeps_its_leases(stage):
    execution = stage.launch()
    stage.conduct(RingingOrchestrator(), lease=0.3)
    owner = wait_until(lambda: stage.lease(execution)["lease_owner"])
    first = stage.lease(execution)["lease_until"]
    wait_until(lambda: stage.lease(execution)["lease_until"] > first + timedelta(seconds=0.5))
    assert stage.lease(execution)["lease_owner"] == owner


def test_a_conductor_that_lost_an_execution_stores_nothing_more_of_it(stage):
    remote = CountingOrchestrator()
    execution, other = stage.launch(), stage.launch()
    stage.conduct(remote)
    wait_until(lambda: stage.log(execution))
    stage.put(execution, lease_owner="another", lease_until=now() + timedelta(hours=1))
    entries, looks = len(stage.log(execution)), len(remote.looks[execution])
    seen = len(remote.looks[other])
    wait_until(lambda: len(remote.looks[other]) > seen + 20)
    assert len(stage.log(execution)) == entries
    assert len(remote.looks[execution]) <= looks + 2, "it looks no more, either"


def test_an_own_lease_that_ran_out_does_not_make_two_drivers(stage):
    """As when the machine slept: the lease is over, and nobody else took the execution."""
    remote = CountingOrchestrator()
    execution = stage.launch()
    stage.conduct(remote)
    for _ in range(5):
        entries = len(stage.log(execution))
        stage.put(execution, lease_until=now() - timedelta(seconds=1))
        other = stage.launch()  # makes the conductor look for executions
        wait_until(lambda other=other: stage.lease(other)["lease_owner"])
        wait_until(lambda entries=entries: len(stage.log(execution)) > entries + 5)
    assert remote.most_at_once[execution] == 1
    assert_counted(stage.log(execution), 25)


def test_what_another_drove_meanwhile_is_taken_up_where_that_one_left_it(stage):
    """As when this conductor was stopped for so long that another one had, and ended, its turn."""
    remote = RingingOrchestrator()
    execution = stage.launch()
    stage.conduct(remote)
    wait_until(lambda: len(stage.log(execution)) == 1)
    stage.put(execution, lease_owner="another")
    for _ in range(3):
        row = stage.get(execution)
        stage.driving.record(row, "another", CountingOrchestrator().observe(row))
    stage.driving.release("another")
    other = stage.launch()  # makes the conductor look for executions
    wait_until(lambda: stage.lease(other)["lease_owner"] and stage.lease(execution)["lease_owner"])
    remote.wake(execution)
    wait_until(lambda: len(stage.log(execution)) > 4)
    assert_counted(stage.log(execution), 5)


def test_other_names_of_the_machine_are_asked_for_a_few_times_a_lease_only(stage, monkeypatch):
    asked, claimed = [], []
    heritage, claim = Conductors.heritage, DrivenExecutions.claim
    monkeypatch.setattr(Conductors, "heritage", lambda *a: asked.append(a) or heritage(*a))
    monkeypatch.setattr(
        DrivenExecutions, "claim", lambda *a, **m: claimed.append(m) or claim(*a, **m)
    )
    stage.conduct(CountingOrchestrator(), lease=LONG)
    for _ in range(5):
        execution = stage.launch()
        wait_until(lambda id_=execution: stage.log(id_))
    assert len(claimed) >= 5
    assert len(asked) == 1
    assert all(more["heritage"] == [] for more in claimed)


def test_executions_stay_on_the_machine_that_began_them_where_they_must(stage):
    bound, free = BoundOrchestrator("bound"), CountingOrchestrator("free")
    mine, yours = stage.launch("bound"), stage.launch("free")
    stage.driving.claim("first", OTHER_NODE.name, LONG, ["bound"], 10)
    stage.driving.release("first")
    conductor = stage.conduct(bound, free)
    wait_until(lambda: stage.log(yours))
    another = stage.launch("free")
    wait_until(lambda: stage.log(another))
    assert mine not in bound.looks
    stage.stop(conductor)
    stage.conduct(bound, free, node=OTHER_NODE)
    wait_until(lambda: stage.log(mine))


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait(PATIENCE_SECONDS)
    return process.pid


THIS_PROCESS = OwnProcess(os.getpid(), start_ticks(os.getpid()))
BEFORE_ANOTHER_BOOT = Node(NODE.name, "of a kernel that runs no longer")


@pytest.mark.parametrize(
    ("node", "process"),
    [
        (NODE, OwnProcess(dead_pid(), "1")),
        (NODE, OwnProcess(dead_pid())),
        (NODE, OwnProcess(os.getpid(), "1")),
        (NODE, OwnProcess(os.getppid(), "1")),
        (NODE, OwnProcess(os.getpid())),
        (BEFORE_ANOTHER_BOOT, THIS_PROCESS),
    ],
    ids=[
        "its number is nobody's",
        "of an earlier version",
        "its number is our own",
        "its number is another's",
        "of an earlier version, its number is our own",
        "the machine was started again",
    ],
)
def test_a_dead_conductor_of_the_same_machine_is_buried_at_once(stage, node, process):
    execution = stage.launch()
    stage.conductors.register("killed", node, process)
    stage.driving.claim("killed", NODE.name, LONG, [], 10)
    stage.conduct(BoundOrchestrator(), lease=LONG)
    wait_until(lambda: stage.log(execution))
    assert "killed" not in [known.id for known in stage.conductors.all()]


@pytest.mark.parametrize(
    ("node", "alive"), [(OTHER_NODE, False), (NODE, True)], ids=["other machine", "alive"]
)
def test_a_conductor_that_may_live_keeps_what_it_holds(stage, node, alive):
    execution = stage.launch()
    stage.conductors.register("other", node, THIS_PROCESS if alive else OwnProcess(dead_pid()))
    stage.driving.claim("other", node.name, LONG, [], 10)
    stage.conduct(ObedientOrchestrator())
    stage.ended(stage.launch())
    assert stage.lease(execution)["lease_owner"] == "other"
    assert "other" in [known.id for known in stage.conductors.all()]


def test_the_name_of_a_machine_is_that_of_its_data_folder_too(tmp_path):
    first = this_node(tmp_path / "a")
    assert this_node(tmp_path / "a") == first
    assert this_node(tmp_path / "b").mark != first.mark
    assert first.name == f"{os.uname().nodename}/{first.mark}"


# Machines that nobody serves


def test_a_machine_that_was_renamed_takes_its_executions_over(stage):
    execution = stage.launch("bound")
    before = stage.conduct(BoundOrchestrator("bound"))
    wait_until(lambda: stage.log(execution))
    stage.stop(before)
    stage.conduct(BoundOrchestrator("bound", end_at=3), node=RENAMED_NODE)
    assert_counted(stage.log(stage.ended(execution).id), 3)


@pytest.mark.parametrize(
    "node",
    [Node("box-b/mark", "kernel-2"), Node("box-b/other", "kernel-1"), Node("box-a/other", "k")],
    ids=["another kernel", "another folder", "the same name"],
)
def test_executions_of_a_machine_that_nobody_serves_say_so(stage, node):
    execution = stage.launch("bound")
    before = stage.conduct(BoundOrchestrator("bound"))
    wait_until(lambda: stage.log(execution))
    stage.stop(before)
    conductor = stage.conduct(BoundOrchestrator("bound"), node=node, lease=0.3)
    wait_until(lambda: stage.get(execution).error)
    told = stage.get(execution)
    assert re.match("This execution belongs to machine box-a, which no conductor", told.error)
    assert told.status is ExecutionStatus.RUNNING
    assert [str(m).split(", which")[0] for m in stage.stranded.machines()] == [
        "1 execution belongs to machine box-a"
    ]
    # It comes back, and all is as it was.
    stage.stop(conductor)
    stage.conduct(BoundOrchestrator("bound"))
    wait_until(lambda: stage.get(execution).error is None)
    assert stage.stranded.machines() == []


def test_a_living_conductor_keeps_its_machine_from_being_called_unserved(stage):
    execution = stage.launch("bound")
    stage.conduct(BoundOrchestrator("bound"))
    wait_until(lambda: stage.log(execution))
    stage.put(execution, lease_owner=None, lease_until=None)
    assert stage.stranded.machines() == []
    assert stage.conductors.heritage(RENAMED_NODE, LONG) == []


def test_an_abandoned_execution_has_failed_and_its_driver_lets_go(stage):
    remote = CountingOrchestrator()
    execution = stage.launch()
    stage.conduct(remote)
    wait_until(lambda: stage.log(execution))
    assert stage.steered.abandon(stage.get(execution), "Abandoned.")
    ended = stage.get(execution)
    assert (ended.status, ended.error) == (ExecutionStatus.FAILED, "Abandoned.")
    entries = stage.log(execution)
    assert entries[-1].content == "Abandoned."
    looks = len(remote.looks[execution])
    other = stage.launch()
    wait_until(lambda: len(stage.log(other)) > 5)
    assert len(remote.looks[execution]) <= looks + 1
    assert stage.log(execution) == entries
    assert not stage.steered.abandon(stage.get(execution), "Again.")


# Stopping


def test_it_stops_promptly_whatever_its_executions_wait_for(stage):
    remote = RingingOrchestrator()
    executions = [stage.launch() for _ in range(50)]
    conductor = stage.conduct(remote, lease=LONG)
    wait_until(lambda: len(remote.looks) == 50)
    stage.stop(conductor)
    assert all(stage.lease(execution)["lease_owner"] is None for execution in executions)
    assert not any(stage.status(execution).final for execution in executions)


def test_it_finishes_the_look_that_is_under_way(stage):
    slow = BlockingOrchestrator()
    execution = stage.launch("slow")
    conductor = stage.conduct(slow)
    wait_until(lambda: slow.looks)
    conductor.stop()
    slow.allowed.set()
    stage.stop(conductor)
    assert_counted(stage.log(execution), 1)


def test_it_can_be_stopped_while_it_has_nothing_to_do(stage):
    conductor = stage.conduct(ObedientOrchestrator(), lease=LONG)
    wait_until(stage.conductors.all)
    stage.stop(conductor)
    assert stage.conductors.all() == []


def test_a_command_that_writes_does_not_talk_a_failing_look_out_of_its_pause(stage, monkeypatch):
    pause_after_failures(monkeypatch, LONG, LONG)

    class Garbled(RingingOrchestrator):
        def look(self, execution: DrivenExecution) -> Observation:
            raise ValueError("the store refuses this batch")

    remote = Garbled()
    id_ = stage.launch()
    stage.conduct(remote)
    wait_until(lambda: remote.looks.get(id_))
    for _ in range(100):
        remote.wake(id_)
        time.sleep(0.003)
    assert len(remote.looks[id_]) == 1


def test_a_ring_during_a_look_that_fails_does_not_repeat_it_at_once(stage, monkeypatch):
    pause_after_failures(monkeypatch, LONG, LONG)

    class RingsAndFails(RingingOrchestrator):
        def look(self, execution: DrivenExecution) -> Observation:
            self.wake(execution.id)
            raise ValueError("the store refuses this batch")

    remote = RingsAndFails()
    id_ = stage.launch()
    stage.conduct(remote)
    wait_until(lambda: remote.looks.get(id_))
    time.sleep(0.3)
    assert len(remote.looks[id_]) == 1


def test_what_a_user_wants_is_done_in_spite_of_failures(stage, monkeypatch):
    pause_after_failures(monkeypatch, LONG, LONG)

    class Failing(RingingOrchestrator):
        def look(self, execution: DrivenExecution) -> Observation:
            if execution.desired is DesiredState.RUN:
                raise ValueError("the store refuses this batch")
            return Observation(ExecutionStatus.CANCELLED, cursor=1, log_complete=True)

    remote = Failing()
    stage.conduct(remote)
    id_ = stage.launch()
    wait_until(lambda: remote.looks.get(id_))
    stage.steered.desire(stage.get(id_), DesiredState.CANCEL)
    wait_until(lambda: stage.get(id_).status is ExecutionStatus.CANCELLED)


def test_a_look_that_hangs_is_told(stage):
    slow = BlockingOrchestrator()
    conductor = stage.conduct(slow, look_timeout=0.1)
    assert conductor.stuck() is None
    id_ = stage.launch("slow")
    assert wait_until(conductor.stuck) == f"a look at the execution {id_}"
    slow.allowed.set()
    wait_until(lambda: conductor.stuck() is None)


def test_a_lock_that_nobody_gives_back_is_told(stage):
    conductor = stage.conduct(CountingOrchestrator(), look_timeout=0.1)
    with conductor._lock:
        assert conductor.stuck() == "the lock of the drivers"
    assert conductor.stuck() is None


def test_a_round_that_hangs_is_told(stage, monkeypatch):
    conductor = stage.conduct(CountingOrchestrator(), look_timeout=0.1, lease=0.3)
    allowed = threading.Event()
    monkeypatch.setattr(conductor, "_take_over", lambda: allowed.wait(PATIENCE_SECONDS))
    assert wait_until(conductor.stuck) == "the claim round"
    allowed.set()


def test_what_is_kept_no_longer_is_removed_now_and_then_whatever_fails(stage):
    asked = []

    def fails():
        asked.append("fails")
        raise StoreUnavailable("away")

    def removes():
        asked.append("removes")
        return 3

    settings = ConductorSettings(threads=1, lease=15.0, stale_after=60.0, look_timeout=600.0)
    prunes = {"one": fails, "other": removes}
    conductor = Conductor(stage.database, {}, settings, NODE, prunes)
    for _ in range(3):
        conductor._forget()
    assert asked == ["fails", "removes"]


def test_an_orchestrator_that_is_silent_at_the_start_is_told(stage):
    class Silent(ObedientOrchestrator):
        def health(self):
            raise UpstreamUnreachable("It is down.")

    with capture_logs() as logs:
        stage.conduct(Silent())
        wait_until(lambda: [e for e in logs if e["event"] == "orchestrator does not answer"])
    stage.ended(stage.launch())
