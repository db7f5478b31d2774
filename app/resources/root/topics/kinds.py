"""The kinds of topics: what tells of each, and how its events are written.

A further kind is a class here and a line in :data:`KINDS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, NamedTuple

import marshmallow as ma
import orjson
from marshmallow import validate

from app.domain import Execution, ExecutionMetrics, ExecutionSummary, Task
from app.errors import CapabilityMissing, NotFound
from app.resources._api import LARGEST_INDEX
from app.resources._encoders import Told, unbroken
from app.resources._errors import status_of
from app.resources._written import written
from app.resources.root.encoders import WORDS
from app.resources.root.levels import levels_field, levels_of
from app.resources.root.one_task import task_field
from app.resources.root.serialisers.entries import entry_json
from app.resources.root.serialisers.executions import brief_json, summary_json
from app.resources.root.serialisers.load import metrics_json
from app.resources.root.serialisers.tasks import task_json
from app.resources.root.task_news import TaskNews, counts_of
from app.services.access import Caller
from app.services.bundle import Services
from app.services.events import Briefed
from app.services.follow import (
    Batch,
    Changed,
    FollowQuery,
    Heartbeat,
    Moved,
    StatusChanged,
)
from app.services.idle import Idle
from app.services.stretches import Stretch
from app.services.topics import Refused, Source
from app.services.turns import Turn
from app.settings.schema import WholeNumber

_LATEST: Final = 253_402_300_799_999
"""The last moment of the year 9999, in milliseconds since 1970."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Message(NamedTuple):
    """An event as it is sent.

    Attributes:
        fields: A JSON object.
    """

    name: str
    fields: bytes


@dataclass(frozen=True, slots=True)
class Measured:
    """What the virtual users of an execution have done so far.

    Attributes:
        fields: As a JSON object.
    """

    fields: bytes


class Options(ma.Schema):
    """What may be said of a topic; nothing, unless a kind says so."""

    class Meta:
        """What is not known is a fault."""

        unknown = ma.RAISE

    error_messages = {"unknown": "is not known here"}  # noqa: RUF012  (so marshmallow has it)


class Topic(ABC):
    """One topic of one reader.

    Args:
        name: The topic without its options.
        reference: What it is about; empty where it is about nothing single.
        options: What is said of it.

    Attributes:
        takes_reference: Whether it is about something single.
        options: What may be said of such a topic.
    """

    takes_reference: ClassVar[bool] = True
    options: ClassVar[type[ma.Schema]] = Options

    def __init__(self, name: str, reference: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self._reference = reference
        self._options = options

    @abstractmethod
    def sources(self, bundle: Services) -> Sequence[Source[Any]]:
        """Return what tells of it; the events of several are mixed."""

    def messages(self, event: Any, turn: Turn) -> Iterator[Message]:
        """Write an event.

        Args:
            event: What one of the sources told, or ``Refused``.
            turn: Taken where there is much to write.
        """
        if isinstance(event, Refused):
            yield _refused(event)
        elif not isinstance(event, Changed):
            yield told(event)


class NoKind(Topic):
    """A topic that there is not."""

    class _Anything(ma.Schema):
        class Meta:
            unknown = ma.EXCLUDE

    options = _Anything

    def sources(self, bundle: Services) -> Sequence[Source[Any]]:
        """Return what refuses it."""

        def refuse(_: Caller) -> Generator[Idle, None, None]:
            raise NotFound(f"There is no topic '{self.name[:100]}'.")
            yield

        return [refuse]


class ExecutionsTopic(Topic):
    """How all executions stand that the reader may see.

    The cursor is the moment up to which it was told, in milliseconds.
    """

    takes_reference = False

    class _Options(Options):
        after = WholeNumber(validate=validate.Range(0, _LATEST))

    options = _Options

    def __init__(self, name: str, reference: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, reference, options)
        after = options.get("after")
        self._told_until = None if after is None else _EPOCH + timedelta(milliseconds=after)

    def sources(self, bundle: Services) -> Sequence[Source[Any]]:
        """Return the one that tells of it, which begins again where it lost some."""
        self._is_stale = bundle.executions.is_stale

        def tell(caller: Caller) -> Generator[Any, None, None]:
            lost = True
            while lost:
                lost = False
                for event in bundle.events.brief_steps(caller, self._told_until):
                    if isinstance(event, Moved) and not bundle.follow.changes.closing:
                        lost = True
                    else:
                        yield event

        return [tell]

    def messages(self, event: Any, turn: Turn) -> Iterator[Message]:
        """Write an event."""
        if not isinstance(event, Briefed):
            yield from super().messages(event, turn)
            return
        stands = summary_json(event.execution, stale=self._is_stale(event.execution))
        moment = event.execution.as_of
        self._told_until = max(moment, self._told_until or moment)
        after = (self._told_until - _EPOCH) // timedelta(milliseconds=1)
        yield _message("status", {**stands, "brief": brief_json(event.brief), "after": after})


class ExecutionTopic(Topic):
    """How one execution stands, its tasks, and what its virtual users do."""

    def __init__(self, name: str, reference: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, reference, options)
        self._shown: dict[str, Any] = {}
        self._news = TaskNews()

    def sources(self, bundle: Services) -> Sequence[Source[Any]]:
        """Return what tells how it stands, and what measures it."""
        self._bundle = bundle
        return [self._follow, self._measure]

    def _follow(self, caller: Caller) -> Generator[Any, None, None]:
        follow, last = self._bundle.follow, None
        query = FollowQuery(levels_of(0), with_log=False)
        for event in follow.steps(self._reference, caller, query):
            if isinstance(event, StatusChanged | Changed):
                last = event.execution
            elif isinstance(event, Heartbeat) and last is not None:
                # The moment up to which it is known to stand so moves on, and wakes nobody.
                yield StatusChanged(follow.reads.latest(last.id))
            yield event

    def _measure(self, caller: Caller) -> Generator[Any, None, None]:
        try:
            for each in self._bundle.load_metrics.steps(self._reference, caller, _measured):
                yield each if isinstance(each, Idle) else Measured(each)
        except (CapabilityMissing, NotFound):
            return  # nothing measures it, or what tells how it stands says so

    def messages(self, event: Any, turn: Turn) -> Iterator[Message]:
        """Write an event, and the tasks that have changed."""
        if isinstance(event, StatusChanged | Changed):
            yield from self._stands(event.execution, isinstance(event, StatusChanged))
            yield from self._tasks(event.execution, turn)
        elif isinstance(event, Measured):
            yield Message("load", event.fields)
        else:
            yield from super().messages(event, turn)

    def _stands(self, execution: ExecutionSummary, with_moment: bool) -> Iterator[Message]:
        """Write how it stands, unless that is known; of a mere change the moment is no news."""
        stale = self._bundle.executions.is_stale(execution)
        stands = summary_json(execution, stale=stale)
        known = self._shown if with_moment else {**self._shown, "as_of": stands["as_of"]}
        if stands != known:
            self._shown = stands
            yield _message("status", stands)

    def _tasks(self, execution: ExecutionSummary, turn: Turn) -> Iterator[Message]:
        tasks = self._bundle.follow.tasks(execution)
        changed = self._news.among(tasks)
        if not changed:
            return
        counts = counts_of(tasks)._asdict()

        def write(some: Sequence[Task]) -> Message:
            return _message("tasks", {"tasks": [*map(task_json, some)], **counts})

        yield from self._news.written(changed, turn, write)


class LogTopic(Topic):
    """The log of an execution; the cursor is the index of the last entry."""

    class _Options(Options):
        after = WholeNumber(load_default=-1, validate=validate.Range(-1, LARGEST_INDEX))
        levels = levels_field()
        task = task_field()

    options = _Options

    def sources(self, bundle: Services) -> Sequence[Source[Any]]:
        """Return the one that tells of it."""
        levels, after = levels_of(self._options["levels"]), self._options["after"]
        query = FollowQuery(levels, after=after, task=self._options.get("task"))

        def tell(caller: Caller) -> Generator[Any, None, None]:
            yield from bundle.follow.steps(self._reference, caller, query)

        return [tell]

    def messages(self, event: Any, turn: Turn) -> Iterator[Message]:
        """Write an event."""
        if isinstance(event, Batch):
            yield Message("log", written(_entries, event, turn))
        else:
            yield from super().messages(event, turn)


KINDS: Final[Mapping[str, type[Topic]]] = {
    "executions": ExecutionsTopic,
    "execution": ExecutionTopic,
    "log": LogTopic,
}


def told(event: Told) -> Message:
    """Write an event as other streams have it."""
    return _message(*WORDS.event(event))


def _message(name: str, fields: Mapping[str, Any]) -> Message:
    return Message(name, unbroken(orjson.dumps(fields)))


def _refused(event: Refused) -> Message:
    error = event.error
    status = status_of(error).value
    return _message("refused", {"status": status, "code": error.code, "detail": error.message})


def _entries(stretch: Stretch) -> bytes:
    """Write log entries; done once for all readers of the same ones."""
    entries = [entry_json(entry) for entry in stretch.entries]
    return unbroken(orjson.dumps({"entries": entries, "after": stretch.next - 1}))


def _measured(execution: Execution, metrics: ExecutionMetrics) -> bytes:
    return orjson.dumps(metrics_json(execution, metrics))
