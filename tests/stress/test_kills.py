"""Processes of the service are killed at random moments, again and again, under work."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from kit.client import Client
from kit.definitions import script, workflow
from kit.fixtures import SETTINGS
from kit.patience import await_that
from kit.service import Service
from kit.stress import scaled

ROLES = ["conductor", "conductor", "web", "supervisor", "all"]
STEPS = ["a", "b", "c", "d"]
LINES = 15
LAUNCHERS = 2
_LONGEST_PAUSE_SECONDS = 1.5

TEXT = (
    'echo "$SLIPWAY_TASK" >> marks\n'
    f'for ((i = 0; i < {LINES}; i++)); do echo "$SLIPWAY_TASK $i"; sleep 0.02; done\n'
)
CHAIN = workflow(
    "chain",
    *(script(name, TEXT, needs=STEPS[:number][-1:]) for number, name in enumerate(STEPS)),
)


def launch_on(service: Service, enough: threading.Event) -> list[str]:
    """Launch one execution after the other, whatever happens to the service.

    Returns:
        What was launched, all of which has ended.
    """
    launched: list[str] = []
    while not enough.is_set():
        launched.append(await_that(launch(service, str(uuid.uuid4())), "a launch is answered"))
        await_that(has_ended(service, launched[-1]), "the execution has ended")
    return launched


def launch(service: Service, key: str) -> Callable[[], str]:
    """Return a function that launches under a key, and returns an id once there is one."""

    def try_it() -> str:
        headers = {"Idempotency-Key": key}
        answer = send(service, "POST", "/workflows/chain", headers=headers, timeout=10)
        if answer is None or answer.status_code in {409, 503}:
            return ""
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"].rpartition("/")[2]

    return try_it


def has_ended(service: Service, execution: str) -> Callable[[], bool]:
    """Return a function that tells whether an execution has ended."""

    def look() -> bool:
        answer = send(service, "GET", f"/executions/{execution}?wait=2s", timeout=30)
        if answer is None or answer.status_code == 503:
            return False
        assert answer.status_code == 200, answer.text
        return answer.json()["state"] in {"SUCCESS", "FAILED", "CANCELLED"}

    return look


def send(service: Service, method: str, path: str, **more: object) -> requests.Response | None:
    """Send a request to where the service is now; return nothing where it is not."""
    try:
        return service.client().send(method, path, **more)
    except requests.RequestException:
        return None


def kill(service: Service, role: str) -> None:
    """Kill what has a role, and see to it that it is there again."""
    if role == "all":
        service.kill_all()
        service.start()
    elif role == "supervisor":
        service.kill("supervisor")
        service.start()
    else:
        service.replaced(role, service.kill(role))


@pytest.fixture(params=["sqlite", "postgresql"])
def killed_service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service over each kind of store."""
    env = dict(SETTINGS)
    if request.param == "postgresql":
        env["SLIPWAY_DATABASE__URL"] = request.getfixturevalue("postgresql_database")
    service = Service(tmp_path, env=env)
    yield service.start()
    service.end()


def test_kills_at_random_moments_lose_nothing_and_repeat_nothing(
    killed_service: Service, did: Callable[[str], None]
) -> None:
    service, seed = killed_service, random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201  (shown when it fails)
    chance, kills = random.Random(seed), scaled(120, 2)
    service.client().upload(CHAIN)
    done: Counter[str] = Counter()
    enough = threading.Event()
    with ThreadPoolExecutor(LAUNCHERS) as pool:
        launchers = [pool.submit(launch_on, service, enough) for _ in range(LAUNCHERS)]
        try:
            for _ in range(kills):
                time.sleep(chance.uniform(0, _LONGEST_PAUSE_SECONDS))
                role = chance.choice(ROLES)
                kill(service, role)
                done[role] += 1
        finally:
            enough.set()
    executions = [id_ for launcher in launchers for id_ in launcher.result()]
    client = service.client()
    listed = client.get("/executions", workflow="chain", page_size=1000)["executions"]
    assert sorted(each["id"] for each in listed) == sorted(executions)
    for execution in executions:
        assert_whole(service, client, execution)
    kinds = ", ".join(f"{count} of {role}" for role, count in sorted(done.items()))
    lines = len(executions) * len(STEPS) * LINES
    did(f"{kills} kills ({kinds}), {len(executions)} executions, {lines} lines each once")


def assert_whole(service: Service, client: Client, execution: str) -> None:
    """Each step ran once, and each of its lines is in the log once, in its place."""
    ended = client.wait(execution)
    assert ended["state"] == "SUCCESS", ended
    ran = (service.work(execution) / "marks").read_text(encoding="utf-8").split()
    assert ran == STEPS, execution
    entries = client.follow(execution)
    assert [entry["index"] for entry in entries] == list(range(len(entries))), execution
    for step in STEPS:
        said = [e["content"] for e in entries if e["content"].startswith(f"{step} ")]
        assert said == [f"{step} {number}" for number in range(LINES)], execution
