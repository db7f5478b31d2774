"""``slipway events``: what happens to all executions that you may see."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from slipway.cli.codes import Failure
from slipway.cli.executions import state_of, workflow_of
from slipway.cli.options import command as command_of
from slipway.cli.output import clean
from slipway.cli.views import percent, short

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.models import StatusChange


@command_of("events")
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on until Ctrl-C.")
def command(shell: Shell, *, follows: bool) -> None:
    """Show what happens to executions, as it happens: yours, and those that you may see.

    It begins with how those stand that have not ended; without -f it ends there. With -o json each
    is one line of JSON.
    """
    if shell.out.format == "yaml":
        raise Failure("Events cannot be printed as yaml.", hint="They come as text or -o json.")
    if not follows:
        _now(shell)
        return
    told: dict[str, tuple[str, str]] = {}
    with shell.client.events() as events:
        for event in events:
            # After a cut the service begins anew with how all stand.
            seen = str(event.state), percent(event.progress or 0.0)
            if told.get(event.id) != seen:
                told[event.id] = seen
                _write(shell, event)
            if event.state.is_final:
                told.pop(event.id, None)


def _now(shell: Shell) -> None:
    """Tell how those stand that have not ended."""
    from slipway.models import StatusChange  # noqa: PLC0415  (it is loaded with the client)

    states = ["PENDING", "RUNNING", "PAUSED", "CANCELLING", "UNKNOWN"]
    for execution in shell.client.executions(state=states):
        _write(shell, StatusChange.read({"type": "status", **execution.seen.raw}))


def _write(shell: Shell, event: StatusChange) -> None:
    if shell.out.for_programs:
        shell.out.json_line(event.raw)
    elif shell.out.format == "name":
        shell.out.write(clean(event.id))
    else:
        shell.out.write(_line(shell, event))
    sys.stdout.flush()


def _line(shell: Shell, event: StatusChange) -> str:
    moment = (event.as_of or datetime.now().astimezone()).astimezone()
    words = [f"{moment:%H:%M:%S} ", short(event.id), clean(workflow_of(event))]
    words.append(state_of(event, shell.out))
    if not event.state.is_final:
        words.append(percent(event.progress or 0.0))
    if event.error:
        words.append(clean(event.error))
    return " ".join(words)
