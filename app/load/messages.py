"""The messages of slaves and masters; see :mod:`app.load.protocol`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from app.domain import JSON
from app.load.measures import Report
from app.load.segments import Segment

VERSION: Final = 1
"""What ``register`` says; another one is not understood."""
MOST_TASKS: Final = 1000
"""Of one slave at a time."""

STOPS: Final = ("no", "gently", "now")
"""What is wanted of a task: to go on, to begin no iteration, to end at once."""
STATES: Final = ("online", "draining")
"""What a slave says of itself."""
TYPES: Final = ("worker", "gateway", "aggregator", "local")
"""What a slave may call itself. It makes no difference but for the last, which is the one that the
service itself starts."""


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What a slave has done for a task so far.

    Attributes:
        task: Id of the task.
        generation: Of the desired state that it follows; 0 before the first.
        report: Cumulative.
    """

    task: str
    generation: int
    report: Report


@dataclass(frozen=True, slots=True)
class Machine:
    """What a slave has.

    Attributes:
        cpu_cores: That it may use.
        memory_mb: Of the machine, in MiB.
        max_vus: Most virtual users at a time.
    """

    cpu_cores: int
    memory_mb: int
    max_vus: int


@dataclass(frozen=True, slots=True)
class Register:
    """A slave joins, or is back with what it is doing.

    Attributes:
        slave_id: Its name, which it keeps.
        incarnation: Drawn by chance when its process started.
        type: One of :data:`TYPES`.
        address: To be shown.
        capabilities: What it can do, such as ``http_executor``.
        labels: By which executions choose slaves.
        tasks: Ids of all that it has not been told to forget.
    """

    slave_id: str
    incarnation: str
    type: str
    address: str
    capabilities: tuple[str, ...]
    labels: Mapping[str, str]
    machine: Machine
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life, with all that there is to report.

    Attributes:
        sequence: Grows with each of a connection; the answer names it.
        state: One of :data:`STATES`.
        load: 0 for nothing to do, 1 for no room, of processors or for virtual users.
        active_tasks: That have not ended.
        tasks: Some or all of them, and what they have done.
    """

    sequence: int
    state: str
    load: float
    active_tasks: int
    tasks: tuple[TaskReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """The slave ends: its last reports were acknowledged."""


@dataclass(frozen=True, slots=True)
class RegisterAck:
    """The answer to :class:`Register`.

    Attributes:
        accepted: Whether the slave has joined.
        error: Why not.
        heartbeat_interval_ms: How often a sign of life is wanted.
        lease_ms: So long after it has sent the last message that was answered a slave may make
            requests.
        alone_ms: So long it may go on where the master has gone away.
        master_id: Of the process that answers.
        version: Of its software.
        allowed_networks: What virtual users may connect to; None for all.
        denied_networks: What of that they may not; None for the metadata services of clouds.
    """

    accepted: bool
    assigned_id: str
    error: str = ""
    heartbeat_interval_ms: int = 1000
    lease_ms: int = 5000
    alone_ms: int = 60_000
    master_id: str = ""
    version: str = ""
    allowed_networks: tuple[str, ...] | None = None
    denied_networks: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class HeartbeatAck:
    """The answer to a sign of life: what it reported is stored.

    Attributes:
        sequence: Of the heartbeat.
    """

    sequence: int


@dataclass(frozen=True, slots=True)
class DesiredTask:
    """All that is wanted of a task from now on.

    Attributes:
        task: Its id.
        execution: Id of the execution that it belongs to.
        generation: Grows with each change; what is older than what is known is ignored.
        digest: Names the definition.
        segment: Which share of the execution it is.
        scaled: Virtual users of the whole execution, where somebody has said another number than
            the definition.
        quota: Iterations that the task may begin in all; None where they are not counted.
        max_vus: Most virtual users that it may have.
        elapsed_us: Running time of the execution, in microseconds, when this was sent.
        paused: Whether no iteration begins and the running time stands still.
        stop: One of :data:`STOPS`.
        definition: The definition; it comes along when a connection first speaks of the task.
    """

    task: str
    execution: str
    generation: int
    digest: str
    segment: Segment
    scaled: int | None
    quota: int | None
    max_vus: int
    elapsed_us: int
    paused: bool = False
    stop: str = "no"
    definition: Mapping[str, JSON] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Forget:
    """A task is over, or nobody knows it: its last report is stored, or not wanted.

    Attributes:
        task: Its id.
    """

    task: str


FromSlave = Register | Heartbeat | Leave
FromMaster = RegisterAck | HeartbeatAck | DesiredTask | Forget
