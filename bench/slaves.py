"""Virtual users on slaves of a running service: how soon what its user wants, or a loss, shows.

What the target sees counts, from the moment at which the request is sent or the slave is hit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench._report import Figure
from bench._service import Service
from tests.fakes.load_target import Answer, LoadTarget

_NAMES = ("left", "right")
_ANSWER_SECONDS = 0.05
_NEVER_SECONDS = 600.0
_PATIENCE_SECONDS = 30.0


def run(*, quick: bool) -> Iterator[Figure]:
    """Take the figures of steering and of losses."""
    rounds = 1 if quick else 5
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        env = {"SLIPWAY_LOAD__LOCAL_SLAVE": "off"}
        service = stack.enter_context(Service(folder, env=env))
        target = stack.enter_context(LoadTarget(heads=False))
        target.answer("/get", Answer(delay=_ANSWER_SECONDS))
        target.answer("/stuck", Answer(delay=_NEVER_SECONDS))
        slaves = {name: stack.enter_context(_Slave(service, name)) for name in _NAMES}
        yield _worst("a pause", "until the last request begins", 0.3, [
            _until_silent(service, target) for _ in range(rounds)
        ])  # fmt: skip
        yield _worst("6 to 20 virtual users", "until 20 requests are open", 0.5, [
            _until_scaled(service, target) for _ in range(rounds)
        ])  # fmt: skip
        yield _worst("one of two slaves killed", "until the load is whole again", 0.5, [
            _until_whole(service, target, slaves["left"], signal.SIGKILL) for _ in range(rounds)
        ])  # fmt: skip
        yield _worst("one of two slaves stands still", "until the load is whole again", 6.0, [
            _until_whole(service, target, slaves["left"], signal.SIGSTOP)
        ])  # fmt: skip


def _worst(what: str, until: str, most: float, seconds: list[float]) -> Figure:
    note = f"the longest of {len(seconds)}, the shortest {min(seconds):.2f} s"
    return Figure(f"{what}, {until}", max(seconds), "s", most=most, note=note)


class _Slave:
    """A slave in processes of its own, which is started again where it was killed."""

    def __init__(self, service: Service, name: str) -> None:
        self._service, self.name = service, name

    def __enter__(self) -> _Slave:
        command = ["-m", "app.cli", "slave", "start", "--id", self.name]
        self._process = subprocess.Popen(
            [sys.executable, "-P", *command, "--master", f"http://127.0.0.1:{self._service.port}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        _await(lambda: self.name in _online(self._service))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.send(signal.SIGKILL)
        self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        os.killpg(self._process.pid, number)

    def mend(self) -> None:
        """Have it there again, whatever was done to it."""
        self.__exit__()
        _await(lambda: self.name not in _online(self._service))
        self.__enter__()


def _online(service: Service) -> set[str]:
    found, _ = service.call("GET", "/api/v1/slaves")
    return {s["id"] for s in found["slaves"] if s["status"]["state"] in {"online", "busy"}}


def _await(holds: Callable[[], object]) -> float:
    """Wait until something holds; return when that was, on the monotonic clock."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError("what is measured did not come about")
        time.sleep(0.002)
    return time.monotonic()


def _begin(service: Service, target: LoadTarget, vus: int, path: str) -> str:
    definition: dict[str, Any] = {
        "id": "bench",
        "options": {"vus": vus, "duration": "10m"},
        "steps": [{"id": "get", "type": "http", "config": {"url": target.url + path}}],
    }
    said, _ = service.call("POST", "/api/v1/workflows", {"workflow": definition})
    _await(lambda: target.now().open == vus)
    return f"/api/v1/executions/{said['execution_id']}"


def _end(service: Service, target: LoadTarget, execution: str) -> None:
    service.call("DELETE", execution)
    _await(lambda: service.call("GET", execution)[0]["status"] == "aborted")
    _await(lambda: not target.now().open)
    target.forget()


def _until_silent(service: Service, target: LoadTarget) -> float:
    execution = _begin(service, target, 20, "/get")
    at = time.monotonic()
    service.call("POST", f"{execution}/pause")
    time.sleep(1.0)
    last = max(seen.begin for seen in target.requests("/get"))
    _end(service, target, execution)
    return max(0.0, last - at)


def _until_scaled(service: Service, target: LoadTarget) -> float:
    execution = _begin(service, target, 6, "/stuck")
    at = time.monotonic()
    service.call("POST", f"{execution}/scale", {"target_vus": 20})
    took = _await(lambda: target.now().open == 20) - at
    _end(service, target, execution)
    return took


def _until_whole(service: Service, target: LoadTarget, slave: _Slave, how: signal.Signals) -> float:
    """Hit a slave that has half of the requests; return how long it takes until others send them.

    No request ends by itself, so there are no others.
    """
    execution = _begin(service, target, 20, "/stuck")
    at = time.monotonic()
    slave.send(how)
    took = _await(lambda: target.now().requests == 30) - at
    _end(service, target, execution)
    slave.mend()
    return took
