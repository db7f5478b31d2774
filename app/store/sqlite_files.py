"""Which files an SQLite database has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

_BESIDE: Final = ("", "-wal", "-shm", "-journal")
"""What the names end in: https://www.sqlite.org/tempfiles.html."""


def database_file(url: str) -> Path | None:
    """Return the file of a database, as its URL names it; None where it has none."""
    parts = make_url(url)
    if parts.get_backend_name() != "sqlite" or not parts.database or parts.database == ":memory:":
        return None
    return Path(parts.database)


def database_files(url: str) -> list[Path]:
    """List all files that a database may have, itself first; not all of them need exist."""
    file = database_file(url)
    if file is None:
        return []
    name = os.path.realpath(file)  # SQLite follows symbolic links, too
    return [Path(name + suffix) for suffix in _BESIDE]
