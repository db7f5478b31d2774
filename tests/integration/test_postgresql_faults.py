"""PostgreSQL that is away, hangs, is locked, full or demoted: each says what it is, within a bound.

The bounds are orders of magnitude above what is expected, and far below what the kernel would take.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from kit.patience import PATIENCE_SECONDS, await_that, in_time
from kit.servers.cable import Cable
from kit.servers.postgresql import PostgresqlServer
from psycopg import sql
from sqlalchemy import make_url, text
from structlog.testing import capture_logs

from app.errors import StoreUnavailable
from app.store import migrate
from app.store.changes import open_feed
from app.store.conductors import Conductors, Node, OwnProcess
from app.store.database import Database
from app.store.launches import Intent, Launches, UsedKey

NODE = Node("host/mark", "boot")


@contextmanager
def opened(url: Any, **more: Any) -> Iterator[Database]:
    database = Database(str(url), **{"timeout_seconds": 2.0, **more})
    try:
        yield database
    finally:
        database.dispose()


@pytest.fixture
def url(migrated_database: str) -> str:
    return migrated_database


@pytest.fixture
def cable(postgresql_server: PostgresqlServer) -> Iterator[Cable]:
    made = Cable(postgresql_server.port)
    yield made
    made.close()


def through(cable: Cable, url: str) -> str:
    return make_url(url).set(port=cable.port).render_as_string(hide_password=False)


def admin(url: str) -> psycopg.Connection[Any]:
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(conninfo, autocommit=True)


def one(connection: Any) -> int:
    return connection.execute(
        text("UPDATE counters SET value = value WHERE name = 'changed'")
    ).rowcount


def refusal(function: Any) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        in_time(function)
    assert caught.value.retry_after_seconds
    return caught.value.message


def await_refusal(function: Any) -> None:
    def refused() -> bool:
        try:
            function()
        except StoreUnavailable:
            return True
        return False

    await_that(refused, "it is refused")


class Heard:
    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.look, self.told = threading.Event(), threading.Event()

    def __call__(self, ids: Any) -> None:
        if ids is None:
            self.look.set()
        else:
            self.ids.update(ids)
            self.told.set()


def launched(url: str, id_: str) -> None:
    with opened(url) as database:
        launches = Launches(database)
        intent = Intent(id_, "local", "flow", "Flow", "ada", {})
        launches.launched(launches.create(intent)[0], {"job": 1})


@pytest.mark.parametrize("fault", ["the way is silent", "the server is stopped"])
def test_a_feed_that_died_silently_is_noticed_and_misses_nothing(url, cable, fault):
    heard = Heard()
    stopped = []
    with opened(through(cable, url)) as database:
        feed = open_feed(database, "wanted", heard)
        if fault == "the way is silent":
            cable.go_silent()
        else:
            with admin(url) as connection:
                row = connection.execute(
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name = 'slipway' AND pid <> pg_backend_pid()"
                ).fetchone()
            stopped.append(row[0])
            os.kill(row[0], signal.SIGSTOP)
        try:
            launched(url, "meanwhile")
            assert heard.look.wait(PATIENCE_SECONDS), "everybody is told to look"
            launched(url, "later")
            assert heard.told.wait(PATIENCE_SECONDS)
            assert heard.ids == {"later"}
            feed.close()
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("known", [True, False], ids=["on old connections", "on new ones"])
def test_a_server_that_hangs_is_given_up_and_works_again_afterwards(url, cable, known):
    with opened(through(cable, url)) as database:
        if known:
            database.write(one)
        cable.die()
        assert "did not answer in time" in refusal(lambda: database.write(one))
        assert "did not answer in time" in refusal(lambda: Conductors(database).all())
        cable.mend()
        assert in_time(lambda: database.write(one)) == 1


def test_what_somebody_has_locked_is_not_waited_for_long(url):
    with opened(url, timeout_seconds=4.0) as database, admin(url) as other, other.transaction():
        other.execute("LOCK TABLE counters IN ACCESS EXCLUSIVE MODE")
        assert "locked by somebody else" in refusal(lambda: database.write(one))


def test_a_statement_that_takes_too_long_is_ended_by_the_server(url):
    # The server's limit is a sixth below our own, which a busy machine must not use up.
    with opened(url, timeout_seconds=8.0) as database:
        slow = text("SELECT pg_sleep(600)")
        assert "database.timeout" in refusal(lambda: database.write(lambda c: c.execute(slow)))
        with admin(url) as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sleep(600)'"
            assert connection.execute(query + " AND state = 'active'").fetchone() == (0,)


def test_when_all_connections_are_in_use_it_is_said_and_is_no_crash(url):
    with (
        opened(url, pool_size=2, timeout_seconds=0.5) as database,
        database.read(),
        database.read(),
    ):
        assert "too many wait" in refusal(lambda: database.write(one))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"username": "nobody"}, "refuses the user or the password"),
        ({"database": "no_such_database"}, "does not exist"),
        ({"port": 1}, "nothing answers at its address"),
        ({"host": "no-such-host.invalid"}, "name of its host is not known"),
    ],
    ids=["user", "database", "port", "host"],
)
def test_what_is_wrong_with_the_url_is_said(url, change, why):
    wrong = make_url(url).set(**change).render_as_string(hide_password=False)
    with opened(wrong) as database, capture_logs() as logs:
        for _ in range(3):
            assert why in refusal(lambda: Conductors(database).all())
    assert [line["event"] for line in logs] == ["store unavailable"]


def test_a_server_that_accepts_no_more_connections_says_so(url, postgresql_server):
    role = sql.Identifier("crowded")
    with admin(url) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT 1").format(role))
        connection.execute(sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}").format(role))
    crowded = make_url(url).set(username="crowded").render_as_string(hide_password=False)
    try:
        with opened(crowded) as database, admin(crowded):
            assert "accepts no more connections" in refusal(lambda: database.write(one))
    finally:
        with admin(url) as connection:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


class Interrupted:
    """A transaction whose connection the server ends, the first time that it is run."""

    def __init__(self, url: str, *, before_the_end: bool) -> None:
        self._url, self._before_the_end = url, before_the_end
        self.runs = 0

    def __call__(self, connection: Any) -> int:
        self.runs += 1
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        if self.runs == 1:
            with admin(self._url) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
            if not self._before_the_end:
                return 0
        return one(connection)


def test_a_transaction_that_lost_its_connection_is_repeated_on_a_new_one(url):
    work = Interrupted(url, before_the_end=True)
    with opened(url, timeout_seconds=20.0) as database:
        assert database.write(work) == 1
    assert work.runs == 2


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_commit_without_an_answer_is_repeated_only_where_twice_is_as_good_as_once(
    url, idempotent
):
    work = Interrupted(url, before_the_end=False)
    with opened(url, timeout_seconds=20.0) as database:
        if idempotent:
            assert database.write(work, idempotent=True) == 1
        else:
            assert "nobody knows" in refusal(lambda: database.write(work))
    assert work.runs == (2 if idempotent else 1)


def test_a_launch_that_is_written_down_twice_is_one(url):
    with opened(url) as database:
        launches = Launches(database)
        for key in (None, "k"):
            used = key and UsedKey("ada", key, "")
            intent = Intent(f"id-{key}", "local", "flow", "Flow", "ada", {}, used=used)
            first, _ = launches.create(intent)
            assert launches.create(intent) == (first, True)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[PostgresqlServer, PostgresqlServer]]:
    """Two servers, both up and writable."""
    first = PostgresqlServer()
    try:
        second = PostgresqlServer()
        try:
            for server in (first, second):
                with opened(server.url(), timeout_seconds=None) as database:
                    migrate.upgrade(database)
            yield first, second
        finally:
            second.stop()
    finally:
        first.stop()


@contextmanager
def demoted(server: PostgresqlServer) -> Iterator[None]:
    """Let a server refuse every change, as a standby does (SQLSTATE 25006)."""
    server.execute(sql.SQL("ALTER SYSTEM SET default_transaction_read_only = on"))
    server.execute(sql.SQL("SELECT pg_reload_conf()"))
    try:
        yield
    finally:
        conninfo = make_url(server.url()).set(drivername="postgresql").render_as_string()
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")


def test_after_a_failover_everything_goes_on_at_the_new_primary(pair):
    first, second = pair
    url = (
        "postgresql+psycopg://slipway@/postgres?host=127.0.0.1,127.0.0.1"
        f"&port={first.port},{second.port}&target_session_attrs=read-write"
    )
    heard = Heard()
    with opened(url) as listening, opened(url, timeout_seconds=10.0) as database:
        feed = open_feed(listening, "wanted", heard)
        conductors = Conductors(database)
        conductors.register("before", NODE, OwnProcess(1))
        with demoted(first):
            assert heard.look.wait(PATIENCE_SECONDS), "the feed has moved"
            conductors.register("after", NODE, OwnProcess(2))
            launched(second.url(), "at-the-second")
            assert heard.told.wait(PATIENCE_SECONDS)
            assert [c.id for c in conductors.all()] == ["after"]
        feed.close()
    with opened(first.url()) as old:
        assert [c.id for c in Conductors(old).all()] == ["before"]


def test_the_only_server_that_became_read_only_says_so_once_and_is_read_all_the_same(pair):
    first, _ = pair
    with opened(first.url()) as database, capture_logs() as logs:
        database.write(one)
        with demoted(first):
            await_refusal(lambda: database.write(one))  # each session heeds the signal in its time
            for _ in range(3):
                assert "read-only" in refusal(lambda: database.write(one))
                Conductors(database).all()
            assert "read-only" in refusal(database.probe)
        database.write(one)
    assert [line["event"] for line in logs] == ["store unavailable", "store available again"]
