"""``slipway conductor``: drive executions."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from pathlib import Path

import click
import structlog

from app.assembly import create_conductor
from app.cli._lifeline import Lifeline, lifeline_option
from app.cli._limits import freeze_start_up
from app.cli._master_key import OPTION, held_master_key
from app.cli._options import config_option
from app.cli._private import keep_private
from app.cli._process import guard_process, share_arenas
from app.cli._reload import Reload, run_again
from app.cli._run_as import check_run_as
from app.cli._settings import WEB_ALONE, settings_or_exit, start_or_exit
from app.cli._signals import on_stop_signal
from app.conductor import Conductor
from app.observability import configure_logging
from app.services.local_slave import LocalSlave, local_slave_of
from app.settings import Settings
from app.store import migrate
from app.store.database import Database

log = structlog.get_logger(__name__)

_WATCH_SECONDS = 1.0
"""How often it is looked whether anything is stuck."""
_STOP_SECONDS = 10.0
"""For the looks that are under way when the supervisor is gone."""
_STUCK = 70

_SWITCH_SECONDS = 0.0005
"""How soon a thread that computes lets another one go on."""


@click.command("conductor")
@config_option
@lifeline_option
@click.option(OPTION, type=int, hidden=True, help="Pipe that holds the master key.")
@click.option("--local-slave", hidden=True, help="Id of the slave that the supervisor starts.")
@click.option("--local-slave-vus", type=int, default=1, hidden=True, help="That it will have.")
def command(
    config: Path | None,
    data_dir: Path | None,
    lifeline_fd: int | None,
    local_slave: str | None,
    **given: int | None,
) -> None:
    """Drive executions; start as many as you like, on as many machines.

    The database must be up to date: see 'slipway migrate'.
    """
    guard_process()
    share_arenas()
    lifeline = Lifeline(lifeline_fd)
    master_key = held_master_key(given["master_key_fd"])
    settings = settings_or_exit(config, {"data_dir": data_dir}, without=WEB_ALONE)
    configure_logging(settings.observability.log_level, settings.observability.log_format)
    with start_or_exit():
        keep_private(settings, config)
        check_run_as(settings, config)
        migrate.check(Database(settings.database_url, timeout_seconds=settings.conductor.lease))
        conductor = create_conductor(settings, master_key)
    reloading = Reload(settings, config, data_dir, without=WEB_ALONE)
    on_stop_signal(conductor.stop, lambda: reloading.look(conductor.stop))
    lifeline.hold(conductor.stop, _STOP_SECONDS)
    lifeline.tell_at_work(settings.conductor.silence_timeout)
    threading.Thread(target=_watch, args=(conductor,), name="watchdog", daemon=True).start()
    freeze_start_up()
    # Its threads compute: one that has little to do must not wait 5 ms for each that has much.
    sys.setswitchinterval(_SWITCH_SECONDS)
    offer = None
    if local_slave is not None:
        offer = _offered(settings, local_slave, given["local_slave_vus"] or 1, lifeline)
    with start_or_exit():
        conductor.run()
    if offer is not None:
        offer.end()
    if reloading.is_due and lifeline_fd is None:  # else the supervisor starts another one
        run_again(
            "app.cli.conductor", config, data_dir, settings,
            {} if master_key is None else {OPTION: master_key},
        )  # fmt: skip


def _offered(settings: Settings, id_: str, max_vus: int, lifeline: Lifeline) -> LocalSlave:
    """Offer the slave that the supervisor starts when it is called."""
    database = Database(settings.database_url)
    offer = LocalSlave(database, local_slave_of(id_, max_vus), lifeline.want_slave)
    with start_or_exit():
        offer.begin()
    return offer


def _watch(conductor: Conductor) -> None:
    """End this process when it lives but is stuck; another one takes up its work."""
    while (what := conductor.stuck()) is None:
        time.sleep(_WATCH_SECONDS)
    log.critical("conductor is stuck and ends itself", what=what)
    faulthandler.dump_traceback(all_threads=True)
    os._exit(_STUCK)


if __name__ == "__main__":
    command()
