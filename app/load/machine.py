"""What a slave is by default on this machine."""

from __future__ import annotations

from typing import Final

from app.cores import machine_memory, usable_cores

CAPABILITIES: Final = ("http_executor", "script_executor")
"""What every slave can do."""
VUS_PER_PROCESS: Final = 1000
"""As many virtual users a slave takes for each of its processes, unless told otherwise."""

_MIB: Final = 1024 * 1024


def default_processes() -> int:
    """Return how many worker processes a slave has: one core is left to others, if there are."""
    return max(1, usable_cores() - 1)


def memory_mb() -> int:
    """Return the memory of the machine, in MiB."""
    return machine_memory() // _MIB
