"""``slipway purge``: remove for good what has ended."""

from __future__ import annotations

import os
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
from marshmallow import ValidationError

from app.assembly import purging_of
from app.cli._options import config_option
from app.cli._store import opened_store
from app.errors import Conflict, NotFound
from app.housekeeping import CHORE_SECONDS, STORE, in_turns
from app.services.audit import Origin
from app.settings import Settings
from app.settings.schema import Keeping
from app.store.chores import Chores
from app.store.database import Database
from app.store.execution_rows import now
from app.store.purging import Purging, What
from app.store.steering import SteeredExecutions

_WHAT: Final = {
    "executions": What.EXECUTIONS,
    "logs": What.LOGS,
    "work-folders": What.FILES,
}
_WAIT_SECONDS: Final = 120.0
"""How long another process is waited for that purges; a dead one is silent for less."""
_LOOK_SECONDS: Final = 0.5
"""How often it is looked whether that one is done."""


class _Age(click.ParamType[float]):
    """An age, as the settings of retention have it."""

    name = "age"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            seconds = Keeping().deserialize(value)
        except ValidationError as exc:
            self.fail(f"'{value}' {exc.messages[0]}, or in days, as 90d", param, ctx)
        if seconds is None or seconds < 0:
            self.fail(f"'{value}' is no age; give one such as 90d or 12h", param, ctx)
        return float(seconds)


@click.command("purge")
@config_option
@click.option("--older-than", type=_Age(), help="Purge what ended so long ago: 90d, 12h, 30m.")
@click.option(
    "--what", multiple=True, type=click.Choice(list(_WHAT)),
    help="What to purge of it: whole executions unless given; may be repeated.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be purged, and purge nothing.")
@click.argument("ids", nargs=-1, metavar="[EXECUTION]...")
def command(
    config: Path | None,
    data_dir: Path | None,
    **asked: Any,
) -> None:
    """Remove executions that have ended, or their logs or folders, for good.

    Of an execution that was purged its id, names, owner and idempotency key stay, none of which is
    used again. Nothing that has not ended is touched. It makes no difference whether the service
    runs. Folders are removed by the conductors of their machines, when those run.
    """
    older_than, what, ids = asked["older_than"], asked["what"], asked["ids"]
    dry_run = asked["dry_run"]
    if (older_than is None) == (not ids):
        raise click.UsageError("Give either --older-than or executions.")
    if ids and what:
        raise click.UsageError("Executions that are named are purged whole: leave --what out.")
    with opened_store(config, data_dir, _opened) as purge:
        if older_than is None:
            done = [purge.one(id_, dry_run) for id_ in ids]
            if not dry_run:
                purge.finish()
            sys.exit(0 if all(done) else 1)
        before = now() - timedelta(seconds=older_than)
        # One moment for all: what is purged of each is the same, however long that takes.
        for name in what or ("executions",):
            purge.old(name, before, dry_run)
        if not dry_run:
            purge.finish()


class _Purge:
    """Purges, and says what it does."""

    def __init__(self, purging: Purging, database: Database, by: str) -> None:
        self._purging = purging
        self._executions = SteeredExecutions(database)
        self._chores = Chores(database, f"command line {os.getpid()}")
        self._by = by

    def one(self, reference: str, dry_run: bool) -> bool:
        """Purge one execution; return whether it was, or would be, purged."""
        try:
            execution = self._executions.find(reference)
            if dry_run:
                self._purging.check(execution.number)
            else:
                self._purging.purge(execution.number, self._by)
        except (NotFound, Conflict) as exc:
            click.echo(f"{reference}: {exc.message}", err=True)
            return False
        click.echo(f"{reference}: {'would be purged' if dry_run else 'purged'}")
        return True

    def old(self, name: str, before: datetime, dry_run: bool) -> None:
        """Purge something of all that ended before a moment."""
        what = _WHAT[name]
        if dry_run:
            number = self._purging.count(what, before)
        else:
            number = in_turns(
                lambda: self._purging.purge_old(what, before, self._by),
                self._may,
                threading.Event(),
            )
        noun = "execution" if number == 1 else "executions"
        of = "" if what is What.EXECUTIONS else f"{name} of "
        verb = "would be purged" if dry_run else "purged"
        click.echo(f"{of}{number} {noun} that ended before {before:%Y-%m-%dT%H:%M:%SZ}: {verb}")

    def finish(self) -> None:
        """Remove what is left in the store of all that was purged."""
        in_turns(self._purging.remove_some, self._may, threading.Event())
        self._chores.leave(STORE)
        if left := self._purging.files_count():
            click.echo(f"folders that conductors are still to remove: {left}")

    def _may(self) -> bool:
        """Wait until nobody else purges."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while not self._chores.take(STORE, CHORE_SECONDS):
            if time.monotonic() > deadline:
                click.echo("slipway: another process is purging; try again later.", err=True)
                sys.exit(1)
            time.sleep(_LOOK_SECONDS)
        return True


def _opened(settings: Settings, origin: Origin) -> tuple[_Purge, Database]:
    purging, database = purging_of(settings)
    return _Purge(purging, database, origin.credential or ""), database
