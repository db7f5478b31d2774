"""A store, an orchestrator of virtual users and its conductor, and slaves that only count.

They live in a time of their own, which goes on when a test says so. A simulated slave does what it
is told, by the same formulas as a real one, and reports it through the store; each of its
iterations takes a tenth of a second, and its target remembers all of them.
"""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from service_kit import settings_in
from sqlalchemy import select

from app.clients.orchestrator import Context
from app.clock import Instant
from app.domain import DrivenExecution, Identity, Role
from app.load import definition as definitions
from app.load.definition import Definition, HttpConfig, Mode, Options, Step
from app.load.histogram import Histogram
from app.load.measures import empty
from app.load.modes import ARRIVALS, due_count, ends_at, vus_at
from app.load.orchestrator import LoadOptions, LoadOrchestrator
from app.load.segments import segment_of_json
from app.store.database import Database
from app.store.definitions import DefinitionSnapshots
from app.store.driving import DrivenExecutions
from app.store.launches import Intent, Launches
from app.store.load_tasks import DesiredTask, LoadTasks
from app.store.schema import log_entries
from app.store.slaves import Beat, NewSlave, Slaves, TaskReport
from app.store.steering import SteeredExecutions

ADA = Identity("ada", frozenset({Role.DEVELOPER}))
CONDUCTOR = "conductor-1"
ITERATION_MS = 100
SILENT = 5.0


def options(mode: Mode = Mode.CONSTANT_VUS, **more: Any) -> Options:
    return Options(mode, **more)


def definition(id_: str = "flow", chosen: Options | None = None, **more: Any) -> Definition:
    step = Step("s1", "s1", HttpConfig("http://127.0.0.1:1/"))
    return Definition(id_, id_, (step,), chosen or options(duration_us=10_000_000), **more)


@dataclass
class Clock:
    """The time of a test, and what the clock of its machine shows."""

    at: Instant = field(default_factory=Instant.now)

    def pass_by(self, seconds: float) -> None:
        self.at = self.at.after(seconds)

    def set(self, seconds: float) -> None:
        """Set the clock forward, or back."""
        self.at = replace(self.at, wall=self.at.wall + seconds)


class _Running:
    """One task, as a slave knows it."""

    def __init__(self, definition_: Definition) -> None:
        self.options = definition_.options
        self.wanted: DesiredTask | None = None
        self.report: dict[str, Any] = empty()
        self.durations = Histogram()
        self.due = 0
        self.vus = 0

    def advance(self, milliseconds: int) -> int:
        """Do what is to be done in a stretch of time; return how many iterations that was."""
        wanted = self.wanted
        assert wanted is not None
        wire, options_ = wanted.wire(), self.options
        segment, end = segment_of_json(wire["segment"]), ends_at(options_)
        elapsed = wire["elapsed_us"]
        over = end is not None and elapsed >= end
        idle = wanted.paused or wanted.stop != "no"
        total = 0 if idle or over else vus_at(options_, wanted.scaled, elapsed)
        self.vus = min(wanted.max_vus, segment.share(total))
        number = self.vus * milliseconds // ITERATION_MS
        if options_.mode in ARRIVALS:
            due = segment.share(due_count(options_, elapsed))
            number, self.due = (0 if idle else max(0, due - self.due)), due
        if wanted.quota is not None:
            number = min(number, wanted.quota - self.report["claimed"])
        self._count(number, elapsed)
        left = wanted.quota is None or wanted.quota > self.report["claimed"]
        runs = left and (self.vus or segment.share(vus_at(options_, wanted.scaled, elapsed)))
        self.report["ended"] = bool(wanted.stop != "no" or over or not runs) and not (
            wanted.paused and wanted.stop == "no"
        )
        self.report["vus"] = 0 if self.report["ended"] else self.vus
        return number

    def _count(self, number: int, elapsed: int) -> None:
        for _ in range(number):
            self.durations.add(ITERATION_MS * 1000)
        counts, report = self.durations.counts(), self.report
        report["claimed"] += number
        report["iterations"] += number
        report["vus_max"] = max(report["vus_max"], self.vus)
        report["running_us"] = elapsed
        report["iteration"] = counts
        report["requests"] = {**counts, "failed": 0}
        report["steps"] = {
            "s1": {"count": counts["n"], "success": counts["n"], "failure": 0, "duration": counts}
        }


class SimulatedSlave:
    """A process of a slave, with the connection that the master holds."""

    def __init__(self, world: World, id_: str, incarnation: str = "", **more: Any) -> None:
        self.world = world
        self.id = id_
        self.incarnation = incarnation or uuid.uuid4().hex[:12]
        self.connection = uuid.uuid4().hex
        self.running: dict[str, _Running] = {}
        self.done = 0
        self.load = 0.1
        self._numbers = itertools.count(1)
        values: dict[str, Any] = {
            "type": "worker", "address": "host:1", "labels": {}, "cpu_cores": 2,
            "memory_mb": 1024, "max_vus": 100,
            "capabilities": ["http_executor", "script_executor"],
        } | more  # fmt: skip
        self.new = NewSlave(
            id=id_, incarnation=self.incarnation, connection=self.connection, **values
        )
        world.slaves.register(self.new, SILENT)

    def listen(self) -> None:
        """Hear what is wanted."""
        wanted = {task.id: task for task in self.world.tasks.of_slave(self.id, self.incarnation)}
        for id_ in [id_ for id_ in self.running if id_ not in wanted]:
            del self.running[id_]
        for id_, task in wanted.items():
            if id_ not in self.running:
                document = self.world.snapshots.get(task.digest)
                self.running[id_] = _Running(definitions.of_json(document))
            known = self.running[id_].wanted
            if known is None or task.generation > known.generation:
                self.running[id_].wanted = task

    def work(self, milliseconds: int) -> None:
        """Do what is to be done in a stretch of time that has passed."""
        for running in self.running.values():
            self.done += running.advance(milliseconds)

    def report(self) -> None:
        """Give a sign of life, and say what was done."""
        reports = [
            TaskReport(id_, running.wanted.generation, dict(running.report))
            for id_, running in self.running.items()
            if running.wanted is not None
        ]
        beat = Beat(self.id, self.connection, next(self._numbers), self.load, len(reports), reports)
        self.world.slaves.beat([beat])

    @property
    def vus(self) -> int:
        """Virtual users that run now."""
        return sum(
            running.vus
            for running in self.running.values()
            if running.wanted is not None
            and running.wanted.stop == "no"
            and not running.wanted.paused
            and not running.report["ended"]
        )


class World:
    """All of it.

    Args:
        database: A store with all of its tables.
        folder: For settings.
        monkeypatch: Sets the clock.
        overrides: Settings.
    """

    def __init__(
        self, database: Database, folder: Path, monkeypatch: Any, **overrides: Any
    ) -> None:
        self.database = database
        self.clock = Clock()
        monkeypatch.setattr(Instant, "now", lambda: self.clock.at)
        self.settings = settings_in(folder, **overrides)
        self.slaves = Slaves(database)
        self.tasks = LoadTasks(database)
        self.snapshots = DefinitionSnapshots(database)
        self.driving = DrivenExecutions(database)
        self.steered = SteeredExecutions(database)
        self.live: list[SimulatedSlave] = []
        self.vus_seen: list[int] = []
        self.orchestrator = self.conduct_anew()

    def conduct_anew(self) -> LoadOrchestrator:
        """Put another orchestrator in the place of the one that there is, as after a crash."""
        self.orchestrator = LoadOrchestrator.create(
            "load", LoadOptions(), Context(self.settings, self.database)
        )
        return self.orchestrator

    def slave(self, id_: str, **more: Any) -> SimulatedSlave:
        """Let a slave join."""
        made = SimulatedSlave(self, id_, **more)
        self.live.append(made)
        return made

    def kill(self, slave: SimulatedSlave) -> None:
        """Let a slave vanish, whose connection ends by that."""
        self.live.remove(slave)
        self.slaves.lost(slave.id, slave.connection)

    def launch(self, what: Definition, **more: Any) -> DrivenExecution:
        """Write down that something was launched, and let a conductor have it."""
        digest = self.snapshots.keep(definitions.to_json(what))
        id_ = str(uuid.uuid4())
        intent = Intent(
            execution_id=id_, orchestrator="load", workflow_id=what.id, workflow_name=what.name,
            owner="ada", inputs=more.pop("inputs", dict(what.variables)),
            steps=definitions.step_ids(what),
            reference={"definition": digest, "longest_us": more.pop("longest_us", None)},
            upstream_id=self.orchestrator.exec_id(id_),
        )  # fmt: skip
        Launches(self.database).create(intent)
        self.driving.claim(CONDUCTOR, "node", 3600.0, [], 1000)
        return self.driving.get(id_)

    def look(self, execution: DrivenExecution) -> DrivenExecution:
        """Look at an execution once, as its conductor does."""
        execution = self.driving.get(execution.id)
        if execution.log_complete:
            return execution
        seen = self.orchestrator.observe(execution)
        return self.driving.record(execution, CONDUCTOR, seen)

    def pass_by(self, execution: DrivenExecution, seconds: float, step_ms: int = 100) -> None:
        """Let time go by, in which slaves work, and a conductor looks each fifth of a second."""
        for number in range(round(seconds * 1000) // step_ms):
            for slave in self.live:
                slave.listen()
            self.clock.pass_by(step_ms / 1000)
            for slave in self.live:
                slave.work(step_ms)
            self.vus_seen.append(self.vus)
            if number % 2:
                for slave in self.live:
                    slave.report()
                self.look(execution)

    def run(self, execution: DrivenExecution, most_seconds: float = 60) -> DrivenExecution:
        """Let time go by until an execution has ended."""
        for _ in range(round(most_seconds)):
            self.pass_by(execution, 1)
            found = self.driving.get(execution.id)
            if found.log_complete:
                return found
        raise AssertionError(f"it has not ended: {self.tasks.run_of(execution)}")

    @property
    def vus(self) -> int:
        """Virtual users that run now, on all slaves that are there."""
        return sum(slave.vus for slave in self.live)

    @property
    def done(self) -> int:
        """Iterations that all slaves that are there have done."""
        return sum(slave.done for slave in self.live)

    def metrics(self, execution: DrivenExecution) -> Any:
        return self.orchestrator.metrics(execution)

    def journal(self, execution: DrivenExecution) -> list[str]:
        """Return what the journal says, as texts."""
        found = select(log_entries.c.content).where(log_entries.c.execution == execution.number)
        with self.database.read() as connection:
            return list(connection.execute(found.order_by(log_entries.c.sequence)).scalars())
