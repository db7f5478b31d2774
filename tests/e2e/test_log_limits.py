"""What is kept of the logs of one user, whichever of their executions prints."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from kit.client import Client
from kit.definitions import script, workflow
from kit.service import Service

MOST = 60_000
PASSWORDS = {"dev": "dev's password", "ada": "ada's password"}
LIMIT = f"The log reached its limit of {MOST} bytes of all logs of 'dev'"


def contents(client: Client, execution: str) -> list[str]:
    return [entry["content"] for entry in client.page(execution, limit=10_000)["logs"]]


@pytest.fixture
def clients(start: Callable[..., Service]) -> tuple[Client, Client]:
    """Two users of one service."""
    users = [
        {"username": name, "password": password, "roles": ["developer"]}
        for name, password in PASSWORDS.items()
    ]
    service = start(
        API__AUTH__TYPE="basic", API__AUTH__USERS=json.dumps(users), LOGS__MAX_BYTES_PER_USER=MOST
    )
    dev, ada = (Client(service.url, (name, PASSWORDS[name])) for name in ("dev", "ada"))
    return dev, ada


def test_beyond_the_room_of_a_user_lines_are_counted_and_commands_go_on(
    clients: tuple[Client, Client],
) -> None:
    dev, ada = clients
    first = dev.run(workflow("first", script("a", "seq 2000")))
    assert dev.wait(first)["state"] == "SUCCESS"
    assert 0 < len(dev.lines(first, "a")) <= 2000, "what is there when the room ends"
    # Others begin where the first has ended: its owner has no room any more, and others have.
    second = dev.run(workflow("second", script("a", "seq 2000; echo end > ended; cat ended >&2")))
    assert dev.wait(second)["state"] == "SUCCESS"
    said = contents(dev, second)
    assert not {"1", "2000", "end"} & {*said}
    assert [text for text in said if text.startswith(LIMIT)] == [
        f"{LIMIT}: what follows is counted, and not kept"
    ]
    beyond = sum(len(f"{n}\n") for n in range(1, 2001)) + len("end\n")
    assert [text for text in said if str(beyond) in text], said
    foreign = ada.run(workflow("third", script("a", "seq 100")))
    assert ada.wait(foreign)["state"] == "SUCCESS"
    assert ada.lines(foreign, "a") == [str(n) for n in range(1, 101)]
