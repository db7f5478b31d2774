"""What wrong logins tell, and whether they hold others up.

*Time*: a wrong password of a user and one of nobody, in turns over one connection, each from an
address of its own, so that none is refused for those before. The user is measured twice, which
tells how much of a difference is noise. *Others*: 1,000 wrong logins, a hundred at a time, while
``GET /health`` is asked 100 times a second; its latency counts from when each request was due. Once
who guesses gets the processor when nothing else wants it, as the attackers of the part ``abuse``
do, who would be elsewhere. And once they take it as everybody does, beside the same requests to a
bare Flask view, which looks at no password: what that takes is the clients' own.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import requests
from argon2 import PasswordHasher

from bench._client import Pipe, Worker, probe
from bench._peers import Peer
from bench._report import Figure, percentile
from bench._service import Service

_PROBES_PER_SECOND = 100
_NICE = 19
_MOST_MS = 50.0
_MOST_RATIO = 1.1
_PEER_PATH = "/executions/x"
_USER, _SAME_USER, _NOBODY = "a user", "the same user", "nobody"


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    yield from _times(30 if quick else 150)
    number = 100 if quick else 1_000
    with _service() as service:
        beside, seen = _beside(service.port, "/health", number, _NICE)
    yield Figure(
        f"GET /health, p99 beside {number:,} wrong logins", beside, "ms", most=_MOST_MS,
        note=_told(seen),
    )  # fmt: skip
    with Peer("flask", 30) as peer:
        bare, _ = _beside(peer.port, _PEER_PATH, number, 0)
    with _service() as service:
        beside, seen = _beside(service.port, "/health", number, 0)
    yield Figure(
        f"GET /health, p99 beside {number:,} wrong logins that go first as much", beside, "ms",
        ratio=beside / bare, beside="bare Flask view",
        note=f"{_told(seen)}; the view {bare:.3g} ms",
    )  # fmt: skip


class _service:  # noqa: N801  (a context manager, like those of contextlib)
    """A service with one user whose password is hashed."""

    def __init__(self) -> None:
        hashed = PasswordHasher().hash("right")
        known = f"{{username: ada, password_hash: '{hashed}'}}"
        env = {
            "SLIPWAY_API__AUTH": f"{{type: basic, users: [{known}]}}",
            "SLIPWAY_API__TRUSTED_PROXIES": "[127.0.0.1]",
        }
        self._folder = tempfile.TemporaryDirectory(prefix="slipway-bench-")
        self._service = Service(Path(self._folder.name), env=env)

    def __enter__(self) -> Service:
        return self._service.__enter__()

    def __exit__(self, *exc_info: object) -> None:
        self._service.__exit__(*exc_info)
        self._folder.cleanup()


def _times(number: int) -> Iterator[Figure]:
    """Measure how long it takes to be told that a login is wrong."""
    took: dict[str, list[float]] = {_USER: [], _SAME_USER: [], _NOBODY: []}
    with _service() as service:
        connection = HTTPConnection("127.0.0.1", service.port, timeout=60)
        addresses = (f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in itertools.count(1))
        for count in range(number):
            # Whoever comes first after a pause would be measured with it.
            for who in itertools.islice(itertools.cycle(took), count % 3, count % 3 + 3):
                name = f"nobody-{count}" if who == _NOBODY else "ada"
                took[who].append(_refused_ms(connection, name, next(addresses)))
        connection.close()
    for percent in (50, 99):
        user, again, nobody = (percentile(each, percent) for each in took.values())
        noise = max(user, again) / min(user, again)
        beside = (user + again) / 2
        yield Figure(
            f"a wrong login of nobody, p{percent}", nobody, "ms",
            ratio=nobody / beside, beside="a wrong login of a user",
            most_ratio=max(_MOST_RATIO, noise), least_ratio=min(1 / _MOST_RATIO, 1 / noise),
            note=f"{number} of each; the user {user:.3g} and {again:.3g} ms",
        )  # fmt: skip


def _refused_ms(connection: HTTPConnection, name: str, address: str) -> float:
    credential = b64encode(f"{name}:wrong".encode()).decode()
    fields = {"Authorization": f"Basic {credential}", "X-Forwarded-For": address}
    begun = time.perf_counter()
    connection.request("GET", "/workflows", headers=fields)
    answer = connection.getresponse()
    answer.read()
    took_ms = (time.perf_counter() - begun) * 1000
    if answer.status != 401:
        raise RuntimeError(f"a wrong login was answered {answer.status}")
    return took_ms


def _beside(port: int, path: str, number: int, nice: int) -> tuple[float, list[int]]:
    """Return the p99 of an address beside wrong logins in ms, and what these were answered."""
    latencies: list[float] = []
    with Worker(_guess, f"http://127.0.0.1:{port}/workflows", number, nice) as guesser:
        guesser.receive()
        while not guesser.has_spoken:
            with Worker(probe, port, path, _PROBES_PER_SECOND, 1.0) as worker:
                latencies += worker.receive(60)
        seen: list[int] = guesser.receive()
    return percentile(latencies, 99), seen


def _guess(pipe: Pipe, url: str, number: int, nice: int) -> list[int]:
    """Guess passwords, and return the statuses of the answers."""
    os.nice(nice)

    def guess(count: int) -> int:
        name = "ada" if count % 2 else f"nobody-{count}"
        return requests.get(url, auth=(name, str(count)), timeout=60).status_code

    pipe.send(None)
    with ThreadPoolExecutor(100) as pool:
        return list(pool.map(guess, range(number)))


def _told(seen: list[int]) -> str:
    return ", ".join(f"{seen.count(each)} times {each}" for each in sorted(set(seen)))
