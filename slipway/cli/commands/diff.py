"""``slipway diff``: in what two executions differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from slipway.cli.codes import ExitCode
from slipway.cli.ids import find
from slipway.cli.options import command as command_of
from slipway.cli.output import Column, clean, cut, shortened
from slipway.cli.times import span
from slipway.cli.views import short

if TYPE_CHECKING:
    from slipway.cli.shell import Shell

_NARROW: Final = 60
"""Columns of a terminal below which each difference is one line of two values."""
_LONGEST: Final = 120
"""Columns of a value for people; ``-o json`` has all of it."""
_NOTHING: Final = "-"
_SIDES: Final = ("before", "after")


class _Difference(NamedTuple):
    what: str
    before: str
    after: str


class _Told(NamedTuple):
    """What the service tells.

    Attributes:
        rows: What differs, the most telling first.
        took: How long each of the two took.
        definition: How the definitions differ, as ``diff -u`` writes it.
        compared: How far logs were compared; empty if to their ends.
    """

    rows: list[_Difference]
    took: _Difference
    definition: list[str]
    compared: str


@command_of("diff")
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
def command(shell: Shell, *, one: str, other: str) -> int:
    """Compare two executions: it ends with 1 if they differ, and with 0 if not.

    Status, inputs, definition, steps, outputs, and the first line of the log of each step that is
    another one. Times and durations are told, and are no difference.
    """
    before, after = find(shell, one), find(shell, other)
    found = before.diff(after)
    differs = found.get("differs") is True
    if shell.out.for_programs:
        shell.out.value(found)
    elif shell.out.format == "name":
        for each in _read(found).rows:
            shell.out.write(each.what)
    else:
        _write(shell, _read(found), (short(before.id), short(after.id)), differs=differs)
    return ExitCode.FAILED if differs else ExitCode.SUCCESS


def _read(found: Mapping[str, Any]) -> _Told:
    """Read what the service tells.

    Raises:
        NotOurs: Something of it is missing, or is of another kind.
    """
    from slipway.errors import NotOurs  # noqa: PLC0415  (it is loaded with the client)

    try:
        return _Told(
            [*_differences(found)], _Difference("took", *_durations(found)),
            _lines(found, "definition", "diff"), _compared(found),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NotOurs("The service does not say in what the two differ; is it Slipway?") from None


def _write(shell: Shell, told: _Told, ids: tuple[str, str], *, differs: bool) -> None:
    if not differs:
        shell.say(f"{ids[0]} and {ids[1]} do not differ{told.compared}.")
        return
    rows = [*told.rows, told.took]
    width = shell.out.width
    if width is not None and width < _NARROW:
        for row in rows:
            shell.out.write(cut(f"{row.what}   {row.before} -> {row.after}", width))
    else:
        for line in shell.out.table_lines(rows, _columns(ids)):
            shell.out.write(line)
    for line in told.definition:
        shell.out.write(_coloured(shell, clean(line)))
    if told.compared:
        shell.say(f"The logs were compared{told.compared}.")


def _columns(ids: tuple[str, str]) -> list[Column[_Difference]]:
    return [
        Column("", lambda row: row.what),
        Column(ids[0], lambda row: row.before, shrinks=True),
        Column(ids[1], lambda row: row.after, shrinks=True),
    ]


def _differences(found: Mapping[str, Any]) -> Iterator[_Difference]:
    """Yield what differs, the most telling first."""
    states = [str(found[side]["state"]) for side in _SIDES]
    if states[0] != states[1]:
        yield _Difference("status", *states)
    workflows = [str(found[side]["workflow_name"]) for side in _SIDES]
    if workflows[0] != workflows[1]:
        yield _Difference("workflow", *map(clean, workflows))
    yield from _values(found, "input")
    definition = found["definition"]
    if definition.get("changed"):
        versions = [f"version {definition.get(side) or '?'}" for side in _SIDES]
        yield _Difference("definition", *versions)
    for step in found["steps"]:
        if step["change"] != "none":
            sides = (_step(step["before"]), _step(step["after"]))
            yield _Difference(f"step {clean(str(step['name']))}", *sides)
    yield from _values(found, "output")
    for line in found["log"]["lines"]:
        task = clean(str(line["task"])) or "its own"
        sides = (_said(line["before"]), _said(line["after"]))
        yield _Difference(f"log {task}, line {line['line']}", *sides)


def _values(found: Mapping[str, Any], kind: str) -> Iterator[_Difference]:
    changes = found[f"{kind}s"]
    for change in changes:
        sides = [_value(change[side]) if side in change else _NOTHING for side in _SIDES]
        yield _Difference(f"{kind} {clean(str(change['name']))}", *sides)
    more = int(found.get(f"{kind}s_changed") or 0) - len(changes)
    if more > 0:
        yield _Difference(f"{kind}s", "", f"+{more} more")


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shortened(clean(text), _LONGEST)


def _step(state: Mapping[str, Any] | None) -> str:
    if state is None:
        return _NOTHING
    code = f" code {state['exit_code']}" if state.get("exit_code") else ""
    return f"{state['status']}{code}"


def _said(entry: Mapping[str, Any] | None) -> str:
    return _NOTHING if entry is None else shortened(clean(str(entry["content"])), _LONGEST)


def _durations(found: Mapping[str, Any]) -> tuple[str, str]:
    durations = found["duration_seconds"]
    one, other = (
        _NOTHING if durations.get(side) is None else span(durations[side]) for side in _SIDES
    )
    return one, other


def _compared(found: Mapping[str, Any]) -> str:
    """Return how far logs were compared; empty if to their ends."""
    log = found["log"]
    if log.get("complete", True):
        return ""
    read = log.get("compared") or {}
    return f" for their first {min(read.get('before', 0), read.get('after', 0)):,} entries"


def _lines(found: Mapping[str, Any], part: str, name: str) -> list[str]:
    lines = found[part].get(name)
    return [str(line) for line in lines] if isinstance(lines, list) else []


def _coloured(shell: Shell, line: str) -> str:
    style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return shell.out.styled(line, style) if style else line
