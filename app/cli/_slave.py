"""What runs a slave, for its command and for the one that the service starts itself."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.cli._late_log import LateLog
from app.cores import usable_cores
from app.load.machine import CAPABILITIES, memory_mb
from app.load.messages import Machine, Register
from app.load.slave.connection import Master
from app.load.slave.holders import Holders
from app.load.slave.slave import LEAVE_SECONDS, Slave

_WORKER = [sys.executable, "-P", "-m", "app.load.slave.worker"]


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
        return Machine(usable_cores(), memory_mb(), self.max_vus)


def run_slave(
    options: SlaveOptions,
    master: Master,
    signals: int,
    log: LateLog,
    announce: Callable[[], None] = lambda: None,
) -> None:
    """Run a slave until a signal says to stop.

    Args:
        options: What it is.
        master: Where it works.
        signals: Descriptor from which the numbers of signals can be read.
        log: Where it tells what happens.
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
        vus=Holders().vus, signals=signals, log=log, announce=announce,
        leave_seconds=options.leave_seconds,
    ).run()  # fmt: skip


def keep_hangups_from_ending() -> None:
    """Have SIGHUP end this process in a terminal that is gone, and nowhere else."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL if os.isatty(0) else signal.SIG_IGN)
