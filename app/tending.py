"""What orchestrators want to be done now and then, by conductors, beside executions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from app.clients.orchestrator import Orchestrator
from app.errors import SlipwayError

log = structlog.get_logger(__name__)

_EVERY_SECONDS: Final = 30.0
"""Time between two goes."""
_LEAVE_SECONDS: Final = 3.0
"""How long is waited at the end for what is under way."""


class Tending:
    """Tends orchestrators, each in a thread of its own, so that one that hangs holds up no other.

    Args:
        orchestrators: Those that may want something.
        beside: What else runs until its event is set.
        every_seconds: Time between two goes.
    """

    def __init__(
        self,
        orchestrators: Iterable[Orchestrator],
        beside: Callable[[threading.Event], None],
        every_seconds: float = _EVERY_SECONDS,
    ) -> None:
        self._orchestrators = list(orchestrators)
        self._beside = beside
        self._every_seconds = every_seconds

    def run(self, stopping: threading.Event) -> None:
        """Tend them until the event is set."""
        threads = [
            threading.Thread(
                target=self._tend, args=(each, stopping), name=f"tend {each.name}", daemon=True
            )
            for each in self._orchestrators
        ]
        for thread in threads:
            thread.start()
        self._beside(stopping)
        for thread in threads:
            thread.join(_LEAVE_SECONDS)

    def _tend(self, orchestrator: Orchestrator, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                orchestrator.tend()
            except SlipwayError as exc:
                log.info("cannot tend", orchestrator=orchestrator.name, error=exc.message)
            except Exception:
                log.exception("cannot tend", orchestrator=orchestrator.name)
            stopping.wait(self._every_seconds)
