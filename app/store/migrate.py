"""Bringing the store's tables to the version that this program needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from app.errors import ConfigError
from app.store import recognition
from app.store.database import Database
from app.store.locks import Lock, take_lock

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> None:
    """Bring the tables up to date; several processes may try at once.

    Raises:
        ConfigError: They are not this program's, or those of a newer version; none was changed.
    """
    if _found(database) != head():
        database.write(_upgrade)


def begin(database: Database) -> None:
    """Make the tables where there are none yet, as before the first start.

    Raises:
        ConfigError: There are some, and they are not up to date; the message says what to do.
    """
    if _found(database) is None:
        upgrade(database)
    check(database)


def check(database: Database) -> None:
    """Make sure that the tables are up to date.

    Raises:
        ConfigError: They are not; the message says what to do.
    """
    if _found(database) != head():
        raise ConfigError("The database is not up to date: run 'slipway migrate' first.")


def head() -> str:
    """Return the revision that this program needs: the number of the last migration's file."""
    return max(_known())


def _known() -> frozenset[str]:
    """Return the revisions that this program knows."""
    return frozenset(
        file.name.partition("_")[0] for file in (_FOLDER / "versions").glob("[0-9]*.py")
    )


def _found(database: Database) -> str | None:
    """Return the revision of the tables, without Alembic: it is large, and seldom needed."""
    with database.read() as connection:
        return recognition.revision(connection, _known())


def _upgrade(connection: Connection) -> None:
    take_lock(connection, Lock.MIGRATION)
    from alembic import command  # noqa: PLC0415

    config = alembic_config(connection)
    command.upgrade(config, "head")


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for a connection."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config
