"""What a job takes while it runs, in the words of batch systems."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Resource(StrEnum):
    """What a step may ask for, by the name of its field in ``resources`` of a definition."""

    CPUS = "cpus"
    MEMORY = "memory"
    TIME = "time"
    NODES = "nodes"
    TASKS = "tasks"
    TASKS_PER_NODE = "tasks_per_node"
    GPUS = "gpus"
    EXCLUSIVE = "exclusive"
    PARTITION = "partition"
    ACCOUNT = "account"
    QOS = "qos"
    RESERVATION = "reservation"
    CONSTRAINT = "constraint"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Resources:
    """What a step takes while it runs, in the words of batch systems.

    They mean what sbatch(1) of Slurm means by them, and PSI/J by its ``ResourceSpecV1`` and
    ``JobAttributes``. None and empty: what the launcher has by default.

    Attributes:
        cpus: Processors of each task (``--cpus-per-task``).
        memory_bytes: Memory on each node (``--mem``); 0: by default.
        time_seconds: Longest time that the job may take (``--time``).
        nodes: Machines (``--nodes``).
        tasks: Processes of a parallel program, on all nodes together (``--ntasks``). The command of
            a step runs once; it begins them, by ``srun`` or ``mpirun``.
        tasks_per_node: Most of them on each node (``--ntasks-per-node``).
        gpus: GPUs, on all nodes together (``--gpus``).
        exclusive: No other job on its nodes (``--exclusive``).
        constraint: Features that its nodes must have (``--constraint``).
        extra: Options of the batch system itself, each one word, such as ``--mail-type=END``.
    """

    cpus: int = 1
    memory_bytes: int = 0
    time_seconds: float | None = None
    nodes: int | None = None
    tasks: int | None = None
    tasks_per_node: int | None = None
    gpus: int = 0
    exclusive: bool = False
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    reservation: str | None = None
    constraint: str | None = None
    extra: tuple[str, ...] = ()

    @property
    def all_cpus(self) -> int:
        """Processors of all tasks together."""
        return self.cpus * (self.tasks or 1)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step asks for, and where that is said.

    Attributes:
        path: Of its ``resources`` in the definition.
        resources: What it asks for.
    """

    path: str
    resources: Resources
