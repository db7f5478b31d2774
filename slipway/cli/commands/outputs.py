"""``slipway outputs``: what came out of an execution."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import click

from slipway.cli.codes import ExitCode, Failure
from slipway.cli.ids import find
from slipway.cli.options import command as of_table
from slipway.cli.output import cell_width, clean
from slipway.cli.shell import Shell


@of_table("outputs")
@click.argument("execution", required=False, metavar="[ID]")
@click.argument("key", required=False, metavar="[KEY]")
def command(shell: Shell, execution: str | None, key: str | None) -> None:
    """Print all outputs of an execution, or the bare value of one.

    Without ID it is your latest execution; for one output of that: slipway outputs @latest KEY.
    """
    found = find(shell, execution)
    outputs = found.outputs
    if key is not None:
        _print_one(shell, outputs, key)
    elif shell.out.for_programs:
        shell.out.value(dict(outputs))
    elif shell.out.format == "name":
        for name in outputs:
            shell.out.write(clean(name))
    elif outputs:
        for line in lines_of(outputs):
            shell.out.write(line)
    else:
        state = found.state
        shell.say("It has no outputs." if state.is_final else f"It has no outputs yet ({state}).")


def lines_of(outputs: Mapping[str, Any]) -> Iterator[str]:
    """Return outputs as lines for people; values of several lines are indented."""
    widest = max((cell_width(clean(name)) for name in outputs), default=0)
    for name, value in outputs.items():
        shown = clean(name)
        margin = "\n" + " " * (widest + 2)
        text = margin.join(map(clean, bare(value).splitlines() or [""]))
        yield f"{shown}{' ' * (widest - cell_width(shown) + 2)}{text}".rstrip()


def bare(value: Any) -> str:
    """Return a value as a program wants it: a text as it is, and all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_one(shell: Shell, outputs: Mapping[str, Any], key: str) -> None:
    if key not in outputs:
        near = get_close_matches(key[:200], outputs, n=1)
        known = ", ".join(map(clean, outputs)) or "none"
        raise Failure(
            f"There is no output '{clean(key)}'"
            + (f"; did you mean {clean(near[0])}?" if near else f"; there are: {known}."),
            code=ExitCode.REFUSED,
        )
    if shell.out.for_programs:
        shell.out.value(outputs[key])
    else:
        shell.out.write_exactly(bare(outputs[key]))
