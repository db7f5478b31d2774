"""Alien4Cloud's records, as far as the gateway reads them.

Each ``parse`` takes the JSON of one record apart and ignores what it does not know. JSON of
another shape makes it raise LookupError, TypeError, AttributeError or ValueError.
Source: Alien4Cloud 3.8 REST, sections 3, 4, 7, 9 and 10.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.domain import JSON

WORKFLOWS_TAG = "hpcwaas-workflows"
USERS_TAG = "hpcwaas-authorized-users"
CLOCK_SLACK_MS = 30_000
"""How far our clock and Alien4Cloud's may differ."""

_RUNNABLE = frozenset({"DEPLOYED", "UPDATED", "WARNING"})
_YEAR_10000_MS = 253_402_300_800_000


@dataclass(frozen=True, slots=True)
class Application:
    """An application and its two tags for the gateway.

    Attributes:
        workflows: Names of the workflows that it exposes.
        users: Users who may see it; None when everybody may.
    """

    id: str
    description: str
    workflows: tuple[str, ...]
    users: frozenset[str] | None

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Application:
        """Read an application; an empty list of users means nobody."""
        tags = {str(tag["name"]): str(tag["value"] or "") for tag in raw.get("tags") or ()}
        users = frozenset(_items(tags[USERS_TAG])) if USERS_TAG in tags else None
        workflows = dict.fromkeys(_items(tags.get(WORKFLOWS_TAG, "")))
        return cls(_text(raw, "id"), str(raw.get("description") or ""), tuple(workflows), users)

    def allows(self, username: str) -> bool:
        """Return whether a user may see and launch the workflows."""
        return self.users is None or username in self.users

    def offers(self, workflow: str, username: str) -> bool:
        """Return whether it exposes a workflow to a user."""
        return workflow in self.workflows and self.allows(username)


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment of an application; ``version`` is the deployed one, None if there is none."""

    id: str
    name: str
    application: str
    status: str
    version: str | None

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Environment:
        """Read an environment."""
        return cls(
            id=_text(raw, "id"),
            name=_text(raw, "name"),
            application=_text(raw, "applicationId"),
            status=str(raw.get("status")),
            version=raw.get("deployedVersion"),
        )

    @property
    def runnable(self) -> bool:
        """Whether workflows can run there, as far as is known.

        The status is UNKNOWN while the orchestrator below cannot be asked; then the deployed
        version tells that there is a deployment.
        """
        return self.status in _RUNNABLE or self.uncertain

    @property
    def uncertain(self) -> bool:
        """Whether there is a deployment, but its state is not known."""
        return self.status == "UNKNOWN" and self.version is not None


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment: what leads from an execution to its application and environment."""

    id: str
    application: str
    environment: str
    ended_ms: int | None

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Deployment:
        """Read the ``deployment`` half of a deployment record."""
        return cls(
            id=_text(raw, "id"),
            application=str(raw.get("sourceId") or ""),
            environment=str(raw.get("environmentId") or ""),
            ended_ms=_milliseconds(raw, "endDate"),
        )


@dataclass(frozen=True, slots=True)
class Run:
    """Alien4Cloud's record of an execution; dates are its own clock's, in ms since the epoch."""

    id: str
    deployment: str
    workflow: str
    status: str
    started_ms: int
    ended_ms: int | None
    has_failed_tasks: bool

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Run:
        """Read an execution."""
        return cls(
            id=_text(raw, "id"),
            deployment=_text(raw, "deploymentId"),
            workflow=str(raw.get("workflowName") or raw.get("workflowId") or ""),
            status=str(raw.get("status")),
            started_ms=_milliseconds(raw, "startDate") or 0,
            ended_ms=_milliseconds(raw, "endDate"),
            has_failed_tasks=bool(raw.get("hasFailedTasks")),
        )


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One operation on one instance of a node."""

    node: str
    instance: str
    operation: str
    status: str
    scheduled_ms: int | None
    details: str

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> TaskRecord:
        """Read a task."""
        return cls(
            node=str(raw.get("nodeId") or ""),
            instance=str(raw.get("instanceId") or ""),
            operation=str(raw.get("operationName") or ""),
            status=str(raw.get("status")),
            scheduled_ms=_milliseconds(raw, "scheduleDate"),
            details=str(raw.get("details") or ""),
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """The steps of the latest execution of a deployment.

    Attributes:
        execution: Id of that execution; None when there is none.
        statuses: Status by step; a step that has not begun is absent.
        tasks: Tasks by step.
    """

    execution: str | None
    statuses: Mapping[str, str]
    tasks: Mapping[str, tuple[TaskRecord, ...]]

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Progress:
        """Read the answer about a deployment's latest execution."""
        return cls(
            execution=(raw.get("execution") or {}).get("id"),
            statuses={step: str(s) for step, s in (raw.get("stepStatus") or {}).items()},
            tasks={
                step: tuple(TaskRecord.parse(task) for task in tasks or ())
                for step, tasks in (raw.get("stepTasks") or {}).items()
            },
        )


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One log entry; ``at_ms`` orders and pages it, and need not be the moment it was written."""

    id: str
    execution: str
    level: str
    at_ms: int
    raw_timestamp: str
    node: str
    operation: str
    content: str

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> LogRecord:
        """Read a log entry."""
        return cls(
            id=_text(raw, "id"),
            execution=str(raw.get("executionId") or ""),
            level=str(raw.get("level")),
            at_ms=_milliseconds(raw, "timestamp") or 0,
            raw_timestamp=str(raw.get("rawtimestamp") or ""),
            node=str(raw.get("nodeId") or ""),
            operation=str(raw.get("operationName") or ""),
            content=str(raw.get("content") or ""),
        )

    @property
    def written_ms(self) -> int:
        """When it was written.

        Yorc's plugin reads the orchestrator's time in its own zone; the raw text keeps the offset.
        """
        try:
            moment = datetime.fromisoformat(self.raw_timestamp)
        except ValueError:
            return self.at_ms
        return self.at_ms if moment.tzinfo is None else round(moment.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page of a log search.

    Attributes:
        entries: Those of the executions asked for.
        received: How many came, with any that nobody asked for.
        last_ms: Timestamp of the last that came.
        total: Number of all matches; 0 when the page is empty.
    """

    entries: tuple[LogRecord, ...]
    received: int
    last_ms: int
    total: int


def moment(milliseconds: int | None) -> datetime | None:
    """Turn Alien4Cloud's milliseconds since the epoch into a moment."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def unwrap(value: JSON) -> JSON:
    """Take a property value out of its wrapping; None for one that a function computes."""
    if not isinstance(value, dict) or "definition" not in value:
        return value
    return value.get("value")


def _items(text: str) -> Iterable[str]:
    return filter(None, (item.strip() for item in text.split(",")))


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is {value!r}")
    return value


def _milliseconds(raw: Mapping[str, Any], key: str) -> int | None:
    value = raw.get(key)
    if value is None:
        return None
    if not 0 <= value < _YEAR_10000_MS:
        raise ValueError(f"{key} is {value!r}")
    return int(value)
