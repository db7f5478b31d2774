"""What it takes to know who asks: CPU time of a web process for each request, by credential.

One service lets everybody in, another one asks for a credential; the same short answer is given
again and again over 64 connections that stay open. What the second takes more than the first is
what authentication takes, in ms of CPU time, which a busy machine changes little. *First use* is
the time from the request to the answer for keys that the process has not seen, beside the same key
again; it wants a quiet machine.
"""

from __future__ import annotations

import http.client
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

from bench._report import Figure, percentile
from bench._service import Service, cpu_seconds
from bench._target import Target
from bench._wrk import MISSING, is_here, load

_PATH = "/executions?page_size=1"
_USER, _PASSWORD = "bench", "the password of the bench"
_ENV = {
    "SLIPWAY_API__AUTH__TYPE": "[basic, api_key]",
    "SLIPWAY_API__AUTH__USERS": f"[{{username: {_USER}, password: {_PASSWORD}}}]",
    "SLIPWAY_API__AUTH__SECRET": "a-key-that-is-shared",
}
_BASIC = f"Basic {b64encode(f'{_USER}:{_PASSWORD}'.encode()).decode()}"
_MOST_MS = 0.1
_MOST_FIRST_MS = 1.0


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    if not is_here():
        yield Figure("authentication of a request", None, note=MISSING)
        return
    seconds = 1 if quick else 4
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as open_folder,
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        Service(Path(open_folder)) as everybody,
        Service(Path(folder), env=_ENV) as service,
    ):
        made = [
            service.call("POST", "/api_keys", {"name": "bench"}, authorization=_BASIC)[0]
            for _ in range(10 if quick else 40)
        ]
        keys = [key["key"] for key in made]
        ways = {
            "an API key": f"Bearer {keys[0]}",
            "the shared key": f"Bearer {_ENV['SLIPWAY_API__AUTH__SECRET']}",
            "Basic, from the cache": _BASIC,
        }
        bare = [_cpu_ms(everybody, None, seconds)]
        took = {name: _cpu_ms(service, value, seconds) for name, value in ways.items()}
        bare.append(_cpu_ms(everybody, None, seconds))
        none = sum(bare) / len(bare)
        for name, ms in took.items():
            yield Figure(
                f"authentication of a request by {name}", ms - none, "ms", most=_MOST_MS,
                note=f"CPU time; {ms:.3f} ms in all, {none:.3f} ms without authentication",
            )  # fmt: skip
        yield _first_use(service, keys[1:])


def _cpu_ms(service: Service, authorization: str | None, seconds: float) -> float:
    """Return the CPU time that one request takes, in ms."""
    target = Target(service.port, _PATH, authorization=authorization)
    load(target, 1)
    before = cpu_seconds(service.web)
    begun = time.monotonic()
    rate = load(target, seconds).rate
    lasted = time.monotonic() - begun
    return (cpu_seconds(service.web) - before) * 1000 / (rate * min(lasted, seconds))


def _first_use(service: Service, keys: list[str]) -> Figure:
    """Measure how much longer the first request with a key takes than the second."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    first, second = [], []
    try:
        for key in keys:
            for took in (first, second):
                begun = time.perf_counter()
                connection.request("GET", _PATH, headers={"X-API-Key": key})
                connection.getresponse().read()
                took.append((time.perf_counter() - begun) * 1000)
    finally:
        connection.close()
    more = percentile(first, 50) - percentile(second, 50)
    return Figure(
        "first use of an API key, beyond the second", more, "ms", most=_MOST_FIRST_MS,
        note=f"medians of {len(keys)} keys: {percentile(first, 50):.2f} and "
        f"{percentile(second, 50):.2f} ms",
    )  # fmt: skip
