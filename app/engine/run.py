"""One look at one execution of the engine: what happened, and what can be begun now.

A :class:`Run` lives for one observation. All it knows of the past is the progress that is stored
with the last one, and the records in the jobs' folders. Whatever it did before a crash it finds
again there: starting a job is idempotent, and output is read from where the progress says. What it
does is in proportion to what happened, and not to the number of steps.

It begins, pauses and resumes nothing itself. What is to be done it prepares and hands out with the
observation, to be done once that is stored: a driver that lost its execution to another one cannot
store it, and a step of which the store does not know is never begun.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from operator import le
from pathlib import Path
from typing import Any

from app.clock import uptime
from app.domain import (
    BEGUN,
    JSON,
    LAST_LINES,
    DesiredState,
    DrivenExecution,
    ExecutionStatus,
    Level,
    LogStream,
    NewLogEntry,
    Observation,
    TaskStatus,
    TaskWish,
    Usage,
)
from app.durations import format_duration
from app.engine.command import build_job, environment, staging
from app.engine.ending import job_folder
from app.engine.evaluation.budget import Budget
from app.engine.expressions import evaluate
from app.engine.foreach import INDEX, gathered, values_of
from app.engine.header_fields import HeaderFields
from app.engine.launchers.base import (
    Job,
    JobPhase,
    JobState,
    Launcher,
    OutputLine,
    Stream,
    Watched,
    can_pause,
    pauser,
)
from app.engine.levels import BY_STREAM, level_of
from app.engine.log_room import LogRoom
from app.engine.model import MAX_STEPS, Element, StepDefinition, StepType
from app.engine.progress import Progress
from app.engine.slots import Lack, Slots
from app.engine.task_state import TaskState, moment
from app.engine.waiting import TELL_SECONDS, forget_waits, hold_up, note_waits
from app.engine.watch import JobWatch
from app.engine.wishes import follow
from app.errors import InvalidRequest, SlipwayError, UpstreamError, UpstreamRefused
from app.exit_codes import with_meaning
from app.job_resources import Resources

_STREAMS = {
    Stream.STDOUT: LogStream.STDOUT,
    Stream.STDERR: LogStream.STDERR,
    Stream.REMARK: LogStream.NONE,
}
_ALIVE = (JobPhase.QUEUED, JobPhase.RUNNING)
_READ_BYTES = 1024 * 1024
_TAIL_LINES = 5
_TAIL_CHARACTERS = 400
_SAFETY_SECONDS = 1.0
"""How long to wait at most for a launcher that should have rung."""
_LONGEST_SECONDS = 30.0
"""How long to wait at most for the next round of questions: slots are to be confirmed meanwhile."""
_REMAINS_SECONDS = 0.2
"""How often to look at what still runs of a lost job."""
_MEASURE_SECONDS = 10.0
"""How often it is looked at what running commands take."""
_FIRST_MEASURE_SECONDS = 1.0
"""From the beginning of a command to the first such look at it."""
_TOLD_OUTPUTS = 10
_MOST_STARTS = 3
_STARTING_SECONDS = 1.0
"""How long one look prepares tasks; those that are left begin with the next one."""
_HELD_UP_SECONDS = 5.0
"""How often it is tried to begin where nothing can begin for now."""
_ENDING_SECONDS = 10.0
"""Beyond the grace of a kill, until what lingers is ended without politeness."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What all runs of an engine share.

    Attributes:
        base_env: Variables that every command gets.
        log_room: How much is kept of what commands print.
        max_foreach: Most elements of a list for which a step runs.
        beside: Where steps of type ``http`` run: this machine, where the launcher's commands do
            not. None where all steps share one place.
    """

    launcher: Launcher
    watch: JobWatch
    slots: Slots
    executions_dir: Path
    kill_grace_seconds: float
    base_env: Mapping[str, str]
    log_room: LogRoom = field(default_factory=LogRoom)
    max_foreach: int = 1000
    beside: Machine | None = None

    def of(self, step: StepDefinition) -> Machine:
        """Return where a step runs."""
        return self.of_requests if step.type is StepType.HTTP else self

    @property
    def of_requests(self) -> Machine:
        """Where steps of type ``http`` run."""
        return self.beside or self

    @property
    def all(self) -> tuple[Machine, ...]:
        """This one, and the one beside it."""
        return (self,) if self.beside is None else (self, self.beside)


class Run:
    """Advances one execution by one observation.

    Args:
        execution: The execution.
        progress: How far it came.
        machine: What all runs share.
        wishes: What its user wants of single tasks, by name, where that is not followed yet.
        held_up: Why nothing can be begun now; empty where something can.

    Attributes:
        begins: It is about to begin something, so that a failure is one of that.
    """

    def __init__(
        self,
        execution: DrivenExecution,
        progress: Progress,
        machine: Machine,
        wishes: Mapping[str, TaskWish] | None = None,
        held_up: str = "",
    ) -> None:
        self.begins = False
        self._held_up = held_up
        self._execution = execution
        self._wishes = wishes
        self._progress = progress
        self._definition = progress.plan.definition
        self._machine = machine
        self._launcher = machine.launcher
        self._desired = _feasible(execution.desired, machine.launcher)
        self._folder = machine.executions_dir / execution.id
        self._work = machine.executions_dir / (progress.home or execution.id) / "work"
        self._entries: list[NewLogEntry] = []
        self._wait = _SAFETY_SECONDS
        self._usage: dict[str, Usage] = {}
        self._actions: list[Callable[[], None]] = []
        self._batches: dict[str, list[tuple[StepDefinition, Job]]] = {}  # of elements, by step
        self._has_folder: list[Machine] = []
        self._gathered: dict[str, Mapping[str, JSON]] = {}
        self._told_to_end: Collection[str] = ()
        self._stopped: set[str] = set()  # tasks that stand still, and have no processors
        self._refusal: str | None = None  # why nothing of it can begin, now or later

    @property
    def _steps(self) -> Mapping[str, StepDefinition]:
        """What each task does; elements of lists come to be on the way."""
        return self._progress.steps

    def advance(self) -> Observation:
        """Read output, note ends, follow the user's wish, and prepare what can begin.

        Raises:
            UpstreamError: The launcher cannot work now; what was done is found again next time.
        """
        self.begins = self._progress.begun_at is None
        if self.begins and self._held_up:
            self._hold_up()
            return self._observation()
        self._begin()
        self.begins = False
        self._follow_wishes()
        self._give_up()
        self._read_on()
        self._look_at_running()
        if self._desired is DesiredState.CANCEL:
            self._cancel()
        else:
            self._halt()
            self._skip()
            self._note_pause()
            if self._desired is DesiredState.RUN and self._held_up:
                self._hold_up()
            elif self._desired is DesiredState.RUN:
                self.begins = True
                self._start_ready()
                self._skip()
            else:
                self._wait_no_more()
        return self._observation()

    def _wait_no_more(self) -> None:
        """Leave the queue of the slots with tasks that are not to begin for now."""
        begun = self._progress.having(*BEGUN)
        for machine in self._machine.all:
            machine.slots.keep_only(self._execution.id, begun)

    def _begin(self) -> None:
        if self._progress.begun_at is not None:
            return
        try:
            self._find_its_place()
        except (InvalidRequest, UpstreamRefused) as exc:
            if self._desired is not DesiredState.CANCEL:
                self._refusal = exc.message
            return
        self._progress.begun_at = time.time()
        name, count = self._definition.name, len(self._steps)
        text = f"Execution of '{name}' began, {count} task(s)"
        if (before := self._execution.continues) is not None:
            text = f"Execution of '{name}' goes on from '{before}', {count} task(s)"
        self._remark(Level.INFO, text)

    def _find_its_place(self) -> None:
        """Have the folder made in which commands work, for whom they do."""
        if self._desired is DesiredState.CANCEL and not self._launcher.here:
            return  # nothing will run there, and where that would be may not answer
        for folder in dict.fromkeys((self._work.parent, self._folder)):
            self._launcher.place(folder, self._execution.owner)
        self._make_work_folder(self._machine)

    def _give_up(self) -> None:
        """Let nothing begin of what cannot begin for its owner, however often that is tried."""
        if self._refusal is None:
            return
        for name in self._progress.having(TaskStatus.PENDING):
            self._progress.move(name, TaskStatus.SKIPPED).error = self._refusal

    def _hold_up(self) -> None:
        """Begin nothing, and note why."""
        if not self._progress.having(*BEGUN):
            self._wait = _HELD_UP_SECONDS
        if hold_up(self._progress, self._progress.ready(uptime()), self._held_up):
            text = f"Nothing can begin yet, and it is tried again: {self._held_up}"
            self._remark(Level.WARN, text)

    def _make_work_folder(self, machine: Machine) -> None:
        machine.launcher.make_work_folder(
            self._work,
            self._definition.files if machine is self._machine else {},
            begun=self._progress.begun_at is not None or self._progress.home is not None,
        )

    def _follow_wishes(self) -> None:
        """Take up what is wanted of single tasks; an end that is wanted of all goes before."""
        if self._wishes is None:
            return
        self._progress.wishes = self._execution.task_wishes
        if self._desired is not DesiredState.CANCEL:
            follow(self._progress, self._wishes, self._tell)
            # Those that wait may not be to begin any more; the others queue up anew.
            self._wait_no_more()

    def _tell(self, name: str, what: str) -> None:
        self._remark(Level.WARN, f"Task '{name}' {what}", self._steps[name])

    def _halt(self) -> None:
        """End the jobs of tasks that are to stop, or to run anew."""
        for name in self._progress.having(*BEGUN):
            if self._progress[name].halted:
                self._cancel_job(name)

    def _look_at_running(self) -> None:
        for name, state in self._ask().items():
            self._look(self._steps[name], self._progress.changing(name), state)
        self._measure()
        self._share_out()

    def _share_out(self) -> None:
        """Keep what running tasks take, and free what those that stand still do not use."""
        id_, owner = self._execution.id, self._execution.owner
        for machine, names in self._by_machine(self._progress.having(*BEGUN)):
            taken = self._resources(names)
            running = {n: resources for n, resources in taken.items() if n not in self._stopped}
            machine.slots.confirm(id_, running, owner=owner)
            if self._desired is DesiredState.PAUSE:
                stopped = {name: taken[name] for name in names if name in self._stopped}
                machine.slots.stop(id_, stopped, owner=owner)

    def _by_machine(self, names: Iterable[str]) -> list[tuple[Machine, list[str]]]:
        """Return where tasks run, with those that do."""
        if self._machine.beside is None:
            return [(self._machine, list(names))]
        of = {name: self._machine.of(self._steps[name]) for name in names}
        return [
            (machine, [name for name, where in of.items() if where is machine])
            for machine in self._machine.all
        ]

    def _resources(self, names: Collection[str]) -> dict[str, Resources]:
        return {name: self._steps[name].resources for name in names}

    def _measure(self) -> None:
        """Note what running commands take: soon after their beginning, then now and then."""
        now = time.monotonic()
        fresh = [name for name, at in self._progress.unmeasured.items() if at <= now]
        for name in fresh:
            del self._progress.unmeasured[name]
        if now - self._progress.measured_at >= _MEASURE_SECONDS:
            self._progress.measured_at = now
            names = self._progress.having(TaskStatus.RUNNING)
        else:
            names = [n for n in fresh if self._progress[n].status is TaskStatus.RUNNING]
        for name in names:
            step, usage = self._steps[name], None
            with suppress(UpstreamError):  # a look is not to fail for this
                usage = self._launcher_of(step).usage(self._job_folder(step, self._progress[name]))
            if usage is not None:
                self._usage[name] = usage

    def _ask(self) -> dict[str, JobState]:
        """Ask where the jobs of running tasks stand; some may be missing."""
        begun = {name: self._progress[name] for name in self._progress.having(*BEGUN)}
        folders = {name: self._job_folder(self._steps[name], task) for name, task in begun.items()}
        found: dict[Path, JobState] = {}
        waits = []
        for machine, names in self._by_machine(begun):
            jobs = [Watched(folders[n], begun[n].process, begun[n].offset) for n in names]
            followed = self._execution.is_followed(time.time())
            seen = machine.watch.look(self._execution.id, jobs, followed=followed)
            found |= seen.states
            if seen.again_seconds is not None:
                waits.append(min(seen.again_seconds, _LONGEST_SECONDS))
            elif jobs:
                waits.append(self._wait)
        self._wait = min(waits, default=self._wait)
        states = {name: found[at] for name, at in folders.items() if at in found}
        self._told_to_end = {name for name, state in states.items() if state.cancel_asked}
        return states

    def _look(self, step: StepDefinition, task: TaskState, state: JobState) -> None:
        """Read what a running task wrote, and note its end once all of it is read."""
        state = _judge(state, task)
        task.process = state.process or task.process
        task.started_at = state.started_at or task.started_at
        task.node = state.node or task.node
        if state.phase is not JobPhase.QUEUED and task.queued is not None:
            self._progress.queue(step.id, None)
        if state.phase is JobPhase.PREPARED:
            self._start_again(step, task)
        elif state.lingers:
            self._end_remains(step, task, state)
        elif state.phase is JobPhase.QUEUED:
            self._note_queue(step, task, state)
        elif count := self._read(step, task, state):
            if state.phase is not JobPhase.RUNNING:
                self._wait = 0.0
                self._end_before_all_is_read(step, task, state, count)
        elif state.phase is not JobPhase.RUNNING:
            self._end(step, task, state)
        if task.status in BEGUN and not task.halted:
            self._pause_or_resume(step, state)

    def _end_before_all_is_read(
        self, step: StepDefinition, task: TaskState, state: JobState, count: int
    ) -> None:
        """Let the end of a cancelled task not wait for all that it had written."""
        if self._desired is DesiredState.CANCEL and count >= _READ_BYTES // 2:
            task.unread = True
            self._progress.unread.add(step.id)
            self._end(step, task, state)

    def _read_on(self) -> None:
        """Read what tasks had written before they were cancelled, which their end did not wait for.

        There may be very much of it.
        """
        for name in sorted(self._progress.unread):
            task = self._progress.changing(name)
            if not self._read(self._steps[name], task, JobState(JobPhase.EXITED)):
                task.unread = False
                self._progress.unread.discard(name)

    def _note_queue(self, step: StepDefinition, task: TaskState, state: JobState) -> None:
        """Note that a task waits for its turn where its launcher is, and why."""
        reason = state.reason or "it has not had its turn yet"
        if task.queued != reason:
            self._progress.queue(step.id, reason)
            self._remark(Level.INFO, f"Task '{step.id}' waits in the queue: {reason}", step)

    def _read(self, step: StepDefinition, task: TaskState, state: JobState) -> int:
        """Read what a task wrote, and return how much that was, as the launcher counts."""
        before = task.offset
        if state.output_end is not None and before >= state.output_end:
            return 0
        # The offset is stored with the lines, so what is read twice after a crash is stored once.
        folder = self._job_folder(step, task)
        lines, task.offset = self._launcher_of(step).read(folder, before, _READ_BYTES)
        self._keep(step, task, lines)
        if task.offset - before >= _READ_BYTES // 2:
            self._wait = 0.0
        last = (line.text[:_TAIL_CHARACTERS] for line in lines[-_TAIL_LINES:])
        task.tail = [*task.tail, *last][-_TAIL_LINES:]
        return task.offset - before

    def _keep(self, step: StepDefinition, task: TaskState, lines: Sequence[OutputLine]) -> None:
        """Make entries of lines, as far as there is room for them."""
        progress, owner = self._progress, self._execution.owner
        full = self._machine.log_room.full(owner, progress.kept_bytes)
        levels = {stream: Level(bits) for stream, bits in task.levels.items()}
        before = len(self._entries)
        for line in lines:
            level = levels.get(line.stream) if line.continues else None
            levels[line.stream] = level = level or level_of(line)
            if full and line.stream is not Stream.REMARK:
                progress.unkept_bytes += len(line.text) + 1
                continue
            progress.kept_bytes += len(line.text) + 1
            stamp = int(line.timestamp * 1000)
            self._entries.append(
                NewLogEntry(level, stamp, line.text, step.id, stream=_STREAMS[line.stream])
            )
        self._machine.log_room.note(owner, islice(self._entries, before, None))
        task.levels = {str(s): int(n) for s, n in levels.items() if n is not BY_STREAM[Stream(s)]}
        if full and progress.unkept_bytes and not progress.told_full:
            progress.told_full = True
            text = f"The log reached its limit of {full}: what follows is counted, and not kept"
            self._remark(Level.WARN, text)

    def _start_again(self, step: StepDefinition, task: TaskState) -> None:
        """Begin a job whose start was cut short; the launcher begins nothing twice."""
        if self._wishes is None:  # else it was put off, because something was wanted of some task
            task.starts += 1
        cancelled = task.halted or self._desired is DesiredState.CANCEL
        if not cancelled and task.starts <= _MOST_STARTS:
            self._launch(step, task)
        elif self._refuse(step, task, cancelled=cancelled):
            reason = "it could not be begun"
            self._end(step, task, JobState(JobPhase.LOST, cancelled=cancelled, reason=reason))
        else:
            machine = self._machine.of(step)
            machine.watch.touched(self._execution.id, self._job_folder(step, task))
            self._wait = 0.0  # it has begun after all

    def _refuse(self, step: StepDefinition, task: TaskState, *, cancelled: bool) -> bool:
        """Make sure that a job never begins, even by a driver that was stopped and goes on."""
        try:
            folder = self._job_folder(step, task)
            return self._launcher_of(step).refuse(folder, cancelled=cancelled)
        except UpstreamError:
            return True  # where no claim can be written, the job cannot be begun either

    def _end_remains(self, step: StepDefinition, task: TaskState, state: JobState) -> None:
        """End a job that runs without its records, before anything is begun in its place."""
        now = uptime()
        if task.lost_at is None:
            task.lost_at, task.error = now, state.reason
            text = f"Task '{step.id}' is lost: {state.reason}; what still runs of it is ended"
            self._remark(Level.ERROR, text, step)
        self._read(step, task, state)
        task.lost_at = min(task.lost_at, now)  # it may be of another start of the machine
        patience = self._machine.kill_grace_seconds + _ENDING_SECONDS
        if now - task.lost_at > 2 * patience:
            reason = f"{task.error}; what still runs of it could not be ended"
            self._end(step, task, replace(state, phase=JobPhase.LOST, reason=reason))
            return
        force = now - task.lost_at > patience
        folder, launcher = self._job_folder(step, task), self._launcher_of(step)
        self._act(step, folder, partial(launcher.end, folder, task.process, force=force))
        self._wait = min(self._wait, _REMAINS_SECONDS)

    def _end(self, step: StepDefinition, task: TaskState, state: JobState) -> None:
        machine = self._machine.of(step)
        machine.slots.give_back(self._execution.id, step.id)
        machine.watch.forget(self._execution.id, self._job_folder(step, task))
        if state.usage is not None:
            self._usage[step.id] = state.usage
        for loss in state.losses:
            self._remark(Level.WARN, loss, step)
        task.exit_code = state.exit_code
        task.finished_at = state.finished_at or max(task.started_at or 0.0, time.time())
        took = format_duration(round(task.finished_at - (task.started_at or task.finished_at), 3))
        # A command that was told to end may do so with exit code 0; its work is not done for that.
        told_to_end = state.timed_out or state.cancelled
        done = state.phase is JobPhase.EXITED and state.exit_code == 0 and state.fault is None
        if done and not told_to_end:
            self._succeed(step, task, took)
        elif state.cancelled or task.halted:
            word = "stopped as asked for," if task.halted else "cancelled"
            self._progress.move(step.id, TaskStatus.CANCELLED)
            task.error = f"{word} after {took}"
            self._remark(Level.WARN, f"Task '{step.id}' was {task.error}", step)
        else:
            self._fail(step, task, _reason(step, task, state, took))
        task.halted = False
        if task.next_run is not None and self._desired is not DesiredState.CANCEL:
            self._progress.run_again(step.id, task.next_run)

    def _succeed(self, step: StepDefinition, task: TaskState, took: str) -> None:
        folder = self._job_folder(step, task)
        try:
            self._stage_out(step, folder)
        except InvalidRequest as exc:
            self._fail(step, task, f"stage_out: {exc.message}")
            return
        try:
            task.outputs = len(self._launcher_of(step).outputs(folder))
        except InvalidRequest as exc:
            self._fail(step, task, f"its outputs cannot be read: {exc.message}")
            return
        self._progress.move(step.id, TaskStatus.SUCCESS)
        self._remark(Level.INFO, f"Task '{step.id}' succeeded after {took}", step)

    def _stage_in(self, launcher: Launcher, job: Job) -> None:
        if job.staging is None:
            return
        try:
            launcher.stage_in(job.folder, job.staging)
        except InvalidRequest as exc:
            raise InvalidRequest(f"stage_in: {exc.message}") from exc

    def _stage_out(self, step: StepDefinition, folder: Path) -> None:
        moved = staging(step, self._work)
        if moved is not None:
            self._launcher_of(step).stage_out(folder, moved)

    def _fail(self, step: StepDefinition, task: TaskState, reason: str) -> None:
        self._remark(Level.ERROR, f"Task '{step.id}' failed: {reason}", step)
        task.error = reason
        tried = task.attempt - task.earlier
        stays = task.halted or self._desired is DesiredState.CANCEL
        if tried > step.retries or stays:
            # What was to be stopped has not failed, whatever went wrong at its end.
            end = TaskStatus.CANCELLED if task.halted else TaskStatus.FAILED
            self._progress.move(step.id, end)
            return
        self._progress.retry(step.id, uptime() + step.retry_delay_seconds)
        delay = format_duration(step.retry_delay_seconds)
        text = f"Task '{step.id}': retry {tried} of {step.retries} in {delay}"
        self._remark(Level.WARN, text, step)

    def _cancel(self) -> None:
        self._wait_no_more()
        for name in self._progress.having(TaskStatus.PENDING):
            self._progress.move(name, TaskStatus.CANCELLED)
        for name in self._progress.having(*BEGUN):
            self._cancel_job(name)

    def _cancel_job(self, name: str) -> None:
        task = self._progress[name]
        if task.lost_at is None and name not in self._told_to_end:
            step = self._steps[name]
            folder = self._job_folder(step, task)
            self._act(step, folder, partial(self._launcher_of(step).cancel, folder))

    def _pause_or_resume(self, step: StepDefinition, state: JobState) -> None:
        """Stop or continue a command, where its last request was another one."""
        paused = self._desired is DesiredState.PAUSE
        if state.phase not in _ALIVE or self._desired is DesiredState.CANCEL:
            return
        task = self._progress[step.id]
        if self._gave_up_processors(step, task, state):
            self._stopped.add(step.id)  # and goes on when it has them again: see _resume
            return
        self._progress.move(step.id, TaskStatus.PAUSED if paused else TaskStatus.RUNNING)
        if state.pause_asked != paused:
            launcher = pauser(self._launcher_of(step))
            folder = self._job_folder(step, task)
            action = launcher.pause if paused else launcher.resume
            self._do_later(step, folder, partial(action, folder))

    def _gave_up_processors(self, step: StepDefinition, task: TaskState, state: JobState) -> bool:
        stands_still = task.status is TaskStatus.PAUSED and state.pause_asked
        return stands_still and not self._machine.of(step).slots.elsewhere

    def _resume(self, step: StepDefinition) -> None:
        """Let a task go on that has its processors again."""
        self._stopped.discard(step.id)
        task = self._progress.move(step.id, TaskStatus.RUNNING)
        task.waits = None
        folder = self._job_folder(step, task)
        self._do_later(step, folder, partial(pauser(self._launcher_of(step)).resume, folder))

    def _note_pause(self) -> None:
        paused = self._desired is DesiredState.PAUSE
        if paused != self._progress.paused:
            self._progress.paused = paused
            forget_waits(self._progress)
            costs = f"; {self._launcher.pause_costs}" if self._launcher.pause_costs else ""
            self._remark(Level.INFO, f"Execution paused{costs}" if paused else "Execution resumed")

    def _skip(self) -> None:
        """Give up the tasks that need one which did not succeed."""
        for name, failed in self._progress.doomed():
            error = f"needs '{failed}', which did not succeed"
            self._progress.skip(name, error)
            text = f"Task '{name}' is skipped: it {error}"
            self._remark(Level.WARN, text, self._steps[name])

    def _start_ready(self) -> None:
        now, until = uptime(), time.monotonic() + _STARTING_SECONDS
        while (listed := self._progress.next_list(now)) is not None:
            self._spread(self._steps[listed])
            if time.monotonic() > until:
                self._wait = 0.0
                return
        wanted = {**self._resources(self._stopped), **self._startable(now)}
        granted = self._take(wanted)
        next_retry = self._progress.next_retry()
        if next_retry is not None:
            self._wait = min(self._wait, max(0.0, next_retry - now))
        for name in granted:
            if name in self._stopped:
                self._resume(self._steps[name])
                continue
            self._start(self._steps[name])
            if time.monotonic() > until:  # expressions took long; others have their turn
                self._wait = 0.0
                return
        self._note_waits()

    def _spread(self, step: StepDefinition) -> None:
        """Make a task of each element of the list for which a step runs."""
        room = MAX_STEPS - len(self._steps)
        try:
            values = values_of(step, self._values(), self._machine.max_foreach, room)
        except InvalidRequest as exc:
            self._fail_unbegun(step, exc.message)
            return
        if values:
            number = "1 element" if len(values) == 1 else f"{len(values)} elements"
            self._remark(Level.INFO, f"Task '{step.id}' runs for {number}", step)
        self._progress.spread(step.id, values)

    def _tell_of_groups(self) -> None:
        """Say how steps ended that ran for elements."""
        for name in self._progress.take_ended_groups():
            task, step = self._progress[name], self._steps[name]
            if task.status is TaskStatus.SUCCESS:
                text = f"Task '{name}' succeeded: {task.elements} of {task.elements} elements"
                self._remark(Level.INFO, text, step)
            elif task.status is not TaskStatus.SKIPPED:  # else it was said why
                level = Level.ERROR if task.status is TaskStatus.FAILED else Level.WARN
                word = "failed" if task.status is TaskStatus.FAILED else "was cancelled"
                self._remark(level, f"Task '{name}' {word}: {task.error}", step)

    def _take(self, wanted: Mapping[str, Resources]) -> list[str]:
        """Reserve what there is room for; return the tasks that may begin or go on."""
        granted = []
        for machine, names in self._by_machine(wanted):
            granted += machine.slots.take(
                self._execution.id,
                {name: wanted[name] for name in names},
                owner=self._execution.owner,
                stopped=self._stopped.intersection(names),
            )
        return granted

    def _note_waits(self) -> None:
        """Note what tasks wait for, now and then: there may be thousands."""
        now = time.monotonic()
        if now - self._progress.waits_noted_at >= TELL_SECONDS:
            self._progress.waits_noted_at = now
            id_, machines = self._execution.id, self._machine.all
            names = dict.fromkeys(n for m in machines for n in m.slots.held_up(id_, TELL_SECONDS))
            self._entries += note_waits(self._progress, names, self._why)

    def _startable(self, now: float) -> Mapping[str, Resources]:
        """Return what the tasks that can begin take; those that never can fail."""
        ready, most = self._progress.ready(now), self._progress.plan.most
        if not any(machine.slots.beyond(most) for machine in self._machine.all):
            return ready  # so none of them is
        beyond = {
            name: why
            for name, resources in ready.items()
            if (why := self._machine.of(self._steps[name]).slots.beyond(resources))
        }
        for name, why in beyond.items():
            self._fail_unbegun(self._steps[name], f"resources: {why}")
        return ready

    def _fail_unbegun(self, step: StepDefinition, why: str) -> None:
        """Fail a task that cannot be begun here, however often that is tried."""
        task = self._progress.changing(step.id)
        task.error = why
        task.finished_at = time.time()
        self._progress.move(step.id, TaskStatus.FAILED)
        self._remark(Level.ERROR, f"Task '{step.id}' failed: {task.error}", step)

    def _why(self, name: str) -> tuple[Lack, str]:
        step = self._steps[name]
        return self._machine.of(step).slots.lack(self._execution.id, name, step.resources)

    def _start(self, step: StepDefinition) -> None:
        task = self._progress.begin(step.id, time.time())
        self._progress.unmeasured[step.id] = time.monotonic() + _FIRST_MEASURE_SECONDS
        run = f", run {task.run}" if task.run else ""
        if task.attempt > 1:
            self._usage[step.id] = Usage()
        attempt = f", attempt {task.attempt}" if task.attempt > 1 else ""
        self._remark(Level.INFO, f"Task '{step.id}' started{run}{attempt}", step)
        self._launch(step, task)

    def _launch(self, step: StepDefinition, task: TaskState) -> None:
        values, machine = self._values(step.element), self._machine.of(step)
        task.beside = machine is not self._machine
        if task.beside:
            step = replace(step, working_dir="")  # a folder of where all others run
        try:
            if not any(each is machine for each in self._has_folder):
                self._make_work_folder(machine)
                self._has_folder.append(machine)
            job = build_job(
                step,
                execution_id=self._execution.id,
                folder=self._job_folder(step, task),
                work=self._work,
                env=environment(machine.base_env, self._execution, step, task.attempt, values),
                values=values,
                kill_grace_seconds=self._machine.kill_grace_seconds,
            )
            job = replace(job, most_output_bytes=self._machine.log_room.most_bytes)
            self._stage_in(machine.launcher, job)
            if step.element is None:
                machine.launcher.prepare(job)
        except (InvalidRequest, UpstreamRefused) as exc:
            self._cannot_begin(step, task, exc.message)
        else:
            if step.element is None:
                self._do_later(step, job.folder, partial(machine.launcher.start, job))
            else:
                self._batches.setdefault(step.element.step, []).append((step, job))

    def _cannot_begin(self, step: StepDefinition, task: TaskState, why: str) -> None:
        self._machine.of(step).slots.give_back(self._execution.id, step.id)
        task.finished_at = time.time()
        self._fail(step, task, why)
        self._wait = 0.0  # what may fail lets others begin, which were not asked for

    def _launch_batches(self) -> None:
        """Prepare the elements of each step together that begin in this look."""
        for name, batch in self._batches.items():
            machine = self._machine.of(self._steps[name])
            refused = machine.launcher.prepare_many([job for _, job in batch])
            for step, job in batch:
                if (error := refused.get(job.folder)) is not None:
                    self._cannot_begin(step, self._progress[step.id], error.message)
            jobs = [job for _, job in batch if job.folder not in refused]
            if jobs:
                self._actions.append(partial(self._start_many, machine, jobs))
                self._wait = min(self._wait, machine.watch.soonest_seconds)

    def _start_many(self, machine: Machine, jobs: Sequence[Job]) -> None:
        """Begin the jobs of some elements of a step; what was known of them is then no more."""
        try:
            if len(jobs) == 1:
                machine.launcher.start(jobs[0])
            else:
                machine.launcher.start_many(jobs)
        finally:
            for job in jobs:
                machine.watch.touched(self._execution.id, job.folder)

    def _do_later(self, step: StepDefinition, folder: Path, action: Callable[[], None]) -> None:
        """Act upon a job once this look is stored."""
        self._actions.append(partial(self._act, step, folder, action))
        self._wait = min(self._wait, self._machine.of(step).watch.soonest_seconds)

    def _act(self, step: StepDefinition, folder: Path, action: Callable[[], None]) -> None:
        """Act upon a job; what was known of it is then no more."""
        watch = self._machine.of(step).watch
        try:
            action()
        finally:
            watch.touched(self._execution.id, folder)
        self._wait = min(self._wait, watch.soonest_seconds)

    def _observation(self) -> Observation:
        self._launch_batches()
        self._tell_of_groups()
        status, error, outputs = self._verdict()
        unread = bool(self._progress.unread)
        if unread:
            self._wait = 0.0
        elif status.final and (unkept := self._progress.unkept_bytes):
            text = f"{unkept} bytes of output were not kept, beyond the limit of the log"
            self._remark(Level.WARN, text)
        if status.final and not self._execution.status.final:
            level = Level.INFO if status is ExecutionStatus.SUCCESS else Level.ERROR
            text = f"Execution ended with status {status}" + (f": {error}" if error else "")
            self._remark(level, text)
        self._put_in_order()
        changes = self._progress.take_changes()
        return Observation(
            status=status,
            cursor=changes.cursor,
            tasks=changes.tasks,
            task_cursors=changes.task_cursors,
            attempts=changes.attempts,
            usage=self._usage,
            entries=tuple(self._entries),
            outputs=outputs,
            error=error,
            progress=self._progress.share_done(),
            started_at=moment(self._progress.first_start),
            finished_at=moment(self._progress.ended_at(time.time())) if status.final else None,
            poll_after_seconds=self._wait,
            log_complete=status.final and not unread,
            stays=self._machine.beside is not None and self._progress.plan.requests,
            once_stored=partial(_do_all, self._actions) if self._actions else None,
        )

    def _put_in_order(self) -> None:
        """Put entries in the order of their writing: tasks are read one after the other.

        Those of one task are in that order, although the clock may have been set back meanwhile.
        """
        stamps = [entry.timestamp_ms for entry in self._entries]
        if all(map(le, stamps, stamps[1:])):
            return
        latest: dict[str, int] = {}
        moments = []
        for entry in self._entries:
            moment_ms = max(latest.get(entry.task, 0), entry.timestamp_ms)
            latest[entry.task] = moment_ms
            moments.append(moment_ms)
        places = sorted(range(len(moments)), key=moments.__getitem__)
        self._entries = [self._entries[place] for place in places]

    def _verdict(self) -> tuple[ExecutionStatus, str | None, Mapping[str, JSON] | None]:
        """Return the status, the reason of a failure, and the outputs of a success."""
        if not self._progress.all_final():
            return self._open_status(), None, None
        if self._refusal is not None:
            return ExecutionStatus.FAILED, self._refusal, None
        for name in self._steps_having(TaskStatus.FAILED):
            if not self._steps[name].allow_failure:
                error = f"Task '{name}' failed: {self._progress[name].error}"
                return ExecutionStatus.FAILED, error, None
        if self._steps_having(TaskStatus.CANCELLED):
            return ExecutionStatus.CANCELLED, None, None
        if undone := self._steps_having(TaskStatus.SKIPPED):  # what it needs succeeded later
            error = f"Not all was done: task '{undone[0]}' has not run."
            return ExecutionStatus.CANCELLED, error, None
        outputs, faults = self._results()
        status = ExecutionStatus.FAILED if faults else ExecutionStatus.SUCCESS
        return status, _summary(faults), outputs

    def _steps_having(self, status: TaskStatus) -> list[str]:
        """List the steps that have a status; that of their elements is theirs."""
        return [n for n in self._progress.having(status) if self._steps[n].element is None]

    def _results(self) -> tuple[dict[str, JSON], list[str]]:
        """Evaluate the outputs: return those that have a value, and what is wrong with others."""
        values, budget = self._values(), Budget()
        outputs: dict[str, JSON] = {}
        faults = []
        for output in self._definition.outputs:
            try:
                outputs[output.name] = evaluate(output.value, values, budget)
            except InvalidRequest as exc:
                faults.append(f"Output '{output.name}' has no value: {exc.message}")
        return outputs, faults

    def _open_status(self) -> ExecutionStatus:
        if self._progress.paused:
            return ExecutionStatus.PAUSED
        begun = self._progress.first_start is not None
        return ExecutionStatus.RUNNING if begun else ExecutionStatus.PENDING

    def _values(self, element: Element | None = None) -> Mapping[str, Any]:
        """Return what expressions may refer to.

        Args:
            element: What the task is for in which they stand.
        """
        own = {} if element is None else {element.word: element.value, INDEX: element.index}
        return {
            **own,
            "inputs": self._execution.inputs,
            "steps": _StepValues(self._progress.plan.steps, self._step_values),
            "execution": {"id": self._execution.id},
        }

    def _step_values(self, name: str) -> Mapping[str, Any]:
        step, task = self._steps[name], self._progress[name]
        outputs: Mapping[str, JSON] = {}
        if task.elements is not None and task.status.final:
            outputs = self._gather(name)
        elif task.status is TaskStatus.SUCCESS:
            outputs = self._outputs(step, task)
        return {
            "outputs": outputs,
            "status": str(task.status),
            "exit_code": task.exit_code,
        }

    def _outputs(self, step: StepDefinition, task: TaskState) -> Mapping[str, JSON]:
        outputs = self._launcher_of(step).outputs(self._job_folder(step, task))
        if task.outputs not in (None, len(outputs)):
            raise InvalidRequest(f"The outputs of step '{step.id}' were removed from its folder.")
        if step.type is StepType.HTTP and isinstance(headers := outputs.get("headers"), dict):
            outputs = {**outputs, "headers": HeaderFields(headers)}
        return outputs

    def _gather(self, name: str) -> Mapping[str, JSON]:
        """Return the outputs of all elements of a step, read once for all who refer to them."""
        if name not in self._gathered:
            elements = self._progress.elements_of(name) or []
            self._gathered[name] = gathered(name, map(self._outputs_of, elements))
        return self._gathered[name]

    def _outputs_of(self, name: str) -> Mapping[str, JSON] | None:
        step, task = self._steps[name], self._progress[name]
        return self._outputs(step, task) if task.status is TaskStatus.SUCCESS else None

    def _launcher_of(self, step: StepDefinition) -> Launcher:
        return self._machine.of(step).launcher

    def _job_folder(self, step: StepDefinition, task: TaskState) -> Path:
        return job_folder(self._machine.executions_dir, self._execution.id, step.id, task)

    def _remark(self, level: Level, text: str, step: StepDefinition | None = None) -> None:
        now = datetime.now(UTC)
        stamp = int(now.timestamp() * 1000)
        self._entries.append(NewLogEntry(level, stamp, text, step.id if step else ""))


class _StepValues(Mapping[str, Any]):
    """The steps, each read only when an expression refers to it."""

    def __init__(self, names: Collection[str], read: Callable[[str], Mapping[str, Any]]) -> None:
        self._names = names
        self._read = read
        self._known: dict[str, Mapping[str, Any]] = {}

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _judge(state: JobState, task: TaskState) -> JobState:
    """Return what a state means for a job that was begun."""
    if task.lost_at is not None and not state.lingers:  # how we ended it says nothing
        return JobState(JobPhase.LOST, reason=task.error)
    if state.phase is JobPhase.ABSENT:  # it was prepared before the store knew of it
        return replace(state, phase=JobPhase.LOST, reason="its folder was removed")
    return state


def _feasible(desired: DesiredState, launcher: Launcher) -> DesiredState:
    """Let an execution go on that was paused before its launcher was one that cannot pause."""
    if desired is DesiredState.PAUSE and not can_pause(launcher):
        return DesiredState.RUN
    return desired


def _do_all(actions: Sequence[Callable[[], None]]) -> None:
    """Do everything, although one thing may fail.

    Raises:
        SlipwayError: The first that failed.
    """
    failure: SlipwayError | None = None
    for action in actions:
        try:
            action()
        except SlipwayError as exc:
            failure = failure or exc
    if failure is not None:
        raise failure


def _summary(faults: Sequence[str]) -> str | None:
    """Put what is wrong with outputs into one text; of very many the first are told."""
    if not faults:
        return None
    more = len(faults) - _TOLD_OUTPUTS
    return " ".join([*faults[:_TOLD_OUTPUTS], *([f"{more} more have none."] if more > 0 else [])])


def _reason(step: StepDefinition, task: TaskState, state: JobState, took: str) -> str:
    """Return why a task failed: how it ended, and its last lines."""
    if state.phase is JobPhase.LOST:
        reason = state.reason or "its process is gone, and with it the exit code"
    elif state.timed_out:
        reason = f"not done within {format_duration(step.limit_seconds or 0)}"
    elif state.fault:
        reason = state.fault
    elif state.reason:
        reason = f"{state.reason} (exit code {state.exit_code})"
    else:
        reason = f"{with_meaning(state.exit_code)} after {took}"
    if not task.tail:
        return reason
    return reason + LAST_LINES + "\n".join(task.tail)
