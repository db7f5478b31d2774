"""Whether a database is one of this program, and of a version that it knows."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from app.errors import ConfigError
from app.store.schema import metadata
from app.store.sqlite_files import database_file

VERSIONS = "alembic_version"
"""The table in which Alembic notes the revision."""
_SQLITE_HEADER = b"SQLite format 3\0"
"""How a database begins: https://www.sqlite.org/fileformat2.html, 1.3.1."""
_WAL = bytes((2, 2))
"""What follows the page size where there is a log beside the file: the same page, 1.3.3."""
_MOST_SHOWN = 80
"""How much of what another program has written is shown."""
_FOREIGN = (
    "The database belongs to another program ({}); nothing was changed: name another one by "
    "'database.url' or 'data_dir'."
)


def check_file(url: str) -> None:
    """Make sure that the file of a SQLite database is one, before anything touches it.

    One that is not there, or empty, will become one.

    Raises:
        ConfigError: It is something else, or cannot be read.
    """
    path = database_file(url)
    if path is None:
        return
    try:
        with path.open("rb") as file:
            found, is_wal = file.read(len(_SQLITE_HEADER)), file.read(4)[2:] == _WAL
    except FileNotFoundError:
        return
    except OSError as exc:
        raise ConfigError(f"The database {path} cannot be opened: {exc.strerror}.") from exc
    if found and found != _SQLITE_HEADER:
        raise ConfigError(
            f"The file {path} is not an SQLite database; nothing of it was changed: name another "
            "one by 'database.url' or 'data_dir', or restore the backup."
        )
    if found and not is_wal:  # as this program's never is: to open it would change it
        _check_tables(path)


def _check_tables(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {str(name) for (name,) in found}
    if VERSIONS not in tables and tables:
        raise ConfigError(_FOREIGN.format(f"it has a table '{min(tables)[:_MOST_SHOWN]}'"))


def revision(connection: Connection, known: Collection[str]) -> str | None:
    """Return the revision of the tables that there are; None where there are none yet.

    Args:
        connection: To the database.
        known: The revisions that this program knows.

    Raises:
        ConfigError: A newer version has made them, or another program.
    """
    tables = set(inspect(connection).get_table_names())
    if VERSIONS not in tables:
        _check_room(connection, tables)
        return None
    # Read as text, whatever another program has noted there.
    found = connection.execute(text(f"SELECT version_num FROM {VERSIONS}"))  # noqa: S608
    noted = [str(each) for each in found.scalars()]
    if not noted:
        _check_room(connection, tables - {VERSIONS})
        return None
    unknown = next((each for each in noted if each not in known), None)
    if unknown is None and len(noted) == 1:
        return noted[0]
    newest = max(known)
    if unknown is not None and unknown.isdecimal() and int(unknown) > int(newest):
        raise ConfigError(
            f"The database was made by a newer version of Slipway (it has revision {unknown}, this "
            f"version knows those up to {newest}); nothing was changed: install that version "
            "again, or restore the backup of before the upgrade."
        )
    raise ConfigError(_FOREIGN.format(f"its revision is '{', '.join(noted)[:_MOST_SHOWN]}'"))


def _check_room(connection: Connection, tables: Collection[str]) -> None:
    """Make sure that the first tables can be made.

    A file is this program's alone; a schema of PostgreSQL may hold others', under other names.
    """
    shared = connection.dialect.name != "sqlite"
    in_the_way = sorted(each for each in tables if not shared or each in metadata.tables)
    if in_the_way:
        raise ConfigError(_FOREIGN.format(f"it has a table '{in_the_way[0][:_MOST_SHOWN]}'"))
