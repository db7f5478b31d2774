"""How late greenlets of this process run: then measured times say something about us."""

from __future__ import annotations

from time import monotonic
from typing import Final

import gevent

TICK_SECONDS: Final = 0.01
"""How often it is looked at."""


class Lag:
    """Measures it, from :meth:`run` on."""

    def __init__(self) -> None:
        self._longest = 0.0

    def run(self) -> None:
        """Measure for ever, in a greenlet of its own."""
        while True:
            due = monotonic() + TICK_SECONDS
            gevent.sleep(TICK_SECONDS)
            self._longest = max(self._longest, monotonic() - due)

    def longest_ms(self) -> float:
        """Return by how many milliseconds something was late at most since this was asked last."""
        longest, self._longest = self._longest, 0.0
        return longest * 1000
