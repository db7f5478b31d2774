"""What the tests of following share: a log that grows, and what arrives of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from kit.patience import PATIENCE_SECONDS as PATIENCE
from kit.patience import await_that
from service_kit import Service, open_service
from werkzeug.test import TestResponse

from app.domain import Execution, ExecutionStatus, Level, NewLogEntry, Observation, Task
from app.services.follow import Batch, Changed, Event, Heartbeat

__all__ = ["PATIENCE", "await_that"]

ALL = 15
MOMENT = 1_666_269_149_774


@contextmanager
def service_in(folders: pytest.TempPathFactory, **overrides: Any) -> Iterator[Service]:
    """Make a service for the tests of a whole module: to make one takes longer than most tests."""
    made = open_service(folders.mktemp("service"), **overrides)
    yield made
    made.close()


class Log:
    """An execution whose log the test writes."""

    def __init__(self, service: Service, owner: str = "anonymous") -> None:
        self._service = service
        self.execution: Execution = service.add_execution(owner)
        self.levels: list[Level] = []
        self.status = ExecutionStatus.PENDING

    @property
    def id(self) -> str:
        return self.execution.id

    def write(self, levels: Iterable[Level] | int, contents: Sequence[str] = ()) -> Log:
        """Append entries of some levels, or a number of INFO entries."""
        new = [Level.INFO] * levels if isinstance(levels, int) else list(levels)
        first = len(self.levels)
        self.levels += new
        texts = contents or [f"line {first + i}" for i in range(len(new))]
        entries = tuple(
            NewLogEntry(level, MOMENT + i, content, "" if i % 3 else "split")
            for i, (level, content) in enumerate(zip(new, texts, strict=True), start=first)
        )
        return self.see(self.status, entries=entries)

    def see(self, status: ExecutionStatus = ExecutionStatus.RUNNING, **more: Any) -> Log:
        """Store an observation."""
        self.status = status
        self._service.record(self.execution, Observation(status, **{"cursor": None, **more}))
        return self

    def tasks(self, *tasks: Task) -> Log:
        return self.see(self.status, tasks=tasks)

    def end(self, status: ExecutionStatus = ExecutionStatus.SUCCESS) -> Log:
        return self.see(status, log_complete=True)

    def places(self, mask: int = ALL) -> list[int]:
        """Places in the journal of the entries that a filter lets through."""
        return [i for i, level in enumerate(self.levels) if level & mask]


def places(events: Iterable[Event]) -> list[int]:
    """Places of the log entries among events."""
    return [e.sequence for event in events if isinstance(event, Batch) for e in event.entries]


def until(events: Iterator[Event], *kinds: type) -> list[Event]:
    """Take events up to the first of some kinds, without what may always come in between."""
    taken = []
    deadline = time.monotonic() + PATIENCE
    for event in events:
        if isinstance(event, kinds):
            return [*taken, event]
        if not isinstance(event, Heartbeat | Changed):
            taken.append(event)
        assert time.monotonic() < deadline, f"none of {kinds} came: {taken[-5:]}"
    raise AssertionError(f"the stream ended before any of {kinds}: {taken[-5:]}")


@dataclass(frozen=True)
class Frame:
    """One server-sent event, or a comment."""

    event: str = ""
    data: Any = None
    id: int | None = None
    retry: int | None = None
    comment: bool = False


def parse_sse(received: bytes) -> list[Frame]:
    """Read what is complete as the HTML standard says; fail on anything unusual."""
    frames = []
    complete, _, _ = received.rpartition(b"\n\n")
    for block in complete.decode().split("\n\n") if complete else []:
        if block == ":":
            frames.append(Frame(comment=True))
            continue
        values: dict[str, Any] = {}
        for line in block.split("\n"):
            name, colon, value = line.partition(": ")
            assert colon, line
            assert name in {"id", "event", "data", "retry"}, line
            assert name not in values, block
            values[name] = {"event": str, "data": json.loads}.get(name, int)(value)
        frames.append(Frame(**values))
    return frames


@dataclass
class Streamed:
    """A streaming answer, read as it comes."""

    response: TestResponse
    received: bytes = b""
    _chunks: Iterator[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._chunks = iter(self.response.response)

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def headers(self) -> Any:
        return self.response.headers

    def __enter__(self) -> Streamed:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Go away, as a client that hangs up."""
        self.response.close()

    def chunk(self) -> bytes:
        """Wait for what is sent next; nothing at the end."""
        new = next(filter(None, self._chunks), b"")  # an empty one sends the head only
        self.received += new
        return new

    def read_until(self, condition: Callable[[bytes], Any]) -> bytes:
        deadline = time.monotonic() + PATIENCE
        while not condition(self.received):
            assert self.chunk(), f"the stream ended: {self.received[-500:]!r}"
            assert time.monotonic() < deadline, f"it did not come: {self.received[-500:]!r}"
        return self.received

    def read(self) -> bytes:
        """Read to the end."""
        while self.chunk():
            pass
        return self.received

    @property
    def frames(self) -> list[Frame]:
        """The events so far, without heartbeats and the advice when to come back."""
        return [f for f in parse_sse(self.received) if f.event]

    @property
    def lines(self) -> list[Any]:
        """The lines of JSON so far, without heartbeats."""
        complete = self.received[: self.received.rfind(b"\n") + 1]
        return [json.loads(line) for line in complete.splitlines() if line]


def open_stream(
    client: Any, path: str, accept: str = "text/event-stream", **headers: str
) -> Streamed:
    """Ask for a stream; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Streamed(client.get(path, headers={"Accept": accept, **named}, buffered=False))
