"""How often somebody may ask: policies with names, and what is left of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.domain import Identity, Role
from app.errors import QuotaExceeded
from app.identity.attempts import side_of
from app.settings import Allowance, Allowances
from app.windows import WINDOW_SECONDS, Demand, Window, Windows

_POLLS_FOR_REQUESTS: Final = 10
_NOBODY: Final = frozenset[Role]()


class Policy(StrEnum):
    """What is limited; clients see these names."""

    REQUESTS = "default"
    POLLS = "polls"
    LAUNCHES = "launches"


_IN_WORDS: Final = {
    Policy.REQUESTS: "requests",
    Policy.POLLS: "long polls",
    Policy.LAUNCHES: "launches",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands with one policy.

    Attributes:
        quota: Units in a window.
        remaining: Units that are left now.
        seconds: In how many it is worth asking for more than that, whole and at least 1.
    """

    policy: Policy
    quota: int
    remaining: int
    seconds: int


class RateLimited(QuotaExceeded):
    """Somebody asks too often.

    Args:
        message: Sentence that a caller may see.
        standings: How they stand with the policies; those without anything left are violated.
        violated: Those that did not let this through.
        wait_seconds: When all of them would.
    """

    def __init__(
        self,
        message: str,
        standings: tuple[Standing, ...],
        violated: Sequence[Policy],
        wait_seconds: float,
    ) -> None:
        super().__init__(message, violated, retry_after_seconds=wait_seconds)
        self.standings = standings


class RateLimits:
    """Counts requests, by user, or by address where nobody has signed in.

    Args:
        windows: The counters.
        allowances: The limits.
        share: Number of processes that each have counters of their own.
    """

    def __init__(self, windows: Windows, allowances: Allowances, share: int = 1) -> None:
        self._windows = windows
        self._allowances = allowances
        self._share = share

    def take(
        self,
        policies: Sequence[Policy],
        cost: int,
        identity: Identity | None,
        address: str | None,
    ) -> tuple[Standing, ...]:
        """Count a request.

        Args:
            policies: What it counts as; a launch costs one there, whatever it costs otherwise.
            cost: Its units.
            identity: Who sends it; None where that is not known.
            address: Where it comes from, which counts where everybody is the same user, too.

        Returns:
            How the sender stands then; nothing where there is no limit, or nobody knows.

        Raises:
            RateLimited: It is one too many, and was not counted.
        """
        known = identity is not None and not identity.shared
        allowance = self._allowances.of(identity.roles if identity and known else _NOBODY)
        whose = f"user:{identity.username}" if identity and known else f"address:{side_of(address)}"
        asked, demands = [], []
        for policy in policies:
            limit = self._limit(policy, allowance)
            if limit is not None:
                units = min(1 if policy is Policy.LAUNCHES else cost, limit)
                asked.append(policy)
                demands.append(Demand(f"{policy}:{whose}", limit, units))
        taken = self._windows.take(demands) if demands else None
        if taken is None:
            return ()
        pairs = list(zip(asked, taken.windows, demands, strict=True))
        if taken.granted:
            return tuple(_standing(policy, window, 1) for policy, window, _ in pairs)
        standings = tuple(_standing(policy, window, d.cost) for policy, window, d in pairs)
        refusing = [(policy, w, d) for policy, w, d in pairs if not w.fits(d.cost)]
        names = ", ".join(_IN_WORDS[policy] for policy, _, _ in refusing)
        wait = max(window.wait_seconds(demand.cost) for _, window, demand in refusing)
        text = f"Too many {names} within a minute."
        raise RateLimited(text, standings, [policy for policy, _, _ in refusing], max(1.0, wait))

    def _limit(self, policy: Policy, allowance: Allowance) -> int | None:
        """Return the units in a window that this process gives somebody."""
        if policy is Policy.LAUNCHES:
            limit = allowance.launches_per_minute
        else:
            limit = allowance.requests_per_minute
            if limit is not None and policy is Policy.POLLS:
                limit *= _POLLS_FOR_REQUESTS
        return None if limit is None else share_of(limit, self._share)


def share_of(limit: int, processes: int) -> int:
    """Return what each of some processes gives of a limit, where each counts for itself."""
    return max(1, limit // processes)


def _standing(policy: Policy, window: Window, cost: int) -> Standing:
    wait = window.wait_seconds(cost) or window.left_seconds
    seconds = max(1, math.ceil(min(wait, 2 * WINDOW_SECONDS)))
    return Standing(policy, window.limit, window.remaining, seconds)
