"""Telling that tasks wait for what others have: processors, memory, room in a pool, their turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from app.domain import Level, NewLogEntry
from app.engine.progress import Progress
from app.engine.slots import Lack

TELL_SECONDS: Final = 1.0
"""How long a task waits before that is told: most wait for a moment, which is nobody's concern."""

_NAMED: Final = 5


def note_waits(
    progress: Progress, names: Iterable[str], why: Callable[[str], tuple[Lack, str]]
) -> Iterator[NewLogEntry]:
    """Note what tasks wait for, and tell it of those of which it was not told yet.

    Args:
        progress: The tasks.
        names: Those that wait.
        why: Returns what a task waits for.

    Yields:
        One entry for each kind of reason.
    """
    news: dict[Lack, list[tuple[str, str]]] = {}
    for name in names:
        lack, words = why(name)
        before = progress[name].waits
        if before is None or before["kind"] != lack:
            task = progress.changing(name)
            task.waits = {"kind": str(lack), "reason": words}
            if task.attempt == task.earlier:  # else the time is still that of the last attempt
                task.ready_at = progress.ready_since(name)
        if before is None:
            news.setdefault(lack, []).append((name, words))
    for waiting in news.values():
        yield _entry(waiting)


def hold_up(progress: Progress, names: Iterable[str], why: str) -> bool:
    """Note of tasks that they wait for what runs them; return whether that is news.

    Args:
        progress: The tasks.
        names: Those that could begin.
        why: What is wrong with it.
    """
    waits = {"kind": "launcher", "reason": f"what runs it ({why.rstrip('.')})"}
    news = [name for name in names if progress[name].waits != waits]
    for name in news:
        progress.changing(name).waits = dict(waits)
    return bool(news)


def forget_waits(progress: Progress) -> None:
    """Forget what tasks waited for: the execution is paused, or goes on."""
    for name in progress.held_up():
        progress.changing(name).waits = None


def _entry(waiting: list[tuple[str, str]]) -> NewLogEntry:
    name, words = waiting[0]
    stamp = int(time.time() * 1000)
    if len(waiting) == 1:
        return NewLogEntry(Level.INFO, stamp, f"Task '{name}' waits for {words}", name)
    names = ", ".join(f"'{each}'" for each, _ in waiting[:_NAMED])
    more = ", ..." if len(waiting) > _NAMED else ""
    text = f"{len(waiting)} tasks wait ({names}{more}), the first for {words}"
    return NewLogEntry(Level.INFO, stamp, text, "")
