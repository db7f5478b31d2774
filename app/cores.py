"""How many processors this process may use, and why not more; the memory of its machine."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Cores:
    """Processors that this process may use.

    Attributes:
        number: In whole ones, at least 1.
        source: What that follows from, in words for an operator.
    """

    number: int
    source: str


def machine_memory() -> int:
    """Return the memory of the machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def usable_cores(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Return how many processors are ours; see :func:`find_cores`."""
    return find_cores(groups, membership).number


def find_cores(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> Cores:
    """Find out how many processors are ours.

    Those that the process may run on (sched_getaffinity(2)), or fewer where a control group has a
    quota of their time, as containers have. A part of a processor counts as a whole one: half of
    it would lie idle otherwise.

    Args:
        groups: Where control groups are shown.
        membership: Of this process; cgroups(7), ``/proc/PID/cgroup``.
    """
    allowed = len(os.sched_getaffinity(0))
    quota, group = min(_quotas(groups, membership), default=(math.inf, ""))
    if quota < allowed:
        return Cores(
            max(1, math.ceil(quota)),
            f"the CPU quota of control group {group}, {quota:g}, rounded up",
        )
    of_all = os.cpu_count() or allowed
    if allowed < of_all:
        return Cores(allowed, f"the affinity of the process: it may run on {allowed} of {of_all}")
    return Cores(allowed, "all processors of the machine")


def _quotas(groups: Path, membership: Path) -> Iterator[tuple[float, str]]:
    """Yield the processors that each group around this process may use, and its folder."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for root in (groups, groups / "unified"):
                yield from _up_from(root, path, _quota)
        elif "cpu" in controllers.split(","):
            for root in dict.fromkeys((groups / "cpu", groups / controllers)):
                yield from _up_from(root, path, _quota_of_version_1)


def _up_from(root: Path, path: str, read: Callable[[Path], float]) -> Iterator[tuple[float, str]]:
    """Read a group and all above it; in a container of its own, ours may be shown as the root."""
    group = PurePosixPath(path.lstrip("/"))
    for one in (group, *group.parents, PurePosixPath()):
        try:
            yield read(root / one), str(root / one)
        except (OSError, ValueError, ZeroDivisionError):  # it has no quota
            continue


def _quota(folder: Path) -> float:
    """Read ``cpu.max`` of cgroup v2: microseconds, or ``max``, in each period."""
    quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
    return int(quota) / int(period)


def _quota_of_version_1(folder: Path) -> float:
    """Read the same of the controller ``cpu`` of cgroup v1, where -1 is none."""
    quota, period = (
        int((folder / name).read_text(encoding="ascii"))
        for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    )
    return quota / period if quota > 0 else math.inf
