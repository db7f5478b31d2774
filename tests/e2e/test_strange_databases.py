"""A database that is not this version's is refused by every command, in a sentence."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.service import run_slipway

from app.store import migrate
from app.store.database import Database

COMMANDS = {
    "serve": ["serve", "--port", "0"],
    "web": ["web", "--port", "0"],
    "conductor": ["conductor"],
    "migrate": ["migrate"],
    "abandon": ["abandon"],
    "user": ["user", "list"],
    "api-key": ["api-key", "list"],
    "auth": ["auth", "rotate-key"],
    "import-workflows": ["import-workflows", "--user", "ada", "README.md"],
}


def newer(path: Path) -> None:
    database = Database(f"sqlite:///{path}")
    migrate.upgrade(database)
    database.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    connection.close()


def none_at_all(path: Path) -> None:
    path.write_text("notes: not a database\n" * 100)


def another_programs(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cookies (name TEXT)")
    connection.close()


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (newer, "made by a newer version of Slipway (it has revision 0999"),
        (none_at_all, "is not an SQLite database"),
        (another_programs, "belongs to another program (it has a table 'cookies')"),
        (folder, "cannot be opened: Is a directory"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_strange_database_is_a_sentence_and_stays_as_it_is(
    tmp_path: Path, command: str, make: Callable[[Path], None], why: str
) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    path = data / "slipway.db"
    make(path)
    before = None if path.is_dir() else path.read_bytes()
    done = run_slipway(*COMMANDS[command], "--data-dir", data)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert why in done.stderr
    assert "slipway migrate" not in done.stderr
    if before is not None:
        assert path.read_bytes() == before
