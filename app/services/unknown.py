"""What looking for ids that nobody knows may cost the orchestrators."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from app.caching import LruCache, SingleFlight
from app.errors import LimitExceeded, NotFound

T = TypeVar("T")

_REMEMBERED_SECONDS = 10.0
"""How long an id that nobody knew is not looked for again."""
_AT_ONCE = 10
_SECONDS_FOR_ONE = 1.0
"""In each such time one look for an id that nobody knows is free."""
_BYTES = 1024 * 1024


class UnknownIds(Generic[T]):
    """Remembers for a while which ids were looked for in vain, and bounds how often a user looks.

    A user may look for ten unknown ids at once, and for one more each second. What is found costs
    nothing of that: it is in the store from then on.

    Args:
        clock: Seconds that never run backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._missing: LruCache[tuple[str, str], float] = LruCache(_BYTES)
        self._free_at: LruCache[str, float] = LruCache(_BYTES)
        self._flights: SingleFlight[tuple[str, str], T] = SingleFlight()

    def look(self, username: str, id_: str, find: Callable[[], T]) -> T:
        """Look for an id, once for all requests of a user that want it at the same time.

        Args:
            username: Who looks; what one may not see, another may.
            id_: What to look for.
            find: Looks; raises NotFound where there is nothing.

        Raises:
            NotFound: There is nothing, or was not a moment ago.
            LimitExceeded: This user looked for too many ids in vain.
        """
        key = (username, id_)
        if (self._missing.get(key) or 0.0) > self._clock():
            raise NotFound("There is no such execution.")
        return self._flights.do(key, lambda: self._find(key, find))

    def _find(self, key: tuple[str, str], find: Callable[[], T]) -> T:
        self._spend(key[0])
        try:
            found = find()
        except NotFound:
            self._missing.put(key, self._clock() + _REMEMBERED_SECONDS)
            raise
        self._free_at.put(key[0], (self._free_at.get(key[0]) or 0.0) - _SECONDS_FOR_ONE)
        return found

    def _spend(self, username: str) -> None:
        """Take one look from a user's allowance.

        ``free_at`` is when the whole allowance would be there again, if nothing more were asked
        (the generic cell rate algorithm).
        """
        moment = self._clock()
        free_at = max(moment, self._free_at.get(username) or 0.0) + _SECONDS_FOR_ONE
        late = free_at - moment - _AT_ONCE * _SECONDS_FOR_ONE
        if late > 0:
            text = "You asked for too many executions that are not known here."
            raise LimitExceeded(text, retry_after_seconds=late)
        self._free_at.put(username, free_at)
