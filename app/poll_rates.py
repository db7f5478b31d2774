"""How much of their upstreams orchestrators take while a conductor watches their executions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from app.clients.orchestrator import Orchestrator
from app.domain import JSON


class PollRates:
    """Tells the rates since it was last asked.

    Args:
        orchestrators: The orchestrators by name.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        orchestrators: Mapping[str, Orchestrator],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._orchestrators = orchestrators
        self._clock = clock
        self._read_at = clock()
        self._taken: dict[str, int] = {}

    def read(self) -> JSON:
        """Return, by orchestrator, the requests a second since the last call, and the bound."""
        moment = self._clock()
        seconds = max(moment - self._read_at, 0.001)
        self._read_at = moment
        rates: dict[str, JSON] = {}
        for name, orchestrator in self._orchestrators.items():
            polls = orchestrator.polls()
            if polls is None:
                continue
            new = polls.taken - self._taken.get(name, 0)
            self._taken[name] = polls.taken
            rates[name] = {"used": round(new / seconds, 2), "allowed": polls.per_second}
        return rates or None
