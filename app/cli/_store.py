"""Commands that manage what is in the store, whether the service runs or not."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click

from app.cli._process import guard_process
from app.cli._settings import settings_or_exit, start_or_exit
from app.errors import SlipwayError, StoreUnavailable
from app.services.audit import Origin
from app.settings import Settings
from app.store import migrate
from app.store.database import Database

T = TypeVar("T")


@contextmanager
def opened_store(
    config: Path | None,
    data_dir: Path | None,
    make: Callable[[Settings, Origin], tuple[T, Database]],
) -> Iterator[T]:
    """Open something of the store, and say in words what cannot be done.

    Args:
        config: YAML file.
        data_dir: Folder of all that is kept, where that is not said elsewhere.
        make: Opens it, for whoever called the command.
    """
    guard_process()
    settings = settings_or_exit(config, {"data_dir": data_dir})
    origin = Origin(credential=f"command-line:{shell_user()}")
    with start_or_exit():
        made, database = make(settings, origin)
        migrate.begin(database)
        try:
            yield made
        except StoreUnavailable:
            raise
        except SlipwayError as exc:
            click.echo(f"slipway: {exc.message}", err=True)
            for fault in exc.fields:
                click.echo(f"  {fault.path}: {fault.message}", err=True)
            sys.exit(1)
        finally:
            database.dispose()


def shell_user() -> str:
    """Return who called the command, as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # of no name, as in some containers
        return "unknown"
