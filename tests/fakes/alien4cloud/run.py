"""One execution of the emulator: its records are a function of the time."""

from __future__ import annotations

import bisect
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .script import (
    CancelMode,
    Child,
    Event,
    Log,
    Script,
    Status,
    Step,
    Task,
    ending,
)

_TERMINAL = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass
class Run:
    """An execution.

    Attributes:
        launched_at: Seconds since the epoch; events count from here.
        visible_at: When the start event has been handled.
        frozen_at: When the deployment ended; nothing happens afterwards.
    """

    workflow: str
    deployment: str
    inputs: Mapping[str, Any]
    script: Script
    launched_at: float
    visible_at: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    frozen_at: float = float("inf")
    forgotten: bool = False
    _events: list[tuple[float, Event]] = field(default_factory=list)
    _entries: dict[int, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._schedule(self.launched_at, self.script.events)

    def _schedule(self, since: float, events: tuple[Event, ...]) -> None:
        added = [(since + e.at, e) for e in events if not isinstance(e, Child)]
        self._events = sorted([*self._events, *added], key=lambda pair: pair[0])

    def _past(self, now: float) -> Iterator[tuple[float, Event]]:
        until = bisect.bisect_right(self._events, min(now, self.frozen_at), key=lambda p: p[0])
        return iter(self._events[:until])

    def add(self, now: float, *events: Event) -> None:
        """Let something happen right now, or so many seconds later."""
        self._schedule(now, events)

    def log(self, now: float, content: str, **options: Any) -> None:
        """Write a line right now."""
        self.add(now, Log(0.0, content, **options))

    def record(self, now: float) -> dict[str, Any] | None:
        """Return the execution's record; None until its start event has been handled."""
        if self.forgotten or now < self.visible_at:
            return None
        record: dict[str, Any] = {
            "id": self.id,
            "deploymentId": self.deployment,
            "workflowId": self.workflow,
            "workflowName": self.workflow,
            "displayWorkflowName": self.workflow,
            "startDate": _milliseconds(self.visible_at),
            "status": "RUNNING",
            "hasFailedTasks": any(task["status"] == "FAILED" for task in self.tasks(now)),
            "aFieldOfVersionFour": 4,
        }
        for moment, event in self._past(now):
            if isinstance(event, Status):
                record["status"] = event.word
                record["hasFailedTasks"] |= event.has_failed_tasks
                if event.word in _TERMINAL:
                    record["endDate"] = _milliseconds(max(moment, self.visible_at))
                elif not event.keeps_end:
                    record.pop("endDate", None)
                if event.word == "RUNNING":
                    record["startDate"] = _milliseconds(moment)
        return record

    def steps(self, now: float) -> dict[str, str]:
        """Return the status of each step that has begun."""
        return {e.step: e.word for _, e in self._past(now) if isinstance(e, Step)}

    def tasks(self, now: float) -> list[dict[str, Any]]:
        """Return the tasks, newest first."""
        found: dict[tuple[str, str, str, str], dict[str, Any]] = {}
        for moment, event in self._past(now):
            if not isinstance(event, Task):
                continue
            key = (event.node, event.operation, event.instance, event.step)
            task = found.setdefault(key, {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, self.id + repr(key))),
                "deploymentId": self.deployment,
                "executionId": self.id,
                "operationName": f"tosca.interfaces.node.lifecycle.runnable.{event.operation}",
                "nodeId": event.node,
                "instanceId": event.instance,
                "scheduleDate": _milliseconds(moment),
                "_step": event.step,
            })  # fmt: skip
            task["status"] = event.word
            if event.details is not None:
                task["details"] = event.details
        return sorted(found.values(), key=lambda task: -task["scheduleDate"])

    def logs(self, now: float, zone_shift_seconds: float) -> Iterator[dict[str, Any]]:
        """Give the log entries that are visible, in the order of their arrival."""
        if self.forgotten:
            return
        for moment, event in self._past(now):
            if isinstance(event, Log):
                entry = self._entries.get(id(event))
                if entry is None:
                    entry = self._entries[id(event)] = self._entry(
                        moment, event, zone_shift_seconds
                    )
                yield entry

    def _entry(self, moment: float, event: Log, zone_shift_seconds: float) -> dict[str, Any]:
        written = moment if event.written is None else self.launched_at + event.written
        return {
            "id": uuid.uuid4().hex[:20],
            "deploymentId": self.deployment,
            "deploymentPaaSId": "paas",
            "level": event.level,
            "type": "null",
            "timestamp": _milliseconds(written + zone_shift_seconds),
            "rawtimestamp": _rfc3339(written),
            "workflowId": self.workflow,
            "executionId": self.id,
            "content": event.content.replace("{workflow}", self.workflow),
            **({"nodeId": event.node} if event.node else {}),
            **({"operationName": event.operation} if event.operation else {}),
        }

    def over(self, now: float) -> bool:
        """Return whether the orchestrator has ended it, whatever the record says."""
        words = [(m, e.word) for m, e in self._past(now) if isinstance(e, Status)]
        if any(word in _TERMINAL for _, word in words) and words[-1][1] != "RUNNING":
            return True
        lost = self.script.cancel in (CancelMode.STUCK, CancelMode.RACE)
        return lost and any(
            word == "CANCELLING" and now >= m + self.script.cancel_seconds for m, word in words
        )

    def cancel(self, now: float, *, anything_goes: bool = False) -> bool:
        """Cancel; False when the orchestrator refuses."""
        if self.over(now) or self.frozen_at < now:
            if anything_goes:
                self.add(now, Status(0.0, "CANCELLING", keeps_end=True))
            return anything_goes
        mode, later = self.script.cancel, self.script.cancel_seconds
        if mode is CancelMode.REFUSED:
            return False
        if any(isinstance(e, Status) and e.word == "CANCELLING" for _, e in self._past(now)):
            return True
        if mode is not CancelMode.ENDS_FIRST:
            self._events = list(self._past(now))
        if mode is CancelMode.RACE:
            self.add(now, *ending(0.0, "SUCCEEDED"))
        self.add(now, Status(0.0, "CANCELLING"))
        if mode is CancelMode.CLEAN:
            self.add(now, *ending(later, "CANCELLED"))
        return True

    def resume(self, now: float) -> None:
        """Go on after a failure, under the same id."""
        self.add(now, Status(0.0, "RUNNING"), *self.script.after_resume)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _rfc3339(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".") + "Z"
