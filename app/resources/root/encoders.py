"""What the root API writes for log entries and events, on each transport."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from app.domain import ExecutionSummary, LogEntry, Task
from app.resources._encoders import (
    Encoder,
    NdjsonEncoder,
    PageEncoder,
    Ready,
    SseEncoder,
    TextEncoder,
    Told,
    WebSocketEncoder,
)
from app.resources.root.forms import Form
from app.resources.root.serialisers.entries import entry_json
from app.resources.root.serialisers.executions import event_json, purged_json, status_json
from app.resources.root.serialisers.tasks import task_json
from app.resources.root.statuses import status_and_state, status_word
from app.resources.root.task_news import TaskNews, counts_of
from app.services.follow import (
    Changed,
    Dropped,
    Ended,
    Event,
    Expired,
    Moved,
    Removed,
    StatusChanged,
)
from app.services.logs import LogPage
from app.services.turns import Turn


class _RootWords:
    """The names and fields of the root API, in one of its forms."""

    def __init__(self, form: Form) -> None:
        self._form = form

    def entry(self, entry: LogEntry) -> dict[str, Any]:
        return entry_json(entry)

    def event(self, event: Told) -> tuple[str, dict[str, Any]]:
        match event:
            case StatusChanged(execution):
                return "status", status_json(execution, self._form)
            case Dropped(number, first, following):
                return "dropped", {"count": number, "after": first - 1, "next": following}
            case Ended(status, total):
                return "end", {**status_and_state(status, self._form), "total": total}
            case Moved(following):
                return "moved", {"after": following - 1}
            case Expired(reason):
                return "expired", {"reason": reason}
            case Removed(tombstone):
                return "purged", purged_json(tombstone)


class _EventWords(_RootWords):
    """Those of the events of all executions, each of which says what runs."""

    def event(self, event: Told) -> tuple[str, dict[str, Any]]:
        if isinstance(event, StatusChanged):
            return "status", event_json(event.execution)
        return super().event(event)


WORDS = _RootWords(Form.BY_ID)
_EVENT_WORDS = _EventWords(Form.BY_ID)
_AWF_WORDS = _RootWords(Form.AWF)


class RootSse(SseEncoder):
    """Server-sent events of the root API."""

    words = WORDS


class RootNdjson(NdjsonEncoder):
    """Lines of JSON of the root API."""

    words = WORDS


class RootText(TextEncoder):
    """The log as text."""

    words = WORDS


class AwfSse(RootSse):
    """Server-sent events in the form of the AWF API."""

    words = _AWF_WORDS


class AwfNdjson(RootNdjson):
    """Lines of JSON in the form of the AWF API."""

    words = _AWF_WORDS


class EventSse(RootSse):
    """Server-sent events of all executions."""

    words = _EVENT_WORDS


class EventNdjson(RootNdjson):
    """Lines of JSON of all executions."""

    words = _EVENT_WORDS


EVENT_ENCODERS: Mapping[str, type[Encoder]] = {
    encoder.content_type: encoder for encoder in (EventSse, EventNdjson)
}
"""The ways to follow all executions, by what a client names in ``Accept``; the default first."""

ENCODERS: dict[str, type[Encoder]] = {
    encoder.content_type: encoder for encoder in (RootSse, RootNdjson, RootText)
}
"""The ways to follow a log, by what a client names in ``Accept``."""

_AWF_ENCODERS: dict[str, type[Encoder]] = {
    encoder.content_type: encoder for encoder in (AwfSse, AwfNdjson)
}
"""Those that differ for the AWF API."""


def encoder_of(content_type: str, form: Form) -> type[Encoder]:
    """Return what writes a log in a form of the root API, to one who asked for a media type."""
    differing = _AWF_ENCODERS if form is Form.AWF else {}
    return differing.get(content_type) or ENCODERS[content_type]


class RootPage(PageEncoder):
    """A page of a log, as JSON."""

    words = WORDS
    form = Form.BY_ID
    prelude = b'{"logs":['

    @classmethod
    def epilogue(cls, page: LogPage, number: int) -> bytes:
        """Write what follows the entries."""
        rest = {
            "total_results": page.total,
            "from": page.start,
            "execution_status": status_word(page.status, cls.form),
            "execution_state": page.status,
            "complete": page.complete and page.start + number >= page.total,
        }
        return b"]," + orjson.dumps(rest)[1:]


class AwfPage(RootPage):
    """A page of a log, as JSON, in the form of the AWF API."""

    form = Form.AWF


PAGES: Mapping[Form, type[PageEncoder]] = {Form.BY_ID: RootPage, Form.AWF: AwfPage}


class RootMessages(WebSocketEncoder):
    """Messages of the root API, with what changed of the tasks.

    Args:
        tasks: Returns the tasks of an execution as they are now.
    """

    words = WORDS

    def __init__(self, tasks: Callable[[ExecutionSummary], Sequence[Task]]) -> None:
        self._tasks = tasks
        self._news = TaskNews()

    def encode(self, event: Event | Ready, turn: Turn) -> Iterable[bytes]:
        """Write an event, and the tasks that have changed."""
        yield from super().encode(event, turn)
        if isinstance(event, StatusChanged | Changed):
            yield from self._changes(event.execution, turn)

    def _changes(self, execution: ExecutionSummary, turn: Turn) -> Iterator[bytes]:
        tasks = self._tasks(execution)
        changed = self._news.among(tasks)
        yield from self._news.written(changed, turn, self._frames)
        if changed:
            total, done, running = counts_of(tasks)
            numbers = {"tasks": total, "tasks_done": done, "tasks_running": running}
            yield self.message("metrics", numbers)

    def _frames(self, tasks: Sequence[Task]) -> bytes:
        return b"".join(self.message("task", task_json(task)) for task in tasks)


class AwfMessages(RootMessages):
    """Messages in the form of the AWF API."""

    words = _AWF_WORDS


MESSAGES: Mapping[Form, type[RootMessages]] = {Form.BY_ID: RootMessages, Form.AWF: AwfMessages}
