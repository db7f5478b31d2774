"""Two services on one store, one of which stands still while the other does its work."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from kit.definitions import script, workflow
from kit.patience import await_that
from kit.service import Service

LEASE = "1s"
_DELAY_SECONDS = 6


def assert_a_stopped_driver_begins_nothing(first: Service, second: Service, began: Path) -> None:
    """Stop a driver that is about to retry a step, cancel meanwhile, and let the driver go on.

    Args:
        first: It will drive.
        second: On the same store.
        began: Where the step notes its attempts.
    """
    client = second.client()
    _stop(second)
    try:
        execution = client.run(_failing_once(began))
        delayed_at = await_that(
            lambda: client.tasks(execution)["only"]["exit_code"] == 1 and time.monotonic(),
            "the first attempt has failed",
        )
        _stop(first)
        assert client.cancel(execution).status_code == 202
        _go_on(second)
        assert client.wait(execution)["state"] == "CANCELLED"
        time.sleep(max(0.0, delayed_at + _DELAY_SECONDS + 0.5 - time.monotonic()))
    finally:
        _go_on(second)
        _go_on(first)
    # It has looked, and found that the execution is not its own any more.
    await_that(lambda: "execution lost" in first.log, "the driver notices")
    time.sleep(0.5)  # a shim would be up by then
    assert began.read_text(encoding="utf-8").split() == ["1"]
    assert client.execution(execution)["state"] == "CANCELLED"
    assert client.tasks(execution)["only"]["attempts"] == 1


def _failing_once(began: Path) -> dict[str, Any]:
    text = f'echo "$SLIPWAY_ATTEMPT" >> {began}\n[ "$SLIPWAY_ATTEMPT" != 1 ] || exit 1\nsleep 300\n'
    return workflow("flaky", script("only", text, retries=1, retry_delay=f"{_DELAY_SECONDS}s"))


def _stop(service: Service) -> None:
    """Stop the conductor, and first its supervisor, which would replace it."""
    for pid in (service.pid, service.child("conductor")):
        os.kill(pid, signal.SIGSTOP)


def _go_on(service: Service) -> None:
    for pid in (service.child("conductor"), service.pid):
        os.kill(pid, signal.SIGCONT)
