"""One look at an execution of virtual users: what is wanted of the slaves next, and what is told.

No input or output but what its facts do for it: :class:`Look` decides by the rows that were read,
and what it decides is written for exactly those rows. So it may be repeated, or be made by two at a
time.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from app.clock import Instant
from app.domain import JSON, DesiredState, ExecutionStatus, Level, NodeShare
from app.load import judging, planning
from app.load.definition import Definition, step_ids
from app.load.judging import Verdict
from app.load.measures import Report, closed, empty, merge
from app.load.modes import ends_at, most_vus, quota, vus_at
from app.load.planning import NotEnough, Part, Worker
from app.load.run_state import Cause, Phase, RunState
from app.load.segments import segment_of_json
from app.store.load_tasks import DesiredTask, LoadRun, LoadTask
from app.store.slaves import Slave

_COME_MS: Final = 30_000
"""How long slaves are waited for that were there when the execution was launched, or are called."""
_GENTLY_MS: Final = 35_000
"""Iterations under way have 30 s to end; how long the word of it is waited for, in all."""
_AT_ONCE_MS: Final = 5_000
"""The same where they are cut, after 2 s."""
_JUDGE_MS: Final = 1_500
"""How often thresholds are judged while it runs."""
_MEASURE_MS: Final = 900
"""How often figures are written; a little less than a second, which looks are apart."""
_EARLY_US: Final = 1_000_000
"""How much sooner than here a slave may see the end: clocks differ, and so do delays."""
_TURN_SECONDS: Final = 0.2
"""How often it is looked whether slaves have let go of the virtual users that others get."""
_MOST_KINDS: Final = 20
"""Kinds of errors of which the first one is told in the journal."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a look decides by.

    Attributes:
        desired: What its user wants.
        definition: With its inputs.
        keep: Keeps it for the slaves, and returns the digest that names it; only a look that begins
            asks for that.
        run: Its tasks, and what they reported.
        slaves: All that there are, by id.
        workers: The same, as planning sees them.
        at: Now.
        away_seconds: A slave of which nobody has heard for so long is lost.
        longest_us: How long its user may let it run; None for any time.
        written: Reads the figures that were written last, and their course; only a look that writes
            others asks for them.
        new_id: Makes ids of tasks.
    """

    desired: DesiredState
    definition: Definition
    keep: Callable[[], str]
    run: LoadRun
    slaves: Mapping[str, Slave]
    workers: Sequence[Worker]
    at: Instant
    away_seconds: float
    longest_us: int | None
    written: Callable[[], tuple[Report | None, JSON]]
    new_id: Callable[[], str]


@dataclass(slots=True)
class Outcome:
    """What a look decided.

    Attributes:
        state: To be remembered.
        tasks: Those that are new, or wanted otherwise than before.
        report: What was measured, with the figures of the execution.
        document: To be shown; None if nothing is to be written.
        series: Its course.
        calls: Ids of local slaves that are to be started.
        progress: Share that is done.
        look_again_seconds: When the next look makes sense.
    """

    state: RunState
    tasks: list[DesiredTask] = field(default_factory=list)
    report: Report = field(default_factory=empty)
    document: JSON = None
    series: JSON = None
    calls: list[str] = field(default_factory=list)
    progress: float = 0.0
    look_again_seconds: float = 1.0


class Look:
    """Decides what is next.

    Args:
        facts: All that it decides by.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._options = facts.definition.options
        self._state = RunState.of_json(facts.run.state)
        self._now = self._state.read_clock(facts.at)
        self._wall = facts.at.wall_ms
        self._out = Outcome(self._state)
        self._wanted: dict[str, DesiredTask] = {}

    def decide(self) -> Outcome:
        """Return what is to be written, and told."""
        state = self._state
        if state.phase is not Phase.OVER:
            if state.clock is None:
                state.keep_clock(self._facts.at, self._now)
            self._heed()
            if state.phase is Phase.WAITING:
                self._begin()
            elif state.phase is Phase.RUNNING:
                self._tend()
            if state.phase is Phase.ENDING:
                self._end()
            self._measure()
            self._assign()
        return self._out

    # What the user wants.

    def _heed(self) -> None:
        state = self._state
        if self._facts.desired is DesiredState.CANCEL:
            if state.stop != "now" or state.cause is not Cause.CANCELLED:
                state.end(self._now, "now", Cause.CANCELLED)
                state.tell(self._wall, Level.INFO, "The end was asked for.")
            return
        if state.phase is not Phase.RUNNING:
            return
        paused = self._facts.desired is DesiredState.PAUSE
        if paused and state.since_ms is not None:
            state.stop_clock(self._now)
            state.tell(self._wall, Level.INFO, f"Paused after {self._seconds()} s.")
        elif not paused and state.since_ms is None:
            state.start_clock(self._now)
            state.tell(self._wall, Level.INFO, "Resumed.")
        if self._facts.run.scaled != state.scaled:
            state.scaled = self._facts.run.scaled
            text = f"Scaled to {state.scaled} virtual users after {self._seconds()} s."
            state.tell(self._wall, Level.INFO, text)

    # The beginning.

    def _begin(self) -> None:
        """Choose the slaves, once all of them are there."""
        state, facts = self._state, self._facts
        if facts.desired is DesiredState.PAUSE:
            return
        if state.waiting_ms is None:
            state.waiting_ms = self._now
        state.scaled = facts.run.scaled
        vus = most_vus(self._options, state.scaled)
        needed = planning.needs(facts.definition)
        try:
            chosen = planning.choose(self._options.target, needed, facts.workers, vus)
        except NotEnough as exc:
            self._wait_for_slaves(exc.message)
            return
        self._out.calls = [worker.id for worker in chosen if not worker.connected]
        if self._out.calls:
            self._wait_for_slaves("The local slave has not started.")
            return
        state.phase, state.digest = Phase.RUNNING, facts.keep()
        state.wanted, state.began_ms, state.waiting_ms = len(chosen), self._now, None
        state.start_clock(self._now)
        names = ", ".join(worker.id for worker in chosen[:10])
        text = f"Begun on {len(chosen)} slave(s): {names}{', ...' if len(chosen) > 10 else ''}."
        state.tell(self._wall, Level.INFO, text)
        self._share([], chosen)

    def _wait_for_slaves(self, why: str) -> None:
        state = self._state
        self._out.look_again_seconds = 0.1 if self._out.calls else 0.5
        if state.waiting_ms is not None and self._now - state.waiting_ms > _COME_MS:
            state.fail(self._wall, "EXECUTION_ERROR", why)
            state.end(self._now, "now", Cause.DESERTED)

    # While it runs.

    def _tend(self) -> None:
        state, facts = self._state, self._facts
        live = [task for task in self._at_it() if self._is_alive(task.desired)]
        absent = [task for task in self._at_it() if not self._is_alive(task.desired)]
        joins = self._joining(live)
        if absent and (live or joins):
            self._write_off(absent)
        elif absent:
            self._is_deserted(absent)
        else:
            state.deserted_ms = None
        if live or joins:
            self._share(live, joins)
        self._note_stage()
        elapsed, end = state.elapsed_at(self._now), ends_at(self._options)
        if end is not None and elapsed >= end:
            state.end(self._now, "gently", Cause.DONE)
            state.elapsed_us = end
        elif facts.longest_us is not None and elapsed >= facts.longest_us:
            state.end(self._now, "gently", Cause.TOO_LONG)
            state.elapsed_us = facts.longest_us
            text = f"It has run for {facts.longest_us / 1e6:g} s, the longest that its user may."
            state.fail(self._wall, "EXECUTION_ERROR", text)
        elif live and not joins and self._has_run_out(live, end):
            state.end(self._now, "gently", Cause.DONE)
        elif end is not None and state.since_ms is not None:
            self._out.look_again_seconds = min(1.0, max(0.02, (end - elapsed) / 1e6))

    def _at_it(self) -> list[LoadTask]:
        """Return the tasks that count as shares of the whole."""
        gone = set(self._state.gone)
        return [task for task in self._facts.run.tasks if task.desired.id not in gone]

    def _is_alive(self, task: DesiredTask) -> bool:
        """Return whether the process that a task belongs to may still be at it."""
        slave = self._facts.slaves.get(task.slave)
        return (
            slave is not None
            and slave.incarnation == task.incarnation
            and slave.is_connected(self._facts.away_seconds)
        )

    def _joining(self, live: Sequence[LoadTask]) -> list[Worker]:
        """Choose who joins, where slaves are missing; local ones are called first."""
        workers = {worker.id: worker for worker in self._facts.workers}
        at_it = {task.desired.slave: workers[task.desired.slave].room for task in live}
        # Who was lost, and has not let go of it yet, would do it twice.
        gone = set(self._state.gone)
        for task in self._facts.run.tasks:
            if task.desired.id in gone and not task.ended and self._is_alive(task.desired):
                at_it.setdefault(task.desired.slave, 0)
        found = planning.joining(
            self._options.target,
            planning.needs(self._facts.definition),
            self._facts.workers,
            at_it=at_it,
            wanted=self._state.wanted,
            vus=most_vus(self._options, self._state.scaled),
        )
        self._out.calls = [worker.id for worker in found if not worker.connected]
        joins = [worker for worker in found if worker.connected]
        for worker in joins:
            self._state.tell(self._wall, Level.INFO, f"The slave '{worker.id}' has joined.")
        return joins

    def _write_off(self, absent: Sequence[LoadTask]) -> None:
        """Give the shares of slaves that were lost to others; what they reported counts."""
        state = self._state
        for task in absent:
            state.gone.append(task.desired.id)
            if not self._has_ended(task):
                text = f"The slave '{task.desired.slave}' was lost; others have its share now."
                state.fail(self._wall, "CONNECTION_ERROR", text)
        state.deserted_ms = None

    def _is_deserted(self, absent: Sequence[LoadTask]) -> None:
        """Wait for one of the slaves to come back, since there is nobody else."""
        state = self._state
        if state.deserted_ms is None:
            state.deserted_ms = self._now
            names = ", ".join(sorted(task.desired.slave for task in absent)[:10])
            text = f"No slave is left; one of these is waited for: {names}."
            state.tell(self._wall, Level.WARN, text)
        if self._now - state.deserted_ms > self._facts.away_seconds * 1000:
            state.gone += [task.desired.id for task in absent]
            state.fail(self._wall, "CONNECTION_ERROR", "All slaves were lost.")
            state.end(self._now, "now", Cause.DESERTED)

    def _share(self, live: Sequence[LoadTask], joins: Sequence[Worker]) -> None:
        """Share the execution out over those who are at it, and those who join."""
        facts, state = self._facts, self._state
        workers = {worker.id: worker for worker in facts.workers}
        parts = [_part(task) for task in live]
        parts += [Part("", worker.id, worker.incarnation) for worker in joins]
        elsewhere = [task for task in facts.run.tasks if task.desired.id in set(state.gone)]
        shares = planning.share_out(
            self._options,
            state.scaled,
            parts,
            workers,
            done_elsewhere=sum(_done(task) for task in elsewhere),
        )
        for part in shares.parts:
            task = self._task(part)
            self._wanted[task.id] = task
            if part.max_vus < part.reserved:
                self._out.look_again_seconds = _TURN_SECONDS
        if shares.lacking != state.lacking:
            if shares.lacking > state.lacking:
                text = f"The slaves have no room for {shares.lacking} of the virtual users."
                state.tell(self._wall, Level.WARN, text)
            state.lacking = shares.lacking

    def _task(self, part: Part) -> DesiredTask:
        state = self._state
        return DesiredTask(
            id=part.task or self._facts.new_id(),
            execution_id="",  # as it stands in the row, or is put there by whoever writes it
            slave=part.slave,
            incarnation=part.incarnation,
            generation=1,
            digest=state.digest,
            segment=tuple(part.segment.to_json()),
            scaled=state.scaled,
            quota=part.quota,
            max_vus=part.max_vus,
            reserved=part.reserved,
            elapsed_us=state.elapsed_us,
            since=state.running_since(),
            paused=state.since_ms is None,
            stop="no",
        )

    def _has_run_out(self, live: Sequence[LoadTask], end: int | None) -> bool:
        """Return whether all have come to the end by themselves, and nothing is left to begin."""
        if not all(self._has_ended(task) for task in live):
            return False
        if any(
            self._wanted[task.desired.id].quota != task.desired.quota for task in live
        ):  # somebody gets more
            return False
        total = quota(self._options, self._state.scaled)
        if total is None:
            return end is not None and self._state.elapsed_at(self._now) >= end - _EARLY_US
        gone = set(self._state.gone)
        given = sum(
            _done(task) if task.desired.id in gone else task.desired.quota or 0
            for task in self._facts.run.tasks
        )
        # One that has ended before has been asked to leave: somebody else will do the rest.
        return given >= total and all(
            _count(task, "claimed") >= (task.desired.quota or 0) for task in live
        )

    @staticmethod
    def _has_ended(task: LoadTask) -> bool:
        return task.ended and task.generation >= task.desired.generation

    def _note_stage(self) -> None:
        state, left = self._state, self._state.elapsed_at(self._now)
        for number, stage in enumerate(self._options.stages):
            if left < stage.duration_us:
                if number > state.stage:
                    name = f" '{stage.name}'" if stage.name else ""
                    text = (
                        f"Stage {number + 1} of {len(self._options.stages)}{name} has begun: to "
                        f"{float(stage.target):g} in {stage.duration_us / 1e6:g} s."
                    )
                    state.tell(self._wall, Level.INFO, text)
                    state.stage = number
                return
            left -= stage.duration_us

    # The end.

    def _end(self) -> None:
        """Ask all to end, and wait for their last words."""
        state = self._state
        waited_ms = self._now - (state.stop_ms or self._now)
        if state.stop == "gently" and waited_ms > _GENTLY_MS:
            state.stop, state.stop_ms, waited_ms = "now", self._now, 0
        open_ = [task for task in self._at_it() if not self._is_settled(task)]
        if state.stop == "now" and waited_ms > _AT_ONCE_MS:
            for task in open_:
                state.gone.append(task.desired.id)
                text = f"The slave '{task.desired.slave}' has not said how it ended."
                state.fail(self._wall, "CONNECTION_ERROR", text)
            open_ = []
        if open_:
            self._out.look_again_seconds = 0.2
            return
        state.phase, state.finished_ms = Phase.OVER, self._now

    def _is_settled(self, task: LoadTask) -> bool:
        """Return whether the last word of a task is in, or none will come."""
        if not self._is_alive(task.desired):
            return True
        # What it was told last is to end: it had ended all the same.
        told = task.desired.generation - (1 if task.desired.stop != "no" else 0)
        return task.ended and task.generation >= told

    # The figures.

    def _measure(self) -> None:
        """Sum up what was reported, and judge by it."""
        state = self._state
        report = self._out.report = self._report()
        over = state.phase is Phase.OVER
        self._note_errors(report, over=over)
        self._note_full()
        if state.began_ms is None and not over:
            return
        judges = over or self._now - state.judged_ms >= _JUDGE_MS
        writes = over or self._now - state.measured_ms >= _MEASURE_MS
        verdicts = judging.verdicts(self._options, report) if judges or writes else []
        if judges:
            state.judged_ms = self._now
            self._judge(verdicts, over=over)
        self._out.progress = self._progress(report)
        if not writes:
            return
        state.measured_ms = self._now
        state.keep_clock(self._facts.at, self._now)
        before, series = self._facts.written()
        self._out.series = judging.extended(series, before, report, self._now, last=over)
        self._out.document = judging.document(
            report,
            steps=step_ids(self._facts.definition),
            thresholds=verdicts,
            nodes=self._nodes(),
            errors=state.errors,
            final=over,
        )

    def _report(self) -> Report:
        state = self._state
        gone = set(state.gone)
        reports = [
            closed(task.report) if task.desired.id in gone else task.report
            for task in self._facts.run.tasks
            if task.report is not None
        ]
        whole = merge(reports)
        elapsed = state.elapsed_at(self._now)
        if state.phase is Phase.OVER and quota(self._options, state.scaled) is not None:
            # Slaves know better when the last iteration ended than who hears of it later.
            elapsed = min(elapsed, whole["running_us"] or elapsed)
        wanted = vus_at(self._options, state.scaled, elapsed) if state.began_ms else 0
        state.vus = wanted or state.vus
        most = max(most_vus(self._options, state.scaled), whole["vus"])
        state.vus_max = max(state.vus_max, min(whole["vus_max"], most))
        vus = state.vus if state.phase is Phase.OVER else whole["vus"]
        return {**whole, "running_us": elapsed, "vus": vus, "vus_max": state.vus_max}

    def _judge(self, verdicts: Sequence[Verdict], *, over: bool) -> None:
        """Tell of the thresholds that did not hold before, or do not now."""
        state, known = self._state, self._state.passed
        known += [None] * (len(verdicts) - len(known))
        for number, each in enumerate(verdicts):
            said = f"{each.threshold.metric} {each.threshold.condition}"
            if over and not each.passed:
                value = f"{each.value:g}" if each.measured else "nothing was measured"
                text = f"The threshold '{said}' did not hold at the end: {value}."
                state.fail(self._wall, "THRESHOLD_FAILED", text)
            elif each.measured and not over and known[number] is not each.passed:
                if not each.passed:
                    text = f"The threshold '{said}' does not hold: {each.value:g}."
                    state.tell(self._wall, Level.WARN, text)
                elif known[number] is False:
                    text = f"The threshold '{said}' holds again: {each.value:g}."
                    state.tell(self._wall, Level.INFO, text)
            known[number] = each.passed if each.measured else None
        if over:
            self._conclude(all(each.passed for each in verdicts))

    def _conclude(self, held: bool) -> None:
        """Decide the last status."""
        state = self._state
        if state.cause is Cause.CANCELLED:
            state.status = ExecutionStatus.CANCELLED
        elif state.cause is Cause.DONE and held:
            state.status = ExecutionStatus.SUCCESS
        else:
            state.status = ExecutionStatus.FAILED
            first = next(
                (e for e in state.errors if e["code"] != "CONNECTION_ERROR"), state.errors[-1]
            )
            state.error = first["message"]
        state.tell(self._wall, Level.INFO, f"Ended after {self._seconds()} s of running.")

    def _note_errors(self, report: Report, *, over: bool) -> None:
        """Tell of the first error of each kind; at the end, how many of each there were."""
        state, errors = self._state, report["errors"][:_MOST_KINDS]
        for error in errors:
            kind = zlib.crc32(repr((error["code"], error["message"], error["step_id"])).encode())
            if kind not in state.kinds and len(state.kinds) < _MOST_KINDS:
                state.kinds.append(kind)
                text = f"{error['code']}: {error['message']} (the first of its kind)"
                state.tell(error["first_ms"], Level.ERROR, text, error["step_id"])
            if over:
                text = f"{error['code']}: {error['message']} ({error['count']} in all)"
                state.tell(self._wall, Level.ERROR, text, error["step_id"])

    def _note_full(self) -> None:
        """Tell of slaves that have no processor time left: what they measure tells of them."""
        state = self._state
        for task in self._at_it():
            slave = self._facts.slaves.get(task.desired.slave)
            if slave is not None and slave.load >= 1.0 and slave.id not in state.full:
                state.full.append(slave.id)
                text = (
                    f"The slave '{slave.id}' is full: durations may tell of it, and not of what it "
                    "calls."
                )
                state.tell(self._wall, Level.WARN, text)

    def _progress(self, report: Report) -> float:
        state = self._state
        if state.phase is Phase.OVER and state.status == ExecutionStatus.SUCCESS:
            return 1.0
        end, total = ends_at(self._options), quota(self._options, state.scaled)
        by_time = report["running_us"] / end if end else 0.0
        by_iterations = report["iterations"] / total if total else 0.0
        # In whole percents: each change of it wakes whoever waits for the execution.
        return min(1.0, int(max(by_time, by_iterations) * 100) / 100)

    def _nodes(self) -> list[NodeShare]:
        """Return who does what, by slave; of one that came back, its last share."""
        nodes: dict[str, NodeShare] = {}
        gone = set(self._state.gone)
        tasks = sorted(
            self._facts.run.tasks, key=lambda task: (task.desired.id not in gone, task.at)
        )
        for task in tasks:
            segment = segment_of_json(list(self._segment(task)))
            before = nodes.get(task.desired.slave)
            nodes[task.desired.slave] = NodeShare(
                task.desired.slave,
                self._status_of(task, lost=task.desired.id in gone),
                _count(task, "completed_vus") + (before.completed_vus if before else 0),
                _done(task) + (before.completed_iterations if before else 0),
                (float(segment.start), float(segment.end)),
            )
        known = {task.desired.id for task in tasks}
        for new in (task for id_, task in self._wanted.items() if id_ not in known):
            segment = segment_of_json(list(new.segment))
            before = nodes.get(new.slave)
            nodes[new.slave] = NodeShare(
                new.slave,
                ExecutionStatus.RUNNING,
                before.completed_vus if before else 0,
                before.completed_iterations if before else 0,
                (float(segment.start), float(segment.end)),
            )
        return [nodes[id_] for id_ in sorted(nodes)]

    def _segment(self, task: LoadTask) -> Sequence[int]:
        wanted = self._wanted.get(task.desired.id)
        return (wanted or task.desired).segment

    def _status_of(self, task: LoadTask, *, lost: bool) -> ExecutionStatus:
        if lost:
            return ExecutionStatus.FAILED
        if self._state.phase is Phase.OVER:
            cancelled = self._state.cause is Cause.CANCELLED
            return ExecutionStatus.CANCELLED if cancelled else ExecutionStatus.SUCCESS
        if self._has_ended(task):
            return ExecutionStatus.SUCCESS
        paused = self._state.since_ms is None and self._state.phase is Phase.RUNNING
        return ExecutionStatus.PAUSED if paused else ExecutionStatus.RUNNING

    def _seconds(self) -> str:
        return f"{self._state.elapsed_at(self._now) / 1e6:.3g}"

    # What the slaves are told.

    def _assign(self) -> None:
        """Compare what is wanted with what was, and number what differs."""
        state, gone = self._state, set(self._state.gone)
        known = {task.desired.id: task.desired for task in self._facts.run.tasks}
        for id_, before in known.items():
            wanted = self._wanted.get(id_, before)
            if id_ in gone:
                wanted = replace(before, stop="now", reserved=0)
            elif state.phase is not Phase.RUNNING:
                wanted = replace(before, stop=state.stop)
            wanted = replace(wanted, execution_id=before.execution_id, generation=before.generation)
            same = replace(wanted, elapsed_us=before.elapsed_us, since=before.since)
            if same != before:
                self._out.tasks.append(replace(wanted, generation=before.generation + 1))
        if state.phase is Phase.RUNNING:
            self._out.tasks += [task for id_, task in self._wanted.items() if id_ not in known]


def _part(task: LoadTask) -> Part:
    wanted = task.desired
    follows = task.report is not None and task.generation >= wanted.generation
    running = _count(task, "vus")
    return Part(
        wanted.id,
        wanted.slave,
        wanted.incarnation,
        segment_of_json(list(wanted.segment)),
        wanted.quota,
        wanted.max_vus,
        running=running if follows else max(running, wanted.max_vus),
        claimed=_count(task, "claimed"),
        follows=follows,
    )


def _done(task: LoadTask) -> int:
    return _count(task, "iterations")


def _count(task: LoadTask, name: str) -> int:
    return int(task.report[name]) if task.report else 0
