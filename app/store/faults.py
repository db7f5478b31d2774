"""What is wrong with a database that fails, in words for whoever runs it.

Sources: PostgreSQL's error codes (appendix A), SQLite's result codes. A server that refuses a
connection tells no code, only a text.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from typing import TYPE_CHECKING, TypeGuard

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

if TYPE_CHECKING:
    import psycopg

_READ_ONLY = "it is read-only, such as a standby or a server that was demoted"
_REFUSED = "it refuses the user or the password of 'database.url'"
_MISSING = "the database that 'database.url' names does not exist"
_OTHER_TABLES = "its tables are not those of this version; run 'slipway migrate'"
_CROWDED = "it accepts no more connections"
_RESTARTS = "it is starting or shutting down"
_SILENT = "it did not answer in time"
_LOST = "the connection to it was lost"
_LOCKED = "it is locked by somebody else"
_DISK_FULL = "its disk is full"
_DISK_FAILS = "its disk fails"
_DAMAGED = "its data are damaged"
BUSY = "too many wait for it"

_SQLSTATES = {
    "25006": _READ_ONLY,
    "3D000": _MISSING,
    "42501": "the user of 'database.url' may not do that there",
    "42P01": _OTHER_TABLES,
    "42703": _OTHER_TABLES,
    "53100": _DISK_FULL,
    "53200": "it has no memory left",
    "53300": _CROWDED,
    "55P03": _LOCKED,
    "57014": "it took longer than 'database.timeout' allows",
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
_SQLSTATE_CLASSES = {"08": _LOST, "28": _REFUSED, "57": _RESTARTS, "58": _DISK_FAILS}

_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: "its file cannot be written to",
    sqlite3.SQLITE_PERM: "its file cannot be written to",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_IOERR: _DISK_FAILS,
    sqlite3.SQLITE_FULL: _DISK_FULL,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: "its file is not a database",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
}

_CONNECTING = tuple(
    (re.compile(pattern, re.IGNORECASE), meaning)
    for pattern, meaning in (
        ("password authentication|no password supplied|pg_hba|role .* does not exist", _REFUSED),
        ("database .* does not exist", _MISSING),
        ("too many (clients|connections)|remaining connection slots", _CROWDED),
        ("read-only|hot standby|recovery", _READ_ONLY),
        ("starting up|shutting down", _RESTARTS),
        ("translate host name|resolve|not known", "the name of its host is not known"),
        ("timeout expired|timed out|in time", _SILENT),
        ("refused|no such file|unreachable|no route", "nothing answers at its address"),
    )
)
_LOST_STATES = re.compile("08...|25006|25P0[34]|57P0.")
_AGAIN_STATES = {"40001", "40P01"}


def meaning(exc: Exception) -> str | None:
    """Return what is wrong with a database.

    Returns:
        A clause such as "its disk is full"; None when the database is well, and the fault is in
        what it was asked.
    """
    if isinstance(exc, NoFreeConnection):
        return BUSY
    error = exc.orig if isinstance(exc, DBAPIError) else exc
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error)
    if _is_of_psycopg(error):
        return _of_postgresql(error)
    return None


def is_lost(exc: BaseException | None) -> bool:
    """Return whether a connection to PostgreSQL is of no more use after this.

    One to a server that became read-only would go on refusing every write.
    """
    return _is_of_psycopg(exc) and bool(_LOST_STATES.fullmatch(exc.sqlstate or ""))


def is_worth_repeating(exc: DBAPIError) -> bool:
    """Return whether the same transaction may well succeed at once, on a new connection."""
    state = getattr(exc.orig, "sqlstate", None)
    return (exc.connection_invalidated and not is_silence(exc)) or state in _AGAIN_STATES


def is_silence(exc: DBAPIError) -> bool:
    """Return whether time ran out: another attempt would take as long again."""
    return meaning(exc) == _SILENT


def _is_of_psycopg(exc: BaseException | None) -> TypeGuard[psycopg.Error]:
    """Return whether an error is one of PostgreSQL's driver, which SQLite does without."""
    driver = sys.modules.get("psycopg")
    return driver is not None and isinstance(exc, driver.Error)


def _of_sqlite(error: sqlite3.Error) -> str | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    if code == sqlite3.SQLITE_ERROR and re.match("no such (table|column)", str(error)):
        return _OTHER_TABLES
    return _SQLITE.get(code & 0xFF)


def _of_postgresql(error: psycopg.Error) -> str | None:
    state = error.sqlstate
    if state is not None:
        return _SQLSTATES.get(state) or _SQLSTATE_CLASSES.get(state[:2])
    driver = sys.modules["psycopg"]
    if not isinstance(error, driver.OperationalError | driver.InterfaceError):
        return None
    text = str(error)
    return next((meaning for pattern, meaning in _CONNECTING if pattern.search(text)), _LOST)
