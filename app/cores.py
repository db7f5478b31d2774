"""How many processors this process may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Return how many processors are ours, in whole ones and at least 1.

    Those that the process may run on (sched_getaffinity(2)), or fewer where a control group has a
    quota of their time, as containers have: half a processor more is not another one.

    Args:
        groups: Where control groups are shown.
        membership: Of this process; cgroups(7), ``/proc/PID/cgroup``.
    """
    quota = min(_quotas(groups, membership), default=float("inf"))
    return max(1, int(min(len(os.sched_getaffinity(0)), quota)))


def _quotas(groups: Path, membership: Path) -> Iterator[float]:
    """Yield the processors that each group around this process may use."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _up_from(groups, path, _quota)
        elif "cpu" in controllers.split(","):
            yield from _up_from(groups / "cpu", path, _quota_of_version_1)


def _up_from(root: Path, path: str, read: Callable[[Path], float]) -> Iterator[float]:
    """Read a group and all above it; in a container of its own, ours may be shown as the root."""
    group = PurePosixPath(path.lstrip("/"))
    for one in (group, *group.parents, PurePosixPath()):
        try:
            yield read(root / one)
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
    return quota / period if quota > 0 else float("inf")
