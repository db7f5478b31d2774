"""What tests of the client share: clients that need not wait, and answers of a service."""

from __future__ import annotations

import json
from typing import Any

from kit.clock import Clock

from slipway import Client
from slipway.attempts import Patience

ID = "0b9f6a52-7c1d-4f5e-9a3b-2d8e4c6f1a07"
STREAM = "application/x-ndjson"


def execution(state: str = "RUNNING", **more: Any) -> dict[str, Any]:
    """An execution, as the service tells it."""
    five = "RUNNING" if state in {"PENDING", "PAUSED", "UNKNOWN"} else state
    return {
        "id": ID, "execution_id": "w-20260131-120000", "status": five, "state": state,
        "workflow": "w", "inputs": {"n": 3}, "outputs": {}, "tasks": [], "progress": 0.5, **more,
    }  # fmt: skip


def entry(index: int, content: str | None = None, level: str = "INFO") -> dict[str, Any]:
    """A log entry, as the service tells it."""
    return {"index": index, "level": level, "task": "t", "timestamp": "2026-01-31T12:00:00.123Z",
            "content": f"line {index}" if content is None else content}  # fmt: skip


def lines(*events: dict[str, Any] | bytes) -> bytes:
    """Lines of a stream; an empty one for no bytes."""
    return b"".join(
        (each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in events
    )


STATUS = {"type": "status", "status": "RUNNING", "state": "RUNNING", "progress": 0.5}
END = {"type": "end", "status": "SUCCESS", "state": "SUCCESS", "total": 3}


def log(index: int, *rest: Any) -> dict[str, Any]:
    """A log entry, as a stream tells it."""
    return {"type": "log", **entry(index, *rest)}


def page(*entries: dict[str, Any], complete: bool = False) -> dict[str, Any]:
    """A page of a log."""
    word = "SUCCESS" if complete else "RUNNING"
    return {"logs": list(entries), "from": 0, "total_results": len(entries), "complete": complete,
            "execution_status": word, "execution_state": word}  # fmt: skip


class Waits:
    """The time of a client: it passes when the client waits, and no test does."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.now += seconds


def client_of(url: str, waits: Waits | None = None, auth: Any = None, **more: Any) -> Client:
    """A client that does not wait between two attempts."""
    client = Client(url, auth, **more)
    waits = waits or Waits()
    client.transport.sleep, client.transport.clock = waits.sleep, waits.clock
    return client


QUICK = Patience(silence=0.3, buffered=0.2, quiet=0.2, probe=5.0)
"""For servers that are silent: long enough for an answer of the same process."""
