"""What runs a slave, for its command and for the one that the service starts itself."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.cores import usable_cores
from app.load.messages import Machine, Register
from app.load.slave.connection import Master
from app.load.slave.holders import Holders
from app.load.slave.slave import LEAVE_SECONDS, Slave

CAPABILITIES = ("http_executor", "script_executor")
"""What every slave can do."""
VUS_PER_PROCESS = 1000
"""As many virtual users a slave takes for each of its processes, unless told otherwise."""

_WORKER = [sys.executable, "-P", "-m", "app.load.slave.worker"]
_MIB = 1024 * 1024


@dataclass(frozen=True)
class SlaveOptions:
    """What a slave is.

    Attributes:
        processes: Worker processes.
        leave_seconds: How long what runs may go on once it is told to stop.
    """

    id: str
    type: str
    address: str
    processes: int
    max_vus: int
    labels: Mapping[str, str] = field(default_factory=dict)
    capabilities: Sequence[str] = CAPABILITIES
    leave_seconds: float = LEAVE_SECONDS

    def machine(self) -> Machine:
        """Return what it says of its machine."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB
        return Machine(usable_cores(), memory, self.max_vus)


def default_processes() -> int:
    """Return how many worker processes a slave has: one core is left to others, if there are."""
    return max(1, usable_cores() - 1)


def run_slave(
    options: SlaveOptions, master: Master, signals: int, announce: Callable[[], None]
) -> None:
    """Run a slave until a signal says to stop.

    Args:
        options: What it is.
        master: Where it works.
        signals: Descriptor from which the numbers of signals can be read.
        announce: Called when it has joined for the first time.

    Raises:
        NotWelcome: The master does not want it, or not any more.
    """
    me = Register(
        options.id,
        secrets.token_hex(8),
        options.type,
        options.address,
        tuple(options.capabilities),
        options.labels,
        options.machine(),
    )
    Slave(
        master, me, _WORKER, options.processes,
        vus=Holders().vus, signals=signals, announce=announce, leave_seconds=options.leave_seconds,
    ).run()  # fmt: skip


def keep_hangups_from_ending() -> None:
    """Have SIGHUP end this process in a terminal that is gone, and nowhere else."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL if os.isatty(0) else signal.SIG_IGN)
