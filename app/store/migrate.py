"""Bringing the store's tables to the version that this program needs."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.errors import ConfigError
from app.store.database import Database

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x51495057  # any number that nothing else in the database locks


def upgrade(database: Database) -> None:
    """Bring the tables up to date; several processes may try at once."""
    database.write(_upgrade)


def check(database: Database) -> None:
    """Make sure that the tables are up to date.

    Raises:
        ConfigError: They are not; the message says what to do.
    """
    with database.read() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current != ScriptDirectory(str(_FOLDER)).get_current_head():
        raise ConfigError("The database is not up to date: run 'slipway migrate' first.")


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = alembic_config(connection)
    command.upgrade(config, "head")


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for a connection."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config
