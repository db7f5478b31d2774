"""A real PostgreSQL, with a database of its own for each test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from kit.ports import free_port
from kit.servers.processes import ServerProcess, unavailable
from psycopg import sql

from app.store import migrate
from app.store.database import Database

_SUPERUSER = "slipway"
_MIGRATED = "migrated"
_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def _programs() -> Path:
    """Find the folder of ``initdb`` and ``postgres``; Debian keeps it out of the PATH."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest_first = sorted(debian, key=lambda program: int(program.parts[-3]), reverse=True)
    elsewhere = shutil.which("initdb")
    for initdb in [*newest_first, *([Path(elsewhere)] if elsewhere else [])]:
        if (initdb.parent / "postgres").exists():
            return initdb.parent
    return unavailable("PostgreSQL's initdb and postgres were not found")


class PostgresqlServer:
    """One server with an empty cluster; nothing of it outlives :meth:`stop`."""

    def __init__(self) -> None:
        self._programs = programs = _programs()
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        # pytest's own folders are closed to other users, and too long for a socket's name.
        self._folder = Path(tempfile.mkdtemp(prefix="slipway-postgresql-"))
        self.port = free_port()
        self._migrated: MigratedDatabase | None = None
        try:
            self._initialise(programs)
            self._process = self._start(programs)
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, for SQLAlchemy and psycopg 3."""
        return f"postgresql+psycopg://{_SUPERUSER}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database, give its URL, and drop it afterwards."""
        name = f"test_{uuid4().hex}"
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield self.url(name)
        finally:
            self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def migrated_database(self) -> Iterator[str]:
        """Lend a database that has all tables and no rows of others, and give its URL.

        It is one for all, and emptied in between: that is ten times as fast as a new one.
        """
        if self._migrated is None:
            self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_MIGRATED)))
            self._migrated = MigratedDatabase(self.url(_MIGRATED))
        try:
            yield self._migrated.url
        finally:
            self._migrated.empty()

    def crash(self) -> None:
        """Have all of its processes end at once, as if it had crashed."""
        self._process.send(signal.SIGQUIT)
        self._process.stop()

    def start(self) -> None:
        """Start it again, where it was."""
        self._process = self._start(self._programs)

    def stop(self) -> None:
        """End the server and remove its data."""
        if self._migrated is not None:
            self._migrated.close()
        self._process.stop()
        shutil.rmtree(self._folder)

    def _initialise(self, programs: Path) -> None:
        command = [str(programs / "initdb"), "--pgdata=data", f"--username={_SUPERUSER}"]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        if self._user:
            shutil.chown(self._folder, self._user, self._user)
        done = subprocess.run(
            command,
            cwd=self._folder,
            user=self._user,
            group=self._user,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def _start(self, programs: Path) -> ServerProcess:
        settings = [part for item in _FAST.items() for part in ("-c", "=".join(item))]
        return ServerProcess(
            [
                str(programs / "postgres"),
                f"-D{self._folder / 'data'}",
                "-h127.0.0.1",
                f"-p{self.port}",
                f"-k{self._folder}",
                *settings,
            ],
            log=self._folder / "log",
            ready=self._is_ready,
            stop_signal=signal.SIGINT,  # ends sessions, too
            user=self._user,
        )

    def _is_ready(self) -> bool:
        try:
            self.execute(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, statement: sql.SQL | sql.Composed) -> None:
        """Run a statement as the superuser, outside a transaction."""
        conninfo = f"host=127.0.0.1 port={self.port} user={_SUPERUSER} dbname=postgres"
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement)


class MigratedDatabase:
    """A database with all tables, which can be brought back to how the migrations leave it.

    Args:
        url: URL of an empty database.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        database = Database(url)
        migrate.upgrade(database)
        database.dispose()
        self._conninfo = url.replace("postgresql+psycopg", "postgresql", 1)
        self._connection = self._connect()
        rows = self._connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename <> 'alembic_version'"
        ).fetchall()
        tables = [sql.Identifier(name) for (name,) in rows]
        self._connection.execute("CREATE SCHEMA seeds")
        seeded = []
        for table in tables:
            copy = sql.SQL("CREATE TABLE seeds.{} AS SELECT * FROM public.{}")
            if self._connection.execute(copy.format(table, table)).rowcount:
                seeded.append(table)
        sequences = self._connection.execute(
            "SELECT sequencename, start_value FROM pg_sequences WHERE schemaname = 'public'"
        ).fetchall()
        # In any order, since no key is looked after meanwhile. TRUNCATE and ALTER SEQUENCE make new
        # files, which takes ten times as long as to delete the few rows of a test.
        delete = sql.SQL("DELETE FROM public.{};")
        again = sql.SQL("INSERT INTO public.{0} SELECT * FROM seeds.{0};")
        restart = sql.SQL("SELECT setval({}, {}, false);")
        self._empty = sql.SQL("SET LOCAL session_replication_role = replica;") + sql.Composed(
            [delete.format(table) for table in tables]
            + [again.format(table) for table in seeded]
            + [restart.format(f'public."{name}"', start) for name, start in sequences]
        )

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self._conninfo, autocommit=True)

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()

    def empty(self) -> None:
        """Bring it back, whoever still works with it."""
        try:
            self._bring_back()
        except psycopg.OperationalError:  # the server has been another one since
            self._connection = self._connect()
            self._bring_back()

    def _bring_back(self) -> None:
        self._connection.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with self._connection.transaction():
            self._connection.execute(self._empty)
