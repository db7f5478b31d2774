"""The conductors, their signs of life, and the machines that they serve."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Select, delete, insert, select, update

from app.domain import JSON
from app.files import data_mark
from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import conductors, nodes

SILENT_LEASES = 4
"""A conductor that gave no sign of life for so many leases is taken for dead."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine together with a data folder, to which executions of our own engine are bound.

    Attributes:
        name: The host's name, ``/``, and the mark that the data folder carries.
        boot_id: The running kernel (``/proc/sys/kernel/random/boot_id``).
    """

    name: str
    boot_id: str

    @property
    def mark(self) -> str:
        """The mark of the data folder."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class OwnProcess:
    """The process that a conductor is.

    Attributes:
        pid: Its number, which another process is given again once it has ended.
        start_ticks: Clock ticks from the start of the machine to its own (proc(5),
            ``/proc/[pid]/stat``, field 22); with the number it names one process of a kernel.
    """

    pid: int
    start_ticks: str | None = None


def node_name(data_dir: Path) -> str:
    """Name this machine together with a data folder.

    Raises:
        OSError, UnicodeDecodeError: The folder's mark can be neither read nor made.
    """
    return f"{os.uname().nodename}/{data_mark(data_dir)}"


def host_of(node: str) -> str:
    """Return the name of the host in the name of a node."""
    return node.rpartition("/")[0] or node


@dataclass(frozen=True, slots=True)
class Conductor:
    """One conductor process.

    Attributes:
        node: Name of its machine.
        boot_id: The kernel that it runs under; None where an earlier version has entered it.
        start_ticks: When the process was started, as :class:`OwnProcess` has it; likewise.
        polls: What it asks of upstreams, see :meth:`Conductors.beat`.
    """

    id: str
    node: str
    pid: int
    boot_id: str | None
    start_ticks: str | None
    started_at: datetime
    beat_at: datetime
    polls: JSON = None


class Conductors:
    """Which conductors there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, conductor_id: str, node: Node, process: OwnProcess) -> None:
        """Enter a conductor that begins its work."""

        def work(connection: Connection) -> None:
            _enter(connection, conductor_id, node, process)
            _see(connection, node)

        self._database.write(work)

    def beat(self, conductor_id: str, node: Node, process: OwnProcess, polls: JSON = None) -> None:
        """Store a sign of life.

        One that was taken out for dead, or that a restored database does not know, enters itself
        again.

        Args:
            conductor_id: Its id.
            node: Its machine.
            process: It.
            polls: By orchestrator, how many requests a second it makes to watch executions
                (``used``), and how many it may make (``allowed``).
        """

        def work(connection: Connection) -> None:
            own = update(conductors).where(conductors.c.id == conductor_id)
            if not connection.execute(own.values(beat_at=now(), polls=polls)).rowcount:
                _enter(connection, conductor_id, node, process)
            _see(connection, node)

        self._database.write(work, durable=False, idempotent=True)

    def heritage(self, node: Node, lease_seconds: float) -> list[str]:
        """List the other names under which a machine's data folder was served by this very kernel.

        That is what a machine leaves that was given another host name, or a container that was
        made anew. A name that a living conductor goes by is not among them.
        """
        statement = select(nodes.c.name).where(
            nodes.c.boot_id == node.boot_id,
            nodes.c.name != node.name,
            nodes.c.name.endswith(f"/{node.mark}", autoescape=True),
            nodes.c.name.not_in(served(lease_seconds)),
        )
        with self._database.read() as connection:
            return list(connection.execute(statement).scalars())

    def remove(self, conductor_id: str) -> None:
        """Take a conductor out that ended or died."""
        self._database.write(
            lambda c: c.execute(delete(conductors).where(conductors.c.id == conductor_id))
        )

    def all(self) -> list[Conductor]:
        """List the conductors that were not taken out."""
        with self._database.read() as connection:
            rows = connection.execute(select(conductors).order_by(conductors.c.started_at))
            return [Conductor(**row) for row in rows.mappings()]

    def alive(self, within_seconds: float) -> bool:
        """Return whether any conductor gave a sign of life lately."""
        oldest = now() - timedelta(seconds=within_seconds)
        statement = select(conductors.c.id).where(conductors.c.beat_at >= oldest).limit(1)
        with self._database.read() as connection:
            return connection.execute(statement).first() is not None


def served(lease_seconds: float) -> Select[tuple[str]]:
    """Select the nodes that a living conductor serves."""
    oldest = now() - timedelta(seconds=SILENT_LEASES * lease_seconds)
    return select(conductors.c.node).where(conductors.c.beat_at >= oldest)


def _enter(connection: Connection, conductor_id: str, node: Node, process: OwnProcess) -> None:
    moment = now()
    connection.execute(
        insert(conductors).values(
            id=conductor_id, node=node.name, pid=process.pid, boot_id=node.boot_id,
            start_ticks=process.start_ticks, started_at=moment, beat_at=moment,
        )
    )  # fmt: skip


def _see(connection: Connection, node: Node) -> None:
    """Note that a node is served now, and by which kernel."""
    values = {"boot_id": node.boot_id, "seen_at": now()}
    known = connection.execute(update(nodes).where(nodes.c.name == node.name).values(**values))
    if not known.rowcount:
        connection.execute(insert(nodes).values(name=node.name, **values))
