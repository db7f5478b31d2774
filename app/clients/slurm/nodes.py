"""Nodes of a cluster, by sinfo(1), and how they are taken out of work, by scontrol(1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Final

from app.clients.slurm.partitions import whole
from app.clients.slurm.rows import rows
from app.domain import JSON, NodeState

ENVIRONMENT: Final[Mapping[str, str | None]] = {
    "SINFO_FORMAT": None, "SINFO_PARTITION": None, "SINFO_SORT": None, "SINFO_ALL": None,
    "SINFO_STATE": None, "SLURM_CLUSTERS": None, "SLURM_TIME_FORMAT": "%s", "LC_ALL": "C",
}  # fmt: skip
"""Changes to the environment of all questions: an account's own settings change no answer."""

_FORMAT: Final = "%N|%R|%T|%C|%m|%e|%f|%G|%E"
_FIELDS: Final = _FORMAT.count("|") + 1
_AMOUNT: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]+)?)([KMGT]?)")
_FACTORS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_GPUS: Final = re.compile(r"gpu(?::[^:,()]+)?:([0-9]{1,6})(?:\(|,|$)")
_BETWEEN: Final = re.compile(r",(?![^()]*\))")
"""Commas, but for those of lists of processors, as in ``gpu:4(S:0,2)``."""
_NOTHING: Final = frozenset({"", "(null)", "none", "N/A"})
_MIB: Final = 2**20

_SILENT: Final = "*"
"""At the end of a state: the node does not answer."""
_SIGNS: Final = "*~#!%$@^-+"
"""At the end of a state: it is silent, sleeps, wakes up, is reserved, planned and the like."""
_LEAVING: Final = ("drain", "maint", "reboot", "fail")
_AWAY: Final = ("down", "unknown", "error", "future", "power", "no_respond", "not_respond")
_FULL: Final = ("alloc", "compl")
_FREE: Final = ("idle", "mix", "plan", "reserv", "block", "resum", "perfctrs", "npc")


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A node.

    Attributes:
        name: Its name.
        partitions: Those that it is in.
        state: Slurm's words, such as ``mixed`` or ``drained*``.
        cpus: Its processors.
        cpus_allocated: How many of them jobs have.
        memory_bytes: Its memory, as configured.
        free_bytes: Memory that nothing uses now; None where that is not known.
        features: What it can be chosen by.
        gres: What else it has, such as ``gpu:2``.
        reason: Why it is out of work, in the words of whoever took it out; else empty.
    """

    name: str
    partitions: tuple[str, ...] = ()
    state: str = "unknown"
    cpus: int = 0
    cpus_allocated: int = 0
    memory_bytes: int = 0
    free_bytes: int | None = None
    features: tuple[str, ...] = ()
    gres: tuple[str, ...] = ()
    reason: str = ""

    @property
    def gpus(self) -> int:
        """Number of its GPUs."""
        return sum(int(found[1]) for each in self.gres if (found := _GPUS.match(each)))

    @property
    def load(self) -> float:
        """Share of its processors that jobs have."""
        return self.cpus_allocated / self.cpus if self.cpus else 0.0

    @property
    def standing(self) -> NodeState:
        """How it is, in the words for all nodes; a word that is not known is none that works."""
        word = self.state.lower()
        if word.endswith(_SILENT):
            return NodeState.OFFLINE
        word = word.rstrip(_SIGNS)
        # "failing" leaves, "fail" and "powered_down" are away: what leaves is looked for first.
        if word.startswith(_LEAVING) and word != "fail":
            return NodeState.DRAINING
        if word.startswith(_FULL):
            return NodeState.BUSY
        return NodeState.ONLINE if word.startswith(_FREE) else NodeState.OFFLINE


def sinfo() -> list[str]:
    """Return the command line that asks for all nodes, also those of hidden partitions.

    Its environment needs :data:`ENVIRONMENT`.
    """
    return ["sinfo", "--noheader", "--all", "--Node", "-o", _FORMAT]


def nodes(text: str) -> list[ClusterNode]:
    """Read what sinfo printed, a line for each node and partition; others are passed over."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for line in rows(text, _FIELDS):
        name, partition = line[0].strip(), line[1].strip()
        if name:
            found.setdefault(name, (line, []))[1].append(partition)
    return [_node(line, partitions) for line, partitions in found.values()]


def drain(node: str, reason: str) -> list[str]:
    """Return the command line that gives a node no new jobs; those that run go on.

    Args:
        node: Its name.
        reason: Why; Slurm wants one.
    """
    return ["scontrol", "update", f"NodeName={node}", "State=DRAIN", f"Reason={reason}"]


def undrain(node: str) -> list[str]:
    """Return the command line that gives a node jobs again."""
    return ["scontrol", "update", f"NodeName={node}", "State=RESUME"]


def dump(found: Iterable[ClusterNode]) -> list[JSON]:
    """Return nodes as JSON, for the store."""
    return [asdict(node) for node in found]


def load(stored: JSON) -> list[ClusterNode]:
    """Read what :func:`dump` gave, also that of another version; what is not known is left out.

    Raises:
        TypeError: It was not given by any version of this.
    """
    known = {field.name for field in fields(ClusterNode)}
    found = ({name: value for name, value in each.items() if name in known} for each in stored)
    return [ClusterNode(**{name: whole(value) for name, value in each.items()}) for each in found]


def _node(line: list[str], partitions: Iterable[str]) -> ClusterNode:
    name, _, state, cpus, memory, free, features, gres, reason = (each.strip() for each in line)
    counts = [_amount(each) or 0 for each in cpus.split("/")]
    unused = _amount(free)
    return ClusterNode(
        name=name,
        partitions=tuple(dict.fromkeys(each for each in partitions if each)),
        state=state.lower(),
        cpus=counts[-1],
        cpus_allocated=counts[0] if len(counts) > 1 else 0,
        memory_bytes=(_amount(memory) or 0) * _MIB,
        free_bytes=None if unused is None else unused * _MIB,
        features=tuple(_listed(features)),
        gres=tuple(_listed(gres)),
        reason="" if reason in _NOTHING else reason,
    )


def _amount(text: str) -> int | None:
    """Read a number, which Slurm may round and give a unit; None where it is none."""
    found = _AMOUNT.fullmatch(text.rstrip("+"))
    return None if found is None else int(float(found[1]) * _FACTORS[found[2]])


def _listed(text: str) -> Iterator[str]:
    if text not in _NOTHING:
        yield from (each.strip() for each in _BETWEEN.split(text) if each.strip())
