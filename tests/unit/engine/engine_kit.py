"""What the tests of the engine share: a launcher that a test scripts, and one execution on it."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from kit.patience import PATIENCE_SECONDS

from app.domain import (
    JSON,
    DesiredState,
    DesiredTaskState,
    DrivenExecution,
    ExecutionStatus,
    NewLogEntry,
    Observation,
    Task,
    TaskStatus,
    TaskWish,
)
from app.elements import with_elements
from app.engine.carrying import carry_over
from app.engine.definition import load
from app.engine.launchers.base import (
    Job,
    JobPhase,
    JobState,
    Launcher,
    LauncherCapability,
    LauncherContext,
    NoOptions,
    OutputLine,
    Stream,
)
from app.engine.log_room import LogRoom
from app.engine.looking import look
from app.engine.model import Definition
from app.engine.plan import Plan
from app.engine.recollection import Recollection
from app.engine.run import Machine
from app.engine.slots import Slots
from app.engine.task_state import TaskState
from app.engine.watch import JobWatch
from app.errors import SlipwayError, UpstreamUnreachable

NODE = "machine-1"
_GOES_ON = "+"
_LATER = 100
GONE = UpstreamUnreachable("The launcher cannot work now.")
REASON = "what runs it (The launcher cannot work now)"


@dataclass
class ScriptedJob:
    """One job, as the launcher knows it."""

    job: Job
    state: JobState
    lines: list[OutputLine] = field(default_factory=list)
    outputs: Mapping[str, JSON] | SlipwayError = field(default_factory=dict)
    paused: bool = False


class ScriptedLauncher(Launcher):
    """Runs nothing: a test says what each job writes and how it ends.

    Jobs are called ``STEP`` or ``STEP/ATTEMPT``, the newest attempt where none is named. Attempts
    of an execution that goes on from another one count from 101.

    Attributes:
        prepared, refused: Jobs that may begin, and jobs that never will.
        removed: Jobs whose folder is gone, and whether they run on.
        ended: What had to be ended without its records, and whether by force.
        calls: What was asked of it, such as ``("start", "split/1")``; each start counts, although
            only the first one for a folder begins anything.
        begun: The jobs that were really begun, in order.
        on_start: Called when a job begins, to end it at once.
        broken: Raised by every call until it is taken away.
        deaf: Jobs do not end when they are cancelled.
    """

    capabilities = frozenset({LauncherCapability.PAUSE})

    def __init__(self) -> None:
        self.jobs: dict[str, ScriptedJob] = {}
        self.prepared: set[str] = set()
        self.refused: set[str] = set()
        self.removed: dict[str, bool] = {}
        self.ended: list[tuple[str, bool]] = []
        self.calls: list[tuple[str, str]] = []
        self.begun: list[str] = []
        self.on_start: Callable[[str], None] = lambda name: None
        self.broken: SlipwayError | None = None
        self.broken_starts: dict[str, SlipwayError] = {}
        self.broken_spawns: dict[str, SlipwayError] = {}
        self.deaf = False
        self._stamps = itertools.count()

    @classmethod
    def create(cls, options: NoOptions, context: LauncherContext) -> Self:
        return cls()

    # What the engine asks for

    def prepare(self, job: Job) -> None:
        name = self._asked("prepare", job.folder)
        if error := self.broken_starts.get(name.partition("/")[0]):
            raise error
        self.prepared.add(name)

    def start(self, job: Job) -> None:
        name = self._asked("start", job.folder)
        if error := self.broken_spawns.get(name.partition("/")[0]):
            raise error
        if name in self.jobs or name in self.refused:
            return
        process = {"pid": len(self.begun) + 1}
        running = JobState(JobPhase.RUNNING, node=NODE, started_at=time.time(), process=process)
        self.jobs[name] = ScriptedJob(job, running)
        self.begun.append(name)
        self.on_start(name)

    def refuse(self, folder: Path, *, cancelled: bool) -> bool:
        name = self._asked("refuse", folder)
        if name in self.jobs:
            return False
        self.refused.add(name)
        return True

    def state(self, folder: Path, process: JSON = None) -> JobState:
        name = self._asked("state", folder)
        if name in self.removed:
            reason = "its folder was removed"
            return JobState(JobPhase.LOST, reason=reason, lingers=self.removed[name])
        if name in self.refused:
            return JobState(JobPhase.LOST, reason="it was never begun")
        known = self.jobs.get(name)
        if known:
            return replace(known.state, pause_asked=known.paused)
        return JobState(JobPhase.PREPARED if name in self.prepared else JobPhase.ABSENT)

    def end(self, folder: Path, process: JSON, *, force: bool) -> None:
        self.ended.append((self._asked("end", folder), force))

    def read(self, folder: Path, offset: int, limit: int) -> tuple[list[OutputLine], int]:
        """Count an offset as lines, and a limit as bytes of text."""
        known = self.jobs.get(self._asked("read", folder))
        lines: list[OutputLine] = []
        for line in known.lines[offset:] if known else ():
            if lines and sum(len(taken.text) for taken in lines) >= limit:
                break
            lines.append(line)
        return lines, offset + len(lines)

    def outputs(self, folder: Path) -> Mapping[str, JSON]:
        outputs = self.jobs[self._asked("outputs", folder)].outputs
        if isinstance(outputs, SlipwayError):
            raise outputs
        return outputs

    def cancel(self, folder: Path) -> None:
        name = self._asked("cancel", folder)
        if not self.deaf and self.is_running(name):
            self.finish(name, 143, cancelled=True)

    def pause(self, folder: Path) -> None:
        self.jobs[self._asked("pause", folder)].paused = True

    def resume(self, folder: Path) -> None:
        self.jobs[self._asked("resume", folder)].paused = False

    def _asked(self, what: str, folder: Path) -> str:
        if self.broken is not None:
            raise self.broken
        step, attempt = folder.parts[-2:]
        name = f"{step}/{int(attempt) + _LATER * str(folder).count(_GOES_ON)}"
        self.calls.append((what, name))
        return name

    # What the test says

    def __getitem__(self, name: str) -> ScriptedJob:
        if "/" in name:
            return self.jobs[name]
        attempts = [job for job in self.jobs if job.startswith(f"{name}/")]
        return self.jobs[max(attempts, key=lambda job: int(job.partition("/")[2]))]

    def is_running(self, name: str) -> bool:
        return name in self.jobs and self.jobs[name].state.phase is JobPhase.RUNNING

    @property
    def running(self) -> set[str]:
        return {name.partition("/")[0] for name in self.jobs if self.is_running(name)}

    def say(self, name: str, *texts: str, stream: Stream = Stream.STDOUT) -> None:
        """Let a job write lines; each is written later than all before it."""
        now = time.time()
        self[name].lines += [
            OutputLine(stream, now + next(self._stamps) / 1000, text) for text in texts
        ]

    def finish(
        self,
        name: str,
        exit_code: int = 0,
        outputs: Mapping[str, JSON] | SlipwayError | None = None,
        **more: Any,
    ) -> None:
        job = self[name]
        job.outputs = outputs if outputs is not None else job.outputs
        job.state = replace(
            job.state, phase=JobPhase.EXITED, exit_code=exit_code, finished_at=time.time(), **more
        )

    def lose(self, name: str, reason: str | None = None) -> None:
        job = self[name]
        job.state = replace(job.state, phase=JobPhase.LOST, reason=reason)

    def forget(self, name: str) -> None:
        """Make a job one that was never begun, as when the conductor died before that."""
        del self.jobs[name]

    def remove(self, name: str, *, lingers: bool) -> None:
        """Remove the folder of a job, which may run on."""
        self.removed[name] = lingers

    def starts(self, name: str) -> int:
        return self.calls.count(("start", name))


def steps(*described: Mapping[str, Any] | str, **definition: Any) -> Definition:
    """Make a definition from steps; a plain name is a step that waits for none."""
    made = []
    for step in described:
        words = {"id": step} if isinstance(step, str) else step
        made.append({"type": "command", "config": {"command": "true"}, **words})
    return load({"id": "flow", "name": "Flow", "steps": made, **definition})


def diamond(**of_step: Any) -> Definition:
    """Make the graph split → left, right → join; words for a step are given by its name."""
    needs = {"split": [], "left": ["split"], "right": ["split"], "join": ["left", "right"]}
    return steps(
        *({"id": name, "needs": before} | of_step.get(name, {}) for name, before in needs.items())
    )


class StoredCursors(dict[str, JSON]):
    """Cursors of the tasks of one execution, as the store keeps them.

    Attributes:
        reads: How often they were read.
    """

    reads = 0

    def of(self, execution: DrivenExecution) -> Mapping[str, JSON]:
        self.reads += 1
        return stored(dict(self))


def stored(value: JSON) -> JSON:
    """Return a value as the store does: after a way through JSON."""
    return json.loads(json.dumps(value))


@dataclass
class Bench:
    """One execution, observed as the conductor does it: each answer is stored as JSON.

    Attributes:
        beside: Where steps of type ``http`` run, if not where the others do.
        forgetful: Nothing is remembered between two looks, as when each is another conductor's.
        cursors: The cursors of the tasks.
        wishes: What is wanted of single tasks.
        statuses: The statuses that were shown, each change once.
        shares: The progress that was shown.
    """

    definition: Definition
    root: Path
    launcher: ScriptedLauncher = field(default_factory=ScriptedLauncher)
    slots: Slots = field(default_factory=lambda: Slots(1000, None))
    watch: JobWatch | None = None
    beside: ScriptedLauncher | None = None
    beside_slots: Slots = field(default_factory=lambda: Slots(1000, None))
    inputs: Mapping[str, JSON] = field(default_factory=dict)
    id: str = "e1"
    base_env: Mapping[str, str] = field(default_factory=dict)
    log_room: LogRoom = field(default_factory=LogRoom)
    tasks: dict[str, Task] = field(default_factory=dict)
    forgetful: bool = False
    cursors: StoredCursors = field(default_factory=StoredCursors)
    wishes: dict[str, TaskWish] = field(default_factory=dict)
    log: list[NewLogEntry] = field(default_factory=list)
    statuses: list[ExecutionStatus] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    seen: Observation | None = None

    def __post_init__(self) -> None:
        self.plan = Plan.of(self.definition)
        self.recollection = Recollection(self.cursors)
        self.watch = self.watch or JobWatch(self.launcher)
        moment = datetime.now(UTC)
        self.execution = DrivenExecution(
            number=1, id=self.id, awf_name="flow-20260101-000000", orchestrator="local",
            workflow_id="flow", workflow_name="Flow",
            owner="ada", inputs=self.inputs, status=ExecutionStatus.PENDING,
            desired=DesiredState.RUN, created_at=moment, as_of=moment,
        )  # fmt: skip

    def observe(self) -> Observation:
        """Look once; what was seen is lost, as when the conductor is killed before it stores."""
        machine = Machine(
            self.launcher, self.watch, self.slots, self.root, 1.0, self.base_env, self.log_room
        )
        if self.beside is not None:
            beside = replace(
                machine,
                launcher=self.beside,
                watch=JobWatch(self.beside),
                slots=self.beside_slots,
                base_env={"PATH": "/of/this/machine"},
            )
            machine = replace(machine, beside=beside)
        seen, progress = look(
            self.execution,
            machine,
            lambda: self.recollection.take(self.execution, self.plan),
            lambda: self.wishes,
        )
        if not self.forgetful:
            self.recollection.keep(self.execution, progress)
        return seen

    def look(self, *, dies: bool = False) -> Observation:
        """Look once, store what was seen, and do what was to be done then.

        Args:
            dies: The conductor is killed in between.
        """
        seen = self.observe()
        self.log += seen.entries
        self.tasks |= {task.name: task for task in seen.tasks}
        self.shares.append(seen.progress)
        if self.statuses[-1:] != [seen.status]:
            self.statuses.append(seen.status)
        self.cursors.update(stored(seen.task_cursors))
        self.execution = replace(self.execution, cursor=stored(seen.cursor), status=seen.status)
        self.seen = seen
        if seen.once_stored is not None and not dies:
            seen.once_stored()
        return seen

    def want(self, desired: DesiredState) -> None:
        self.execution = replace(self.execution, desired=desired)

    def want_task(self, name: str, desired: DesiredTaskState, *, anew: bool = False) -> None:
        """Want something of one task, as the store writes it down."""
        known = self.wishes.get(name)
        number = known.generation if known else self.tasks[name].run if name in self.tasks else 0
        self.wishes = {**self.wishes, name: TaskWish(desired, number + anew)}
        count = self.execution.task_wishes + 1
        self.execution = replace(self.execution, task_wishes=count)

    def run_task(self, name: str) -> None:
        """Want another run of a task."""
        self.want_task(name, DesiredTaskState.RUNNING, anew=True)

    def stop_task(self, name: str) -> None:
        """Want that nothing of a task runs."""
        self.want_task(name, DesiredTaskState.STOPPED)

    def goes_on(self, *run: str, tasks: Mapping[str, JSON] | None = None) -> Bench:
        """Make the execution that goes on from this one, with some tasks to run.

        Args:
            run: Their names.
            tasks: The cursors of its tasks, where they are not kept with them.
        """
        cursors = self.cursors.of(self.execution)
        known = {name: TaskState.load(cursor) for name, cursor in (tasks or cursors).items()}
        run = tuple(with_elements(run, known))
        keep = [name for name in {**self.plan.steps, **known} if name not in run]
        carried = carry_over(self.execution, known, run, keep)
        kept = {
            name: cursor | {"origin": cursor.get("origin", self.id)}
            for name, cursor in cursors.items() if name not in run
        }  # fmt: skip
        other = Bench(
            self.definition, self.root, self.launcher, forgetful=self.forgetful,
            id=self.id + _GOES_ON, cursors=StoredCursors(kept | stored(carried.task_cursors)),
        )  # fmt: skip
        other.tasks = {
            name: replace(task, continued_from=task.continued_from or self.id)
            for name, task in self.tasks.items() if name not in run
        }  # fmt: skip
        other.tasks |= {task.name: task for task in carried.tasks}
        other.execution = replace(other.execution, cursor=stored(carried.cursor), continues=self.id)
        return other

    def finish(self, most: int = 50) -> Observation:
        """Look until the execution has ended.

        Args:
            most: Looks after which it should have ended.
        """
        for _ in range(most):
            if self.look().log_complete:
                assert self.seen is not None
                return self.seen
        raise AssertionError(f"not done after {most} looks: {self.shown}")

    def wait_for(self, condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """Look, with a pause between two looks, until something is so."""
        give_up_at = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < give_up_at, self.shown
            time.sleep(0.005)
            self.look()

    @property
    def shown(self) -> dict[str, TaskStatus]:
        return {name: task.status for name, task in self.tasks.items()}

    def texts(self, task: str | None = None) -> list[str]:
        return [entry.content for entry in self.log if task in (None, entry.task)]
