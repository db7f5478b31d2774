"""Loads a server with ``wrk``: one thread, 64 keep-alive connections."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench._target import Target

CONNECTIONS = 64
MISSING = "wrk is not installed (apt-get install wrk)"

_RATE = re.compile(r"Requests/sec: +([\d.]+)")
_P99 = re.compile(r"99% +([\d.]+)(us|ms|s)")
_ERRORS = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_RANDOM_PLACE = """
local path = "{path}"
function request()
    return wrk.format("GET", (path:gsub("{{}}", math.random(0, {last}))))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one load showed: requests a second, and the 99th percentile of their times."""

    rate: float
    p99_ms: float


def is_here() -> bool:
    """Return whether ``wrk`` is installed."""
    return shutil.which("wrk") is not None


def load(target: Target, seconds: float, last_place: int | None = None) -> Load:
    """Load a server.

    Args:
        target: What to ask for.
        seconds: For how long; whole seconds.
        last_place: Each request asks for a place between 0 and this, at random.

    Raises:
        RuntimeError: Not all answers were good ones.
    """
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--latency"]
    for name, value in target.fields.items():
        command += ["-H", f"{name}: {value}"]
    with _script(target, last_place) as script:
        done = subprocess.run(
            [*command, *script, target.url], check=True, capture_output=True, text=True
        )
    rate, p99 = _RATE.search(done.stdout), _P99.search(done.stdout)
    if rate is None or p99 is None or _ERRORS.search(done.stdout):
        raise RuntimeError(done.stdout)
    return Load(float(rate[1]), float(p99[1]) * _MS[p99[2]])


@contextmanager
def _script(target: Target, last_place: int | None) -> Iterator[list[str]]:
    if last_place is None:
        yield []
        return
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(_RANDOM_PLACE.format(path=target.path, last=last_place))
        file.flush()
        yield ["-s", file.name]
