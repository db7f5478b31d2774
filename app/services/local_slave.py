"""The slave that ``slipway serve`` starts when there is work for one.

It stands in the store as offered, so that there is room for executions before it runs. A conductor
that wants it calls it there, and whoever offers it hears of that.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from typing import Final

import structlog

from app.cores import usable_cores
from app.errors import SlipwayError
from app.load.machine import CAPABILITIES, memory_mb
from app.store.changes import open_feed
from app.store.database import Database
from app.store.slaves import LOCAL, NewSlave, Slaves

log = structlog.get_logger(__name__)

OFFER_SECONDS: Final = 180.0
"""How long an offer holds whose process has died."""
_RENEW_SECONDS: Final = 60.0
"""How often it is offered anew."""
_CALL_SECONDS: Final = 30.0
"""A call is not followed that is older: who made it would have repeated it."""


def local_slave_of(id_: str, max_vus: int) -> NewSlave:
    """Return what the slave will be that this machine can start."""
    return NewSlave(
        id_, LOCAL, os.uname().nodename, CAPABILITIES, {}, usable_cores(), memory_mb(), max_vus,
        incarnation="", connection="",
    )  # fmt: skip


class LocalSlave:
    """Offers a slave, and has it started when it is called.

    Args:
        database: The store.
        slave: What it will be.
        start: Has it started; to be called any number of times.
    """

    def __init__(self, database: Database, slave: NewSlave, start: Callable[[], None]) -> None:
        self._database = database
        self._slaves = Slaves(database)
        self._slave = slave
        self._start = start
        self._stopping = threading.Event()

    def begin(self) -> None:
        """Offer it from now on.

        Raises:
            StoreUnavailable: The store cannot be followed.
        """
        self._feed = open_feed(self._database, "assigned", self._look)
        threading.Thread(target=self._offer, name="local-slave", daemon=True).start()

    def end(self) -> None:
        """Offer it no more."""
        self._stopping.set()
        self._feed.close()
        try:
            self._slaves.withdraw_offer(self._slave.id)
        except SlipwayError as exc:  # the offer ends by itself
            log.warning("the offer of a slave could not be withdrawn", error=exc.message)

    def _offer(self) -> None:
        while not self._stopping.is_set():
            try:
                self._slaves.offer(self._slave, OFFER_SECONDS)
                self._look(None)
                self._revive()
            except SlipwayError as exc:
                log.warning("no slave could be offered", error=exc.message)
            self._stopping.wait(_RENEW_SECONDS)

    def _revive(self) -> None:
        """Have it started where it was at work and may have died, together with this process.

        As long as its connection is not known to have ended, conductors count on its coming back.
        """
        if self._slaves.get(self._slave.id).connection is not None:
            self._start()

    def _look(self, _executions: Collection[str] | None) -> None:
        if self._slave.id in self._slaves.called(_CALL_SECONDS):
            self._start()
