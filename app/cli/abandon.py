"""``slipway abandon``: end executions whose machine is gone for good."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.assembly import executions_by_node
from app.cli._options import config_option
from app.cli._settings import settings_or_exit, start_or_exit
from app.cli._store import shell_user
from app.errors import NotFound
from app.store import migrate
from app.store.steering import SteeredExecutions
from app.store.stranded import StrandedExecutions, abandoned_by


@click.command("abandon")
@config_option
@click.option("--machine", help="All executions of a machine that no conductor serves.")
@click.argument("ids", nargs=-1, metavar="[EXECUTION]...")
def command(
    config: Path | None, data_dir: Path | None, machine: str | None, ids: tuple[str, ...]
) -> None:
    """End executions that nothing else ends: they have failed, whatever still runs of them.

    Cancel first; this is for those whose machine is gone for good. Without arguments the machines
    are listed that no conductor serves although executions belong to them.
    """
    settings = settings_or_exit(config, {"data_dir": data_dir})
    with start_or_exit():
        executions, stranded, database = executions_by_node(settings)
        migrate.check(database)
        sys.exit(_run(executions, stranded, machine, ids))


def _run(
    executions: SteeredExecutions,
    stranded: StrandedExecutions,
    machine: str | None,
    ids: tuple[str, ...],
) -> int:
    """List, or end what is named, and return the exit status."""
    if machine is None and not ids:
        _list(stranded)
        return 0
    wanted = list(ids)
    if machine is not None:
        of_machine = stranded.ids(machine)
        if not of_machine:
            click.echo(f"slipway: no execution waits for a machine '{machine}'.", err=True)
            return 1
        wanted += of_machine
    refused = [id_ for id_ in wanted if not _abandon(executions, id_)]
    return 1 if refused else 0


def _list(stranded: StrandedExecutions) -> None:
    machines = stranded.machines()
    for machine in machines:
        click.echo(str(machine))
    if not machines:
        click.echo("Every execution that has not ended is on a machine that a conductor serves.")


def _abandon(executions: SteeredExecutions, execution_id: str) -> bool:
    try:
        execution = executions.find(execution_id)
    except NotFound as exc:
        click.echo(f"{execution_id}: {exc.message}", err=True)
        return False
    if not executions.abandon(execution, abandoned_by(shell_user())):
        click.echo(f"{execution_id}: it has ended already.", err=True)
        return False
    click.echo(f"{execution_id}: abandoned")
    return True
