"""What conductors remove beside their work: what is kept no longer, a little at a time.

Of several conductors one at a time looks after the store, and one of each machine after its folders
(:class:`app.store.chores.Chores`). After each piece of work others have as long a turn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from app.clients.orchestrator import Orchestrator
from app.engine.launchers.shim.records import FRAMES
from app.errors import StoreUnavailable, UpstreamError
from app.settings import RetentionSettings
from app.store.chores import Chores
from app.store.disk import DiskUsage
from app.store.execution_rows import now
from app.store.purging import Purging, Removal, What
from app.trees import measure_tree

log = structlog.get_logger(__name__)

BY_RETENTION: Final = "retention"
"""Who purges what is older than the settings say."""
STORE: Final = "purge"
"""The chore of purging in the store."""

_LOOK_SECONDS: Final = 2.0
"""How often it is looked whether there is something to remove."""
_OLD_SECONDS: Final = 60.0
"""How often it is looked for what has become too old."""
_SHARE_OF_AGE: Final = 0.1
"""The same, as a share of the shortest time for which something is kept."""
CHORE_SECONDS: Final = 10.0
"""How long a chore is a process's own without another sign of it. Two that did it for a moment
would do no harm, so what a dead one had is not left alone for long."""
_LONGEST_REST: Final = 1.0
"""Most seconds that others get after a piece of work."""
_FOLDER_SECONDS: Final = 1.0
"""How long one folder is removed before the next one has its turn."""
_FOLDERS_AT_ONCE: Final = 100
_AGAIN_SECONDS: Final = 600.0
"""When a folder is tried again that could not be removed."""
_MEASURE_SECONDS: Final = 3600.0
"""How often it is measured what takes up room."""
_MEASURING_SECONDS: Final = 10.0
"""How long one thing is measured at the most; what is not counted then is said to be missing."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine whose folders are looked after.

    Attributes:
        name: Its name, see :class:`app.store.conductors.Node`.
        names: Returns all names that it goes by.
        executions_dir: The folders of executions.
    """

    name: str
    names: Callable[[], Collection[str]]
    executions_dir: Path


class Housekeeping:
    """Purges what is old, removes what was purged, and measures what is left.

    Args:
        purging: What is purged, in the store.
        orchestrators: The orchestrators by name.
        settings: How long what is kept.
        machine: Whose folders it looks after.
        chores: Who does what.
        usage: Where measurements are kept.
    """

    def __init__(
        self,
        purging: Purging,
        orchestrators: Mapping[str, Orchestrator],
        settings: RetentionSettings,
        machine: Machine,
        *,
        chores: Chores,
        usage: DiskUsage,
    ) -> None:
        self._purging = purging
        self._orchestrators = orchestrators
        self._ages = ages_of(settings)
        self._chores = chores
        self._usage = usage
        self._machine = machine
        self._folders = f"folders of {machine.name}"
        self._old_due = self._measure_due = 0.0
        self._stubborn: dict[int, float] = {}

    def run(self, stopping: threading.Event) -> None:
        """Work until the event is set; what fails is tried again."""
        while not stopping.wait(_LOOK_SECONDS):
            for work in (self._purge, self._remove_files, self._measure):
                try:
                    work(stopping)
                except StoreUnavailable:
                    continue  # the store has said so
                except Exception as exc:  # noqa: BLE001  (there is time until the next turn)
                    log.warning("housekeeping failed", error=str(exc))
        for chore in (STORE, self._folders):
            try:
                self._chores.leave(chore)
            except StoreUnavailable:
                return

    def _purge(self, stopping: threading.Event) -> None:
        """Purge what is too old, and remove what was purged from the store."""
        due = bool(self._ages) and time.monotonic() >= self._old_due
        if not due and not self._purging.is_anything_left():
            return
        if not self._chores.take(STORE, CHORE_SECONDS):
            return
        if due:
            shortest = min(self._ages.values())
            self._old_due = time.monotonic() + min(_OLD_SECONDS, shortest * _SHARE_OF_AGE)
            for what, age in self._ages.items():
                before = now() - timedelta(seconds=age)
                purge = partial(self._purging.purge_old, what, before, BY_RETENTION)
                number = self._all(purge, stopping)
                if number:
                    log.info("purged", what=what.name.lower(), number=number)
        self._all(self._purging.remove_some, stopping)

    def _all(self, some: Callable[[], int], stopping: threading.Event) -> int:
        """Do some work until there is none, and let others act in between; return how much."""
        return in_turns(some, lambda: self._chores.take(STORE, CHORE_SECONDS), stopping)

    def _remove_files(self, stopping: threading.Event) -> None:
        """Remove folders of this machine that are kept no longer."""
        nodes, after = list(self._machine.names()), 0
        while removals := self._purging.files_left(nodes, after, _FOLDERS_AT_ONCE):
            for removal in removals:
                after = removal.execution
                if self._stubborn.get(after, 0.0) > time.monotonic():
                    continue
                if stopping.is_set() or not self._chores.take(self._folders, CHORE_SECONDS):
                    return
                started = time.monotonic()
                if self._is_removed(removal):
                    self._purging.files_removed(removal)
                stopping.wait(min(time.monotonic() - started, _LONGEST_REST))

    def _is_removed(self, removal: Removal) -> bool:
        orchestrator = self._orchestrators[removal.orchestrator]
        try:
            return orchestrator.remove_files(removal.execution_id, _FOLDER_SECONDS)
        except (UpstreamError, OSError) as exc:
            self._stubborn[removal.execution] = time.monotonic() + _AGAIN_SECONDS
            log.warning("folder cannot be removed", execution=removal.execution_id, error=str(exc))
            return False

    def _measure(self, stopping: threading.Event) -> None:
        """Measure what takes up room, seldom."""
        if time.monotonic() < self._measure_due or stopping.is_set():
            return
        self._measure_due = time.monotonic() + _MEASURE_SECONDS
        folder = self._machine.executions_dir
        work, frames = measure_tree(folder, _MEASURING_SECONDS, FRAMES.__eq__)
        self._usage.put(self._machine.name, {"work_folders": work, "frames": frames})
        self._usage.put("database", self._usage.measure_database(_MEASURING_SECONDS))


def ages_of(settings: RetentionSettings) -> dict[What, float]:
    """Return after how many seconds what is purged, of what is not kept for ever."""
    kept = {
        What.EXECUTIONS: settings.executions,
        What.LOGS: settings.logs,
        What.FILES: settings.work_folders,
    }
    return {what: seconds for what, seconds in kept.items() if seconds is not None}


def in_turns(some: Callable[[], int], may: Callable[[], bool], stopping: threading.Event) -> int:
    """Do some work until there is none; after each piece others have as long a turn.

    Args:
        some: Does a piece of it; returns how much that was, and 0 at the end.
        may: Returns whether the next piece may be done.
        stopping: Ends it, too.

    Returns:
        How much was done.
    """
    done = 0
    while not stopping.is_set() and may():
        started = time.monotonic()
        number = some()
        if not number:
            break
        done += number
        stopping.wait(min(time.monotonic() - started, _LONGEST_REST))
    return done
