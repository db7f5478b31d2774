"""Runs commands as jobs of a Slurm cluster, each under a shim on its node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Self

from app.clients.slurm.submission import check_extra
from app.domain import JSON, Checked, Node, Usage
from app.engine.launchers.base import (
    Job,
    JobState,
    Launcher,
    LauncherCapability,
    LauncherContext,
    OutputLine,
    Polling,
    Pool,
    Staging,
    Watched,
)
from app.engine.launchers.frames import parse_frames
from app.engine.launchers.outputs import parse_outputs
from app.engine.launchers.slurm.checkup import Checkup
from app.engine.launchers.slurm.cluster import Cluster
from app.engine.launchers.slurm.fit import Fit
from app.engine.launchers.slurm.inventory import Inventory
from app.engine.launchers.slurm.options import SlurmOptions
from app.engine.launchers.slurm.places import NotPlaced
from app.engine.launchers.slurm.submitter import Submitter
from app.engine.model import Preparation, StreamFile
from app.errors import FieldError, NotFound, SlipwayError
from app.job_resources import Asked, Resource

_FILE_SECONDS: Final = 60.0
"""For what only touches files: those of clusters can be slow."""
_REMOVE_SECONDS: Final = 5.0
"""Longest time in which one call removes files: others wait behind it."""


class SlurmLauncher(Launcher):
    """Keeps the records of jobs on the cluster itself, in folders that all of its nodes see.

    What became of a job is told by its shim's records, and by Slurm where these say nothing. Each
    job has a name that no other has, so one whose submission was not answered is found again.

    Args:
        cluster: The cluster.
        fit: Knows what it has; None where nobody does.
    """

    Options = SlurmOptions
    capabilities: ClassVar[frozenset[LauncherCapability]] = frozenset(
        {LauncherCapability.PAUSE, LauncherCapability.NODES}
    )
    bound_to_node: ClassVar[bool] = False
    here: ClassVar[bool] = False
    pause_costs = "jobs that run keep what they were given, and their time limits go on"
    honours = frozenset({*Resource, *StreamFile, *Preparation})

    def __init__(self, cluster: Cluster, fit: Fit | None = None) -> None:
        self._cluster = cluster
        self._fit = fit
        if cluster.accounts.admin is not None:
            self.pause_costs = "jobs that run keep their nodes; their time limits stand still"
        self._inventory = None if fit is None else Inventory(cluster, fit)
        options = cluster.options
        self._submitter = Submitter(cluster.places, options)
        self.pool = Pool(f"slurm {options.host}:{options.port}", options.max_jobs)
        self.polling = Polling(
            followed_seconds=options.poll.followed, quiet_seconds=options.poll.quiet
        )

    @classmethod
    def create(cls, options: SlurmOptions, context: LauncherContext) -> Self:
        """Build the launcher; nobody logs in yet."""
        cluster = Cluster.create(options, context)
        if context.database is None:
            return cls(cluster)
        return cls(cluster, Fit(context.database, context.orchestrator, options.partition))

    def examine(self, owner: str) -> Sequence[Checked]:
        """Look at the way to the cluster, and at what jobs need there."""
        return list(Checkup(self._cluster, self._inventory, owner).findings())

    def tend(self) -> None:
        """Ask the cluster what it has, if that was long ago."""
        if self._inventory is not None:
            self._inventory.tend()

    @property
    def drains(self) -> bool:
        """Whether an account is configured that may drain nodes."""
        return self._cluster.accounts.admin is not None

    def nodes(self) -> list[Node]:
        """Return the nodes of the cluster, as they were last noted."""
        return [] if self._inventory is None else self._inventory.all()

    def node(self, node_id: str) -> Node:
        """Return one."""
        return self._noted.get(node_id)

    def drain(self, node_id: str) -> None:
        """Have Slurm give a node no new jobs."""
        self._noted.drain(node_id, "drained at Slipway")

    def undrain(self, node_id: str) -> None:
        """Have Slurm give a node jobs again."""
        self._noted.undrain(node_id)

    @property
    def _noted(self) -> Inventory:
        if self._inventory is None:
            raise NotFound("There is no such node.")
        return self._inventory

    def faults(self, asked: Sequence[Asked]) -> Sequence[FieldError]:
        """Return what no job can have there, by what was last noted of the cluster."""
        return [*_odd_options(asked), *(self._fit.faults(asked) if self._fit else ())]

    def may_use(self, folder: Path) -> bool:
        """Suppose so: only the cluster could tell."""
        return True

    def place(self, folder: Path, owner: str) -> None:
        """Decide which account of the cluster an execution has."""
        self._cluster.places.place(folder, owner)

    def make_work_folder(self, folder: Path, files: Mapping[str, str], *, begun: bool) -> None:
        """Have the folder made in which an execution works; see the contract."""
        login, path = self._cluster.places.find(folder)
        arguments = {"folder": path, "files": dict(files), "begun": begun}
        login.agent.call("work_folder", arguments, timeout=_FILE_SECONDS)

    def remove_folder(self, folder: Path, seconds: float) -> bool:
        """Have the folder of an execution removed, in steps; see the contract."""
        try:
            login, path = self._cluster.places.find(folder)
        except NotPlaced:
            return True
        some = min(seconds, _REMOVE_SECONDS)
        arguments = {"folder": path, "seconds": some}
        answer = login.agent.call("remove", arguments, timeout=some + _FILE_SECONDS)
        if answer.result.get("done") is not True:
            return False
        self._cluster.places.forget(folder)
        return True

    def stage_in(self, folder: Path, staging: Staging) -> None:
        """Have files looked for that a job needs: they stay on the cluster."""
        self._stage(staging, staging.stage_in)

    def stage_out(self, folder: Path, staging: Staging) -> None:
        """Have files looked for that a job should have left."""
        self._stage(staging, staging.stage_out)

    def _stage(self, staging: Staging, paths: Sequence[str]) -> None:
        login, path = self._cluster.places.find(staging.folder)
        arguments = {"folder": path, "paths": list(paths)}
        login.agent.call("stage", arguments, timeout=_FILE_SECONDS)

    def prepare(self, job: Job) -> None:
        """Have the records of a job written, if it can be submitted at all."""
        for fault in self.prepare_many([job]).values():
            raise fault

    def prepare_many(self, jobs: Sequence[Job]) -> Mapping[Path, SlipwayError]:
        """Have the records of several written by one request."""
        return self._submitter.prepare(jobs)

    def start(self, job: Job) -> None:
        """Have a job submitted, unless that was done; see the contract."""
        self.prepare(job)
        self._submitter.submit([job])

    def start_many(self, jobs: Sequence[Job]) -> None:
        """Have several submitted as one array, each unless that was done."""
        self._submitter.submit(jobs)

    def refuse(self, folder: Path, *, cancelled: bool) -> bool:
        """Have the job's claim taken: should Slurm begin it after all, its shim ends at once."""
        login, path = self._cluster.places.find(folder)
        arguments = {"folder": path, "cancelled": cancelled}
        answer = login.agent.call("refuse", arguments, timeout=_FILE_SECONDS)
        return answer.result.get("refused") is True

    def states(self, jobs: Sequence[Watched]) -> Mapping[Path, JobState]:
        """Look at jobs, those of each account at once, and ask the scheduler where need be."""
        return self._cluster.rounds.states(jobs)

    def read(self, folder: Path, offset: int, limit: int) -> tuple[list[OutputLine], int]:
        """Return what was fetched along with the states, or have it read."""
        data = self._cluster.growth.take(folder, offset)
        if not data:
            login, path = self._cluster.places.find(folder)
            arguments = {"folder": path, "offset": offset, "most_bytes": limit}
            data = login.agent.call("read", arguments, timeout=_FILE_SECONDS).data
        lines, size = parse_frames(data)
        return lines, offset + size

    def outputs(self, folder: Path) -> Mapping[str, JSON]:
        """Have the results read, and parse them."""
        login, path = self._cluster.places.find(folder)
        return parse_outputs(
            login.agent.call("outputs", {"folder": path}, timeout=_FILE_SECONDS).data
        )

    def usage(self, folder: Path) -> Usage | None:
        """Return what was last seen along with the states."""
        return self._cluster.rounds.usage_of(folder)

    def cancel(self, folder: Path) -> None:
        """Leave the request to end the job; one that waits in the queue is taken out."""
        self._cluster.steering.cancel(folder)

    def end(self, folder: Path, process: JSON, *, force: bool) -> None:
        """Have Slurm end a job whose records are of no use."""
        self._cluster.steering.end(folder, process, force=force)

    def pause(self, folder: Path) -> None:
        """Stop a job that runs, and hold one that waits."""
        self._cluster.steering.pause(folder)

    def resume(self, folder: Path) -> None:
        """Let a job go on that was stopped or held."""
        self._cluster.steering.resume(folder)

    def close(self) -> None:
        """End all connections; jobs go on."""
        self._cluster.close()


def _odd_options(asked: Sequence[Asked]) -> Iterator[FieldError]:
    for each in asked:
        try:
            check_extra(each.resources.extra)
        except ValueError as exc:
            yield FieldError(f"{each.path}.{Resource.EXTRA}", str(exc).partition(": ")[2])
