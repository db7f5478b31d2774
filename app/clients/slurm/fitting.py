"""What jobs ask for, compared with what the partitions of a cluster give.

Only what no job could ever have is found: Slurm itself knows more, and is asked when a job is
submitted. What a partition has busy, drained or down for now is no fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from app.clients.slurm.partitions import Partition
from app.durations import format_duration
from app.job_resources import Resource, Resources

_NAMED: Final = 12
"""So many names are told of many."""
_BETWEEN: Final = re.compile(r"[&|,()\[\]*!]+")
"""What stands between features; of numbers, which count nodes, none is taken for one."""
_ALL_OF_THEM: Final = re.compile(r"[A-Za-z0-9_.:=&,-]+")
_ELSEWHERE: Final = ("-p", "--partition", "-M", "--cluster")
"""Options by which a job runs in other partitions than it says elsewhere."""
_GIB: Final = 2**30


class Misfit(NamedTuple):
    """Something that a job cannot have.

    Attributes:
        resource: Which field of its resources asks for it.
        message: What it asks for, and what there is.
    """

    resource: Resource
    message: str


def misfits(
    asked: Resources, partitions: Sequence[Partition], usual: str | None = None
) -> list[Misfit]:
    """Return what a job asks for and can have in none of the partitions where it may run.

    Args:
        asked: What it asks for.
        partitions: All of the cluster.
        usual: Those of jobs that name none, as for :attr:`Resources.partition`; None for the
            cluster's own default.
    """
    if not partitions or any(option.startswith(_ELSEWHERE) for option in asked.extra):
        return []
    by_name = {partition.name: partition for partition in partitions}
    names = asked.partition or usual
    if names is None:
        meant = [partition for partition in partitions if partition.default]
        if not meant:
            text = f"is missing: the cluster has no default partition; it has {_list(by_name)}"
            return [Misfit(Resource.PARTITION, text)]
    else:
        wanted = names.split(",")
        if unknown := [name for name in wanted if name not in by_name]:
            text = f"there is no partition '{unknown[0]}'; the cluster has {_list(by_name)}"
            return [Misfit(Resource.PARTITION, text)]
        meant = [by_name[name] for name in wanted]
    # Slurm takes the first of several in which a job can run.
    return min((list(_misfits_of(asked, each)) for each in meant), key=len)


def _misfits_of(asked: Resources, there: Partition) -> Iterator[Misfit]:
    where = f"partition '{there.name}'"
    most_nodes = there.nodes if there.max_nodes is None else min(there.nodes, there.max_nodes)
    if asked.nodes is not None and asked.nodes > most_nodes:
        text = f"asks for {asked.nodes} nodes, and a job in {where} has {most_nodes} at most"
        yield Misfit(Resource.NODES, text)
    yield from _too_many_processors(asked, there, min(asked.nodes or most_nodes, most_nodes))
    if there.memory_bytes_per_node and asked.memory_bytes > there.memory_bytes_per_node:
        has = _memory(there.memory_bytes_per_node)
        text = f"asks for {_memory(asked.memory_bytes)}, and a node of {where} has {has} at most"
        yield Misfit(Resource.MEMORY, text)
    gpus = there.gpus
    if asked.nodes is not None:
        gpus = min(gpus, asked.nodes * there.gpus_per_node)
    if asked.gpus > gpus:
        on = f"{asked.nodes} node(s) of {where}" if asked.nodes else where
        yield Misfit(Resource.GPUS, f"asks for {asked.gpus} GPUs, and {on} can have {gpus}")
    if None not in (asked.time_seconds, there.max_seconds):
        yield from _too_long(asked.time_seconds or 0.0, there.max_seconds or 0.0, where)
    yield from _unknown_features(asked.constraint, there, where)
    for resource, name, allowed in (
        (Resource.ACCOUNT, asked.account, there.accounts),
        (Resource.QOS, asked.qos, there.qos),
    ):
        if name is not None and allowed is not None and name not in allowed:
            yield Misfit(resource, f"is '{name}', and {where} is for {_list(allowed)}")


def _too_many_processors(asked: Resources, there: Partition, nodes: int) -> Iterator[Misfit]:
    has = f"a node of partition '{there.name}' has {there.cpus_per_node}"
    if asked.cpus > there.cpus_per_node:
        text = f"asks for {asked.cpus} processors for each task, and {has} at most"
        yield Misfit(Resource.CPUS, text)
        return
    each = there.cpus_per_node // asked.cpus
    of_cpus = f" with {asked.cpus} processors each" if asked.cpus > 1 else ""
    if asked.tasks is None:
        if asked.tasks_per_node is not None and asked.tasks_per_node > each:
            text = f"asks for {asked.tasks_per_node} tasks{of_cpus}, and {has} processors at most"
            yield Misfit(Resource.TASKS_PER_NODE, text)
        return
    if asked.tasks_per_node is not None:
        each = min(each, asked.tasks_per_node)
    if asked.tasks > each * nodes:
        text = (
            f"asks for {asked.tasks} tasks{of_cpus}, and {nodes} node(s) of partition "
            f"'{there.name}' have room for {each * nodes}"
        )
        yield Misfit(Resource.TASKS, text)


def _too_long(seconds: float, most: float, where: str) -> Iterator[Misfit]:
    if seconds > most:
        text = f"asks for {format_duration(seconds)}, and {where} gives {format_duration(most)}"
        yield Misfit(Resource.TIME, f"{text} at most")


def _unknown_features(constraint: str | None, there: Partition, where: str) -> Iterator[Misfit]:
    """Find features that no node has; of alternatives one is enough."""
    if constraint is None:
        return
    named = [each for each in _BETWEEN.split(constraint) if each and not each.isdigit()]
    unknown = [name for name in named if name not in there.features]
    if unknown and (_ALL_OF_THEM.fullmatch(constraint) or len(unknown) == len(named)):
        has = _list(there.features) if there.features else "none"
        text = f"no node of {where} has the feature '{unknown[0]}'; they have {has}"
        yield Misfit(Resource.CONSTRAINT, text)


def _memory(amount: int) -> str:
    return f"{amount / _GIB:.4g} GiB of memory"


def _list(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return ", ".join(known[:_NAMED]) + more
