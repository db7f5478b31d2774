"""What a cluster has: its partitions, and what each of them gives to a job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from app.domain import JSON


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition.

    Attributes:
        name: Its name.
        default: Jobs that name no partition go there.
        up: It takes jobs.
        nodes: Number of its nodes, whatever their state.
        cpus_per_node: Most processors that one of its nodes has.
        memory_bytes_per_node: Most memory that one of its nodes has.
        gpus_per_node: Most GPUs that one of its nodes has.
        gpus: GPUs of all of its nodes together.
        max_nodes: Most nodes that a job may have; None for no limit.
        max_seconds: Longest time that a job may take; None for no limit.
        default_seconds: The time of a job that asks for none; None where that is ``max_seconds``.
        features: Of its nodes, each once.
        accounts: Those that may use it; None for all.
        qos: Qualities of service that jobs may have there; None for all.
    """

    name: str
    default: bool = False
    up: bool = True
    nodes: int = 1
    cpus_per_node: int = 1
    memory_bytes_per_node: int = 0
    gpus_per_node: int = 0
    gpus: int = 0
    max_nodes: int | None = None
    max_seconds: float | None = None
    default_seconds: float | None = None
    features: tuple[str, ...] = ()
    accounts: tuple[str, ...] | None = None
    qos: tuple[str, ...] | None = None


def dump(partitions: Iterable[Partition]) -> list[JSON]:
    """Return partitions as JSON, for the store."""
    return [asdict(partition) for partition in partitions]


def load(stored: JSON) -> tuple[Partition, ...]:
    """Read what :func:`dump` gave, also that of another version; what is not known is left out.

    Raises:
        TypeError: It was not given by any version of this.
    """
    known = {field.name for field in fields(Partition)}
    found = ({name: value for name, value in each.items() if name in known} for each in stored)
    return tuple(
        Partition(**{name: whole(value) for name, value in each.items()}) for each in found
    )


def whole(value: JSON) -> Any:
    """Return a value of a dataclass that went through JSON: lists were tuples."""
    return tuple(value) if isinstance(value, list) else value
