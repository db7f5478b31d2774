"""What is looked at for ``/ready``, and how often."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from kit.clock import Clock
from structlog.testing import capture_logs

from app.errors import ConfigError, UpstreamUnreachable
from app.services.health import CHECK_SECONDS, Check, HealthService


class Part:
    """An orchestrator, or a key store, that counts how often it is asked how it is."""

    capabilities: frozenset[str] = frozenset()

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = 0

    def health(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


def service(clock: Clock, key_store: Any, **orchestrators: Any) -> HealthService:
    return HealthService(
        SimpleNamespace(alive=lambda _: True),  # type: ignore[arg-type]
        SimpleNamespace(machines=list),  # type: ignore[arg-type]
        orchestrators,
        key_store,
        SimpleNamespace(closing=False),  # type: ignore[arg-type]
        database=SimpleNamespace(troubled=False),  # type: ignore[arg-type]
        beat_seconds=1.0,
        clock=clock,
    )


def by_name(health: HealthService) -> dict[str, Check]:
    return {check.name: check for check in health.checks()}


def test_upstreams_are_asked_once_for_all_within_a_time() -> None:
    clock, hpc, keys = Clock(), Part(), Part()
    health = service(clock, keys, hpc=hpc)
    for _ in range(50):
        assert by_name(health)["orchestrator:hpc"].ok
    assert (hpc.asked, keys.asked) == (1, 1)
    hpc.error = UpstreamUnreachable("It is gone.")
    clock.now += CHECK_SECONDS
    assert by_name(health)["orchestrator:hpc"] == Check("orchestrator:hpc", "It is gone.")
    hpc.error = None
    by_name(health)
    assert hpc.asked == 2
    clock.now += CHECK_SECONDS
    assert by_name(health)["orchestrator:hpc"].ok


def test_one_that_hangs_is_asked_once_and_others_get_what_was_known() -> None:
    clock, asked, release = Clock(), threading.Event(), threading.Event()
    hpc = Part()
    health = service(clock, Part(), hpc=hpc)
    by_name(health)

    def hang() -> None:
        hpc.asked += 1
        asked.set()
        release.wait()

    hpc.health = hang  # type: ignore[method-assign]
    clock.now += CHECK_SECONDS
    first = threading.Thread(target=health.checks)
    first.start()
    asked.wait()
    for _ in range(10):
        assert by_name(health)["orchestrator:hpc"].ok
    release.set()
    first.join()
    assert hpc.asked == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UpstreamUnreachable("It is gone."), "It is gone."),
        (ConfigError("A file is missing."), "A file is missing."),
        (OSError("/etc/secret"), "the log of the service says why"),
        (RuntimeError("secret"), "the log of the service says why"),
    ],
)
def test_whatever_a_check_raises_is_one_failed_check(error: Exception, said: str) -> None:
    health = service(Clock(), Part(error), hpc=Part())
    with capture_logs():
        checks = by_name(health)
    assert said in (checks["key_store"].problem or "")
    assert "secret" not in (checks["key_store"].problem or "")
    assert not checks["key_store"].vital
    assert checks["orchestrator:hpc"].ok


def test_of_who_hangs_it_is_said_and_nobody_waits_for_it() -> None:
    clock, release = Clock(), threading.Event()
    hpc, local = Part(), Part(UpstreamUnreachable("It is gone."))
    hpc.health = release.wait  # type: ignore[method-assign,assignment]
    try:
        problems, others = service(clock, Part(), hpc=hpc, local=local).within(0.05)
    finally:
        release.set()
    assert problems == {"hpc": "It has not answered within 0.05 s.", "local": "It is gone."}
    assert {check.name: check.problem for check in others}["store"] is None


def test_a_key_store_that_hangs_keeps_nobody_either() -> None:
    release, keys = threading.Event(), Part()
    keys.health = release.wait  # type: ignore[method-assign,assignment]
    try:
        _, others = service(Clock(), keys, hpc=Part()).within(0.05)
    finally:
        release.set()
    assert {check.name: check.problem for check in others}["key_store"] == (
        "It has not answered within 0.05 s."
    )
