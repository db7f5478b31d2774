"""All that a help desk needs of an execution: what whoever asks may see of it, without secrets."""

from __future__ import annotations

import dataclasses
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, Final

from app import __version__
from app.domain import (
    ALL_LEVELS,
    JSON,
    DefinitionText,
    Execution,
    ExecutionMetrics,
    Identity,
    LogEntry,
    Task,
    log_timestamp,
    reason_in,
)
from app.errors import SlipwayError
from app.exit_codes import with_meaning
from app.services.definition_texts import DefinitionTexts
from app.services.differences import cut_entry, within
from app.services.digest import Digest, DigestService
from app.services.executions import ExecutionService
from app.services.hiding import Hiding
from app.services.load_metrics import LoadMetricsService
from app.services.logs import LogExtract, LogQuery, LogService
from app.settings import Settings

LOG_BYTES: Final = 32 * 1024 * 1024
"""About how much of the text of a log is given; of a longer one the first quarter and the end."""
OWN_ENTRIES: Final = 1000
"""Entries of the execution itself that its history tells."""
_OWN_BYTES: Final = 1024 * 1024
_SECTIONS: Final = ("logs", "streams", "engine", "load", "conductor", "database", "retention")
_BUILT_IN: Final = ("engine", "load")
"""Types of orchestrators that are a part of this program."""
_NUMBER: Final = re.compile(r"(bool|int|float)( \| None)?")
"""The types of numbers and switches, as settings declare them."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to an execution.

    Attributes:
        at: Such as ``2022-10-20T12:32:29.774Z``.
        task: Name of the task that it is about; empty for the execution itself.
    """

    at: str
    task: str
    what: str


@dataclass(frozen=True, slots=True)
class Case:
    """What there is of one execution.

    Attributes:
        definition: The text from which it was launched, or a sentence on why there is none.
        log: None where it is not kept any more.
        metrics: What its virtual users did; None where it has none.
        history: What the store knows of what happened to it.
        own: What it said itself.
        versions: Of the programs.
        settings: Numbers and switches; no text of the settings is among them.
    """

    execution: Execution
    tasks: Sequence[Task]
    digest: Digest
    definition: DefinitionText | str
    log: LogExtract | None
    metrics: ExecutionMetrics | None
    history: Sequence[Happening]
    own: Sequence[LogEntry]
    versions: Mapping[str, JSON]
    settings: Mapping[str, JSON]

    def hiding(self) -> Hiding:
        """Return what hides its secrets, for which its inputs and outputs are gone through."""
        return Hiding(self.execution.inputs, self.execution.outputs)

    def hidden_digest(self, hiding: Hiding) -> Digest:
        """Return the digest with the secrets hidden in what the log says."""
        return self.digest.with_entries(partial(_hidden, hiding))

    def hidden_history(self, hiding: Hiding) -> list[Happening]:
        """Return what happened, with what the execution said itself, in order."""
        said = _told(_hidden(hiding, self.own))
        return sorted(chain(self.history, said), key=lambda each: each.at)


class SupportService:
    """Gathers what there is of executions.

    Args:
        service: Finds executions and says who may see them.
        logs: Reads what they said.
        digests: Tells why they ended as they did.
        texts: Knows what they were launched from.
        metrics: Knows what virtual users did.
        settings: Of the service.
    """

    def __init__(
        self,
        service: ExecutionService,
        logs: LogService,
        digests: DigestService,
        texts: DefinitionTexts,
        *,
        metrics: LoadMetricsService,
        settings: Settings,
    ) -> None:
        self._service = service
        self._logs = logs
        self._digests = digests
        self._texts = texts
        self._metrics = metrics
        self._settings = settings

    def gather(self, execution: Execution, identity: Identity) -> Case:
        """Gather what there is of an execution that somebody may see."""
        tasks = self._service.tasks_of(execution)
        kept = execution.log_purged_at is None
        own = self._own_entries(execution, identity) if kept else ()
        return Case(
            execution,
            tasks,
            self._digests.of(execution, identity),
            self._texts.text(execution, identity),
            self._logs.extract(execution, LOG_BYTES, identity.username) if kept else None,
            self._measured(execution),
            [*_history(execution, tasks)],
            own,
            self._versions(execution),
            _numbers(self._settings),
        )

    def _own_entries(self, execution: Execution, identity: Identity) -> Sequence[LogEntry]:
        query = LogQuery(0, OWN_ENTRIES, ALL_LEVELS, task="", tail=OWN_ENTRIES)
        return [*within(self._logs.entries(execution, query, identity), _OWN_BYTES)]

    def _measured(self, execution: Execution) -> ExecutionMetrics | None:
        with suppress(SlipwayError):  # it has none, or they cannot be read now
            return self._metrics.of(execution)
        return None

    def _versions(self, execution: Execution) -> dict[str, JSON]:
        types = {entry.name: entry.type for entry in self._settings.orchestrators}
        type_ = types.get(execution.orchestrator)
        return {
            "slipway": __version__,
            "python": platform.python_version(),
            "system": platform.system(),
            "store": self._settings.database_url.partition(":")[0].partition("+")[0],
            "orchestrator": {
                "name": execution.orchestrator,
                "type": type_,
                "version": __version__ if type_ in _BUILT_IN else None,
            },
        }


def _history(execution: Execution, tasks: Sequence[Task]) -> Iterator[Happening]:
    """Yield what the store knows of the beginnings and ends."""
    yield _happened(execution.created_at, f"launched by {execution.owner}")
    if execution.started_at is not None:
        yield _happened(execution.started_at, "began")
    for task in tasks:
        if task.started_at is not None:
            attempt = f", attempt {task.attempts}" if task.attempts > 1 else ""
            yield _happened(task.started_at, f"began{attempt}", task.name)
        if task.finished_at is not None:
            yield _happened(task.finished_at, f"ended: {_end_of(task)}", task.name)
    if execution.finished_at is not None:
        reason = reason_in(execution.error)
        why = f", {reason}" if reason else ""
        yield _happened(execution.finished_at, f"ended: {execution.status}{why}")
    if execution.log_purged_at is not None:
        yield _happened(execution.log_purged_at, "its log was purged")


def _end_of(task: Task) -> str:
    code = "" if task.exit_code is None else f", {with_meaning(task.exit_code)}"
    return f"{task.status}{code}"


def _hidden(hiding: Hiding, entries: Iterable[LogEntry]) -> Iterator[LogEntry]:
    """Yield entries without secrets, and then cut: half of a secret does not look like one."""
    return map(cut_entry, hiding.anew().entries(entries))


def _told(entries: Iterable[LogEntry]) -> Iterator[Happening]:
    """Yield what an execution said itself."""
    for entry in entries:
        yield Happening(log_timestamp(entry.timestamp_ms), "", f"said: {entry.content}")


def _happened(at: datetime, what: str, task: str = "") -> Happening:
    return Happening(log_timestamp(round(at.timestamp() * 1000)), task, what)


def _numbers(settings: Settings) -> dict[str, JSON]:
    """Return the numbers and switches of those settings that decide how executions run.

    Texts are left out, all of them: names, addresses, paths, and whatever is secret.
    """
    sections = {name: getattr(settings, name) for name in _SECTIONS}
    return {name: dict(_plain(section)) for name, section in sections.items()}


def _plain(section: Any) -> Iterator[tuple[str, JSON]]:
    for declared in dataclasses.fields(section):
        is_secret = declared.metadata["field"].metadata.get("secret")
        if not is_secret and _NUMBER.fullmatch(str(declared.type)):
            yield declared.name, getattr(section, declared.name)
