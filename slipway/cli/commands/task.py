"""``slipway task``: start, stop and restart single steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slipway.cli.ids import find
from slipway.cli.options import command as command_of
from slipway.cli.output import clean
from slipway.cli.views import short

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.cli.shell import Shell
    from slipway.execution import Execution


def _arguments(function: Callable[..., Any]) -> Any:
    function = click.argument("step", metavar="STEP")(function)
    return click.argument("execution", metavar="ID")(function)


@command_of("task start")
@_arguments
def start(shell: Shell, *, execution: str, step: str) -> None:
    """Let a step run at once, whatever it waits for.

    Of an execution that has ended another one goes on, and its id is printed.
    """
    found = find(shell, execution)
    _tell(shell, found, found.task(step).start(), f"{clean(step)} starts.")


@command_of("task stop")
@_arguments
def stop(shell: Shell, *, execution: str, step: str) -> None:
    """End a step with all that it started; what needs it does not run."""
    found = find(shell, execution)
    found.task(step).stop()
    _tell(shell, found, found, f"{clean(step)} stops.")


@command_of("task restart")
@_arguments
def restart(shell: Shell, *, execution: str, step: str) -> None:
    """Let a step run once more; what runs of it is ended before.

    Of an execution that has ended another one goes on, and its id is printed.
    """
    found = find(shell, execution)
    _tell(shell, found, found.task(step).restart(), f"{clean(step)} starts again.")


def _tell(shell: Shell, before: Execution, now: Execution, sentence: str) -> None:
    """Tell what was done, and in which execution."""
    if now.id != before.id:
        sentence = f"goes on from {short(before.id)}: {sentence}"
    shell.out.record(
        {"id": now.id, "continues": before.id if now.id != before.id else None},
        name=now.id, text=lambda: f"{short(now.id)} {sentence}",
    )  # fmt: skip
