"""Many topics on one stream of the real service."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from kit.following import EventStream, Relay, SentEvent
from kit.patience import await_that
from kit.service import OPEN, Service, metric

pytestmark = pytest.mark.usefixtures("no_faults")


def follow(service: Service, topics: list[str]) -> EventStream:
    return EventStream(service.url, f"/events?topics={quote(','.join(topics))}")


def indices(events: list[SentEvent], topic: str) -> list[int]:
    logs = [e.data for e in events if e.event == "log" and e.data["topic"] == topic]
    return [entry["index"] for data in logs for entry in data["entries"]]


def ends(topic: str) -> Callable[[SentEvent], bool]:
    return lambda event: event.event == "end" and event.data.get("topic") == topic


def test_each_topic_tells_all_once_through_cuts(service: Service, tmp_path: Path) -> None:
    client = service.client()
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    relays = [Relay(client, folder) for folder in folders]
    names = [f"log/{relay.id}" for relay in relays]
    states = [f"execution/{relay.id}" for relay in relays]
    seen: dict[str, list[int]] = defaultdict(list)
    for _ in range(3):
        cursors = [f"{name};after={max(seen[name], default=-1)}" for name in names]
        with follow(service, ["executions", *states, *cursors]) as stream:
            await_that(lambda: metric(client, OPEN) == 1, "there is one stream")
            for relay, name in zip(relays, names, strict=True):
                relay.write(40)
                while len(seen[name]) < relay.written + 2:  # with the engine's remarks
                    events = stream.until(lambda event: event.event == "log")
                    for each in names:
                        seen[each] += indices(events, each)
    with follow(service, [*states, *(f"{name};after={max(seen[name])}" for name in names)]) as last:
        for relay, state in zip(relays, states, strict=True):
            relay.end()
            events = last.until(ends(state))
            told = [e.data for e in events if e.event == "status" and e.data["topic"] == state]
            assert told[-1]["state"] == "SUCCESS"
            for each in names:
                seen[each] += indices(events, each)
        rest = last.read()
        for each in names:
            seen[each] += indices(rest, each)
    for each in names:
        assert sorted(seen[each]) == [*range(max(seen[each]) + 1)], "none twice, none left out"


def test_a_stream_of_many_topics_that_waits_is_woken_by_each(
    service: Service, tmp_path: Path
) -> None:
    client = service.client()
    relay = Relay(client, tmp_path)
    levels = [f"log/{relay.id};levels={mask}" for mask in range(1, 16)]
    with follow(service, [*levels, "executions", f"execution/{relay.id}"]) as stream:
        stream.until(lambda event: event.event == "tasks")
        relay.write(1)
        told = set()
        while len(told) < 8:  # the masks with INFO among them
            [event] = stream.until(lambda _: True)
            if event.event == "log" and "0 " in {e["content"] for e in event.data["entries"]}:
                told.add(event.data["topic"])
        assert told == {f"log/{relay.id};levels={mask}" for mask in range(1, 16) if mask & 2}
    await_that(lambda: metric(client, OPEN) == 0, "it is let go")
    relay.end()
