"""The real service on a real Redis, whatever befalls that: what clients and operators see."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit.client import Client
from kit.patience import await_that
from kit.ports import free_port
from kit.servers.cable import Cable
from kit.servers.redis import RedisServer
from kit.service import Service, metric

pytestmark = pytest.mark.integration

LIMIT = 60
USABLE = "slipway_limits_usable"
GONE, BACK = "requests are not limited", "requests are limited again"


class Shared:
    """A service whose counters are in Redis, at the other end of a cable.

    Attributes:
        redis: The server.
        cable: The way to it.
    """

    def __init__(self, folder: Path) -> None:
        self.redis = RedisServer(folder)
        self.cable = Cable(self.redis.port)
        users = [{"username": name, "password": f"{name}'s password"} for name in FAULTS]
        settings = {
            "data_dir": str(folder / "data"),
            "api": {
                "auth": {"type": "basic", "users": users},
                "rate_limit": {
                    "requests_per_minute": LIMIT,
                    "storage": f"redis://127.0.0.1:{self.cable.port}/0",
                },
            },
        }
        config = folder / "slipway.yaml"
        config.write_text(json.dumps(settings))
        config.chmod(0o600)
        self.service = Service(folder, arguments=["--config", config])

    def end(self) -> None:
        """End all of it."""
        self.service.end()
        self.cable.close()
        self.redis.stop()


Act = Callable[[Shared], object]


def of_redis(*words: str, password: str | None = None) -> Act:
    return lambda shared: shared.redis.command(*words, password=password)


def all_of(*acts: Act) -> Act:
    return lambda shared: [act(shared) for act in acts]


FAULTS: dict[str, tuple[Act, Act]] = {
    "hanging": (
        lambda shared: shared.redis.signal(signal.SIGSTOP),
        lambda shared: shared.redis.signal(signal.SIGCONT),
    ),
    "killed": (lambda shared: shared.redis.stop(), lambda shared: shared.redis.start()),
    "replica": (
        lambda shared: shared.redis.command("REPLICAOF", "127.0.0.1", str(free_port())),
        of_redis("REPLICAOF", "NO", "ONE"),
    ),
    "full": (
        of_redis("CONFIG", "SET", "maxmemory", "1"), of_redis("CONFIG", "SET", "maxmemory", "0"),
    ),
    "password": (
        all_of(
            of_redis("CONFIG", "SET", "requirepass", "x"),
            of_redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", password="x"),
        ),
        of_redis("CONFIG", "SET", "requirepass", "", password="x"),
    ),
    "silence": (lambda shared: shared.cable.die(), lambda shared: shared.cable.mend()),
}  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    made = Shared(tmp_path_factory.mktemp("limits"))
    try:
        made.service.start()
        yield made
    finally:
        made.end()


@pytest.mark.parametrize("fault", FAULTS)
def test_requests_go_on_without_limits_and_are_limited_again(shared: Shared, fault: str) -> None:
    befall, mend = FAULTS[fault]
    service, already = shared.service, len(shared.service.log)
    client, observer = Client(service.url, (fault, f"{fault}'s password")), Client(service.url)

    def asked(number: int = 1) -> list[tuple[int, str | None]]:
        answers = [client.send("GET", "/workflows") for _ in range(number)]
        return [(each.status_code, each.headers.get("RateLimit")) for each in answers]

    spent = 10
    for left in range(LIMIT - 1, LIMIT - 1 - spent, -1):
        [(status, told)] = asked()
        assert status == 200
        assert told is not None
        assert int(re.findall(r"r=(\d+)", told)[0]) >= left
    befall(shared)
    assert asked(2 * LIMIT) == [(200, None)] * 2 * LIMIT, "nobody is refused, and nothing is told"
    assert metric(observer, USABLE) == 0
    guesses = Client(service.url, (fault, "wrong"))
    statuses = [guesses.send("GET", "/workflows").status_code for _ in range(12)]
    assert set(statuses) == {401, 429}, "wrong logins are counted by the process itself"
    mend(shared)
    await_that(lambda: metric(observer, USABLE) == 1, "requests are limited again")
    told = re.findall(f"{GONE}|{BACK}", service.log[already:])
    assert told == [GONE, BACK], "each change is one line"
    statuses = [status for status, _ in asked(LIMIT + spent)]
    assert set(statuses) == {200, 429}
    # What was counted before may have left the window by now; what ran on unlimited never entered.
    assert statuses.count(200) >= LIMIT - spent
    assert 500 not in statuses
