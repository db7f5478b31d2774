"""Definitions, ready to be run by virtual users of this process."""

from __future__ import annotations

import gevent

from app.load import iteration
from app.load.definition import Definition
from app.load.exchange import Http, Recorder


class Compiled:
    """A :class:`app.load.slave.vus.Program` made of a definition.

    Args:
        definition: What is run.

    Raises:
        ValueError: It cannot be.
    """

    def __init__(self, definition: Definition) -> None:
        self._plan = iteration.compile(definition)

    def __call__(self, http: Http, recorder: Recorder, vu: int, number: int) -> bool:
        """Run one iteration; others run while it waits."""
        return iteration.run_iteration(self._plan, http, recorder, vu, number, sleep=gevent.sleep)

    def close(self) -> None:
        """End the process of its scripts."""
        self._plan.close()
