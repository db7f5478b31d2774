"""What limiting takes of each request, and whether wrong logins hold others up.

*Cost* is the CPU time of one decision in memory, in ms, for somebody who is signed in and for an
address. *Wrong logins*: 1,000 of them, a hundred at a time, while ``GET /health`` is asked 100
times a second; its latency counts from when each request was due. Who guesses gets the processor
when nothing else wants it, as the attackers of the part ``abuse`` do: they would be elsewhere.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from argon2 import PasswordHasher

from app.assembly import read_settings
from app.domain import Identity, Role
from app.services.rate_limits import Policy, RateLimits
from app.settings import Allowances
from app.windows import MemoryWindows
from bench._client import Pipe, Worker, probe
from bench._report import Figure, percentile
from bench._service import Service

_PROBES_PER_SECOND = 100
_NICE = 19


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
    yield _beside_wrong_logins(100 if quick else 1_000)


def _beside_wrong_logins(number: int) -> Figure:
    hashed = PasswordHasher().hash("right")
    known = f"{{username: ada, password_hash: '{hashed}'}}"
    env = {"SLIPWAY_API__AUTH": f"{{type: basic, users: [{known}]}}"}
    latencies: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        Service(Path(folder), env=env) as service,
        Worker(_guess, f"http://127.0.0.1:{service.port}/workflows", number) as guesser,
    ):
        guesser.receive()
        while not guesser.has_spoken:
            with Worker(probe, service.port, "/health", _PROBES_PER_SECOND, 1.0) as worker:
                latencies += worker.receive(60)
        seen: list[int] = guesser.receive()
    return Figure(
        f"GET /health, p99 beside {number:,} wrong logins", percentile(latencies, 99), "ms",
        most=50.0, note=f"{seen.count(401)} times 401, {seen.count(429)} times 429",
    )  # fmt: skip


def _guess(pipe: Pipe, url: str, number: int) -> list[int]:
    """Guess passwords, and return the statuses of the answers."""
    os.nice(_NICE)

    def guess(count: int) -> int:
        name = "ada" if count % 2 else f"nobody-{count}"
        return requests.get(url, auth=(name, str(count)), timeout=60).status_code

    pipe.send(None)
    with ThreadPoolExecutor(100) as pool:
        return list(pool.map(guess, range(number)))
