"""``/ui/executions/<id>/log``: the log of an execution, of any length.

What is here is one window of the list, with links to the one before and the one behind. A script
(``static/js/log/``) makes of it a list that is scrolled through as a whole, and followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from app.domain import (
    ALL_LEVELS,
    DEFAULT_LEVELS,
    Execution,
    ExecutionStatus,
    Identity,
    Level,
    LogEntry,
    Permission,
)
from app.errors import InvalidRequest
from app.resources._auth import caller
from app.resources._context import services
from app.resources._download import download
from app.resources._limits import cost
from app.resources._permissions import permission
from app.services.grep import LONGEST_PATTERN, LONGEST_TEXT, pattern_for
from app.services.log_search import Direction, Matches, MatchQuery
from app.services.logs import LogQuery
from app.services.tallies import Sieve
from app.ui._log_text import plain_text
from app.ui._render import KEPT_NOWHERE, page, to

blueprint = Blueprint("log", __name__)

OWN: Final = "~"
"""What the address calls that which the execution itself says, and no step."""
_LETTERS: Final = {"E": Level.ERROR, "W": Level.WARN, "I": Level.INFO, "D": Level.DEBUG}
_WINDOW: Final = 100
"""Entries of the page without scripts."""
_ABOVE: Final = 10
"""How many of them stand before the line that is meant."""
_WINDOW_CHARACTERS: Final = 200_000
LONGEST_SHOWN: Final = 4000
"""Characters of an entry; the same as of the script's rows."""
_TAIL: Final = 10_000
_MOST_STEPS: Final = 1000
_WHOLE: Final = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address says.

    Attributes:
        step: Of which step; empty for what the execution itself says, None for all.
        start: Where the window begins in the list; None where something else says it.
        line: Index of a line that is meant.
        find: A text, or pattern, that is looked for.
    """

    levels: Level
    step: str | None
    start: int | None
    line: int | None
    find: str
    regex: bool
    direction: Direction

    @classmethod
    def of_request(cls) -> Wanted:
        """Read the address; what is no good in it is as if it were not there."""
        letters = request.args.getlist("level")
        step = request.args.get("task", "")
        find, regex = request.args.get("find", ""), bool(request.args.get("regex"))
        levels = Level(0)
        for letter in letters:
            levels |= _LETTERS.get(letter, Level(0))
        return cls(
            levels or DEFAULT_LEVELS,
            {"": None, OWN: ""}.get(step, step),
            _whole("from"),
            _whole("line"),
            find[: LONGEST_PATTERN if regex else LONGEST_TEXT],
            regex,
            "previous" if request.args.get("direction") == "previous" else "next",
        )

    @property
    def sieve(self) -> Sieve:
        """What lets entries into the list."""
        return Sieve(self.levels, self.step)

    @property
    def letters(self) -> Sequence[str]:
        """The letters of the levels."""
        return [letter for letter, level in _LETTERS.items() if level & self.levels]

    def query(self, **changes: Any) -> str:
        """Write the address of the list with something else in it."""
        pairs: list[tuple[str, Any]] = []
        if self.levels != DEFAULT_LEVELS:
            pairs += [("level", letter) for letter in self.letters]
        if self.step is not None:
            pairs.append(("task", self.step or OWN))
        if self.find:
            pairs.append(("find", self.find))
        if self.regex:
            pairs.append(("regex", "yes"))
        return f"?{urlencode([*pairs, *changes.items()])}"


@blueprint.get("/executions/<string:execution_id>/log")
@cost(2)
@permission(Permission.EXECUTIONS_READ)
def show_log(execution_id: str) -> Response:
    """Return a window of the log: from a line on, the first error of what failed, or the end."""
    identity, wanted = caller(), Wanted.of_request()
    execution = services().executions.get(execution_id, identity)
    first_error = _first_error(execution, identity)
    found, fault = _found(execution, wanted, identity)
    line = _line(wanted, found, first_error)
    start, total = _window(execution, wanted, line, identity)
    query = LogQuery(start, _WINDOW, wanted.levels, task=wanted.step)
    entries = [*_shown(services().logs.entries(execution, query, identity))]
    behind = start + len(entries)
    return page(
        "log.html",
        title=f"Log of {execution.workflow_name} {execution.id[:8]}",
        current="/ui/executions",
        execution=execution,
        wanted=wanted,
        steps=[task.name for task in services().executions.tasks_of(execution)][:_MOST_STEPS],
        own=OWN,
        entries=entries,
        line=line,
        first_error=first_error,
        opens_at="end" if not execution.status.final else "start",
        total=total,
        start=start,
        earlier=wanted.query(**{"from": max(0, start - _WINDOW)}) if start else None,
        later=wanted.query(**{"from": behind}) if behind < total else None,
        last=wanted.query(**{"from": max(0, total - _WINDOW)}),
        found=found,
        fault=fault,
        address=to(f"/ui/executions/{execution.id}"),
    )


@blueprint.get("/executions/<string:execution_id>/log/text")
@permission(Permission.EXECUTIONS_READ)
def show_text(execution_id: str) -> Response:
    """Return the log as text: what the filters let through, the end of it, or all as a file."""
    wanted, is_file = Wanted.of_request(), bool(request.args.get("file"))
    query = LogQuery(0, -1, ALL_LEVELS)
    if not is_file:
        tail = _TAIL if request.args.get("tail") else None
        query = replace(query, levels=wanted.levels, task=wanted.step, tail=tail)
    response = download(execution_id, query)
    response.headers["Cache-Control"] = KEPT_NOWHERE
    if is_file:
        name = f"{services().executions.get(execution_id, caller()).id}.log"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _whole(name: str) -> int | None:
    text = request.args.get(name, "")
    return int(text) if _WHOLE.fullmatch(text) else None


def _first_error(execution: Execution, identity: Identity) -> int | None:
    """Return the index of the line that says why an execution failed, as its digest has it."""
    if execution.status is not ExecutionStatus.FAILED:
        return None
    failed = services().digests.of(execution, identity).failed
    first = next((each.first_error for each in failed if each.first_error is not None), None)
    return None if first is None else first.sequence


def _found(execution: Execution, wanted: Wanted, identity: Identity) -> tuple[Matches | None, str]:
    """Return what was found of what the address says, and what is wrong with it."""
    if not wanted.find:
        return None, ""
    pattern = wanted.find if wanted.regex else pattern_for(wanted.find)
    index = -1 if wanted.line is None else wanted.line
    query = MatchQuery(index, wanted.direction, wanted.sieve, pattern, ALL_LEVELS)
    try:
        return services().log_search.find(execution.id, identity, query), ""
    except InvalidRequest as exc:
        return None, "; ".join(fault.message for fault in exc.fields)


def _line(wanted: Wanted, found: Matches | None, first_error: int | None) -> int | None:
    """Return the index of the line that is shown, if one is meant."""
    if wanted.start is not None:
        return None
    if found is not None and found.match is not None:
        return found.match.entry.sequence
    return first_error if wanted.line is None else wanted.line


def _window(
    execution: Execution, wanted: Wanted, line: int | None, identity: Identity
) -> tuple[int, int]:
    """Return where the window begins in the list, and how long that is."""
    index = execution.log_total if line is None else line
    place = services().log_search.place(execution.id, identity, index, wanted.sieve)
    last = max(0, place.total - _WINDOW)
    if wanted.start is not None:
        return min(wanted.start, last), place.total
    if line is not None:
        return max(0, min(place.before - _ABOVE, last)), place.total
    return (0 if execution.status.final else last), place.total


def _shown(entries: Iterator[LogEntry]) -> Iterator[Mapping[str, Any]]:
    """Return what a window shows of entries, as far as there is room for it."""
    left = _WINDOW_CHARACTERS
    for entry in entries:
        text = plain_text(entry.content[:LONGEST_SHOWN])
        is_cut = len(entry.content) > LONGEST_SHOWN
        yield {"entry": entry, "text": text, "is_cut": is_cut, "level": Level(entry.level).name}
        left -= len(text)
        if left <= 0:
            return
