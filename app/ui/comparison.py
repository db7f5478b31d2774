"""``/ui/executions/<id>/compare/<other>``: what is not the same in two executions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from flask import Blueprint, Response, request

from app.domain import Permission
from app.resources._auth import caller
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.services.digest import seconds_between
from app.ui._one_execution import side
from app.ui._render import page
from app.ui._words import took

blueprint = Blueprint("comparison", __name__)

_STOPPED: Final = {
    "entries": "The logs were compared up to a number of lines, not to their ends.",
    "bytes": "The logs were compared up to a size, not to their ends.",
    "waiting": "Too many lines of the logs have no counterpart to compare them to their ends.",
    "time": "The logs were compared as long as there was time, not to their ends.",
    "purged": "The logs are not compared: one is not kept any more.",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a text beside another.

    Attributes:
        kind: ``same``, ``changed``, or ``place`` for where the lines stand.
        before: The line of the one; None where it has none.
        after: The line of the other.
    """

    kind: str
    before: str | None
    after: str | None


@blueprint.get("/executions/<string:execution_id>/compare/<string:other_id>")
@cost(5)
@permission(Permission.EXECUTIONS_READ)
def show(execution_id: str, other_id: str) -> Response:
    """Compare an execution with another one: what differs now from then."""
    identity, comparisons = caller(), services().comparisons
    before, after = comparisons.find(other_id, execution_id, identity)
    compared = comparisons.compare(before, after, identity)
    unified = request.args.get("form") == "unified"
    return page(
        "comparison.html",
        title=f"{after.id[:8]} compared with {before.id[:8]}",
        current="/ui/executions",
        compared=compared,
        changed_steps=[step for step in compared.steps if step.change != "none"],
        durations=[seconds_between(each.started_at, each.finished_at) for each in (before, after)],
        rows=[] if unified else [*beside(compared.text.lines)],
        unified=unified,
        stopped=_STOPPED.get(compared.log.stopped_by, ""),
        side=side,
        took=took,
    )


def beside(lines: Sequence[str]) -> Iterator[Row]:
    """Return lines as ``diff -u`` writes them, those that were replaced beside those that came."""
    gone: list[str] = []
    come: list[str] = []
    for line in lines:
        mark, text = line[:1], line[1:]
        if line.startswith(("--- ", "+++ ")):
            continue
        if mark == "-" and not come:
            gone.append(text)
            continue
        if mark == "+":
            come.append(text)
            continue
        yield from _pairs(gone, come)
        gone, come = ([text], []) if mark == "-" else ([], [])
        if mark == "@":
            yield Row("place", line, line)
        elif mark != "-":
            yield Row("same", text, text)
    yield from _pairs(gone, come)


def _pairs(gone: Sequence[str], come: Sequence[str]) -> Iterator[Row]:
    for before, after in zip_longest(gone, come):
        yield Row("changed", before, after)
