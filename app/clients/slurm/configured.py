"""How a cluster is configured, by scontrol(1): its partitions, and what matters of the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from app.clients.slurm.nodes import ClusterNode
from app.clients.slurm.partitions import Partition
from app.clients.slurm.rows import number

SHOW_PARTITIONS: Final = ("scontrol", "--all", "--oneliner", "show", "partition")
SHOW_CONFIG: Final = ("scontrol", "show", "config")
VERSION: Final = ("sinfo", "--version")
PING: Final = ("scontrol", "ping")

_FIELD: Final = re.compile(r"(?:^|\s)([A-Za-z][A-Za-z0-9_]*)=(\S*)")
_TIME: Final = re.compile(
    r"(?:([0-9]{1,7})-)?([0-9]{1,9})(?::([0-9]{1,2}))?(?::([0-9]{1,2}))?(?:\.[0-9]+)?"
)
_VERSION: Final = re.compile(r"\b([0-9]{2}\.[0-9]{2})(?:\.([0-9]+))?")
_SETTING: Final = re.compile(r"([A-Za-z][A-Za-z0-9_]*)\s*=\s?(.*)")
_OF_TIME: Final = re.compile(r"([0-9]{1,9}) sec")


def partitions(text: str, nodes: Iterable[ClusterNode]) -> list[Partition]:
    """Read what ``scontrol show partition`` printed, one a line; other lines are passed over.

    Args:
        text: What was printed for :data:`SHOW_PARTITIONS`.
        nodes: All of the cluster: what a job can have on one of them stands there alone.
    """
    members: dict[str, list[ClusterNode]] = {}
    for node in nodes:
        for name in node.partitions:
            members.setdefault(name, []).append(node)
    told = (dict(_FIELD.findall(line)) for line in text.splitlines())
    return [
        _partition(each, members.get(each["PartitionName"], []))
        for each in told
        if each.get("PartitionName")
    ]


def version(text: str) -> str | None:
    """Read the version of Slurm, such as ``22.05.8``, from what ``sinfo --version`` printed."""
    found = _VERSION.search(text)
    return found and found[0]


def settings(text: str) -> dict[str, str]:
    """Read what ``scontrol show config`` printed, by the names of settings in small letters."""
    found = (_SETTING.fullmatch(line.strip()) for line in text.splitlines())
    return {each[1].lower(): each[2].strip() for each in found if each}


def min_job_age(config: Mapping[str, str]) -> float | None:
    """Return for how many seconds jobs stay in the queue that have ended; None if not known."""
    found = _OF_TIME.match(config.get("minjobage", ""))
    return float(found[1]) if found else None


def seconds(text: str) -> float | None:
    """Read a time as Slurm writes limits, such as ``1-12:00:00``; None for what is none."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    days, first, second, third = (None if each is None else int(each) for each in found.groups())
    if days is not None:
        return ((days * 24 + (first or 0)) * 60 + (second or 0)) * 60.0 + (third or 0)
    if second is None:
        return (first or 0) * 60.0
    if third is None:
        return (first or 0) * 60.0 + second
    return ((first or 0) * 60 + second) * 60.0 + third


def _partition(told: Mapping[str, str], members: Sequence[ClusterNode]) -> Partition:
    features = dict.fromkeys(feature for node in members for feature in node.features)
    return Partition(
        told["PartitionName"],
        default=told.get("Default") == "YES",
        up=told.get("State", "UP") == "UP",
        nodes=number(told.get("TotalNodes", "")) or len(members),
        cpus_per_node=max((node.cpus for node in members), default=0),
        memory_bytes_per_node=max((node.memory_bytes for node in members), default=0),
        gpus_per_node=max((node.gpus for node in members), default=0),
        gpus=sum(node.gpus for node in members),
        max_nodes=number(told.get("MaxNodes", "")),
        max_seconds=seconds(told.get("MaxTime", "")),
        default_seconds=seconds(told.get("DefaultTime", "")),
        features=tuple(features),
        accounts=_allowed(told.get("AllowAccounts")),
        qos=_allowed(told.get("AllowQos")),
    )


def _allowed(text: str | None) -> tuple[str, ...] | None:
    return None if text in (None, "", "ALL", "(null)") else tuple(str(text).split(","))
