"""What limiting takes of each request.

The CPU time of one decision in memory, in ms, for somebody who is signed in and for an address.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from app.assembly import read_settings
from app.domain import Identity, Role
from app.services.rate_limits import Policy, RateLimits
from app.settings import Allowances
from app.windows import MemoryWindows
from bench._report import Figure


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    rounds = 5_000 if quick else 50_000
    settings = read_settings(
        None, {"data_dir": "unused", "api.rate_limit.requests_per_minute": 1_000_000_000}, {}
    )
    limits = RateLimits(MemoryWindows(), Allowances(settings))
    ada = Identity("ada", frozenset({Role.USER}))
    for name, who in (("a user", ada), ("an address", None)):
        begun = time.process_time()
        for _ in range(rounds):
            limits.take([Policy.REQUESTS], 1, who, "2001:db8::1")
        spent_ms = (time.process_time() - begun) / rounds * 1000
        yield Figure(f"limiting a request by {name}, in memory", spent_ms, "ms", most=0.05)
