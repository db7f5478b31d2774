"""Connections to PostgreSQL that give up on a server which does not answer.

The server keeps its own time limits; they are no use where the server, or the way to it, is what
hangs. So the kernel looks for a peer that is gone (keep-alive probes, RFC 1122 4.2.3.6, and
TCP_USER_TIMEOUT, RFC 5482), and each wait for an answer has an end on our side, too.
"""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from sqlalchemy import URL, Engine, ExceptionContext, create_engine, event

from app.concurrency import original
from app.store import _deadline
from app.store.faults import is_lost

CONNECT_SECONDS = 5
"""For a connection to be made; several hosts share it."""
_SILENCE_MS = 10_000
_ANSWERED_SECONDS = 2.0
"""How lately a connection must have answered, if it is to be used without a question."""
_poll = original("select", "poll")  # gevent's lets others act, which takes longer than the look
_PROBES = {"keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
# The server's limits end first, since it can say more.
_LOCK_SHARE = 0.8


class BoundedConnection(psycopg.Connection[Any]):
    """A connection whose every wait ends by the deadline of its thread or greenlet, if any."""

    _answered_at = 0.0

    @property
    def stands(self) -> bool:
        """Whether it surely stands: it answered just now, and no end of it has come in since.

        A server that ends a connection says so (PostgreSQL, 53.2.7), and its kernel ends it, too.
        """
        if self.closed or time.monotonic() - self._answered_at > _ANSWERED_SECONDS:
            return False
        waiting = _poll()
        waiting.register(self.fileno(), select.POLLIN)
        return not waiting.poll(0)

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for an answer of the server.

        Raises:
            psycopg.OperationalError: There was none in time; the connection is closed.
        """
        result = self._wait(gen, interval, timeout)
        self._answered_at = time.monotonic()
        return result

    def _wait(self, gen: PQGen[RV], interval: float, timeout: float | None) -> RV:
        deadline = _deadline.current()
        if timeout is not None or deadline is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, max(0.01, deadline - time.monotonic()))
        except psycopg.OperationalError as exc:
            if self.closed or time.monotonic() < deadline:
                raise
            self.close()
            raise psycopg.OperationalError("the server did not answer in time") from exc


def make_engine(url: URL, pool_size: int, timeout_seconds: float | None) -> Engine:
    """Make an engine whose connections have time limits.

    Args:
        url: URL of the database; parameters that it names win over ours.
        pool_size: Most connections.
        timeout_seconds: Longest wait for a connection, a lock or an answer; None for no limit.
    """
    engine = create_engine(
        url, pool_size=pool_size, max_overflow=0, pool_pre_ping=True,
        pool_timeout=timeout_seconds or 30.0,
    )  # fmt: skip

    ask = engine.dialect.do_ping

    def ping(dbapi_connection: Any) -> bool:
        """Ask only where it may be gone: a round trip before each transaction is one too many."""
        return dbapi_connection.stands or ask(dbapi_connection)

    engine.dialect.do_ping = ping  # type: ignore[method-assign]

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, _args: Any, given: dict[str, Any]) -> Any:
        return BoundedConnection.connect(**_limits(given, timeout_seconds))

    @event.listens_for(engine, "handle_error")
    def _on_error(context: ExceptionContext) -> None:
        if is_lost(context.original_exception):
            context.is_disconnect = True  # all connections of before are made anew

    return engine


def connect(engine: Engine) -> BoundedConnection:
    """Open a connection that is in no pool, in autocommit mode."""
    _, given = engine.dialect.create_connect_args(engine.url)
    connection = BoundedConnection.connect(**_limits(given, None), autocommit=True)
    assert isinstance(connection, BoundedConnection)  # noqa: S101  (for mypy)
    return connection


def _limits(given: Mapping[str, Any], timeout_seconds: float | None) -> dict[str, Any]:
    hosts = str(given.get("host", "")).count(",") + 1
    ours: dict[str, Any] = {
        "application_name": "slipway",
        "connect_timeout": max(2, CONNECT_SECONDS // hosts),
        "tcp_user_timeout": _SILENCE_MS,
        **_PROBES,
    }
    limits = {**ours, **given}
    if timeout_seconds is not None:
        milliseconds = round(timeout_seconds * 1000)
        options = {
            "lock_timeout": round(milliseconds * _LOCK_SHARE),
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
        }
        set_ = " ".join(f"-c {name}={value}" for name, value in options.items())
        limits["options"] = f"{set_} {given.get('options', '')}".strip()
    return limits
