"""Status changes of all executions, so that one connection serves a whole page."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterator

from app.domain import Execution, ExecutionStatus, Identity
from app.services.access import sees_everything
from app.services.follow import Event, Heartbeat, Moved, StatusChanged
from app.settings import StreamSettings
from app.store.changes import Changes
from app.store.executions import Executions

_TOPIC = "statuses"
_REMEMBERED = 10_000


class EventService:
    """Tells status changes as they happen.

    The changes of the store are looked at once for all readers, and only while there are any.

    Args:
        executions: The executions in the store.
        changes: Wakes who waits.
        settings: Heartbeat.
    """

    def __init__(self, executions: Executions, changes: Changes, settings: StreamSettings) -> None:
        self._executions = executions
        self._changes = changes
        self._settings = settings
        self._recent: deque[tuple[int, Execution]] = deque(maxlen=_REMEMBERED)
        self._count = 0
        self._known: OrderedDict[str, ExecutionStatus] = OrderedDict()
        changes.observe(self._on_change)

    def open(self, identity: Identity) -> Iterator[Event]:
        """Tell the status of every execution that has not ended, then each change."""
        with self._changes.subscribe(_TOPIC) as subscription:
            position = self._count
            for execution in self._open_executions(identity):
                yield StatusChanged(execution)
            while not self._changes.closing:
                fresh = [item for item in self._recent if item[0] >= position]
                position = self._count
                for _, execution in fresh:
                    if sees_everything(identity) or execution.owner == identity.username:
                        yield StatusChanged(execution)
                if not subscription.wait(self._settings.heartbeat) and not self._changes.closing:
                    yield Heartbeat()
        yield Moved(0)

    def _open_executions(self, identity: Identity) -> list[Execution]:
        return self._executions.open(None if sees_everything(identity) else identity.username)

    def _on_change(self, ids: Collection[str] | None) -> None:
        if not self._changes.watched(_TOPIC):
            self._known.clear()
            return
        changed = self._executions.open(None) if ids is None else self._executions.get_many(ids)
        news = [e for e in changed if self._known.get(e.id) is not e.status]
        for execution in news:
            self._recent.append((self._count, execution))
            self._count += 1
            self._known[execution.id] = execution.status
            self._known.move_to_end(execution.id)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        if news:
            self._changes.publish([_TOPIC])
