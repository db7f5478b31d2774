"""The contract of a launcher: where and how the commands of the engine run.

A launcher starts a command that outlives the process which started it, and can find it again. All
it needs for that lies in the job's folder, so any later process can take over. What it promises,
and how one is written, stands in ``docs/guides/extending.md``.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from app.domain import JSON, Checked, Node, Usage
from app.engine.launchers.disk import disk_errors
from app.engine.launchers.staging import check_files
from app.engine.model import Honoured
from app.errors import (
    CapabilityMissing,
    FieldError,
    InvalidRequest,
    SlipwayError,
    UpstreamRefused,
    UpstreamUnreachable,
)
from app.files import make_private_folder, text_mode, write_whole
from app.job_resources import Asked, Resources
from app.removal import remove_tree

if TYPE_CHECKING:
    from app.clients.key_reader import KeyReader
    from app.engine.launchers.run_as import Account
    from app.store.database import Database


class JobPhase(StrEnum):
    """Where a job stands."""

    ABSENT = "absent"
    """Nothing of it is there. It was never prepared, or what it left was removed."""
    PREPARED = "prepared"
    """It is written down, and surely did not begin: it may be started, again as well."""
    QUEUED = "queued"
    """Its start was accepted, and it waits for its turn, such as in a batch system."""
    RUNNING = "running"
    EXITED = "exited"
    LOST = "lost"
    """It may have begun, and its end will not be known: its machine may have been restarted."""


class Stream(StrEnum):
    """Where a piece of output was written."""

    STDOUT = "stdout"
    STDERR = "stderr"
    REMARK = "remark"
    """A remark of the launcher itself."""


@dataclass(frozen=True, slots=True)
class Staging:
    """Files that a job is given, and that it gives back.

    Attributes:
        folder: The folder of the execution, which its steps share.
        stage_in: Files below it that the command finds when it begins.
        stage_out: Files that the command leaves, and that are below it when the step has succeeded.
    """

    folder: Path
    stage_in: tuple[str, ...] = ()
    stage_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A file that is written for a command, outside the job's folder.

    Attributes:
        folder: An existing folder: that of the execution, or the root of the file system.
        path: The file below it. Missing folders on the way are made; none may be a symbolic link.
    """

    folder: Path
    path: str


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt of one step, ready to run.

    Attributes:
        execution_id: Given to the waker when something happened.
        folder: Holds all of the job's records; made by :meth:`Launcher.prepare`.
        argv: Program and arguments; no shell reads them.
        files: Files to write into ``folder`` before the start, by name; a script is one of them.
            An ``argv`` element ``{folder}/NAME`` is not special: callers put real paths there.
            They are taken away when the command has ended.
        stdin: What the command reads from its standard input; never written to a disk.
        env: The whole environment of the command.
        working_dir: Existing folder, or one below the execution's own that is made.
        timeout_seconds: Longest time to run, not counting time paused.
        kill_grace_seconds: Time from the polite signal to the deadly one.
        resources: What the step asks for; what the launcher honours is its to give.
        staging: Files to move; None where the step names none.
        stdout, stderr: Files that get the plain bytes of the two streams as the command writes
            them, each made anew in the place of what an earlier run left; None for no such file.
        capture: File that what the command prints becomes when it has succeeded and nobody wrote
            it. One that came about like this, by an earlier job, is taken away at the start.
        modules: Environment modules to load before the command begins, in this order. Each name
            is one word, without anything that a shell reads as more.
        most_output_bytes: How much of the output is kept, in the log and in each of the files of
            its streams but the captured one; beyond, it is counted, and that is among
            the :attr:`JobState.losses`. The command goes on. None for no limit.
    """

    execution_id: str
    folder: Path
    argv: tuple[str, ...]
    working_dir: Path
    env: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None
    timeout_seconds: float | None = None
    kill_grace_seconds: float = 10.0
    resources: Resources = field(default_factory=Resources)
    staging: Staging | None = None
    stdout: Place | None = None
    stderr: Place | None = None
    capture: Place | None = None
    modules: tuple[str, ...] = ()
    most_output_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """A job whose state is asked for.

    Attributes:
        folder: The job's folder.
        process: What an earlier state said of the process that has the job.
        offset: Up to where its output was read. Where a question takes long, what was written since
            may be fetched along with the state, for :meth:`Launcher.read` to have it at hand.
    """

    folder: Path
    process: JSON = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Polling:
    """How a launcher is asked for states where each question costs something.

    The questions of one process about all executions that it drives are one, then.

    Attributes:
        most_jobs: Most jobs in one call of :meth:`Launcher.states`.
        followed_seconds: Shortest time between two rounds of calls, and the usual one while
            somebody follows one of the executions.
        quiet_seconds: Longest time between two rounds, while nobody does and nothing happens:
            pauses grow with the time since there was news. A job that was begun, cancelled, paused
            or resumed since the last round does not wait for so long.
    """

    most_jobs: int = 500
    followed_seconds: float = 1.0
    quiet_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Pool:
    """Room for jobs that is not this machine's, and that has its own scheduler.

    Attributes:
        name: Launchers of one process that name the same pool share it.
        most_jobs: Most jobs that this process has there at the same time, whatever they ask for;
            owners have turns among themselves.
    """

    name: str
    most_jobs: int


@dataclass(frozen=True, slots=True)
class JobState:
    """What is known of a job.

    Attributes:
        exit_code: As a shell counts: ``128 + n`` when signal ``n`` ended it; None unless exited.
        timed_out: It was ended because ``timeout_seconds`` were over.
        cancelled: It was ended because :meth:`Launcher.cancel` asked for it.
        started_at: Seconds since the epoch, UTC; None until the command itself began.
        reason: Why the command waits, could not be begun, or was lost, in words for its owner.
        process: The launcher's own name for the process that has the job, to be kept by the caller
            and given to :meth:`Launcher.state` and :meth:`Launcher.end`; None until there is one.
        pause_asked: Its last request was :meth:`PausingLauncher.pause`.
        cancel_asked: :meth:`Launcher.cancel` arrived, and need not be called again.
        output_end: Offset up to which there is output; None if only :meth:`Launcher.read` can tell.
        lingers: It is ``ABSENT`` or ``LOST``, and something of it still runs.
        usage: What it took, once it has exited; None where nobody can know.
        fault: Why it failed although its command did not, such as a file that could not be written.
        losses: What its output misses, once it has exited, in words for its owner.
    """

    phase: JobPhase
    node: str | None = None
    process: JSON = None
    pause_asked: bool = False
    cancel_asked: bool = False
    output_end: int | None = None
    lingers: bool = False
    exit_code: int | None = None
    timed_out: bool = False
    cancelled: bool = False
    started_at: float | None = None
    finished_at: float | None = None
    reason: str | None = None
    fault: str | None = None
    usage: Usage | None = None
    losses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputLine:
    """One line of output, without its line end; decoded, never longer than 64 KiB.

    Attributes:
        timestamp: When it was written, seconds since the epoch, UTC.
        continues: It belongs to the line before it of the same stream, which was too long, or was
            unfinished for a while.
    """

    stream: Stream
    timestamp: float
    text: str
    continues: bool = False


class LauncherCapability(StrEnum):
    """What a launcher may be able to do beside the contract."""

    PAUSE = "pause"
    NODES = "tell the nodes of its cluster"


_METHODS: Mapping[LauncherCapability, tuple[str, ...]] = {
    LauncherCapability.PAUSE: ("pause", "resume"),
    LauncherCapability.NODES: ("nodes", "node", "drain", "undrain", "drains"),
}


@dataclass(frozen=True)
class NoOptions:
    """It has no options."""


@dataclass(frozen=True, slots=True)
class LauncherContext:
    """What a launcher may be built with, beside its own options.

    Attributes:
        data_dir: Folder of the service on this machine, for whatever the launcher keeps.
        account: The user of the commands; None if it is the service's own.
        executions_dir: Where executions have their folders. What does not run on this machine may
            go by the paths below it, and need not have anything there.
        orchestrator: Name of the orchestrator whose commands it runs.
        database: The store, for tables of the launcher's own; None where there is none.
        shared: What the orchestrators of this process share, by the name that those know who do.
        keys: Reads the private keys that people made here; None in processes that may not.
    """

    data_dir: Path
    account: Account | None = None
    executions_dir: Path = Path()
    orchestrator: str = ""
    database: Database | None = None
    shared: dict[str, Any] = field(default_factory=dict)
    keys: KeyReader | None = None


class Launcher(ABC):
    """Runs commands somewhere.

    Every method raises UpstreamError when the launcher cannot work now (disk full, host not
    reachable): nothing is known then, and the call may be repeated. Instances are shared by
    threads.

    Attributes:
        Options: A dataclass whose fields are the settings of this launcher; see
            :func:`app.settings.schema.setting`.
        capabilities: What it can do beside the contract. Each one stands for methods, which are
            checked when the class is defined: a flag without them, or they without it, is an error.
        bound_to_node: A job can be looked at only from the machine that began it.
        here: Its commands run on the machine of the conductor, and find what that has: programs,
            and the variables that the settings hand on. Where they do not, steps of type ``http``
            run on that machine all the same, by the launcher ``local``.
        pause_costs: What people should know of commands that stand still, for the log; empty where
            they cost nothing.
        honours: What it gives to jobs that ask for it, beside what the engine sees to: processors
            and memory (both are reserved) and time (a timeout of the job). Steps that ask for
            any other resource, for a file of their streams, or for modules, are refused.
        pool: Where its jobs have room; None if they share the processors and the memory of this
            machine with those of all launchers that say so. An instance may know it better.
        polling: How it is asked for states; None where that costs next to nothing, and each look at
            an execution asks for its jobs by itself. An instance may know it better than its class.
    """

    Options: ClassVar[type] = NoOptions
    capabilities: ClassVar[frozenset[LauncherCapability]] = frozenset()
    bound_to_node: ClassVar[bool] = True
    here: ClassVar[bool] = True
    pause_costs: str = ""
    honours: frozenset[Honoured] = frozenset()
    pool: Pool | None = None
    polling: Polling | None = None

    def __init_subclass__(cls) -> None:
        for capability, methods in _METHODS.items():
            for method in methods:
                if hasattr(cls, method) != (capability in cls.capabilities):
                    raise TypeError(f"{cls.__name__}: {capability} and {method}() go together")
        if cls.state is Launcher.state and cls.states is Launcher.states:
            raise TypeError(f"{cls.__name__}: it needs state(), or states() for many jobs at once")

    @classmethod
    @abstractmethod
    def create(cls, options: Any, context: LauncherContext) -> Launcher:
        """Build one from the settings; nothing of it runs yet, and nothing is asked for.

        Args:
            options: An instance of ``Options``, validated.
            context: What else there is.

        Raises:
            ConfigError: It cannot be built like this.
        """

    def may_use(self, folder: Path) -> bool:
        """Return whether it could work in the folder of executions, as far as this process sees."""
        return not folder.exists() or os.access(folder, os.W_OK)

    def faults(self, asked: Sequence[Asked]) -> Sequence[FieldError]:
        """Return what it can never give of what steps ask for; by default nothing is known of that.

        It is called for each upload and each launch, also in processes without a conductor, so it
        asks nobody but the store: what it gives, as that was last noted. Where nothing is, there
        are no faults.

        Args:
            asked: Of very many the first; only what :attr:`honours` names.
        """
        return ()

    def examine(self, owner: str) -> Sequence[Checked]:
        """Look at all that the launcher needs; see the contract of orchestrators.

        Args:
            owner: The user of the gateway who asks.
        """
        return ()

    def tend(self) -> None:  # noqa: B027
        """Do what is to be done now and then, on a conductor, whether or not there are jobs.

        Raises:
            SlipwayError: It cannot be done now.
        """

    def place(self, folder: Path, owner: str) -> None:  # noqa: B027
        """Learn whose an execution is, before anything of it is made; idempotent.

        By default that does not matter. It is called when an execution begins: for its folder, in
        which it has the folders of its jobs, and, where it goes on from an earlier one, before that
        for the folder of that one, in which it works.

        Args:
            folder: The folder.
            owner: The user whose execution it is.

        Raises:
            UpstreamError: That cannot be told now: the same is asked again.
            InvalidRequest, UpstreamRefused: It cannot run for them, now or later: it fails with
                this message.
        """

    def make_work_folder(self, folder: Path, files: Mapping[str, str], *, begun: bool) -> None:
        """Make the folder in which the commands of an execution work, with its files; idempotent.

        Args:
            folder: The folder.
            files: What it holds at first, by path below it; what is there already is left alone.
                What begins with ``#!`` can be executed.
            begun: Commands may have been there: a file that is missing was taken away by them, as
                long as there is the folder.

        Raises:
            OSError: It cannot be made.
            UpstreamError, InvalidRequest: As :meth:`place`.
        """
        if begun and folder.is_dir():
            return
        make_private_folder(folder)
        for name, content in files.items():
            _write_once(folder / name, content)

    def remove_folder(self, folder: Path, seconds: float) -> bool:
        """Remove the folder of an execution that has ended, with all of its jobs; idempotent.

        Args:
            folder: The folder.
            seconds: How long it may take, about.

        Returns:
            False where some is left: ask again.

        Raises:
            UpstreamError: It cannot be removed now.
        """
        with disk_errors():
            return remove_tree(folder, seconds)

    def stage_in(self, folder: Path, staging: Staging) -> None:
        """Bring files to where a job will run, before it is prepared; idempotent.

        By default they are there already, and it is only made sure of: jobs run in the folder of
        the execution itself.

        Args:
            folder: The job's folder.
            staging: The files; see :mod:`app.engine.launchers.staging` for what moves them.

        Raises:
            InvalidRequest: One is not there, is no regular file, or they are too large.
        """
        check_files(staging.folder, staging.stage_in)

    def stage_out(self, folder: Path, staging: Staging) -> None:
        """Bring files back from where a job ran, when it has succeeded; idempotent.

        Args:
            folder: The job's folder.
            staging: The files, and where they belong.

        Raises:
            InvalidRequest: As :meth:`stage_in`.
        """
        check_files(staging.folder, staging.stage_out)

    @abstractmethod
    def prepare(self, job: Job) -> None:
        """Write down that a job may be begun, without beginning it; idempotent.

        Raises:
            InvalidRequest: One of ``files`` has the name of a record of the launcher.
            UpstreamRefused: There can be no such folder, now or later.
        """

    @abstractmethod
    def start(self, job: Job) -> None:
        """Begin a job; on return it will run even if this process dies.

        Calling it again for the same folder begins nothing twice: at most one process ever runs
        the command. A command that cannot be begun (no such program, no such folder) is not an
        error here: the job exits with code 127 or 126 and a ``reason``. A job that is not prepared
        is prepared first.

        Raises:
            InvalidRequest, UpstreamRefused: As :meth:`prepare`.
        """

    def prepare_many(self, jobs: Sequence[Job]) -> Mapping[Path, SlipwayError]:
        """Write down that jobs of one step may be begun that differ in their element only.

        By default :meth:`prepare` is called for one after the other. Override it where many jobs
        can be written down by one request.

        Args:
            jobs: Those of one execution that are about to be begun together.

        Returns:
            What :meth:`prepare` would have raised of those that can never be begun, by folder.
        """
        refused: dict[Path, SlipwayError] = {}
        for job in jobs:
            try:
                self.prepare(job)
            except (InvalidRequest, UpstreamRefused) as exc:
                refused[job.folder] = exc
        return refused

    def start_many(self, jobs: Sequence[Job]) -> None:
        """Begin jobs of one step that differ in their element only; each as :meth:`start` does.

        By default that is called for one after the other. Override it where many jobs can be begun
        by one request.

        Args:
            jobs: At least two of one execution, each of them prepared.

        Raises:
            SlipwayError: The first error of :meth:`start`; all others were begun, or may have been:
                it is looked at each of them, and what is ``PREPARED`` still is begun once more.
        """
        failure: SlipwayError | None = None
        for job in jobs:
            try:
                self.start(job)
            except SlipwayError as exc:
                failure = failure or exc
        if failure is not None:
            raise failure

    @abstractmethod
    def refuse(self, folder: Path, *, cancelled: bool) -> bool:
        """Make sure that a job never begins, whoever is about to start it; it is ``LOST`` then.

        Args:
            folder: The job's folder; made if it is missing.
            cancelled: What its state shall say.

        Returns:
            False when it has begun.
        """

    def state(self, folder: Path, process: JSON = None) -> JobState:
        """Look at a job. ``EXITED`` is said only when all of its output can be read.

        Whatever became of the folder (removed in whole or in part, damaged, replaced by something
        else) is a state of the job, and no error. Whoever overrides :meth:`states` need not
        override this.

        Args:
            folder: The job's folder.
            process: What an earlier state said of the process that has the job.

        Raises:
            UpstreamUnreachable: Nothing is known of it now.
        """
        found = self.states([Watched(folder, process)])
        if folder not in found:
            raise UpstreamUnreachable("Nothing is known of the job now.", detail=str(folder))
        return found[folder]

    def states(self, jobs: Sequence[Watched]) -> Mapping[Path, JobState]:
        """Look at many jobs, of any executions; see :meth:`state`.

        Override it, and set :attr:`polling`, where one question answers for all of them.

        Args:
            jobs: The jobs; no more than :attr:`polling` says.

        Returns:
            Their states by folder. A job of which nothing is known now, but may be later, is left
            out: it stays as it is, and is asked for again.
        """
        return {job.folder: self.state(job.folder, job.process) for job in jobs}

    @abstractmethod
    def read(self, folder: Path, offset: int, limit: int) -> tuple[list[OutputLine], int]:
        """Read output in the order in which it was written.

        Args:
            folder: The job's folder.
            offset: 0, or the second result of the last call.
            limit: Read about so many bytes at most; at least one line is read if there is one.

        Returns:
            The lines, and the offset behind them. The offset did not move: nothing new.
        """

    @abstractmethod
    def outputs(self, folder: Path) -> Mapping[str, JSON]:
        """Parse what the command wrote to the file named in ``$SLIPWAY_OUTPUT``.

        Raises:
            InvalidRequest: A line is neither ``key=value`` nor a JSON object; it is named.
        """

    def usage(self, folder: Path) -> Usage | None:
        """Return what a running job was last seen to take; None where nobody can know.

        It is asked for now and then, and must not take long.
        """
        return None

    @abstractmethod
    def cancel(self, folder: Path) -> None:
        """End the command and all that it started, politely first; idempotent, does not wait."""

    def end(self, folder: Path, process: JSON, *, force: bool) -> None:  # noqa: B027
        """End what lingers of a job whose records are of no use; does not wait.

        It is called for states that say so. A launcher that gives none has nothing to do here.

        Args:
            folder: The job's folder.
            process: As for :meth:`state`.
            force: Not politely.
        """

    def listen(self, wake: Callable[[str], None]) -> None:  # noqa: B027
        """Call ``wake(execution_id)`` from any thread when a job wrote or ended, if possible."""


class PausingLauncher(Protocol):
    """What :attr:`LauncherCapability.PAUSE` adds."""

    def pause(self, folder: Path) -> None:
        """Stop the command and all that it started; idempotent, does not wait.

        It may come before the command begins, which then begins paused.
        """

    def resume(self, folder: Path) -> None:
        """Let a paused command go on; idempotent, does not wait."""


class ClusterLauncher(Protocol):
    """What :attr:`LauncherCapability.NODES` adds."""

    @property
    def drains(self) -> bool:
        """Whether nodes can be taken out of work."""

    def nodes(self) -> list[Node]:
        """Return the nodes of the cluster by what the store has; it is asked nothing."""

    def node(self, node_id: str) -> Node:
        """Return one, by the same.

        Raises:
            NotFound: There is none with this id.
        """

    def drain(self, node_id: str) -> None:
        """Give a node no new jobs; what runs there goes on to its end. Conductors alone call it.

        Raises:
            NotFound: There is none with this id.
            SlipwayError: It could not be done.
        """

    def undrain(self, node_id: str) -> None:
        """Give a node jobs again; see :meth:`drain`."""


def can_pause(launcher: Launcher) -> bool:
    """Return whether a launcher pauses commands."""
    return LauncherCapability.PAUSE in launcher.capabilities


def pauser(launcher: Launcher) -> PausingLauncher:
    """Return the launcher as one that pauses commands.

    Raises:
        CapabilityMissing: It cannot.
    """
    if not can_pause(launcher):
        raise CapabilityMissing("The launcher cannot pause commands.")
    return cast(PausingLauncher, launcher)


def _write_once(path: Path, content: str) -> None:
    """Write a file, whole or not at all; one that is there may be in a command's hands already."""
    if path.exists():
        return
    make_private_folder(path.parent)
    write_whole(path, content.encode(), text_mode(content))


def tells_nodes(launcher: Launcher) -> bool:
    """Return whether a launcher tells the nodes of a cluster."""
    return LauncherCapability.NODES in launcher.capabilities


def cluster_of(launcher: Launcher) -> ClusterLauncher:
    """Return the launcher as one that tells the nodes of a cluster.

    Raises:
        CapabilityMissing: It does not.
    """
    if not tells_nodes(launcher):
        raise CapabilityMissing("The launcher has no nodes that it tells.")
    return cast(ClusterLauncher, launcher)
