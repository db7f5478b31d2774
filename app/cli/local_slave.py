"""The slave of ``slipway serve``, which it starts when there is work for one."""

from __future__ import annotations

import os
import signal
import sys

import click

from app.cli._late_log import LateLog
from app.cli._lifeline import Lifeline, lifeline_option
from app.cli._process import guard_process, ignore_hangups
from app.cli._signals import catch_stop_signals
from app.cli._slave import SlaveOptions, run_slave
from app.load.slave.connection import Master, NotWelcome

_LEAVE_SECONDS = 1.5
"""What runs may take to end when the service does."""
_SILENCE_SECONDS = 10.0
"""The supervisor replaces it after so long without a sign of life."""


@click.command()
@lifeline_option
@click.option("--key-fd", type=int, required=True, help="Pipe that holds the key.")
@click.option("--master", "url", required=True, help="Address of a web process.")
@click.option("--host-name", required=True, help="What the requests call it.")
@click.option("--id", "id_", required=True)
@click.option("--processes", type=int, required=True)
@click.option("--max-vus", type=int, required=True)
@click.option("--log-level", default="INFO")
@click.option("--log-format", default="console")
def command(  # noqa: PLR0917  (click passes its options by name)
    lifeline_fd: int | None,
    key_fd: int,
    url: str,
    host_name: str,
    id_: str,
    processes: int,
    max_vus: int,
    log_level: str,
    log_format: str,
) -> None:
    """Run virtual users until a signal, or the end of the supervisor, says to stop."""
    guard_process()
    lifeline = Lifeline(lifeline_fd)
    signals = catch_stop_signals()
    ignore_hangups()
    lifeline.hold(lambda: os.kill(os.getpid(), signal.SIGTERM), _LEAVE_SECONDS)
    log = LateLog("slave")
    log.form = (log_level, log_format)
    with open(key_fd, encoding="ascii") as pipe:
        key = pipe.read()
    # It is the address of our own listening socket, whose certificate is for other names.
    master = Master.at(url, key=key, verify=False, host_name=host_name)
    options = SlaveOptions(
        id_, "local", os.uname().nodename, processes, max_vus, leave_seconds=_LEAVE_SECONDS
    )
    lifeline.tell_at_work(_SILENCE_SECONDS)
    try:
        run_slave(options, master, signals, log)
    except NotWelcome as exc:
        click.echo(f"slipway: {exc}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    command()
